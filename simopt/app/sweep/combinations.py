"""The requests of a sweep: every combination of overrides, all of them checked before the first one runs."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, RangeSweep
from omegaconf import OmegaConf

from simopt import checks
from simopt.app.config import requests, settings
from simopt.app.config.compose import COMMANDS, NodeOf, keys, parse, plain, session
from simopt.errors import InputError
from simopt.workflows.joint import JointRequest
from simopt.workflows.run_request import RunRequest
from simopt.workflows.sensitivity_request import SensitivityRequest

_MOST_JOBS = 10_000
Swept = RunRequest | SensitivityRequest | JointRequest
Titled = tuple[str, Swept]
Axes = Mapping[str, list[str]]
Commands = Sequence[tuple[str, Axes]]
"""Commands, each with its keys and the values that they take in turn."""


def combinations(
    overrides: Sequence[str], config_dir: Path | None = None
) -> tuple[list[Titled], dict[str, Any]]:
    """Return the request of every combination of overrides, with a title, and the options of the launcher.

    Overrides are in Hydra's grammar of sweeps. The file of an experiment lists further overrides in
    ``hydra.sweeper.params``, or ``parts``: commands with overrides, for instance ``sensitivity
    dataset=majaj,mante``. An override of the user applies to every part whose command has its key;
    ``dataset=`` replaces the datasets of the parts. Jobs of a part are sorted by dataset, which is loaded
    once.

    Raises
    ------
    InputError
        A combination cannot be composed or is refused, a launcher is not installed, or a sweeper does not
        list its jobs in advance.
    """
    titled: list[Titled] = []
    with session(config_dir) as node_of:
        files = [word for word in overrides if settings.is_file(word)]
        user = _axes([word for word in overrides if word not in files])
        experiments = user.pop(next((key for key in user if key.lstrip("+") == "experiment"), ""), None)
        of_hydra = [user.pop(key)[0] for key in list(user) if _root(key) == "hydra"]
        for chosen in [[]] if experiments is None else [[experiment] for experiment in experiments]:
            hydra = node_of([*chosen, *of_hydra], return_hydra_config=True).hydra
            for group in ("sweeper", "launcher"):
                if not OmegaConf.is_dict(hydra.get(group)):
                    raise InputError(
                        f"hydra.{group} is {hydra.get(group)}; choose one with hydra/{group}=NAME."
                    )
            if not hydra.sweeper._target_.endswith(".BasicSweeper"):
                raise InputError(
                    f"hydra/sweeper={hydra.runtime.choices['hydra/sweeper']} cannot list its jobs before "
                    "the first one starts, which `simopt sweep` needs; use hydra/sweeper=basic."
                )
            params = dict(hydra.sweeper.params or {})
            if "parts" in params:
                commands = _of_parts(list(params["parts"]), user, own_data=bool(files) or "dataset" in user)
            else:
                axes = _axes([f"{key}={value}" for key, value in params.items()])
                commands = [("run", _axes(chosen) | axes | user)]
            for command, varied in commands:
                titled += _combined(command, varied, files, node_of, config_dir)
    launcher: Any = OmegaConf.to_container(hydra.launcher, resolve=False)
    return titled, launcher


def _combined(
    command: str, axes: Axes, files: Sequence[str], node_of: NodeOf, config_dir: Path | None
) -> list[Titled]:
    """Return the request of every combination of values; the dataset changes last."""
    order = sorted(axes, key=lambda key: not key.lstrip("+").startswith("dataset"))
    varied = {key for key in axes if len(axes[key]) > 1}
    number = math.prod(map(len, axes.values()))
    if number > _MOST_JOBS:
        limit = f"at most {_MOST_JOBS} are allowed; divide them into more sweeps."
        raise InputError(f"{number} jobs, but {limit}")
    titled: list[Titled] = []
    jobs: list[Titled]
    among = axes.get("measure", []) if command == "run" else []
    if len(settings.measures(among, [], config_dir)[0]) != len(among):
        raise InputError(f"{among[0]}: a job of a sweep has one measure; separate several by commas.")

    def composed(texts: Sequence[str]) -> dict[str, Any]:
        return plain(node_of(texts), "run")

    for values in itertools.product(*(axes[key] for key in order)):
        words = [value for key, value in zip(order, values, strict=True) if key in (varied or axes)]
        job = [*files, *values]
        # Hydra writes the values of a sweep with a backslash before what its grammar would read.
        shown = [re.sub(r"\\([\\()\[\]{}:=, \t])", r"\1", word) for word in words]
        title = " ".join(shown if command == "run" else [command, *shown]) or "defaults"
        try:
            if command == "run":
                jobs = [(title, requests.run(job, config_dir, among=among, values_of=composed))]
            elif command == "sensitivity":
                jobs = [(title, requests.sensitivity(job, config_dir))]
            else:
                pairs = requests.joint(job, config_dir)
                one = len(pairs) == 1
                jobs = [(title if one else f"{title} {' and '.join(pair.names)}", pair) for pair in pairs]
            for _, made in jobs:
                _check(made)
        except InputError as error:
            raise InputError(f"{title}: {error}" if varied or command != "run" else str(error)) from error
        titled += jobs
    return titled


def _check(request: Swept) -> None:
    if isinstance(request, SensitivityRequest) and request.spectrum is not None:
        raise InputError(
            "A sweep cannot run spectrum=FILE, which stores no result; use `simopt sensitivity`."
        )
    if request.log.dir is None:
        raise InputError("log.dir is null, but a sweep must store its results; give log.dir=FOLDER.")
    request.check()


def _of_parts(parts: Sequence[str], user: Axes, *, own_data: bool) -> Commands:
    """Return the commands of all parts of an experiment, with the overrides of the user applied.

    If the user names data of their own, these replace the datasets of the parts.
    """
    if not parts:
        raise InputError("The parts of the experiment are empty; list commands with their overrides.")
    unused = {_root(key) for key in user}
    commands = []
    for part in parts:
        command, *words = shlex.split(part) or [""]
        checks.one_of(command, COMMANDS, "command of a part")
        allowed = keys(command)
        axes = {
            key: values for key, values in _axes(words).items() if _root(key) != "dataset" or not own_data
        }
        for key, values in user.items():
            root = _root(key)
            if command == "sensitivity" and key == "measure":
                axes[key] = [f"measure=[{','.join(value.partition('=')[2] for value in values)}]"]
            elif root in allowed:
                axes[key] = values
            else:
                continue
            unused.discard(root)
        commands.append((command, axes))
    if unused:
        everywhere = {key for command in COMMANDS for key in keys(command)}
        raise checks.unknown(min(unused), everywhere, "key of the experiment's parts")
    return commands


def _root(key: str) -> str:
    """Return the first name of a key, as ``dataset`` of ``++dataset.source``."""
    return re.split(r"[./@]", key.lstrip("+~"))[0]


def _axes(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Return the values that each key takes in turn, as overrides; the last ones of a repeated key."""
    parsed = zip(overrides, parse(overrides), strict=True)
    return {override.get_key_element(): _values(override, text) for text, override in parsed}


def _values(override: Override, text: str) -> list[str]:
    if not override.is_sweep_override():
        return [text]
    if not override.is_discrete_sweep():
        raise InputError(
            f"{text}: an interval has infinitely many values; list the values, separated by commas."
        )
    swept = override.value()
    if isinstance(swept, RangeSweep):
        _countable(swept, text)
    values = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    if not values:
        raise InputError(f"{text}: no value matches, so there is no job; give at least one value.")
    return values


def _countable(swept: RangeSweep, text: str) -> None:
    """Refuse a range of more values than there can be jobs, before Hydra lists them."""
    start, stop, step = swept.start or 0, swept.stop or 0, swept.step
    beyond = start + step * _MOST_JOBS
    if start == beyond or not (stop <= beyond if step > 0 else stop >= beyond):
        raise InputError(f"{text}: more than {_MOST_JOBS} values; divide them into several sweeps.")
