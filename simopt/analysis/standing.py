"""A score with its null and the noise ceiling of the recording."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import Null


@dataclass(frozen=True)
class Standing:
    """A score, its null of each kind, and the noise ceiling if it is known.

    Attributes
    ----------
    measure : str
    score : float
    null : dict of Null
        The nulls by their kinds; empty if none was drawn.
    ceiling : Ceiling or None
        The noise ceiling of the recording for this measure, which may be a reason without a value; None if
        the recording has no single trials and no signal-to-noise ratio was given.
    degenerate : str or None
        Why the score means nothing for data of these shapes; None if it has a meaning.
    """

    measure: str
    score: float
    null: Mapping[str, Null] = field(default_factory=dict)
    ceiling: Ceiling | None = None
    degenerate: str | None = None

    @property
    def percentile(self) -> float:
        """Percentile of the score in the null of unrelated data, 0 to 100; NaN if no null was drawn."""
        return self.null["unrelated"].percentile(self.score) if self.null else math.nan

    @property
    def end(self) -> float:
        """The 95th percentile of the null (for a distance the 5th); NaN if no null was drawn."""
        return self.null["unrelated"].end if self.null else math.nan

    @property
    def limit(self) -> float | None:
        """The value of the noise ceiling; None if it is not known."""
        return None if self.ceiling is None else self.ceiling.known

    def as_json(self) -> dict[str, Any]:
        """Return the score, null and ceiling as JSON values. What is not known is left out."""
        facts: dict[str, Any] = {"score": self.score}
        if self.degenerate is not None:
            facts["degenerate"] = self.degenerate
        if self.null:
            facts["null"] = {
                kind: {
                    "mean": null.mean,
                    "end": null.end,
                    "percentile": null.percentile(self.score),
                    "draws": len(null.scores),
                }
                for kind, null in self.null.items()
            }
            facts["percentile"] = self.percentile
        return facts | ({} if self.ceiling is None else self.ceiling.as_json())


def reasons_without(standings: Sequence[Standing]) -> list[str]:
    """Return for each reason why a ceiling has no value the measures that it holds for, and the reason."""
    measures: dict[str, list[str]] = {}
    for standing in standings:
        if standing.ceiling is not None and standing.ceiling.reason:
            measures.setdefault(standing.ceiling.reason, []).append(standing.measure)
    return [f"{', '.join(names)}: {reason}" for reason, names in measures.items()]
