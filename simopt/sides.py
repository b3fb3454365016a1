"""What data say about their own rows and axes: names that pandas, xarray and labeled datasets carry.

pandas and xarray are optional. An object of theirs can only exist if its package is imported already, so they
are looked up among the imported modules and never imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from simopt.errors import InputError
from simopt.typing import LabelArray

SYNONYMS = {
    "sample": "condition",
    "trial": "condition",
    "presentation": "condition",  # as Brain-Score's assemblies name their dimensions
    "neuroid": "unit",
    "time_bin": "time",
}
"""Other names of the axes that data have."""
_PLACE = {"time": 0, "condition": 1, "unit": 2}
_NAMING = "iubUSMO"
"""The kinds of dtype that name rows. Floats are measurements: two recordings may differ in them."""


def _is(value: Any, package: str, kind: str) -> bool:
    module = sys.modules.get(package)
    # A module that is being imported, or a stand-in of the same name, may lack the class.
    return hasattr(module, kind) and isinstance(value, getattr(module, kind))


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas DataFrame."""
    return _is(value, "pandas", "DataFrame")


def is_labeled_array(value: Any) -> bool:
    """Return whether a value is an xarray DataArray."""
    return _is(value, "xarray", "DataArray")


def in_order(value: Any) -> Any:
    """Return a DataArray with its dims in the order (time, condition, unit), and any other value unchanged.

    A DataArray with a dim of another name than these or :data:`SYNONYMS` is returned unchanged, too.
    """
    if not is_labeled_array(value):
        return value
    axes = {dim: SYNONYMS.get(str(dim), str(dim)) for dim in value.dims}
    known = set(axes.values()) <= set(_PLACE) and len(set(axes.values())) == len(axes)
    return value.transpose(*sorted(axes, key=lambda dim: _PLACE[axes[dim]])) if known else value


def refuse_undecoded(value: Any, name: str) -> None:
    """Refuse a DataArray with values that its attributes mark as missing: xarray did not decode them."""
    if is_labeled_array(value):
        marks = [key for key in ("_FillValue", "missing_value") if key in value.attrs]
        found = next((key for key in marks if np.isin(value.values, value.attrs[key]).any()), None)
        if found is not None:
            raise InputError(
                f"{name} holds values equal to its attribute {found}, {value.attrs[found]}, which stand for "
                "missing ones; apply xarray.decode_cf to the dataset they come from."
            )


def numbers_of_frame(frame: Any, name: str) -> Any:
    """Return the numbers of a pandas DataFrame; missing values of its own dtypes become NaN.

    Raises
    ------
    InputError
        A column does not hold numbers.
    """
    for position, dtype in enumerate(frame.dtypes):
        if getattr(dtype, "kind", "O") not in "fiub":
            column = frame.columns[position]
            raise InputError(
                f"{name}: column {column!r} holds {dtype}, not numbers; leave it out with "
                ".drop(columns=...), or make it the index."
            )
    own = any(not isinstance(dtype, np.dtype) for dtype in frame.dtypes)
    return frame.to_numpy(dtype=np.float64, na_value=np.nan) if own else frame.to_numpy()


def names(value: Any) -> dict[str, LabelArray]:
    """Return what names the rows of data, (conditions,) by name.

    These are the levels of the index of a DataFrame, the coordinates of a DataArray along its conditions, and
    the labels of a Dataset with the other names that its file has. A default index 0, 1, ... names nothing.
    """
    if is_frame(value):
        if _default(value.index):
            return {}
        levels = [value.index.get_level_values(level) for level in range(value.index.nlevels)]
        return {str(level.name or "index"): np.asarray(level) for level in levels}
    if is_labeled_array(value):
        value = in_order(value)
        dim = value.dims[-2] if value.ndim > 1 else None
        along = {str(name): item for name, item in value.coords.items() if item.dims == (dim,)}
        return {name: item.values for name, item in along.items() if name == dim or _naming(item.values)}
    return {**value.names, **value.labels} if hasattr(value, "responses") and hasattr(value, "names") else {}


def _naming(values: LabelArray) -> bool:
    return values.dtype.kind in _NAMING


def _default(index: Any) -> bool:
    return bool(_is(index, "pandas", "RangeIndex") and index.start == 0 and index.step == 1)


def aligned(X: Any, Y: Any) -> Any:
    """Return Y with its axes and rows in the order of X, as far as names of both say which order that is.

    Parameters
    ----------
    X, Y : array, tensor, Dataset, DataFrame or DataArray
        Only a DataFrame or a DataArray Y is put in another order.

    Raises
    ------
    InputError
        X and Y have different names, or the same names in another order that is not unique or cannot be
        changed here.
    """
    if is_labeled_array(X) and is_labeled_array(Y):
        X, Y = in_order(X), _with_dims_of(in_order(X), in_order(Y))
        Y = _with_times_of(X, Y)
    _refuse_other_axes(_shape(X), _shape(Y))
    of_x, of_y = names(X), names(Y)
    if is_frame(X) and is_frame(Y):
        _refuse_half_named(X.index, Y.index)
        if len(of_x) == len(of_y):  # the name of an index is not part of what it says
            of_y = dict(zip(of_x, of_y.values(), strict=True))
    shared = sorted(of_x.keys() & of_y.keys())
    of_x, of_y = ({name: of_side[name] for name in shared} for of_side in (of_x, of_y))
    of_x, of_y = _of_samples(of_x, X, Y), _of_samples(of_y, Y, X)
    pairs = {name: _comparable(of_x[name], of_y[name]) for name in shared}
    pairs = {name: pair for name, pair in pairs.items() if pair[0].shape == pair[1].shape}
    wrong = next((name for name, pair in pairs.items() if len(_differs(*pair))), None)
    if wrong is None:
        return Y
    chosen = _found(pairs)
    if chosen is not None and is_frame(Y):
        return Y.iloc[chosen]
    if chosen is not None and is_labeled_array(Y):
        return in_order(Y).isel({in_order(Y).dims[-2]: chosen})
    raise InputError(
        _difference(
            wrong, *pairs[wrong], *(getattr(side, "name", None) or key for key, side in (("X", X), ("Y", Y)))
        )
    )


def _of_samples(of_side: Mapping[str, LabelArray], side: Any, other: Any) -> dict[str, LabelArray]:
    """Return the names of the rows of one side, one for each row of the other side if that is flattened.

    Samples are time x condition, time outermost, so the names of the conditions repeat in each time.
    """
    here, there = _shape(side), _shape(other)
    flattened = len(here) == 3 and len(there) == 2 and here[0] * here[1] == there[0] and here[0] > 1
    return {name: np.tile(values, here[0]) if flattened else values for name, values in of_side.items()}


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(np.shape(value.responses if hasattr(value, "responses") else in_order(value)))


def _with_dims_of(X: Any, Y: Any) -> Any:
    """Return the DataArray Y with the dims of samples in the order of X, whose last dim is the units."""
    samples = X.dims[:-1]
    if X.ndim == Y.ndim and set(samples) <= set(Y.dims):
        return Y.transpose(*samples, ...)
    moved = [dim for dim in X.dims if dim in Y.dims and X.dims.index(dim) != Y.dims.index(dim)]
    if X.ndim == Y.ndim and moved:
        raise InputError(
            f"X has the dims {X.dims} and Y has {Y.dims}, so that {moved[0]} is another axis; give both the "
            "same samples first and their units last, with .transpose(...)."
        )
    return Y


def _with_times_of(X: Any, Y: Any) -> Any:
    """Return the DataArray Y with its times in the order of X, if both are 3-D and have times."""
    if X.ndim != 3 or Y.ndim != 3 or X.dims[0] not in X.coords or Y.dims[0] not in Y.coords:
        return Y
    times = _comparable(X.coords[X.dims[0]].values, Y.coords[Y.dims[0]].values)
    if times[0].shape == times[1].shape and not len(_differs(*times)):
        return Y
    chosen = _found({"time": times})
    if chosen is None:
        raise InputError(_difference(str(X.dims[0]), *times, "X", "Y"))
    return Y.isel({Y.dims[0]: chosen})


def _refuse_other_axes(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    """Refuse the shapes of X and Y (time, condition, unit) if their times or their conditions differ."""
    if len(x) == len(y) == 3 and x[:2] != y[:2]:
        raise InputError(
            f"X has {x[0]} times x {x[1]} conditions and Y has {y[0]} x {y[1]}; both need the same axes, "
            "in the order (time, condition, unit)."
        )


def _refuse_half_named(of_x: Any, of_y: Any) -> None:
    """Refuse a default index 0, 1, 2, ... beside an index of the same numbers in another order."""
    if _default(of_x) == _default(of_y) or len(of_x) != len(of_y):
        return
    if not of_x.equals(of_y) and sorted(map(str, of_x)) == sorted(map(str, of_y)):
        raise InputError(
            "X and Y have the same index 0, 1, 2, ..., but in another order; write Y.loc[X.index] to pair "
            "the rows by it, or .reset_index(drop=True) on both if row i is the same sample."
        )


def _found(pairs: Mapping[str, tuple[LabelArray, LabelArray]]) -> LabelArray | None:
    """Return the rows of Y in the order of X by all names together; None if no order or several fit."""
    rows_x, rows_y = (
        list(zip(*(pair[side].tolist() for pair in pairs.values()), strict=True)) for side in (0, 1)
    )
    place = {row: number for number, row in enumerate(rows_y)}
    if len(place) < len(rows_y) or set(rows_x) != place.keys():
        return None
    return np.array([place[row] for row in rows_x], np.intp)


def _comparable(left: LabelArray, right: LabelArray) -> tuple[LabelArray, LabelArray]:
    """Return two columns of names in one type: as text if one of them is, or if they are objects."""
    if left.dtype.kind == right.dtype.kind == "f" and left.shape == right.shape:
        # The same times, computed in two ways, may differ by rounding.
        right = np.where(np.isclose(left, right, rtol=1e-9, atol=0), left, right)
    numbers = {left.dtype.kind, right.dtype.kind} <= set("iufb")
    return (left, right) if numbers else (left.astype(str), right.astype(str))


def _differs(left: LabelArray, right: LabelArray) -> LabelArray:
    """Return the rows in which two columns differ; a value that both lack (NaN) is no difference."""
    return np.flatnonzero((left != right) & ~((left != left) & (right != right)))


def _difference(name: str, left: LabelArray, right: LabelArray, x: str, y: str) -> str:
    """Return the message that the column ``name`` of X and Y differs: the first row, and the remedy.

    Parameters
    ----------
    name : str
    left, right : array, (conditions,)
        The values in X and in Y.
    x, y : str
        The names of X and Y.
    """
    if left.shape != right.shape:
        return f"{x} has {len(left)} values of {name} and {y} has {len(right)}; both need the same samples."
    differs = _differs(left, right)
    row = int(differs[0])
    message = f"{name} of row {row} is {left[row]} in {x} and {right[row]} in {y}; "
    if sorted(map(str, left)) != sorted(map(str, right)):
        return message + f"{len(differs)} of {len(left)} rows differ; both need the same samples."
    if len(set(map(str, left))) == len(left):
        return message + f"both have the same rows in another order: sort both datasets by {name}."
    return message + (
        f"both have the same values in another order, but several rows share a value of {name}, which cannot "
        "bring them in order; sort both by a label that differs in every row."
    )
