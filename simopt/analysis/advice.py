"""Which measures are informative on a recording.

A measure is informative if labels become decodable between the scores of unrelated data and the best score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simopt.analysis.good_score import GoodScore

DISCRIMINATES, BLIND, SATURATED, UNJUDGED = "discriminates", "blind", "saturated", "unjudged"
NEAR_THE_TOP = 0.1
"""A measure is saturated if the distance of the null's 95th percentile from the best score is at most this
share of the measure's range."""
HEADROOM = 0.05
"""A measure is blind if a variable becomes decodable only in the last part of the scores between the null and
the best score. This is the length of that part, as a share of the whole."""


@dataclass(frozen=True)
class Verdict:
    """Whether one measure is informative on one recording.

    Attributes
    ----------
    measure : str
    kind : {"discriminates", "blind", "saturated", "unjudged"}
    gap : float
        The good score of a variable is the score from which on it is decodable. The gap is the distance from
        the null's 95th percentile to the good score, divided by its distance to the best score: the smallest
        over variables. NaN if no variable is decodable, the measure has no best score, or no null holds.
    reason : str
        Why the verdict is of this kind, as a clause without a full stop.
    """

    measure: str
    kind: str
    gap: float
    reason: str


def judge(
    measure: str,
    null_end: float,
    best: float,
    worst: float,
    good: Mapping[str, GoodScore],
    target: float,
    degenerate: str | None = None,
    ceiling: float | None = None,
    no_null: str = "no null was drawn",
) -> Verdict:
    """Return the verdict on a measure: whether it is informative on a recording.

    The first of these rules that applies decides:

    - The measure is saturated if it is degenerate for data of these shapes, or if unrelated data score within
      :data:`NEAR_THE_TOP` of the best score.
    - The measure is blind if a variable is not decodable even at the end of the runs, if it is decodable
      already at scores that unrelated data reach, or if it is decodable only within :data:`HEADROOM` of the
      best score or only above the noise ceiling.
    - The measure is unjudged if no variable can be decoded from the recording, or if no null holds.
    - Otherwise the measure discriminates. A larger gap is better.

    If no null holds, the conditions on unrelated data are skipped.

    Parameters
    ----------
    measure : str
        Name of the measure.
    null_end : float
        The 95th percentile of the null (for a distance the 5th). NaN if no null holds.
    best, worst : float
        The ends of the measure's range. An end that does not exist is infinite.
    good : mapping of str to GoodScore
        For each task variable the score from which on it is decodable. Empty if no variable can be decoded
        from the recording.
    target : float
        The score at which the runs ended.
    degenerate : str, optional
        Why the measure is meaningless for data of these shapes; None if it is not.
    ceiling : float, optional
        Noise ceiling of the recording; None if it is not known.
    no_null : str
        Why no null holds, as a clause; used if ``null_end`` is NaN.
    """

    def verdict(kind: str, reason: str, gap: float = math.nan) -> Verdict:
        return Verdict(measure, kind, gap, reason)

    if degenerate is not None:
        return verdict(SATURATED, degenerate.rstrip("."))
    # Without a null both are NaN, and every comparison with them is false.
    to_best = abs(best - null_end)
    near = NEAR_THE_TOP * abs(best - worst) if np.isfinite([best, worst]).all() else 0.0
    unrelated = no_null if np.isnan(null_end) else f"unrelated data score up to {null_end:.3f}"
    if to_best <= near:
        return verdict(SATURATED, f"{unrelated} of {best:g}")
    if not good:
        return verdict(UNJUDGED, f"no label is decoded from the recording above chance, and {unrelated}")
    never = [variable for variable, goal in good.items() if np.isnan(goal.score)]
    if never:
        return verdict(BLIND, f"{', '.join(never)} not decodable even at {target:.3f}")
    sign = 1 if best > worst else -1
    # A smaller rank is farther from the best score, also for distances.
    rank = {variable: sign * goal.score for variable, goal in good.items()}
    first, last = min(rank, key=rank.__getitem__), max(rank, key=rank.__getitem__)
    to_first, to_last = (rank[variable] - sign * null_end for variable in (first, last))
    gap = to_first / to_best if np.isfinite(best) else math.nan
    if to_first <= 0:
        reached = f"{first} is decodable at {good[first].worded()}, which unrelated data reach"
        return verdict(BLIND, reached, gap)
    only = f"{last} is decodable only from {good[last].worded()} on"
    if to_last > (1 - HEADROOM) * to_best:
        return verdict(BLIND, only, gap)
    if ceiling is not None and rank[last] > sign * ceiling:
        side = "above" if sign > 0 else "below"
        return verdict(BLIND, f"{only}, {side} the ceiling of {ceiling:.3f}", gap)
    found = f"{unrelated}, {first} is decodable from {good[first].worded()} on"
    return verdict(UNJUDGED if np.isnan(null_end) else DISCRIMINATES, found, gap)


def advise(verdicts: Sequence[Verdict]) -> list[str]:
    """Return advice on which measure to use, as a list of sentences.

    Measures that discriminate come first, in descending order of their gaps; see :func:`judge`. If no measure
    discriminates, none is recommended.
    """
    lines = []
    by_kind = {
        kind: [verdict for verdict in verdicts if verdict.kind == kind]
        for kind in (DISCRIMINATES, BLIND, SATURATED, UNJUDGED)
    }
    # Without a best score there is no gap, and nothing ranks two measures: the order of the arguments must
    # not look like a recommendation.
    unranked = [verdict for verdict in by_kind[DISCRIMINATES] if np.isnan(verdict.gap)]
    ranked = [verdict for verdict in by_kind[DISCRIMINATES] if not np.isnan(verdict.gap)]
    ranked.sort(key=lambda verdict: -verdict.gap)
    if ranked:
        lines.append(f"Use {ranked[0].measure}: {ranked[0].reason}.")
    lines += [f"{verdict.measure} discriminates as well: {verdict.reason}." for verdict in ranked[1:]]
    lines += [f"{verdict.measure} can be used: {verdict.reason}." for verdict in unranked]
    if len(unranked) > 1:
        names = ", ".join(verdict.measure for verdict in unranked)
        lines.append(f"{names} cannot be ranked: this needs a best score of each.")
    if not by_kind[DISCRIMINATES]:
        lines.append("No measure is recommended: none is known to be informative on this recording.")
    lines += [f"{verdict.measure} is not judged: {verdict.reason}." for verdict in by_kind[UNJUDGED]]
    lines += [
        f"On this recording a high {verdict.measure} does not imply decodable labels: {verdict.reason}."
        for verdict in by_kind[BLIND]
    ]
    lines += [f"Do not interpret {verdict.measure} here: {verdict.reason}." for verdict in by_kind[SATURATED]]
    return lines
