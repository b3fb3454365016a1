"""Brain-Score assemblies: netCDF4 files of units x presentations, averaged while they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np

from simopt import checks
from simopt.datasets import formats
from simopt.datasets.base import REPETITIONS, Dataset, Trials, check_length, condition_means
from simopt.datasets.fetch import Remote
from simopt.datasets.formats.hdf5 import datasets_inside, stored
from simopt.datasets.formats.netcdf import dimensions
from simopt.datasets.formats.tables import rows_of
from simopt.datasets.preprocess import as_labels
from simopt.datasets.recording import Recording
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

STIMULUS = ("stimulus_id", "image_id")
_STORE = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore/"
_BLOCK = 2**24  # numbers of presentations in memory at once: 128 MB
_DIMENSIONS = ("time_bin", "presentation", "neuroid")


def remote(name: str, sha1: str, size: str, earlier: str) -> Remote:
    """Return a file of Brain-Score's public store; ``earlier`` is another address it was published at."""
    return Remote(
        name=name,
        url=_STORE + name,
        by_hand=f"{earlier} had the same file; or load it once with the package brainscore_vision and take "
        f"{name} from its folder ~/.brainio.",
        hash=f"sha1:{sha1}",
        size=size,
    )


@dataclass(frozen=True, kw_only=True)
class AssemblyRecording(Recording):
    """A recording whose files are an assembly and the table of its stimuli, in this order.

    Parameters
    ----------
    region : str
        One of ``regions``; ``all`` takes every unit.
    repetitions : {"average", "keep"}
        ``keep`` adds the single trials.
    """

    region: str = "all"
    repetitions: str = "average"

    licence = "not stated; public Brain-Score assembly"
    regions: ClassVar[tuple[str, ...]]
    variables: ClassVar[tuple[tuple[str, str], ...]]
    """Task variables, each with its name in the files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of(self.region, self.regions, f"region of {self.name}")
        checks.one_of(self.repetitions, REPETITIONS, f"repetitions of {self.name}")

    def bins(self, assembly: Assembly) -> list[tuple[int, int]]:
        """Return the indices of time, (start, stop), of each bin: the only one, where there is no time."""
        if assembly.length("time_bin") != 1:
            raise InputError(
                f"{assembly.path}: holds {assembly.length('time_bin')} time bins; {self.name} has one."
            )
        return [(0, 1)]

    def read(self, folder: Path) -> Dataset:
        """Read the recording from the folder that holds its files.

        The labels are the assembly's own where it has them, else those of the table of stimuli.

        Raises
        ------
        InputError
            A file that is missing, broken, or of another layout; a window or bin that the recording has not.
        """
        data, table = (folder / file.name for file in self.files)
        with opened(data) as assembly:
            bins = self.bins(assembly)
            stimuli, units = assembly.stimuli(), assembly.units(self.region)
            labels = assembly.labels(dict(self.variables), stimuli, table)
            responses, trials = assembly.responses(stimuli, units, bins, keep=self.repetitions == "keep")
        if len(self.shape) == 2:
            responses = responses[0]
            trials = None if trials is None else Trials(trials.responses[0], trials.condition)
        return self.dataset(responses, labels, trials)


@dataclass(frozen=True)
class Stimuli:
    """The conditions of an assembly.

    Attributes
    ----------
    ids : array, (conditions,)
        Ascending: this is the order of the conditions, whatever the order of presentation was.
    condition : array of int, (presentations,)
        Which of them each presentation showed.
    """

    ids: LabelArray
    condition: LabelArray


@dataclass(frozen=True)
class Assembly:
    """An open assembly; :func:`opened` makes one.

    Attributes
    ----------
    path : Path
    content : Content
    dims : tuple of str
        The dimensions of its array in the order of the file: presentation, neuroid, and time_bin where there
        is time.
    coordinates : dict of h5py.Dataset
        By name: the datasets in the group of the array, and those in the root.
    """

    path: Path
    content: formats.Content
    dims: tuple[str, ...]
    coordinates: Mapping[str, h5py.Dataset]

    def length(self, dimension: str) -> int:
        """Return how long a dimension is; 1 where there is no such dimension."""
        shape = self.content.array.shape
        return int(shape[self.dims.index(dimension)]) if dimension in self.dims else 1

    def coordinate(self, name: str, dimension: str) -> LabelArray:
        """Return a coordinate, one value for each index of a dimension: text or numbers.

        Raises
        ------
        InputError
            There is none of this name, or it belongs to another dimension.
        """
        found = self.coordinates.get(name)
        if found is None or dimensions(found)[:1] not in (("",), (dimension,)):
            raise InputError(f"{self.path}: has no coordinate {name!r} of its dimension {dimension!r}.")
        values = as_labels(stored(found, self.path), f"{self.path}: {name!r}")
        check_length(values, self.length(dimension), f"{self.path}: {name!r}", f"of dimension {dimension!r}")
        return values

    def stimuli(self) -> Stimuli:
        """Return the stimuli, ascending by ``stimulus_id`` (``image_id`` in older files)."""
        name = next((name for name in STIMULUS if name in self.coordinates), STIMULUS[-1])
        ids, condition = np.unique(self.coordinate(name, "presentation"), return_inverse=True)
        return Stimuli(ids, condition.reshape(-1))

    def units(self, region: str) -> LabelArray:
        """Return the indices of the units of a region in the order of the file; ``all`` takes every unit.

        Raises
        ------
        InputError
            No unit lies in this region.
        """
        if region == "all":
            return np.arange(self.length("neuroid"))
        regions = self.coordinate("region", "neuroid")
        units = np.flatnonzero(regions == region)
        if units.size == 0:
            raise InputError(
                f"{self.path}: no unit of {region}; it holds {', '.join(map(str, np.unique(regions)))}."
            )
        return units

    def labels(self, variables: Mapping[str, str], stimuli: Stimuli, table: Path) -> dict[str, LabelArray]:
        """Return labels by task variable, (conditions,) each.

        Parameters
        ----------
        variables : mapping
            The name of each task variable in the file. The assembly's own coordinate is taken where it has
            one, else the column of the table of stimuli, which is not opened before.
        stimuli : Stimuli
        table : Path
            CSV of the stimulus set.

        Raises
        ------
        InputError
            A variable is found in neither, or changes between repetitions of a stimulus.
        """
        labels = {}
        for variable, name in variables.items():
            if name not in self.coordinates:
                labels[variable] = column(table, name, stimuli.ids)
                continue
            values = self.coordinate(name, "presentation")
            labels[variable] = values[np.unique(stimuli.condition, return_index=True)[1]]
            changed = labels[variable][stimuli.condition] != values
            if changed.any():
                stimulus = stimuli.ids[stimuli.condition[np.argmax(changed)]]
                raise InputError(f"{self.path}: {name!r} is not the same in all repetitions of {stimulus}.")
        return labels

    def responses(
        self, stimuli: Stimuli, units: LabelArray, bins: Sequence[tuple[int, int]], *, keep: bool = False
    ) -> tuple[FloatArray, Trials | None]:
        """Average the presentations of each stimulus at each time, then the times of each bin.

        The file is read some units at a time, so that no more than that is in memory of the presentations.
        NaN and fill values are left out of the averages.

        Parameters
        ----------
        stimuli : Stimuli
        units : array of int, ascending
        bins : sequence of (start, stop)
            Indices of time; each bin starts where the one before it stops.
        keep : bool
            Whether to return the single presentations as well.

        Returns
        -------
        responses : array of float64, (bins, conditions, units)
        trials : Trials or None
            (bins, presentations, units), in the order of the file; float32 where the file is.

        Raises
        ------
        InputError
            Every repetition of a stimulus is missing in a unit; one is, and ``keep`` is true.
        """
        condition, first = stimuli.condition, bins[0][0]
        times = np.arange(first, bins[-1][1])
        dtype = self.content.array.dtype
        exact = np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64
        responses = np.empty((len(bins), len(stimuli.ids), len(units)))
        kept = np.empty((len(bins), len(condition), len(units)), dtype=exact) if keep else None
        step = max(1, _BLOCK // (len(times) * len(condition)))
        for start in range(0, len(units), step):
            some = slice(start, start + step)
            values = self._values(times, units[some])
            means, counts = condition_means(values, condition)
            empty = np.argwhere(np.isnan(values) if keep else counts == 0)
            if len(empty):
                place, unit = empty[0][-2:]
                which = (
                    "some repetitions, so single trials cannot be kept; dataset.repetitions=average leaves "
                    "such values out."
                    if keep
                    else f"any repetition of stimulus {stimuli.ids[place]}."
                )
                number = units[some][unit]
                known = "neuroid_id" in self.coordinates
                which_unit = self.coordinate("neuroid_id", "neuroid")[number] if known else f"number {number}"
                raise InputError(f"{self.path}: unit {which_unit} has no value in {which}")
            for index, (begin, end) in enumerate(bins):
                inside = slice(begin - first, end - first)
                responses[index, :, some] = means[inside].mean(axis=0)
                if kept is not None:
                    kept[index, :, some] = values[inside].mean(axis=0)
        return responses, None if kept is None else Trials(kept, condition)

    def _values(self, times: LabelArray, units: LabelArray) -> FloatArray:
        """Return what the file holds of some times and units, (time, presentation, unit), missing as NaN."""
        chosen = {"time_bin": times, "neuroid": units, "presentation": np.arange(self.length("presentation"))}
        values = self.content.take([chosen[name] for name in self.dims]).astype(np.float64)
        order = [self.dims.index(name) for name in _DIMENSIONS if name in self.dims]
        return values.transpose(order).reshape(len(times), -1, len(units))


@contextmanager
def opened(path: Path) -> Iterator[Assembly]:
    """Open an assembly for the ``with`` block.

    The data is the one array of numbers with two or more dimensions that is no coordinate; the names of its
    dimensions are those of the scales it refers to, and coordinates (levels of a MultiIndex are stored flat)
    are arrays along one of them. Links out of the file are not followed.

    Raises
    ------
    InputError
        No such file, a broken one (also when that shows only while it is read), or another layout.
    """
    with formats.opened(path, formats.Wanted(labels=())) as content:
        array: Any = content.array
        dims = dimensions(array) if isinstance(array, h5py.Dataset) else ()
        known = set(dims) <= set(_DIMENSIONS) and {"presentation", "neuroid"} <= set(dims)
        if not known or len(set(dims)) < len(dims) or 0 in array.shape:
            raise InputError(
                f"{path}: its array has dimensions ({', '.join(dims)}) and shape {array.shape}; "
                f"expected {', '.join(_DIMENSIONS)} in any order, time_bin only where there is time."
            )
        coordinates = datasets_inside(array.file) | datasets_inside(array.parent)
        yield Assembly(path, content, dims, coordinates)


def column(path: Path, name: str, ids: LabelArray) -> LabelArray:
    """Return one column of the CSV of a stimulus set, (conditions,), in the order of ``ids``.

    Raises
    ------
    InputError
        No such file or column, a stimulus that is missing, there twice or without a value.
    """
    with formats.readable(path):
        header, rows = rows_of(path, [*STIMULUS, name])
    key = next((key for key in STIMULUS if key in header), STIMULUS[-1])
    for needed in (key, name):
        if needed not in header:
            raise InputError(f"{path}: has no column {needed!r}; it has: {', '.join(header)[:200]}.")
    ids_of, values_of = header.index(key), header.index(name)
    values = {row[ids_of]: row[values_of] for _, row in rows}
    count = Counter(row[ids_of] for _, row in rows)
    for stimulus in map(str, ids):
        if count[stimulus] > 1:
            raise InputError(f"{path}: stimulus {stimulus!r} is there more than once.")
        if not values.get(stimulus):
            raise InputError(f"{path}: has no {name} for stimulus {stimulus!r} of the recording.")
    return np.array([values[str(stimulus)] for stimulus in ids])
