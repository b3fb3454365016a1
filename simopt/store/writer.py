"""Writing a run file so that it can be read at any instant, also after a kill.

Rows are appended in blocks (:mod:`simopt.store.growing`). All else that changes, a new status or the results
of a run that ended, is written to a new file, which takes the run's name when it is complete.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import h5py
import numpy as np

from simopt.errors import StorageError
from simopt.store import checksum, layout
from simopt.store.errors import storage_errors
from simopt.store.growing import GrowingFile, complete_rows, image
from simopt.store.layout import Entry
from simopt.store.whole import write
from simopt.typing import FloatArray

BLOCK_ROWS = 64
_HEADER_BYTES = 2**12  # more than a dataset takes beside its data


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

    Use it as a context manager: leaving it closes the file.
    """

    path: Path
    header: Header
    flush_seconds: float = 5.0
    _open: GrowingFile | None = field(init=False, repr=False, default=None)
    _block: dict[Entry, FloatArray] = field(init=False, repr=False, default_factory=dict)
    _pending: int = field(init=False, default=0)
    _flushed: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        # One block for good: rows kept one by one between the loop's large tensors would fragment the heap.
        self._block = {
            entry: np.empty((BLOCK_ROWS, *shape), entry.dtype) for entry, shape in self.header.rows().items()
        }

    @classmethod
    def create(cls, path: Path, header: Header, flush_seconds: float = 5.0) -> Self:
        """Make a new run file of status ``running``, in the place of any old one.

        Raises
        ------
        StorageError
            The file cannot be written; nothing is left of it.
        """
        writer = cls(path, header, flush_seconds)
        with writer._renewed(header.attributes):
            pass
        return writer

    @classmethod
    def resume(cls, path: Path, header: Header, before_step: int, flush_seconds: float = 5.0) -> Self:
        """Go on with a run file, keeping its attributes and the rows of the steps before ``before_step``.

        Raises
        ------
        StorageError
            The file is broken, or cannot be written; it is left as it was.
        """
        writer = cls(path, header, flush_seconds)
        with storage_errors(path), h5py.File(path, "r") as old:
            attributes = {**old.attrs, "status": layout.RUNNING, "stop_reason": "", "finished": ""}
            step = old[layout.STEP.path][()]
            kept = int(np.searchsorted(step[: complete_rows(step)], before_step))
            with writer._renewed(attributes, kept) as new:
                new.copy_rows(old, kept)
        return writer

    def append(self, row: Mapping[Entry, Any]) -> None:
        """Take one logged state; it is written when a block is full or ``flush_seconds`` have passed."""
        for entry, block in self._block.items():
            block[self._pending] = row[entry]
        self._pending += 1
        due = time.monotonic() - self._flushed >= self.flush_seconds
        if due or self._pending >= BLOCK_ROWS or (self._pending == 1 and not self._file.rows):
            self.flush()

    def flush(self) -> None:
        """Write what is pending and push it to the file system."""
        if self._pending:
            self._make_room(self._pending)
            with storage_errors(self.path):
                self._file.append({entry: block[: self._pending] for entry, block in self._block.items()})
            self._pending = 0
        self._flushed = time.monotonic()

    def _make_room(self, rows: int) -> None:
        old = self._file
        if not old.has_room(rows):
            with self._renewed(old.file.attrs, old.rows + rows) as new:
                new.copy_rows(old.file, old.rows)

    def sync(self) -> None:
        """Write what is pending and have it reach the disk: before a checkpoint that counts on it."""
        self.flush()
        with storage_errors(self.path):
            self._file.sync()

    def logged(self, entry: Entry, columns: slice | None = None) -> FloatArray:
        """Return what was logged so far of one of the datasets that grow, or columns of its last axis."""
        self.flush()
        with storage_errors(self.path):
            dataset, rows = self._file.file[entry.path], self._file.rows
            data: FloatArray = dataset[:rows] if columns is None else dataset[:rows, ..., columns]
        return data

    def last_score(self) -> FloatArray | None:
        """Return the score (R,) of the last row; None where there is none."""
        self.flush()
        rows = self._file.rows
        with storage_errors(self.path):
            return self._file.file[layout.SCORE.path][rows - 1] if rows else None

    def conclude(
        self,
        status: str,
        stop_reason: str,
        finished: str,
        wall_seconds: float,
        results: Mapping[Entry, Any],
        attributes: Mapping[Entry, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Say how the run ended, with its results and their attributes: all at once, or not at all.

        Raises
        ------
        StorageError
            No space for it; the file is left as it was.
        """
        self.flush()
        old = self._file
        end = {"stop_reason": stop_reason, "finished": finished, "wall_seconds": wall_seconds}
        with (
            storage_errors(self.path),
            self._renewed({**old.file.attrs, **end, "status": status}, old.rows, last=True) as new,
        ):
            new.copy_rows(old.file, old.rows)
            new.reserve(new.rows, sum(np.asarray(data).nbytes + _HEADER_BYTES for data in results.values()))
            with new.writing():
                for entry, data in results.items():
                    packed = {"compression": "gzip", "shuffle": True} if entry is layout.FINAL_Y else {}
                    dataset = new.file.create_dataset(entry.path, data=data, dtype=entry.dtype, **packed)
                    for name, value in {"axes": entry.axes, **attributes.get(entry, {})}.items():
                        dataset.attrs[name] = value

    def fail(
        self,
        reason: str,
        finished: str,
        wall_seconds: float,
        results: Mapping[Entry, Any] = MappingProxyType({}),
        attributes: Mapping[Entry, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Say in the file that the run failed; on a full disk without results and pending rows."""
        try:
            self.conclude(layout.FAILED, reason, finished, wall_seconds, results, attributes)
        except (StorageError, MemoryError):
            self._pending = 0
            end = {"stop_reason": reason, "finished": finished, "wall_seconds": wall_seconds}
            with storage_errors(self.path), self._file.writing():
                for name, value in {**end, "status": layout.FAILED}.items():
                    self._file.file.attrs.modify(name, value)

    @property
    def _file(self) -> GrowingFile:
        if self._open is None:
            raise StorageError(f"{self.path}: closed.")
        return self._open

    @contextlib.contextmanager
    def _renewed(
        self, attributes: Mapping[str, Any], expected: int = 0, *, last: bool = False
    ) -> Iterator[GrowingFile]:
        """Give a new file with room for some rows; after the block it is the run's, and gone on with.

        ``last``: it is closed for good, and gets its checksum.
        """
        temporary = self.path.with_suffix(".h5.new")
        new = None
        try:
            with storage_errors(self.path):
                rows = self.header.rows()
                fixed = {layout.PC_VARIANCE: self.header.pc_variance}
                write(temporary, image(attributes, fixed, rows, expected))
                new = GrowingFile(temporary, rows)
                new.reserve(0)
                yield new
                if last:
                    new.close()
                    checksum.seal(temporary)
                else:
                    new.sync()
                temporary.replace(self.path)
        except BaseException:
            if new is not None:
                new.close()
            raise
        finally:
            temporary.unlink(missing_ok=True)
        self.close()
        self._open = None if last else new

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what is pending is not written."""
        if self._open is not None:
            with storage_errors(self.path):
                self._open.close()
            self._open = None
