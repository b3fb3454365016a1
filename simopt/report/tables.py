"""Runs in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simopt.analysis.good_score import GoodScore, good_scores
from simopt.checks import as_plain
from simopt.optimization.trajectory import half_capture
from simopt.report.document import Number, Table
from simopt.store import reader
from simopt.store.reader import Run
from simopt.typing import FloatArray

PCS = (1, 2, 5, 10)
"""The principal components whose half capture is shown, from 1."""

GOOD_NOTE = "where accuracy has risen from chance by nine tenths of the recording's rise"
"""What a good score is."""

_SINGLE = 3
"""Significant digits of what only one seed tells."""
_SURE = 1e-7
"""A standard error below this share of its mean is none: the digits of float32 end there."""
_LARGEST = 1e150
"""Beyond, squares overflow, and no score lies."""


@dataclass(frozen=True)
class Rounded:
    """A mean over replicates as text, with as many digits as they support.

    Attributes
    ----------
    value : str
        Rounded to the first digit of its standard error; of one replicate 3 significant digits. Empty where
        there is no number.
    error : str
        The standard error, one digit, and ``0`` where all replicates agree; empty of one replicate.
    count, of : int
        How many replicates have a number, of how many.
    """

    value: str
    error: str
    count: int
    of: int

    def worded(self, none: str = "-", between: str = " ± ") -> str:
        """Return it in a cell: ``0.612 ± 0.004``, ``0.612 in 1 of 3``, or what stands for no number."""
        if not self.count:
            return none
        number = self.value + (between + self.error if self.error else "")
        return number if self.count == self.of else f"{number} in {self.count} of {self.of}"


def rounded(values: npt.ArrayLike) -> Rounded:
    """Return the mean over replicates, (R,), to the first digit of its standard error.

    The standard error is sd / sqrt(R), the standard deviation taken over R - 1. Replicates that are not
    finite, or beyond 1e150, have no number and do not count.
    """
    every = np.asarray(values, dtype=float)
    known = every[np.abs(every) < _LARGEST]
    if not len(known):
        return Rounded("", "", 0, len(every))
    mean, error = float(known.mean()), standard_error(known)
    if error <= _SURE * abs(mean) or math.isnan(error):
        agreed = "0" if len(known) > 1 else ""
        return Rounded(_fixed(mean, _SINGLE - 1 - _exponent(mean, _SINGLE)), agreed, len(known), len(every))
    decimals = -_exponent(error, 1)
    return Rounded(_fixed(mean, decimals), _fixed(error, decimals), len(known), len(every))


def standard_error(values: npt.ArrayLike) -> float:
    """Return the standard error of the mean over replicates, (R,); NaN of fewer than two finite ones."""
    every = np.asarray(values, dtype=float)
    known = every[np.abs(every) < _LARGEST]
    return float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan


def _exponent(value: float, digits: int) -> int:
    """Return the power of ten of the first digit, after rounding to so many digits; of 0 it is 0."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _fixed(value: float, decimals: int) -> str:
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


@dataclass(frozen=True)
class Summary:
    """One run in one row; numbers are means over replicates, NaN where a PC was never half captured.

    Attributes
    ----------
    steps : int
        Updates made.
    half_capture : dict of float
        By PC, from 1; a mean over the replicates that reached it.
    never_captured : float
        Share of PCs, over all replicates, that never were half captured.
    good_scores : dict of GoodScore
        Of the task variables that were decoded along the run.
    scores : array, (R,)
        The last score of each replicate.
    halves : array, (R, K)
        The score at half capture of each PC; NaN where it was never reached.
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
    path: Path | None
    good_scores: dict[str, GoodScore] = field(default_factory=dict)
    scores: FloatArray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    halves: FloatArray = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)

    def cells(self) -> list[str]:
        """Return the row of :func:`runs_table`."""
        halves = zip(self.rounded_halves(PCS), map(self.half_capture.get, PCS), strict=True)
        return [
            f"{self.dataset} ({self.source})",
            self.measure,
            self.run.rpartition("-")[2],
            self.status,
            Number(str(self.replicates), self.replicates),
            Number(str(self.steps), self.steps),
            Number(rounded(self.scores).worded(), self.final_score),
            *(Number(half.worded("never") if half else "", mean) for half, mean in halves),
            Number(f"{self.never_captured:.0%}", self.never_captured),
        ]

    def rounded_halves(self, pcs: Sequence[int]) -> list[Rounded | None]:
        """Return the scores at half capture of some PCs, from 1; None where there are fewer PCs."""
        there = self.halves.shape[1]
        return [rounded(self.halves[:, pc - 1]) if pc <= there else None for pc in pcs]

    def line(self) -> str:
        """Return the run in one line."""
        return (
            f"{self.dataset} ({self.source}), {self.measure}: {self.steps} steps, "
            f"score {self.final_score:.4f} ({self.stop_reason}); "
            f"{self.never_captured:.0%} of the PCs never half captured"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values: null for what never happened, or is not finite."""
        shown = {name: value for name, value in self.__dict__.items() if name not in ("scores", "halves")}
        shown["final_score_error"] = standard_error(self.scores)
        shown["half_capture_error"] = {pc: standard_error(self.halves[:, pc - 1]) for pc in self.half_capture}
        shown["good_scores"] = {name: good.as_json() for name, good in self.good_scores.items()}
        plain: dict[str, Any] = as_plain(shown)
        return plain


def runs_table(summaries: Sequence[Summary]) -> Table:
    """Return one row a run, means over replicates."""
    heads = ["dataset", "measure", "run", "status", "replicates", "steps", "final score"]
    heads += [*(f"half PC {pc}" for pc in PCS), "never captured"]
    note = (
        "half: the score at which a PC is half captured. Means over replicates, to the first digit of "
        "their standard error, which follows."
    )
    return Table("runs-table", "Stored runs", note, heads, [summary.cells() for summary in summaries])


def good_scores_table(summaries: Sequence[Summary]) -> Table:
    """Return at which score the task variables of each run are decodable, median and range over seeds."""
    heads = ["dataset", "measure", "run", "variable", "accuracy", "good score"]
    rows = [
        [
            *summary.cells()[:3],
            name,
            Number(f"{good.level:.3f}", good.level),
            Number(good.worded(), good.score),
        ]
        for summary in summaries
        for name, good in summary.good_scores.items()
    ]
    return Table("good-table", "Good scores", GOOD_NOTE, heads, rows)


def summary(path: Path) -> Summary:
    """Summarize the run of a run file."""
    return summarize(reader.read(path))


def summarize(run: Run) -> Summary:
    """Summarize a run, also one that is not finished: as far as it came."""
    half = half_captures(run)
    means = mean_reached(half)
    scores = run.score[-1].copy() if len(run.score) else np.full(run.score.shape[1], np.nan)
    return Summary(
        dataset=str(run.attributes["dataset"]),
        source=str(run.attributes["source"]),
        measure=run.measure,
        run=run.run_id,
        status=run.status,
        stop_reason=str(run.attributes["stop_reason"]),
        replicates=run.score.shape[1],
        steps=int(run.step[-1]) if len(run.step) else 0,
        final_score=float(scores.mean()),
        half_capture={pc: float(means[pc - 1]) for pc in PCS if pc <= len(means)},
        never_captured=float(1 - np.isfinite(half).mean()),
        path=run.path,
        good_scores=good_scores(run) if run.decoding else {},
        scores=scores,
        halves=half,
    )


def mean_reached(halves: FloatArray) -> FloatArray:
    """Return the mean over the replicates, (R, K), that half captured a PC, (K,); NaN where none did."""
    mean: FloatArray = np.ma.masked_invalid(halves).mean(axis=0).filled(np.nan)
    return mean


def half_captures(run: Run) -> FloatArray:
    """Return the score at half capture of each PC, (R, K); of an unfinished run as far as it came."""
    if run.half_capture is not None:
        return run.half_capture
    if len(run.step) == 0:
        return np.full((run.score.shape[1], len(run.pc_variance)), np.nan)
    return half_capture(run.score, run.captured_variance)
