"""Runs in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simopt.store import reader
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.good_score import GoodScore

PCS = (1, 2, 5, 10)
"""The principal components whose half capture is shown, from 1."""


@dataclass(frozen=True)
class Summary:
    """One run in one row; numbers are means over replicates, NaN where a PC was never half captured.

    Attributes
    ----------
    steps : float
        Updates made.
    half_capture : dict of float
        By PC, from 1; a mean over the replicates that reached it.
    never_captured : float
        Share of PCs, over all replicates, that never were half captured.
    good_scores : dict of GoodScore
        Of the task variables that were decoded along the run.
    """

    dataset: str
    source: str
    measure: str
    run: str
    status: str
    stop_reason: str
    replicates: int
    steps: int
    final_score: float
    half_capture: dict[int, float]
    never_captured: float
    path: Path
    good_scores: dict[str, GoodScore] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Return the row as text."""
        halves = ["never" if np.isnan(value) else f"{value:.3f}" for value in self.half_capture.values()]
        return [
            f"{self.dataset} ({self.source})",
            self.measure,
            self.run.rpartition("-")[2],
            self.status,
            str(self.replicates),
            str(self.steps),
            f"{self.final_score:.4f}",
            *halves,
            f"{self.never_captured:.0%}",
        ]

    def line(self) -> str:
        """Return the run in one line."""
        return (
            f"{self.dataset} ({self.source}), {self.measure}: {self.steps} steps, "
            f"score {self.final_score:.4f} ({self.stop_reason}); "
            f"{self.never_captured:.0%} of the PCs never half captured"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values: null for what never happened."""
        return {
            **self.__dict__,
            "final_score": _known(self.final_score),
            "half_capture": {str(pc): _known(value) for pc, value in self.half_capture.items()},
            "good_scores": {name: good.as_json() for name, good in self.good_scores.items()},
            "path": str(self.path),
        }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def summary(path: Path) -> Summary:
    """Summarise the run of a run file."""
    return summarise(reader.read(path))


def summarise(run: Run) -> Summary:
    """Summarise a run, also one that is not finished: as far as it came."""
    half = run.half_capture if run.half_capture is not None else _so_far(run)
    reached = ~np.isnan(half)
    means = np.divide(
        np.where(reached, half, 0).sum(axis=0),
        reached.sum(axis=0),
        out=np.full(half.shape[1], np.nan),
        where=reached.any(axis=0),
    )
    return Summary(
        dataset=str(run.attributes["dataset"]),
        source=str(run.attributes["source"]),
        measure=run.measure,
        run=run.run_id,
        status=run.status,
        stop_reason=str(run.attributes["stop_reason"]),
        replicates=run.score.shape[1],
        steps=int(run.step[-1]) if len(run.step) else 0,
        final_score=float(run.score[-1].mean()) if len(run.score) else float("nan"),
        half_capture={pc: float(means[pc - 1]) for pc in PCS if pc <= len(means)},
        never_captured=float(1 - reached.mean()),
        path=run.path,
        good_scores=_good_scores(run) if run.decoding else {},
    )


def _good_scores(run: Run) -> dict[str, GoodScore]:
    from simopt.analysis.good_score import good_scores  # loads torch, which runs without decoding do not need

    return good_scores(run)


def _so_far(run: Run) -> np.ndarray:
    from simopt.optimization.captured import half_capture  # loads torch, which finished runs do not need

    if len(run.step) == 0:
        return np.full((run.score.shape[1], len(run.pc_variance)), np.nan)
    return half_capture(run.score, run.captured_variance)
