"""Reader of netCDF files, both classic files (version 3) and HDF5 files (version 4).

Both versions are read without the netCDF4 library, which is not a dependency. The reader relies on these
properties of the format:

- Version 4 is HDF5. A dimension is an HDF5 dimension scale attached to an axis of a variable.
- A value is missing if it equals the attribute ``_FillValue`` or ``missing_value`` before it is unpacked. A
  float that was never written equals netCDF's default fill value, and is missing as well.
- Packed values are small integers q that stand for ``q * scale_factor + add_offset``.
- xarray stores the names of a variable's coordinates, which are not data, in its attribute ``coordinates``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.datasets.base import in_this_file
from simopt.datasets.formats.content import Content, Options, find
from simopt.datasets.formats.hdf5 import dataset_in, datasets_inside
from simopt.datasets.preprocess import AXES
from simopt.errors import InputError
from simopt.typing import LabelArray

_UNWRITTEN = 9.969209968386869e36  # NC_FILL_FLOAT and NC_FILL_DOUBLE of netcdf.h: 15 * 2^119
_MISSING = ("_FillValue", "missing_value")
_PACKED = ("scale_factor", "add_offset")


def nc(path: Path, options: Options, stack: ExitStack) -> Content:
    """Find the array, its axes and the labels of a netCDF file of version 3 or 4."""
    with path.open("rb") as handle:
        classic = handle.read(3) == b"CDF"
    if classic:
        from scipy.io import netcdf_file

        # A memory map could not be closed while arrays of it are in use. Classic files are read as a whole.
        variables = stack.enter_context(netcdf_file(path, "r", mmap=False)).variables
        present = {name: variable.data for name, variable in variables.items()}
        attributes = {name: vars(variable) for name, variable in variables.items()}
        read: Callable[[str], Any] = present.__getitem__
    else:
        present = datasets_inside(stack.enter_context(h5py.File(path, "r")))
        attributes = {name: variable.attrs for name, variable in present.items()}
        read = partial(dataset_in, present, path)
    listings = (values.get("coordinates", b"") for values in attributes.values())
    text = " ".join(names.decode() if isinstance(names, bytes) else str(names) for names in listings)
    coordinates = text.split()

    def is_matrix(name: str) -> bool:
        return name not in coordinates and present[name].ndim >= 2 and present[name].dtype.kind in "fiub"

    key, rest = find(path, options, present, read, is_matrix)
    if classic:
        array, axes = present[key], variables[key].dimensions
    else:
        array, axes = in_this_file(present[key], path), dimensions(present[key])
    return Content(
        array=array,
        # Dimensions may have any name (neuron, bin): only those that are names of axes say what an axis is.
        axes=axes if set(axes) <= {*AXES, "sample", "trial"} else None,
        decode=partial(decoded, attributes=attributes[key], what=f"{path}: {key}"),
        **rest,
    )


def dimensions(variable: h5py.Dataset) -> tuple[str, ...]:
    """Return the names of the dimensions of a variable; a dimension without a scale has an empty name."""
    return tuple(str(scales[0].name).rpartition("/")[2] if len(scales) else "" for scales in variable.dims)


def decoded(stored: LabelArray, attributes: Mapping[str, Any], what: str) -> LabelArray:
    """Return the values that stored netCDF numbers encode: unpacked, and NaN where a value is missing.

    Parameters
    ----------
    stored : array of numbers
        Numbers as the file stores them.
    attributes : mapping
        The attributes of the variable.
    what : str
        Name of the file and the variable, for error messages.

    Returns
    -------
    array
        ``stored`` itself if no value is missing or packed; otherwise floats.

    Raises
    ------
    InputError
        An attribute that marks missing values, or an attribute for unpacking, is not a number.
    """
    numbers = {name: np.ravel(attributes[name]) for name in (*_MISSING, *_PACKED) if name in attributes}
    for name, value in numbers.items():
        if value.dtype.kind not in "iuf":
            raise InputError(f"{what}: the attribute {name} is {attributes[name]!r}; expected a number.")
    markers = [numbers[name] for name in _MISSING if name in numbers]
    markers += [np.array([_UNWRITTEN], dtype=stored.dtype)] if stored.dtype.kind == "f" else []
    # Missing values are looked for before unpacking, as the markers are stored numbers. A marker NaN matches
    # nothing, and stays NaN.
    missing = np.isin(stored, np.concatenate(markers)) if markers else np.zeros(1, dtype=bool)
    packed = any(name in numbers for name in _PACKED)
    if not missing.any() and not packed:
        return stored
    # astype also copies: the values are changed in place below. Integers have no NaN.
    values = stored if stored.dtype.kind == "f" and not packed else stored.astype(np.float64)
    if packed:
        values *= numbers.get("scale_factor", np.ones(1))[0]
        values += numbers.get("add_offset", np.zeros(1))[0]
    return np.where(missing, np.nan, values).astype(values.dtype)
