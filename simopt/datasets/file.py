"""Load your own recording from a file in one of the formats of :mod:`simopt.datasets.formats`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simopt import checks
from simopt.datasets import formats, preprocess, selected
from simopt.datasets.base import Dataset, Loader, Repetitions, check_labels
from simopt.datasets.preprocess import AXES, Indices, Selection
from simopt.datasets.selected import Read
from simopt.datasets.trials import Trials
from simopt.errors import InputError, UnitsWarning, warn
from simopt.typing import FloatArray, LabelArray, Source


@dataclass(frozen=True, kw_only=True, repr=False)
class File(Loader, formats.Options):
    """Loader of a recording in a file.

    ``load`` selects units and conditions while it reads the file. It then averages repetitions, treats
    constant units, standardizes units, and reduces the responses to principal components, in this order.

    Parameters
    ----------
    path : str
        Path of an npy, npz, h5 or hdf5, mat, nc, csv, tsv, parquet or nwb file. The first row of a csv or tsv
        is read as a header if it holds no number, holds a name in ``labels``, or counts 0, 1, 2, ...
    title : str
        Name of the recording in tables and folders. The empty string stands for the name of the file without
        its suffix.
    key : str or None
        Name of the array of responses in an npz, h5, mat or nc; ``struct.field`` names a field of a struct in
        a mat. None takes the array ``responses``, or the only array in the file.
    axes : str, sequence of str, or None
        Names of the array's axes, in the order of the array: time, condition (also called sample or trial),
        repeat and unit. None takes the names in the attribute ``axes`` of an h5 or in the dimensions of an
        nc. If the file names no axes, they are (sample, unit) or (time, condition, unit).
    labels : str, sequence of str, or None
        The place of the labels: names of arrays or columns of the file; the name of a group in an h5; or the
        path of a second file (csv, tsv, parquet, npy, npz or h5). Each label has one value for each
        condition. None takes the group ``labels``, if the file has it. For an nwb, None takes all columns of
        the table of trials that hold text or whole numbers.
    average : str, sequence of str, or None
        Names of labels. Samples with the same combination of these labels are averaged into one condition,
        and the conditions are in the order of their first samples.
    repetitions : {"average", "keep"}
        ``average`` returns only averages; ``keep`` also keeps the single trials.
    units, conditions : str, sequence of int, mapping, or None
        Which units or conditions to select: indices, a slice ``"0:50"``, the name of a mask, or ``{variable:
        values}``. Variables of conditions are the labels. Variables of units are the arrays of an npz, h5,
        mat or nc, or the columns of the table of units in an nwb. None selects all.
    repeats : str, sequence of int, or None
        Which repeats to select, as indices or a slice. None selects all.
    drop_nan : {"none", "trials"}
        ``trials`` leaves out conditions in which a unit is NaN at a time in all repeats, for instance trials
        of an nwb without the event.
    constant_units : {"keep", "drop", "error"}
        What to do with units that have the same response in all samples: ``keep`` warns and keeps them. Units
        without any response (NaN throughout) are never kept.
    standardize : {"none", "units"}
        ``units`` gives each unit mean 0 and standard deviation 1 over samples.
    components : int, float or None
        An int is the number of principal components to keep. A float up to 1 is a share of the variance: the
        fewest components that explain this share are kept. None keeps the units.
    align, window, bin : str, sequence of float, float
        In an nwb, spikes are counted around an event of every trial. ``align`` is the column of the table of
        trials with the times of the event (None: ``start_time``), ``window`` is (start, stop) in ms from the
        event, and ``bin`` is the width of a bin in ms (None: the window is one bin). A unit counts as
        silent at times outside its ``obs_intervals``. In an array with times,
        ``window`` selects times and ``bin`` averages those of a bin, in the unit of the array ``time`` of the
        file; without it, times are counted 0, 1, 2, ...

    Raises
    ------
    InputError
        An option has a value that no file allows.
    """

    path: str
    title: str = ""
    axes: str | Sequence[str] | None = None
    average: str | Sequence[str] | None = None
    repetitions: Repetitions = "average"
    units: Selection | None = None
    conditions: Selection | None = None
    repeats: str | Sequence[int] | None = None
    drop_nan: Literal["none", "trials"] = "none"
    constant_units: Literal["error", "drop", "keep"] = "keep"
    standardize: Literal["none", "units"] = "none"
    components: int | float | None = None

    revision = 2  # averages keep the order of first appearance; units that never vary are kept

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | Path):
            raise InputError(f"dataset.path is {self.path!r}; give the path of a data file.")
        if not self.title:
            object.__setattr__(self, "title", checks.as_folder_name(Path(self.path).stem))
        checks.options(self)
        for option in ("labels", "average"):
            value = getattr(self, option)
            listed = isinstance(value, Sequence) and all(isinstance(name, str) for name in value)
            if value is not None and not listed:
                raise InputError(f"{option} of file is {value!r}; expected a name or a list of names.")
        if self.average is not None and not self.average:
            raise InputError(f"average of file is {self.average!r}; expected a label or a list of labels.")
        if isinstance(self.components, float):
            checks.at_least(self.components, 0, "components of file", strict=True)
            if self.components > 1:
                raise InputError(
                    f"components of file is {self.components}; expected a number of components (20), or "
                    "a share of the variance up to 1.0."
                )
        elif self.components is not None:
            checks.whole(self.components, 1, "components of file")
        if self.align is not None and Path(self.path).suffix.lower() != ".nwb":
            raise InputError(f"{self.path}: align only applies to an nwb file; leave it out.")
        if self.bin is not None and self.window is None:
            raise InputError(f"bin of file is {self.bin}, without a window; set dataset.window=[START,STOP].")
        if self.window is not None:
            preprocess.check_window(self.window, self.bin, "file")

    @property
    def origin(self) -> Source:
        """``real`` for every file."""
        return "real"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return a dict of the options and of the kind and hash of each file, of data and of labels.

        The kind of a file is its suffix, which decides how the file is read. If the labels are in an npy, its
        name is included as well, because it is the name of the task variable.
        """
        path, table = checks.expanded(self.path, "path of file"), self._table()
        formats.check(path)
        files: dict[str, Any] = {"kind": _kind(path), "content": hash_of(path)}
        if table is None:
            # An empty list means no labels, None those that the file has. Both are left out of a recipe, so
            # a key of its own tells them apart.
            files |= {"labels": self.labels, "unlabeled": self.labels is not None and not self.labels}
        else:
            formats.check(table, formats.LABEL_FILES)
            variable = table.stem if _kind(table) == ".npy" else None
            files |= {"labels_kind": _kind(table), "labels": hash_of(table), "variable": variable}
        return self.recipe(**files, **self.options("path", "title", "labels"))

    def _table(self) -> Path | None:
        """Return the path of the second file that holds the labels, if ``labels`` is one."""
        labels = self.labels
        is_path = isinstance(labels, str) and Path(labels).suffix.lower() in formats.LABEL_FILES
        return checks.expanded(str(labels), "labels of file") if is_path else None

    def load(self) -> Dataset:
        """Read the file.

        Raises
        ------
        InputError
            The file does not exist, is broken, or has another format than its suffix says; it lacks the key
            or a label; an option does not fit its content; or its data cannot be used (NaN, too few samples,
            constant units).
        """
        path = checks.expanded(self.path, "path of file")
        name = str(path)
        read = self._recorded(self._read(path, name), name)
        if self.drop_nan == "trials":
            read = read.complete(name)
        # NaN are refused only now: missing repetitions are averaged over, and units may be selected.
        responses, trials, labels = self._averaged(read, name)
        responses = checks.responses(responses, name)
        responses, trials = self._varying(responses, trials, read.units, name)
        if self.standardize == "units":
            responses, trials = preprocess.standardize(responses, trials)
        if self.components is not None:
            responses, trials = preprocess.reduce(responses, self.components, name, trials)
        names = {key: values for key, values in labels.items() if key in read.names}
        labels = {key: values for key, values in labels.items() if key not in names}
        self._refuse_unread(name, labels)
        return Dataset(self.title, responses, labels, "real", trials=trials, names=names)

    def _refuse_unread(self, name: str, labels: Mapping[str, LabelArray]) -> None:
        """Refuse groups and blocks that name a label which ``labels`` does not read."""
        for option in ("groups", "blocks"):
            value = getattr(self, option)
            names = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
            unread = [str(label) for label in names if label not in ("none", "condition", *labels)]
            if unread and self.labels is None:
                raise InputError(
                    f"{option} of {name} names {', '.join(unread)}, which is not read; add "
                    f"dataset.labels=[{','.join(unread)}]."
                )

    def _read(self, path: Path, name: str) -> Read:
        """Return the selected responses with the labels and names of their conditions."""
        table = self._table()
        with formats.opened(path, self if table is None else replace(self, labels=())) as content:
            array = content.array
            # Refuse an unusable dtype before the array is read: check a few zeros of that dtype in its place.
            checks.responses(np.zeros((checks.MIN_SAMPLES, 1), dtype=array.dtype), name)
            axes = self._axes(content, name)
            size = dict(zip(axes, array.shape, strict=True))
            if 0 in array.shape:
                raise InputError(f"{name} has shape {array.shape}: 0 samples or units; give at least 1.")
            labels, source = dict(content.labels), name
            if table is not None:
                labels, source = formats.read_labels(table), str(self.labels)
            check_labels(labels, size["condition"], source)
            named = content.named(axes.index("condition"))
            names = {key: values for key, values in named.items() if key not in labels}
            check_labels(names, size["condition"], name)
            label = formats.variable_of(labels, labels.__getitem__, "label")
            conditions = preprocess.select(self.conditions, size["condition"], label, f"conditions of {name}")
            units = preprocess.select(self.units, size["unit"], content.variable, f"units of {name}")
            chosen: dict[str, Indices] = {"condition": conditions, "unit": units}
            if self.repeats is not None:
                if "repeat" not in axes:
                    raise InputError(
                        f"{name} has no axis of repeats; name it: dataset.axes=[...,repeat,...]."
                    )
                chosen["repeat"] = preprocess.select(
                    self.repeats, size["repeat"], content.variable, f"repeats of {name}"
                )
            bins: list[Indices] = []
            if self.window is not None and not content.windowed:
                if "time" not in axes:
                    raise InputError(f"{name} has no axis of time, so dataset.window selects nothing of it.")
                times = selected.times_of(size["time"], content.variable)
                chosen["time"], bins = selected.windowed(times, self.window, self.bin, name)
            values = content.take([chosen.get(axis, np.arange(size[axis])) for axis in axes])
            of_units = selected.names_of_units(content.variable, size["unit"], units)
        values = values.transpose([axes.index(axis) for axis in AXES if axis in axes])
        if "repeat" not in axes:
            values = np.expand_dims(values, -2)
        if bins:
            values = np.stack([values[part].mean(axis=0) for part in bins])
        of_conditions = {**names, **labels}
        return Read(
            values,
            {key: column[conditions] for key, column in of_conditions.items()},
            frozenset(names),
            conditions,
            of_units,
        )

    def _axes(self, content: formats.Content, name: str) -> tuple[str, ...]:
        shape = content.array.shape
        if self.axes is not None:
            return preprocess.named_axes(self.axes, shape, name)
        if content.axes is not None:
            try:
                return preprocess.named_axes(content.axes, shape, name)
            except InputError as error:
                raise InputError(f"{error} The file gives these names; set dataset.axes=[...].") from error
        if len(shape) not in (2, 3):
            raise InputError(
                f"{name} has shape {shape}; expected (samples, units) or (time, condition, unit). Otherwise "
                "name every axis with dataset.axes=[...]."
            )
        return ("time", "condition", "unit")[-len(shape) :]  # two dimensions have no time

    def _averaged(self, read: Read, name: str) -> tuple[FloatArray, Trials | None, dict[str, LabelArray]]:
        """Average repeats, and samples of equal labels.

        Returns
        -------
        responses : array, (..., condition, unit)
        trials : Trials or None
        labels : dict of array
            The labels that have one value for each average, (conditions,). Other labels are left out.
        """
        array, labels = read.array, dict(read.labels)
        *_, conditions, repeats, units = array.shape
        flat = array.reshape(*array.shape[:-3], conditions * repeats, units)  # (..., trial, unit)
        if repeats == 1 and self.average is None:
            if self.repetitions == "average":
                read.refuse_nan(name, self.align or "start_time" if self._counts() else None)
                return flat, None, labels
            raise InputError(
                f"{name}: repetitions=keep finds no repetitions; name their axis or their label: "
                "dataset.axes=[condition,repeat,unit] or dataset.average=[LABEL]."
            )
        condition: Indices = np.repeat(np.arange(conditions), repeats)
        # Without an axis of repeats, the k-th sample of equal labels is repeat k.
        repeat = np.tile(np.arange(repeats), conditions) if repeats > 1 else None
        if self.average is not None:
            names = [self.average] if isinstance(self.average, str) else self.average
            for label in names:
                checks.one_of(label, labels, f"label of {name}:")
            groups = preprocess.combine({label: labels[label] for label in names})  # (conditions,)
            first = np.unique(groups, return_index=True)[1]  # the first sample of each group
            # A label that varies within a group, such as a number of trials, has no value for the average.
            constant = [label for label, values in labels.items() if (values[first][groups] == values).all()]
            labels = {label: labels[label][first] for label in constant}
            condition = groups[condition]
        single = flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float64)
        responses = preprocess.average(single, condition, name)
        if self.repetitions == "average":
            return responses, None, labels
        # Conditions with fewer repetitions are filled up with NaN: leave out what is NaN throughout.
        present = ~np.isnan(single).all(axis=(*range(single.ndim - 2), -1))
        repeat = None if repeat is None else repeat[present]
        return responses, Trials(single[..., present, :], condition[present], repeat), labels

    def _recorded(self, read: Read, name: str) -> Read:
        """Drop or refuse units without any value, as ``constant_units`` says."""
        # Integers are never NaN, and isnan refuses objects; the dtype has been checked.
        silent = np.asarray(np.isnan(read.array).all(axis=tuple(range(read.array.ndim - 1))))
        if not silent.any():
            return read
        if self.constant_units == "drop" and not silent.all():
            return replace(read, array=read.array[..., ~silent], units=read.units[~silent])
        raise InputError(selected.of_units(silent, read.units, "are NaN throughout", name))

    def _varying(
        self, responses: FloatArray, trials: Trials | None, units: LabelArray, name: str
    ) -> tuple[FloatArray, Trials | None]:
        """Treat the units that never vary, as ``constant_units`` says."""
        constant = preprocess.constant(responses)
        if not constant.any():
            return responses, trials
        if self.constant_units == "drop" and not constant.all():
            return preprocess.both(lambda x: x[..., ~constant], responses, trials)
        told = selected.of_units(constant, units, "never vary", name)
        if self.constant_units != "keep":
            raise InputError(told)
        if not constant.all():  # which Dataset refuses
            warn(told, UnitsWarning)
        return responses, trials

    def _counts(self) -> bool:
        """Return whether the file is an nwb whose spikes are counted around events."""
        return _kind(Path(self.path)) == ".nwb" and self.key is None


def _kind(path: Path) -> str:
    """Return the suffix of a file, one for all names of the same format."""
    suffix = path.suffix.lower()
    return ".h5" if suffix == ".hdf5" else suffix
