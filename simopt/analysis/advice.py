"""Which measures are informative on a recording.

A measure is informative if labels become decodable at scores that unrelated data do not reach, and before the
best score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simopt.analysis.good_score import GoodScore

DISCRIMINATES, BLIND, SATURATED = "discriminates", "blind", "saturated"
NEAR_THE_TOP = 0.1
"""A measure is saturated if the distance of the null's 95th percentile from the best score is at most this
share of the measure's range."""
HEADROOM = 0.05
"""A measure is blind if a variable becomes decodable only in the last part of the way from the null to the
best score; this is the share of that part in the way."""


@dataclass(frozen=True)
class Verdict:
    """Whether one measure is informative on one recording.

    Attributes
    ----------
    measure : str
    kind : {"discriminates", "blind", "saturated"}
    gap : float
        Distance from the null's 95th percentile to the score from which on a variable is decodable, divided
        by the distance from the null's 95th percentile to the best score. The smallest value over variables
        is given. NaN if no variable is decodable or the measure has no best score.
    reason : str
        Why the measure is of this kind, as a clause without a full stop.
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
) -> Verdict:
    """Return the verdict on a measure: whether it is informative on a recording.

    The first of these rules that applies decides:

    - The measure is saturated if it is degenerate for data of these shapes, or if unrelated data score within
      :data:`NEAR_THE_TOP` of the best score.
    - The measure is blind if a variable is not decodable even at the end of the runs, if it is decodable
      already at scores that unrelated data reach, or if it is decodable only within :data:`HEADROOM` of the
      best score or only above the noise ceiling.
    - Otherwise the measure discriminates. A larger gap is better.

    Parameters
    ----------
    measure : str
        Name of the measure.
    null_end : float
        The 95th percentile of the null (for a distance the 5th).
    best, worst : float
        The ends of the measure's range. An end that does not exist is infinite.
    good : mapping of str to GoodScore
        For each task variable the score from which on it is decodable. Empty if no variable can be decoded
        from the recording.
    target : float
        The score at which the runs ended.
    degenerate : str, optional
        Why the measure is meaningless for data of these shapes. None: it is not.
    ceiling : float, optional
        Noise ceiling of the recording, if it is known.
    """

    def verdict(kind: str, reason: str, gap: float = math.nan) -> Verdict:
        return Verdict(measure, kind, gap, reason)

    if degenerate is not None:
        return verdict(SATURATED, degenerate.rstrip("."))
    to_best = abs(best - null_end)
    near = NEAR_THE_TOP * abs(best - worst) if np.isfinite([best, worst]).all() else 0.0
    unrelated = f"unrelated data score up to {null_end:.3f}"
    if to_best <= near:
        return verdict(SATURATED, f"{unrelated} of {best:g}")
    never = [variable for variable, goal in good.items() if np.isnan(goal.score)]
    if never:
        return verdict(BLIND, f"{', '.join(never)} not decodable even at {target:.3f}")
    if not good:
        return verdict(DISCRIMINATES, unrelated)
    sign = 1 if best > null_end else -1
    # Distance of each good score from the null, positive towards the best score, also for distances.
    beyond = {variable: sign * (goal.score - null_end) for variable, goal in good.items()}
    first, last = min(beyond, key=beyond.__getitem__), max(beyond, key=beyond.__getitem__)
    bottom, top = good[first].score, good[last].score
    gap = beyond[first] / to_best if np.isfinite(best) else math.nan
    if beyond[first] <= 0:
        return verdict(BLIND, f"{first} is decodable at {bottom:.3f}, which unrelated data reach", gap)
    only = f"{last} is decodable only from {top:.3f} on"
    if beyond[last] > (1 - HEADROOM) * to_best:
        return verdict(BLIND, only, gap)
    if ceiling is not None and sign * (top - ceiling) > 0:
        return verdict(BLIND, f"{only}, above the ceiling of {ceiling:.3f}", gap)
    return verdict(DISCRIMINATES, f"{unrelated}, {first} is decodable from {bottom:.3f} on", gap)


def advise(verdicts: Sequence[Verdict]) -> list[str]:
    """Return advice on which measure to use, as a list of sentences.

    Measures that discriminate come first, those with the largest gap at the top; see :func:`judge`.
    """
    lines = []
    by_kind = {
        kind: [verdict for verdict in verdicts if verdict.kind == kind]
        for kind in (DISCRIMINATES, BLIND, SATURATED)
    }
    # Without a gap nothing ranks two measures: the order of the arguments must not look like a
    # recommendation.
    unranked = [verdict for verdict in by_kind[DISCRIMINATES] if np.isnan(verdict.gap)]
    ranked = [verdict for verdict in by_kind[DISCRIMINATES] if not np.isnan(verdict.gap)]
    ranked.sort(key=lambda verdict: -verdict.gap)
    if ranked:
        lines.append(f"Use {ranked[0].measure}: {ranked[0].reason}.")
    lines += [f"{verdict.measure} discriminates as well: {verdict.reason}." for verdict in ranked[1:]]
    lines += [f"{verdict.measure} can be used: {verdict.reason}." for verdict in unranked]
    if len(unranked) > 1:
        names = ", ".join(verdict.measure for verdict in unranked)
        lines.append(f"{names} cannot be ranked: this needs a decodable label, and a best score of each.")
    lines += [
        f"On this recording a high {verdict.measure} does not imply decodable labels: {verdict.reason}."
        for verdict in by_kind[BLIND]
    ]
    lines += [f"Do not interpret {verdict.measure} here: {verdict.reason}." for verdict in by_kind[SATURATED]]
    return lines
