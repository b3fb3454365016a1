"""Which scores of two measures can occur together."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import checks, measures
from simopt.analysis.extremes import inspect
from simopt.errors import InputError, InterruptedRunError
from simopt.measures import Measure, Reference
from simopt.optimization import device as devices
from simopt.ranges.boundary import LEVELS, Options, check_measures
from simopt.ranges.pair import Implied, PairSearch, implied
from simopt.ranges.region import Region
from simopt.ranges.result import ANALYSIS, JointRange, content, read
from simopt.ranges.square import Reached, Square, SquareOptions, edges
from simopt.store import analysis, layout, reader, shelf
from simopt.store.errors import resuming_errors
from simopt.store.image import Stored
from simopt.store.state import checkpoint, resumed
from simopt.theory import bounds
from simopt.typing import FloatArray
from simopt.workflows.data import Data
from simopt.workflows.request import (
    OnProgress,
    Request,
    as_listed,
    measure_nodes,
    name_of,
    never,
    no_influence,
    quiet,
    stored_alike,
)
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest, stored_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.typing import ArrayLike

PAPER = ("cka", "cka_angular", "nbs", "procrustes_angular", "rsa_correlation_corr", "ridge100_cv5", "linreg")
"""The measures of the paper, arXiv 2407.07059."""
MODES = ("boundary", "square")
_PROVED_AT = 101


@dataclass(frozen=True, kw_only=True)
class JointRequest(Request[JointRange]):
    """The joint range of two measures; ``configs/joint.yaml`` explains the keys."""

    kind: ClassVar[str] = ANALYSIS

    measures: Sequence[Any] = ("cka", "procrustes_angular")
    mode: str = "boundary"
    levels: Sequence[float] | None = None
    thresholds: Sequence[float] = (0.9,)
    thresholds_b: Sequence[float] | None = None
    units: int | None = None
    starts: int = 4
    rounds: int = 3
    steps: int | None = None
    per_side: int = 6
    loss: str = "published"
    rate: float | None = None
    seed: int = 0
    contain: bool = no_influence(True)
    decode: bool = False
    keep: bool = False
    device: str = no_influence("auto")
    dtype: str = "float32"
    checkpoint_seconds: float = no_influence(30.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("measures", measure_nodes(self.measures))
        if len(self.names) != 2:
            raise InputError(
                f"a joint range is of two measures; {', '.join(self.names) or 'none'} are given."
            )
        checks.one_of(self.mode, MODES, "mode of joint")
        checks.at_least(self.checkpoint_seconds, 0, "checkpoint_seconds")
        for key in ("levels", "thresholds", "thresholds_b"):
            values = getattr(self, key)
            self._set(key, None if values is None else checks.numbers(values, key))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the two measures."""
        return tuple(name_of(node) for node in self.measures)

    def revises(self) -> list[str]:
        """Return the dotted names of what computes the range."""
        return ["simopt.ranges", *(str(node["_target_"]) for node in self.measures)]

    def read(self, path: Path) -> JointRange:
        """Return the stored range of a file."""
        return read(path)

    def unfinished(self, path: Path) -> Stored | None:
        """Return the last checkpoint of a search that is not finished."""
        return analysis.unfinished(path, ANALYSIS)

    def built(self) -> tuple[Measure, Measure]:
        """Return the two measures.

        Raises
        ------
        InputError
            An option out of its range, or a measure without a gradient.
        """
        a, b = (
            replace(measures.build(node), name=name)
            for node, name in zip(self.measures, self.names, strict=True)
        )
        check_measures([a, b])
        return a, b

    def check(self) -> None:
        """Build all that needs no data, and refuse what cannot be used.

        Raises
        ------
        InputError
            An option out of its range, or a measure without a gradient.
        """
        a, b = self.built()
        self.options()
        if self.mode == "square":
            self.square_options()
            edges(self.per_side)
        self.levels_of(a)
        self.thresholds_of(b, self.thresholds_b)
        super().check()

    def options(self) -> Options:
        """Return how the boundary is looked for."""
        chosen = _chosen(steps=self.steps, rate=self.rate)
        return Options(units=self.units, starts=self.starts, rounds=self.rounds, seed=self.seed, **chosen)

    def square_options(self) -> SquareOptions:
        """Return how targets are pursued."""
        chosen = _chosen(loss=self.loss, max_steps=self.steps, rate=self.rate)
        return SquareOptions(seed=self.seed, **chosen)

    def levels_of(self, a: Measure) -> list[float]:
        """Return the levels of the first measure.

        Raises
        ------
        InputError
            None are given, and its range is not 0 to 1.
        """
        if self.levels is not None:
            return sorted(set(self.levels))
        if not (a.facts.larger_is_closer and a.facts.high == 1):
            raise InputError(f"levels of {a.name} are to be given, as levels=[...]: its range is not 0 to 1.")
        return sorted({*LEVELS, *self.thresholds_of(a, self.thresholds)})

    def thresholds_of(self, measure: Measure, given: Sequence[float] | None) -> list[float]:
        """Return the thresholds of a measure: its own, or those of both where it is a score up to 1.

        Raises
        ------
        InputError
            One below the range of the measure.
        """
        if given is None:
            given = self.thresholds if measure.facts.larger_is_closer and measure.facts.high == 1 else ()
        for threshold in given:
            checks.at_least(threshold, measure.facts.low, f"threshold of {measure.name}")
        return list(given)


def _chosen(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


@dataclass(frozen=True)
class JointResult(Result, JointRange):
    """The joint range of two measures."""

    kind: ClassVar[str] = ANALYSIS

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each level of the first measure, or for each target."""
        a, b = self.names
        if self.region is not None:
            columns = zip(self.region.levels, self.region.b_min, self.region.b_max, strict=True)
            return [
                {a: float(at), f"least {b}": float(low), f"largest {b}": float(high)}
                for at, low, high in columns
            ]
        if self.square is None:
            return []
        pairs = zip(self.square.targets, self.square.end, strict=True)
        return [
            {f"target {a}": float(t[0]), f"target {b}": float(t[1]), a: float(e[0]), b: float(e[1])}
            for t, e in pairs
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the region, or the targets, and return the axes."""
        from simopt.report.joint import draw_joint

        return draw_joint(self, ax)

    @classmethod
    def load(cls, path: Path) -> JointResult:
        """Return the joint range of a file."""
        return cls.of(read(path))

    def content(self) -> Stored:
        """Return what the file holds."""
        return content(self)


def carry_out(
    request: JointRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: Callable[[], bool] = never,
    wait: bool = False,
) -> JointResult:
    """Find, resume or make the joint range of two measures.

    Parameters
    ----------
    request : JointRequest
    observe : callable
        Told which pair is at work, and how many of its steps are done.
    should_stop : callable
        Asked before each step; True interrupts the search, which can be resumed.
    wait : bool
        Wait for another process that is at work on the same range, in place of refusing.

    Raises
    ------
    InputError
        Data or options that cannot be used.
    InterruptedRunError
        It was told to stop; the same request resumes it.
    StorageError
        A result cannot be written; a RunBusyError where another process is at it, and ``wait`` is false.
    """

    def make() -> Callable[[Stored | None], JointRange]:
        return _Search(request, observe, should_stop).run

    found, how = shelf.find_or_make(request, make, wait=should_stop if wait else None)
    return _widened(request, replace(JointResult.of(found.renamed(request.names)), how=how))


class _Search:
    """One process's search of one pair."""

    def __init__(self, request: JointRequest, observe: OnProgress, should_stop: Callable[[], bool]) -> None:
        request.check()
        self.request, self.dataset = request, request.dataset.dataset
        self.a, self.b = request.built()
        self.title = " and ".join(request.names)
        self.observe, self.should_stop = observe, should_stop
        where, precision = devices.choose(request.device, request.dtype)
        reference = Reference.of(self.dataset.samples(), dtype=precision, device=where)
        self.search = self._search(reference)
        self.saved = time.monotonic()

    def _search(self, reference: Reference) -> PairSearch | Square:
        request = self.request
        if request.mode == "square":
            targets = edges(request.per_side)
            options = request.square_options()
            return Square(reference, self.a, self.b, targets, options, units=request.units)
        levels = request.levels_of(self.a)
        across = request.thresholds_of(self.b, request.thresholds_b)
        return PairSearch(reference, self.a, self.b, levels, across, request.options())

    def run(self, before: Stored | None) -> JointRange:
        """Carry out the search from its start, or from the checkpoint that a file holds."""
        if before is not None:
            with resuming_errors(self.request.path):
                self.search.restore(resumed(before))
        if not self.search.run(lambda *_: self._pass(), self.should_stop):
            self._checkpoint(layout.INTERRUPTED)
            place = self.title if self.request.path is None else self.request.path.parent
            raise InterruptedRunError(f"{place}: interrupted; the same command resumes it.")
        result = self._result()
        self.request.write(content(result))
        return result

    def _checkpoint(self, status: str) -> None:
        arrays, groups = checkpoint(self.search.state())
        self.request.write(Stored({}, arrays, groups), status)
        self.saved = time.monotonic()

    def _pass(self) -> None:
        if time.monotonic() - self.saved >= self.request.checkpoint_seconds:
            self._checkpoint(layout.RUNNING)
        search = self.search
        steps = search.steps if isinstance(search, PairSearch) else (search.step, search.options.max_steps)
        self.observe(self.title, *steps)

    def _result(self) -> JointRange:
        search, dataset = self.search, self.dataset
        common: dict[str, Any] = {
            "dataset": dataset.name,
            "source": dataset.source,
            "names": (self.a.name, self.b.name),
            "mode": self.request.mode,
            "path": self.request.path,
            "data_hash": dataset.data_hash(),
        }
        if isinstance(search, Square):
            return JointRange(**common, square=search.reached())
        Y = search.along.extreme()
        region = search.region()
        proved = _proved(self.request, region)
        return JointRange(
            **common,
            region=region.within(proved),
            gain=search.along.extremes().gain,
            across=search.across_extremes(),
            proved=proved,
            extremes=inspect(Y, dataset.responses, dataset.labels if self.request.decode else {}),
            Y=Y.cpu().numpy() if self.request.keep else None,
            implied=_implied(self.request, search, region),
        )


def _implied(request: JointRequest, search: PairSearch, region: Region) -> list[Implied]:
    across = search.across_extremes()
    told = [implied(region, each, 0) for each in request.thresholds_of(search.a, request.thresholds)]
    for at, threshold in enumerate(search.thresholds):
        found = [] if across is None else across.value[at].tolist()
        told.append(implied(region, threshold, 1, found=found))
    return [_with_proof(request, each) for each in told]


def _with_proof(request: JointRequest, told: Implied) -> Implied:
    proved = _limits(request, told.given, told.implied, [told.threshold])
    if proved is None:
        return told
    limits = proved.lower[0], proved.upper[0]
    if not np.isfinite(limits).all():
        return told
    # The closer one is, the closer the other must be: beyond the threshold the far limit holds.
    ends = (float(limits[0]), 1.0) if bounds.relation(told.implied).rising else (0.0, float(limits[1]))
    return replace(told, proved=ends)


def _proved(request: JointRequest, region: Region) -> FloatArray | None:
    """Return levels of a, and the proved limits of b there, (101, 3); None where nothing is known."""
    levels = np.linspace(region.levels[0], region.levels[-1], _PROVED_AT)
    found = _limits(request, *region.names, levels)
    return None if found is None else np.column_stack([levels, found.lower, found.upper])


def _limits(request: JointRequest, a: str, b: str, levels: Any) -> bounds.Range | None:
    """Return what is proved of b at levels of a; None of measures with options of their own, or others."""
    if not ({a, b} <= set(bounds.measures()) and all(map(as_listed, request.measures))):
        return None
    dataset = request.dataset.dataset
    samples, x_units = dataset.samples().shape
    sizes = {"samples": samples, "units": request.units or x_units, "x_units": x_units}
    return bounds.between(a, b, dataset.spectrum(), levels=levels, **sizes)


def _widened(request: JointRequest, result: JointResult) -> JointResult:
    """Widen a region by the scores of stored runs and square searches on the same data."""
    if result.region is None or not request.contain or request.path is None:
        return result
    targets = list(_stored_targets(request, result))
    passed = [_tracked_pairs(request), *(each.points for each in targets)]
    points: FloatArray = np.concatenate(passed)
    points = points[np.isfinite(points).all(axis=1)]
    outside = int((~result.region.contains(points)).sum()) if len(points) else 0
    region = result.region.contain(points) if outside else result.region
    square = targets[-1] if targets else None
    return replace(result, region=region, square=square, stored=points, outside=outside)


def _tracked_pairs(request: JointRequest) -> FloatArray:
    """Return the pairs of scores, (N, 2), of stored runs of one measure that track the other."""
    found: list[FloatArray] = [np.empty((0, 2))]
    (node_a, node_b), (a, b) = request.measures, request.names
    for node, other, order in ((node_a, b, 1), (node_b, a, -1)):
        for path in stored_runs(RunRequest(measure=node, dataset=request.dataset, log=request.log.dir)):
            run = shelf.if_whole(reader.finished, path)
            if run is not None and other in run.tracked:
                pairs = np.stack([run.score, run.tracked[other]], axis=-1).reshape(-1, 2)
                found.append(pairs[:, ::order])
    return np.concatenate(found)


def stored_ranges(request: JointRequest) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the files of finished ranges of the same two measures on the same data, and their attributes."""
    return stored_alike(request, _subject)


def _subject(identity: Mapping[str, Any]) -> list[Any]:
    revision = identity.get("revisions", {}).get("simopt.ranges")
    pair = sorted(json.dumps(node, sort_keys=True) for node in identity.get("measures", []))
    return [identity.get("dataset"), pair, revision]


def _stored_targets(request: JointRequest, result: JointRange) -> Iterator[Reached]:
    """Give what stored square searches of this pair on these data reached, (a, b) in this order."""
    for path, about in stored_ranges(request):
        other = shelf.if_whole(read, path) if about.get("mode") == "square" else None
        if other is not None and other.square is not None:
            # Names may be aliases: what was stored says which measure came first.
            first = shelf.parsed(about.get("identity")).get("measures")
            yield other.square if first == request.identity["measures"] else other.square.turned()


def joint(
    X: ArrayLike | Data,
    measures: Sequence[str | Measure] = ("cka", "procrustes_angular"),
    *,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> JointResult:
    """Map the pairs of scores of two measures that one Y can have: ``simopt joint``.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording.
    measures : pair of str or Measure
    store : path or None
        A folder: a range that is stored there is found, an unfinished search resumed. None: nothing is
        written.
    force : bool
        Search anew.
    **options
        The keys of ``simopt joint``: mode, levels, thresholds, thresholds_b, units, starts, rounds, steps,
        per_side, loss, rate, seed, contain, decode, keep, device, dtype. :class:`JointRequest` has them.

    Returns
    -------
    JointResult

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((30, 4)) * [4, 3, 2, 1]
    >>> result = simopt.joint(X, ("cka", "nbs"), levels=[0.3, 0.6, 0.9], starts=2, rounds=1, steps=10)
    >>> 0 < result.region.area < 1
    True
    """
    known = {each.name for each in fields(JointRequest)} - {"dataset", "measures", "log", "force"}
    for key in options:
        checks.one_of(key, known, "option of joint")
    return carry_out(JointRequest(dataset=X, measures=measures, log=store, force=force, **options))
