"""Nested Python values as JSON and arrays, so that an HDF5 file can hold an optimizer's state or a result.

Every value becomes a JSON object with one key that names its type. An array is replaced by its path in the
file: a list of 0.1 and a tensor becomes ``{"list": [{"value": 0.1}, {"tensor": "resume/1"}]}``. Thus every
value, and every key of a dict, is restored with its type and without pickle.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simopt.errors import StorageError
from simopt.store.image import Array, Stored
from simopt.store.layout import RESUME


def pack(value: Any, place: str) -> tuple[str, dict[str, Array]]:
    """Return nested values as JSON, and the arrays in them by their paths.

    Parameters
    ----------
    value : object
        Any nesting of dataclasses, dicts with keys of text or numbers, lists, tuples, arrays, tensors,
        numbers, text, paths and None.
    place : str
        The group of the file in which the arrays are stored.

    Raises
    ------
    StorageError
        ``value`` contains an object of another type.
    """
    arrays: dict[str, Array] = {}

    def walk(node: Any, at: str) -> Any:
        if dataclasses.is_dataclass(node):
            node = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
        if hasattr(node, "detach"):  # a tensor; this module does not import torch
            return {"tensor": keep(node.detach().cpu().numpy(), at)}
        if isinstance(node, np.ndarray) and node.dtype.kind in "fiub":
            return {"array": keep(node, at)}
        if isinstance(node, Mapping):
            # Pairs, not a JSON object, whose keys could only be text: torch numbers the parameters.
            return {"dict": [[key, walk(item, f"{at}/{_name(key)}")] for key, item in node.items()]}
        if isinstance(node, list | tuple):
            kind = "list" if isinstance(node, list) else "tuple"
            return {kind: [walk(item, f"{at}/{i}") for i, item in enumerate(node)]}
        if isinstance(node, np.ndarray | np.generic):
            return walk(node.tolist(), at)
        if node is None or isinstance(node, bool | int | float | str | Path):
            return {"value": str(node) if isinstance(node, Path) else node}
        raise StorageError(
            f"{at} is a {type(node).__name__}, which a file cannot store; use tensors, numbers, texts, lists "
            "and dicts."
        )

    def keep(array: Any, at: str) -> str:
        while at in arrays:  # different keys may have the same name in the file
            at += "_"
        arrays[at] = Array(array, "")
        return at

    return json.dumps(walk(value, place)), arrays


def checkpoint(state: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """Return the arrays and the group that a file needs to hold the state of an optimization."""
    structure, arrays = pack(state, RESUME)
    return arrays, {RESUME: {"state": structure}}


def resumed(before: Stored) -> Any:
    """Return the state of an optimization that :func:`checkpoint` stored in the content of a file.

    Raises
    ------
    LookupError, TypeError, ValueError
        The content holds no state of an optimization.
    """
    return unpack(before.groups[RESUME]["state"], before.arrays)


def _name(key: object) -> str:
    """Return a key as a name in an HDF5 path, in which ``/`` and ``.`` have a meaning."""
    return str(key).replace("/", "_").replace(".", "_") or "_"


def unpack(structure: str, arrays: Mapping[str, Array]) -> Any:
    """Return the value that :func:`pack` turned into JSON and arrays.

    Tensors are returned on the CPU, dataclasses and mappings as dicts.

    Raises
    ------
    LookupError, TypeError, ValueError
        The structure was not made by :func:`pack`, or an array is missing.
    """

    def walk(node: Any) -> Any:
        ((kind, content),) = node.items()
        if kind == "tensor":
            import torch  # only here: reading results must not load torch

            return torch.from_numpy(np.array(arrays[content].data))
        if kind == "array":
            return arrays[content].data
        if kind == "dict":
            return {key: walk(item) for key, item in content}
        if kind in ("list", "tuple"):
            items = [walk(item) for item in content]
            return items if kind == "list" else tuple(items)
        return content

    return walk(json.loads(structure))


def build(hint: Any, value: Any) -> Any:
    """Return a value of an annotated type, made from values that :func:`unpack` returns.

    Parameters
    ----------
    hint : type or annotation
        The type to make: a dataclass, a plain type, ``Path``, or a list, tuple, Mapping or optional of these.
    value : object
        The value from :func:`unpack`.

    Raises
    ------
    LookupError, TypeError, ValueError
        A field of a dataclass is missing, unknown, or of another type.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return build(next(member for member in inner if member is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{name: build(hints[name], item) for name, item in value.items()})  # type: ignore[operator]
    if origin is list:
        return [build(inner[0], item) for item in value]
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(build(kind, item) for kind, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: build(inner[1], item) for key, item in value.items()}
    if hint is float and isinstance(value, int):
        return float(value)
    if hint in (str, int, float, bool) and not isinstance(value, hint):
        raise TypeError(f"expected {hint.__name__}, found {value!r}")
    return Path(value) if hint is Path else value
