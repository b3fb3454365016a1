"""From overrides to a checked configuration; the only user of Hydra's compose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from simopt import catalogue, checks
from simopt.app.schema import LogConfig, RunConfig
from simopt.errors import InputError

_OPEN_NODE = re.compile(r"^(?=(measure|dataset|optimizer|init|decoder)\.)")
"""Options of open nodes are added where the yaml does not have them: their class says which there are."""


@dataclass(frozen=True)
class Composed:
    """A configuration: as an object, and as the YAML that a run file keeps."""

    config: RunConfig
    yaml: str


def compose(overrides: Sequence[str], config_dir: Path | None = None) -> Composed:
    """Compose ``run.yaml`` with overrides in Hydra's grammar, and check it.

    Parameters
    ----------
    overrides : sequence of str
        For instance ``["measure=cka", "optimizer.lr=0.05"]``.
    config_dir : Path, optional
        A folder of the user's own with ``measure/``, ``dataset/``, ... yamls, searched as well.

    Raises
    ------
    InputError
        An override that cannot be read or applied, an unknown choice, or a value out of range.
    """
    for override in overrides:
        if override.lstrip("+~").startswith(("hydra/launcher", "hydra/sweeper", "hydra.launcher")):
            raise InputError(f"{override}: `simopt run` makes one run, here; launchers belong to sweeps.")
    overrides = [part for override in overrides for part in _expand(override, overrides)]
    search = [] if config_dir is None else [_searchpath(config_dir)]
    ConfigStore.instance().store(name="run_schema", node=RunConfig)
    try:
        with initialize_config_dir(str(catalogue.config_dir()), version_base="1.3", job_name="simopt"):
            node = hydra_compose("run", [*search, *overrides])
        for key in node:
            checks.one_of(str(key), _keys(RunConfig), "key of run")
        config = OmegaConf.to_object(node)
        yaml = OmegaConf.to_yaml(node, resolve=True)
    except MissingConfigException as error:
        raise _missing(error) from error
    except OverrideParseException as error:
        raise InputError(
            f"{_unreadable(error)}; expected key=value, quoted where the value has = , or [."
        ) from error
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key} has no value; give one with {error.full_key}=VALUE.") from error
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise _refused(error) from error
    if not isinstance(config, RunConfig):
        raise InputError("The configuration lost its schema; do not remove run_schema.")
    return Composed(config, yaml)


def _expand(override: str, overrides: Sequence[str]) -> list[str]:
    """Write out what Hydra does not know: aliases of measures, one's own function, options of open nodes."""
    alias = override.removeprefix("measure=")
    owner = catalogue.aliases("measure").get(alias) if override != alias else None
    if owner is not None:
        options = {**catalogue.read("measure", alias)["aliases"][alias], "name": alias}
        return [f"measure={owner}", *(f"++measure.{key}={_plain(value)}" for key, value in options.items())]
    if override.startswith("measure._target_=") and not any(o.startswith("measure=") for o in overrides):
        return ["measure=function", override]
    return [_OPEN_NODE.sub("++", override)]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _searchpath(config_dir: Path) -> str:
    if not config_dir.is_dir():
        raise InputError(f"--config-dir {config_dir}: there is no such folder.")
    return f"hydra.searchpath=['file://{config_dir.resolve()}']"


def _missing(error: MissingConfigException) -> InputError:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    return checks.unknown(name, error.options or [], group) if group else InputError(_first_line(error))


def _unreadable(error: OverrideParseException) -> str:
    return f"Cannot read the override {error.override!r} ({_first_line(error)})"


def _refused(error: Exception) -> InputError:
    text = str(error)
    key = re.search(r"Could not override '([^']+)'", text)
    if key:
        path, _, last = key[1].rpartition(".")
        return checks.unknown(
            last, _keys(LogConfig if path == "log" else RunConfig), f"key of {path or 'run'}"
        )
    cause = f": {_first_line(error.__cause__)}" if error.__cause__ else ""
    ambiguous = "; a list is written [a,b]" if "Ambiguous value" in text else ""
    return InputError(f"{_first_line(error)}{cause}{ambiguous}.")


def _keys(node: type) -> list[str]:
    return [field.name for field in fields(node)]


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
