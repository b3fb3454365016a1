"""The keys of a configuration with their types, which OmegaConf checks: those of the request of a command."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, field, fields, make_dataclass
from functools import cache
from typing import Any

from omegaconf import MISSING

from simopt import catalogue
from simopt.workflows.request import Request


@cache
def schema(request: type[Request[Any]]) -> type:
    """Return a dataclass of the keys of a request, those that the yaml of its command has.

    The values themselves come from the yaml; a request checks their ranges when it is made.
    """
    log = _twin(request.log_type, catalogue.root(request.kind)["log"])
    nested = field(default_factory=log)
    return _twin(request, catalogue.root(request.kind), log=(log, nested))


def _twin(kind: type[Any], known: Mapping[str, Any], **others: tuple[Any, Any]) -> type:
    hints = typing.get_type_hints(kind)
    keys: list[tuple[str, Any, Any]] = []
    for each in fields(kind):
        if each.name not in known and each.name not in _groups(known):
            continue
        hint, default = others.get(each.name, (_checked(hints[each.name]), _default(each)))
        keys.append((each.name, hint, default))
    return make_dataclass(kind.__name__, keys)


def _groups(known: Mapping[str, Any]) -> set[str]:
    """Return the groups that the defaults of a yaml choose an entry of."""
    return {
        str(group) for entry in known.get("defaults", ()) if isinstance(entry, Mapping) for group in entry
    }


def _default(each: Field[Any]) -> Any:
    """Return None for what may be left open, and else what the yaml has to say."""
    return None if each.default is None and each.default is not NO_DEFAULT else MISSING


def _checked(hint: Any) -> Any:
    """Return the type that OmegaConf knows: it has lists, and no sequences."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [_checked(each) for each in inner if each is not type(None)]
        return typing.Optional[kinds[0]] if len(kinds) == 1 else Any  # noqa: UP045, OmegaConf reads this form
    if origin in (collections.abc.Sequence, list, tuple):
        return list if inner[0] is Any else list[inner[0]]  # type: ignore[valid-type]
    return hint
