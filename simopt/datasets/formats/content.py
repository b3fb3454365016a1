"""What a reader returns, and how it finds the array and the labels among the arrays of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """The options that decide which part of a file is read; :class:`~simopt.datasets.file.File` has more."""

    key: str | None = None
    labels: str | Sequence[str] | None = None
    align: str | None = None
    window: Sequence[float] | None = None
    bin: float | None = None

    @property
    def label_names(self) -> list[str]:
        """The names of labels that the options give, as a list."""
        return [self.labels] if isinstance(self.labels, str) else list(self.labels or ())


def _no_variable(name: str) -> LabelArray:
    raise InputError(f"the file has no variable {name!r} along this axis; select by index, as in '0:50'.")


@dataclass(frozen=True, kw_only=True)
class Content:
    """An opened file.

    Attributes
    ----------
    array : array, memory map or HDF5 dataset
        As it is stored; :meth:`take` decodes it.
    labels : dict of array
        By task variable.
    axes : sequence of str or None
        Names of the array's axes if the file has them; not checked.
    variable : callable
        Maps a name to an array of the file by which units can be selected.
    decode : callable
        Maps stored values to those they stand for (netCDF: packed and missing values).
    """

    array: Array
    labels: Mapping[str, LabelArray] = field(default_factory=dict)
    axes: Sequence[str] | None = None
    variable: Callable[[str], LabelArray] = _no_variable
    decode: Callable[[LabelArray], LabelArray] = np.asarray

    def take(self, chosen: Sequence[Indices]) -> LabelArray:
        """Return the decoded values that indices along each axis select, as ``preprocess.take`` does."""
        return self.decode(take(self.array, chosen))


def one_array(path: Path, options: Options) -> None:
    """Refuse a key for a format that holds one array only."""
    if options.key is not None:
        raise InputError(f"{path}: holds one array only; leave dataset.key={options.key} out.")


def choose(key: str | None, present: Any, path: Path) -> str:
    """Return the name of the array to read: ``key`` if it is set, else ``responses`` or the only one."""
    if key is not None:
        if key.strip("/") not in present:  # HDF5 names may be written with a leading slash
            raise unknown(key, present, "key", path)
        return key.strip("/")
    if "responses" in present:
        return "responses"
    if len(present) == 1:
        return str(present[0])
    if not present:
        raise InputError(f"{path}: holds no array of two or three dimensions; expected (samples, units).")
    raise InputError(
        f"{path}: holds {len(present)} arrays ({', '.join(sorted(present)[:8])}); "
        "say which one to read with dataset.key=NAME."
    )


def labeled(present: Any, labels: str | Sequence[str] | None, path: Path) -> dict[str, str]:
    """Return the name of the array of the file for each task variable.

    Parameters
    ----------
    present : collection of str
        Names of the arrays, those in a group as ``group/name`` (HDF5) or ``struct.name`` (MATLAB).
    labels : str, sequence of str, or None
        The name of a group or array; names of arrays, possibly in the group ``labels``; None: the group
        ``labels``, if there is one.
    path : Path
    """
    if labels is None or isinstance(labels, str):
        group = (labels or "labels").strip("/")
        # Members of a group are called group/name in HDF5 and npz, and group.name in a struct of MATLAB.
        members = {
            name[len(group) + 1 :]: name for name in present if name.startswith((f"{group}/", f"{group}."))
        }
        if labels is not None and not members and group not in present:
            raise InputError(
                f"{path}: there is no group {group!r} of labels; there are: {', '.join(sorted(present)[:8])}."
            )
        for member in members:
            if "/" in member:
                raise InputError(
                    f"{path}: {group}/{member.partition('/')[0]} is not a dataset; expected one dataset for "
                    "each label."
                )
        return members or ({group.rpartition("/")[2]: group} if labels else {})
    chosen = {}
    for label in labels:  # an array of this full name goes before a member of the group ``labels``
        places = (label.strip("/"), f"labels/{label}", f"labels.{label}")
        name = next((place for place in places if place in present), None)
        if name is None:
            raise unknown(label, present, "label", path)
        chosen[label.strip("/").rpartition("/")[2]] = name
    return chosen


def find(
    path: Path,
    options: Options,
    present: Mapping[str, Any],
    read: Callable[[str], Any],
    is_matrix: Callable[[str], bool],
) -> tuple[str, dict[str, Any]]:
    """Find the responses among the arrays of a file, and read the labels.

    Parameters
    ----------
    path : Path
    options : Options
    present : mapping
        The arrays of the file, by name.
    read : callable
        Maps the name of an array to its numbers or text.
    is_matrix : callable
        Whether the array of a name may be the responses, if no key says which array is.

    Returns
    -------
    key : str
        Name of the array of responses.
    rest : dict
        ``labels`` and ``variable`` of :class:`Content`.
    """
    labels = labeled(present, options.labels, path)
    # A key may name any array, also one that is a label as well; without a key only matrices are considered.
    matrices = [name for name in present if name not in labels.values() and is_matrix(name)]
    key = choose(options.key, present if options.key else matrices, path)
    return key, {"labels": named_labels(labels, read, path), "variable": variable_of(present, read)}


def named_labels(labels: Mapping[str, str], read: Callable[[str], Any], path: Path) -> dict[str, LabelArray]:
    """Read each label from the array of its name in ``labels``."""
    return {label: as_labels(read(name), f"{path}: label {label!r}") for label, name in labels.items()}


def variable_of(
    present: Any, read: Callable[[str], Any], what: str = "variable"
) -> Callable[[str], LabelArray]:
    """Return a function that reads a variable by its name, to select units or conditions by it."""

    def variable(name: str) -> LabelArray:
        checks.one_of(name, present, what)
        return as_labels(read(name), f"{what} {name!r}")

    return variable


def unknown(name: str, present: Any, what: str, path: Path) -> InputError:
    """Return the error for a name that a file does not hold, with the nearest names that it does hold."""
    return InputError(f"{path}: {checks.unknown(name, present, what)}")
