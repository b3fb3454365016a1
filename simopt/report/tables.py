"""Tables of runs, and the rounding of means over replicates.

R counts replicates, K principal components (PCs) of the recording X.
:func:`simopt.optimization.trajectory.half_capture` defines the half capture of a PC, and
:func:`simopt.analysis.good_score.good_score` the good score of a task variable.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simopt.analysis.good_score import GoodScore, good_scores
from simopt.checks import as_plain
from simopt.report import stored_config
from simopt.report.document import Number, Table
from simopt.report.pools import Pool, half_captures, mean_reached
from simopt.store.reader import Run
from simopt.typing import FloatArray

PCS = (1, 2, 5, 10)
"""The principal components (PCs) whose half capture is shown, numbered from 1."""

GOOD_NOTE = "the score at which decoding from Y first gains 90 % of what the recording gains over chance"
"""The definition of the good score of a task variable, as the notes under tables show it."""

_SINGLE = 3
"""Number of significant digits of the value of a single replicate, which has no standard error."""
_EQUAL = 1e-7
"""A standard error below this share of the mean counts as 0, because float32 resolves only 2^-23 = 1.2e-7."""
_LARGEST = 1e150
"""Values above this are ignored as damaged, because their squares overflow float64."""


@dataclass(frozen=True)
class Rounded:
    """A mean over replicates as text, with as many digits as its standard error supports.

    Attributes
    ----------
    value : str
        The mean, rounded to the position of the first digit of its standard error. The value of a single
        replicate has 3 significant digits. Empty if all replicates are NaN.
    error : str
        The standard error, rounded to one digit; ``0`` if all replicates agree, empty for a single replicate.
    count, of : int
        The number of replicates whose value is not NaN, and the number of all replicates.
    """

    value: str
    error: str
    count: int
    of: int

    def worded(self, none: str = "-", between: str = " ± ") -> str:
        """Return the text of a cell, for instance ``0.612 ± 0.004`` or ``0.612 in 1 of 3`` replicates.

        Parameters
        ----------
        none : str
            The text of the cell if no replicate has a number.
        between : str
            The text between the mean and its standard error.
        """
        if not self.count:
            return none
        number = self.value + (between + self.error if self.error else "")
        return number if self.count == self.of else f"{number} in {self.count} of {self.of}"


def rounded(values: npt.ArrayLike) -> Rounded:
    """Return the mean over replicates, rounded to the position of the first digit of its standard error.

    The standard error is sd / sqrt(R), where sd is the standard deviation with divisor R - 1. Values that are
    not finite or whose absolute value is 1e150 or more are ignored.

    Parameters
    ----------
    values : array, (R,)
        The values of R replicates.
    """
    valid, of = _valid(values), np.size(values)
    if not len(valid):
        return Rounded("", "", 0, of)
    mean, error = float(valid.mean()), standard_error(valid)
    if error <= _EQUAL * abs(mean) or math.isnan(error):
        agreed = "0" if len(valid) > 1 else ""
        return Rounded(_fixed(mean, _SINGLE - 1 - _exponent(mean, _SINGLE)), agreed, len(valid), of)
    decimals = -_exponent(error, 1)
    return Rounded(_fixed(mean, decimals), _fixed(error, decimals), len(valid), of)


def standard_error(values: npt.ArrayLike) -> float:
    """Return the standard error of the mean over replicates; NaN if fewer than two values are finite.

    Parameters
    ----------
    values : array, (R,)
        The values of R replicates.
    """
    valid = _valid(values)
    return float(valid.std(ddof=1) / math.sqrt(len(valid))) if len(valid) > 1 else math.nan


def _valid(values: npt.ArrayLike) -> FloatArray:
    array: FloatArray = np.asarray(values, dtype=float)
    return array[np.abs(array) < _LARGEST]  # False for NaN too


def _exponent(value: float, digits: int) -> int:
    """Return the power of ten of the first digit of ``value`` rounded to ``digits`` digits; 0 for 0."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _fixed(value: float, decimals: int) -> str:
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


@dataclass(frozen=True, eq=False)
class Summary:
    """The facts about one run that tables show; the module docstring defines R and K.

    Attributes
    ----------
    dataset, source, measure, run, status, stop_reason : str
    replicates : int
    steps : int
        The number of optimization steps up to the last logged state.
    final_score : float
        The mean over replicates of the last score.
    half_capture : dict of float
        The score at half capture by PC, numbered from 1: the mean over the replicates that half captured the
        PC, NaN if none did.
    never_captured : float
        The share of the R x K pairs of replicate and PC that never reached half capture.
    path : Path or None
        The run file.
    good_scores : dict of GoodScore
        The good score of each task variable that was decoded along the run, by variable.
    scores : array, (R,)
        The last score of each replicate.
    halves : array, (R, K)
        The score at half capture of each PC; NaN where it was never reached.
    above_noise : array, (R, K)
        As ``halves``, but also NaN where noise half captures the PC as well, by the rule in
        :mod:`simopt.report.pools`.
    noise_floor : float
        The expected captured variance of a PC by noise; NaN if the run has no logged state.
    data : tuple of str
        The hash of the responses and labels, and the path of the dataset's file; each is empty if unknown.
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
    good_scores: dict[str, GoodScore]
    scores: FloatArray
    halves: FloatArray
    above_noise: FloatArray
    noise_floor: float
    data: tuple[str, str]

    @property
    def name(self) -> str:
        """The dataset with its source."""
        return f"{self.dataset} ({self.source})"

    def cells(self) -> list[str]:
        """Return the cells of :func:`runs_table`."""
        halves = zip(self.rounded_halves(PCS), map(self.half_capture.get, PCS), strict=True)
        return [
            self.name,
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
        """Return the score at half capture of some PCs, numbered from 1; None for a PC that X does not have.

        A PC that replicates half capture, but none of them above noise, has a dash.
        """
        dash = Rounded("-", "", self.replicates, self.replicates)
        shown = [
            dash if np.isfinite(half).any() and np.isnan(above).all() else rounded(above)
            for half, above in zip(self.halves.T, self.above_noise.T, strict=True)
        ]
        return [shown[pc - 1] if pc <= len(shown) else None for pc in pcs]

    def line(self) -> str:
        """Return the run in one line: its steps, last score, and the share of PCs never half captured."""
        return (
            f"{self.name}, {self.measure}: {self.steps} steps, "
            f"score {self.final_score:.4f} ({self.stop_reason}); "
            f"{self.never_captured:.0%} of the PCs never half captured"
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON; null stands for half captures never reached, NaN and infinity."""
        hidden = ("scores", "halves", "above_noise", "noise_floor", "data")
        shown = {name: value for name, value in vars(self).items() if name not in hidden}
        shown["final_score_error"] = standard_error(self.scores)
        shown["half_capture_error"] = {pc: standard_error(self.halves[:, pc - 1]) for pc in self.half_capture}
        shown["good_scores"] = {name: good.as_json() for name, good in self.good_scores.items()}
        plain: dict[str, Any] = as_plain(shown)
        return plain


def runs_table(summaries: Sequence[Summary]) -> Table:
    """Return a table with a row for each run; its numbers are means over replicates."""
    halves = [f"half PC {pc}" for pc in PCS]
    heads = ["dataset", "measure", "run", "status", "replicates", "steps", "final score", *halves]
    note = (
        "half PC k: the score at which the captured variance of PC k first reaches the midpoint of its start "
        "value and 1. Numbers: mean ± standard error over replicates."
    )
    floors = [summary.noise_floor for summary in summaries if not math.isnan(summary.noise_floor)]
    if floors:
        shown = " to ".join(dict.fromkeys(f"{floor:.0%}" for floor in (min(floors), max(floors))))
        note += (
            f" Noise captures units / (samples - 1) of the variance of a PC, here {shown}; -: noise half "
            "captures the PC too."
        )
    optional = ("replicates", "status", "steps", halves[-1], "never captured", "run", *halves[-2::-1])
    names = dataset_names(summaries)
    rows = [[name, *summary.cells()[1:]] for name, summary in zip(names, summaries, strict=True)]
    return Table("runs-table", "Stored runs", note, [*heads, "never captured"], rows, optional)


def dataset_names(summaries: Sequence[Summary]) -> list[str]:
    """Return the name of the dataset of each run, with its source.

    If datasets of the same name and source contain different data, the end of the path of the file is shown
    in place of the name. If a dataset has no file, or two have the same file, the first digits of the hash of
    the data are added to the name instead.
    """
    data = defaultdict(set)
    for summary in summaries:
        data[summary.name].add(summary.data)
    names = []
    for summary in summaries:
        name, alike = summary.dataset, data[summary.name]
        paths = {path for _, path in alike}
        if len(alike) > 1:
            distinct = "" not in paths and len(paths) == len(alike)
            name = distinct_ends(paths)[summary.data[1]] if distinct else f"{name} {summary.data[0][:6]}"
        names.append(f"{name} ({summary.source})")
    return names


def distinct_ends(paths: Iterable[str]) -> dict[str, str]:
    """Return the end of each path, by path, with as many parts as are needed to distinguish all paths."""
    parts = {path: Path(path).parts for path in paths}
    depth = 1
    while len({names[-depth:] for names in parts.values()}) < len(parts):
        depth += 1
    return {path: str(Path(*names[-depth:])) for path, names in parts.items()}


def good_scores_table(summaries: Sequence[Summary]) -> Table:
    """Return a table with the good score of each run and task variable, as median and range over seeds."""
    heads = ["dataset", "measure", "run", "variable", "accuracy", "good score"]
    rows = [
        [
            dataset,
            *summary.cells()[1:3],
            variable,
            Number(f"{good.level:.3f}", good.level),
            Number(good.worded(), good.score),
        ]
        for dataset, summary in zip(dataset_names(summaries), summaries, strict=True)
        for variable, good in summary.good_scores.items()
    ]
    note = f"good score: {GOOD_NOTE}. accuracy: the accuracy at the good score."
    return Table("good-table", "Good scores", note, heads, rows, ("run", "accuracy"))


def summarize(run: Run) -> Summary:
    """Return the summary of a run; an unfinished run is summarized up to its last logged state."""
    half = half_captures(run)
    means = mean_reached(half)
    scores = run.score[-1].copy() if len(run.score) else np.full(run.score.shape[1], np.nan)
    config = stored_config.parsed(str(run.attributes.get("config", ""))) or {}
    node = config.get("dataset")
    path = str(node.get("path") or "") if isinstance(node, dict) else ""
    pool = Pool((run,), run.measure) if len(run.step) else None
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
        above_noise=half if pool is None else pool.half_capture_above_noise,
        noise_floor=math.nan if pool is None else pool.noise_floor,
        data=(str(run.attributes.get("data_hash", "")), path),
    )
