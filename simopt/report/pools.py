"""Runs that differ in nothing but their seeds, put together: one curve, with a band."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from simopt.analysis.good_score import GoodScore, good_scores
from simopt.report.stored_config import parsed
from simopt.report.tables import half_captures
from simopt.store import layout
from simopt.store.reader import Run
from simopt.typing import FloatArray

MOST_LEVELS = 300
"""Beyond so many levels of score, a grid keeps one in each of so many equal parts of its range."""

_LONGEST, _MOST_ENTRIES, _NAMED = 20_000, 2000, 2
_SHORT = 16
_HASH = 6


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
    """Runs of one measure on one recording that differ in their seeds alone.

    Attributes
    ----------
    runs : tuple of Run
    label : str
        The measure, and where other pools of the dataset have the same, what tells this one from them.
    """

    runs: tuple[Run, ...]
    label: str

    @property
    def dataset(self) -> str:
        """The dataset's name with its source, as every figure shows it."""
        return self.runs[0].dataset

    @property
    def source(self) -> str:
        """Where the data are from: real or surrogate."""
        return str(self.runs[0].attributes["source"])

    @property
    def data_hash(self) -> str:
        """What tells recordings of one name apart."""
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
        found = {name: None for run in self.runs for name in run.decoding if len(run.decoding_step)}
        return [name for name in found if self.reference(name) is not None]

    @cached_property
    def places(self) -> tuple[tuple[Run, int], ...]:
        """The run and column of each replicate; one seed in several runs is one replicate."""
        found: dict[str, tuple[Run, int]] = {}
        for run in self.runs:
            for column, seed in enumerate(run.attributes["seeds"]):
                found.setdefault(str(seed), (run, column))
        return tuple(found.values())

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

    def reference(self, variable: str) -> tuple[float, float] | None:
        """Return accuracy and chance of a variable decoded from the recording; None where it was not."""
        for run in self.runs:
            facts = run.reference_decoding.get(variable)
            if facts is not None:
                return float(facts["accuracy"]), float(facts["chance"])
        return None

    def over_steps(self) -> tuple[np.ndarray, FloatArray]:
        """Return the logged steps of all replicates (T,), and the scores there (T, R), NaN where not logged.

        Between its own logged steps a score is interpolated.
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

    def good_score(
        self, variable: str, known: Mapping[int, Mapping[str, GoodScore]] | None = None
    ) -> GoodScore | None:
        """Return the good score of a variable over all replicates; None where no run defines it.

        Parameters
        ----------
        variable : str
        known : mapping, optional
            Good scores by the id() of a run and by variable; without it they come from the rows of the runs.
        """
        scores = self._good_scores if known is None else known
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
    """Put runs that differ in nothing but their seeds together, in the order in which they come.

    They share dataset, source, data, measure, and all of the stored configuration except seeds, log, device
    and force. A run whose configuration cannot be read stays alone; one without a single row is left out.
    Where a seed was run twice, the finished run counts.

    Parameters
    ----------
    runs : sequence of Run
    """
    alike: defaultdict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        if len(run.step):
            data = str(run.attributes.get("data_hash")), len(run.pc_variance)
            alike[run.dataset, run.measure, data].append(run)
    groups: defaultdict[Hashable, list[Run]] = defaultdict(list)
    for key, same in alike.items():
        for run in same:
            known = settings(run) if len(same) > 1 else None
            groups[key, id(run) if known is None else frozenset(known.items())].append(run)
    order = {id(run): at for at, run in enumerate(runs)}
    ordered = sorted(groups.values(), key=lambda group: order[id(group[0])])
    finished_first = [
        tuple(sorted(group, key=lambda run: run.status != layout.FINISHED)) for group in ordered
    ]
    return [Pool(group, label) for group, label in zip(finished_first, _labels(finished_first), strict=True)]


def by_rank(pools: Iterable[Pool]) -> dict[tuple[int, str], Pool]:
    """Return pools of one dataset by which pool of its measure each is, from 0, and by this measure."""
    counts: Counter[str] = Counter()
    ranked: dict[tuple[int, str], Pool] = {}
    for curve in pools:
        ranked[counts[curve.measure], curve.measure] = curve
        counts[curve.measure] += 1
    return ranked


def band(values: FloatArray, axis: int = 1) -> Band:
    """Return the mean over replicates and their range, without the axis of replicates."""
    known = np.ma.masked_invalid(values)
    enough = 2 * known.count(axis=axis) >= values.shape[axis]
    mean, low, high = known.mean(axis=axis), known.min(axis=axis), known.max(axis=axis)
    return Band(np.where(enough, mean.filled(np.nan), np.nan), low.filled(np.nan), high.filled(np.nan))


def along(curves: Sequence[tuple[FloatArray, FloatArray]], sign: int = 1) -> tuple[FloatArray, FloatArray]:
    """Put curves of several replicates on one grid of scores.

    At each level a curve has the state in which it first passes the level, by linear interpolation between
    logged states, as :func:`simopt.optimization.captured.first_passage` has it; NaN where it never does.

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
    records = [np.maximum.accumulate(_known(sign * score)) for score, _ in curves]
    every = np.concatenate([np.empty(0), *records])
    levels = _thinned(np.unique(every[np.isfinite(every)]))
    width = curves[0][1].shape[1] if curves else 0
    placed = np.full((len(levels), len(curves), width), np.nan)
    for r, ((score, values), record) in enumerate(zip(curves, records, strict=True)):
        first = np.searchsorted(record, levels)
        passed = np.flatnonzero((first < len(record)) & (levels >= record[:1].max(initial=-np.inf)))
        at = first[passed]
        before = np.maximum(at - 1, 0)
        low, high = _known(sign * score)[before], record[at]
        there = np.isfinite(low) & (high > low)
        fraction = np.divide(levels[passed] - low, high - low, out=np.ones(len(at)), where=there)
        placed[passed, r] = values[before] + fraction[:, None] * (values[at] - values[before])
    return sign * levels, placed


def settings(run: Run) -> Mapping[str, str] | None:
    """Return the stored configuration of a run as text by dotted key; None where it cannot be read.

    Seeds, log, device and force are left out.
    """
    text = run.attributes.get("config")
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    return _flat(text)


@lru_cache(maxsize=1024)
def _flat(text: str) -> Mapping[str, str] | None:
    content = parsed(text)
    if content is None:
        return None
    found: dict[str, str] = {}
    open_nodes: list[tuple[str, Any]] = [(str(key), value) for key, value in content.items()]
    for _ in range(_MOST_ENTRIES):  # aliases may nest without an end
        if not open_nodes:
            return MappingProxyType(found)
        key, value = open_nodes.pop()
        if isinstance(value, (dict, list)) and value:
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            open_nodes += [(f"{key}.{name}", each) for name, each in itertools.islice(inner, _MOST_ENTRIES)]
        else:
            found[key] = str(value)
    return None


def _labels(pools: Sequence[tuple[Run, ...]]) -> list[str]:
    """Return the measure of each pool, and what tells it from others of this measure on its dataset."""
    labels = [group[0].measure for group in pools]
    rivals: defaultdict[Hashable, list[int]] = defaultdict(list)
    for at, group in enumerate(pools):
        rivals[group[0].dataset, group[0].measure].append(at)
    for places in rivals.values():
        if len(places) == 1:
            continue
        known = [settings(pools[at][0]) for at in places]
        details = [""] if None in known else _differences([each or {} for each in known])
        if len({*details}) < len(places) or "" in details:
            details = [pools[at][0].run_id.rpartition("-")[2][:_HASH] for at in places]
        for at, detail in zip(places, details, strict=True):
            labels[at] += f" {detail}"
    return labels


def _differences(known: Sequence[Mapping[str, str]]) -> list[str]:
    """Name the few entries in which configurations differ, or say nothing where there are too many."""
    keys = sorted(
        {key for each in known for key in each if any(other.get(key) != each[key] for other in known)}
    )
    if not 0 < len(keys) <= _NAMED:
        return [""] * len(known)
    told = [[each.get(key, "none") for key in keys] for each in known]
    if max(len(value) for values in told for value in values) > _SHORT:
        return [""] * len(known)
    names = [key.rpartition(".")[2] for key in keys]
    return [
        ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True)) for values in told
    ]


def _known(values: FloatArray) -> FloatArray:
    """Put what is no number before all scores."""
    known: FloatArray = np.where(np.isfinite(values), values, -np.inf)
    return known


def _thinned(levels: FloatArray) -> FloatArray:
    """Keep of many sorted values the first in each of so many equal parts of their range, and the last."""
    if len(levels) <= MOST_LEVELS:
        return levels
    part = (levels - levels[0]) / (levels[-1] - levels[0]) * (MOST_LEVELS - 1)
    first = np.unique(np.floor(part), return_index=True)[1]
    return levels[np.union1d(first, len(levels) - 1)]
