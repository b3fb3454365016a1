"""Which measures say something on a recording: by the distance between chance and decodability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simopt.analysis.good_score import GoodScore

DISCRIMINATES, BLIND, SATURATED = "discriminates", "blind", "saturated"
NEAR_THE_TOP = 0.1
"""A measure is saturated where its null ends within this share of the way from worst to best."""
HEADROOM = 0.05
"""A variable must be decodable with more than this share of the way from the null to the best left."""


@dataclass(frozen=True)
class Verdict:
    """What one measure is good for on one recording.

    Attributes
    ----------
    measure : str
    kind : {"discriminates", "blind", "saturated"}
    gap : float
        From the end of the null to the score at which a variable is decodable, the smallest over variables
        and as a share of the way from the null to the best score; NaN where none is, or no best.
    reason : str
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
    """Judge a measure on a recording.

    Saturated: the measure calls itself degenerate for such shapes, or unrelated data score within
    :data:`NEAR_THE_TOP` of the best of a range that has both ends. Blind: some variable is not decodable even
    at the end of a run, or only within :data:`HEADROOM` of the best or above the noise ceiling, or is so at
    scores that unrelated data reach. Else it discriminates, the better the larger the gap.

    Parameters
    ----------
    measure : str
    null_end : float
        The score that 95 % of unrelated data do not pass.
    best, worst : float
        Ends of the measure's range; either may be infinite for an unbounded one.
    good : mapping of str to GoodScore
        By variable; empty where the recording has none that can be decoded.
    target : float
        Where the runs ended.
    degenerate : str, optional
        Why the measure means nothing for data of these shapes.
    ceiling : float, optional
        Of the recording, where it is known.
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
    unseen = [variable for variable, each in good.items() if np.isnan(each.score)]
    if unseen:
        return verdict(BLIND, f"{', '.join(unseen)} not decodable even at {target:.3f}")
    if not good:
        return verdict(DISCRIMINATES, unrelated)
    sign = 1 if best > null_end else -1
    beyond = {variable: sign * (each.score - null_end) for variable, each in good.items()}
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
    """Return what to do, a sentence for each kind of verdict there is, the best measures first."""
    lines = []
    by_kind = {
        kind: [each for each in verdicts if each.kind == kind] for kind in (DISCRIMINATES, BLIND, SATURATED)
    }
    unranked = [verdict for verdict in by_kind[DISCRIMINATES] if np.isnan(verdict.gap)]
    ranked = [verdict for verdict in by_kind[DISCRIMINATES] if not np.isnan(verdict.gap)]
    ranked.sort(key=lambda verdict: -verdict.gap)
    if ranked:
        lines.append(f"Use {ranked[0].measure}: {ranked[0].reason}.")
    lines += [f"{verdict.measure} discriminates as well: {verdict.reason}." for verdict in ranked[1:]]
    lines += [f"{verdict.measure} can be used: {verdict.reason}." for verdict in unranked]
    if len(unranked) > 1:
        names = ", ".join(verdict.measure for verdict in unranked)
        lines.append(f"Nothing ranks {names}: that takes a decoded label, and a largest score.")
    lines += [f"A high {each.measure} does not show the task here: {each.reason}." for each in by_kind[BLIND]]
    lines += [f"Do not read {each.measure} here: {each.reason}." for each in by_kind[SATURATED]]
    return lines
