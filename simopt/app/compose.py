"""From overrides to a checked configuration; the only user of Hydra's compose."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from simopt import catalogue, checks
from simopt.app.schema import JointConfig, LogConfig, RunConfig, SensitivityConfig
from simopt.errors import InputError

_OPEN_NODE = re.compile(r"^(?=(measure|dataset|optimizer|init|decoder)\.)")
"""Options of open nodes are added where the yaml does not have them: their class says which there are."""
_LONGEST = 10_000
_MOST_JOBS = 10_000
_SCHEMAS: dict[str, type] = {"run": RunConfig, "sensitivity": SensitivityConfig, "joint": JointConfig}
_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}


@dataclass(frozen=True)
class Composed:
    """A configuration: as an object, and as the YAML that a run file keeps."""

    config: RunConfig
    yaml: str


@dataclass(frozen=True)
class Combination:
    """One job of a sweep: what it is called, by the overrides in which it differs, and what it is.

    Attributes
    ----------
    title : str
    composed : Composed or None
        The configuration of a run.
    command : str
        ``run``, or the analysis.
    overrides : tuple of str
        Of an analysis.
    """

    title: str
    composed: Composed | None
    command: str = "run"
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Launcher:
    """How Hydra is to launch jobs: the choice of ``hydra/launcher``, and all of its options."""

    choice: str
    options: dict[str, Any]


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
    with _hydra(config_dir) as node_of:
        return _checked(node_of(overrides))


def compose_analysis(command: str, overrides: Sequence[str], config_dir: Path | None = None) -> Any:
    """Compose the configuration of a command other than run, ``<command>.yaml``, and check it.

    Raises
    ------
    InputError
        As :func:`compose`.
    """
    with _hydra(config_dir, command) as node_of:
        node = node_of(overrides)
        return _typed(node, command)


def compose_sweep(
    overrides: Sequence[str], config_dir: Path | None = None
) -> tuple[list[Combination], Launcher]:
    """Compose every combination of overrides in Hydra's grammar of sweeps, and check them all.

    ``hydra.sweeper.params`` of an experiment enter as overrides do. They may also be ``parts``, a list of
    commands with overrides, as ``sensitivity dataset=majaj,mante``; overrides go to all parts whose command
    knows them, ``log.dir`` as ``dir``, and a dataset that is given takes the place of theirs. Jobs of a part
    with the same dataset follow one another, so that it is loaded once.

    Raises
    ------
    InputError
        As :func:`compose`; or a launcher that is not installed, or a sweeper that does not list its jobs.
    """
    combinations = []
    with _hydra(config_dir) as node_of:
        given = _axes(overrides)
        experiments = given.pop(next((key for key in given if key.lstrip("+") == "experiment"), ""), None)
        of_hydra = [values[0] for key, values in given.items() if key.startswith("hydra")]
        for chosen in [[]] if experiments is None else [[experiment] for experiment in experiments]:
            node = node_of([*chosen, *of_hydra], return_hydra_config=True)
            hydra = node.hydra
            if not hydra.sweeper._target_.endswith(".BasicSweeper"):
                raise InputError(
                    f"hydra/sweeper={hydra.runtime.choices['hydra/sweeper']}: `simopt sweep` lists its jobs "
                    "before it starts one; only the basic sweeper can."
                )
            params = dict(hydra.sweeper.params or {})
            if "parts" in params:
                combinations += _of_parts(list(params["parts"]), given, node_of)
            else:
                axes = _axes([f"{key}={value}" for key, value in params.items()])
                combinations += _combined("run", _axes(chosen) | axes | given, node_of)
    options: Any = OmegaConf.to_container(hydra.launcher, resolve=False)
    return combinations, Launcher(hydra.runtime.choices["hydra/launcher"], options)


def _combined(
    command: str, axes: Mapping[str, list[str]], node_of: Callable[..., DictConfig]
) -> list[Combination]:
    """Return every combination of the values of some keys, that of the dataset changing least often."""
    order = sorted(axes, key=lambda key: not key.lstrip("+").startswith("dataset"))
    varied = {key for key in axes if len(axes[key]) > 1}
    told = varied or {key for key in axes if not key.startswith("hydra")}
    jobs = math.prod(map(len, axes.values()))
    if jobs > _MOST_JOBS:
        raise InputError(f"{jobs} jobs; a sweep takes {_MOST_JOBS} at most: divide them among several.")
    combinations = []
    for values in itertools.product(*(axes[key] for key in order)):
        words = [value for key, value in zip(order, values, strict=True) if key in told]
        if command != "run":
            combinations.append(Combination(" ".join([command, *words]), None, command, values))
            continue
        title = " ".join(words) or "defaults"
        try:
            combinations.append(Combination(title, _checked(node_of(list(values)))))
        except InputError as error:
            raise InputError(f"{title}: {error}" if varied else str(error)) from error
    return combinations


def _of_parts(
    parts: Sequence[str], given: Mapping[str, list[str]], node_of: Callable[..., DictConfig]
) -> list[Combination]:
    """Return the combinations of all parts of an experiment, changed by the overrides that are given."""
    if not parts:
        raise InputError("parts of the experiment is empty; give commands with overrides.")
    unused = {_root(key) for key in given} - {"hydra"}
    combinations = []
    for part in parts:
        command, *own = shlex.split(part) or [""]
        checks.one_of(command, _SCHEMAS, "command of a part")
        known = _keys(_SCHEMAS[command])
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
            elif root == "log" and key.partition(".")[2] in known:
                axes[key.partition(".")[2]] = [value.partition(".")[2] for value in values]
            else:
                continue
            unused.discard(root)
        combinations += _combined(command, axes, node_of)
    if unused:
        every = {key for schema in _SCHEMAS.values() for key in _keys(schema)}
        raise checks.unknown(min(unused), every, "key of the experiment's parts")
    return combinations


def _root(key: str) -> str:
    """Return the first name of a key: ``dataset`` of ``++dataset.source``."""
    return re.split(r"[./@]", key.lstrip("+~"))[0]


def restore(yaml: str) -> Composed:
    """Return the configuration of the YAML that :func:`compose` made of it."""
    node = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.create(yaml))
    config = OmegaConf.to_object(node)
    assert isinstance(config, RunConfig)
    return Composed(config, yaml)


def _axes(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Return the values that each key takes in turn, written as overrides; of a key given twice, the last."""
    for text in overrides:
        _short(text)
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


@contextlib.contextmanager
def _hydra(config_dir: Path | None, command: str = "run") -> Iterator[Callable[..., DictConfig]]:
    """Give a function that composes overrides to a node; what Hydra refuses becomes an InputError."""
    search = [] if config_dir is None else [_searchpath(config_dir)]
    ConfigStore.instance().store(name=f"{command}_schema", node=_SCHEMAS[command])

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
        raise InputError(
            f"{_unreadable(error)}; expected key=value, quoted where the value has = , or [."
        ) from error
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key} has no value; give one with {error.full_key}=VALUE.") from error
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise _refused(error, command) from error
    finally:
        GlobalHydra.instance().hydra = outer


def _known(node: DictConfig, command: str) -> None:
    for key in node:
        checks.one_of(str(key), _keys(_SCHEMAS[command]), f"key of {command}")


def _checked(node: DictConfig) -> Composed:
    return Composed(_typed(node, "run"), OmegaConf.to_yaml(node, resolve=True))


def _typed(node: DictConfig, command: str) -> Any:
    schema = _SCHEMAS[command]
    _known(node, command)
    if OmegaConf.get_type(node) is not schema:
        raise InputError(f"The configuration lost its schema; do not remove {command}_schema.")
    return OmegaConf.to_object(node)


def _expand(override: str, overrides: Sequence[str]) -> list[str]:
    """Write out what Hydra does not know: aliases of measures, one's own function, options of open nodes."""
    _short(override)
    alias = override.removeprefix("measure=").strip("'\"")
    owner = catalogue.aliases("measure").get(alias) if override != alias else None
    if owner is not None:
        options = {**catalogue.read("measure", alias)["aliases"][alias], "name": alias}
        return [f"measure={owner}", *(f"++measure.{key}={_plain(value)}" for key, value in options.items())]
    if override.startswith("measure._target_=") and not any(o.startswith("measure=") for o in overrides):
        return ["measure=function", override]
    return [_OPEN_NODE.sub("++", override)]


def _short(override: str) -> None:
    """Refuse what Hydra's parser would take many seconds to read."""
    if len(override) > _LONGEST:
        raise InputError(
            f"{override[:40]}...: an override of {len(override)} characters; {_LONGEST} is the most. Put it "
            "into a yaml of your own, and name its folder with --config-dir."
        )


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _searchpath(config_dir: Path) -> str:
    if not config_dir.is_dir():
        raise InputError(f"--config-dir {config_dir}: there is no such folder.")
    return f"hydra.searchpath=['file://{config_dir.resolve()}']"


def _missing(error: MissingConfigException) -> InputError:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    extra = _EXTRAS.get(name) if group == "hydra/launcher" else None
    if extra is not None:
        return InputError(f'hydra/launcher={name} is not installed; pip install "simopt[{extra}]" brings it.')
    return checks.unknown(name, error.options or [], group) if group else InputError(_first_line(error))


def _unreadable(error: OverrideParseException) -> str:
    return f"Cannot read the override {error.override!r} ({_first_line(error)})"


def _refused(error: Exception, command: str) -> InputError:
    text = str(error)
    key = re.search(r"Could not override '([^']+)'", text)
    if key and not key[1].startswith("hydra."):
        root, _, option = key[1].partition(".")
        if root not in _keys(_SCHEMAS[command]):
            return checks.unknown(root, _keys(_SCHEMAS[command]), f"key of {command}")
        if root == "log":
            return checks.unknown(option, _keys(LogConfig), "key of log")
    cause = f": {_first_line(error.__cause__)}" if error.__cause__ else ""
    ambiguous = "; a list is written [a,b]" if "Ambiguous value" in text else ""
    return InputError(f"{_first_line(error)}{cause}{ambiguous}.")


def _keys(node: type) -> list[str]:
    return [field.name for field in fields(node)]


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
