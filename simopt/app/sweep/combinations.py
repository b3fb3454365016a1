"""The requests of a sweep: every combination of overrides, checked before any is carried out."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from omegaconf import OmegaConf

from simopt import checks
from simopt.app.config import requests
from simopt.app.config.compose import COMMANDS, NodeOf, keys, plain, session, short
from simopt.errors import InputError
from simopt.workflows.joint import JointRequest
from simopt.workflows.run_request import RunRequest
from simopt.workflows.sensitivity_request import SensitivityRequest

_MOST_JOBS = 10_000
Swept = RunRequest | SensitivityRequest | JointRequest
Titled = tuple[str, Swept]
Axes = Mapping[str, list[str]]
Asked = Sequence[tuple[str, Axes]]
"""Commands, each with the values that its keys take in turn."""


def combinations(
    overrides: Sequence[str], config_dir: Path | None = None
) -> tuple[list[Titled], dict[str, Any]]:
    """Return the request of every combination of overrides, each with a title, and the launcher's options.

    Overrides are in Hydra's grammar of sweeps. ``hydra.sweeper.params`` of an experiment enter as overrides
    do. They may also be ``parts``, a list of commands with overrides, as ``sensitivity dataset=majaj,mante``;
    overrides go to all parts whose command knows them, and a dataset that is given takes the place of theirs.
    Jobs of a part with the same dataset follow one another, so that it is loaded once.

    Raises
    ------
    InputError
        A combination that cannot be composed or checked; or a launcher that is not installed, or a sweeper
        that does not list its jobs.
    """
    titled: list[Titled] = []
    with session(config_dir) as node_of:
        given = _axes(overrides)
        experiments = given.pop(next((key for key in given if key.lstrip("+") == "experiment"), ""), None)
        of_hydra = [given.pop(key)[0] for key in list(given) if _root(key) == "hydra"]
        for chosen in [[]] if experiments is None else [[experiment] for experiment in experiments]:
            hydra = node_of([*chosen, *of_hydra], return_hydra_config=True).hydra
            if not hydra.sweeper._target_.endswith(".BasicSweeper"):
                raise InputError(
                    f"hydra/sweeper={hydra.runtime.choices['hydra/sweeper']}: `simopt sweep` lists its jobs "
                    "before it starts one; only the basic sweeper can."
                )
            params = dict(hydra.sweeper.params or {})
            if "parts" in params:
                asked = _of_parts(list(params["parts"]), given)
            else:
                axes = _axes([f"{key}={value}" for key, value in params.items()])
                asked = [("run", _axes(chosen) | axes | given)]
            for command, varied in asked:
                titled += _combined(command, varied, node_of, config_dir)
    launcher: Any = OmegaConf.to_container(hydra.launcher, resolve=False)
    return titled, launcher


def _combined(command: str, axes: Axes, node_of: NodeOf, config_dir: Path | None) -> list[Titled]:
    """Return the request of every combination of the values of keys, that of the dataset changing last."""
    order = sorted(axes, key=lambda key: not key.lstrip("+").startswith("dataset"))
    varied = {key for key in axes if len(axes[key]) > 1}
    jobs = math.prod(map(len, axes.values()))
    if jobs > _MOST_JOBS:
        raise InputError(f"{jobs} jobs; a sweep takes {_MOST_JOBS} at most: divide them among several.")
    found: list[Titled] = []
    for values in itertools.product(*(axes[key] for key in order)):
        words = [value for key, value in zip(order, values, strict=True) if key in (varied or axes)]
        title = " ".join(words if command == "run" else [command, *words]) or "defaults"
        try:
            asked: list[Titled]
            if command == "run":
                requests.own_code()
                asked = [(title, RunRequest(**plain(node_of(list(values)), "run")))]
            elif command == "sensitivity":
                asked = [(title, requests.sensitivity(values, config_dir))]
            else:
                pairs = requests.joint(values, config_dir)
                one = len(pairs) == 1
                asked = [(title if one else f"{title} {' and '.join(each.names)}", each) for each in pairs]
            for _, request in asked:
                _check(request)
        except InputError as error:
            raise InputError(f"{title}: {error}" if varied or command != "run" else str(error)) from error
        found += asked
    return found


def _check(request: Swept) -> None:
    if isinstance(request, SensitivityRequest) and request.spectrum is not None:
        raise InputError("spectrum=FILE stores nothing; ask `simopt sensitivity` for it.")
    if request.log.dir is None:
        raise InputError("log.dir is null; a sweep stores its results: give a folder.")
    request.check()


def _of_parts(parts: Sequence[str], given: Axes) -> Asked:
    """Return the commands of all parts of an experiment, changed by the overrides that are given."""
    if not parts:
        raise InputError("parts of the experiment is empty; give commands with overrides.")
    unused = {_root(key) for key in given}
    asked = []
    for part in parts:
        command, *own = shlex.split(part) or [""]
        checks.one_of(command, COMMANDS, "command of a part")
        known = keys(command)
        axes = {
            key: values
            for key, values in _axes(own).items()
            if _root(key) != "dataset" or "dataset" not in given
        }
        for key, values in given.items():
            root = _root(key)
            if command == "sensitivity" and key == "measure":
                axes[key] = [f"measure=[{','.join(value.partition('=')[2] for value in values)}]"]
            elif root in known:
                axes[key] = values
            else:
                continue
            unused.discard(root)
        asked.append((command, axes))
    if unused:
        known_somewhere = {key for command in COMMANDS for key in keys(command)}
        raise checks.unknown(min(unused), known_somewhere, "key of the experiment's parts")
    return asked


def _root(key: str) -> str:
    """Return the first name of a key: ``dataset`` of ``++dataset.source``."""
    return re.split(r"[./@]", key.lstrip("+~"))[0]


def _axes(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Return the values that each key takes in turn, written as overrides; of a key given twice, the last."""
    for text in overrides:
        short(text)
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return {
        override.get_key_element(): _values(override, text)
        for text, override in zip(overrides, parser.parse_overrides(list(overrides)), strict=True)
    }


def _values(override: Override, text: str) -> list[str]:
    if not override.is_sweep_override():
        return [text]
    if not override.is_discrete_sweep():
        raise InputError(f"{text}: give the values one by one; an interval has no end of them.")
    swept = override.value()
    if isinstance(swept, RangeSweep):
        _countable(swept, text)
    values = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    if not values:
        raise InputError(f"{text}: there are no such values, so there is no job.")
    return values


def _countable(swept: RangeSweep, text: str) -> None:
    """Refuse a range of more values than there can be jobs, before Hydra lists them."""
    start, stop, step = swept.start or 0, swept.stop or 0, swept.step
    beyond = start + step * _MOST_JOBS
    if start == beyond or not (stop <= beyond if step > 0 else stop >= beyond):
        raise InputError(f"{text}: more than {_MOST_JOBS} values; divide them among several sweeps.")
