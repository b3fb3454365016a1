"""A user's own recording, in any of the formats of :mod:`simopt.datasets.formats`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets import formats, preprocess
from simopt.datasets.base import REPETITIONS, Dataset, Loader, Trials, check_labels
from simopt.datasets.preprocess import AXES, Indices, Selection
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray, Source

CONSTANT_UNITS = ("error", "drop", "keep")
STANDARDIZE = ("none", "units")


@dataclass(frozen=True, kw_only=True)
class File(Loader):
    """A recording in a file.

    Units and conditions are selected while the file is read, then repetitions are averaged, constant units
    looked for, and the responses standardized and reduced, in this order.

    Parameters
    ----------
    path : str
        npy, npz, h5 or hdf5, mat, nc, csv, tsv, parquet or nwb. A csv may have a header: the first row, if it
        holds no number, or a column of labels, or counts 0, 1, 2, ...
    title : str
        How tables and folders call the recording; empty takes the file's name.
    key : str or None
        The array of an npz, h5, mat (``struct.field``) or nc. None takes ``responses``, or the only one
        there.
    axes : str, sequence of str, or None
        What the array's axes are, in its own order: time, condition (or sample, trial), repeat, unit. None
        takes the attribute ``axes`` of an h5 or the dimensions of an nc, else (sample, unit) or (time,
        condition, unit).
    labels : str, sequence of str, or None
        Names of the arrays or columns with one value a condition; an h5 group of them; or a second file, csv,
        tsv, parquet, npy, npz or h5. None takes the group ``labels`` where there is one, of an nwb all
        columns of trials that hold text or whole numbers.
    average : str, sequence of str, or None
        Labels: all samples with the same combination of them are averaged into one condition, in sorted
        order.
    repetitions : {"average", "keep"}
        ``keep`` keeps the single trials behind the averages as well.
    units, conditions : str, sequence of int, mapping, or None
        Which to take: indices, a slice ``"0:50"``, the name of a mask, or ``{variable: values}``. For
        conditions the variables are the labels, for units any array of an npz, h5, mat or nc, and the columns
        of the table of units of an nwb.
    constant_units : {"error", "drop", "keep"}
        What to do with units that never vary.
    standardize : {"none", "units"}
        ``units``: mean 0 and standard deviation 1 over samples in each unit.
    components : int, float or None
        Keep this many principal components, or as many as hold this share of the variance.
    align, window, bin : str, sequence of float, float
        Of an nwb: spikes are counted in bins of ``bin`` ms (None: one bin) over ``window`` = (start, stop) ms
        around the time in the column ``align`` of trials. That a unit was not observed all the time
        (``obs_intervals``) is not looked at.
    """

    path: str
    title: str = ""
    key: str | None = None
    axes: str | Sequence[str] | None = None
    labels: str | Sequence[str] | None = None
    average: str | Sequence[str] | None = None
    repetitions: str = "average"
    units: Selection | None = None
    conditions: Selection | None = None
    constant_units: str = "error"
    standardize: str = "none"
    components: int | float | None = None
    align: str | None = None
    window: Sequence[float] | None = None
    bin: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | Path):
            raise InputError(f"path of file is {self.path!r}; expected the name of a file.")
        if not self.title:
            object.__setattr__(self, "title", Path(self.path).stem)
        checks.one_of(self.constant_units, CONSTANT_UNITS, "constant_units of file")
        checks.one_of(self.repetitions, REPETITIONS, "repetitions of file")
        checks.one_of(self.standardize, STANDARDIZE, "standardize of file")
        for option in ("labels", "average"):
            value = getattr(self, option)
            listed = isinstance(value, Sequence) and all(isinstance(name, str) for name in value)
            if value is not None and not listed:
                raise InputError(f"{option} of file is {value!r}; expected a name or a list of names.")
        if self.average is not None and not self.average:
            raise InputError(f"average of file is {self.average!r}; name a label, or leave it out.")
        if isinstance(self.components, float):
            checks.at_least(self.components, 0, "components of file", strict=True)
            if self.components > 1:
                raise InputError(
                    f"components of file is {self.components}; a share of the variance is at most 1, a "
                    "number of components is whole."
                )
        elif self.components is not None:
            checks.whole(self.components, 1, "components of file")
        given = [option for option in ("align", "window", "bin") if getattr(self, option) is not None]
        if given and Path(self.path).suffix.lower() != ".nwb":
            raise InputError(f"{self.path}: {', '.join(given)} can be set for an nwb file only.")
        if self.bin is not None:
            checks.at_least(self.bin, 0, "bin of file", strict=True)
        if self.window is not None:
            preprocess.check_window(self.window, self.bin, "file")

    @property
    def origin(self) -> Source:
        """Always recorded, or handed in."""
        return "real"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return kind and hash of the file, the same of a file of labels, and the options.

        The kind is the suffix, by which the reader is chosen. An npy of labels gives the variable its name.
        """
        path, table = checks.expanded(self.path, "path of file"), self._table()
        formats.check(path)
        files: dict[str, Any] = {"kind": _kind(path), "content": hash_of(path)}
        if table is None:
            # An empty list is no labels; None lets the file say.
            files |= {"labels": self.labels, "unlabeled": self.labels is not None and not self.labels}
        else:
            formats.check(table, formats.LABEL_FILES)
            variable = table.stem if _kind(table) == ".npy" else None
            files |= {"labels_kind": _kind(table), "labels": hash_of(table), "variable": variable}
        return self.recipe(**files, **self.options("path", "title", "labels"))

    def _table(self) -> Path | None:
        """Return the file that holds the labels, if they have one of their own."""
        labels = self.labels
        apart = isinstance(labels, str) and Path(labels).suffix.lower() in formats.LABEL_FILES
        return checks.expanded(str(labels), "labels of file") if apart else None

    def load(self) -> Dataset:
        """Read the file.

        Raises
        ------
        InputError
            No such file, another format, a broken file, no such key or label, an option that does not fit,
            or data that cannot be used.
        """
        path = checks.expanded(self.path, "path of file")
        name = str(path)
        array, labels = self._read(path, name)
        responses, trials, labels = self._averaged(array, labels, name)
        responses = checks.responses(responses, name)
        responses, trials = self._varying(responses, trials, name)
        if self.standardize == "units":
            responses, trials = preprocess.standardize(responses, trials)
        if self.components is not None:
            responses, trials = preprocess.reduce(responses, self.components, name, trials)
        return Dataset(name=self.title, responses=responses, labels=labels, source="real", trials=trials)

    def _read(self, path: Path, name: str) -> tuple[LabelArray, dict[str, LabelArray]]:
        """Return what is selected, (time or 1, condition, repeat or 1, unit) less the axes not there."""
        table = self._table()
        wanted = formats.Wanted(
            key=self.key,
            labels=() if table else self.labels,
            align=self.align,
            window=self.window,
            bin=self.bin,
        )
        with formats.opened(path, wanted) as content:
            array = content.array
            # A few zeros of its dtype are refused as the array itself would be, before it is read.
            checks.responses(np.zeros((checks.MIN_SAMPLES, 1), dtype=array.dtype), name)
            axes = self._axes(content, name)
            size = dict(zip(axes, array.shape, strict=True))
            if 0 in array.shape:
                raise InputError(f"{name} has shape {array.shape}: 0 samples or units.")
            labels, source = dict(content.labels), name
            if table is not None:
                labels, source = formats.read_labels(table), str(self.labels)
            check_labels(labels, size["condition"], source)
            label = formats.variable_of(labels, labels.__getitem__, "label")
            conditions = preprocess.select(self.conditions, size["condition"], label, f"conditions of {name}")
            units = preprocess.select(self.units, size["unit"], content.variable, f"units of {name}")
            chosen: dict[str, Indices] = {"condition": conditions, "unit": units}
            selected = content.take([chosen.get(axis, np.arange(size[axis])) for axis in axes])
        selected = selected.transpose([axes.index(axis) for axis in AXES if axis in axes])
        if "repeat" not in axes:
            selected = np.expand_dims(selected, -2)
        return selected, {variable: values[conditions] for variable, values in labels.items()}

    def _axes(self, content: formats.Content, name: str) -> tuple[str, ...]:
        shape = content.array.shape
        if self.axes is not None:
            return preprocess.named_axes(self.axes, shape, name)
        if content.axes is not None:
            try:
                return preprocess.named_axes(content.axes, shape, name)
            except InputError as error:
                raise InputError(f"{error} The file says so; dataset.axes=[...] says otherwise.") from error
        if len(shape) not in (2, 3):
            raise InputError(
                f"{name} has shape {shape}; expected (samples, units) or (time, condition, unit), or "
                "dataset.axes=[...] with a name for each axis."
            )
        return ("time", "condition", "unit")[-len(shape) :]

    def _averaged(
        self, array: LabelArray, labels: dict[str, LabelArray], name: str
    ) -> tuple[FloatArray, Trials | None, dict[str, LabelArray]]:
        """Return means over repeats of (..., condition, repeat, unit), trials if wanted, and labels."""
        *_, conditions, repeats, units = array.shape
        flat = array.reshape(*array.shape[:-3], conditions * repeats, units)
        if repeats == 1 and self.average is None:
            if self.repetitions == "average":
                return flat, None, labels
            raise InputError(
                f"{name}: there are no repetitions to keep; name them, as in "
                "dataset.axes=[condition,repeat,unit] or dataset.average=[LABEL]."
            )
        condition: Indices = np.repeat(np.arange(conditions), repeats)
        if self.average is not None:
            names = [self.average] if isinstance(self.average, str) else self.average
            for label in names:
                checks.one_of(label, labels, f"label of {name}:")
            groups = preprocess.combine({label: labels[label] for label in names})
            first = np.unique(groups, return_index=True)[1]
            alike = [label for label, values in labels.items() if (values[first][groups] == values).all()]
            labels = {label: labels[label][first] for label in alike}
            condition = groups[condition]
        single = flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float64)
        responses = preprocess.average(single, condition, name)
        if self.repetitions == "average":
            return responses, None, labels
        there = ~np.isnan(single).all(axis=(*range(single.ndim - 2), -1))
        single = single[..., there, :]
        if np.isnan(single).any():
            raise InputError(
                f"{name}: some repetitions are NaN in part, and cannot be kept; dataset.repetitions=average "
                "averages the rest."
            )
        return responses, Trials(single, condition[there]), labels

    def _varying(
        self, responses: FloatArray, trials: Trials | None, name: str
    ) -> tuple[FloatArray, Trials | None]:
        constant = preprocess.constant(responses)
        if not constant.any() or self.constant_units == "keep":
            return responses, trials
        if self.constant_units == "drop" and not constant.all():
            return preprocess.both(lambda x: x[..., ~constant], responses, trials)
        remedy = "" if constant.all() else "; dataset.constant_units=drop leaves them out"
        raise InputError(
            f"{name}: {constant.sum()} of {constant.size} units never vary, the first is column "
            f"{int(np.argmax(constant))}{remedy}."
        )


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    return ".h5" if suffix == ".hdf5" else suffix
