"""From overrides to a configuration of plain values; the only user of Hydra's compose."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from simopt import catalogue, checks
from simopt.app.config.schema import schema
from simopt.errors import InputError
from simopt.workflows.request import Request

_HOMES = {
    "run": ("run_request", "RunRequest"),
    "sensitivity": ("sensitivity_request", "SensitivityRequest"),
    "joint": ("joint", "JointRequest"),
}
COMMANDS = tuple(_HOMES)
"""The commands that have a yaml of their own."""
NodeOf = Callable[..., DictConfig]

_OPEN_NODE = re.compile(r"^(?=(measure|dataset|optimizer|init|decoder)\.)")
"""Options of open nodes are added where the yaml does not have them: their class says which there are."""
_REMOVED = {
    "cuda_graphs": "leave it out, the usual loop does the same steps",
    "log.flush_seconds": "rows are written with each checkpoint, every log.checkpoint_seconds",
    "third": "leave it out; a joint range has two measures",
    "at": "leave it out; levels=[...] are the scores that the first measure is held at",
    "samples": "leave it out; X and Y are of dataset=NAME",
}
"""Keys that a command had, and what to do without them."""
_LONGEST = 10_000
_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}


def request_type(command: str) -> type[Request[Any]]:
    """Return what a command asks for. It is imported here, as those of analyses load torch."""
    module, name = _HOMES[command]
    kind: type[Request[Any]] = getattr(importlib.import_module(f"simopt.workflows.{module}"), name)
    return kind


def compose(command: str, overrides: Sequence[str], config_dir: Path | None = None) -> dict[str, Any]:
    """Compose the yaml of a command with overrides in Hydra's grammar; return plain values by key.

    Parameters
    ----------
    command : {"run", "sensitivity", "joint"}
    overrides : sequence of str
        For instance ``["measure=cka", "optimizer.lr=0.05"]``.
    config_dir : Path, optional
        A folder of the user's own with ``measure/``, ``dataset/``, ... yamls, searched as well.

    Raises
    ------
    InputError
        An override that cannot be read or applied, an unknown choice, or a value of another type.
    """
    for override in overrides:
        if override.lstrip("+~").startswith(("hydra/launcher", "hydra/sweeper", "hydra.launcher")):
            raise InputError(f"{override}: `simopt {command}` makes one; launchers belong to sweeps.")
    with session(config_dir, command) as node_of:
        return plain(node_of(overrides), command)


def plain(node: DictConfig, command: str) -> dict[str, Any]:
    """Return a composed node as plain values, once its keys are known to be those of the command.

    Raises
    ------
    InputError
        Another key, or one that lost its type.
    """
    wanted = schema(request_type(command))
    for key in node:
        checks.one_of(str(key), keys(command), f"key of {command}")
    if OmegaConf.get_type(node) is not wanted:
        raise InputError(f"The configuration lost its schema; do not remove {command}_schema.")
    values: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in values.items()}


def keys(command: str) -> list[str]:
    """Return the keys of a command."""
    return [each.name for each in fields(schema(request_type(command)))]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Return overrides as Hydra reads them.

    Raises
    ------
    InputError
        One that cannot be read.
    """
    for text in overrides:
        short(text)
    try:
        return list(OverridesParser.create().parse_overrides(list(overrides)))
    except (OverrideParseException, ValueError) as error:
        raise _unreadable(error) from error


@contextlib.contextmanager
def session(config_dir: Path | None, command: str = "run") -> Iterator[NodeOf]:
    """Give a function that composes overrides to a node; what Hydra refuses becomes an InputError."""
    search = [] if config_dir is None else [_searchpath(config_dir)]
    ConfigStore.instance().store(name=f"{command}_schema", node=schema(request_type(command)))

    def node_of(overrides: Sequence[str], **options: bool) -> DictConfig:
        expanded = [part for override in overrides for part in _expand(override, overrides)]
        try:
            return hydra_compose(command, [*search, *expanded], **options)
        except (HydraException, OmegaConfBaseException, ValueError):
            raise
        # Hydra takes some combinations apart without looking.
        except (TypeError, AttributeError, LookupError, AssertionError, RecursionError) as error:
            raise InputError(f"These overrides do not fit together ({_first_line(error)}).") from error

    outer = GlobalHydra.instance().hydra  # that of the sweep, in its jobs
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(catalogue.config_dir()), version_base="1.3", job_name="simopt"):
            yield node_of
    except MissingConfigException as error:
        raise _missing(error) from error
    except OverrideParseException as error:
        raise _unreadable(error) from error
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key} has no value; give one with {error.full_key}=VALUE.") from error
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise _refused(error, command) from error
    finally:
        GlobalHydra.instance().hydra = outer


def _expand(override: str, overrides: Sequence[str]) -> list[str]:
    """Write out what Hydra does not know: aliases of measures, one's own function, options of open nodes."""
    short(override)
    alias = override.removeprefix("measure=").strip("'\"")
    if override != alias and alias in catalogue.FORMER_NAMES:
        return [f"measure={catalogue.current(alias)}"]
    owner = catalogue.aliases("measure").get(alias) if override != alias else None
    if owner is not None:
        options = {**catalogue.read("measure", alias)["aliases"][alias], "name": alias}
        return [f"measure={owner}", *(f"++measure.{key}={_written(value)}" for key, value in options.items())]
    if override.startswith("measure._target_=") and not any(o.startswith("measure=") for o in overrides):
        return ["measure=function", override]
    return [_OPEN_NODE.sub("++", override)]


def short(override: str) -> None:
    """Refuse what Hydra's parser would take many seconds to read.

    Raises
    ------
    InputError
        An override of more than 10,000 characters.
    """
    if len(override) > _LONGEST:
        raise InputError(
            f"{override[:40]}...: an override of {len(override)} characters; {_LONGEST} is the most. Put it "
            "into a yaml of your own, and name its folder with --config-dir."
        )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _searchpath(config_dir: Path) -> str:
    if not config_dir.is_dir():
        raise InputError(f"--config-dir {config_dir}: there is no such folder.")
    place = f"file://{config_dir.resolve()}".replace("\\", "\\\\").replace("'", "\\'")
    return f"hydra.searchpath=['{place}']"


def _missing(error: MissingConfigException) -> InputError:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    extra = _EXTRAS.get(name) if group == "hydra/launcher" else None
    if extra is not None:
        return InputError(f'hydra/launcher={name} is not installed; pip install "simopt[{extra}]" brings it.')
    return checks.unknown(name, error.options or [], group) if group else InputError(_first_line(error))


def _unreadable(error: Exception) -> InputError:
    override = getattr(error, "override", "")
    return InputError(
        f"Cannot read the override {override!r} ({_first_line(error)}); expected key=value, quoted where the "
        "value has = , or [."
    )


def _refused(error: Exception, command: str) -> InputError:
    key = re.search(r"Could not override '([^']+)'", str(error))
    if key and key[1] in _REMOVED:
        return InputError(f"{key[1]} was removed; {_REMOVED[key[1]]}.")
    if key and not key[1].startswith("hydra."):
        root, _, option = key[1].partition(".")
        if root not in keys(command):
            return checks.unknown(root, keys(command), f"key of {command}")
        if root == "log":
            known = [each.name for each in fields(request_type(command).log_type)]
            return checks.unknown(option, known, "key of log")
    cause = f": {_first_line(error.__cause__)}" if error.__cause__ else ""
    several = "; run takes one value, for several: simopt sweep" if "Ambiguous value" in str(error) else ""
    return InputError(f"{_first_line(error)}{cause}{several}.")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
