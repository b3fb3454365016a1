"""A checksum over all that a file holds: HDF5 keeps none, and reads a turned bit as another number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from simopt import checks
from simopt.errors import StorageError
from simopt.store.layout import CHECKSUM

_BLOCK_BYTES = 2**22


def seal(file: h5py.File) -> None:
    """Add the checksum of all that the file holds now, as an attribute of the file."""
    file.attrs[CHECKSUM] = _digest(file)


def verify(file: h5py.File) -> None:
    """Compare a file with its checksum; one that has none, as older ones, or runs that go on, passes.

    Raises
    ------
    StorageError
        It holds something else than was written.
    InputError
        It says that it holds far more than is stored, which would fill the memory.
    """
    file.visititems(_refuse_claims)
    if CHECKSUM in file.attrs and file.attrs[CHECKSUM] != _digest(file):
        raise StorageError(f"{file.filename}: damaged; what it holds is not what was written.")


def _refuse_claims(name: str, node: Any) -> None:
    if isinstance(node, h5py.Dataset):
        checks.unpacked(node.nbytes, node.id.get_storage_size(), name)


def _digest(file: h5py.File) -> str:
    digest = hashlib.blake2b(digest_size=16)
    nodes: list[tuple[str, Any]] = [("", file)]
    file.visititems(lambda name, node: nodes.append((name, node)))
    for name, node in sorted(nodes, key=lambda each: each[0]):
        about = {key: np.asarray(value).tolist() for key, value in node.attrs.items() if key != CHECKSUM}
        digest.update(json.dumps([name, about], sort_keys=True, default=str).encode())
        if isinstance(node, h5py.Dataset):
            digest.update(f"{node.dtype.str} {node.shape}".encode())
            for block in _blocks(node):
                digest.update(block)
    return digest.hexdigest()


def _blocks(dataset: h5py.Dataset) -> Iterator[bytes]:
    """Give the data bit by bit; what is compressed has a checksum of its own."""
    if dataset.compression is not None:
        return
    if dataset.ndim == 0:
        yield np.asarray(dataset[()]).tobytes()
        return
    rows = max(1, _BLOCK_BYTES * len(dataset) // max(1, dataset.nbytes))
    for start in range(0, len(dataset), rows):
        yield dataset[start : start + rows].tobytes()
