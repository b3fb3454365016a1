"""Pools: runs that differ only in their seeds, drawn as one curve with a band.

Shapes are given in T logged states, R replicates (a replicate is one seed of one run), K principal components
(PCs) and G levels of score. A PC is half captured at the score at which its captured variance first reaches
the midpoint between its value at the start and 1; :func:`simopt.optimization.trajectory.half_capture`
computes that score.

Figures and tables leave out a half capture if pure noise with as many units half captures the PC as well.
This is assumed if one of two criteria holds:

- The score at half capture does not exceed the scores of the starts, which are pure noise.
- The midpoint does not exceed the 95th percentile of the captured variance of noise. With n samples and q
  units, noise of independent normal entries spans a random q-dimensional subspace of the n - 1 dimensions of
  centered data. The share of any PC's variance that such noise captures is therefore distributed as Beta(q /
  2, (n - 1 - q) / 2), with mean q / (n - 1).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from simopt.analysis.defects import noise_level
from simopt.analysis.good_score import GoodScore, good_scores
from simopt.optimization.trajectory import half_capture
from simopt.report.stored_config import differences, without_apart
from simopt.store import layout
from simopt.store.reader import Run
from simopt.typing import FloatArray

MOST_LEVELS = 300
"""The largest number of levels in a grid of scores.

If there are more levels, their range is divided into this many equal parts, and each part keeps one.
"""


@dataclass(frozen=True)
class Band:
    """The mean, the smallest (low) and the largest (high) of values over replicates.

    Attributes
    ----------
    mean, low, high : array
        NaN where no replicate has a value. :func:`band` also sets the mean to NaN where fewer than half of
        the replicates have a value.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Pool:
    """The runs of one measure on one recording that differ only in their seeds.

    Attributes
    ----------
    runs : tuple of Run
    label : str
        The name of the measure. If the dataset has several pools of the measure, the label also contains the
        options that differ.
    variant : int
        The index of this pool among those of the measure on the dataset, sorted by label; 0 for the first.
    """

    runs: tuple[Run, ...]
    label: str
    variant: int = 0

    @property
    def dataset(self) -> str:
        """The dataset's name with its source, as every figure shows it."""
        return self.runs[0].dataset

    @property
    def name(self) -> str:
        """The dataset's name without its source."""
        return str(self.runs[0].attributes["dataset"])

    @property
    def source(self) -> str:
        """The source of the data: ``real`` or ``surrogate``."""
        return str(self.runs[0].attributes["source"])

    @property
    def data_hash(self) -> str:
        """The hash of the data, which distinguishes recordings that have the same name."""
        return str(self.runs[0].attributes.get("data_hash", ""))

    @property
    def measure(self) -> str:
        """The name of the measure."""
        return self.runs[0].measure

    @property
    def pc_variance(self) -> FloatArray:
        """The explained variance ratio of each PC, (K,)."""
        return self.runs[0].pc_variance

    @property
    def variables(self) -> list[str]:
        """The task variables that were decoded along some run and also from the recording."""
        names = {name: None for run in self.runs for name in run.decoding if len(run.decoding_step)}
        return [name for name in names if self.reference(name) is not None]

    @cached_property
    def places(self) -> tuple[tuple[Run, int], ...]:
        """The run of each replicate and its index in the run; a seed of several runs counts once."""
        by_seed: dict[str, tuple[Run, int]] = {}
        for run in self.runs:
            for column, seed in enumerate(run.attributes["seeds"]):
                by_seed.setdefault(str(seed), (run, column))
        return tuple(by_seed.values())

    @property
    def replicates(self) -> int:
        """The number of replicates, R."""
        return len(self.places)

    @cached_property
    def sign(self) -> int:
        """1 if scores rise along most replicates, -1 if they fall, as distances do."""
        fell = [run.score[-1, column] < run.score[0, column] for run, column in self.places]
        return -1 if 2 * sum(fell) > len(fell) else 1

    @property
    def final_score(self) -> float:
        """The mean over replicates of the last score."""
        return float(np.mean([run.score[-1, column] for run, column in self.places]))

    @cached_property
    def shape(self) -> tuple[int, int] | None:
        """The numbers of samples and units of the last Y; None if no run stores it."""
        shapes = [run.final_shape[1:] for run in self.runs if len(run.final_shape) == 3]
        return next(((samples, units) for samples, units in shapes if samples > 1), None)

    @cached_property
    def noise_floor(self) -> float:
        """The expected captured variance of a PC by noise: units / (samples - 1), at most 1.

        If the shape of Y is unknown, it is estimated as the mean captured variance at the start, over PCs and
        replicates.
        """
        return float(self._started.mean()) if self.shape is None else noise_level(*self.shape)

    def noise_words(self) -> str:
        """Return the numbers of samples, units and seeds and the noise floor as text."""
        seeds = f"{self.replicates} seed{'s' if self.replicates > 1 else ''}"
        if self.shape is None:
            return f"{seeds}, noise floor about {self.noise_floor:.2g} (captured at the start)"
        return f"{self.shape[0]} samples, {self.shape[1]} units, {seeds}, noise floor {self.noise_floor:.2g}"

    @cached_property
    def _started(self) -> FloatArray:
        """The captured variance of each PC at the start, (R, K)."""
        return np.stack([run.captured_variance[0, column] for run, column in self.places]).astype(float)

    def reference(self, variable: str) -> tuple[float, float] | None:
        """Return accuracy and chance level of decoding a variable from the recording; None if not stored."""
        for run in self.runs:
            facts = run.reference_decoding.get(variable)
            if facts is not None:
                return float(facts["accuracy"]), float(facts["chance"])
        return None

    def over_steps(self) -> tuple[np.ndarray, FloatArray]:
        """Return the score of each replicate against step.

        Returns
        -------
        steps : array, (T,)
            The logged steps of all runs; at most :data:`MOST_LEVELS` of them.
        scores : array, (T, R)
            Interpolated linearly between the logged steps of a run; NaN after the last step of the run.
        """
        steps = _thinned(np.unique(np.concatenate([run.step for run in self.runs])).astype(float))
        scores = [
            np.interp(steps, run.step, run.score[:, column], right=np.nan) for run, column in self.places
        ]
        return steps, np.stack(scores, axis=1)

    def captured(self, pcs: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Return the captured variance of some PCs against score.

        Parameters
        ----------
        pcs : sequence of int, (k,)
            The PCs, numbered from 1.

        Returns
        -------
        levels : array, (G,)
            Levels of score.
        values : array, (G, R, k)
            The captured variance at each level, as :func:`along` computes it.
        """
        columns = [pc - 1 for pc in pcs]
        curves = [
            (run.score[:, column], run.captured_variance[:, column, columns].astype(float))
            for run, column in self.places
        ]
        return along(curves, self.sign)

    def decoding(self, variable: str) -> tuple[FloatArray, FloatArray]:
        """Return the accuracy of decoding a variable against score.

        Returns
        -------
        levels : array, (G,)
            Levels of score.
        accuracy : array, (G, R)
            The accuracy at each level, as :func:`along` computes it; NaN where the variable was not decoded.
        """
        curves = []
        for run, column in self.places:
            score: FloatArray = np.empty(0)
            accuracy: FloatArray = np.empty((0, 1))
            if variable in run.decoding:
                score, accuracy = run.decoding_score[:, column], run.decoding[variable][:, column, None]
            curves.append((score, accuracy))
        levels, values = along(curves, self.sign)
        return levels, values[..., 0]

    @cached_property
    def half_capture(self) -> FloatArray:
        """The score at half capture of each PC, (R, K); NaN where it was never reached."""
        halves = {id(run): half_captures(run) for run in self.runs}
        return np.stack([halves[id(run)][column] for run, column in self.places])

    @cached_property
    def half_capture_above_noise(self) -> FloatArray:
        """As :attr:`half_capture`, (R, K), but also NaN where noise half captures the PC as well.

        The module docstring has the criteria.
        """
        starts = self.sign * np.array([run.score[0, column] for run, column in self.places])
        by_score = self.sign * self.half_capture > starts.max()  # (R, K)
        noise = np.quantile(self._started, 0.95) if self.shape is None else _captured_by_noise(*self.shape)
        by_captured = (1 + self._started) / 2 > noise  # (R, K)
        return np.where(by_score & by_captured, self.half_capture, np.nan)

    @cached_property
    def half_capture_range(self) -> Band:
        """The mean and range over replicates of :attr:`half_capture_above_noise`, (K,), without its NaN."""
        above = self.half_capture_above_noise
        return replace(band(above, axis=0), mean=mean_reached(above))

    @property
    def no_higher_than_noise(self) -> int:
        """The number of PCs that are half captured by some replicates, but by none above noise."""
        reached, above = np.isfinite(self.half_capture), np.isfinite(self.half_capture_above_noise)
        return int((reached.any(axis=0) & ~above.any(axis=0)).sum())

    def good_score(
        self, variable: str, stored: Mapping[int, Mapping[str, GoodScore]] | None = None
    ) -> GoodScore | None:
        """Return the good score of a task variable over all replicates; None if no run defines it.

        :func:`simopt.analysis.good_score.good_score` says what a good score is.

        Parameters
        ----------
        variable : str
        stored : mapping, optional
            The good scores of each run by variable, keyed by the ``id()`` of the run. By default they are
            computed from the decoded states of the runs.
        """
        scores = self._good_scores if stored is None else stored
        of_runs = {id(run): scores.get(id(run), {}).get(variable) for run in self.runs}
        defined = next((good for good in of_runs.values() if good is not None), None)
        if defined is None:
            return None
        per_seed = [
            np.nan if (good := of_runs[id(run)]) is None else good.per_seed[column]
            for run, column in self.places
        ]
        return replace(defined, per_seed=np.array(per_seed))

    @cached_property
    def _good_scores(self) -> dict[int, dict[str, GoodScore]]:
        return {id(run): good_scores(run) for run in self.runs if len(run.decoding_step)}


def pool(runs: Sequence[Run]) -> list[Pool]:
    """Return pools of the runs that differ only in their seeds, in the order of the first run of each pool.

    The runs of a pool share dataset, source, data, measure, and the stored configuration without the entries
    in :data:`simopt.report.stored_config.APART`. A run without a configuration forms a pool of its own. A run
    without logged states is left out. If two runs have the same seed, the finished run is used.

    Parameters
    ----------
    runs : sequence of Run
    """
    groups: defaultdict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        if len(run.step):
            config = without_apart(str(run.attributes.get("config") or id(run)))
            data = str(run.attributes.get("data_hash")), len(run.pc_variance)
            groups[run.dataset, run.measure, data, config].append(run)
    pools: list[Pool] = []
    rivals: defaultdict[Hashable, list[int]] = defaultdict(list)
    for at, group in enumerate(groups.values()):
        finished_first = sorted(group, key=lambda run: run.status != layout.FINISHED)
        pools.append(Pool(tuple(finished_first), group[0].measure))
        rivals[group[0].dataset, group[0].measure].append(at)
    for places in rivals.values():
        if len(places) > 1:
            details = differences([pools[at].runs[0] for at in places])
            for variant, (detail, at) in enumerate(sorted(zip(details, places, strict=True))):
                pools[at] = replace(pools[at], label=f"{pools[at].measure} {detail}", variant=variant)
    return pools


def named(result: Any) -> str:
    """Return the name of the dataset of a result with its source, as every figure and page shows it."""
    return f"{result.dataset} ({result.source})"


def by_dataset(pools: Iterable[Pool]) -> Iterator[tuple[str, list[Pool]]]:
    """Yield each dataset, as its name with its source, and its pools; both are in alphabetical order."""
    ordered = sorted(pools, key=lambda curve: (curve.dataset, curve.measure))
    for dataset, group in itertools.groupby(ordered, key=lambda curve: curve.dataset):
        yield dataset, list(group)


def by_rank(pools: Iterable[Pool]) -> dict[tuple[int, str], Pool]:
    """Return pools of one dataset by (rank, measure); the first pool of a measure has rank 0."""
    counts: Counter[str] = Counter()
    ranked: dict[tuple[int, str], Pool] = {}
    for curve in pools:
        ranked[counts[curve.measure], curve.measure] = curve
        counts[curve.measure] += 1
    return ranked


def half_captures(run: Run) -> FloatArray:
    """Return the score at half capture of each PC, (R, K); NaN if it was never reached."""
    if run.half_capture is not None:
        return run.half_capture
    if len(run.step) == 0:
        return np.full((run.score.shape[1], len(run.pc_variance)), np.nan)
    return half_capture(run.score, run.captured_variance)


def band(values: FloatArray, axis: int = 1) -> Band:
    """Return mean and range of values over replicates.

    Parameters
    ----------
    values : array
    axis : int
        The axis of the replicates, which the result no longer has.
    """
    finite = np.ma.masked_invalid(values)
    enough = 2 * finite.count(axis=axis) >= values.shape[axis]
    mean, low, high = finite.mean(axis=axis), finite.min(axis=axis), finite.max(axis=axis)
    return Band(np.where(enough, mean.filled(np.nan), np.nan), low.filled(np.nan), high.filled(np.nan))


def along(curves: Sequence[tuple[FloatArray, FloatArray]], sign: int = 1) -> tuple[FloatArray, FloatArray]:
    """Return the values of several replicates on one common grid of scores.

    The value at a level of score is that of the state at which the replicate first passes the level. It is
    interpolated linearly between logged states as in
    :func:`simopt.optimization.trajectory.first_passage`, and NaN if the replicate never passes the level.

    Parameters
    ----------
    curves : sequence of (score, values)
        For each replicate the scores along its run, an array (T,), and k values at each, an array (T, k).
        T may differ between replicates.
    sign : int
        1 if scores rise along the runs, -1 if they fall, as distances do.

    Returns
    -------
    levels : array, (G,)
        All scores at which a replicate exceeded its best score before, in ascending order (descending for
        ``sign`` -1); at most :data:`MOST_LEVELS` of them.
    values : array, (G, R, k)
    """
    # The record of a curve is its highest score so far. It rises, so a level is found in it by bisection, at
    # the first state that is at least as high.
    records = [np.maximum.accumulate(_finite(sign * score)) for score, _ in curves]
    passed_scores = np.concatenate([np.empty(0), *records])
    levels = _thinned(np.unique(passed_scores[np.isfinite(passed_scores)]))
    width = curves[0][1].shape[1] if curves else 0
    placed = np.full((len(levels), len(curves), width), np.nan)
    for r, ((score, values), record) in enumerate(zip(curves, records, strict=True)):
        first = np.searchsorted(record, levels)
        passed = np.flatnonzero((first < len(record)) & (levels >= record[:1].max(initial=-np.inf)))
        at = first[passed]
        before = np.maximum(at - 1, 0)
        # From the score just before, not from the record before: the curve may have fallen in between.
        low, high = _finite(sign * score)[before], record[at]
        there = np.isfinite(low) & (high > low)
        fraction = np.divide(levels[passed] - low, high - low, out=np.ones(len(at)), where=there)
        placed[passed, r] = values[before] + fraction[:, None] * (values[at] - values[before])
    return sign * levels, placed


@cache
def _captured_by_noise(samples: int, units: int) -> float:
    """Return the 95th percentile of the captured variance of a PC by noise."""
    # R2 of a PC from q units of noise is Beta(q/2, (n - 1 - q)/2), and 1 where q >= n - 1. Its quantile comes
    # from draws: the inverse beta function would load scipy for each report.
    left = samples - 1 - units
    if left <= 0:
        return 1.0
    return float(np.quantile(np.random.default_rng(0).beta(units / 2, left / 2, 10_000), 0.95))


def _finite(values: FloatArray) -> FloatArray:
    """Return values in which NaN and infinity are replaced by -inf, which is below all scores."""
    finite: FloatArray = np.where(np.isfinite(values), values, -np.inf)
    return finite


def _thinned(levels: FloatArray) -> FloatArray:
    """Return the last of sorted values, and the first in each of MOST_LEVELS - 1 parts of their range."""
    if len(levels) <= MOST_LEVELS:
        return levels
    part = (levels - levels[0]) / (levels[-1] - levels[0]) * (MOST_LEVELS - 1)
    first = np.unique(np.floor(part), return_index=True)[1]
    return levels[np.union1d(first, len(levels) - 1)]


def mean_reached(halves: FloatArray) -> FloatArray:
    """Return the mean score at half capture of each PC, (K,), over the replicates that reached it.

    Parameters
    ----------
    halves : array, (R, K)
        The score at half capture; NaN where it was never reached. The mean of NaN alone is NaN.
    """
    mean: FloatArray = np.ma.masked_invalid(halves).mean(axis=0).filled(np.nan)
    return mean
