"""Pools: runs that differ only in their seeds, drawn as one curve with a band.

Figures and tables leave out a half capture that pure noise of the same width has as well. That is so where

- its score is not above the scores of the starts, which are pure noise; or
- the captured variance that counts as half, the midpoint of the start's value and 1, is not above the 95th
  percentile of what noise captures. With n samples and q units, noise of independent normal entries spans a
  random q-dimensional subspace of the n - 1 dimensions of centered data. So its captured variance of any PC
  is distributed as Beta(q / 2, (n - 1 - q) / 2), with mean q / (n - 1).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simopt.analysis.defects import noise_level
from simopt.analysis.good_score import GoodScore, good_scores
from simopt.errors import SimoptError
from simopt.optimization.trajectory import half_capture
from simopt.report.stored_config import parsed, without_apart
from simopt.store import image, layout
from simopt.store.errors import UNREADABLE
from simopt.store.reader import Run
from simopt.typing import FloatArray

MOST_LEVELS = 300
"""The most levels of score on a grid. Of more, one is kept in each of so many equal parts of their range."""

# A stored configuration may hold anything, so its size and its number of entries are bounded: a long run of
# YAML aliases would otherwise take minutes and all memory.
_LONGEST, _MOST_ENTRIES = 20_000, 2000
# Labels stay short: at most two options, with values of at most 16 characters, chosen among the first 20.
_NAMED, _SHORT, _CONSIDERED = 2, 16, 20
# Their options are named before others.
_NODES = ("measure", "dataset", "init", "optimizer")


@dataclass(frozen=True)
class Band:
    """Values over replicates: their mean, and the range from the least to the largest.

    Attributes
    ----------
    mean, low, high : array
        NaN where no replicate has a value; the mean also where fewer than half have one.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Pool:
    """Runs of one measure on one recording that differ only in their seeds.

    Attributes
    ----------
    runs : tuple of Run
    label : str
        The measure. Where the dataset has several pools of it, also the options in which this one differs.
    variant : int
        Which of the pools of this measure on its dataset, from 0, in the order of their labels.
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
        """Where the data are from: real or surrogate."""
        return str(self.runs[0].attributes["source"])

    @property
    def data_hash(self) -> str:
        """The hash of the data, by which recordings of one name are told apart."""
        return str(self.runs[0].attributes.get("data_hash", ""))

    @property
    def measure(self) -> str:
        """The measure's name."""
        return self.runs[0].measure

    @property
    def pc_variance(self) -> FloatArray:
        """The explained variance ratio of each PC, (K,)."""
        return self.runs[0].pc_variance

    @property
    def variables(self) -> list[str]:
        """The task variables that were decoded along a run, and from its recording."""
        names = {name: None for run in self.runs for name in run.decoding if len(run.decoding_step)}
        return [name for name in names if self.reference(name) is not None]

    @cached_property
    def places(self) -> tuple[tuple[Run, int], ...]:
        """The run and column of each replicate; one seed in several runs is one replicate."""
        by_seed: dict[str, tuple[Run, int]] = {}
        for run in self.runs:
            for column, seed in enumerate(run.attributes["seeds"]):
                by_seed.setdefault(str(seed), (run, column))
        return tuple(by_seed.values())

    @property
    def replicates(self) -> int:
        """How many replicates there are, R."""
        return len(self.places)

    @cached_property
    def sign(self) -> int:
        """1 where scores rise along the runs, -1 where they fall, as distances do."""
        fell = [run.score[-1, column] < run.score[0, column] for run, column in self.places]
        return -1 if 2 * sum(fell) > len(fell) else 1

    @property
    def final_score(self) -> float:
        """The mean of the last scores over replicates."""
        return float(np.mean([run.score[-1, column] for run, column in self.places]))

    @cached_property
    def shape(self) -> tuple[int, int] | None:
        """The samples and units of Y, from the last Y of a run; None where no run has kept it."""
        return next(filter(None, map(_shape, self.runs)), None)

    @cached_property
    def noise_floor(self) -> float:
        """The captured variance that noise is expected to have of any PC.

        units / (samples - 1), at most 1. Where the shape of Y is not known, the mean over PCs and replicates
        of what the starts capture, which estimates it.
        """
        return float(self._started.mean()) if self.shape is None else noise_level(*self.shape)

    def noise_words(self) -> str:
        """Return the noise floor in words, with samples, units and the number of seeds."""
        seeds = f"{self.replicates} seed{'s' if self.replicates > 1 else ''}"
        if self.shape is None:
            return f"{seeds}, noise floor about {self.noise_floor:.2g} (captured at the start)"
        return f"{self.shape[0]} samples, {self.shape[1]} units, {seeds}, noise floor {self.noise_floor:.2g}"

    @cached_property
    def _started(self) -> FloatArray:
        """The captured variance at the start, (R, K)."""
        return np.stack([run.captured_variance[0, column] for run, column in self.places]).astype(float)

    def reference(self, variable: str) -> tuple[float, float] | None:
        """Return accuracy and chance of a variable decoded from the recording; None where it was not."""
        for run in self.runs:
            facts = run.reference_decoding.get(variable)
            if facts is not None:
                return float(facts["accuracy"]), float(facts["chance"])
        return None

    def over_steps(self) -> tuple[np.ndarray, FloatArray]:
        """Return the logged steps of all replicates (T,) and the scores there (T, R), NaN after a run's end.

        Between the logged steps of a run its score is interpolated.
        """
        steps = _thinned(np.unique(np.concatenate([run.step for run in self.runs])).astype(float))
        scores = [
            np.interp(steps, run.step, run.score[:, column], right=np.nan) for run, column in self.places
        ]
        return steps, np.stack(scores, axis=1)

    def captured(self, pcs: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Return levels of score (G,) and the captured variance of some PCs, from 1, there (G, R, k).

        Parameters
        ----------
        pcs : sequence of int, (k,)
        """
        columns = [pc - 1 for pc in pcs]
        curves = [
            (run.score[:, column], run.captured_variance[:, column, columns].astype(float))
            for run, column in self.places
        ]
        return along(curves, self.sign)

    def decoding(self, variable: str) -> tuple[FloatArray, FloatArray]:
        """Return levels of score (G,) and the accuracy of a variable there (G, R); NaN where not decoded."""
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
        """The score at half capture, (R, K); NaN also where noise of this width has as much."""
        starts = self.sign * np.array([run.score[0, column] for run, column in self.places])
        by_score = self.sign * self.half_capture > starts.max()  # (R, K)
        noise = self._started
        if self.shape is not None:
            samples, units = self.shape
            # R2 of a PC from q units of noise is Beta(q/2, (n - 1 - q)/2), and 1 where q >= n - 1. Its
            # quantile comes from draws: the inverse beta function would load scipy for each report.
            left = samples - 1 - units
            noise = np.random.default_rng(0).beta(units / 2, left / 2, 10_000) if left > 0 else np.ones(1)
        by_captured = (1 + self._started) / 2 > np.quantile(noise, 0.95)  # (R, K)
        return np.where(by_score & by_captured, self.half_capture, np.nan)

    @cached_property
    def half_capture_range(self) -> Band:
        """The score at half capture of each PC, (K,), above noise: of the replicates that have one."""
        above = self.half_capture_above_noise
        return replace(band(above, axis=0), mean=mean_reached(above))

    @property
    def no_higher_than_noise(self) -> int:
        """How many PCs are half captured by some replicate, but by none above noise."""
        reached, above = np.isfinite(self.half_capture), np.isfinite(self.half_capture_above_noise)
        return int((reached.any(axis=0) & ~above.any(axis=0)).sum())

    def good_score(
        self, variable: str, stored: Mapping[int, Mapping[str, GoodScore]] | None = None
    ) -> GoodScore | None:
        """Return the good score of a variable over all replicates; None where no run defines it.

        Parameters
        ----------
        variable : str
        stored : mapping, optional
            Good scores by the id() of a run and by variable; by default they come from the rows of the runs.
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
    """Put runs together that differ only in their seeds, in the order in which they come.

    They share dataset, source, data, measure, and the text of the stored configuration except for seeds, log,
    device and force. A run without a configuration has a pool to itself. A run without logged states is left
    out. Where a seed was run twice, the finished run counts.

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
    """Return a dataset's name with its source, as every figure and page shows it."""
    return f"{result.dataset} ({result.source})"


def by_dataset(pools: Iterable[Pool]) -> Iterator[tuple[str, list[Pool]]]:
    """Yield the name of each dataset, with its source, and its pools, both in alphabetical order."""
    ordered = sorted(pools, key=lambda curve: (curve.dataset, curve.measure))
    for dataset, group in itertools.groupby(ordered, key=lambda curve: curve.dataset):
        yield dataset, list(group)


def by_rank(pools: Iterable[Pool]) -> dict[tuple[int, str], Pool]:
    """Return pools of one dataset by their rank among those of their measure, from 0, and by measure."""
    counts: Counter[str] = Counter()
    ranked: dict[tuple[int, str], Pool] = {}
    for curve in pools:
        ranked[counts[curve.measure], curve.measure] = curve
        counts[curve.measure] += 1
    return ranked


def half_captures(run: Run) -> FloatArray:
    """Return the score at half capture of each PC, (R, K); of an unfinished run up to its last state."""
    if run.half_capture is not None:
        return run.half_capture
    if len(run.step) == 0:
        return np.full((run.score.shape[1], len(run.pc_variance)), np.nan)
    return half_capture(run.score, run.captured_variance)


def band(values: FloatArray, axis: int = 1) -> Band:
    """Return the mean over replicates and their range, without the axis of replicates."""
    finite = np.ma.masked_invalid(values)
    enough = 2 * finite.count(axis=axis) >= values.shape[axis]
    mean, low, high = finite.mean(axis=axis), finite.min(axis=axis), finite.max(axis=axis)
    return Band(np.where(enough, mean.filled(np.nan), np.nan), low.filled(np.nan), high.filled(np.nan))


def along(curves: Sequence[tuple[FloatArray, FloatArray]], sign: int = 1) -> tuple[FloatArray, FloatArray]:
    """Put curves of several replicates on one grid of scores.

    At each level a curve has the state at which it first passes the level, interpolated linearly between
    logged states as in :func:`simopt.optimization.trajectory.first_passage`; NaN where it never does.

    Parameters
    ----------
    curves : sequence of (score, values), arrays (T,) and (T, k)
        T may differ.
    sign : int
        -1 for a distance, which falls.

    Returns
    -------
    levels : array, (G,)
        All scores that no earlier one of their curve surpasses, in the order in which they are passed.
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


def settings(run: Run) -> Mapping[str, str] | None:
    """Return the stored configuration of a run as text by dotted key; None where it cannot be read.

    Seeds, log, device and force are left out.
    """
    text = run.attributes.get("config")
    content = parsed(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if content is None:
        return None
    flat: dict[str, str] = {}
    open_nodes: list[tuple[str, Any]] = [(str(key), value) for key, value in content.items()]
    for _ in range(_MOST_ENTRIES):  # aliases may nest without an end
        if not open_nodes:
            return flat
        key, value = open_nodes.pop()
        if isinstance(value, (dict, list)) and value:
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            open_nodes += [(f"{key}.{name}", item) for name, item in itertools.islice(inner, _MOST_ENTRIES)]
        else:
            flat[key] = "null" if value is None else str(value)
    return None


def differences(runs: Sequence[Run], node: str = "") -> list[str]:
    """Return in words what tells runs apart: ``lr=0.1``, or ``no. 1`` where no options do.

    The options are those that differ: all of them if they are few, otherwise the fewest that tell all runs
    apart, followed by dots. Numbers are in the order of the runs' paths.

    Parameters
    ----------
    runs : sequence of Run
    node : str
        Only options below it count, for instance ``dataset.``.
    """
    read = [settings(run) for run in runs]
    configs = [config for config in read if config is not None and None not in read]
    keys = {key for config in configs for key in config if key.startswith(node)}
    values = {key: [config.get(key, "none") for config in configs] for key in keys}
    differing = [key for key in keys if len({*values[key]}) > 1]
    differing.sort(key=lambda key: (key.partition(".")[0] not in _NODES, key))
    short = [key for key in differing if max(map(len, values[key])) <= _SHORT][:_CONSIDERED]
    counts = range(len(short), 0, -1) if len(differing) <= _NAMED else range(1, _NAMED + 1)
    for chosen in itertools.chain.from_iterable(itertools.combinations(short, count) for count in counts):
        rows = list(zip(*(values[key] for key in chosen), strict=True))
        if len({*rows}) == len(runs):
            names = [key.partition(".")[2] or key for key in chosen]
            more = ["..."] if len(chosen) < len(differing) else []
            return [", ".join([*map("{}={}".format, names, row), *more]) for row in rows]
    order = sorted(range(len(runs)), key=lambda at: str(runs[at].path))
    return [f"no. {order.index(at) + 1}" for at in range(len(runs))]


def _shape(run: Run) -> tuple[int, int] | None:
    """Return the samples and units of the last Y of a run; None where no last Y is stored."""
    path = layout.FINAL_Y.path
    try:
        if run.content is not None:
            _, samples, units = run.content.arrays[path].data.shape
        else:
            # Only the shape is read: Y itself may be larger than all else in the file.
            with image.opened(run.path) as file:  # type: ignore[arg-type]
                _, samples, units = file[path].shape
    except (*UNREADABLE, SimoptError):
        return None
    return (samples, units) if samples > 1 else None


def _finite(values: FloatArray) -> FloatArray:
    """Return values with -inf, which is below all scores, for what is not finite."""
    finite: FloatArray = np.where(np.isfinite(values), values, -np.inf)
    return finite


def _thinned(levels: FloatArray) -> FloatArray:
    """Return the first of sorted values in each of MOST_LEVELS equal parts of their range, and the last."""
    if len(levels) <= MOST_LEVELS:
        return levels
    part = (levels - levels[0]) / (levels[-1] - levels[0]) * (MOST_LEVELS - 1)
    first = np.unique(np.floor(part), return_index=True)[1]
    return levels[np.union1d(first, len(levels) - 1)]


def mean_reached(halves: FloatArray) -> FloatArray:
    """Return the mean of half captures, (R, K), over the replicates that have one, (K,); NaN if none has."""
    mean: FloatArray = np.ma.masked_invalid(halves).mean(axis=0).filled(np.nan)
    return mean
