"""Files of analyses that are written once, when they are done: arrays by path, attributes, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.errors import OtherSchemaError, StorageError
from simopt.store import checksum, layout, whole
from simopt.store.writer import explain, storage_errors
from simopt.typing import FloatArray

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
        checksum.seal(file)
        file.flush()
        return bytes(file.id.get_file_image())


def read(path: Path, analysis: str) -> Stored:
    """Read a file of an analysis.

    Raises
    ------
    StorageError
        Another kind of file, of another schema version, or broken.
    """
    try:
        with h5py.File(path, "r") as file:
            _check(file, path, analysis)
            arrays: dict[str, Array] = {}
            groups: dict[str, dict[str, Any]] = {}

            def visit(name: str, node: Any) -> None:
                if isinstance(node, h5py.Dataset):
                    arrays[name] = Array(node[()], str(node.attrs["axes"]))
                else:
                    groups[name] = _plain(node.attrs)

            file.visititems(visit)
            return Stored(_plain(file.attrs), arrays, groups)
    except StorageError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(f"{path}: not a readable file of {analysis} ({explain(error)}).") from error


def attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a file of any analysis, sorted by name, and read nothing else of it.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    try:
        with h5py.File(path, "r") as file:
            return dict(sorted(_plain(file.attrs).items()))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise StorageError(f"{path}: not a readable file of an analysis ({explain(error)}).") from error


def verify(path: Path) -> None:
    """See that a file of an analysis is whole, the one that it is named after.

    Raises
    ------
    StorageError
        As :func:`read`.
    """
    read(path, path.stem)


def _check(file: h5py.File, path: Path, analysis: str) -> None:
    kind, schema = file.attrs.get("analysis"), file.attrs.get("schema")
    if kind != analysis or schema != SCHEMA:
        text = f"{path}: holds {kind} of schema {schema}; expected {analysis} of schema {SCHEMA}."
        later = isinstance(schema, np.integer) and schema > SCHEMA
        raise OtherSchemaError(text) if later and kind == analysis else StorageError(text)
    checksum.verify(file)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in attributes.items()
        if name != layout.CHECKSUM
    }
