"""netCDF, classic or on HDF5: its variables, and what their numbers stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.datasets.formats.content import Content, Wanted, find
from simopt.datasets.formats.hdf5 import dataset_in, datasets_inside, in_this_file
from simopt.datasets.preprocess import AXES
from simopt.errors import InputError
from simopt.typing import LabelArray

_UNWRITTEN = 9.969209968386869e36  # what netCDF puts where nothing was written
_MISSING = ("_FillValue", "missing_value")
_PACKED = ("scale_factor", "add_offset")


def nc(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Find the variable and the labels of a netCDF file, classic or on HDF5."""
    with path.open("rb") as handle:
        classic = handle.read(3) == b"CDF"
    if classic:
        from scipy.io import netcdf_file

        variables = stack.enter_context(netcdf_file(path, "r", mmap=False)).variables
        present = {name: variable.data for name, variable in variables.items()}
        attributes = {name: vars(variable) for name, variable in variables.items()}
        read: Callable[[str], Any] = present.__getitem__
    else:
        present = datasets_inside(stack.enter_context(h5py.File(path, "r")))
        attributes = {name: variable.attrs for name, variable in present.items()}
        read = partial(dataset_in, present, path)
    lists = (held.get("coordinates", b"") for held in attributes.values())
    described = " ".join(one.decode() if isinstance(one, bytes) else str(one) for one in lists).split()

    def is_matrix(name: str) -> bool:
        return name not in described and present[name].ndim >= 2 and present[name].dtype.kind in "fiub"

    key, rest = find(path, wanted, present, read, is_matrix)
    if classic:
        array, axes = present[key], variables[key].dimensions
    else:
        array, axes = in_this_file(present[key], path), dimensions(present[key])
    return Content(
        array=array,
        axes=axes if set(axes) <= {*AXES, "sample", "trial"} else None,
        decode=partial(decoded, attributes=attributes[key], what=f"{path}: {key}"),
        **rest,
    )


def dimensions(variable: h5py.Dataset) -> tuple[str, ...]:
    """Return the name of each dimension of a variable, empty where it has none."""
    return tuple(str(scales[0].name).rpartition("/")[2] if len(scales) else "" for scales in variable.dims)


def decoded(stored: LabelArray, attributes: Mapping[str, Any], what: str) -> LabelArray:
    """Return what netCDF values stand for: missing ones as NaN, scaled ones in their unit.

    Parameters
    ----------
    stored : array of numbers
    attributes : mapping
        Of the variable.
    what : str
        How errors call the variable.

    Raises
    ------
    InputError
        An attribute that says which values are missing, or how they are scaled, is not a number.
    """
    known = {name: np.ravel(attributes[name]) for name in (*_MISSING, *_PACKED) if name in attributes}
    for name, value in known.items():
        if value.dtype.kind not in "iuf":
            raise InputError(f"{what}: the attribute {name} is not a number.")
    missing = [known[name] for name in _MISSING if name in known]
    missing += [np.array([_UNWRITTEN], dtype=stored.dtype)] if stored.dtype.kind == "f" else []
    holes = np.isin(stored, np.concatenate(missing)) if missing else np.zeros(1, dtype=bool)
    packed = any(name in known for name in _PACKED)
    if not holes.any() and not packed:
        return stored
    values = stored if stored.dtype.kind == "f" and not packed else stored.astype(np.float64)
    if packed:
        values *= known.get("scale_factor", np.ones(1))[0]
        values += known.get("add_offset", np.zeros(1))[0]
    return np.where(holes, np.nan, values).astype(values.dtype)
