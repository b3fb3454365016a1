"""A score with its null and the noise ceiling of the recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import INNOVATIONS, UNRELATED, WITHOUT_COURSE, Null


@dataclass(frozen=True)
class Standing:
    """A score with its nulls and its noise ceiling.

    Attributes
    ----------
    measure : str
    score : float
    null : dict of Null
        The nulls by their kinds; empty if none was drawn.
    ceiling : Ceiling or None
        The noise ceiling of the recording for this measure. If it has no value, it has a reason. None if the
        recording has no single trials and no signal-to-noise ratio was given.
    degenerate : str or None
        Why the score is meaningless for data of these shapes; None if it is not.
    notes : tuple of str
        Lines on repeats or classes that were found among the samples, and on how to change this.
    larger_is_closer : bool
        True for similarities, False for distances.
    """

    measure: str
    score: float
    null: Mapping[str, Null] = field(default_factory=dict)
    ceiling: Ceiling | None = None
    degenerate: str | None = None
    notes: tuple[str, ...] = ()
    larger_is_closer: bool = True

    @property
    def percentile(self) -> float:
        """Percentile of the score among unrelated data, 0 to 100; NaN if it has a ``percentile_reason``."""
        return self.null[UNRELATED].percentile(self.score) if self.null else math.nan

    @property
    def percentile_reason(self) -> str:
        """Why the score has no percentile; empty if it has one, or if no null was drawn."""
        return self.null[UNRELATED].reason(self.score) if self.null else ""

    @property
    def end(self) -> float:
        """The 95th percentile of the null (for a distance the 5th); NaN if there is none."""
        return self.null[UNRELATED].end if self.null else math.nan

    def compared(self, kind: str) -> float:
        """Return the score that the null of a kind is compared with."""
        # The nulls of former versions had other kinds, all for the score itself.
        return self.null[kind].observed if kind in (INNOVATIONS, WITHOUT_COURSE) else self.score

    def of(self, kind: str) -> tuple[float, float] | None:
        """Return score and percentile for another kind of null; None if that null was not drawn."""
        null = self.null.get(kind)
        return None if null is None else (null.observed, null.percentile(null.observed))

    @property
    def limit(self) -> float | None:
        """The value of the noise ceiling; None if it is not known."""
        return None if self.ceiling is None else self.ceiling.known

    def as_json(self) -> dict[str, Any]:
        """Return the score, null and ceiling as JSON values. Unknown values are left out."""
        facts: dict[str, Any] = {"score": self.score}
        if self.degenerate is not None:
            facts["degenerate"] = self.degenerate
        if self.notes:
            facts["notes"] = list(self.notes)
        if self.null:
            facts["null"] = {
                kind: {**null.as_json(), "percentile": null.percentile(self.compared(kind))}
                for kind, null in self.null.items()
            }
            facts["percentile"] = self.percentile
            if self.percentile_reason:
                facts["percentile_reason"] = self.percentile_reason
            if rows := self.null[UNRELATED].rows_as_json():
                facts["rows"] = rows
        for kind in (INNOVATIONS, WITHOUT_COURSE):
            other = self.of(kind)
            if other is not None:
                facts[f"score_{kind}"], facts[f"percentile_{kind}"] = other
                if reason := self.null[kind].reason(other[0]):
                    facts[f"percentile_{kind}_reason"] = reason
        return facts | ({} if self.ceiling is None else self.ceiling.as_json())
