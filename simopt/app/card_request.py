"""What is asked of ``simopt card``: the measures as they are configured, and the overrides of each part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simopt import catalogue, checks, measures
from simopt.app import inputs, joint
from simopt.app.build import as_node, find_own_code
from simopt.app.compose import Composed, compose, compose_analysis
from simopt.app.explain import SEEDS
from simopt.app.paths import bare, source_of
from simopt.errors import InputError
from simopt.measures import Measure
from simopt.ranges.boundary import Options

PARTNERS = ("cka", "nbs", "procrustes_angular", "linreg")
QUICK = ("starts=2", "rounds=2", "steps=30", "levels=[0.1,0.3,0.5,0.7,0.9,0.97]")
"""How hard joint ranges are looked for: with three partners on majaj, about 100 s on one core."""
SHARED_KEYS = ("device", "dtype", "force")
"""Keys that a run and a search of joint ranges have in common."""

_HARD_TO_HOLD = ("linreg",)
"""Of the partners: where PCs leave or enter, the gradient jumps, and short searches at a level end early."""
_JOINT_KEYS = ("starts", "rounds", "steps", "levels", "units")


@dataclass(frozen=True)
class Chosen:
    """One measure, as a configuration has it.

    Attributes
    ----------
    overrides : list of str
        That choose it, its options among them.
    composed : Composed
        Its run.
    key : str
        The name that joint ranges are stored by: its own, with a hash of options and source that are not
        those of the catalogue.
    """

    overrides: list[str]
    composed: Composed
    measure: Measure
    node: dict[str, Any]
    key: str

    @property
    def plain(self) -> bool:
        """Whether it is as the catalogue has it."""
        return self.key == self.measure.name


@dataclass(frozen=True)
class Request:
    """What cards are asked for, and the overrides of their parts."""

    chosen: list[Chosen]
    partners: list[str]
    data: list[str]
    run: list[str]
    joint: list[str]
    shared: list[str]
    root: str
    config_dir: Path | None


def request(
    given: Sequence[str], *, against: Sequence[str] | None = None, config_dir: Path | None = None
) -> Request:
    """Check measures and overrides, without looking at data.

    Parameters
    ----------
    given : sequence of str
        Names of measures, dotted paths of functions, and overrides.
    against : sequence of str, optional
        Measures to give joint ranges with; default :data:`PARTNERS`, none of an empty sequence.
    config_dir : Path, optional

    Raises
    ------
    InputError
        No measure, or a name, a value or an option that cannot be used.
    """
    find_own_code()
    names, overrides = inputs.measures_among([each for each in given if "=" in each], ())
    names = [*(each for each in given if "=" not in each), *names]
    if "all" in names:
        raise InputError("a card is of one measure; name one or a few that are to stand side by side.")
    choices = [[f"measure._target_={name}" if "." in name else f"measure={name}"] for name in names]
    choices += [[each] for each in overrides if each.startswith("measure._target_=")]
    if not choices:
        raise InputError("no measure is named; give one, for instance `simopt card cka dataset=majaj`.")
    options = [
        each
        for each in overrides
        if each.lstrip("+~").startswith("measure.") and not each.startswith("measure._target_=")
    ]
    rest = [each for each in overrides if not each.lstrip("+~").startswith("measure.")]
    searching = [each for each in rest if key_of(each) in _JOINT_KEYS]
    running = [each for each in rest if each not in searching]
    chosen = [_choose([*choice, *options], running, config_dir) for choice in choices]
    keys = [each.key for each in chosen]
    if len(set(keys)) < len(keys):
        raise InputError(f"{', '.join(keys)}: a measure is named twice.")
    partners = list(dict.fromkeys(PARTNERS if against is None else against))
    for name in partners:
        if not measures.get(name).differentiable:
            raise InputError(f"{name} has no gradient: its joint range cannot be searched.")
    asked = Request(
        chosen,
        partners,
        inputs.of_dataset(running),
        running,
        searching,
        [each for each in running if key_of(each) in SHARED_KEYS],
        chosen[0].composed.config.log.dir,
        config_dir,
    )
    config = joint_request(asked, PARTNERS[0], chosen[0]).config
    Options(starts=config.starts, rounds=config.rounds, steps=config.steps or 1, units=config.units)
    for level in config.levels or ():
        checks.at_least(level, 0, "a level")
    return asked


def key_of(override: str) -> str:
    """Return the key that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def _choose(overrides: list[str], others: Sequence[str], config_dir: Path | None) -> Chosen:
    given = {key_of(each) for each in others}
    usual = [] if "seeds" in given else [SEEDS]
    composed = compose([*usual, *others, *overrides], config_dir)
    node = as_node(composed.config.measure, "measure")
    measure = measures.build(node)
    own = bare(node)
    if measure.name in measures.names(aliases=True):
        as_listed = bare(catalogue.read("measure", measure.name)) == own
    else:
        as_listed = False
    told = json.dumps([own, source_of(node["_target_"])], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()
    return Chosen(
        overrides, composed, measure, own, measure.name if as_listed else f"{measure.name}-{digest[:8]}"
    )


def joint_request(asked: Request, partner: str, chosen: Chosen) -> joint.Request:
    """Return the request of the joint range with a partner.

    The partner comes first, as its levels go from 0 to 1; but where levels of it are hard to hold it comes
    second, if the measure's own go from 0 to 1.
    """
    given = {key_of(each) for each in asked.joint}
    quick = [each for each in QUICK if key_of(each) not in given]
    overrides = [*asked.data, *asked.shared, *quick, *asked.joint, f"dir='{asked.root}'"]
    facts = chosen.measure.facts
    turn = partner in _HARD_TO_HOLD and facts.larger_is_closer and (facts.low, facts.high) == (0, 1)
    pair = (chosen.key, partner) if turn else (partner, chosen.key)
    config = replace(compose_analysis("joint", overrides, asked.config_dir), measures=list(pair))
    both = {partner: measures.get(partner), chosen.key: replace(chosen.measure, name=chosen.key)}
    return joint.Request(config, both, [pair], asked.data)
