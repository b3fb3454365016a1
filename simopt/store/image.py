"""A whole HDF5 file: built in memory, sealed with a checksum, and checked before HDF5 reads it.

HDF5 never writes to disk here, since HDF5 2.0 does not survive a full disk. The image is built in memory and
written by ordinary file I/O. Its format is that of HDF5 1.10, whose metadata carry checksums. Behind the last
byte that HDF5 knows of stands one SHA-256 of all bytes before it: other readers pass it over, and a program
that changes the file through HDF5 takes it away. HDF5's own checksums do not cover a block of zeros, and
HDF5 may hang on a damaged file: so the SHA-256 is compared before HDF5 sees the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from simopt import checks
from simopt.errors import StorageError
from simopt.store.errors import storage_errors
from simopt.store.whole import put

_SEAL = b"\nsimopt SHA-256 "
_SEALS: dict[bytes, Callable[[], Any]] = {
    _SEAL: hashlib.sha256,
    b"\nsimopt BLAKE2b-128 ": lambda: hashlib.blake2b(digest_size=16),
}
"""What stands before the hexadecimal digits of a checksum; files of schema 1 have BLAKE2b."""
_BLOCK_BYTES = 2**20
_SUPERBLOCK_VERSION = 8
"""The place of the version of the superblock: 0 in files of schema 1, which may have no checksum."""

_SCALE_ATTRIBUTES = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS"}
"""Attributes by which HDF5 stores dimension scales: references between datasets, made anew in every image."""


@dataclass(frozen=True)
class Array:
    """A dataset of the file.

    Attributes
    ----------
    data : array
    axes : str
        Their names, parted by spaces.
    attributes : mapping
        More attributes of the dataset.
    packed : bool
        Whether it is compressed.
    scale : bool
        Whether it is an HDF5 dimension scale: the coordinates of the axis that it names, (length of the axis,).
    """

    data: npt.NDArray[Any]
    axes: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    packed: bool = False
    scale: bool = False


@dataclass(frozen=True)
class Stored:
    """What a file holds.

    Attributes
    ----------
    attributes : dict
        Of the whole file.
    arrays : dict of Array
        By path, for instance ``measures/cka/theory``.
    groups : dict of dict
        Attributes of groups, by path, for instance ``measures/cka``.
    """

    attributes: dict[str, Any]
    arrays: dict[str, Array] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


def write(path: Path, content: Stored) -> None:
    """Write a file in the place of any old one: all of it, or nothing.

    Raises
    ------
    StorageError
        It cannot be written; nothing is left of it, and an older one stays as it was.
    """
    with storage_errors(path):
        image = _image(content)
        put(path, image, f"{_SEAL.decode()}{hashlib.sha256(image).hexdigest()}\n".encode())


def _image(content: Stored) -> bytes:
    size = sum(array.data.nbytes for array in content.arrays.values())
    # Memory grows by block_size: in one step for most files, in place of thousands.
    memory = {"driver": "core", "backing_store": False, "block_size": 2**16 + size}
    with h5py.File("image", "w", libver=("v110", "v110"), **memory) as file:
        _set(file, content.attributes)
        for name, array in content.arrays.items():
            packing = {"compression": "gzip", "shuffle": True} if array.packed else {}
            dataset = file.create_dataset(name, data=array.data, **packing)
            _set(dataset, {"axes": array.axes, **array.attributes})
        _attach_scales(file, content.arrays)
        for name, attributes in content.groups.items():
            _set(file.require_group(name), attributes)
        file.flush()
        return bytes(file.id.get_file_image())


def _attach_scales(file: h5py.File, arrays: Mapping[str, Array]) -> None:
    """Name the dimensions of the datasets by the scales of their axes, as netCDF-4 does, so that xarray reads them."""
    scales = {array.axes: file[path] for path, array in arrays.items() if array.scale}
    for scale in scales.values():
        scale.make_scale(scale.name.rpartition("/")[2])
    for path, array in arrays.items():
        axes = array.axes.split()
        # netCDF-4 readers refuse a dataset of which some dimensions have a scale and others have none.
        if not array.scale and scales.keys() >= set(axes):
            for dimension, axis in zip(file[path].dims, axes):
                dimension.label = scales[axis].name.rpartition("/")[2]
                dimension.attach_scale(scales[axis])


def _set(node: Any, attributes: Mapping[str, Any]) -> None:
    """Set attributes; text gets a fixed length, which lies inside the checksummed metadata."""
    for name, value in attributes.items():
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list | tuple) and texts and all(isinstance(text, str) for text in texts):
            encoded = np.array([text.encode("utf-8", "surrogateescape") for text in texts])
            length = max(1, encoded.dtype.itemsize)
            data = encoded[0] if isinstance(value, str) else encoded
            kind = h5py.string_dtype("utf-8", length)
            node.attrs.create(name, np.array(data, dtype=f"S{length}"), dtype=kind)
        else:
            node.attrs[name] = value


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, once it is seen that it is whole and claims no more than is stored.

    A process that replaces the file meanwhile does not disturb: what was checked is what is read.

    Raises
    ------
    StorageError
        It holds something else than was written.
    InputError
        It says that it holds far more than is stored, which would fill the memory.
    OSError
        It cannot be read.
    """
    with path.open("rb") as handle:
        _verify(handle, path)
        with h5py.File(handle, "r") as file:
            file.visititems(_refuse_claims)
            yield file


def _verify(handle: IO[bytes], path: Path) -> None:
    size = os.fstat(handle.fileno()).st_size
    for mark, algorithm in _SEALS.items():
        digest = algorithm()
        end = max(0, size - len(mark) - 2 * digest.digest_size - 1)
        handle.seek(end)
        seal = handle.read()
        if seal.startswith(mark):
            handle.seek(0)
            for start in range(0, end, _BLOCK_BYTES):
                digest.update(handle.read(min(_BLOCK_BYTES, end - start)))
            if seal != mark + digest.hexdigest().encode() + b"\n":
                raise StorageError(f"{path}: damaged; what it holds is not what was written.")
            return
    handle.seek(_SUPERBLOCK_VERSION)
    if handle.read(1) != b"\0":
        raise StorageError(f"{path}: damaged, or changed by another program; its checksum is missing.")


def _refuse_claims(name: str, node: Any) -> None:
    if isinstance(node, h5py.Dataset):
        checks.unpacked(node.nbytes, node.id.get_storage_size(), name)


def attributes_of(node: Any) -> dict[str, Any]:
    """Return the attributes of a file, group or dataset as plain values and arrays, sorted by name."""
    return {name: _plain(node.attrs[name]) for name in sorted(node.attrs) if name not in _SCALE_ATTRIBUTES}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value.item() if isinstance(value, np.generic) else value


def content(file: h5py.File, skip: tuple[str, ...] = ()) -> Stored:
    """Return what an open file holds, without the datasets whose paths begin with one of ``skip``."""
    arrays: dict[str, Array] = {}
    groups: dict[str, dict[str, Any]] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset):
            groups[name] = attributes_of(node)
        elif not name.startswith(skip or "\0"):
            attributes = attributes_of(node)
            axes = str(attributes.pop("axes", ""))
            arrays[name] = Array(node[()], axes, attributes, scale=node.is_scale)

    file.visititems(visit)
    return Stored(attributes_of(file), arrays, groups)
