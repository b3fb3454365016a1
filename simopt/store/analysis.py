"""Files of analyses that are written once, when they are done: arrays by path, attributes, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from simopt.errors import StorageError
from simopt.store import checksum, whole
from simopt.store.errors import other_schema, reading_errors, storage_errors
from simopt.typing import FloatArray

Content = TypeVar("Content")

SCHEMA = 1


@dataclass(frozen=True)
class Array:
    """A dataset of the file: its data and the names of its axes."""

    data: FloatArray
    axes: str


@dataclass(frozen=True)
class Stored:
    """What a file of an analysis holds.

    Attributes
    ----------
    attributes : dict
        Of the whole file: ``analysis`` (which), ``schema``, provenance, and what the analysis adds.
    arrays : dict of Array
        By path, for instance ``measures/cka/theory``.
    groups : dict of dict
        Attributes of groups, by path, for instance ``measures/cka``.
    """

    attributes: dict[str, Any]
    arrays: dict[str, Array]
    groups: dict[str, dict[str, Any]]


def write(path: Path, analysis: str, content: Stored) -> Path:
    """Write a file, with its checksum: all of it, or nothing.

    Raises
    ------
    StorageError
        It cannot be written; nothing is left of it, and an older one stays as it was.
    """
    with storage_errors(path):
        whole.put(path, _image(analysis, content))
    return path


def _image(analysis: str, content: Stored) -> bytes:
    """Return the bytes of a file: made in memory, since HDF5 does not survive a full disk."""
    with h5py.File("image", "w", driver="core", backing_store=False) as file:
        file.attrs.update({"schema": SCHEMA, "analysis": analysis, **content.attributes})
        for name, array in content.arrays.items():
            dataset = file.create_dataset(name, data=array.data)
            dataset.attrs["axes"] = array.axes
        for name, attributes in content.groups.items():
            file.require_group(name).attrs.update(attributes)
        file.flush()
        image = bytes(file.id.get_file_image())
    return image + checksum.of([image])


def read(path: Path, analysis: str, take: Callable[[Stored], Content]) -> Content:
    """Read a file of an analysis, and return what is taken from it.

    Parameters
    ----------
    path : Path
    analysis : str
        Which.
    take : callable
        Makes a result of what the file holds, whatever that is.

    Raises
    ------
    StorageError
        Another kind of file, of another schema version, or broken.
    """
    with reading_errors(path, f"file of {analysis}"), checksum.opened(path) as file:
        _check(file, path, analysis)
        arrays: dict[str, Array] = {}
        groups: dict[str, dict[str, Any]] = {}

        def visit(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                arrays[name] = Array(node[()], str(node.attrs["axes"]))
            else:
                groups[name] = _plain(node.attrs)

        file.visititems(visit)
        return take(Stored(_plain(file.attrs), arrays, groups))


def attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a file of any analysis, sorted by name, and read nothing else of it.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    with reading_errors(path, "file of an analysis"), checksum.opened(path) as file:
        return dict(sorted(_plain(file.attrs).items()))


def text(value: object) -> str:
    """Return what has to be text.

    Raises
    ------
    TypeError
        It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where text should")
    return value


def verify(path: Path) -> None:
    """See that a file of an analysis is whole, the one that it is named after.

    Raises
    ------
    StorageError
        As :func:`read`.
    """
    read(path, path.stem, lambda stored: None)


def _check(file: h5py.File, path: Path, analysis: str) -> None:
    kind, schema = file.attrs.get("analysis"), file.attrs.get("schema")
    if kind != analysis:
        raise StorageError(f"{path}: holds {kind!r}; expected {analysis!r}.")
    if schema != SCHEMA:
        raise other_schema(path, analysis, schema, SCHEMA)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.item() if isinstance(value, np.generic) else value for name, value in attributes.items()
    }
