"""The card of a measure: what it is, and what its scores mean on a dataset."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import catalogue, measures
from simopt.analysis.cost import Cost, cost
from simopt.analysis.invariances import invariances
from simopt.errors import DegenerateWarning, InputError, InterruptedRunError, SimoptError, SurrogateWarning
from simopt.measures import Reference
from simopt.optimization import device as devices
from simopt.ranges.boundary import LEVELS, Options
from simopt.ranges.result import JointRange
from simopt.report.card import Card, Joint
from simopt.report.tables import summarize
from simopt.store import shelf
from simopt.store.config import parsed
from simopt.store.reader import Run
from simopt.theory import bounds
from simopt.typing import FloatArray
from simopt.workflows import joint, run, sensitivity
from simopt.workflows.data import Data
from simopt.workflows.explain import SEEDS
from simopt.workflows.joint import JointRequest
from simopt.workflows.request import OnProgress, as_listed, measure_node, name_of, never, quiet
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest, stored_runs
from simopt.workflows.sensitivity_request import SensitivityRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.measures import Measure
    from simopt.typing import ArrayLike

PARTNERS = ("cka", "nbs", "procrustes_angular", "linreg")
QUICK = {"starts": 2, "rounds": 2, "steps": 30, "levels": (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)}
"""How hard joint ranges are looked for: with three partners on majaj, about 100 s on one core."""
MANY_SECONDS = 60.0
"""Sensitivities that would take longer are taken of fewer PCs and seeds."""

_HARD_TO_HOLD = ("linreg",)
"""Of the partners: where PCs leave or enter, the gradient jumps, and short searches at a level end early."""
_FEW_SEEDS, _FEW_PCS = (0, 1, 2), 12
_CURVE_POINTS = 101
_SHORT = (
    "joint ranges: from a short search, the true ones are wider; starts=4 rounds=3 steps=100 looks longer"
)


@dataclass(frozen=True, kw_only=True)
class CardRequest:
    """One card.

    Attributes
    ----------
    run : RunRequest
        Of the measure on the recording; its ``log``, ``device``, ``dtype`` and ``force`` hold for all parts.
    chosen : frozenset of str
        The keys of the run that were chosen; where there are none, any stored run that is as long will do.
    partners : tuple of str
        Measures to give joint ranges with.
    search : dict
        Keys of the search of joint ranges, over :data:`QUICK`.
    """

    kind: ClassVar[str] = "card"

    run: RunRequest
    chosen: frozenset[str] = frozenset()
    partners: tuple[str, ...] = PARTNERS
    search: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.partners:
            if not measures.get(name).differentiable:
                raise InputError(f"{name} has no gradient: its joint range cannot be searched.")
        if self.partners:
            self.joint_with(next(name for name in PARTNERS if name != name_of(self.run.measure))).options()

    @property
    def plain(self) -> bool:
        """Whether the measure is as the catalogue has it."""
        return as_listed(self.run.measure)

    @property
    def key(self) -> str:
        """The name that joint ranges are stored by: with a hash of options that are not the catalogue's."""
        name = name_of(self.run.measure)
        return name if self.plain else f"{name}-{shelf.digest(catalogue.identity(self.run.measure))[:8]}"

    def joint_with(self, partner: str) -> JointRequest:
        """Return the request of the joint range with a partner.

        The partner comes first, as its levels go from 0 to 1; but where levels of it are hard to hold it
        comes second, if the measure's own go from 0 to 1.
        """
        facts = measures.build(self.run.measure).facts
        turn = partner in _HARD_TO_HOLD and facts.larger_is_closer and (facts.low, facts.high) == (0, 1)
        own = {**self.run.measure, "name": self.key}
        pair = (own, measure_node(partner)) if turn else (measure_node(partner), own)
        given = {key: getattr(self.run, key) for key in ("dataset", "device", "dtype", "force")}
        return JointRequest(measures=pair, log=self.run.log.dir, **given, **{**QUICK, **self.search})


@dataclass(frozen=True, kw_only=True)
class CardResult(Result, Card):
    """The card of a measure."""

    kind: ClassVar[str] = "card"

    def table(self) -> list[dict[str, Any]]:
        """Return what the measure is, a fact a row, and its halves."""
        from simopt.report.card import about_table, half_capture_table

        tables = filter(None, (about_table([self]), half_capture_table([self])))
        return [{"what": str(name), "value": str(value)} for table in tables for name, value in table.rows]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the sensitivity to single PCs, and return the axes.

        Raises
        ------
        InputError
            The card has none.
        """
        from simopt.report.sensitivity import draw_sensitivity

        if self.sensitivity is None:
            raise InputError(f"{self.measure}: {self.missing.get('sensitivity', 'there is no sensitivity')}")
        return draw_sensitivity(self.sensitivity, ax)


def carry_out(
    request: CardRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: Callable[[], bool] = never,
    reference: Reference | None = None,
) -> CardResult:
    """Find or make the parts of a card.

    Parameters
    ----------
    request : CardRequest
    observe : callable
        Told what is at work, and how many of its steps are done.
    should_stop : callable
        Asked before each step.
    reference : Reference, optional
        Of the recording, where it is decomposed already.

    Raises
    ------
    InputError
        Data that cannot be used.
    InterruptedRunError
        It was told to stop; the same request resumes it.
    """
    if reference is None:
        reference = decomposed(request)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurrogateWarning)  # said when the dataset was loaded
        return _Making(request, reference, observe, should_stop).card()


def decomposed(request: CardRequest) -> Reference:
    """Return the recording, decomposed for the device and precision of the request."""
    where, precision = devices.choose(request.run.device, request.run.dtype, tf32=request.run.tf32)
    return Reference.of(request.run.dataset.dataset.samples(), dtype=precision, device=where)


class _Making:
    """The making of one card."""

    def __init__(
        self, request: CardRequest, reference: Reference, observe: OnProgress, should_stop: Callable[[], bool]
    ) -> None:
        self.request, self.reference = request, reference
        self.observe, self.should_stop = observe, should_stop
        self.dataset = request.run.dataset.dataset
        self.measure: Measure = measures.build(request.run.measure)
        self.missing: dict[str, str] = {}
        self.notes: list[str] = []

    def card(self) -> CardResult:
        measure, name = self.measure, self.measure.name
        samples, units = self.dataset.samples().shape
        self.notes += filter(None, [measure.degenerate(samples, units)])
        tried = self._part("invariances", lambda: invariances(measure)) or []
        cost = self._part("cost", self._cost)
        curve = made = None
        if self._applies("sensitivity", cost):
            curve = self._part("sensitivity", functools.partial(self._sensitivity, cost))
        if self._can_climb("run", cost):
            made = self._part("run", self._run)
        joints = self._joints() if self._can_climb("joint", cost) else []
        hidden = ("_target_", "_object_", "name", "aliases")
        options = {k: v for k, v in self.request.run.measure.items() if k not in hidden and v is not None}
        return CardResult(
            measure=name,
            dataset=self.dataset.name,
            source=self.dataset.source,
            samples=samples,
            units=units,
            facts=measures.describe(measure),
            options=options,
            invariances=tried,
            cost=cost,
            sensitivity=curve,
            run=made,
            summary=None if made is None else summarize(made),
            joints=joints,
            missing=self.missing,
            notes=self.notes,
        )

    def _part(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a part, or None with its reason where it cannot be made or stored."""
        try:
            return make()
        except InterruptedRunError:
            raise
        except SimoptError as error:
            self.missing[name] = str(error)
        except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
            if str(self.request.run.measure["_target_"]).startswith("simopt."):
                raise
            told = f"{self.measure.name} fails ({type(error).__name__}: {error})"
            if name == "cost":
                raise InputError(f"{told}; expected a function of two tensors, X and Y.") from error
            self.missing[name] = f"{told}."
        return None

    def _can_climb(self, part: str, cost: Cost | None) -> bool:
        if part == "joint" and not self.request.partners:
            self.missing[part] = "left out, as asked"
        elif not self.measure.differentiable:
            self.missing[part] = f"{self.measure.name} has no gradient: it can be scored, not optimized."
        else:
            return self._applies(part, cost)
        return False

    def _applies(self, part: str, cost: Cost | None) -> bool:
        if cost is None:
            self.missing[part] = f"{self.measure.name} does not apply, as cost says."
        return cost is not None

    def _steps(self, part: str) -> OnProgress:
        """Return what is told the steps of a part, under its title on this card."""
        title = f"{self.measure.name}: {part}"
        return lambda _, done, total: self.observe(title, done, total)

    def _cost(self) -> Cost:
        tell = self._steps("cost")
        tell("", 0, 1)
        found = cost(self.measure, self.reference)
        tell("", 1, 1)
        return found

    def _sensitivity(self, cost: Cost) -> Any:
        pcs = len(self.reference.variance_ratio)
        few: dict[str, Any] = {}
        if cost.score.seconds * pcs * 10 > MANY_SECONDS:
            some = np.unique(np.geomspace(1, pcs, _FEW_PCS).round().astype(int)).tolist()
            few = {"pcs": some, "seeds": _FEW_SEEDS}
            self.notes.append(f"sensitivity: {len(some)} PCs and 3 seeds, as a score takes long")
        request = SensitivityRequest(
            dataset=self.request.run.dataset,
            measures=(self.request.run.measure,),
            log=self.request.run.log.dir,
            force=self.request.run.force,
            **few,
        )
        return sensitivity.carry_out(request, self._steps("sensitivity"), should_stop=self.should_stop)

    def _run(self) -> Run:
        request = self._decoding(self.request.run)
        tell = self._steps("run")
        fits, among = None, []
        if self.request.plain and not self.request.chosen:
            fits, among = functools.partial(_will_do, request), stored_runs(request)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateWarning)  # the card says so
            found, _ = run.find_or_make(
                request,
                lambda state: tell("", state.step, request.max_steps),
                should_stop=self.should_stop,
                reference=self.reference,
                fits=fits,
                among=among,
            )
        return found

    def _decoding(self, request: RunRequest) -> RunRequest:
        """Return the run with the standard decoder where there are labels and none was chosen."""
        if "decoder" in self.request.chosen:
            if not request.decoder:
                self.missing["decoding"] = "left out, as asked"
            return request
        if not self.dataset.labels:
            self.missing["decoding"] = f"{self.dataset.name} has no labels to decode."
            return request
        return replace(request, decoder="standard")

    def _joints(self) -> list[Joint]:
        found = [
            self._part(f"joint range with {partner}", functools.partial(self._joint, partner))
            for partner in self.request.partners
            if partner != self.measure.name
        ]
        return [each for each in found if each is not None]

    def _joint(self, partner: str) -> Joint:
        key = self.request.key
        if self.request.plain and {partner, key} <= set(bounds.measures()):
            given, own = bounds.relation(partner), bounds.relation(key)
            if given.measure == own.measure:
                return _exact(partner, given, own)
        result, effort = self._searched(partner)
        assert result.region is not None
        # The scores of the partner come first.
        order = 1 if result.names[0] == partner else -1
        outline = np.concatenate([result.region.lower, result.region.upper[::-1]])
        proved: FloatArray = np.empty((0, 3)) if result.proved is None else result.proved
        return Joint(
            partner=partner,
            outline=outline[:, ::order],
            lower=proved[:, [0, 1]][:, ::order],
            upper=proved[:, [0, 2]][:, ::order],
            area=float(result.region.area),
            verdict=result.verdict or "",
            sentence=result.sentence().replace(key, self.measure.name),
            effort=effort,
            path=result.path,
        )

    def _searched(self, partner: str) -> tuple[JointRange, str]:
        """Return the region of a stored search, of those the longest one, or of one that is made now."""
        request = self.request.joint_with(partner)
        if not self.request.search and not request.force:
            longest = self._longest(request)
            if longest is not None:
                return longest
        told = self._steps(f"joint range with {partner}")
        result = joint.carry_out(request, told, should_stop=self.should_stop)
        if not self.request.search and _SHORT not in self.notes:
            self.notes.append(_SHORT)
        return result, _effort(request.config())[1]

    def _longest(self, request: JointRequest) -> tuple[JointRange, str] | None:
        """Return the longest stored search of a pair on the same data, and how long it was."""
        found: list[tuple[int, str, Path, bool]] = []
        for path, about in joint.stored_ranges(request):
            config = parsed(about.get("config")) or {}
            if about.get("mode") == "boundary" and config.get("units") is None:
                first = shelf.parsed(about.get("identity")).get("measures")
                found.append((*_effort(config), path, first == request.identity["measures"]))
        for _, told, path, in_order in sorted(found, reverse=True):
            result = shelf.if_whole(request.read, path)
            if result is not None:
                return result.renamed(request.names[:: 1 if in_order else -1]), told
        return None


def _will_do(request: RunRequest, found: Run) -> bool:
    """Return whether a stored run is as long, exact, decoded and often repeated as one made now."""
    same = request.same(found, "init", "optimizer", "target", "max_steps", "dtype")
    return same and found.score.shape[1] >= len(request.seeds)


def _effort(config: Mapping[str, Any]) -> tuple[int, str]:
    """Return how many steps a search of joint ranges takes, and its options."""
    levels = len(config["levels"] or {*LEVELS, *config["thresholds"]})
    starts, rounds, steps = config["starts"], config["rounds"], config["steps"] or Options.steps
    told = f"a search at {levels} levels: starts={starts} rounds={rounds} steps={steps}"
    return levels * starts * rounds * steps, told


def _exact(partner: str, given: bounds.Relation, own: bounds.Relation) -> Joint:
    """Return the curve on which the scores of two functions of one measure lie."""
    inner = np.linspace(0, 1, _CURVE_POINTS)
    curve: FloatArray = np.column_stack([given.forward(inner), own.forward(inner)])
    told = f"{partner} is {given.formula}" if partner != given.measure else f"it is {own.formula}"
    return Joint(
        partner,
        np.concatenate([curve, curve[::-1]]),
        curve,
        curve,
        0.0,
        "exact",
        f"one is a function of the other: {told}",
        "exact",
    )


def card(
    measure: str | Measure,
    X: ArrayLike | Data,
    *,
    partners: Sequence[str] = PARTNERS,
    store: str | Path | None = None,
    force: bool = False,
    search: Mapping[str, Any] | None = None,
    **options: Any,
) -> CardResult:
    """Say what a measure is and what its scores mean on a recording: ``simopt card``.

    Parameters
    ----------
    measure : str or Measure
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording; a Dataset may have labels, which are decoded along the run.
    partners : sequence of str
        Measures to give joint ranges with.
    store : path or None
        A folder: parts that are stored there are used, others stored. None: nothing is written.
    force : bool
        Make all parts anew.
    search : mapping, optional
        How joint ranges are looked for: starts, rounds, steps, levels, units.
    **options
        Of the measure, for instance ``form="angular"``.

    Returns
    -------
    CardResult

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 4)) * [4, 3, 2, 1]
    >>> result = simopt.card("cka", X, partners=())
    >>> result.facts["family"]
    'kernel'
    """
    request = RunRequest(
        measure=measure_node(measure, **options), dataset=X, seeds=SEEDS, force=force, log=store
    )
    return carry_out(CardRequest(run=request, partners=tuple(partners), search=search or {}))
