"""The log of a run, kept in memory, and the content of the file that is made from it at each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt.store import layout
from simopt.store.image import Array, Stored
from simopt.store.layout import Entry
from simopt.store.state import checkpoint
from simopt.typing import FloatArray

_FIRST_ROWS = 64
"""Capacity of a new log; it doubles when it is full."""


@dataclass(frozen=True)
class Header:
    """The facts of a run that are known before it starts.

    Attributes
    ----------
    attributes : mapping
        With the keys of ``layout.ATTRIBUTES``; ``seeds`` holds R of them.
    pc_variance : array, (K,)
        Explained variance ratio of each PC of the recording.
    tracked : tuple of str
        Names of the measures that are evaluated but not optimized.
    """

    attributes: Mapping[str, Any]
    pc_variance: FloatArray  # (K,)
    tracked: tuple[str, ...] = ()

    def rows(self) -> dict[Entry, tuple[int, ...]]:
        """Return the datasets with the axis T, each with the shape of one row."""
        r, k = len(self.attributes["seeds"]), len(self.pc_variance)
        grown: dict[Entry, tuple[int, ...]] = {
            layout.STEP: (),
            layout.SCORE: (r,),
            layout.CAPTURED_VARIANCE: (r, k),
        }
        return grown | {layout.tracked(name): (r,) for name in self.tracked}

    def row_bytes(self) -> int:
        """Return the memory of one logged state, in bytes."""
        return sum(np.empty(shape, entry.dtype).nbytes for entry, shape in self.rows().items())


class RunLog:
    """The logged states of one run.

    Parameters
    ----------
    header : Header
    before : Stored, optional
        Content of the file of an earlier session; its logged states are kept.
    """

    def __init__(self, header: Header, before: Stored | None = None) -> None:
        self.header = header
        self._rows = 0
        # Arrays that double in capacity instead of a list of rows: many small arrays allocated between the
        # large tensors of a run would fragment the heap, and the process would keep growing.
        self._logged = {
            entry: np.empty((_FIRST_ROWS, *shape), entry.dtype) for entry, shape in header.rows().items()
        }
        if before is not None:
            for entry in self._logged:
                self._logged[entry] = np.array(before.arrays[entry.path].data, entry.dtype)
            self._rows = len(self._logged[layout.STEP])

    def append(self, row: Mapping[Entry, Any]) -> None:
        """Append one logged state, given as one row for each dataset of :meth:`Header.rows`."""
        for entry, logged in self._logged.items():
            if self._rows == len(logged):
                grown = np.empty((max(_FIRST_ROWS, 2 * self._rows), *logged.shape[1:]), logged.dtype)
                grown[: self._rows] = logged
                self._logged[entry] = grown
            self._logged[entry][self._rows] = row[entry]
        self._rows += 1

    def logged(self, entry: Entry) -> FloatArray:
        """Return the rows logged so far of one dataset, (T, ...), as a view."""
        rows: FloatArray = self._logged[entry][: self._rows]
        return rows

    def stored(
        self,
        attributes: Mapping[str, Any],
        results: Mapping[str, Array],
        state: Mapping[str, Any] | None = None,
    ) -> Stored:
        """Return the content of the file at this moment.

        Parameters
        ----------
        attributes : mapping
            Replace those of the header.
        results : mapping of Array
            Datasets beside the logged states, by path.
        state : mapping, optional
            State of the optimization, if the run is to be resumed from here.
        """
        variance = self.header.pc_variance
        arrays = layout.REPLICATE.at(self.header.attributes["seeds"]) | layout.PC_VARIANCE.at(variance)
        arrays |= layout.PC.at(np.arange(1, len(variance) + 1))
        for entry in self._logged:
            arrays |= entry.at(self.logged(entry))
        arrays |= results
        parts, groups = ({}, {}) if state is None else checkpoint(state)
        return Stored({**self.header.attributes, **attributes}, arrays | parts, groups)
