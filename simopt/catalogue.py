"""The yaml catalogue: which measures, datasets, optimizers there are, and how to build one.

A yaml names a class in ``_target_`` and its options; this module reads it plainly, without Hydra, so that
a notebook and the command line build the same object from the same file.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from simopt import checks
from simopt.errors import InputError, warn_renamed
from simopt.typing import Node

_NAMES = ("name", "aliases")
_COMPLETE = ("measure", "dataset", "decoder", "init")
"""Groups whose yamls list every option of their classes: options are checked without importing these."""

FORMER_NAMES = {
    "angle_normalised": "angle_normalized",
    "centred": "centered",
    "centre_units": "center_units",
    "normalised": "normalized",
    "normaliser": "normalizer",
    "procrustes_normalised": "procrustes_normalized",
    "standardise": "standardize",
}
"""British spellings of measures, options and values that are still read, and what they are called now."""

REVISIONS: dict[str, int] = {}
"""The dotted name of what computes numbers, and its revision where that is not 1.

Whoever changes the numbers raises the revision, so that results stored before are not taken for new ones.
"""


def revision(name: str) -> int:
    """Return the revision of the class or function of this dotted name: 1 unless its numbers have changed."""
    return REVISIONS.get(name, 1)


def outdated(revisions: Mapping[str, Any]) -> list[str]:
    """Return what has been revised since numbers were made, of the revisions by which they were made."""
    return [
        f"{name} {number}, now {revision(name)}"
        for name, number in revisions.items()
        if isinstance(number, int) and number < revision(name)
    ]


def current(name: str) -> str:
    """Return the name that a measure, an option or a value has now; warn where a former one is used."""
    renamed = FORMER_NAMES.get(name)
    if renamed is not None:
        warn_renamed(name, renamed)
    return renamed or name


def _renamed(node: Node) -> dict[str, Any]:
    """Return a node of one of simopt's classes with the names that its options and values have now.

    An option under its former name was chosen by the user, so it replaces the default under the new one.
    """
    if not str(node.get("_target_")).startswith("simopt."):
        return dict(node)
    values = {
        key: current(value) if isinstance(value, str) and key not in _NAMES else value
        for key, value in node.items()
    }
    former = {current(key): values.pop(key) for key in node if key in FORMER_NAMES}
    return {**values, **former}


def config_dir() -> Path:
    """Return the folder of configs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "run.yaml").is_file():
            return folder
    raise InputError(f"No configs beside {package}: the installation is incomplete; install simopt again.")


def root(command: str) -> dict[str, Any]:
    """Return the yaml of a command's own configuration: ``run``, ``joint`` or ``sensitivity``."""
    return copy.deepcopy(_parse(config_dir() / f"{command}.yaml"))


def names(group: str) -> list[str]:
    """Return the names in a group (``measure``, ``dataset``, ``optimizer``, ...), sorted."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def aliases(group: str) -> dict[str, str]:
    """Return the aliases in a group, each with the name of the entry it belongs to."""
    folder = config_dir() / group
    return {
        alias: name for name in names(group) for alias in _parse(folder / f"{name}.yaml").get("aliases", {})
    }


def has(group: str, name: str) -> bool:
    """Return whether a group has an entry of this name, alias or former name."""
    return name in names(group) or name in aliases(group) or name in FORMER_NAMES


def read(group: str, name: str) -> dict[str, Any]:
    """Return the yaml of one entry, found by its name, or by an alias and then with the options of that.

    ``aliases`` of a yaml maps an alias to the options that make it: ``{cka-linear-song: {estimator: song}}``.

    Raises
    ------
    InputError
        There is no such name; the nearest ones are given.
    """
    name, known = current(name), names(group)
    if name in known:
        return _load(group, name)
    owner = aliases(group).get(name)
    if owner is not None:
        node = _load(group, owner)
        return {**node, **node["aliases"][name], "name": name}
    raise checks.unknown(name, [*known, *aliases(group)], group)


def node(group: str, given: str | Node, **options: Any) -> dict[str, Any]:
    """Return the node of an entry, or a node as it is given, with options over it, once its keys are checked.

    Nothing is built and, but for a class or function of the user's own, nothing is imported: what the options
    may be is known when the entry is built.

    Parameters
    ----------
    group : str
        For instance ``measure``.
    given : str or mapping
        A name, or a node with ``_target_``.
    **options

    Raises
    ------
    InputError
        An unknown name or option.
    """
    if isinstance(given, str):
        given = read(group, given)
    elif not isinstance(given, Mapping):
        raise InputError(f"{group} is {given!r}; choose one with {group}=NAME.")
    chosen = _renamed({**given, **options})
    if "_object_" in given and not options:
        return chosen  # a measure that a caller holds
    target = chosen.get("_target_")
    known = _keys(group).get(target) if isinstance(target, str) and group in _COMPLETE else None
    title = f"{group} {chosen.get('name', '')}".rstrip()
    if known is not None:
        for option in chosen:
            if option not in known:
                valid = [name for name in known if name not in ("_target_", *_NAMES)]
                raise InputError(f"{title} has no option {option!r}; it has: {', '.join(valid) or 'none'}.")
    elif group in _COMPLETE:
        own = {key: value for key, value in chosen.items() if key not in ("_target_", "_partial_", *_NAMES)}
        check_options(locate(target, group), own, title, partial=group == "measure")
    return chosen


def identity(node: Node) -> dict[str, Any]:
    """Return what of a node changes a result: its class, its options, and the code behind them.

    Names do not enter, nor do options of simopt and torch at null, false or empty: so one that is added later
    leaves the ids of stored results as they are. Of a class or function of the user's own all options enter,
    whatever their defaults are, and its source; of others a revision that is not 1.
    """
    target = str(node.get("_target_"))
    own = target.partition(".")[0] not in ("simopt", "torch")
    options = {
        key: checks.as_identity(value)
        for key, value in node.items()
        if key not in ("_partial_", "_object_", *_NAMES) and (own or is_set(value))
    }
    if own and (code := source_of(target, node.get("_object_"))):
        options["code"] = code
    if revision(target) != 1:
        options["revision"] = revision(target)
    return options


def is_set(value: object) -> bool:
    """Return whether a value is neither null, nor false, nor empty."""
    empty = isinstance(value, str | list | tuple | Mapping) and not value
    return value is not None and value is not False and not empty


def source_of(target: str, held: Any = None) -> str:
    """Return the source of a class or function of the user's own; empty where there is none.

    Parameters
    ----------
    target : str
        Its dotted name.
    held : object
        A measure of that class, or made of that function, where a caller holds one.
    """
    try:
        code = locate(target, "code") if held is None else getattr(held, "function", type(held))
        return inspect.getsource(code)
    except (OSError, TypeError):
        return ""


@functools.cache
def _keys(group: str) -> dict[str, list[str]]:
    """Return the keys of the nodes of a group, by the class that they name."""
    known: dict[str, list[str]] = {}
    for name in names(group):
        entry = _parse(config_dir() / group / f"{name}.yaml")
        if name != "function" and "_target_" in entry:
            known.setdefault(entry["_target_"], []).extend(entry)
    return {target: list(dict.fromkeys(keys)) for target, keys in known.items()}


def _load(group: str, name: str) -> dict[str, Any]:
    return copy.deepcopy(_parse(config_dir() / group / f"{name}.yaml"))


@functools.cache
def _parse(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})


def build(node: Node, what: str, kind: type | None = None, *, partial: bool = False) -> Any:
    """Call what ``_target_`` names with the other entries of a node as its options.

    Parameters
    ----------
    node : mapping
        ``_target_`` is the dotted path of a class or function.
    what : str
        How errors call it, for instance ``measure``.
    kind : type, optional
        What ``_target_`` has to be a class of; anything else is refused before it is called.
    partial : bool
        Return it with the options bound, to be called later; a node may say so by ``_partial_: true``.

    Raises
    ------
    InputError
        The path leads nowhere or to another kind, an option is unknown, missing or refused, or
        ``_partial_`` stands where nothing is called later.
    """
    options = {key: value for key, value in _renamed(node).items() if key not in ("_target_", "_partial_")}
    missing = next((key for key, value in options.items() if isinstance(value, str) and value == "???"), None)
    if missing is not None:
        raise InputError(f"{what}.{missing} has no value; give one with {what}.{missing}=VALUE.")
    target = locate(node.get("_target_"), what)
    if kind is not None and not (inspect.isclass(target) and issubclass(target, kind)):
        raise InputError(
            f"{what}: _target_ {node.get('_target_')!r} is not a {kind.__module__}.{kind.__qualname__}."
        )
    title = f"{what} {options.get('name', target.__name__)}"
    if not partial and node.get("_partial_"):
        raise InputError(f"{title}: _partial_ is {node['_partial_']!r}; only an optimizer is called later.")
    check_options(target, options, title, partial=partial)
    try:
        return functools.partial(target, **options) if partial else target(**options)
    except TypeError as error:
        raise InputError(f"{title}: {error}.") from error


def locate(path: object, what: str) -> Callable[..., Any]:
    """Return the class or function of a dotted path.

    Raises
    ------
    InputError
        The path leads nowhere.
    """
    if not isinstance(path, str) or "." not in path or not all(map(str.isidentifier, path.split("."))):
        raise InputError(f"{what}: _target_ is {path!r}; it must be the dotted path of a class or function.")
    module, _, attribute = path.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{what}: _target_ {path!r} cannot be imported ({error}).") from error
    # A module of the user's own may end in anything while it is imported.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{what}: _target_ {path!r} cannot be imported ({reason}).") from error
    if not callable(target) or not hasattr(target, "__name__"):
        raise InputError(f"{what}: _target_ {path!r} is not a class or function.")
    return target  # type: ignore[no-any-return]


def check_options(target: Callable[..., Any], options: Node, title: str, *, partial: bool) -> None:
    """Refuse options that are no parameters of a class or function, where it tells them.

    Parameters
    ----------
    target : callable
    options : mapping
    title : str
        How the error calls it.
    partial : bool
        Whether parameters without a default are given later: they are not offered.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (ValueError, TypeError):  # some of Python's own have none
        return
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    hidden = {name for name, p in parameters.items() if partial and p.default is p.empty} | set(_NAMES)
    for option in options:
        if option not in parameters:
            valid = [name for name in parameters if name not in hidden]
            raise InputError(f"{title} has no option {option!r}; it has: {', '.join(valid) or 'none'}.")
