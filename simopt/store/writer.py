"""The log of a run, which is kept in memory and makes the content of the run file at each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simopt.store import layout
from simopt.store.image import Array, Stored
from simopt.store.layout import Entry
from simopt.store.state import checkpoint
from simopt.typing import FloatArray

_FIRST_ROWS = 64
"""Capacity of a new log; it doubles when it is full."""


class RunLog:
    """The logged states of one run, and the attributes that are known before it starts.

    Parameters
    ----------
    attributes : mapping
        Attributes of the run file, with the keys of ``layout.ATTRIBUTES``. ``seeds`` has one entry for each
        of the R replicates.
    pc_variance : array, (K,)
        Share of each PC in the variance of the recording.
    tracked : sequence of str
        Names of the measures that are evaluated but not optimized.
    before : Stored, optional
        Content of the file that an earlier session of the run wrote. The log starts with its states.

    Attributes
    ----------
    row_bytes : int
        Number of bytes that one logged state takes in memory.
    """

    def __init__(
        self,
        attributes: Mapping[str, Any],
        pc_variance: FloatArray,
        tracked: Sequence[str] = (),
        before: Stored | None = None,
    ) -> None:
        self._attributes, self._pc_variance = attributes, pc_variance
        self._rows = 0
        r, k = len(attributes["seeds"]), len(pc_variance)
        shapes = {layout.STEP: (), layout.SCORE: (r,), layout.CAPTURED_VARIANCE: (r, k)}
        shapes |= {layout.tracked(name): (r,) for name in tracked}
        # Arrays that double in capacity instead of a list of rows: many small arrays allocated between the
        # large tensors of a run would fragment the heap, and the process would keep growing.
        self._logged = {entry: np.empty((_FIRST_ROWS, *shapes[entry]), entry.dtype) for entry in shapes}
        self.row_bytes = sum(logged[0].nbytes for logged in self._logged.values())
        if before is not None:
            for entry in self._logged:
                self._logged[entry] = np.array(before.arrays[entry.path].data, entry.dtype)
            self._rows = len(self._logged[layout.STEP])

    def append(self, row: Mapping[Entry, Any]) -> None:
        """Append one logged state.

        Parameters
        ----------
        row : mapping of Entry
            The values of this state for each HDF5 dataset with the axis T.
        """
        for entry, logged in self._logged.items():
            if self._rows == len(logged):
                grown = np.empty((max(_FIRST_ROWS, 2 * self._rows), *logged.shape[1:]), logged.dtype)
                grown[: self._rows] = logged
                self._logged[entry] = grown
            self._logged[entry][self._rows] = row[entry]
        self._rows += 1

    def logged(self, entry: Entry) -> FloatArray:
        """Return the values of one HDF5 dataset at the T states logged so far, (T, ...), as a view."""
        rows: FloatArray = self._logged[entry][: self._rows]
        return rows

    def stored(
        self,
        attributes: Mapping[str, Any],
        results: Mapping[str, Array],
        state: Mapping[str, Any] | None = None,
    ) -> Stored:
        """Return the content of the run file with all states logged so far.

        Parameters
        ----------
        attributes : mapping
            Attributes that replace those known at the start of the run.
        results : mapping of Array
            Further HDF5 datasets by their paths.
        state : mapping, optional
            State of the optimization. It is given if the run is to be resumed from this file.
        """
        variance = self._pc_variance
        arrays = layout.REPLICATE.at(self._attributes["seeds"]) | layout.PC_VARIANCE.at(variance)
        arrays |= layout.PC.at(np.arange(1, len(variance) + 1))
        for entry in self._logged:
            arrays |= entry.at(self.logged(entry))
        arrays |= results
        parts, groups = ({}, {}) if state is None else checkpoint(state)
        return Stored({**self._attributes, **attributes}, arrays | parts, groups)
