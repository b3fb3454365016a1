"""Read MAT files of version 7.3, which are HDF5 files.

MATLAB uses HDF5 in this way:

- Arrays are stored by columns, so HDF5 shows their dimensions in reverse order. The reader transposes them.
- The attribute ``MATLAB_class`` names the class. Logicals are stored as uint8, text as uint16.
- An empty array has the attribute ``MATLAB_empty``, and its dataset holds the shape in place of numbers.
- A struct is a group. A cell array is a dataset of references to datasets in the group ``#refs#``.
- A sparse matrix is a group with the number of rows in the attribute ``MATLAB_sparse``, and the datasets
  ``ir`` (row indices), ``jc`` (starts of columns) and ``data`` (values). ``ir`` and ``data`` are absent if
  all values are zero.
- Complex numbers have the fields ``real`` and ``imag``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from simopt import checks
from simopt.datasets.base import in_this_file
from simopt.datasets.matfile.values import DEPTH, NUMERIC, Cell, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray


class Mat73:
    """An open file of version 7.3."""

    def __init__(self, file: h5py.File, title: str) -> None:
        self.file = file
        self.title = title

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the name and shape of each numeric variable and each numeric field of a struct variable."""
        for name, item in self._children(self.file):
            inner = self._children(item) if _kind(item) == "struct" else ()
            for path, array in ((name, item), *((f"{name}.{field}", child) for field, child in inner)):
                if "MATLAB_sparse" in array.attrs:
                    yield path, (int(array.attrs["MATLAB_sparse"]), array["jc"].shape[0] - 1)
                elif isinstance(array, h5py.Dataset) and _is_numeric(array):
                    yield path, _shape(array)

    def value(self, name: str) -> Cell:
        """Return the numbers, text or cells of a variable, or of a field with the name ``struct.field``."""
        item: Any = self.file
        for part in name.split("."):
            members = dict(self._children(item)) if isinstance(item, h5py.Group) else {}
            if part not in members and item is self.file:
                raise InputError(f"{self.title}: {checks.unknown(name, members, 'array')}")
            if part not in members:
                raise InputError(f"{self.title}: has no {name}{listed(members)}.")
            item = members[part]
        return self._plain(item, name, 0)

    def _children(self, group: h5py.Group) -> Iterator[tuple[str, Any]]:
        """Yield the name and content of each item in a group, except the items of MATLAB itself."""
        for name in group:
            # Soft and external links are not followed. #refs# and #subsystem# hold cells and objects.
            if isinstance(group.get(name, getlink=True), h5py.HardLink) and not name.startswith("#"):
                yield name, group[name]

    def _plain(self, item: Any, name: str, depth: int) -> Cell:
        """Return an item of the file as numbers, text or a list of them, or refuse it."""
        what = f"{self.title}: {name}"
        kind = _kind(item)
        if "MATLAB_sparse" in item.attrs:
            return self._sparse(item, what)
        if isinstance(item, h5py.Group):
            raise InputError(f"{what} is a struct; give the name of a field{listed(list(item))}.")
        if "MATLAB_object_decode" in item.attrs or kind not in {*NUMERIC, "char", "cell", ""}:
            raise InputError(f"{what} is of class {kind or 'object'}, not numbers or text; save a matrix.")
        empty = "MATLAB_empty" in item.attrs
        if kind == "cell" or h5py.check_ref_dtype(item.dtype) is h5py.Reference:
            if depth > DEPTH:  # references may form a circle
                raise InputError(
                    f"{what} is a cell array of over {DEPTH} levels, or holds itself; save fewer levels."
                )
            references = () if empty else _content(item).ravel()
            return [self._plain(self.file[reference], name, depth + 1) for reference in references]
        if kind == "char":
            codes = np.atleast_2d(_content(item).T).astype("<u2")
            return "" if empty else lines([row.tobytes().decode("utf-16-le", "replace") for row in codes])
        if not _is_numeric(item):
            raise InputError(f"{what} has dtype {item.dtype}; expected numbers.")
        return np.zeros(_shape(item)) if empty else _numbers(item).T

    def _sparse(self, group: h5py.Group, what: str) -> LabelArray:
        """Return a sparse matrix as a dense array."""
        parts = dict(self._children(group))
        starts = _content(parts["jc"]).astype(np.int64)
        rows, values = np.zeros(0, dtype=np.int64), np.zeros(0)
        if "data" in parts:  # absent if all elements are zero
            rows, values = _content(parts["ir"]).astype(np.int64), _numbers(parts["data"])
        values = values.astype(bool) if _kind(group) == "logical" else values
        return dense(values, rows, starts, (int(group.attrs["MATLAB_sparse"]), len(starts) - 1), what)


def _kind(item: Any) -> str:
    """Return the name of an item's class in MATLAB, empty if it has none."""
    kind = item.attrs.get("MATLAB_class", b"")
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


def _is_numeric(item: h5py.Dataset) -> bool:
    """Whether a dataset holds numbers or logicals, also one without MATLAB's attributes."""
    # Objects, such as tables and strings, are stored as integers that point into #subsystem#.
    number = item.dtype.kind in "fiub" or item.dtype.names == ("real", "imag")
    return number and _kind(item) in {*NUMERIC, ""} and "MATLAB_object_decode" not in item.attrs


def _shape(item: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape of an array as MATLAB shows it."""
    if "MATLAB_empty" not in item.attrs:
        return tuple(item.shape[::-1])
    shape = tuple(int(n) for n in item[()].ravel())
    if 0 not in shape:
        raise ValueError(f"an array marked as empty has the shape {shape}")
    return shape


def _content(item: h5py.Dataset) -> LabelArray:
    """Return what a dataset stores, dimensions in HDF5's order."""
    return np.asarray(in_this_file(item, item.file.filename)[()])


def _numbers(item: h5py.Dataset) -> LabelArray:
    """Return the numbers of a dataset in the type that they have in MATLAB, in the machine's byte order."""
    values = _content(item)
    if item.dtype.names:
        return np.asarray(values["real"] + 1j * values["imag"])
    dtype = np.dtype(bool) if _kind(item) == "logical" else values.dtype.newbyteorder("=")
    return values.astype(dtype, copy=False)
