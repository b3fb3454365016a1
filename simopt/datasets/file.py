"""Load your own recording from a file in one of the formats of :mod:`simopt.datasets.formats`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simopt import checks
from simopt.datasets import formats, preprocess
from simopt.datasets.base import Dataset, Loader, Repetitions, check_labels
from simopt.datasets.preprocess import AXES, Indices, Selection
from simopt.datasets.trials import Trials
from simopt.errors import InputError
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
        and the conditions are sorted by the labels.
    repetitions : {"average", "keep"}
        ``average`` returns only averages; ``keep`` also keeps the single trials.
    units, conditions : str, sequence of int, mapping, or None
        Which units or conditions to select: indices, a slice ``"0:50"``, the name of a mask, or ``{variable:
        values}``. Variables of conditions are the labels. Variables of units are the arrays of an npz, h5,
        mat or nc, or the columns of the table of units in an nwb. None selects all.
    constant_units : {"error", "drop", "keep"}
        What to do with units that have the same response in all samples, or only NaN. Units that are only NaN
        are never kept.
    standardize : {"none", "units"}
        ``units`` gives each unit mean 0 and standard deviation 1 over samples.
    components : int, float or None
        An int is the number of principal components to keep. A float up to 1 is a share of the variance: the
        fewest components that explain this share are kept. None keeps the units.
    align, window, bin : str, sequence of float, float
        Options for an nwb: spikes are counted around an event of every trial. ``align`` is the column of the
        table of trials with the times of the event (None: ``start_time``), ``window`` is (start, stop) in ms
        from the event, and ``bin`` is the width of a bin in ms (None: the window is one bin). A unit counts
        as silent at times outside its ``obs_intervals``.

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
    constant_units: Literal["error", "drop", "keep"] = "error"
    standardize: Literal["none", "units"] = "none"
    components: int | float | None = None

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
        nwb_only = [option for option in ("align", "window", "bin") if getattr(self, option) is not None]
        if nwb_only and Path(self.path).suffix.lower() != ".nwb":
            raise InputError(f"{self.path}: {', '.join(nwb_only)} only apply to an nwb file; leave them out.")
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
        array, labels = self._read(path, name)
        array = self._recorded(array, name)
        responses, trials, labels = self._averaged(array, labels, name)
        # NaN are refused only now: missing repetitions have been averaged over, and units may be selected.
        responses = checks.responses(responses, name)
        responses, trials = self._varying(responses, trials, name)
        if self.standardize == "units":
            responses, trials = preprocess.standardize(responses, trials)
        if self.components is not None:
            responses, trials = preprocess.reduce(responses, self.components, name, trials)
        self._refuse_unread(name, labels)
        return Dataset(name=self.title, responses=responses, labels=labels, source="real", trials=trials)

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

    def _read(self, path: Path, name: str) -> tuple[LabelArray, dict[str, LabelArray]]:
        """Return the selected responses, ([time,] condition, repeat, unit), and the labels of the conditions.

        If the array in the file has no axis ``repeat``, this axis has length 1.
        """
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
                raise InputError(f"{error} The file gives these names; set dataset.axes=[...].") from error
        if len(shape) not in (2, 3):
            raise InputError(
                f"{name} has shape {shape}; expected (samples, units) or (time, condition, unit). Otherwise "
                "name every axis with dataset.axes=[...]."
            )
        return ("time", "condition", "unit")[-len(shape) :]  # two dimensions have no time

    def _averaged(
        self, array: LabelArray, labels: dict[str, LabelArray], name: str
    ) -> tuple[FloatArray, Trials | None, dict[str, LabelArray]]:
        """Average repeats, and samples of equal labels.

        Parameters
        ----------
        array : array, (..., condition, repeat, unit)
        labels : dict of array, (conditions,)
        name : str

        Returns
        -------
        responses : array, (..., condition, unit)
        trials : Trials or None
        labels : dict of array
            The labels that have one value for each average, (conditions,). Other labels are left out.
        """
        *_, conditions, repeats, units = array.shape
        flat = array.reshape(*array.shape[:-3], conditions * repeats, units)  # (..., trial, unit)
        if repeats == 1 and self.average is None:
            if self.repetitions == "average":
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

    def _recorded(self, array: LabelArray, name: str) -> LabelArray:
        """Drop or refuse units without any value, as ``constant_units`` says."""
        # Integers are never NaN, and isnan refuses objects; the dtype has been checked.
        silent = np.isnan(array).all(axis=tuple(range(array.ndim - 1)))
        if not silent.any():
            return array
        if self.constant_units == "drop" and not silent.all():
            return array[..., ~silent]
        remedy = "" if silent.all() else "; dataset.constant_units=drop leaves such units out"
        raise InputError(
            f"{name}: {silent.sum()} of {silent.size} units are NaN throughout; the first of them is column "
            f"{int(np.argmax(silent))}{remedy}."
        )

    def _varying(
        self, responses: FloatArray, trials: Trials | None, name: str
    ) -> tuple[FloatArray, Trials | None]:
        """Treat the units that never vary, as ``constant_units`` says."""
        constant = preprocess.constant(responses)
        if not constant.any() or self.constant_units == "keep":
            return responses, trials
        if self.constant_units == "drop" and not constant.all():
            return preprocess.both(lambda x: x[..., ~constant], responses, trials)
        remedy = "" if constant.all() else "; dataset.constant_units=drop leaves such units out"
        raise InputError(
            f"{name}: {constant.sum()} of {constant.size} units never vary; the first of them is column "
            f"{int(np.argmax(constant))}{remedy}."
        )


def _kind(path: Path) -> str:
    """Return the suffix of a file, one for all names of the same format."""
    suffix = path.suffix.lower()
    return ".h5" if suffix == ".hdf5" else suffix
