"""The card of a measure: its facts, and what its scores mean on a dataset."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simopt import catalogue, checks, measures
from simopt.analysis.cost import Cost, cost
from simopt.analysis.decoding import Decoder
from simopt.analysis.invariances import invariances
from simopt.errors import DegenerateWarning, InputError, InterruptedRunError, SimoptError, SurrogateWarning
from simopt.measures import Measure, Reference
from simopt.optimization import device as devices
from simopt.optimization.init import GaussianInit
from simopt.ranges.boundary import LEVELS, Options
from simopt.ranges.result import JointRange
from simopt.report.card import Card, Joint, heading
from simopt.report.tables import summarize
from simopt.rows import Order
from simopt.store import shelf
from simopt.store.config import parsed
from simopt.store.reader import Run
from simopt.theory import bounds
from simopt.typing import FloatArray
from simopt.workflows import joint, run, sensitivity
from simopt.workflows.data import DataLike, structured, told_rows
from simopt.workflows.explain import SEEDS
from simopt.workflows.joint import JointRequest
from simopt.workflows.request import (
    OnProgress,
    ShouldStop,
    as_listed,
    measure_node,
    name_of,
    never,
    quiet,
    stored_alike,
)
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.run_request import RunRequest
from simopt.workflows.sensitivity_request import SensitivityRequest

PARTNERS = ("cka", "nbs", "procrustes_angular", "linreg")
QUICK = {"starts": 2, "rounds": 2, "steps": 30, "levels": (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)}
"""Default options of the search of joint ranges. With three partners on majaj it takes 100 s on one core."""
# The other keys of `simopt joint` have a meaning of their own in `simopt run`, whose keys a card takes.
SEARCH = ("starts", "rounds", "steps", "levels", "units")
"""The options of the search of joint ranges that a user can set for a card."""
MANY_SECONDS = 60.0
"""A sensitivity that is estimated to take more seconds is restricted to a few PCs and seeds."""

_HARD_TO_HOLD = ("linreg",)
"""Partners whose gradient jumps where a PC enters or leaves: a short search at their levels ends early."""
_FEW_SEEDS, _FEW_PCS = (0, 1, 2), 12
_CURVE_POINTS = 101
"""Number of points on the exact curve of two measures that are functions of each other."""
_SHORT = (
    "joint ranges: the search was short, so they are too narrow; starts=4 rounds=3 steps=100 searches longer"
)


@dataclass(frozen=True, kw_only=True)
class CardRequest:
    """The request of one card: a description of a measure and of what its scores mean on a recording.

    Attributes
    ----------
    run : RunRequest
        The request of the run of the measure on the recording. Its ``log``, ``device``, ``dtype`` and
        ``force`` hold for everything on the card.
    chosen : frozenset of str
        The keys of the run that the user set. If there are none, a stored run with the same main settings and
        at least as many replicates is used in place of the requested one.
    partners : tuple of str
        The measures whose joint ranges with this measure are on the card.
    search : dict
        Options of the search for joint ranges that override those in :data:`QUICK`.
    """

    kind: ClassVar[str] = "card"

    run: RunRequest
    chosen: frozenset[str] = frozenset()
    partners: tuple[str, ...] = PARTNERS
    search: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.search:
            checks.one_of(key, SEARCH, "option of the search")
        for name in self.partners:
            if not measures.get(name).differentiable:
                raise InputError(f"{name} has no gradient and so no joint range; give other partners.")
        if self.partners:
            self.joint_with(next(name for name in PARTNERS if name != name_of(self.run.measure))).options()

    @property
    def plain(self) -> bool:
        """Whether the measure has the default options that the catalogue lists."""
        return as_listed(self.run.measure)

    @property
    def key(self) -> str:
        """The name of the measure in stored joint ranges; it has a hash if options are not the defaults."""
        name = name_of(self.run.measure)
        return name if self.plain else f"{name}-{shelf.digest(catalogue.identity(self.run.measure))[:8]}"

    def joint_with(self, partner: str) -> JointRequest:
        """Return the request of the joint range of the measure with another one, its partner.

        The search holds the first measure of a pair at fixed levels, by default scores from 0 to 1. The
        partner ranges from 0 to 1, so it comes first. The measure comes first only if it ranges from 0 to 1
        as well and the search can hardly hold the score of the partner.
        """
        facts = measures.build(self.run.measure).facts
        turn = partner in _HARD_TO_HOLD and facts.larger_is_closer and (facts.low, facts.high) == (0, 1)
        measure = {**self.run.measure, "name": self.key}
        pair = (measure, measure_node(partner)) if turn else (measure_node(partner), measure)
        shared = {key: getattr(self.run, key) for key in ("dataset", "device", "dtype", "force")}
        return JointRequest(measures=pair, log=self.run.log.dir, **shared, **{**QUICK, **self.search})


@dataclass(frozen=True, kw_only=True, repr=False)
class CardResult(Result, Card):
    """The card of a measure."""

    kind: ClassVar[str] = "card"

    @property
    def title(self) -> str:
        """The names of the measure and of the recording, in one line."""
        return heading([self])

    def main_numbers(self) -> list[str]:
        """Return the formula and range of the measure as a line, and a line that summarizes its run."""
        low, high = self.facts["range"]
        run = [] if self.summary is None else [self.summary.line()]
        return [f"{self.facts['formula']}, from {low:.3g} to {high:.3g}", *run]

    def caveats(self) -> list[str]:
        """Return notes on how the card was made, and the reason for each part that is missing."""
        return self.remarks()

    def table(self) -> Rows:
        """Return a row for each fact of the measure, and for the score at which each PC is half captured."""
        from simopt.report.card import about_table, half_capture_table

        tables = filter(None, (about_table([self]), half_capture_table([self])))
        return [{"what": str(name), "value": str(value)} for table in tables for name, value in table.rows]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the sensitivity to single PCs, and return the axes.

        Raises
        ------
        InputError
            The card has no sensitivity.
        """
        from simopt.report.sensitivity import draw_sensitivity

        if self.sensitivity is None:
            raise InputError(f"{self.measure}: {self.missing.get('sensitivity', 'it has no sensitivity')}")
        return draw_sensitivity(self.sensitivity, ax)


def carry_out(
    request: CardRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: ShouldStop = never,
    reference: Reference | None = None,
) -> CardResult:
    """Return the card of a measure; stored results are read, and missing ones are made.

    Parameters
    ----------
    request : CardRequest
    observe : callable
        Called during the work with the name of a section of the card, the number of its steps that are done,
        and the number of all its steps.
    should_stop : callable
        Called before each step; True stops the work.
    reference : Reference, optional
        The decomposed recording, if the caller has decomposed it already.

    Raises
    ------
    InputError
        The data do not fit, or the measure is a function of the user that fails.
    InterruptedRunError
        ``should_stop`` returned True; the same request resumes the card.
    """
    if reference is None:
        reference = decomposed(request)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurrogateWarning)  # shown when the dataset was loaded
        return _CardMaker(request, reference, observe, should_stop).card()


def decomposed(request: CardRequest) -> Reference:
    """Return the decomposition of the recording, on the device and in the precision of the request."""
    device, precision = devices.choose(request.run.device, request.run.dtype, tf32=request.run.tf32)
    dataset = request.run.dataset.dataset
    return Reference.of(dataset.samples(), dtype=precision, device=device, rows=told_rows(dataset))


class _CardMaker:
    """Finds or makes the parts of one card, and collects the reasons for those that are missing."""

    def __init__(
        self, request: CardRequest, reference: Reference, observe: OnProgress, should_stop: ShouldStop
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
        Y = GaussianInit()([0], samples, units)[0]
        self.notes += filter(None, [measure.degenerate(self.reference, Y)])
        tried = self._part("invariances", lambda: invariances(measure)) or []
        cost = self._part("cost", self._cost)
        no_score = f"{name} cannot be applied to these data; see cost." if cost is None else ""
        no_gradient = f"{name} has no gradient: it can be scored, not optimized."
        no_run = no_score if measure.differentiable else no_gradient
        curve = self._part("sensitivity", partial(self._sensitivity, cost), no_score)
        optimized = self._part("run", self._run, no_run)
        no_joint = no_run if self.request.partners else "left out as requested"
        joints = self._part("joint", self._joints, no_joint) or []
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
            run=optimized,
            summary=None if optimized is None else summarize(optimized),
            joints=joints,
            missing=self.missing,
            notes=self.notes,
        )

    def _part(self, name: str, make: Callable[[], Any], refusal: str = "") -> Any:
        """Return a part; if it cannot be made or stored or there is a refusal, None, and note the reason.

        An unexpected error of a user's function is the reason, too; that of a measure of simopt is a bug, and
        raised.
        """
        if refusal:
            self.missing[name] = refusal
            return None
        try:
            return make()
        except InterruptedRunError:
            raise
        except SimoptError as error:
            self.missing[name] = str(error)
        except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
            if str(self.request.run.measure["_target_"]).startswith("simopt."):
                raise
            reason = f"{self.measure.name} fails ({type(error).__name__}: {error})"
            if name == "cost":
                raise InputError(f"{reason}; give a function of two tensors, X and Y.") from error
            self.missing[name] = f"{reason}."
        return None

    def _steps(self, part: str) -> OnProgress:
        """Return the observer of a part, which reports it under the name of the measure."""
        title = f"{self.measure.name}: {part}"
        return lambda _, done, total: self.observe(title, done, total)

    def _cost(self) -> Cost:
        observe = self._steps("cost")
        observe("", 0, 1)
        timed = cost(self.measure, self.reference)
        observe("", 1, 1)
        return timed

    def _sensitivity(self, cost: Cost) -> Any:
        pcs = len(self.reference.variance_ratio)
        restricted: dict[str, Any] = {}
        # By default every PC is scored once for each of 10 seeds.
        if cost.score.seconds * pcs * 10 > MANY_SECONDS:
            few_pcs = np.unique(np.geomspace(1, pcs, _FEW_PCS).round().astype(int)).tolist()
            restricted = {"pcs": few_pcs, "seeds": _FEW_SEEDS}
            self.notes.append(f"sensitivity: only {len(few_pcs)} PCs and 3 seeds, as each score takes long")
        request = SensitivityRequest(
            dataset=self.request.run.dataset,
            measures=(self.request.run.measure,),
            log=self.request.run.log.dir,
            force=self.request.run.force,
            **restricted,
        )
        return sensitivity.carry_out(request, self._steps("sensitivity"), should_stop=self.should_stop)

    def _run(self) -> Run:
        request = self._decoding(self.request.run)
        observe = self._steps("run")
        # With options or keys of the user's own, only the very run that was requested is used.
        any_fits = self.request.plain and not self.request.chosen
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateWarning)  # it is among the notes of the card
            made, _ = run.find_or_make(
                request,
                lambda state: observe("", state.step, request.max_steps),
                should_stop=self.should_stop,
                reference=self.reference,
                fits=partial(_can_replace, request) if any_fits else None,
            )
        return made

    def _decoding(self, request: RunRequest) -> RunRequest:
        """Return the run with the standard decoder, if there are labels and the user chose no decoder."""
        if "decoder" in self.request.chosen:
            if not request.decoder:
                self.missing["decoding"] = "left out as requested"
            return request
        if not self.dataset.labels.keys() - Decoder().left_out(self.dataset).keys():
            self.missing["decoding"] = f"{self.dataset.name} has no labels to decode."
            return request
        return replace(request, decoder="standard")

    def _joints(self) -> list[Joint]:
        joints = [
            self._part(f"joint range with {partner}", partial(self._joint, partner))
            for partner in self.request.partners
            if partner != self.measure.name
        ]
        return [one for one in joints if one is not None]

    def _joint(self, partner: str) -> Joint:
        key = self.request.key
        if self.request.plain and {partner, key} <= set(bounds.measures()):
            of_partner, of_measure = bounds.relation(partner), bounds.relation(key)
            if of_partner.measure == of_measure.measure:
                return _exact(partner, of_partner, of_measure)
        result, effort = self._searched(partner)
        assert result.region is not None
        # On the card the partner's scores come first; the search may have had the other order.
        order = 1 if result.names[0] == partner else -1
        # Along the lower boundary and back along the upper one: a closed polygon.
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
        """Return the joint range of the longest stored search, or else of a new one, and how long it was."""
        request = self.request.joint_with(partner)
        if not self.request.search and not request.force:
            longest = self._longest(request)
            if longest is not None:
                return longest
        observe = self._steps(f"joint range with {partner}")
        result = joint.carry_out(request, observe, should_stop=self.should_stop)
        if not self.request.search and _SHORT not in self.notes:
            self.notes.append(_SHORT)
        return result, _effort(request.config())[1]

    def _longest(self, request: JointRequest) -> tuple[JointRange, str] | None:
        """Return the longest stored search of a pair on the same data, and how long it was."""
        searches: list[tuple[int, str, Path, bool]] = []
        for path, attributes in stored_alike(request):
            config = parsed(attributes.get("config")) or {}
            # The number of units changes the region: on the card, Y has as many as X.
            if attributes.get("mode") == "boundary" and config.get("units") is None:
                measures_there = shelf.parsed(attributes.get("identity")).get("measures")
                searches.append((*_effort(config), path, measures_there == request.identity["measures"]))
        for _, effort, path, same_order in sorted(searches, reverse=True):
            result = shelf.if_whole(request.read, path)
            if result is not None:
                return result.renamed(request.names[:: 1 if same_order else -1]), effort
        return None


def _can_replace(request: RunRequest, stored: Run) -> bool:
    """Return whether a stored run has the options of the request, and at least as many replicates."""
    same = request.same(stored, "init", "optimizer", "target", "max_steps", "dtype")
    return same and stored.score.shape[1] >= len(request.seeds)


def _effort(config: Mapping[str, Any]) -> tuple[int, str]:
    """Return how many steps a search of joint ranges takes, and its options in words."""
    levels = len(config["levels"] or {*LEVELS, *config["thresholds"]})
    starts, rounds, steps = config["starts"], config["rounds"], config["steps"] or Options.steps
    options = f"a search at {levels} levels: starts={starts} rounds={rounds} steps={steps}"
    return levels * starts * rounds * steps, options


def _exact(partner: str, of_partner: bounds.Relation, of_measure: bounds.Relation) -> Joint:
    """Return the curve on which the scores of two functions f(m), g(m) of the same measure m lie."""
    m = np.linspace(0, 1, _CURVE_POINTS)
    curve: FloatArray = np.column_stack([of_partner.forward(m), of_measure.forward(m)])  # (101, 2)
    is_base = partner == of_partner.measure
    formula = f"it is {of_measure.formula}" if is_base else f"{partner} is {of_partner.formula}"
    return Joint(
        partner,
        np.concatenate([curve, curve[::-1]]),
        curve,
        curve,
        0.0,
        "exact",
        f"one is a function of the other: {formula}",
        "exact",
    )


def card(
    measure: str | Measure,
    X: DataLike,
    *,
    partners: Sequence[str] = PARTNERS,
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    force: bool = False,
    search: Mapping[str, Any] | None = None,
    **options: Any,
) -> CardResult:
    """Describe a measure and what its scores mean on a recording.

    The command is ``simopt card``.

    Parameters
    ----------
    measure : str or Measure
        A name of ``simopt.measures.names()`` or a Measure.
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit). The labels of a Dataset are
        decoded along the run.
    partners : sequence of str
        The measures whose joint ranges with ``measure`` are mapped. Each must be differentiable. An empty
        sequence leaves out the joint ranges.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. Results that it holds are read, and missing ones are made and stored.
        None: nothing is stored.
    force : bool
        Whether to make all results again although they are stored.
    search : mapping, optional
        Options of the search for joint ranges: starts, rounds, steps, levels, units.
    **options
        Options that override the defaults of the measure, for instance ``form="angular"``.

    Returns
    -------
    CardResult

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 4)) * [4, 3, 2, 1]
    >>> result = simopt.card("cka", X, partners=())
    >>> result.facts["family"]
    'kernel'
    """
    request = RunRequest(
        measure=measure_node(measure, **options),
        dataset=structured(X, groups, blocks, rows),
        seeds=SEEDS,
        force=force,
        log=store,
    )
    return carry_out(CardRequest(run=request, partners=tuple(partners), search=search or {}))
