"""MAT files of version 7.3, which is HDF5 with the dimensions of every array in the other order."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from simopt import checks
from simopt.datasets.matfile.values import DEPTH, Cell, MatFile, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray

_NUMERIC = {"double", "single", "logical", "sparse", ""}
_NUMERIC |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


class Mat73(MatFile):
    """An open file of version 7.3."""

    def __init__(self, file: h5py.File, title: str) -> None:
        self.file = file
        self.title = title

    def children(self, item: Any) -> dict[str, Any]:
        """Return the fields of a struct, of None the variables of the file."""
        if item is None:
            return _members(self.file)
        return _members(item) if isinstance(item, h5py.Group) and _kind(item) in ("struct", "") else {}

    def shape(self, item: Any) -> tuple[int, ...] | None:
        """Return the shape of an array of numbers as MATLAB shows it."""
        if "MATLAB_sparse" in item.attrs:
            return (int(item.attrs["MATLAB_sparse"]), item["jc"].shape[0] - 1)
        return _shape(item) if isinstance(item, h5py.Dataset) and _is_numeric(item) else None

    def plain(self, item: Any, what: str, depth: int = 0) -> Cell:
        """Return numbers, text or cells."""
        kind = _kind(item)
        if "MATLAB_sparse" in item.attrs:
            return self._sparse(item, what)
        if isinstance(item, h5py.Group):
            raise InputError(f"{what} is a struct{listed(list(item))}.")
        if "MATLAB_object_decode" in item.attrs or kind not in {*_NUMERIC, "char", "cell"}:
            raise InputError(f"{what} is neither numbers nor text ({kind or 'object'}).")
        empty = "MATLAB_empty" in item.attrs
        if kind == "cell" or h5py.check_ref_dtype(item.dtype) is h5py.Reference:
            if depth > DEPTH:
                raise InputError(f"{what} is a cell array that holds itself, or more than {DEPTH} deep.")
            references = () if empty else _content(item).ravel()
            return [self.plain(self.file[reference], what, depth + 1) for reference in references]
        if kind == "char":
            codes = np.atleast_2d(_content(item).T).astype("<u2")
            return "" if empty else lines([row.tobytes().decode("utf-16-le", "replace") for row in codes])
        if not _is_numeric(item):
            raise InputError(f"{what} has dtype {item.dtype}; expected numbers.")
        return np.zeros(_shape(item)) if empty else _numbers(item).T

    def _sparse(self, group: h5py.Group, what: str) -> LabelArray:
        parts = _members(group)
        starts = _content(parts["jc"]).astype(np.int64)
        rows, values = np.zeros(0, dtype=np.int64), np.zeros(0)
        if "data" in parts:  # else there are zeros only
            rows, values = _content(parts["ir"]).astype(np.int64), _numbers(parts["data"])
        values = values.astype(bool) if _kind(group) == "logical" else values
        return dense(values, rows, starts, (int(group.attrs["MATLAB_sparse"]), len(starts) - 1), what)


def _members(group: h5py.Group) -> dict[str, Any]:
    """Return what a group holds; links to elsewhere are not followed, names in # are MATLAB's own."""
    links = {name: group.get(name, getlink=True) for name in group if not name.startswith("#")}
    return {name: group[name] for name, link in links.items() if isinstance(link, h5py.HardLink)}


def _kind(item: Any) -> str:
    kind = item.attrs.get("MATLAB_class", b"")
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


def _is_numeric(item: h5py.Dataset) -> bool:
    number = item.dtype.kind in "fiub" or item.dtype.names == ("real", "imag")
    return number and _kind(item) in _NUMERIC and "MATLAB_object_decode" not in item.attrs


def _shape(item: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape as MATLAB shows it; an empty array holds its shape in place of numbers."""
    if "MATLAB_empty" not in item.attrs:
        return tuple(item.shape[::-1])
    shape = tuple(int(n) for n in item[()].ravel())
    if 0 not in shape:
        raise ValueError(f"an empty array of shape {shape}")
    return shape


def _content(item: h5py.Dataset) -> LabelArray:
    if item.external or item.is_virtual:
        raise ValueError("numbers kept in other files, which are not followed")
    checks.unpacked(item.nbytes, item.id.get_storage_size(), str(item.name))
    return np.asarray(item[()])


def _numbers(item: h5py.Dataset) -> LabelArray:
    values = _content(item)
    if item.dtype.names:
        return np.asarray(values["real"] + 1j * values["imag"])
    kept = np.dtype(bool) if _kind(item) == "logical" else values.dtype.newbyteorder("=")
    return values.astype(kept, copy=False)
