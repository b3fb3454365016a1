"""Texts that compare a score with unrelated data and with its ceiling."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simopt.analysis.nulls import INNOVATIONS, UNRELATED, WITHOUT_COURSE
from simopt.analysis.standing import Standing

_WORDS = {INNOVATIONS: "innovations", WITHOUT_COURSE: "the data without their common course"}

_NOT_COMPARABLE = (
    "percentiles of different nulls are not comparable: one null finds weaker relations than another"
)


def no_null(standing: Standing) -> str:
    """Return a clause: that no null holds, or else why a score has no percentile in its null.

    The reason why no null holds is the same for many scores, so :func:`of_nulls` gives it once.
    """
    if standing.null and len(standing.null[UNRELATED].scores):
        return f"no percentile: {standing.percentile_reason}".rstrip(".")
    return "no null holds for these rows"


def percentile_words(standing: Standing) -> str:
    """Return the percentile of a score in words, for instance ``percentile 73.3``.

    The largest and the smallest possible percentile depend only on the number of draws. Their words are
    ``above all 100 draws`` and ``below all 100 draws``, or for a distance ``closer than all 100 draws`` and
    ``farther than all 100 draws``. Without a percentile :func:`no_null` is returned.
    """
    if math.isnan(standing.percentile):
        return no_null(standing)
    draws = len(standing.null[UNRELATED].scores)
    # Null.percentile of a score that no draw ties with and that is closer than all draws, or than none.
    largest, smallest = (100 * rank / (draws + 1) for rank in (draws + 0.5, 0.5))
    words = ("above", "below") if standing.larger_is_closer else ("closer than", "farther than")
    for extreme, word in zip((largest, smallest), words, strict=True):
        if math.isclose(standing.percentile, extreme):
            return f"{word} all {draws} draws" if draws > 1 else f"{word} the only draw"
    return f"percentile {standing.percentile:.1f}"


def other_comparisons(standing: Standing) -> str:
    """Return clauses with score and percentile of the innovations and of the data without common course."""
    words = ""
    for kind, name in _WORDS.items():
        score, percentile = standing.of(kind) or (math.nan, math.nan)
        if not math.isnan(percentile):
            words += f"; {name} score {score:.3f}, percentile {percentile:.1f}"
    return words


def above_ceiling(standing: Standing) -> str:
    """Return a sentence on a score that is closer to X than its noise ceiling; empty if it is not."""
    ceiling = standing.ceiling
    sign = 1 if standing.larger_is_closer else -1
    if ceiling is None or not sign * standing.score > sign * ceiling.value:
        return ""
    low, high = ceiling.interval
    side = "above" if sign > 0 else "below"
    text = f"{standing.measure} {standing.score:.3f} is {side} its ceiling of {ceiling.value:.3f}"
    if low <= standing.score <= high:
        within = f"within the 95 % interval of the ceiling, {low:.3f} to {high:.3f}"
        return f"{text}, but {within}: the ceiling is not known well enough to tell them apart."
    interval = "" if math.isnan(low + high) else f" and outside its 95 % interval, {low:.3f} to {high:.3f}"
    return (
        f"{text}{interval}: either Y shares noise with the recording, as when the same trials are on both "
        "sides or Y was fitted to them, or the ceiling's assumptions do not hold here."
    )


def of_nulls(standings: Sequence[Standing]) -> list[str]:
    """Return lines on what the nulls of scores exchange and why, or why a score has no percentile."""
    lines: dict[str, list[str]] = {}
    held = set()
    for standing in standings:
        for kind, null in standing.null.items():
            if not null.rows:  # a file of a former version does not say what its nulls exchanged
                continue
            of = "" if kind == UNRELATED else f" of {_WORDS[kind]}"
            reason = null.reason(standing.compared(kind))
            if kind != UNRELATED and reason and reason == standing.percentile_reason:
                continue  # said once
            line = f"no percentile{of}: {reason}" if reason else f"null{of}: {null.exchanged}, as {null.why}"
            if not reason:
                held.add(line)
            lines.setdefault(line, []).append(standing.measure)
        for note in standing.notes:
            lines.setdefault(note, [])
    if len(held) > 1:
        lines.setdefault(_NOT_COMPARABLE, [])
    return [
        line if len(names) in (0, len(standings)) else f"{', '.join(names)}: {line}"
        for line, names in lines.items()
    ]


def reasons_without(standings: Sequence[Standing]) -> list[str]:
    """Return a line for each reason why ceilings have no value: the measures, and the reason."""
    measures: dict[str, list[str]] = {}
    for standing in standings:
        if standing.ceiling is not None and standing.ceiling.reason:
            measures.setdefault(standing.ceiling.reason, []).append(standing.measure)
    return [f"{', '.join(names)}: {reason}" for reason, names in measures.items()]
