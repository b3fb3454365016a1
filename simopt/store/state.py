"""Nested values as JSON and arrays: what an HDF5 file can hold of an optimizer's state, or of a result."""

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
    """Return nested values as JSON, and the arrays in them by paths below ``place``.

    Parameters
    ----------
    value : object
        Dataclasses, dicts with keys of text or numbers, lists, tuples, arrays, tensors, numbers, text, paths
        and None.
    place : str
        A group of the file.

    Raises
    ------
    StorageError
        A value of another kind.
    """
    arrays: dict[str, Array] = {}

    def walk(node: Any, at: str) -> Any:
        if dataclasses.is_dataclass(node) and not isinstance(node, type):
            node = {each.name: getattr(node, each.name) for each in dataclasses.fields(node)}
        if hasattr(node, "detach"):
            return {"tensor": keep(node.detach().cpu().numpy(), at)}
        if isinstance(node, np.ndarray) and node.dtype.kind in "fiub":
            return {"array": keep(node, at)}
        if isinstance(node, Mapping):
            return {"dict": [[key, walk(each, f"{at}/{_name(key)}")] for key, each in node.items()]}
        if isinstance(node, list | tuple):
            kind = "list" if isinstance(node, list) else "tuple"
            return {kind: [walk(each, f"{at}/{i}") for i, each in enumerate(node)]}
        if isinstance(node, np.ndarray | np.generic):
            return walk(node.tolist(), at)
        if node is None or isinstance(node, bool | int | float | str | Path):
            return {"value": str(node) if isinstance(node, Path) else node}
        raise StorageError(f"A file cannot hold a {type(node).__name__} ({at}).")

    def keep(array: Any, at: str) -> str:
        while at in arrays:
            at += "_"
        arrays[at] = Array(array, "")
        return at

    return json.dumps(walk(value, place)), arrays


def checkpoint(state: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """Return the arrays and the group of a file that hold the state of an optimization."""
    structure, arrays = pack(state, RESUME)
    return arrays, {RESUME: {"state": structure}}


def resumed(before: Stored) -> Any:
    """Return the state that was handed to :func:`checkpoint`.

    Raises
    ------
    LookupError, TypeError, ValueError
        The file holds none.
    """
    return unpack(before.groups[RESUME]["state"], before.arrays)


def _name(key: object) -> str:
    return str(key).replace("/", "_").replace(".", "_") or "_"


def unpack(structure: str, arrays: Mapping[str, Array]) -> Any:
    """Return what :func:`pack` was given: tensors on the CPU, dataclasses and mappings as dicts.

    Raises
    ------
    LookupError, TypeError, ValueError
        The structure is not one of :func:`pack`, or an array is missing.
    """

    def walk(node: Any) -> Any:
        ((kind, content),) = node.items()
        if kind == "tensor":
            import torch  # what is no state of an optimizer needs none

            return torch.from_numpy(np.array(arrays[content].data))
        if kind == "array":
            return arrays[content].data
        if kind == "dict":
            return {key: walk(each) for key, each in content}
        if kind in ("list", "tuple"):
            items = [walk(each) for each in content]
            return items if kind == "list" else tuple(items)
        return content

    return walk(json.loads(structure))


def build(hint: Any, value: Any) -> Any:
    """Return a dataclass, or what else an annotation names, of what :func:`unpack` gives.

    Raises
    ------
    LookupError, TypeError, ValueError
        A field that is missing, unknown, or of another type.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return build(next(each for each in inner if each is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{name: build(hints[name], each) for name, each in value.items()})  # type: ignore[operator]
    if origin is list:
        return [build(inner[0], each) for each in value]
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(build(each, item) for each, item in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: build(inner[1], each) for key, each in value.items()}
    if hint is float and isinstance(value, int):
        return float(value)
    if hint in (str, int, float, bool) and not isinstance(value, hint):
        raise TypeError(f"{value!r} stands where a {hint.__name__} should")
    return Path(value) if hint is Path else value
