"""The keys of a configuration with their types, which OmegaConf checks: those of the request of a command."""

from __future__ import annotations

import collections.abc
import types
import typing
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, field, fields, make_dataclass
from functools import cache
from typing import Any

from omegaconf import MISSING

from simopt.workflows.request import Request

NOT_KEYS = ("keep_going",)
"""Fields of requests that no configuration sets."""


@cache
def schema(request: type[Request[Any]]) -> type:
    """Return a dataclass of the keys of a request, whose values OmegaConf may set.

    The values themselves come from the yaml of the command; a request checks their ranges when it is made.
    """
    log = _twin(request.log_type())
    nested = field(default_factory=log)
    return _twin(request, log=(log, nested))


def _twin(kind: type[Any], **others: tuple[Any, Any]) -> type:
    hints = typing.get_type_hints(kind)
    keys: list[tuple[str, Any, Any]] = []
    for each in fields(kind):
        if each.name in NOT_KEYS:
            continue
        hint, default = others.get(each.name, (_checked(hints[each.name]), _default(each)))
        keys.append((each.name, hint, default))
    return make_dataclass(kind.__name__, keys)


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
