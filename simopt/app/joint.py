"""The work of ``simopt joint``: searches that are resumed, results that are found again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from simopt import catalogue, checks, measures
from simopt.app import inputs, stored
from simopt.app.build import find_own_code
from simopt.app.compose import compose_analysis
from simopt.app.guards import alone, stop_signals, tidy
from simopt.app.paths import analysis_place, make_folder
from simopt.app.provenance import provenance
from simopt.app.schema import JointConfig
from simopt.datasets import Dataset
from simopt.errors import InputError, InterruptedRunError, SimoptError
from simopt.measures import Measure, Reference
from simopt.optimization import device as devices
from simopt.ranges.boundary import LEVELS, Boundary, Options, check_measures
from simopt.ranges.pair import Implied, PairSearch, implied
from simopt.ranges.region import Region
from simopt.ranges.result import ANALYSIS, JointRange, read, write
from simopt.ranges.square import Reached, Square, SquareOfBoth, SquareOptions, edges
from simopt.ranges.third import third_range
from simopt.store import checkpoint, layout, reader
from simopt.theory import bounds
from simopt.typing import FloatArray

PAPER = ("cka", "cka_angular", "nbs", "procrustes_angular", "rsa_correlation_corr", "ridge100_cv5", "linreg")
_PROVED_AT = 101
_UNITS_OF_BOTH = 10
_WITHOUT_INFLUENCE = (
    "dir",
    "force",
    "checkpoint_seconds",
    "device",
    "dataset",
    "measures",
    "contain",
)

Observer = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What is asked: the configuration, the pairs of measures, and the overrides of the dataset."""

    config: JointConfig
    measures: dict[str, Measure]
    pairs: list[tuple[str, str]]
    data: list[str]

    @property
    def needs_data(self) -> bool:
        """Whether it is about a recording, not both sides free."""
        return self.config.mode != "both"


def request(overrides: Sequence[str], config_dir: Path | None = None) -> Request:
    """Check overrides, without looking at data.

    Raises
    ------
    InputError
        A name, a value or an option that cannot be used.
    """
    find_own_code()
    config: JointConfig = compose_analysis("joint", overrides, config_dir)
    given = config.measures
    names = list(PAPER) if given == "all_paper" else given
    if not isinstance(names, list) or len(set(map(str, names))) < 2:
        raise InputError(f"measures is {given!r}; give two or more, as measures=[cka,nbs], or all_paper.")
    names = list(dict.fromkeys(map(str, names)))
    if config.third is not None and len(names) != 2:
        raise InputError(f"third={config.third} needs two measures that are held; there are {len(names)}.")
    wanted = [*names, *([] if config.third is None else [config.third])]
    chosen = {name: measures.get(name) for name in wanted}
    check_measures(list(chosen.values()))
    data = inputs.of_dataset(overrides)
    if config.mode == "both" and data:
        raise InputError("mode=both has no dataset: X is free as well; leave dataset out.")
    asked = Request(config, chosen, list(itertools.combinations(names, 2)), data)
    _options(config)
    if config.mode != "boundary":
        _square_options(config)
        edges(config.per_side)
    for a, b in asked.pairs:
        _levels(config, chosen[a])
        _thresholds(config, chosen[b], config.thresholds_b)
    return asked


def carry_out(
    asked: Request, config_dir: Path | None = None, observe: Observer = lambda title, done, total: None
) -> tuple[list[JointRange], FloatArray | None]:
    """Find, resume or make the result of every pair; return them and the spectrum of the recording.

    Parameters
    ----------
    asked : Request
    config_dir : Path, optional
    observe : callable
        Told which pair is at work, and how many of its steps are done.

    Raises
    ------
    InputError
        Data that cannot be used.
    InterruptedRunError
        SIGINT or SIGTERM came; the same command goes on from there.
    StorageError
        A result cannot be written.
    """
    if not asked.needs_data:
        return [find_or_make(asked, None, observe, pair=pair) for pair in asked.pairs], None
    dataset = inputs.recording(asked.data, config_dir)
    found = [find_or_make(asked, dataset, observe, pair=pair) for pair in asked.pairs]
    return found, dataset.spectrum()


def place(asked: Request, dataset: Dataset | None, pair: tuple[str, str] | None = None) -> Path:
    """Return the file of the result of a pair, the first one unless told; nothing is made."""
    config = asked.config
    name, source = ("noise", "drawn") if dataset is None else (dataset.name, dataset.source)
    tree = {key: value for key, value in asdict(config).items() if key not in _WITHOUT_INFLUENCE}
    if not config.keep:
        del tree["keep"]
    tree |= {"pair": pair or asked.pairs[0], "data": None if dataset is None else dataset.data_hash()}
    return analysis_place(config.dir, name, source, ANALYSIS, tree)


def find_or_make(
    asked: Request,
    dataset: Dataset | None,
    observe: Observer = lambda title, done, total: None,
    *,
    pair: tuple[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    wait: bool = False,
) -> JointRange:
    """Find, resume or make the result of a pair, the first one unless told.

    Raises
    ------
    InputError, InterruptedRunError, StorageError
        As :func:`carry_out`, or options that do not fit the data, before anything is written; a RunBusyError
        where another process is at it, and ``wait`` is false.
    """
    config, names = asked.config, pair or asked.pairs[0]
    path = place(asked, dataset, names)
    found = None if config.force else reader.if_whole(read, path)
    if found is not None:
        tidy(path.parent)
        return _widened(asked, dataset, found)
    work = _Work(asked, names, dataset, path, observe, should_stop)
    make_folder(path.parent)
    with alone(path.parent, should_stop if wait else None):
        found = None if config.force else reader.if_whole(read, path)
        if found is not None:
            return _widened(asked, dataset, found)
        result = work.run()
        data_hash = "" if dataset is None else dataset.data_hash()
        about = {"config": yaml.safe_dump(asdict(config)), "data_hash": data_hash, **provenance()}
        write(path, result, about)
        work.checkpoint.unlink(missing_ok=True)
    return _widened(asked, dataset, result)


class _Work:
    """One process's search of one pair."""

    def __init__(
        self,
        asked: Request,
        pair: tuple[str, str],
        dataset: Dataset | None,
        path: Path,
        observe: Observer,
        should_stop: Callable[[], bool],
    ) -> None:
        self.config, self.dataset, self.path = asked.config, dataset, path
        self.a, self.b = (asked.measures[name] for name in pair)
        self.third = None if self.config.third is None else asked.measures[self.config.third]
        self.title = " and ".join(pair)
        self.observe, self.should_stop = observe, should_stop
        self.checkpoint = path.parent / layout.CHECKPOINT_FILE
        where, precision = devices.choose(self.config.device, self.config.dtype)
        reference = None
        if dataset is not None:
            reference = Reference.of(dataset.samples(), dtype=precision, device=where)
        self.search = self._search(reference)
        self.saved = time.monotonic()

    def run(self) -> JointRange:
        if self.checkpoint.exists() and not self.config.force:
            state = checkpoint.load(self.checkpoint)
            with checkpoint.restoring(self.checkpoint):
                self.search.restore(state)
        with stop_signals() as stopped:
            ended = self.search.run(lambda *_: self._pass(), lambda: stopped() or self.should_stop())
        if not ended:
            checkpoint.save(self.checkpoint, self.search.state())
            raise InterruptedRunError(
                f"{self.path.parent}: interrupted; the same command goes on from there."
            )
        return self._result()

    def _search(self, reference: Reference | None) -> Any:
        config = self.config
        if config.mode == "boundary":
            assert reference is not None
            if self.third is not None:
                return third_range(reference, [self.a, self.b], self.third, config.at, _options(config))
            levels = _levels(config, self.a)
            across = _thresholds(config, self.b, config.thresholds_b)
            return PairSearch(reference, self.a, self.b, levels, across, _options(config))
        options = _square_options(config)
        targets = edges(config.per_side)
        if reference is None:
            units = config.units or _UNITS_OF_BOTH
            return SquareOfBoth([self.a, self.b], targets, options, samples=config.samples, units=units)
        return Square(reference, [self.a, self.b], targets, options, units=config.units)

    def _pass(self) -> None:
        search = self.search
        if time.monotonic() - self.saved >= self.config.checkpoint_seconds:
            checkpoint.save(self.checkpoint, search.state())
            self.saved = time.monotonic()
        steps = (
            search.steps
            if isinstance(search, PairSearch | Boundary)
            else (search.step, search.options.max_steps)
        )
        self.observe(self.title, *steps)

    def _result(self) -> JointRange:
        from simopt.analysis.extremes import inspect

        search, dataset = self.search, self.dataset
        name, source = ("noise", "drawn") if dataset is None else (dataset.name, dataset.source)
        common: dict[str, Any] = {
            "dataset": name,
            "source": source,
            "names": (self.a.name, self.b.name),
            "mode": self.config.mode,
            "path": self.path,
        }
        if isinstance(search, Square | SquareOfBoth):
            return JointRange(**common, square=search.reached())
        assert dataset is not None
        if isinstance(search, Boundary):
            assert self.third is not None
            return JointRange(**common, third=self.third.name, third_range=search.extremes())
        Y = search.along.extreme()
        region = search.region()
        proved = _proved(region, dataset, self.config.units)
        labels = dataset.labels if self.config.decode else {}
        return JointRange(
            **common,
            region=region.within(proved),
            gain=search.along.extremes().gain,
            across=search.across_extremes(),
            proved=proved,
            extremes=inspect(Y, dataset.responses, labels),
            Y=Y.cpu().numpy() if self.config.keep else None,
            implied=_implied(self.config, search, dataset),
        )


def _implied(config: JointConfig, search: PairSearch, dataset: Dataset) -> list[Implied]:
    region = search.region()
    across = search.across_extremes()
    told = [implied(region, each, 0) for each in _thresholds(config, search.a, config.thresholds)]
    for at, threshold in enumerate(search.thresholds):
        found = [] if across is None else across.value[at].tolist()
        told.append(implied(region, threshold, 1, found=found))
    return [_with_proof(each, dataset, config.units) for each in told]


def _with_proof(told: Implied, dataset: Dataset, units: int | None) -> Implied:
    proved = _limits(told.given, told.implied, dataset, units, [told.threshold])
    if proved is None:
        return told
    limits = proved.lower[0], proved.upper[0]
    if not np.isfinite(limits).all():
        return told
    # The closer one is, the closer the other must be: beyond the threshold the far limit holds.
    ends = (float(limits[0]), 1.0) if bounds.relation(told.implied).rising else (0.0, float(limits[1]))
    return replace(told, proved=ends)


def _proved(region: Region, dataset: Dataset, units: int | None) -> FloatArray | None:
    """Return levels of a, and the proved limits of b there, (101, 3); None where nothing is known."""
    a, b = region.names
    levels = np.linspace(region.levels[0], region.levels[-1], _PROVED_AT)
    found = _limits(a, b, dataset, units, levels)
    return None if found is None else np.column_stack([levels, found.lower, found.upper])


def _limits(a: str, b: str, dataset: Dataset, units: int | None, levels: Any) -> bounds.Range | None:
    if not {a, b} <= set(bounds.measures()):
        return None
    samples, x_units = dataset.samples().shape
    spectrum = dataset.spectrum()
    return bounds.between(
        a, b, spectrum, samples=samples, units=units or x_units, x_units=x_units, levels=levels
    )


def _widened(asked: Request, dataset: Dataset | None, result: JointRange) -> JointRange:
    """Widen a region by the scores of stored runs and square searches on the same data."""
    if result.region is None or dataset is None or not asked.config.contain:
        return result
    targets = _stored_targets(asked.config.dir, dataset, *result.names)
    passed = [_tracked_pairs(asked.config.dir, dataset, *result.names), *(each.points for each in targets)]
    points: FloatArray = np.concatenate(passed)
    points = points[np.isfinite(points).all(axis=1)]
    outside = int((~result.region.contains(points)).sum()) if len(points) else 0
    region = result.region.contain(points) if outside else result.region
    square = targets[-1] if targets else None
    return replace(result, region=region, square=square, stored=points, outside=outside)


def _tracked_pairs(root: str, dataset: Dataset, a: str, b: str) -> FloatArray:
    """Return the pairs of scores, (N, 2), of stored runs of one measure that track the other."""
    folder, data = Path(root).expanduser() / dataset.name, dataset.data_hash()
    found: list[FloatArray] = [np.empty((0, 2))]
    listed = set(measures.names(aliases=True))
    for own, other, order in ((a, b, 1), (b, a, -1)):
        if own not in listed:
            continue
        for run, _ in stored.runs(folder / own, data, catalogue.read("measure", own)):
            if other in run.tracked:
                pairs = np.stack([run.score, run.tracked[other]], axis=-1).reshape(-1, 2)
                found.append(pairs[:, ::order])
    return np.concatenate(found)


def _stored_targets(root: str, dataset: Dataset, a: str, b: str) -> list[Reached]:
    """Return what stored square searches of this pair on these data reached, (a, b) in this order."""
    found = []
    for path in sorted((Path(root).expanduser() / dataset.name / ANALYSIS).glob(f"*/{ANALYSIS}.h5")):
        try:
            other = read(path)
        except SimoptError:
            continue
        if other.square is None or other.data_hash != dataset.data_hash():
            continue
        if other.names == (a, b):
            found.append(other.square)
        elif other.names == (b, a):
            found.append(other.square.turned())
    return found


def _options(config: JointConfig) -> Options:
    given = {"steps": config.steps, "rate": config.rate}
    chosen = {key: value for key, value in given.items() if value is not None}
    return Options(units=config.units, starts=config.starts, rounds=config.rounds, seed=config.seed, **chosen)  # type: ignore[arg-type]


def _square_options(config: JointConfig) -> SquareOptions:
    given = {} if config.steps is None else {"max_steps": config.steps}
    loss: Any = config.loss
    return SquareOptions(rate=config.rate, loss=loss, seed=config.seed, **given)


def _levels(config: JointConfig, a: Measure) -> list[float]:
    if config.levels is not None:
        return sorted(set(config.levels))
    if not (a.facts.larger_is_closer and a.facts.high == 1):
        raise InputError(f"levels of {a.name} are to be given, as levels=[...]: its range is not 0 to 1.")
    return sorted({*LEVELS, *_thresholds(config, a, config.thresholds)})


def _thresholds(config: JointConfig, measure: Measure, given: list[float] | None) -> list[float]:
    """Return the thresholds of a measure: those given for it, or for both where it is a score up to 1."""
    if given is None:
        given = config.thresholds if measure.facts.larger_is_closer and measure.facts.high == 1 else []
    for threshold in given:
        checks.at_least(threshold, measure.facts.low, f"threshold of {measure.name}")
    return list(given)
