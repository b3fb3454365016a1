"""Brain-Score assemblies: netCDF4 files of units x presentations, averaged while they are read.

An assembly is an ``xarray.DataArray`` that xarray wrote to netCDF4, which is HDF5. Its layout:

- One array of numbers, with the dimensions neuroid (unit), presentation and possibly time_bin in any order.
  Its name differs between files: ``data``, the assembly's name, or ``__xarray_dataarray_variable__``.
- Coordinates: arrays along one dimension, such as ``image_id`` of a presentation or ``region`` of a neuroid.
  xarray cannot store a pandas MultiIndex, so its levels are stored as coordinates one by one.
- The names of dimensions are those of the HDF5 dimension scales attached to each axis.

The labels of the stimuli may be missing from the assembly; they are then in a csv of the stimulus set.
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
from simopt.datasets.base import Dataset, Repetitions, Trials, check_length, condition_means, readable
from simopt.datasets.fetch import Remote
from simopt.datasets.formats.hdf5 import datasets_inside, stored
from simopt.datasets.formats.netcdf import dimensions
from simopt.datasets.formats.tables import rows_of
from simopt.datasets.preprocess import as_labels, both
from simopt.datasets.recording import Recording
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

STIMULUS = ("stimulus_id", "image_id")
"""Names of the column of stimulus ids: the current one, and the one of older files."""
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
        The published hash.
    size : str
        Approximate size, for display.
    earlier : str
        The address at which the file was published before, for errors.
    """
    return Remote(
        name=name,
        url=_STORE + name,
        by_hand=f"{earlier} had the same file; or load it once with the package brainscore_vision and copy "
        f"{name} from its folder ~/.brainio.",
        hash=f"sha1:{sha1}",
        size=size,
    )


@dataclass(frozen=True, kw_only=True)
class AssemblyRecording(Recording):
    """A recording with two files, in this order: an assembly, and the table of its stimuli.

    Parameters
    ----------
    region : str
        One of ``regions``; ``all`` takes every unit.
    repetitions : {"average", "keep"}
        ``keep`` also keeps the single trials.
    """

    region: str = "all"
    repetitions: Repetitions = "average"

    licence = "not stated; public Brain-Score assembly"
    regions: ClassVar[tuple[str, ...]]
    variables: ClassVar[tuple[tuple[str, str], ...]]
    """Pairs of a task variable and its name in the files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of(self.region, self.regions, f"region of {self.name}")

    def bins(self, assembly: Assembly) -> list[tuple[int, int]]:
        """Return the range of time indices, (start, stop), of each bin of the dataset.

        By default the recording has one time, or no time axis.
        """
        if assembly.length("time_bin") != 1:
            raise InputError(
                f"{assembly.path}: holds {assembly.length('time_bin')} time bins; {self.name} has one."
            )
        return [(0, 1)]

    def read(self, folder: Path) -> Dataset:
        """Read the recording from the folder that holds its files.

        A label is taken from the assembly if it is in there, else from the table of stimuli.

        Raises
        ------
        InputError
            A file is missing, broken, or of another layout, or the recording does not have the window or bin.
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
    """An open assembly, as :func:`opened` returns it.

    Attributes
    ----------
    path : Path
    content : Content
        The array, not read yet.
    dims : tuple of str
        Names of the array's dimensions, in its order: presentation, neuroid, and possibly time_bin.
    coordinates : dict of h5py.Dataset
        The datasets in the group of the array and in the root, by name.
    """

    path: Path
    content: formats.Content
    dims: tuple[str, ...]
    coordinates: Mapping[str, h5py.Dataset]

    def length(self, dimension: str) -> int:
        """Return the length of a dimension, 1 if the array does not have it."""
        shape = self.content.array.shape
        return int(shape[self.dims.index(dimension)]) if dimension in self.dims else 1

    def coordinate(self, name: str, dimension: str) -> LabelArray:
        """Return a coordinate: one value, text or number, for each index of a dimension.

        Raises
        ------
        InputError
            There is no coordinate of this name, or it belongs to another dimension.
        """
        coordinate = self.coordinates.get(name)
        # The first dimension decides: text may be stored as a matrix of characters with a second dimension.
        # A coordinate without a scale ("") is accepted, and its length checked.
        if coordinate is None or dimensions(coordinate)[:1] not in (("",), (dimension,)):
            raise InputError(f"{self.path}: expected a coordinate {name!r} of dimension {dimension!r}.")
        values = as_labels(stored(coordinate, self.path), f"{self.path}: {name!r}")
        check_length(values, self.length(dimension), f"{self.path}: {name!r}", f"of dimension {dimension!r}")
        return values

    @cached_property
    def stimuli(self) -> tuple[LabelArray, LabelArray]:
        """The ids of the stimuli, (conditions,), and the index of the one that each presentation showed.

        The ids are in ascending order. This is the order of the conditions, whatever the order of
        presentation was.
        """
        name = next((name for name in STIMULUS if name in self.coordinates), STIMULUS[-1])
        return np.unique(self.coordinate(name, "presentation"), return_inverse=True)

    def units(self, region: str) -> LabelArray:
        """Return the indices of the units of a region, ascending; ``all`` takes every unit.

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
            raise InputError(f"{self.path}: no unit in region {region}; there are units in {present}.")
        return units

    def labels(self, variables: Sequence[tuple[str, str]], table: Path) -> dict[str, LabelArray]:
        """Return the labels of the conditions by task variable, (conditions,) each.

        Parameters
        ----------
        variables : sequence of (str, str)
            Task variables and their names in the files. A coordinate of the assembly is taken first, else a
            column of the table of stimuli, which is opened only then.
        table : Path
            The csv of the stimulus set.

        Raises
        ------
        InputError
            A variable is in neither file, or differs between repetitions of a stimulus.
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
                raise InputError(f"{self.path}: {name!r} is not the same in all repetitions of {stimulus}.")
        return labels

    def responses(
        self, units: LabelArray, bins: Sequence[tuple[int, int]], *, keep: bool = False
    ) -> tuple[FloatArray, Trials | None]:
        """Average the presentations of each stimulus at each time, then the times of each bin.

        The file is read a few units at a time, so that the single presentations of all units are never in
        memory together. NaN and fill values are left out of the averages.

        Parameters
        ----------
        units : array of int, ascending
        bins : sequence of (start, stop)
            Ranges of time indices; each bin starts where the one before it stops.
        keep : bool
            Whether to return the single presentations as well.

        Returns
        -------
        responses : array of float64, (bins, conditions, units)
        trials : Trials or None
            (bins, presentations, units), in the order of the file; float32 if the file has floats of at
            most 32 bits.

        Raises
        ------
        InputError
            In a unit every repetition of a stimulus is missing; or one is missing, and ``keep`` is true.
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
            empty = np.argwhere(np.isnan(values) if keep else counts == 0)
            if len(empty):
                row, unit = empty[0][-2:]
                missing = (
                    "some repetitions, so single trials cannot be kept; dataset.repetitions=average leaves "
                    "such values out."
                    if keep
                    else f"any repetition of stimulus {ids[row]}."
                )
                number = units[block][unit]
                has_ids = "neuroid_id" in self.coordinates
                unit_id = self.coordinate("neuroid_id", "neuroid")[number] if has_ids else f"number {number}"
                raise InputError(f"{self.path}: unit {unit_id} has no value in {missing}")
            # Presentations are averaged before times: where one lacks a value at one time only, each time is
            # still the mean of what is there, and all times of a bin weigh the same.
            for index, (begin, end) in enumerate(bins):
                in_bin = slice(begin - first, end - first)
                responses[index, :, block] = means[in_bin].mean(axis=0)
                if trials is not None:
                    trials[index, :, block] = values[in_bin].mean(axis=0)
        return responses, None if trials is None else Trials(trials, condition)

    def _values(self, times: LabelArray, units: LabelArray) -> FloatArray:
        """Read the values at some times of some units, (time, presentation, unit), missing ones as NaN."""
        presentations = np.arange(self.length("presentation"))
        chosen = {"time_bin": times, "neuroid": units, "presentation": presentations}
        values = self.content.take([chosen[name] for name in self.dims]).astype(np.float64)
        order = [self.dims.index(name) for name in _DIMENSIONS if name in self.dims]
        return values.transpose(order).reshape(len(times), -1, len(units))


@contextmanager
def opened(path: Path) -> Iterator[Assembly]:
    """Open an assembly for the ``with`` block.

    The responses are the only array of numbers with two or more dimensions that is not a coordinate. Links to
    other files are not followed.

    Raises
    ------
    InputError
        There is no such file, it is broken (also if that shows only while it is read), or has another layout.
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
    """Return one column of the csv of a stimulus set, (conditions,), in the order of ``ids``.

    Raises
    ------
    InputError
        There is no such file or column; or a stimulus is missing, there twice, or without a value.
    """
    formats.check(path, (".csv",))
    with readable(path, ".csv"):
        header, rows = rows_of(path, [*STIMULUS, name])
    key = next((key for key in STIMULUS if key in header), STIMULUS[-1])
    for needed in (key, name):
        if needed not in header:
            raise InputError(f"{path}: no column {needed!r}; there are: {', '.join(header)[:200]}.")
    id_column, value_column = header.index(key), header.index(name)
    values = {row[id_column]: row[value_column] for _, row in rows}
    counts = Counter(row[id_column] for _, row in rows)
    for stimulus in map(str, ids):
        if counts[stimulus] > 1:
            raise InputError(f"{path}: {counts[stimulus]} rows for stimulus {stimulus!r}; expected one.")
        if not values.get(stimulus):
            raise InputError(
                f"{path}: no {name} for stimulus {stimulus!r} of the recording; expected a value."
            )
    return np.array([values[str(stimulus)] for stimulus in ids])
