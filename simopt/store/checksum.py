"""A checksum behind all bytes of a file: HDF5 keeps none, and reads a turned bit as another number.

It is compared before HDF5 opens the file, since HDF5 believes what it reads of its own structures: it may
take gigabytes on a damaged one, or not come to an end. It lies behind the end that HDF5 knows of: readers of
HDF5 pass it over, and a program that changes the file through HDF5 takes it away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py

from simopt import checks
from simopt.errors import StorageError

_MARK = b"\nsimopt BLAKE2b-128 "
_DIGEST_BYTES = 16
_LENGTH = len(_MARK) + 2 * _DIGEST_BYTES + 1
_BLOCK_BYTES = 2**20


def of(content: Iterable[bytes]) -> bytes:
    """Return the checksum of some bytes, as it is written behind them: 32 hexadecimal digits after a mark."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for block in content:
        digest.update(block)
    return _MARK + digest.hexdigest().encode() + b"\n"


def seal(path: Path) -> None:
    """Write the checksum of a file behind it, and have it reach the disk.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with path.open("r+b") as handle:
        handle.write(of(_blocks(handle, path.stat().st_size)))
        handle.flush()
        os.fsync(handle.fileno())


@contextlib.contextmanager
def opened(path: Path, *, locking: bool = True) -> Iterator[h5py.File]:
    """Open a file for reading, once it is seen that it is whole and claims no more than is stored.

    A file without a checksum, as those of runs that go on, passes.

    Parameters
    ----------
    path : Path
    locking : bool
        False: also while another process writes it.

    Raises
    ------
    StorageError
        It holds something else than was written.
    InputError
        It says that it holds far more than is stored, which would fill the memory.
    OSError
        It cannot be read, or another process writes it.
    """
    _verify(path)
    with h5py.File(path, "r", locking=None if locking else False) as file:
        file.visititems(_refuse_claims)
        yield file


def _verify(path: Path) -> None:
    with path.open("rb") as handle:
        end = max(0, os.fstat(handle.fileno()).st_size - _LENGTH)
        handle.seek(end)
        found = handle.read()
        if not found.startswith(_MARK):
            return
        handle.seek(0)
        if found != of(_blocks(handle, end)):
            raise StorageError(f"{path}: damaged; what it holds is not what was written.")


def _blocks(handle: Any, size: int) -> Iterator[bytes]:
    """Give the first ``size`` bytes, and leave the handle behind them."""
    for start in range(0, size, _BLOCK_BYTES):
        yield handle.read(min(_BLOCK_BYTES, size - start))


def _refuse_claims(name: str, node: Any) -> None:
    if isinstance(node, h5py.Dataset):
        checks.unpacked(node.nbytes, node.id.get_storage_size(), name)
