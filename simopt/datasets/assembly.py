"""Read Brain-Score assemblies: netCDF4 files of units x presentations, averaged while they are read.

An assembly is an ``xarray.DataArray`` that xarray wrote to a netCDF4 file, which is an HDF5 file. It holds:

- One array of numbers, with the dimensions neuroid (unit), presentation and possibly time_bin in any order.
  Its name differs between files: ``data``, the assembly's name, or ``__xarray_dataarray_variable__``.
- Coordinates, which are arrays along one dimension: for instance ``image_id`` has a value for each
  presentation, and ``region`` for each neuroid. xarray cannot store a pandas MultiIndex, so each of its
  levels is a coordinate.
- A name for each dimension, which is the name of the HDF5 dimension scale attached to the axis.

Labels of stimuli that the assembly lacks are in the csv of the stimulus set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np

from simopt import checks
from simopt.datasets import formats
from simopt.datasets.base import Dataset, Repetitions, check_length, readable
from simopt.datasets.fetch import Remote
from simopt.datasets.formats.hdf5 import datasets_inside, stored
from simopt.datasets.formats.netcdf import dimensions
from simopt.datasets.formats.tables import rows_of
from simopt.datasets.preprocess import as_labels, both
from simopt.datasets.recording import Recording
from simopt.datasets.trials import Trials, condition_means
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

STIMULUS = ("stimulus_id", "image_id")
"""Names of the column of stimulus ids: first the current name, then the name in older files."""
_STORE = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore/"
_BLOCK = 2**24  # values of single presentations in memory at once: 128 MB in float64
_DIMENSIONS = ("time_bin", "presentation", "neuroid")


def remote(name: str, sha1: str, size: str, earlier: str) -> Remote:
    """Return a file of Brain-Score's public store.

    Parameters
    ----------
    name : str
        Name of the file in the store and in the cache.
    sha1 : str
        The published SHA-1 of the file, in hexadecimal.
    size : str
        Approximate size, for display.
    earlier : str
        The former address of the file, which errors show.
    """
    return Remote(
        name=name,
        url=_STORE + name,
        by_hand=f"{earlier} had the same file; or load it once with the package brainscore_vision and copy "
        f"{name} from the folder ~/.brainio.",
        hash=f"sha1:{sha1}",
        size=size,
    )


@dataclass(frozen=True, kw_only=True)
class AssemblyRecording(Recording):
    """Base class of the recordings in two files: an assembly, and a csv with the table of its stimuli.

    Parameters
    ----------
    region : str
        The region whose units to take, one of ``regions``. ``all`` takes every unit.
    repetitions : {"average", "keep"}
        ``average`` returns only averages; ``keep`` also keeps the single trials.
    """

    region: str = "all"
    repetitions: Repetitions = "average"

    licence = "not stated; public Brain-Score assembly"
    regions: ClassVar[tuple[str, ...]]
    variables: ClassVar[tuple[tuple[str, str], ...]]
    """Pairs of the name of a task variable in simopt and its name in the files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of(self.region, self.regions, f"region of {self.name}")

    def bins(self, assembly: Assembly) -> list[tuple[int, int]]:
        """Return a list with the range of time indices, (start, stop), of each bin of the dataset.

        This method is for recordings with one time or no time axis; all other recordings override it.
        """
        if assembly.length("time_bin") != 1:
            raise InputError(
                f"{assembly.path}: holds {assembly.length('time_bin')} time bins; {self.name} must have 1."
            )
        return [(0, 1)]

    def read(self, folder: Path) -> Dataset:
        """Read the recording from the folder that holds its files.

        Labels that the assembly does not hold are taken from the table of stimuli.

        Raises
        ------
        InputError
            A file is missing, broken, or has another layout; or the window or bin does not fit the recording.
        """
        recording, table = (folder / file.name for file in self.files)
        with opened(recording) as assembly:
            bins = self.bins(assembly)
            labels = assembly.labels(self.variables, table)
            units, keep = assembly.units(self.region), self.repetitions == "keep"
            responses, trials = assembly.responses(units, bins, keep=keep)
        if len(self.shape) == 2:
            responses, trials = both(lambda values: values[0], responses, trials)
        return self.dataset(responses, labels, trials)


@dataclass(frozen=True)
class Assembly:
    """An open assembly; :func:`opened` returns it.

    Attributes
    ----------
    path : Path
    content : Content
        The array of responses, which is not read yet.
    dims : tuple of str
        Names of the array's dimensions (presentation, neuroid, and possibly time_bin), in the array's order.
    coordinates : dict of h5py.Dataset
        The HDF5 datasets in the root and in the group of the array, by name.
    """

    path: Path
    content: formats.Content
    dims: tuple[str, ...]
    coordinates: Mapping[str, h5py.Dataset]

    def length(self, dimension: str) -> int:
        """Return the length of a dimension, or 1 if the array does not have this dimension."""
        shape = self.content.array.shape
        return int(shape[self.dims.index(dimension)]) if dimension in self.dims else 1

    def coordinate(self, name: str, dimension: str) -> LabelArray:
        """Return the values of a coordinate, text or numbers: one value for each index of a dimension.

        Raises
        ------
        InputError
            The file has no coordinate of this name, or the coordinate belongs to another dimension.
        """
        coordinate = self.coordinates.get(name)
        # The first dimension decides: text may be stored as a matrix of characters with a second dimension.
        # A coordinate without a scale ("") is accepted, and its length checked.
        if coordinate is None or dimensions(coordinate)[:1] not in (("",), (dimension,)):
            raise InputError(f"{self.path}: has no coordinate {name!r} along the dimension {dimension!r}.")
        values = as_labels(stored(coordinate, self.path), f"{self.path}: {name!r}")
        check_length(values, self.length(dimension), f"{self.path}: {name!r}", f"of dimension {dimension!r}")
        return values

    @cached_property
    def stimuli(self) -> tuple[LabelArray, LabelArray]:
        """The ids of the stimuli, (conditions,), and the index of each presentation's stimulus in them.

        The ids are in ascending order, which is the order of the conditions in the dataset. The indices have
        the shape (presentations,).
        """
        name = next((name for name in STIMULUS if name in self.coordinates), STIMULUS[-1])
        return np.unique(self.coordinate(name, "presentation"), return_inverse=True)

    def units(self, region: str) -> LabelArray:
        """Return the indices of the units in a region, in ascending order.

        The region ``all`` has every unit.

        Raises
        ------
        InputError
            No unit is in this region.
        """
        if region == "all":
            return np.arange(self.length("neuroid"))
        regions = self.coordinate("region", "neuroid")
        units = np.flatnonzero(regions == region)
        if units.size == 0:
            present = ", ".join(map(str, np.unique(regions)))
            raise InputError(f"{self.path}: no unit is in region {region}; there are units in {present}.")
        return units

    def labels(self, variables: Sequence[tuple[str, str]], table: Path) -> dict[str, LabelArray]:
        """Return a dict that maps each task variable to its labels, an array of shape (conditions,).

        Parameters
        ----------
        variables : sequence of (str, str)
            Pairs of the name of a task variable in simopt and its name in the files. If the assembly has no
            coordinate of the second name, the labels are the column of that name in ``table``.
        table : Path
            The csv of the stimulus set. It is only opened if it is needed.

        Raises
        ------
        InputError
            A variable is in neither file, or its value differs between repetitions of a stimulus.
        """
        labels = {}
        ids, condition = self.stimuli
        for variable, name in variables:
            if name not in self.coordinates:
                labels[variable] = column(table, name, ids)
                continue
            values = self.coordinate(name, "presentation")
            labels[variable] = values[np.unique(condition, return_index=True)[1]]
            changed = labels[variable][condition] != values
            if changed.any():
                stimulus = ids[condition[np.argmax(changed)]]
                raise InputError(f"{self.path}: {name!r} differs between repetitions of stimulus {stimulus}.")
        return labels

    def responses(
        self, units: LabelArray, bins: Sequence[tuple[int, int]], *, keep: bool = False
    ) -> tuple[FloatArray, Trials | None]:
        """Average the presentations of each stimulus at each time, then the times of each bin.

        The file is read a few units at a time, so that the single presentations of all units are never in
        memory together. NaN and fill values are left out of the averages.

        Parameters
        ----------
        units : array of int
            Indices of the units to read, in ascending order.
        bins : sequence of (start, stop)
            The range of time indices of each bin. Each bin starts where the previous bin stops.
        keep : bool
            Whether to return the single presentations as well.

        Returns
        -------
        responses : array of float64, (bins, conditions, units)
        trials : Trials or None
            The single presentations, (bins, presentations, units), in the order of the file. They are float32
            if the file has floats of at most 32 bits, else float64. They are NaN where a unit has no value
            at a time of the bin. None if ``keep`` is false.

        Raises
        ------
        InputError
            A unit lacks a value in every repetition of a stimulus.
        """
        (ids, condition), first = self.stimuli, bins[0][0]
        times = np.arange(first, bins[-1][1])
        # Averages are float64. Single presentations are by far the largest array: keep the file's precision.
        dtype = self.content.array.dtype
        precision = np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64
        responses = np.empty((len(bins), len(ids), len(units)))
        trials = np.empty((len(bins), len(condition), len(units)), dtype=precision) if keep else None
        step = max(1, _BLOCK // (len(times) * len(condition)))
        for start in range(0, len(units), step):
            block = slice(start, start + step)
            values = self._values(times, units[block])  # (time, presentation, unit)
            means, counts = condition_means(values, condition)  # (time, condition, unit)
            empty = np.argwhere(counts == 0)
            if len(empty):
                row, unit = empty[0][-2:]
                number = units[block][unit]
                has_ids = "neuroid_id" in self.coordinates
                unit_id = self.coordinate("neuroid_id", "neuroid")[number] if has_ids else f"number {number}"
                raise InputError(
                    f"{self.path}: unit {unit_id} has no value in any repetition of stimulus {ids[row]}."
                )
            # Presentations are averaged before times: where one lacks a value at one time only, each time is
            # still the mean of what is there, and all times of a bin weigh the same.
            for index, (begin, end) in enumerate(bins):
                in_bin = slice(begin - first, end - first)
                responses[index, :, block] = means[in_bin].mean(axis=0)
                if trials is not None:
                    trials[index, :, block] = values[in_bin].mean(axis=0)
        return responses, None if trials is None else Trials(trials, condition)

    def _values(self, times: LabelArray, units: LabelArray) -> FloatArray:
        """Read the values at ``times`` of ``units``, (time, presentation, unit); missing values are NaN."""
        presentations = np.arange(self.length("presentation"))
        chosen = {"time_bin": times, "neuroid": units, "presentation": presentations}
        values = self.content.take([chosen[name] for name in self.dims]).astype(np.float64)
        order = [self.dims.index(name) for name in _DIMENSIONS if name in self.dims]
        return values.transpose(order).reshape(len(times), -1, len(units))


@contextmanager
def opened(path: Path) -> Iterator[Assembly]:
    """Open an assembly for the ``with`` block.

    The array of responses is the only array of numbers with two or more dimensions that is not a coordinate.
    Links to other files are not followed.

    Raises
    ------
    InputError
        The file does not exist, has another layout, or is broken. If the damage only shows when values are
        read, the error is raised inside the ``with`` block.
    """
    with formats.opened(path, formats.Options(labels=())) as content:
        array: Any = content.array
        dims = dimensions(array) if isinstance(array, h5py.Dataset) else ()
        expected = set(dims) <= set(_DIMENSIONS) and {"presentation", "neuroid"} <= set(dims)
        if not expected or len(set(dims)) < len(dims) or 0 in array.shape:
            raise InputError(
                f"{path}: its array has dimensions ({', '.join(dims)}) and shape {array.shape}; "
                f"expected {', '.join(_DIMENSIONS)} in any order, or without time_bin."
            )
        # xarray may write into a group: names in it go before those in the root.
        coordinates = datasets_inside(array.file) | datasets_inside(array.parent)
        yield Assembly(path, content, dims, coordinates)


def column(path: Path, name: str, ids: LabelArray) -> LabelArray:
    """Return a column of the csv of a stimulus set, an array of shape (conditions,).

    Parameters
    ----------
    path : Path
    name : str
        Name of the column.
    ids : array, (conditions,)
        Ids of the stimuli whose values to return, in the order of the result.

    Raises
    ------
    InputError
        The file or column does not exist; or a stimulus has no row, several rows, or no value.
    """
    formats.check(path, (".csv",))
    with readable(path, ".csv"):
        header, rows = rows_of(path, [*STIMULUS, name])
    key = next((key for key in STIMULUS if key in header), STIMULUS[-1])
    for needed in (key, name):
        if needed not in header:
            raise InputError(f"{path}: has no column {needed!r}; it has: {', '.join(header)[:200]}.")
    id_column, value_column = header.index(key), header.index(name)
    values = {row[id_column]: row[value_column] for _, row in rows}
    counts = Counter(row[id_column] for _, row in rows)
    for stimulus in map(str, ids):
        if counts[stimulus] > 1:
            raise InputError(f"{path}: has {counts[stimulus]} rows for stimulus {stimulus!r}; expected 1.")
        if not values.get(stimulus):
            raise InputError(
                f"{path}: has no {name} for stimulus {stimulus!r} of the recording; expected a value."
            )
    return np.array([values[str(stimulus)] for stimulus in ids])
