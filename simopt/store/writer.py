"""The rows of a run, kept in memory, and the file that is made of them at each checkpoint."""

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


@dataclass(frozen=True)
class Header:
    """What is known of a run before it starts; ``attributes`` by the names of layout.ATTRIBUTES."""

    attributes: Mapping[str, Any]
    pc_variance: FloatArray  # (K,)
    replicates: int
    tracked: tuple[str, ...] = ()

    def rows(self) -> dict[Entry, tuple[int, ...]]:
        """Return the datasets that grow along T, with the shape of one row."""
        r, k = self.replicates, len(self.pc_variance)
        grown: dict[Entry, tuple[int, ...]] = {
            layout.STEP: (),
            layout.SCORE: (r,),
            layout.CAPTURED_VARIANCE: (r, k),
        }
        return grown | {layout.tracked(name): (r,) for name in self.tracked}

    def row_bytes(self) -> int:
        """Return the memory that one logged state takes."""
        return sum(
            int(np.prod(shape, dtype=int)) * np.dtype(entry.dtype).itemsize
            for entry, shape in self.rows().items()
        )


class RunLog:
    """What is logged of one run.

    Parameters
    ----------
    header : Header
    before : Stored, optional
        What the file of an earlier session holds, whose rows are kept.
    """

    def __init__(self, header: Header, before: Stored | None = None) -> None:
        self.header = header
        self._rows = 0
        # Arrays that double, not a list of rows: small blocks between large tensors would fragment the heap.
        self._logged = {
            entry: np.empty((_FIRST_ROWS, *shape), entry.dtype) for entry, shape in header.rows().items()
        }
        if before is not None:
            for entry in self._logged:
                self._logged[entry] = np.array(before.arrays[entry.path].data, entry.dtype)
            self._rows = len(self._logged[layout.STEP])

    def append(self, row: Mapping[Entry, Any]) -> None:
        """Take one logged state."""
        for entry, logged in self._logged.items():
            if self._rows == len(logged):
                grown = np.empty((max(_FIRST_ROWS, 2 * self._rows), *logged.shape[1:]), logged.dtype)
                grown[: self._rows] = logged
                self._logged[entry] = grown
            self._logged[entry][self._rows] = row[entry]
        self._rows += 1

    def logged(self, entry: Entry) -> FloatArray:
        """Return what was logged so far of one of the datasets that grow."""
        rows: FloatArray = self._logged[entry][: self._rows]
        return rows

    def stored(
        self,
        attributes: Mapping[str, Any],
        results: Mapping[str, Array],
        state: Mapping[str, Any] | None = None,
    ) -> Stored:
        """Return the file as it is now.

        Parameters
        ----------
        attributes : mapping
            Over those of the header.
        results : mapping of Array
            Datasets beside the rows, by path.
        state : mapping, optional
            Of the optimization, where the run is to be resumed from here.
        """
        variance = self.header.pc_variance
        arrays = layout.REPLICATE.at(self.header.attributes["seeds"]) | layout.PC_VARIANCE.at(variance)
        arrays |= layout.PC.at(np.arange(1, len(variance) + 1))
        for entry in self._logged:
            arrays |= entry.at(self.logged(entry))
        arrays |= results
        parts, groups = ({}, {}) if state is None else checkpoint(state)
        return Stored({**self.header.attributes, **attributes}, arrays | parts, groups)
