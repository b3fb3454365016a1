"""Hatsopoulos2007: macaque motor cortex, 10 time bins x 395 reaches (inferred) x 141 units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simopt import checks
from simopt.datasets import matfile, preprocess
from simopt.datasets.base import Dataset
from simopt.datasets.fetch import Remote
from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

TARGETS = 8

_FILE = "Dataset5_Monkey4_Session1_ReachDataSimultaneousRecording.mat"
_TRUNCATE = 4  # standard deviations after which the Gaussian is cut off


@dataclass(frozen=True, kw_only=True)
class Hatsopoulos(Recording):
    """Single reaches to 8 targets, spikes smoothed.

    Spikes are counted in steps of 1 ms from the onset of each movement, smoothed by a Gaussian, and summed in
    bins (spikes per bin). The smoothing sees the spikes before and after the window, so that its ends are
    not damped. The published code has the same bins, window and width of the Gaussian, but smooths the bins
    of each reach and takes them from a grid of 50 ms that does not start at the onset: expect the spectra
    to differ a little. Reaches are in the order of their onsets, units in that of the file; channels
    without spikes are left out. The label ``target`` counts the targets as the file does, from 0.

    Parameters
    ----------
    window : pair of int
        Milliseconds from the onset of the movement.
    bin : int
        Milliseconds.
    smooth : float
        Standard deviation of the Gaussian in milliseconds; 0: none.
    """

    window: Sequence[int] = (0, 500)
    bin: int = 50
    smooth: float = 25

    shape = (10, 395, 141)
    citation = (
        "Hatsopoulos, Xu & Amit 2007, J. Neurosci. 27(19):5105: Encoding of movement fragments in the motor "
        "cortex; data in Suresh et al. 2020, eLife 9:e58848"
    )
    licence = "CC0 (by the policy of Dryad)"
    files = (
        Remote(
            name=_FILE,
            url="https://datadryad.org/stash/downloads/file_stream/397190",
            by_hand="download it with a browser from doi:10.5061/dryad.xsj3tx9cm at datadryad.org",
            size="41 MB",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole(self.bin, 1, f"bin of {self.name}")
        checks.at_least(self.smooth, 0, f"smooth of {self.name}")
        preprocess.check_window(self.window, self.bin, self.name, whole=True)

    def planted(self) -> Sequence[Planted]:
        """8 reach targets in turn."""
        return [Planted("target", np.arange(395) % 8, strength=0.5, center=3, width=1)]

    def read(self, folder: Path) -> Dataset:
        """Read the spike times and the onsets of the movements.

        Raises
        ------
        InputError
            No such file, a broken one, no such variables, or times that are not numbers.
        """
        path = folder / _FILE
        onsets, target = _reaches(path)
        trains = _trains(matfile.cells(path, "spikes"), f"{path}: spikes")
        if not trains:
            raise InputError(f"{path}: spikes holds no unit with spikes.")
        counts = np.stack([self._counts(train, onsets) for train in trains], axis=-1)
        return self.dataset(counts, {"target": target})

    def _counts(self, train: FloatArray, onsets: FloatArray) -> FloatArray:
        """Return the smoothed spikes of one unit, (bin, reach)."""
        from scipy.ndimage import gaussian_filter1d

        start, stop = self.window
        margin = int(np.ceil(_TRUNCATE * self.smooth))
        edges = onsets[:, None] + np.arange(start - margin, stop + margin + 1) / 1000
        counts = np.diff(np.searchsorted(train, edges), axis=1).astype(np.float64)
        if self.smooth:
            counts = gaussian_filter1d(counts, self.smooth, axis=1, mode="constant", truncate=_TRUNCATE)
        inside = counts[:, margin : margin + stop - start]
        binned: FloatArray = inside.reshape(len(onsets), -1, self.bin).sum(axis=2).T
        return binned


def _reaches(path: Path) -> tuple[FloatArray, LabelArray]:
    """Return the onsets of all movements in seconds, ascending, and the target of each."""
    cells = matfile.cells(path, "stmv_cell")
    if len(cells) != TARGETS:
        raise InputError(
            f"{path}: stmv_cell has {len(cells)} cells; expected one for each of {TARGETS} targets."
        )
    times = [_times(cell, f"{path}: stmv_cell{{{i + 1}}}") for i, cell in enumerate(cells)]
    onsets = np.concatenate(times)
    if len(onsets) < 2:
        raise InputError(f"{path}: stmv_cell has {len(onsets)} reach(es); at least 2 are needed.")
    order = np.argsort(onsets, kind="stable")
    return onsets[order], np.repeat(np.arange(TARGETS), [len(each) for each in times])[order]


def _trains(cells: list[matfile.Cell], what: str) -> list[FloatArray]:
    """Return the spike times of every unit that has any; a channel is a unit or a cell array of units."""
    trains = []
    for i, cell in enumerate(cells):
        name = f"{what}{{{i + 1}}}"
        found = _trains(cell, name) if isinstance(cell, list) else [np.sort(_times(cell, name))]
        trains += [train for train in found if train.size]
    return trains


def _times(cell: matfile.Cell, what: str) -> FloatArray:
    if isinstance(cell, list | str) or (
        cell.size and (cell.dtype.kind not in "fiu" or cell.size != max(cell.shape, default=1))
    ):
        raise InputError(f"{what} is not a vector of times.")
    times = cell.ravel().astype(np.float64)
    if not np.isfinite(times).all():
        raise InputError(f"{what} holds {int((~np.isfinite(times)).sum())} times that are NaN or infinite.")
    return times
