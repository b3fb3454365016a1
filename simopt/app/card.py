"""The work of ``simopt card``: from overrides to cards, with what is stored found again."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from simopt import measures
from simopt.analysis.cost import Cost, cost
from simopt.analysis.invariances import invariances
from simopt.app import inputs, joint, sensitivity, stored
from simopt.app.card_request import SHARED_KEYS, Chosen, Request, joint_request, key_of
from simopt.app.compose import Composed, compose
from simopt.app.explain import SEEDS
from simopt.app.job import execute
from simopt.app.memory import from_memory
from simopt.app.schema import RunConfig
from simopt.datasets import Dataset
from simopt.errors import DegenerateWarning, InputError, InterruptedRunError, SimoptError, SurrogateWarning
from simopt.measures import Reference
from simopt.optimization import device as devices
from simopt.ranges.boundary import LEVELS, Options
from simopt.ranges.result import ANALYSIS, JointRange
from simopt.ranges.result import read as read_joint
from simopt.report.card import Card, Joint
from simopt.report.tables import summarise
from simopt.store import analysis, reader
from simopt.store.analysis import Stored
from simopt.store.config import parsed
from simopt.store.reader import Run
from simopt.theory import bounds
from simopt.typing import FloatArray

MANY_SECONDS = 60.0
"""Sensitivities that would take longer are taken of fewer PCs and seeds."""

_FEW_SEEDS, _FEW_PCS = "seeds=[0,1,2]", 12
_LEVELS = 101
_SHORT = (
    "joint ranges: from a short search, the true ones are wider; starts=4 rounds=3 steps=100 looks longer"
)

Observer = Callable[[str, int, int], None]


def cards(asked: Request, observe: Observer = lambda title, done, total: None) -> list[Card]:
    """Make the cards, one after the other.

    Parameters
    ----------
    asked : Request
    observe : callable
        Told what is at work, and how many of its steps are done.

    Raises
    ------
    InputError
        Data that cannot be used.
    InterruptedRunError
        SIGINT or SIGTERM came; the same command goes on from there.
    """
    dataset = inputs.recording(asked.data, asked.config_dir)
    config = asked.chosen[0].composed.config
    where, precision = devices.choose(config.device, config.dtype, tf32=config.tf32)
    reference = Reference.of(dataset.samples(), dtype=precision, device=where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurrogateWarning)  # said when the dataset was loaded
        return [_Work(asked, each, dataset, reference, observe).card() for each in asked.chosen]


class _Work:
    """The making of one card."""

    def __init__(
        self,
        asked: Request,
        chosen: Chosen,
        dataset: Dataset,
        reference: Reference,
        observe: Observer,
    ) -> None:
        self.asked, self.chosen, self.dataset, self.reference = asked, chosen, dataset, reference
        self.observe = observe
        self.missing: dict[str, str] = {}
        self.notes: list[str] = []

    def card(self) -> Card:
        measure = self.chosen.measure
        samples, units = self.dataset.samples().shape
        weakness = measure.degenerate(samples, units)
        if weakness is not None:
            self.notes.append(weakness)
        tried = self._part("invariances", lambda: invariances(measure)) or []
        cost = self._part("cost", self._cost)
        curve = None
        if cost is None:
            self.missing["sensitivity"] = f"{measure.name} does not apply, as cost says."
        else:
            curve = self._part("sensitivity", functools.partial(self._sensitivity, cost))
        run = self._part("run", self._run) if self._can_climb("run", cost) else None
        joints = self._joints() if self._can_climb("joint", cost) else []
        options = {
            key: value for key, value in self.chosen.node.items() if key != "_target_" and value is not None
        }
        return Card(
            measure=measure.name,
            dataset=self.dataset.name,
            source=self.dataset.source,
            samples=samples,
            units=units,
            facts=measures.describe(measure),
            options=options,
            invariances=tried,
            cost=cost,
            sensitivity=curve,
            run=run,
            summary=None if run is None else summarise(run),
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
            if self.chosen.node["_target_"].startswith("simopt."):
                raise
            told = f"{self.chosen.measure.name} fails ({type(error).__name__}: {error})"
            if name == "cost":
                raise InputError(f"{told}; expected a function of two tensors, X and Y.") from error
            self.missing[name] = f"{told}."
        return None

    def _can_climb(self, part: str, cost: Cost | None) -> bool:
        name = self.chosen.measure.name
        if part == "joint" and not self.asked.partners:
            self.missing[part] = "left out, as asked"
        elif not self.chosen.measure.differentiable:
            self.missing[part] = f"{name} has no gradient: it can be scored, not optimised."
        elif cost is None:
            self.missing[part] = f"{name} does not apply, as cost says."
        else:
            return True
        return False

    def _cost(self) -> Cost:
        measure, name = self.chosen.measure, self.chosen.measure.name
        self.observe(f"{name}: cost", 0, 1)
        found = cost(measure, self.reference)
        self.observe(f"{name}: cost", 1, 1)
        return found

    def _sensitivity(self, cost: Cost) -> Any:
        name = self.chosen.measure.name
        pcs = len(self.dataset.spectrum())
        overrides = [*self.chosen.overrides, *self.asked.data, f"dir='{self.asked.root}'"]
        overrides += [each for each in self.asked.shared if key_of(each) == "force"]
        if cost.score.seconds * pcs * 10 > MANY_SECONDS:
            some = np.unique(np.geomspace(1, pcs, _FEW_PCS).round().astype(int)).tolist()
            overrides += [f"pcs={some}".replace(" ", ""), _FEW_SEEDS]
            self.notes.append(f"sensitivity: {len(some)} PCs and 3 seeds, as a score takes long")
        asked = sensitivity.request(overrides, self.asked.config_dir)
        told = f"{name}: sensitivity"
        return sensitivity.find_or_make(
            asked, self.dataset, lambda done, total: self.observe(told, done, total)
        )

    def _run(self) -> Run:
        composed = self._decoding(from_memory(self.chosen.composed))
        found = self._stored(composed)
        if found is not None:
            return found
        title = f"{self.chosen.measure.name}: run"
        most = composed.config.max_steps
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateWarning)  # the card says so
            outcome = execute(composed, lambda state: self.observe(title, state.step, most))
        return reader.read(outcome.path)

    def _decoding(self, composed: Composed) -> Composed:
        """Return the run with the standard decoder where there are labels and none was chosen."""
        given = {key_of(each).partition(".")[0] for each in self.asked.run}
        if "decoder" in given:
            if not composed.config.decoder:
                self.missing["decoding"] = "left out, as asked"
            return composed
        if not self.dataset.labels:
            self.missing["decoding"] = f"{self.dataset.name} has no labels to decode."
            return composed
        usual = [] if "seeds" in given else [SEEDS]
        overrides = [*usual, *self.asked.run, *self.chosen.overrides, "decoder=standard"]
        return from_memory(compose(overrides, self.asked.config_dir))

    def _stored(self, composed: Composed) -> Run | None:
        """Return a stored run of the most seeds that will do, where the user left all of it open."""
        free = {"dataset", "log", *SHARED_KEYS}
        if {key_of(each).partition(".")[0] for each in self.asked.run} - free or composed.config.force:
            return None
        if not self.chosen.plain:
            return None
        folder = Path(composed.config.log.dir).expanduser() / self.dataset.name / self.chosen.measure.name
        will_do = functools.partial(_will_do, composed.config)
        return stored.best(folder, self.dataset.data_hash(), self.chosen.node, will_do)

    def _joints(self) -> list[Joint]:
        found = []
        for partner in self.asked.partners:
            if partner != self.chosen.measure.name:
                part = f"joint range with {partner}"
                found.append(self._part(part, functools.partial(self._joint, partner)))
        return [each for each in found if each is not None]

    def _joint(self, partner: str) -> Joint:
        known = bounds.measures()
        if self.chosen.plain and {partner, self.chosen.key} <= set(known):
            given, own = bounds.relation(partner), bounds.relation(self.chosen.key)
            if given.measure == own.measure:
                return _exact(partner, given, own)
        result, effort = self._searched(partner)
        assert result.region is not None
        turned = result.names[0] != partner
        outline = np.concatenate([result.region.lower, result.region.upper[::-1]])
        proved: FloatArray = np.empty((0, 3)) if result.proved is None else result.proved
        lower, upper = proved[:, [0, 1]], proved[:, [0, 2]]
        return Joint(
            partner=partner,
            outline=outline[:, ::-1] if turned else outline,
            lower=lower[:, ::-1] if turned else lower,
            upper=upper[:, ::-1] if turned else upper,
            area=float(result.region.area),
            verdict=result.verdict or "",
            sentence=result.sentence().replace(self.chosen.key, self.chosen.measure.name),
            effort=effort,
            path=result.path,
        )

    def _searched(self, partner: str) -> tuple[JointRange, str]:
        """Return the region of a stored search, of those the longest one, or of one that is made now."""
        asked = joint_request(self.asked, partner, self.chosen)
        if not self.asked.joint and not asked.config.force:
            best: tuple[int, Path, str] | None = None
            for path in sorted(
                (Path(self.asked.root).expanduser() / self.dataset.name / ANALYSIS).glob("*/*.h5")
            ):
                work = self._worth(path, {partner, self.chosen.key})
                if work is not None and (best is None or work[0] > best[0]):
                    best = work[0], path, work[1]
            if best is not None:
                return read_joint(best[1]), best[2]
        title = f"{self.chosen.measure.name}: joint range with {partner}"
        result = joint.find_or_make(
            asked, self.dataset, lambda _, done, total: self.observe(title, done, total)
        )
        if not self.asked.joint and _SHORT not in self.notes:
            self.notes.append(_SHORT)
        return result, _effort(asdict(asked.config))[1]

    def _worth(self, path: Path, names: set[str]) -> tuple[int, str] | None:
        """Return how many steps a stored search took, and its options; None where it is of something else."""

        def worth(found: Stored) -> tuple[int, str] | None:
            about, config = found.attributes, parsed(found.attributes["config"]) or {}
            if set(map(str, about["names"])) != names or about["mode"] != "boundary" or about["third"]:
                return None
            if about["data_hash"] != self.dataset.data_hash() or config["units"] is not None:
                return None
            return _effort(config)

        try:
            return analysis.read(path, ANALYSIS, worth)
        except SimoptError:
            return None


def _will_do(config: RunConfig, run: Run, made_with: stored.Config) -> bool:
    """Whether a stored run is as long, exact and decoded, and of as many replicates, as one made now."""
    keys = ("init", "optimizer", "target", "max_steps", "dtype")
    same = all(made_with.get(key) == getattr(config, key) for key in keys)
    return same and (not config.decoder or bool(run.decoding)) and run.score.shape[1] >= len(config.seeds)


def _effort(config: Mapping[str, Any]) -> tuple[int, str]:
    """Return how many steps a search of joint ranges takes, and its options."""
    levels = len(config["levels"] or {*LEVELS, *config["thresholds"]})
    starts, rounds, steps = config["starts"], config["rounds"], config["steps"] or Options.steps
    told = f"a search at {levels} levels: starts={starts} rounds={rounds} steps={steps}"
    return levels * starts * rounds * steps, told


def _exact(partner: str, given: bounds.Relation, own: bounds.Relation) -> Joint:
    """Return the curve on which the scores of two functions of one measure lie."""
    inner = np.linspace(0, 1, _LEVELS)
    curve: FloatArray = np.column_stack([given.forward(inner), own.forward(inner)])
    base = given.measure
    told = f"{partner} is {given.formula}" if partner != base else f"it is {own.formula}"
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
