"""Compose overrides to a configuration of plain values; no other module calls Hydra's compose."""

from __future__ import annotations

import contextlib
import importlib
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
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

_REQUESTS = {
    "run": ("run_request", "RunRequest"),
    "sensitivity": ("sensitivity_request", "SensitivityRequest"),
    "joint": ("joint", "JointRequest"),
}
COMMANDS = tuple(_REQUESTS)
"""The commands with a YAML file in ``configs``."""
NodeOf = Callable[..., DictConfig]

_GROUPS = ("measure", "dataset", "optimizer", "init", "decoder")
_OPEN_NODE = re.compile(rf"^(?=({'|'.join(_GROUPS)})\.)")
"""Groups whose options their classes define: with ``++`` Hydra adds an option that the YAML file lacks."""
_REMOVED = {
    ("run", "cuda_graphs"): "leave it out; the usual loop does the same steps",
    ("run", "log.flush_seconds"): "log.checkpoint_seconds is the time between two writes",
    ("joint", "third"): "leave it out; a joint range has two measures",
    ("joint", "at"): "leave it out; levels=[...] are the scores at which the first measure is held",
    ("joint", "samples"): "leave it out; the data are those of dataset=NAME",
}
"""The keys that commands had in former versions, with the remedy for each."""
_LONGEST = 10_000  # characters; Hydra's parser needs seconds for a longer override
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a name",
}
_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}


def request_type(command: str) -> type[Request[Any]]:
    """Return the request class of a command; its module, which may load torch, is imported only now."""
    module, name = _REQUESTS[command]
    kind: type[Request[Any]] = getattr(importlib.import_module(f"simopt.workflows.{module}"), name)
    return kind


def compose(command: str, overrides: Sequence[str], config_dir: Path | None = None) -> dict[str, Any]:
    """Return the plain values, by key, of the YAML file of a command after overrides in Hydra's grammar.

    Parameters
    ----------
    command : {"run", "sensitivity", "joint"}
    overrides : sequence of str
        The overrides, for instance ``["measure=cka", "optimizer.lr=0.05"]``.
    config_dir : Path, optional
        A folder with the user's YAML files (``measure/NAME.yaml``, ...), which is searched as well.

    Raises
    ------
    InputError
        An override cannot be read or applied, a choice is unknown, or a value has a wrong type.
    """
    for override in overrides:
        if override.lstrip("+~").startswith(("hydra/launcher", "hydra/sweeper", "hydra.launcher")):
            raise InputError(
                f"{override}: `simopt {command}` computes one result; use `simopt sweep` to launch jobs."
            )
    with session(config_dir, command) as node_of:
        return plain(node_of(overrides), command)


def plain(node: DictConfig, command: str) -> dict[str, Any]:
    """Return a composed configuration as plain values, after checking that the command has its keys.

    Raises
    ------
    InputError
        A key is unknown, or the configuration has lost its schema.
    """
    expected = schema(request_type(command))
    for key in node:
        checks.one_of(str(key), keys(command), f"key of {command}")
    if OmegaConf.get_type(node) is not expected:  # types of values are no longer checked
        raise InputError(f"The configuration has lost its schema; keep {command}_schema in its defaults.")
    values: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in values.items()}


def keys(command: str) -> list[str]:
    """Return the keys of a command."""
    return [key.name for key in fields(schema(request_type(command)))]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides with Hydra's parser. Within a :func:`session` it expands ``glob(*)``.

    Raises
    ------
    InputError
        An override cannot be read.
    """
    for text in overrides:
        _short(text)
    hydra = GlobalHydra.instance()
    parser = OverridesParser.create(config_loader=hydra.config_loader() if hydra.is_initialized() else None)
    try:
        return list(parser.parse_overrides(list(overrides)))
    except (OverrideParseException, ValueError) as error:
        raise _unreadable(error) from error


@contextlib.contextmanager
def session(config_dir: Path | None, command: str = "run") -> Iterator[NodeOf]:
    """Yield a function that composes overrides to a configuration; Hydra's errors become InputErrors."""
    search = [] if config_dir is None else [_searchpath(config_dir)]
    ConfigStore.instance().store(name=f"{command}_schema", node=schema(request_type(command)))

    def node_of(overrides: Sequence[str], **options: bool) -> DictConfig:
        expanded = [_opened(override, command) for override in overrides]
        catalogue.refuse_both_spellings([_key(override) for override in overrides])
        try:
            return hydra_compose(command, [*search, *expanded], **options)
        except (HydraException, OmegaConfBaseException, ValueError):
            raise
        # Hydra does not check every combination of overrides, and stumbles over some in its own code.
        except (TypeError, AttributeError, LookupError, AssertionError, RecursionError) as error:
            raise InputError(f"Two overrides contradict ({_first_line(error)}); drop one.") from error

    outer = GlobalHydra.instance().hydra  # in a job of a sweep, that of the sweep: Hydra has one per process
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


def _opened(override: str, command: str) -> str:
    """Return an override as Hydra takes it: an option of a group may be one that its YAML file lacks."""
    _short(override)
    group, _, name = override.partition("=")
    if group in _GROUPS:
        value = parse([override])[0].value()
        if isinstance(value, int | float):
            raise checks.unknown(name, catalogue.names(group), group)
        # Of a list Hydra would merge the options of all entries, under the name of the last.
        if isinstance(value, list) and len(value) > 1:
            names = ",".join(map(str, value))
            raise InputError(
                f"{override}: give one {group}, or run several with simopt sweep {group}={names}."
            )
    key = _key(override)
    # OmegaConf takes any whole number for a truth value.
    if _kind(key, command) == _KINDS[bool] and type(parse([override])[0].value()) is int:
        raise InputError(f"{override}: {key} must be {_KINDS[bool]}.")
    return _OPEN_NODE.sub("++", override)


def _key(override: str) -> str:
    return override.lstrip("+").partition("=")[0]


def _short(override: str) -> None:
    """Refuse an override that Hydra's parser would need many seconds for."""
    if len(override) > _LONGEST:
        raise InputError(
            f"{override[:40]}...: it has {len(override)} characters; at most {_LONGEST} are allowed. "
            "Write the value to a YAML file of your own, and name its folder with --config-dir."
        )


def _searchpath(config_dir: Path) -> str:
    if not config_dir.is_dir():
        raise InputError(f"--config-dir {config_dir}: no such folder; give one with measure/, dataset/, ...")
    return f"hydra.searchpath=[{quoted(f'file://{config_dir.resolve()}')}]"


def _missing(error: MissingConfigException) -> InputError:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    extra = _EXTRAS.get(name) if group == "hydra/launcher" else None
    if extra is not None:
        return InputError(
            f'hydra/launcher={name} is not installed; install it with pip install "simopt[{extra}]".'
        )
    return checks.unknown(name, error.options or [], group) if group else InputError(_first_line(error))


def _unreadable(error: Exception) -> InputError:
    override = str(getattr(error, "override", "")).lstrip("+")
    return InputError(
        f"Cannot read the override {override!r} ({_first_line(error)}); write KEY=VALUE, and quote a VALUE "
        f"that contains = , or [.{_of_path(override)}"
    )


def _of_path(override: str) -> str:
    """Return how a path is written that Hydra cannot read as it stands; empty for other overrides."""
    key, _, path = override.lstrip("+").partition("=")
    if key != "dataset.path":
        return ""
    return f' Write "{key}={quoted(literal(path))}", or name the file itself: simopt run FILE.'


def literal(text: str) -> str:
    """Return a text that OmegaConf reads as ``text``; a backslash keeps "${" from being a reference."""
    return re.sub(r"(\\*)\$\{", lambda at: 2 * at[1] + "\\${", text)


def quoted(text: str) -> str:
    """Return a text as a value of Hydra's grammar: a backslash escapes a quote, and those that precede it."""
    return "'" + re.sub(r"(\\*)('|$)", lambda at: 2 * at[1] + ("\\'" if at[2] else ""), text) + "'"


def _refused(error: Exception, command: str) -> InputError:
    key = re.search(r"Could not override '([^']+)'", str(error))
    if key and (command, key[1]) in _REMOVED:
        return InputError(f"{key[1]} was removed; {_REMOVED[command, key[1]]}.")
    if key and not key[1].startswith("hydra."):
        root, _, option = key[1].partition(".")
        if root not in keys(command):
            return checks.unknown(root, keys(command), f"key of {command}")
        if root == "log":
            allowed = [log_key.name for log_key in fields(request_type(command).log_type)]
            return checks.unknown(option, allowed, "key of log")
    merged = re.match(r"Error merging override (([\w.]+)=.*)", str(error))
    if merged and (kind := _kind(merged[2], command)):
        return InputError(f"{merged[1]}: {merged[2]} must be {kind.format(key=merged[2])}.")
    several = re.match(r"Ambiguous value for argument '([^']+)'", str(error))
    if several:
        override = several[1].lstrip("+")
        sweep = f"; `simopt sweep {override}` runs several values" if command == "run" else ""
        return InputError(
            f"{override}: `simopt {command}` takes one value, but the comma separates several; "
            f"write a list as [a,b]{sweep}.{_of_path(override)}"
        )
    cause = f": {_first_line(error.__cause__)}" if error.__cause__ else ""
    of_path = " To take a path as it is: simopt run FILE." if "full_key: dataset.path" in str(error) else ""
    return InputError(f"{_first_line(error)}{cause}.{of_path}")


def _kind(key: str, command: str) -> str:
    """Return what the value of a key must be, in words; empty if the schema does not say."""
    hint: Any = schema(request_type(command))
    for name in key.split("."):
        hint = typing.get_type_hints(hint).get(name) if is_dataclass(hint) else None
    if typing.get_origin(hint) is typing.Union:
        hint = typing.get_args(hint)[0]  # the other one is None
    if is_dataclass(hint):
        return "set key by key, for instance {key}.dir=FOLDER"
    if typing.get_origin(hint) is list:
        entry = _KINDS.get(typing.get_args(hint)[0])
        return "a list, written {key}=[...]" + (f", each entry {entry}" if entry else "")
    return "a list, written {key}=[...]" if hint is list else _KINDS.get(hint, "")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
