"""Writing a run file so that it can be read at any instant, also after a kill.

A new file is made complete under a temporary name and then takes its own; after that rows are appended in
blocks, each followed by a flush, and nothing is created any more but the summary of a run that ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from simopt.errors import StorageError
from simopt.store import layout
from simopt.store.layout import Entry
from simopt.typing import FloatArray

BLOCK_ROWS = 64
_CHUNK_BYTES = 2**17
_SLACK_BYTES = 2**16


@dataclass(frozen=True)
class Header:
    """What is known of a run before it starts; ``attributes`` by the names of layout.ATTRIBUTES."""

    attributes: Mapping[str, Any]
    pc_variance: FloatArray  # (K,)
    replicates: int
    tracked: tuple[str, ...] = ()

    def rows(self) -> dict[Entry, tuple[int, ...]]:
        """The datasets that grow along T, with the shape of one row."""
        r, k = self.replicates, len(self.pc_variance)
        grown: dict[Entry, tuple[int, ...]] = {
            layout.STEP: (),
            layout.SCORE: (r,),
            layout.CAPTURED_VARIANCE: (r, k),
        }
        return grown | {layout.tracked(name): (r,) for name in self.tracked}


@dataclass
class RunWriter:
    """The one writer of a run file.

    Use it as a context manager: leaving it flushes and closes the file.
    """

    path: Path
    header: Header
    flush_seconds: float = 5.0
    _file: Any = field(init=False, repr=False, default=None)
    _opened_size: int = field(init=False, default=0)
    _opened_rows: int = field(init=False, default=0)
    _pending: list[Mapping[Entry, Any]] = field(init=False, default_factory=list)
    _flushed: float = field(init=False, default_factory=time.monotonic)

    @classmethod
    def create(cls, path: Path, header: Header, flush_seconds: float = 5.0) -> Self:
        """Make a new run file of status ``running``, in the place of any old one.

        Raises
        ------
        StorageError
            The file cannot be written; nothing is left of it.
        """
        writer = cls(path, header, flush_seconds)
        temporary = path.with_suffix(".h5.new")
        try:
            with storage_errors(path):
                with temporary.open("wb") as handle:
                    handle.write(writer._image())
                    handle.flush()
                    os.fsync(handle.fileno())
                writer._open(temporary)
                temporary.replace(path)
        except StorageError:
            writer.close()
            raise
        finally:
            temporary.unlink(missing_ok=True)
        return writer

    @classmethod
    def resume(cls, path: Path, header: Header, before_step: int, flush_seconds: float = 5.0) -> Self:
        """Open a run file again, keeping the rows of the steps before ``before_step``.

        Raises
        ------
        StorageError
            The file is broken, or holds fewer rows than the checkpoint goes on from.
        """
        writer = cls(path, header, flush_seconds)
        with storage_errors(path), contextlib.ExitStack() as undo:
            undo.callback(writer.close)
            writer._open(path)
            kept = int(np.searchsorted(writer._file[layout.STEP.path][()], before_step))
            for entry in header.rows():
                dataset = writer._file[entry.path]
                dataset.resize(min(kept, len(dataset)), axis=0)
            writer.set(status=layout.RUNNING, stop_reason="", finished="")
            writer._sync()
            undo.pop_all()
        return writer

    def _open(self, path: Path) -> None:
        self._file = h5py.File(path, "r+")
        self._opened_size = path.stat().st_size
        self._opened_rows = self._rows()
        self._reserve(self._opened_rows)

    def _image(self) -> bytes:
        """Return the bytes of the empty file: made in memory, where a full disk cannot tear it."""
        with h5py.File("image", "w", driver="core", backing_store=False) as file:
            self._fill(file)
            file.flush()
            return bytes(file.id.get_file_image())

    def _fill(self, file: h5py.File) -> None:
        for name, value in self.header.attributes.items():
            file.attrs[name] = value
        file.create_dataset(layout.PC_VARIANCE.path, data=self.header.pc_variance, dtype="f8")
        for entry, shape in self.header.rows().items():
            dataset = file.create_dataset(
                entry.path,
                shape=(0, *shape),
                maxshape=(None, *shape),
                chunks=(_chunk_rows(entry, shape), *shape),
                dtype=entry.dtype,
                fillvalue=np.nan if entry.dtype.startswith("f") else -1,
            )
            dataset.attrs["axes"] = entry.axes

    def append(self, row: Mapping[Entry, Any]) -> None:
        """Take one logged state; it is written when a block is full or ``flush_seconds`` have passed."""
        self._pending.append(row)
        due = time.monotonic() - self._flushed >= self.flush_seconds
        if due or len(self._pending) >= BLOCK_ROWS or (len(self._pending) == 1 and not self._rows()):
            self.flush()

    def _rows(self) -> int:
        return int(self._file[layout.STEP.path].shape[0])

    def flush(self) -> None:
        """Write what is pending and push it to the file system."""
        with storage_errors(self.path):
            if self._pending:
                have = self._rows()
                self._reserve(have + len(self._pending))
                for entry in self.header.rows():
                    dataset = self._file[entry.path]
                    dataset.resize(have + len(self._pending), axis=0)
                    dataset[have:] = np.stack([np.asarray(row[entry]) for row in self._pending])
                self._pending.clear()
            self._file.flush()
        self._flushed = time.monotonic()

    def trajectory(self) -> tuple[np.ndarray, FloatArray, FloatArray]:
        """Return step (T,), score (T, R) and captured variance (T, R, K) as logged so far."""
        self.flush()
        step, score, captured = (
            self._file[entry.path][()] for entry in (layout.STEP, layout.SCORE, layout.CAPTURED_VARIANCE)
        )
        return step, score, captured

    def set(self, **attributes: Any) -> None:
        """Overwrite attributes in place."""
        for name, value in attributes.items():
            self._file.attrs.modify(name, value)

    def conclude(
        self, status: str, stop_reason: str, finished: str, wall_seconds: float, results: Mapping[Entry, Any]
    ) -> None:
        """Write the results of a run that ended, then its status, in this order."""
        self.flush()
        with storage_errors(self.path):
            self._reserve(self._rows(), sum(np.asarray(data).nbytes for data in results.values()))
            for entry, data in results.items():
                if entry.path in self._file:
                    del self._file[entry.path]
                packed = {"compression": "gzip", "shuffle": True} if entry is layout.FINAL_Y else {}
                dataset = self._file.create_dataset(entry.path, data=data, dtype=entry.dtype, **packed)
                dataset.attrs["axes"] = entry.axes
            self._sync()
            self.set(stop_reason=stop_reason, finished=finished, wall_seconds=wall_seconds, status=status)
            self._sync()

    def fail(self, reason: str, finished: str, wall_seconds: float) -> None:
        """Drop what is pending and say in the file that the run failed: both need no more space."""
        self._pending.clear()
        with storage_errors(self.path):
            self.set(stop_reason=reason, finished=finished, wall_seconds=wall_seconds, status=layout.FAILED)
            self._sync()

    def _reserve(self, rows: int, more: int = 0) -> None:
        """Have the file system set aside what ``rows`` rows in all and ``more`` bytes will take.

        HDF5 does not survive a write that fails: the file is torn and the process crashes when it ends. So a
        full disk is met here, before HDF5 is given anything to write.
        """
        growth = more + _SLACK_BYTES
        for entry, shape in self.header.rows().items():
            chunk = _chunk_rows(entry, shape)
            growth += -(-(rows - self._opened_rows) // chunk) * chunk * _row_bytes(entry, shape)
        end = self._opened_size + growth + growth // 16
        descriptor = self._file.id.get_vfd_handle()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, end)
        elif shutil.disk_usage(self.path.parent).free < end - os.fstat(descriptor).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
        with storage_errors(self.path):
            h5py.File(self.path, "r+").close()  # cuts off what was reserved and not used

    def close(self) -> None:
        """Close the file; what is pending is not written."""
        if self._file:
            with storage_errors(self.path):
                self._file.close()


def _row_bytes(entry: Entry, shape: tuple[int, ...]) -> int:
    return max(1, int(np.prod(shape))) * np.dtype(entry.dtype).itemsize


def _chunk_rows(entry: Entry, shape: tuple[int, ...]) -> int:
    return int(np.clip(_CHUNK_BYTES // _row_bytes(entry, shape), 1, 1024))


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system or HDF5 says of a file into one line of ours."""
    try:
        yield
    except StorageError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise StorageError(f"{path}: {explain(error)}.") from error


def explain(error: BaseException) -> str:
    """Say in a few words why a file could not be written or read."""
    number = getattr(error, "errno", None)
    text = str(error)
    if not number and "errno = " in text:
        number = int(text.split("errno = ")[1].split(",")[0])
    return os.strerror(number).lower() if number else text.splitlines()[0] if text else type(error).__name__
