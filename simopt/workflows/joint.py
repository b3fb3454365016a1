"""Which scores of two measures one Y can have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simopt import checks, measures
from simopt.analysis.decoding import standard_plans
from simopt.analysis.extremes import inspect
from simopt.errors import InputError, InterruptedRunError, LabelWarning, warn
from simopt.measures import Measure, Reference
from simopt.optimization import device as devices
from simopt.ranges.boundary import LEVELS, Options, check_measures
from simopt.ranges.pair import Implied, PairSearch, implied
from simopt.ranges.region import Region
from simopt.ranges.result import ANALYSIS, JointRange, content, read
from simopt.ranges.square import Reached, Square, SquareOptions, edges
from simopt.rows import Order
from simopt.store import layout, shelf
from simopt.store.errors import resuming_errors
from simopt.store.image import Stored
from simopt.store.state import checkpoint, resumed
from simopt.theory import bounds
from simopt.typing import FloatArray
from simopt.workflows.data import DataLike, structured, told_rows
from simopt.workflows.request import (
    OnProgress,
    Request,
    ShouldStop,
    as_listed,
    measure_nodes,
    name_of,
    never,
    no_influence,
    quiet,
    stored_alike,
)
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.run_request import runs_of

PAPER = ("cka", "cka_angular", "nbs", "procrustes_angular", "rsa_correlation_corr", "ridge100_cv5", "linreg")
"""The measures of the paper, arXiv:2407.07059."""
MODES = ("boundary", "square")
_PROVED_LEVELS = 101
"""Levels of the first measure at which proved limits are computed for figures."""


@dataclass(frozen=True, kw_only=True)
class JointRequest(Request[JointRange]):
    """The request of the joint range of two measures: the pairs of scores that one Y can have.

    The attributes are the keys of ``simopt joint``, which ``configs/joint.yaml`` explains.
    """

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
                f"measures is {', '.join(self.names) or 'empty'}; give two measures, for instance cka,nbs."
            )
        checks.one_of(self.mode, MODES, "mode of joint")
        checks.at_least(self.checkpoint_seconds, 0, "checkpoint_seconds")
        checks.device(self.device)
        for key in ("contain", "decode", "keep"):
            checks.flag(getattr(self, key), key)
        for key in ("levels", "thresholds", "thresholds_b"):
            values = getattr(self, key)
            self._set(key, None if values is None else checks.numbers(values, key))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the two measures."""
        return tuple(name_of(node) for node in self.measures)

    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes the range."""
        return ["simopt.ranges", *(str(node["_target_"]) for node in self.measures)]

    def read(self, path: Path) -> JointRange:
        """Return the joint range that a file stores."""
        return read(path)

    def built(self) -> tuple[Measure, Measure]:
        """Return the two measures by their names in the request.

        Raises
        ------
        InputError
            An option is out of its range, or a measure has no gradient.
        """
        a, b = (replace(measures.build(node), name=name_of(node)) for node in self.measures)
        check_measures([a, b])
        return a, b

    def check(self) -> None:
        """Check all options by building everything that needs no data.

        Raises
        ------
        InputError
            An option is out of its range, or a measure has no gradient.
        """
        self.search()
        super().check()

    def search(self) -> Callable[[Reference], PairSearch | Square]:
        """Return a function that takes the decomposed recording and returns a new search.

        Raises
        ------
        InputError
            An option is out of its range, or a measure has no gradient.
        """
        a, b = self.built()
        options = self.options()
        optional = _not_none(loss=self.loss, max_steps=self.steps, rate=self.rate)
        targets, squared = edges(self.per_side), SquareOptions(seed=self.seed, **optional)
        checks.flag(self.decode, "decode")
        levels, across = self.levels_of(a), self.thresholds_of(b, self.thresholds_b)
        if self.mode == "boundary":
            return partial(PairSearch, a=a, b=b, levels=levels, thresholds=across, options=options)
        return partial(Square, a=a, b=b, targets=targets, options=squared, units=self.units)

    def options(self) -> Options:
        """Return the options of the search for the boundary of the joint range."""
        optional = _not_none(steps=self.steps, rate=self.rate)
        return Options(units=self.units, starts=self.starts, rounds=self.rounds, seed=self.seed, **optional)

    def levels_of(self, a: Measure) -> list[float]:
        """Return the scores at which the first measure is held, in ascending order.

        Raises
        ------
        InputError
            ``levels`` is None, but the measure does not range from 0 to 1 with 1 as its best score, and so
            has no default levels.
        """
        if self.levels is not None:
            return sorted(set(self.levels))
        if not (a.facts.larger_is_closer and a.facts.high == 1):
            raise InputError(f"{a.name} does not range from 0 to 1; give levels=[...], a list of its scores.")
        return sorted({*LEVELS, *self.thresholds_of(a, self.thresholds)})

    def thresholds_of(self, measure: Measure, thresholds: Sequence[float] | None) -> list[float]:
        """Return the thresholds of a measure. If None and 1 is its best score, use the first measure's.

        Raises
        ------
        InputError
            A threshold is below every score of the measure.
        """
        if thresholds is None:
            thresholds = self.thresholds if measure.facts.larger_is_closer and measure.facts.high == 1 else ()
        for threshold in thresholds:
            checks.at_least(threshold, measure.facts.low, f"threshold of {measure.name}")
        return list(thresholds)


def _not_none(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


@dataclass(frozen=True, repr=False)
class JointResult(Result, JointRange):
    """The result of a search: the pairs of scores that one Y can have with two measures."""

    kind: ClassVar[str] = ANALYSIS

    @property
    def title(self) -> str:
        """The names of the measures and of the recording, in one line."""
        return f"joint range of {' and '.join(self.names)} on {self.dataset} ({self.source})"

    def main_numbers(self) -> list[str]:
        """Return area, verdict and implications of the region; in mode ``square``, the reached scores."""
        if self.region is None:
            return super().main_numbers()
        verdict = f", {self.verdict}" if self.verdict else ""
        return [f"area {self.region.area:.4f}{verdict}", *filter(None, [self.sentence()])]

    def table(self) -> Rows:
        """Return a row for each level of the first measure; in mode ``square``, for each pair of targets."""
        a, b = self.names
        if self.region is not None:
            keys: tuple[str, ...] = (a, f"least {b}", f"largest {b}")
            columns = [self.region.levels, self.region.b_min, self.region.b_max]
        elif self.square is not None:
            keys = (f"target {a}", f"target {b}", a, b)
            columns = [*self.square.targets.T, *self.square.end.T]
        else:
            return []
        return [dict(zip(keys, row, strict=True)) for row in np.column_stack(columns).tolist()]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the region, or in mode ``square`` the target and reached scores, and return the axes."""
        from simopt.report.joint import draw_joint

        return draw_joint(self, ax)

    @classmethod
    def load(cls, path: Path) -> JointResult:
        """Return the joint range that a file stores."""
        return cls.of(read(path))

    def content(self) -> Stored:
        """Return the content of the file of the joint range."""
        return content(self)


def carry_out(
    request: JointRequest, observe: OnProgress = quiet, *, should_stop: ShouldStop = never, wait: bool = False
) -> JointResult:
    """Return the stored joint range of a request; otherwise resume an unfinished search or start a new one.

    Parameters
    ----------
    request : JointRequest
    observe : callable
        Called with the names of the measures, the number of steps done, and the number of all steps.
    should_stop : callable
        Called before each step; True interrupts the search, which can be resumed.
    wait : bool
        Whether to wait while another process works on the same range, instead of raising.

    Raises
    ------
    InputError
        The data do not fit, or an option is out of its range.
    InterruptedRunError
        ``should_stop`` returned True; the same request resumes the search.
    StorageError
        The result cannot be written.
    RunBusyError
        Another process is working on the same range, and ``wait`` is False.
    """

    def make() -> Callable[[Stored | None], JointRange]:
        return _Search(request, observe, should_stop).run

    stored, how = shelf.find_or_make(request, make, wait=should_stop if wait else None)
    # It may have been stored under other names of the same two measures.
    return _widened(request, replace(JointResult.of(stored.renamed(request.names)), how=how))


class _Search:
    """The search for the joint range of one pair of measures."""

    def __init__(self, request: JointRequest, observe: OnProgress, should_stop: ShouldStop) -> None:
        search_of = request.search()
        self.request, self.dataset = request, request.dataset.dataset
        self.plans, reasons = standard_plans(self.dataset) if request.decode else ({}, {})
        for label, reason in reasons.items():
            warn(f"label {label} is not decoded: {reason}.", LabelWarning)
        self.title = " and ".join(request.names)
        self.observe, self.should_stop = observe, should_stop
        device, precision = devices.choose(request.device, request.dtype)
        X, rows = self.dataset.samples(), told_rows(self.dataset)
        self.search = search_of(Reference.of(X, dtype=precision, device=device, rows=rows))
        self.saved = time.monotonic()

    def run(self, before: Stored | None) -> JointRange:
        """Carry out the search from its start, or from the last checkpoint ``before``."""
        if before is not None:
            with resuming_errors(self.request.path):
                self.search.restore(resumed(before))
        if not self.search.run(lambda *_: self._after_step(), self.should_stop):
            self._checkpoint(layout.INTERRUPTED)
            where = self.title if self.request.path is None else self.request.path.parent
            raise InterruptedRunError(f"{where}: search interrupted; rerun the same command to resume it.")
        result = self._result()
        self.request.write(content(result))
        return result

    def _checkpoint(self, status: str) -> None:
        arrays, groups = checkpoint(self.search.state())
        self.request.write(Stored({}, arrays, groups), status)
        self.saved = time.monotonic()

    def _after_step(self) -> None:
        if time.monotonic() - self.saved >= self.request.checkpoint_seconds:
            self._checkpoint(layout.RUNNING)
        search = self.search
        if isinstance(search, PairSearch):
            self.observe(self.title, *search.steps)
        else:
            # A search of targets scores its start and then every step.
            self.observe(self.title, search.step, search.options.max_steps + 1)

    def _result(self) -> JointRange:
        search, dataset = self.search, self.dataset
        common: dict[str, Any] = {
            "dataset": dataset.name,
            "source": dataset.source,
            "names": self.request.names,
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
            extremes=inspect(Y, dataset.responses, self.plans),
            Y=Y.cpu().numpy() if self.request.keep else None,
            implied=_implied(self.request, search, region),
        )


def _implied(request: JointRequest, search: PairSearch, region: Region) -> list[Implied]:
    """Return which scores of one measure a threshold of the other implies, with what is proved."""
    across = search.across_extremes()
    ranges = [implied(region, level, 0) for level in request.thresholds_of(search.a, request.thresholds)]
    for i, threshold in enumerate(search.thresholds):
        scores_of_a = [] if across is None else across.value[i].tolist()
        ranges.append(implied(region, threshold, 1, found=scores_of_a))
    return [_with_proof(request, searched) for searched in ranges]


def _with_proof(request: JointRequest, searched: Implied) -> Implied:
    proved = _limits(request, searched.given, searched.implied, [searched.threshold])
    if proved is None:
        return searched
    lower, upper = float(proved.lower[0]), float(proved.upper[0])
    if not np.isfinite((lower, upper)).all():
        return searched
    # The limits are those at the threshold; the condition is "at the threshold or closer". The worst score
    # that is possible gets closer with the given score, so that its limit at the threshold holds beyond it
    # too. The best score that is possible ends at Y = X: 1, or 0 for distances.
    ends = (lower, 1.0) if bounds.relation(searched.implied).rising else (0.0, upper)
    return replace(searched, proved=ends)


def _proved(request: JointRequest, region: Region) -> FloatArray | None:
    """Return levels of a and the proved limits of b there, (101, 3); None if nothing is proved."""
    levels = np.linspace(region.levels[0], region.levels[-1], _PROVED_LEVELS)
    limits = _limits(request, *region.names, levels)
    return None if limits is None else np.column_stack([levels, limits.lower, limits.upper])


def _limits(request: JointRequest, a: str, b: str, levels: Any) -> bounds.Range | None:
    """Return the proved limits of b at levels of a; None if a or b has none, or options of its own."""
    if not ({a, b} <= set(bounds.measures()) and all(map(as_listed, request.measures))):
        return None
    dataset = request.dataset.dataset
    samples, x_units = dataset.samples().shape
    sizes = {"samples": samples, "units": request.units or x_units, "x_units": x_units}
    return bounds.between(a, b, dataset.spectrum(), levels=levels, **sizes)


def _widened(request: JointRequest, result: JointResult) -> JointResult:
    """Widen a region to contain the scores of stored runs and square searches on the same data.

    Every pair of scores that some Y has belongs to the region, and the search may not have found it.
    """
    if result.region is None or not request.contain or request.path is None:
        return result
    targets = list(_stored_targets(request, result))
    points: FloatArray = np.concatenate([_tracked_pairs(request), *(reached.points for reached in targets)])
    points = points[np.isfinite(points).all(axis=1)]  # (N, 2)
    outside = int((~result.region.contains(points)).sum()) if len(points) else 0
    region = result.region.contain(points) if outside else result.region
    square = targets[-1] if targets else None
    return replace(result, region=region, square=square, stored=points, outside=outside)


def _tracked_pairs(request: JointRequest) -> FloatArray:
    """Return the pairs of scores (a, b), (N, 2), of stored runs of one measure that track the other."""
    tracked: list[FloatArray] = [np.empty((0, 2))]
    (node_a, node_b), (a, b) = request.measures, request.names
    for node, other, order in ((node_a, b, 1), (node_b, a, -1)):
        for run in runs_of(node, request):
            if other in run.tracked:
                pairs = np.stack([run.score, run.tracked[other]], axis=-1).reshape(-1, 2)  # (T * R, 2)
                tracked.append(pairs[:, ::order])  # of a run of b, b comes first: turned round
    return np.concatenate(tracked)


def _stored_targets(request: JointRequest, result: JointRange) -> Iterator[Reached]:
    """Yield what stored square searches of this pair on these data reached, as (a, b) in this order."""
    for path, attributes in stored_alike(request):
        other = shelf.if_whole(read, path) if attributes.get("mode") == "square" else None
        if other is not None and other.square is not None:
            # The stored identity says which measure came first; the stored names may be aliases.
            measures_there = shelf.parsed(attributes.get("identity")).get("measures")
            same_order = measures_there == request.identity["measures"]
            yield other.square if same_order else other.square.turned()


def joint(
    X: DataLike,
    measures: Sequence[str | Measure] = ("cka", "procrustes_angular"),
    *,
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> JointResult:
    """Map the pairs of scores with two measures that one Y can have.

    The command is ``simopt joint``.

    Parameters
    ----------
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit).
    measures : pair of str or Measure
        The measures a and b. Both must be differentiable, because the search follows their gradients.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. A joint range that it holds is read; an unfinished search is resumed.
        None: nothing is stored.
    force : bool
        Whether to search again although the range is stored.
    **options
        Settings of the search, which are keys of ``simopt joint`` and explained in ``configs/joint.yaml``:
        mode, levels, thresholds, thresholds_b, units, starts, rounds, steps, per_side, loss, rate, seed,
        contain, decode, keep, device, dtype.

    Returns
    -------
    JointResult

    Raises
    ------
    InputError
        The data do not fit, a name or an option is unknown or out of its range, or a measure has no gradient.
    StorageError
        The result cannot be written.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((30, 4)) * [4, 3, 2, 1]
    >>> result = simopt.joint(X, ("cka", "nbs"), levels=[0.3, 0.6, 0.9], starts=2, rounds=1, steps=10)
    >>> 0 < result.region.area < 1
    True
    """
    keys = {field.name for field in fields(JointRequest)} - {"dataset", "measures", "log", "force"}
    for key in options:
        checks.one_of(key, keys, "option of joint")
    return carry_out(
        JointRequest(
            dataset=structured(X, groups, blocks, rows), measures=measures, log=store, force=force, **options
        )
    )
