"""Load Hatsopoulos2007: macaque motor cortex, 10 time bins x 395 reaches (inferred) x 141 units."""

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
_TRUNCATE = 4  # standard deviations at which the Gaussian is cut off: scipy's default


@dataclass(frozen=True, kw_only=True)
class Hatsopoulos(Recording):
    """Loader of smoothed spike counts of single reaches to 8 targets.

    Spikes are counted in steps of 1 ms from the onset of each movement, smoothed by a Gaussian, and summed in
    bins (spikes per bin). The smoothing includes spikes before and after the window, so that responses do not
    decay towards the ends of the window. The published code uses the same bins, window and width of the
    Gaussian, but it smooths the binned counts of each reach, and its bins do not start at the onset. Its
    spectra differ slightly. Reaches are in the order of their onsets, units in the order of the file. Units
    without spikes are left out. The label ``target`` is the index of the target in the file.

    Parameters
    ----------
    window : (start, stop)
        Time window in ms from the onset of the movement, as whole numbers.
    bin : int
        Width of a bin in ms. It must divide the window.
    smooth : float
        Standard deviation of the Gaussian in ms. 0 turns smoothing off.

    References
    ----------
    Suresh et al. 2020, doi:10.7554/eLife.58848; data: doi:10.5061/dryad.xsj3tx9cm.
    """

    window: Sequence[int] = (0, 500)
    bin: int = 50
    smooth: float = 25

    shape = (10, 395, 141)
    citation = (
        "Hatsopoulos, Xu & Amit 2007, J. Neurosci. 27(19):5105: Encoding of movement fragments in the motor "
        "cortex; data in Suresh et al. 2020, eLife 9:e58848, doi:10.7554/eLife.58848"
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
        checks.options(self, smooth=0)
        preprocess.check_window(self.window, self.bin, self.name, whole=True)

    def planted(self) -> Sequence[Planted]:
        """Return the reach target, a variable whose 8 classes alternate from reach to reach."""
        # By trial: the published decoder reaches the published accuracy, 0.77, within 0.03.
        return [Planted("target", np.arange(395) % 8, strength=0.5, center=3, width=1)]

    def read(self, folder: Path) -> Dataset:
        """Read the spike times and the onsets of the movements, and return the smoothed spike counts.

        Raises
        ------
        InputError
            The file does not exist, is broken, or lacks a variable; or times in it are not numbers.
        """
        path = folder / _FILE
        onsets, target = _reaches(path)
        trains = _trains(matfile.cells(path, "spikes"), f"{path}: spikes")
        if not trains:
            raise InputError(f"{path}: spikes holds no spike of any unit; expected spike times in s.")
        counts = np.stack([self._counts(train, onsets) for train in trains], axis=-1)
        return self.dataset(counts, {"target": target})

    def _counts(self, train: FloatArray, onsets: FloatArray) -> FloatArray:
        """Return the smoothed spikes of one unit, (bin, reach)."""
        from scipy.ndimage import gaussian_filter1d

        start, stop = self.window
        margin = int(np.ceil(_TRUNCATE * self.smooth))  # ms that the Gaussian reaches beyond the window
        edges = onsets[:, None] + np.arange(start - margin, stop + margin + 1) / 1000  # s, (reach, step + 1)
        # The number of spikes before each edge; its differences are counts in half-open steps of 1 ms.
        counts = np.diff(np.searchsorted(train, edges), axis=1).astype(np.float64)
        # mode="constant" takes counts beyond the margins as 0: too far from the window to enter it.
        if self.smooth:
            counts = gaussian_filter1d(counts, self.smooth, axis=1, mode="constant", truncate=_TRUNCATE)
        inside = counts[:, margin : margin + stop - start]
        binned: FloatArray = inside.reshape(len(onsets), -1, self.bin).sum(axis=2).T
        return binned


def _reaches(path: Path) -> tuple[FloatArray, LabelArray]:
    """Return the onsets of all movements in s, ascending, and the target of each."""
    cells = matfile.cells(path, "stmv_cell")
    if len(cells) != TARGETS:
        raise InputError(
            f"{path}: stmv_cell has {len(cells)} cells; expected one cell for each of the {TARGETS} targets."
        )
    times = [_times(cell, f"{path}: stmv_cell{{{i + 1}}}") for i, cell in enumerate(cells)]
    onsets = np.concatenate(times)
    if len(onsets) < 2:
        raise InputError(f"{path}: stmv_cell has {len(onsets)} reach(es); give at least 2.")
    # The file lists movements by target; the dataset has them in the order of time.
    order = np.argsort(onsets, kind="stable")
    return onsets[order], np.repeat(np.arange(TARGETS), list(map(len, times)))[order]


def _trains(cells: list[matfile.Cell], what: str) -> list[FloatArray]:
    """Return the sorted spike times of every unit that has spikes.

    A cell of the array is a channel: the spike times of one unit, or a cell array of units.
    """
    trains = []
    for i, cell in enumerate(cells):
        name = f"{what}{{{i + 1}}}"  # as MATLAB writes it
        units = _trains(cell, name) if isinstance(cell, list) else [np.sort(_times(cell, name))]
        trains += [train for train in units if train.size]
    return trains


def _times(cell: matfile.Cell, what: str) -> FloatArray:
    if isinstance(cell, list | str) or (
        cell.size and (cell.dtype.kind not in "fiu" or cell.size != max(cell.shape, default=1))
    ):
        raise InputError(f"{what} is not a vector of times; expected one row or column of times in s.")
    times = cell.ravel().astype(np.float64)
    if not np.isfinite(times).all():
        raise InputError(f"{what} holds {int((~np.isfinite(times)).sum())} NaN or infinite times.")
    return times
