"""An open run file that grows by rows and can be read between any two writes, so also after a kill.

HDF5 promises nothing of the kind; it writes what it changed in no useful order. So a few things are done
around it. What rows will take is set aside first, since HDF5 does not survive a full disk. While it writes,
the end of the file that its superblock names lies behind all that it may allocate. The index of chunks is
there from the start and never outgrows its one node. And the steps are written after all else, so that rows
are complete up to the last step there is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.store import layout
from simopt.store.layout import Entry

_CHUNK_BYTES = 2**17
_COPY_BYTES = 2**22
_SLACK_BYTES = 2**16
_MOST_CHUNKS = 60  # of a dataset: 64 fill the node of the index
_END_OF_FILE = 40  # where superblocks of version 0, those of libver "earliest", keep it in 8 bytes

Rows = Mapping[Entry, tuple[int, ...]]
"""The datasets that grow along T, with the shape of one row."""


def image(attributes: Mapping[str, Any], fixed: Mapping[Entry, Any], rows: Rows, expected: int) -> bytes:
    """Return the bytes of a file without rows: made in memory, where a full disk cannot tear it.

    Parameters
    ----------
    attributes : mapping
    fixed : mapping of Entry to array
        The datasets that do not grow.
    rows : mapping of Entry to tuple of int
    expected : int
        So many rows fit at least.
    """
    scale = _scale(rows, expected)
    with h5py.File("image", "w", driver="core", backing_store=False, libver="earliest") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        for entry, data in fixed.items():
            file.create_dataset(entry.path, data=data, dtype=entry.dtype)
        for entry, shape in rows.items():
            dataset = file.create_dataset(
                entry.path,
                shape=(1, *shape),
                maxshape=(None, *shape),
                chunks=(scale * _chunk_rows(entry, shape), *shape),
                dtype=entry.dtype,
                fillvalue=np.nan if entry.dtype.startswith("f") else -1,
            )
            dataset.attrs["axes"] = entry.axes
            dataset[0] = dataset.fillvalue
            dataset.resize(0, axis=0)  # its chunk goes, the index of chunks stays
        file.flush()
        return bytes(file.id.get_file_image())


class GrowingFile:
    """A run file, open for appending.

    Parameters
    ----------
    path : Path
        Of a file that :func:`image` began.
    rows : mapping of Entry to tuple of int
        The shape of one row of each dataset that grows.
    """

    def __init__(self, path: Path, rows: Rows) -> None:
        self.path = path
        self.shapes = rows
        self.file = h5py.File(path, "r+", libver="earliest")
        self._descriptor: int = self.file.id.get_vfd_handle()
        self._opened_size = self._reserved = os.fstat(self._descriptor).st_size
        self.rows = self._opened_rows = complete_rows(self.file[layout.STEP.path][()])
        self._chunks = {entry: self.file[entry.path].chunks[0] for entry in rows}

    def has_room(self, rows: int) -> bool:
        """Whether so many more rows can be appended to this file."""
        fewest: int = min(self._chunks.values())
        return self.rows + rows <= _MOST_CHUNKS * fewest

    def append(self, data: Mapping[Entry, np.ndarray]) -> None:
        """Write rows, an array (rows, ...) for each dataset, and push them to the file system."""
        rows = self.rows + len(data[layout.STEP])
        self.reserve(rows)
        others = [entry for entry in self.shapes if entry != layout.STEP]
        for together in (others, [layout.STEP]):
            with self.writing():
                for entry in together:
                    dataset = self.file[entry.path]
                    dataset.resize(rows, axis=0)
                    dataset[self.rows :] = data[entry]
        self.rows = rows

    def copy_rows(self, source: h5py.File, rows: int) -> None:
        """Append the first ``rows`` rows of another run file, some at a time."""
        width = sum(_row_bytes(entry, shape) for entry, shape in self.shapes.items())
        block = max(1, _COPY_BYTES // width)
        for start in range(0, rows, block):
            stop = min(rows, start + block)
            self.append({entry: source[entry.path][start:stop] for entry in self.shapes})

    def reserve(self, rows: int, more: int = 0) -> None:
        """Have the file system set aside what ``rows`` rows in all and ``more`` bytes will take.

        Raises
        ------
        OSError
            The disk is full; HDF5 was given nothing to write.
        """
        growth = more + _SLACK_BYTES
        for entry, shape in self.shapes.items():
            chunk = self._chunks[entry]
            growth += -(-(rows - self._opened_rows) // chunk) * chunk * _row_bytes(entry, shape)
        end = self._opened_size + growth + growth // 16
        if end <= self._reserved:
            return
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, 0, end)
        elif shutil.disk_usage(self.path.parent).free < end - self._reserved:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        else:
            os.truncate(self._descriptor, end)
        self._reserved = end

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Push what the block writes to the file system, all that was reserved counting as the file's."""
        end = os.pread(self._descriptor, 8, _END_OF_FILE)
        reserved = self._reserved.to_bytes(8, "little")
        os.pwrite(self._descriptor, reserved, _END_OF_FILE)
        yield
        self.file.flush()
        if os.pread(self._descriptor, 8, _END_OF_FILE) == reserved:  # it allocated nothing
            os.pwrite(self._descriptor, end, _END_OF_FILE)

    def sync(self) -> None:
        """Have what was written reach the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Give back what was reserved and not used, and close the file."""
        if self.file:
            end = int.from_bytes(os.pread(self._descriptor, 8, _END_OF_FILE), "little")
            os.truncate(self._descriptor, end)
            self.file.close()


def complete_rows(step: np.ndarray) -> int:
    """Return up to where the datasets that grow are all written, of ``step`` (T,): it increases from 0 on."""
    return int(np.logical_and.accumulate(np.diff(step, prepend=-1) > 0).sum())


def _scale(rows: Rows, expected: int) -> int:
    scale, fewest = 1, min(_chunk_rows(entry, shape) for entry, shape in rows.items())
    while expected > _MOST_CHUNKS * scale * fewest:
        scale *= 4
    return scale


def _row_bytes(entry: Entry, shape: tuple[int, ...]) -> int:
    return max(1, int(np.prod(shape))) * np.dtype(entry.dtype).itemsize


def _chunk_rows(entry: Entry, shape: tuple[int, ...]) -> int:
    return int(np.clip(_CHUNK_BYTES // _row_bytes(entry, shape), 1, 1024))
