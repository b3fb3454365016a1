"""Reader of netCDF files, both classic files (version 3) and HDF5 files (version 4).

Both versions are read without the netCDF4 library, which is not a dependency. The reader relies on these
properties of the format:

- Version 4 is HDF5. A dimension is an HDF5 dimension scale attached to an axis of a variable.
- Values may be packed or marked as missing, see :mod:`simopt.datasets.formats.packed`. A float that was never
  written equals netCDF's default fill value, and is missing as well.
- xarray stores the names of a variable's coordinates, which are not data, in its attribute ``coordinates``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from simopt.datasets.base import in_this_file
from simopt.datasets.formats.content import Content, Options, find, readable_names
from simopt.datasets.formats.hdf5 import dataset_in, datasets_inside
from simopt.datasets.formats.packed import decoded
from simopt.datasets.preprocess import AXES
from simopt.sides import SYNONYMS
from simopt.typing import LabelArray

_UNWRITTEN = 9.969209968386869e36  # NC_FILL_FLOAT and NC_FILL_DOUBLE of netcdf.h: 15 * 2^119
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"


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
        array, dims = present[key], {name: variable.dimensions for name, variable in variables.items()}
    else:
        array, dims = in_this_file(present[key], path), {n: _own_dims(n, item) for n, item in present.items()}
    axes = dims[key]

    def named(axis: int) -> dict[str, LabelArray]:
        # Text may be a matrix of characters, whose second dimension is none of the array.
        dim = axes[axis]
        along = [name for name, own in dims.items() if dim and own[:1] == (dim,) and name != key]
        return readable_names(along, read)

    return Content(
        array=array,
        # Dimensions may have any name (neuron, bin): only those that are names of axes say what an axis is.
        axes=axes if set(axes) <= {*AXES, *SYNONYMS} else None,
        decode=partial(decoded, attributes=attributes[key], what=f"{path}: {key}", unwritten=_UNWRITTEN),
        named=named,
        **rest,
    )


def _own_dims(name: str, variable: h5py.Dataset) -> tuple[str, ...]:
    """Return the dimensions of a variable; an index coordinate, which is a scale, has its own name."""
    if not variable.is_scale:
        return dimensions(variable)
    # A dimension without a coordinate is stored as an array of zeros, which its NAME tells.
    told = variable.attrs.get("NAME", b"")
    text = told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)
    return () if text.startswith(_NO_VARIABLE) else (name.rpartition("/")[2],)


def dimensions(variable: h5py.Dataset) -> tuple[str, ...]:
    """Return the names of the dimensions of a variable; a dimension without a scale has an empty name."""
    return tuple(str(scales[0].name).rpartition("/")[2] if len(scales) else "" for scales in variable.dims)
