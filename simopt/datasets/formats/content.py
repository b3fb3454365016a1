"""What a reader finds in a file, and how it finds an array or labels among others."""

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
class Wanted:
    """Which part of a file: the options of ``dataset=file`` that a reader needs, see there."""

    key: str | None = None
    labels: str | Sequence[str] | None = None
    align: str | None = None
    window: Sequence[float] | None = None
    bin: float | None = None

    @property
    def named(self) -> list[str]:
        """The labels as a list of names; none where the file is to say."""
        return [self.labels] if isinstance(self.labels, str) else list(self.labels or ())


def _no_variable(name: str) -> LabelArray:
    raise InputError(f"there is no variable {name!r} along this axis; select by index, as in '0:50'.")


@dataclass(frozen=True, kw_only=True)
class Content:
    """An opened file.

    Attributes
    ----------
    array : array, memory map or HDF5 dataset
    labels : dict of array
    axes : sequence of str or None
        Names of the array's axes, where the file gives them; not checked.
    variable : callable
        From a name to an array of the file that may say which units are meant.
    decode : callable
        From what is stored to what it stands for.
    """

    array: Array
    labels: Mapping[str, LabelArray] = field(default_factory=dict)
    axes: Sequence[str] | None = None
    variable: Callable[[str], LabelArray] = _no_variable
    decode: Callable[[LabelArray], LabelArray] = np.asarray

    def take(self, chosen: Sequence[Indices]) -> LabelArray:
        """Return what the indices along each axis select; see :func:`~simopt.datasets.preprocess.take`."""
        return self.decode(take(self.array, chosen))


def one_array(path: Path, wanted: Wanted) -> None:
    """Refuse a key for a format that holds one array."""
    if wanted.key is not None:
        raise InputError(f"{path}: holds one array only; leave dataset.key out.")


def choose(key: str | None, present: Any, path: Path) -> str:
    """Return the name of the array to take: the one asked for, ``responses``, or the only one."""
    if key is not None:
        if key.strip("/") not in present:
            raise unknown(key, present, "key", path)
        return key.strip("/")
    if "responses" in present:
        return "responses"
    if len(present) == 1:
        return str(present[0])
    if not present:
        raise InputError(f"{path}: holds no array of two or three dimensions.")
    raise InputError(
        f"{path}: holds {len(present)} arrays ({', '.join(sorted(present)[:8])}); "
        "say which one with dataset.key=NAME."
    )


def labeled(present: Any, labels: str | Sequence[str] | None, path: Path) -> dict[str, str]:
    """Return which array of a file holds each task variable."""
    if labels is None or isinstance(labels, str):
        group = (labels or "labels").strip("/")
        members = {
            name[len(group) + 1 :]: name for name in present if name.startswith((f"{group}/", f"{group}."))
        }
        if labels is not None and not members and group not in present:
            raise InputError(f"{path}: there is no group {group!r} of labels.")
        for member in members:
            if "/" in member:
                raise InputError(
                    f"{path}: {group}/{member.partition('/')[0]} is not a dataset; labels are one dataset a "
                    "variable."
                )
        return members or ({group.rpartition("/")[2]: group} if labels else {})
    chosen = {}
    for label in labels:
        name = next(
            (n for n in (label.strip("/"), f"labels/{label}", f"labels.{label}") if n in present), None
        )
        if name is None:
            raise unknown(label, present, "label", path)
        chosen[label.strip("/").rpartition("/")[2]] = name
    return chosen


def find(
    path: Path,
    wanted: Wanted,
    present: Mapping[str, Any],
    read: Callable[[str], Any],
    is_matrix: Callable[[str], bool],
) -> tuple[str, dict[str, Any]]:
    """Find the array among the arrays of a file, and read the labels.

    Parameters
    ----------
    path : Path
    wanted : Wanted
    present : mapping
        By the names of the arrays.
    read : callable
        From a name to numbers or text.
    is_matrix : callable
        Whether an array of no given name may be the one that is meant.

    Returns
    -------
    key : str
        Of the array.
    rest : dict
        ``labels`` and ``variable`` of :class:`Content`.
    """
    labels = labeled(present, wanted.labels, path)
    matrices = [name for name in present if name not in labels.values() and is_matrix(name)]
    key = choose(wanted.key, present if wanted.key else matrices, path)
    return key, {"labels": named_labels(labels, read, path), "variable": variable_of(present, read)}


def named_labels(labels: Mapping[str, str], read: Callable[[str], Any], path: Path) -> dict[str, LabelArray]:
    """Read the labels, each from the array that holds it."""
    return {label: as_labels(read(name), f"{path}: label {label!r}") for label, name in labels.items()}


def variable_of(
    present: Any, read: Callable[[str], Any], what: str = "variable"
) -> Callable[[str], LabelArray]:
    """Return what gives the variables of a file as labels, to select by."""

    def variable(name: str) -> LabelArray:
        checks.one_of(name, present, what)
        return as_labels(read(name), f"{what} {name!r}")

    return variable


def unknown(name: str, present: Any, what: str, path: Path) -> InputError:
    """Word the error for a name that a file does not hold."""
    return InputError(f"{path}: {checks.unknown(name, present, what)}")
