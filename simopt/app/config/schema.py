"""The keys of a configuration and their types, taken from the request of a command; OmegaConf checks them."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Mapping
from dataclasses import field, fields, make_dataclass
from functools import cache
from typing import Any

from omegaconf import MISSING

from simopt import catalogue
from simopt.workflows.request import Request


@cache
def schema(request: type[Request[Any]]) -> type:
    """Return a dataclass with those fields of a request that are keys of the YAML file of its command.

    The YAML file gives the defaults. A request checks the ranges of its values when it is made.
    """
    log = _with_keys(request.log_type, catalogue.root(request.kind)["log"])
    nested = field(default_factory=log)
    return _with_keys(request, catalogue.root(request.kind), log=(log, nested))


def _with_keys(kind: type[Any], yaml: Mapping[str, Any], **nested: tuple[Any, Any]) -> type:
    """Return a dataclass of the fields of another that are keys or groups of a YAML file."""
    hints = typing.get_type_hints(kind)
    groups = {group for entry in yaml.get("defaults", ()) if isinstance(entry, Mapping) for group in entry}
    keys: list[tuple[str, Any, Any]] = []
    for key in fields(kind):
        if key.name in yaml or key.name in groups:
            # MISSING: the YAML file has the value. A default of None says that null is allowed.
            usual = (_checked(hints[key.name]), None if key.default is None else MISSING)
            keys.append((key.name, *nested.get(key.name, usual)))
    return make_dataclass(kind.__name__, keys)


def _checked(hint: Any) -> Any:
    """Return the type as OmegaConf supports it: lists instead of sequences, and no unions but with None."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [_checked(kind) for kind in inner if kind is not type(None)]
        return typing.Optional[kinds[0]] if len(kinds) == 1 else Any  # noqa: UP045, OmegaConf reads this form
    if origin in (collections.abc.Sequence, list, tuple):
        return list if inner[0] is Any else list[inner[0]]  # type: ignore[valid-type]
    return hint
