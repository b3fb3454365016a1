"""The yaml catalogue of measures, datasets, optimizers and decoders, and functions that build an entry.

The yaml of an entry names a class in ``_target_`` and lists its options; read as a dict, it is a
configuration node. This module reads yamls without Hydra, so that Python and the command line build the same
object from the same file. A group is a folder of yamls, for instance ``measure``.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from simopt import checks
from simopt.errors import InputError, warn_renamed
from simopt.typing import Node

_NAMES = ("name", "aliases")
_MEASURES = "simopt.measures."
_SHOWN = 6
"""How many measures an error lists of those that lack an option."""
_COMPLETE = ("measure", "dataset", "decoder", "init")
"""Groups whose yamls list every option of their classes, so that options are checked without an import."""

FORMER_NAMES = {
    "angle_normalised": "angle_normalized",
    "centred": "centered",
    "centre_units": "center_units",
    "normalised": "normalized",
    "normaliser": "normalizer",
    "procrustes_normalised": "procrustes_normalized",
    "standardise": "standardize",
}
"""Current names of measures, options and values by their former British spellings, which are still read."""

REVISIONS: dict[str, int] = {
    "simopt.analysis.attribution.leave_one_pc": 2,
    "simopt.analysis.attribution.leave_one_sample": 2,
    "simopt.analysis.attribution.leave_one_unit": 2,
    "simopt.analysis.ceilings.from_trials": 3,
    "simopt.analysis.decoding.Decoder": 2,
    "simopt.analysis.nulls.nulls": 3,
    "simopt.measures.matching.Matching": 2,
    "simopt.measures.matching.PairwiseMatching": 2,
    "simopt.measures.neighbors.Neighborhood": 2,
    "simopt.measures.predictivity.Predictivity": 3,
    "simopt.measures.procrustes.Procrustes": 2,
    "simopt.measures.regression.Regression": 2,
    "simopt.measures.rsa.RSA": 2,
    "simopt.ranges": 2,
}
"""The revision of each class, function or package, by dotted name, whose code changed stored numbers.

All other code has revision 1. Raise a revision whenever the code computes other numbers than before: results
stored under the old revision are then recomputed.
"""


def revision(name: str) -> int:
    """Return the revision of the code with a dotted name: 1 until its numbers change for the first time."""
    return REVISIONS.get(name, 1)


def outdated(revisions: Mapping[str, Any]) -> list[str]:
    """Return a text for each revision that is older than the current one.

    Parameters
    ----------
    revisions : mapping
        The revisions of the code that computed a stored result, by dotted name.
    """
    return [
        f"{name} {number}, now {revision(name)}"
        for name, number in revisions.items()
        if isinstance(number, int) and number < revision(name)
    ]


def current(name: str) -> str:
    """Return the current name of a measure, option or value; warn if ``name`` is a former name."""
    renamed = FORMER_NAMES.get(name)
    if renamed is not None:
        warn_renamed(name, renamed)
    return renamed or name


def _renamed(node: Node) -> dict[str, Any]:
    """Return a node of a class of simopt with the current names of its options and values.

    An option under its former name was set by the user, so it replaces the default under the current name.
    Values are renamed in nodes of measures only: a value of a dataset may be a name in the user's own file.
    """
    target, values = str(node.get("_target_")), dict(node)
    if not target.startswith("simopt."):
        return values
    if target.startswith(_MEASURES):
        for key, value in node.items():
            if isinstance(value, str) and key not in _NAMES:
                values[key] = current(value)
    former = {current(key): values.pop(key) for key in node if key in FORMER_NAMES}
    return {**values, **former}


def config_dir() -> Path:
    """Return the folder ``configs``, which is inside the installed package, or next to it in a checkout."""
    package = Path(__file__).resolve().parent
    # The wheel has configs inside the package, a checkout next to it.
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "run.yaml").is_file():
            return folder
    raise InputError(f"Reinstall simopt: its folder configs is neither in {package} nor next to it.")


def root(command: str) -> dict[str, Any]:
    """Return the default configuration of a command: ``run``, ``joint`` or ``sensitivity``."""
    # A copy, as callers change what they get and the parsed file is cached.
    return copy.deepcopy(_parse(config_dir() / f"{command}.yaml"))


def names(group: str) -> list[str]:
    """Return the names of all entries in a group (``measure``, ``dataset``, ``optimizer``, ...), sorted."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def aliases(group: str) -> dict[str, str]:
    """Return a dict from each alias in a group to the name of its entry."""
    folder = config_dir() / group
    return {
        alias: name for name in names(group) for alias in _parse(folder / f"{name}.yaml").get("aliases", {})
    }


def has(group: str, name: str) -> bool:
    """Return whether ``name`` is the name, an alias or a former name of an entry in a group."""
    return name in names(group) or name in aliases(group) or name in FORMER_NAMES


def read(group: str, name: str) -> dict[str, Any]:
    """Return the configuration node of an entry, given its name or one of its aliases.

    An alias stands for an entry with some options changed. The yaml of the entry lists these options under
    ``aliases``, for instance ``{cka-linear-lange: {estimator: zero_diagonal}}``.

    Raises
    ------
    InputError
        No entry or alias has this name; the message lists the nearest names.
    """
    name, entries = current(name), names(group)
    if name in entries:
        return _load(group, name)
    owner = aliases(group).get(name)
    if owner is not None:
        node = _load(group, owner)
        return {**node, **node["aliases"][name], "name": name}
    raise checks.unknown(name, entries, group, also=aliases(group))


def node(group: str, entry: str | Node, **options: Any) -> dict[str, Any]:
    """Check the names of ``options``, and return the configuration node of an entry with them set.

    Nothing is built, and nothing is imported except a user's own class or function. The values of the options
    are checked when the entry is built.

    Parameters
    ----------
    group : str
        The group of the entry, for instance ``measure``.
    entry : str or mapping
        The name of the entry, or its configuration node: a mapping with ``_target_`` and options.
    **options
        Values that replace those in the yaml.

    Raises
    ------
    InputError
        The name of the entry or of an option is unknown.
    """
    refuse_both_spellings(options)
    if isinstance(entry, str):
        entry = read(group, entry)
    elif not isinstance(entry, Mapping):
        raise InputError(f"{group} is {entry!r}, which is not a name; choose one with {group}=NAME.")
    chosen = _renamed({**entry, **options})
    if "_object_" in entry and not options:
        return chosen  # a measure that was built before
    target = chosen.get("_target_")
    keys = _keys(group).get(target) if isinstance(target, str) and group in _COMPLETE else None
    title = f"{group} {chosen.get('name', '')}".rstrip()
    if keys is not None:
        _refuse_unknown(chosen, keys, title)
    elif group in _COMPLETE:
        arguments = {key: chosen[key] for key in chosen if key not in ("_target_", "_partial_", *_NAMES)}
        check_options(locate(target, group), arguments, title, partial=group == "measure")
    return chosen


def refuse_both_spellings(keys: Collection[str]) -> None:
    """Raise an error if keys, also dotted ones, name one option by its current and by its former name."""
    for key in keys:
        owner, dot, former = key.rpartition(".")
        name = f"{owner}{dot}{FORMER_NAMES.get(former, former)}"
        if name != key and name in keys:
            raise InputError(f"{key} and {name} are the same option; give only {name}.")


def shared(group: str, entries: Sequence[Node], options: Node) -> list[dict[str, Any]]:
    """Return for each of several configuration nodes those of ``options`` that its class has.

    A node that is alone gets all of them; :func:`node` says what is wrong with one that it does not have.

    Raises
    ------
    InputError
        There is an option that none of several nodes has.
    """
    refuse_both_spellings(options)
    if len(entries) == 1:
        return [dict(options)]
    of_each = [{key: options[key] for key in options if _has_option(group, one, key)} for one in entries]
    for key in options:
        if not any(key in taken for taken in of_each):
            listed = ", ".join(str(one.get("name", one["_target_"])) for one in entries[:_SHOWN])
            more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
            raise InputError(
                f"None of {listed}{more} has an option {key!r}; leave it out, or name one that has it."
            )
    return of_each


def _has_option(group: str, entry: Node, key: str) -> bool:
    """Return whether the class or function of a node has an option; an object that was built takes none."""
    if "_object_" in entry:
        return False
    target = entry.get("_target_")
    known: Collection[str] | None = _keys(group).get(str(target))
    if known is None:
        known = _parameters(locate(target, group))
    return known is None or FORMER_NAMES.get(key, key) in known


def in_ids(options: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return options with their former names instead of the current ones.

    The ids of results are made from the former names, so that results stored under them are still found.

    Parameters
    ----------
    options : mapping
    target : str
        The dotted name of the class with these options. If it is a measure, values are renamed as well.
    """
    former = {name: old for old, name in FORMER_NAMES.items()}
    values = former if target.startswith(_MEASURES) else {}
    return {
        former.get(key, key): values.get(value, value) if isinstance(value, str) else value
        for key, value in options.items()
    }


def identity(node: Node) -> dict[str, Any]:
    """Return the part of a configuration node that changes a result: its class, its options, and its code.

    The name is left out. For a class of simopt or torch, the revision is included if it is not 1, and options
    that are null, false or empty are left out: an option with such a default can then be added later without
    changing the ids of stored results. For a user's class or function all options and the source code are
    included.
    """
    target = str(node.get("_target_"))
    is_users = target.partition(".")[0] not in ("simopt", "torch")
    options = {
        key: checks.as_identity(value)
        for key, value in node.items()
        if key not in ("_partial_", "_object_", *_NAMES) and (is_users or is_set(value))
    }
    if not is_users:
        options = in_ids(options, target)
    elif code := source_of(target, node.get("_object_")):
        options["code"] = code
    if revision(target) != 1:
        options["revision"] = revision(target)
    return options


def is_set(value: object) -> bool:
    """Return whether a value is neither None nor False nor empty."""
    empty = isinstance(value, str | list | tuple | Mapping) and not value
    return value is not None and value is not False and not empty


def source_of(target: str, built: Any = None) -> str:
    """Return the source code of a user's class or function, or an empty text if Python cannot find it.

    Parameters
    ----------
    target : str
        The dotted name of the class or function.
    built : object, optional
        A measure that was built from the class or function. If it is given, nothing is imported.
    """
    try:
        code = locate(target, "code") if built is None else getattr(built, "function", type(built))
        return inspect.getsource(code)
    except (OSError, TypeError):
        return ""


@functools.cache
def _keys(group: str) -> dict[str, list[str]]:
    """Return the keys of all yamls of a group, by the class in their ``_target_``."""
    keys: dict[str, list[str]] = {}
    for name in names(group):
        entry = _parse(config_dir() / group / f"{name}.yaml")
        if name != "function" and "_target_" in entry:
            keys.setdefault(entry["_target_"], []).extend(entry)
    return {target: list(dict.fromkeys(repeated)) for target, repeated in keys.items()}


def _load(group: str, name: str) -> dict[str, Any]:
    return copy.deepcopy(_parse(config_dir() / group / f"{name}.yaml"))


@functools.cache
def _parse(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})


def build(node: Node, what: str, kind: type | None = None, *, partial: bool = False) -> Any:
    """Call the class or function that a configuration node names, and return the result.

    Parameters
    ----------
    node : mapping
        ``_target_`` is the dotted path of a class or function. The other entries are its options.
    what : str
        The name of the built object in error messages, for instance ``measure``.
    kind : type, optional
        If given, ``_target_`` must be a subclass of this class. Any other target is refused, not called.
    partial : bool
        If true, do not call the target: return it with the options bound, to be called later. Only then may
        the node contain ``_partial_: true``.

    Raises
    ------
    InputError
        ``_target_`` cannot be imported or is no subclass of ``kind``; an option is unknown, missing or
        invalid; or ``_partial_`` is set although ``partial`` is false.
    """
    options = {key: value for key, value in _renamed(node).items() if key not in ("_target_", "_partial_")}
    # "???" is how Hydra marks a value that has to be set.
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
        raise InputError(f"{title}: _partial_ is {node['_partial_']!r}; only an optimizer may set it.")
    check_options(target, options, title, partial=partial)
    try:
        return functools.partial(target, **options) if partial else target(**options)
    except TypeError as error:
        raise InputError(f"{title}: {error}.") from error


def locate(path: object, what: str) -> Callable[..., Any]:
    """Import and return the class or function with a dotted path.

    Raises
    ------
    InputError
        The path cannot be imported, or is not that of a class or function.
    """
    if not isinstance(path, str) or "." not in path or not all(map(str.isidentifier, path.split("."))):
        raise InputError(f"{what}: _target_ is {path!r}; give the dotted path of a class or function.")
    module, _, attribute = path.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{what}: _target_ {path!r} cannot be imported ({error}).") from error
    # A user's module may raise anything while it is imported.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{what}: _target_ {path!r} cannot be imported ({reason}).") from error
    if not callable(target) or not hasattr(target, "__name__"):
        raise InputError(f"{what}: _target_ {path!r} is not a class or function.")
    return target  # type: ignore[no-any-return]


def check_options(target: Callable[..., Any], options: Node, title: str, *, partial: bool) -> None:
    """Raise an error if an option is not a parameter of a class or function.

    Built-in functions without a signature, and functions that accept any keyword, are not checked.

    Parameters
    ----------
    target : callable
        The class or function.
    options : mapping
    title : str
        The name of the class or function in the error message.
    partial : bool
        If true, parameters without a default are passed later, and the error message leaves them out.
    """
    parameters = _parameters(target)
    if parameters is None:
        return
    passed_later = [name for name, p in parameters.items() if partial and p.default is p.empty]
    _refuse_unknown(options, parameters, title, passed_later)


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Return the parameters of a class or function; None if it has no signature, or accepts every name."""
    try:
        parameters = inspect.signature(target).parameters
    except (ValueError, TypeError):  # some built-ins have no signature
        return None
    every = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return None if every else parameters


def _refuse_unknown(options: Node, valid: Collection[str], title: str, hidden: Sequence[str] = ()) -> None:
    """Raise an error for an option that is not in ``valid``; it lists the valid options except ``hidden``."""
    for option in options:
        if option not in valid:
            shown = ", ".join(name for name in valid if name not in ("_target_", *_NAMES, *hidden))
            raise InputError(f"{title} has no option {option!r}; it has: {shown or 'none'}.")
