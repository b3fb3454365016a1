"""HDF5 files built in memory, written atomically with a SHA-256, and verified before HDF5 reads them.

The image of a file is built in memory and written by ordinary file I/O, because HDF5 2.0 crashes if a write
fails (disk full).

The format is that of HDF5 1.10. A SHA-256 of the whole image follows the last byte that HDF5 uses. Other
readers ignore it. A program that changes the file through HDF5 removes the SHA-256, because HDF5 truncates
the file at its last byte. HDF5's own checksums do not detect a chunk overwritten by zeros, and HDF5 can hang
on a damaged file. Therefore the SHA-256 is verified before HDF5 reads the file.
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
"""The marks before the hexadecimal digits of a checksum, by algorithm. Files of schema 1 have BLAKE2b."""
_BLOCK_BYTES = 2**20
"""A file is hashed in pieces of 1 MB, so that verifying it does not need memory of its size."""
_SCHEMA_1 = b"\x89HDF\r\n\x1a\n" + bytes((0, 0, 0, 0, 0, 8, 8, 0))
"""The first bytes of a file of schema 1, which needs no checksum: the signature of HDF5, and a superblock of
version 0 for addresses and lengths of 8 bytes. Files of later schemas have superblocks of version 3, so such
a file without its checksum is not taken for one of schema 1."""

_SCALE_ATTRIBUTES = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS"}
"""Attributes by which HDF5 stores dimension scales. They refer to datasets, so every image gets new ones."""


@dataclass(frozen=True)
class Array:
    """One HDF5 dataset of a file.

    Attributes
    ----------
    data : array
    axes : str
        Names of the axes, separated by spaces. The file stores them as the attribute ``axes``.
    attributes : mapping
        Further attributes of the HDF5 dataset.
    packed : bool
        Whether the data are compressed.
    scale : bool
        Whether this is an HDF5 dimension scale: a 1-D array of coordinates of the axis that ``axes`` names.
    """

    data: npt.NDArray[Any]
    axes: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    packed: bool = False
    scale: bool = False


@dataclass(frozen=True)
class Stored:
    """The content of an HDF5 file.

    Attributes
    ----------
    attributes : dict
        Attributes of the root group.
    arrays : dict of Array
        The HDF5 datasets by their paths, for instance ``measures/cka/theory``.
    groups : dict of dict
        The attributes of all groups but the root by their paths, for instance ``measures/cka``.
    """

    attributes: dict[str, Any]
    arrays: dict[str, Array] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


def write(path: Path, content: Stored) -> None:
    """Write a file atomically, replacing an older file at this path.

    Raises
    ------
    StorageError
        The file cannot be written. An older file is left unchanged.
    """
    with storage_errors(path):
        image = _image(content)
        put(path, image, f"{_SEAL.decode()}{hashlib.sha256(image).hexdigest()}\n".encode())


def _image(content: Stored) -> bytes:
    """Return the bytes of an HDF5 file; the same content gives the same bytes."""
    size = sum(array.data.nbytes for array in content.arrays.values())
    # The in-memory file grows in steps of block_size. One step of about the final size avoids thousands of
    # reallocations; without a backing store HDF5 opens no file on disk.
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
    """Attach dimension scales to the datasets that have their axes, as netCDF-4 does for xarray to read."""
    scales = {array.axes: file[path] for path, array in arrays.items() if array.scale}
    for scale in scales.values():
        scale.make_scale(scale.name.rpartition("/")[2])
    for path, array in arrays.items():
        axes = array.axes.split()
        # netCDF-4 readers refuse a dataset of which some dimensions have a scale and others have none. The
        # arrays of an optimizer's state name no axes; they stay without scales.
        if axes and not array.scale and scales.keys() >= set(axes):
            for dimension, axis in zip(file[path].dims, axes, strict=True):
                dimension.label = scales[axis].name.rpartition("/")[2]
                dimension.attach_scale(scales[axis])


def _set(node: Any, attributes: Mapping[str, Any]) -> None:
    """Set attributes; text has a fixed length, since HDF5 has no checksum for text of variable length."""
    for name, value in attributes.items():
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list | tuple) and texts and all(isinstance(text, str) for text in texts):
            # surrogateescape: file names on Linux may hold bytes that are not UTF-8, and must come back as
            # they are.
            encoded = np.array([text.encode("utf-8", "surrogateescape") for text in texts])
            length = max(1, encoded.dtype.itemsize)  # HDF5 has no text of length 0
            data = encoded[0] if isinstance(value, str) else encoded
            kind = h5py.string_dtype("utf-8", length)
            node.attrs.create(name, np.array(data, dtype=f"S{length}"), dtype=kind)
        else:
            node.attrs[name] = value


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading after its checksum and the sizes of its datasets have been checked.

    Raises
    ------
    StorageError
        The file is damaged.
    InputError
        An HDF5 dataset would fill the memory, because its shape claims far more bytes than the file stores.
    OSError
        The file cannot be read.
    """
    # One handle for the check and for HDF5: if another process replaces the file in between, the handle still
    # refers to the file that was checked.
    with path.open("rb") as handle:
        _verify(handle, path)
        with h5py.File(handle, "r") as file:
            file.visititems(_refuse_claims)
            yield file


def _verify(handle: IO[bytes], path: Path) -> None:
    """Compare a file with the checksum at its end."""
    size = os.fstat(handle.fileno()).st_size
    for mark, algorithm in _SEALS.items():
        digest = algorithm()
        # The seal is the mark, two hexadecimal digits for each byte of the digest, and a newline.
        end = max(0, size - len(mark) - 2 * digest.digest_size - 1)
        handle.seek(end)
        seal = handle.read()
        if seal.startswith(mark):
            handle.seek(0)
            for start in range(0, end, _BLOCK_BYTES):
                digest.update(handle.read(min(_BLOCK_BYTES, end - start)))
            if seal != mark + digest.hexdigest().encode() + b"\n":
                raise StorageError(f"{path}: damaged: its content does not match its checksum.")
            return
    handle.seek(0)
    if handle.read(len(_SCHEMA_1)) != _SCHEMA_1:
        raise StorageError(f"{path}: damaged, or changed by another program: its checksum is missing.")


def _refuse_claims(name: str, node: Any) -> None:
    if isinstance(node, h5py.Dataset):
        checks.unpacked(node.nbytes, node.id.get_storage_size(), name)


def attributes_of(node: Any) -> dict[str, Any]:
    """Return the attributes of an HDF5 file, group or dataset as Python values or arrays, by sorted names."""
    return {name: _plain(node.attrs[name]) for name in sorted(node.attrs) if name not in _SCALE_ATTRIBUTES}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value.item() if isinstance(value, np.generic) else value


def content(file: h5py.File, skip: tuple[str, ...] = ()) -> Stored:
    """Return the content of an open file, without HDF5 datasets whose paths start with any of ``skip``."""
    arrays: dict[str, Array] = {}
    groups: dict[str, dict[str, Any]] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset):
            groups[name] = attributes_of(node)
        elif not name.startswith(skip or "\0"):  # no path holds a null byte
            attributes = attributes_of(node)
            axes = str(attributes.pop("axes", ""))
            arrays[name] = Array(node[()], axes, attributes, scale=node.is_scale)

    file.visititems(visit)
    return Stored(attributes_of(file), arrays, groups)
