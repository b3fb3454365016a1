"""The class ``Content`` that a reader returns, and functions that find responses and labels in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np

from simopt import checks
from simopt.datasets.preprocess import Indices, as_labels, take
from simopt.errors import InputError
from simopt.typing import LabelArray

Array: TypeAlias = "LabelArray | h5py.Dataset"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that decide what a reader reads from a file.

    :class:`~simopt.datasets.file.File` describes them.
    """

    key: str | None = None
    labels: str | Sequence[str] | None = None
    align: str | None = None
    window: Sequence[float] | None = None
    bin: float | None = None

    @property
    def label_names(self) -> list[str]:
        """The option ``labels`` as a list of names; empty if it is None."""
        return [self.labels] if isinstance(self.labels, str) else list(self.labels or ())


def _no_variable(name: str) -> LabelArray:
    raise InputError(f"the file has no variable {name!r} along this axis; select by index, such as '0:50'.")


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of an open file.

    Attributes
    ----------
    array : array, memory map or HDF5 dataset
        The responses with the values that the file stores. :meth:`take` returns decoded values.
    labels : dict of array
        Maps each task variable to its labels.
    axes : sequence of str or None
        Names of the array's axes as the file gives them, unchecked. None if the file does not name its axes.
    variable : callable
        Maps the name of an array in the file to its values; units can be selected by them.
    decode : callable
        Maps stored values to the values they stand for: netCDF and HDF5 store packed and missing values.
    named : callable
        Maps the index of an axis of the array to what else of the file names the indices along it, by name.
    windowed : bool
        Whether the reader has taken the times of the option ``window``.
    """

    array: Array
    labels: Mapping[str, LabelArray] = field(default_factory=dict)
    axes: Sequence[str] | None = None
    variable: Callable[[str], LabelArray] = _no_variable
    decode: Callable[[LabelArray], LabelArray] = np.asarray
    named: Callable[[int], dict[str, LabelArray]] = lambda axis: {}
    windowed: bool = False

    def take(self, chosen: Sequence[Indices]) -> LabelArray:
        """Return the decoded values at the indices ``chosen`` along each axis; see ``preprocess.take``."""
        return self.decode(take(self.array, chosen))


def one_array(path: Path, options: Options) -> None:
    """Refuse the option ``key`` for a format that holds a single array."""
    if options.key is not None:
        raise InputError(f"{path}: holds a single array; leave dataset.key={options.key} out.")


def choose(key: str | None, present: Any, path: Path) -> str:
    """Return the name of the array to read: ``key`` if it is set, else ``responses`` or the only name."""
    if key is not None:
        if key.strip("/") not in present:  # HDF5 names may be written with a leading slash
            raise unknown(key, present, "key", path)
        return key.strip("/")
    if "responses" in present:
        return "responses"
    if len(present) == 1:
        return str(present[0])
    if not present:
        raise InputError(f"{path}: holds no array of shape (samples, units) or (time, condition, unit).")
    raise InputError(
        f"{path}: holds {len(present)} arrays ({', '.join(sorted(present)[:8])}); "
        "choose one with dataset.key=NAME."
    )


def labeled(present: Any, labels: str | Sequence[str] | None, path: Path) -> dict[str, str]:
    """Return a dict that maps each task variable to the name of the array with its labels.

    Parameters
    ----------
    present : collection of str
        Names of the arrays in the file. An array in a group is called ``group/name`` (HDF5), and a field of a
        struct ``struct.name`` (MATLAB).
    labels : str, sequence of str, or None
        A str is the name of a group or array. A sequence holds names of arrays, which may be in the group
        ``labels``. None takes the group ``labels``, if the file has it.
    path : Path
        Path of the file, for error messages.
    """
    if labels is None or isinstance(labels, str):
        group = (labels or "labels").strip("/")
        # Members of a group are called group/name in HDF5 and npz, and group.name in a struct of MATLAB.
        members = {
            name[len(group) + 1 :]: name for name in present if name.startswith((f"{group}/", f"{group}."))
        }
        if labels is not None and not members and group not in present:
            raise InputError(
                f"{path}: has no group {group!r} of labels; it has: {', '.join(sorted(present)[:8])}."
            )
        for member in members:
            if "/" in member:
                raise InputError(
                    f"{path}: {group}/{member.partition('/')[0]} is a group; expected an HDF5 dataset with "
                    "the values of a label."
                )
        return members or ({group.rpartition("/")[2]: group} if labels else {})
    chosen = {}
    for label in labels:  # an array of this full name goes before a member of the group ``labels``
        places = (label, label.strip("/"), f"labels/{label}", f"labels.{label}")
        name = next((place for place in places if place in present), None)
        if name is None:
            raise unknown(label, present, "label", path)
        # The names of an npz are plain text, in which a slash has no meaning but after ``labels``.
        whole = path.suffix.lower() == ".npz" and not name.startswith("labels/")
        chosen[label if whole else label.strip("/").rpartition("/")[2]] = name
    return chosen


def find(
    path: Path,
    options: Options,
    present: Mapping[str, Any],
    read: Callable[[str], Any],
    is_matrix: Callable[[str], bool],
) -> tuple[str, dict[str, Any]]:
    """Find the array of responses in a file, and read the labels.

    Parameters
    ----------
    path : Path
    options : Options
    present : mapping
        The arrays of the file, by name.
    read : callable
        Maps the name of an array to its numbers or text.
    is_matrix : callable
        Returns whether an array, given by name, may hold the responses. Used only if ``key`` is not set.

    Returns
    -------
    key : str
        Name of the array of responses.
    rest : dict
        The attributes ``labels`` and ``variable`` of :class:`Content`.
    """
    labels = labeled(present, options.labels, path)
    # A key may name any array, also one that is a label as well; without a key only matrices are considered.
    matrices = [name for name in present if name not in labels.values() and is_matrix(name)]
    key = choose(options.key, present if options.key else matrices, path)
    return key, {"labels": named_labels(labels, read, path), "variable": variable_of(present, read)}


def named_labels(labels: Mapping[str, str], read: Callable[[str], Any], path: Path) -> dict[str, LabelArray]:
    """Return a dict that maps each task variable to its labels, read from the array named in ``labels``."""
    return {label: as_labels(read(name), f"{path}: label {label!r}") for label, name in labels.items()}


def variable_of(
    present: Any, read: Callable[[str], Any], what: str = "variable"
) -> Callable[[str], LabelArray]:
    """Return a function that maps the name of a variable to its values; selections use it."""

    def variable(name: str) -> LabelArray:
        checks.one_of(name, present, what)
        return as_labels(read(name), f"{what} {name!r}")

    return variable


def unknown(name: str, present: Any, what: str, path: Path) -> InputError:
    """Return the error for a name that a file does not hold; it lists the nearest names in the file."""
    return InputError(f"{path}: {checks.unknown(name, present, what)}")


def readable_names(present: Iterable[str], read: Callable[[str], Any]) -> dict[str, LabelArray]:
    """Return those arrays of a file that can name samples: text and whole numbers, none missing."""
    values = {}
    for name in present:
        try:
            array = as_labels(read(name), name)
        except (InputError, ValueError):  # objects, NaN: nothing that names a sample
            continue
        if array.ndim == 1 and array.dtype.kind != "f":  # floats are measurements, which may differ
            values[name.removeprefix("labels/")] = array
    return values


def named_by_length(
    shapes: Mapping[str, tuple[int, ...]], key: str, read: Callable[[str], Any]
) -> Callable[[int], dict[str, LabelArray]]:
    """Return the function :attr:`Content.named` of a file in which only its length says what a vector names.

    Parameters
    ----------
    shapes : mapping
        The shape of each array of the file.
    key : str
        Name of the array of responses.
    read : callable
        Maps the name of an array to its numbers or text.
    """
    shape = shapes[key]

    def named(axis: int) -> dict[str, LabelArray]:
        # With as many units as samples, a vector could name either.
        alone = shape.count(shape[axis]) == 1
        return readable_names([n for n, own in shapes.items() if alone and own == (shape[axis],)], read)

    return named
