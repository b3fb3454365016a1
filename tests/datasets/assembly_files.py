"""Writers of assemblies as Brain-Score's netCDF4 files are laid out inside, and of tables of stimuli."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

DIMS = ("time_bin", "presentation", "neuroid")


def create(
    file: h5py.File,
    sizes: Mapping[str, int],
    coordinates: Mapping[str, tuple[str, np.ndarray]],
    *,
    name: str = "data",
    group: str | None = None,
    dtype: str = "<f8",
    text: str = "vlen",
    listed: bool = True,
    **storage,
) -> h5py.Dataset:
    """Lay out an assembly and return its data, yet to be written.

    ``sizes`` gives the dimensions in the order of the file; ``coordinates`` by name a dimension and one value
    for each of its indices. ``text`` is how text is stored: vlen, fixed, or chars (an array of characters).
    """
    file.attrs["_NCProperties"] = np.bytes_("version=2,netcdf=4.7.4,hdf5=1.10.6")
    home = file if group is None else file.create_group(group)
    scales = {}
    for index, (dimension, size) in enumerate(sizes.items()):
        scales[dimension] = home.create_dataset(dimension, shape=(size,), dtype=">f4")
        scales[dimension].make_scale(f"This is a netCDF dimension but not a netCDF variable. {size:9d}")
        scales[dimension].attrs["_Netcdf4Dimid"] = np.int32(index)
    for coordinate, (dimension, values) in coordinates.items():
        attached = [scales[dimension]]
        if values.dtype.kind != "U":
            stored = home.create_dataset(coordinate, data=values)
        elif text == "vlen":
            stored = home.create_dataset(coordinate, data=values.tolist(), dtype=h5py.string_dtype())
        elif text == "fixed":
            stored = home.create_dataset(coordinate, data=np.char.encode(values, "utf-8"))
        else:
            fixed = np.char.encode(values, "utf-8")
            letters = fixed.view("S1").reshape(len(values), fixed.itemsize)
            stored = home.create_dataset(coordinate, data=letters)
            attached.append(home.create_dataset(f"string_{coordinate}", shape=(fixed.itemsize,), dtype=">f4"))
            attached[1].make_scale("This is a netCDF dimension but not a netCDF variable.")
        for axis, scale in enumerate(attached):
            stored.dims[axis].attach_scale(scale)
    data = home.create_dataset(name, shape=tuple(sizes.values()), dtype=dtype, **storage)
    for axis, scale in enumerate(scales.values()):
        data.dims[axis].attach_scale(scale)
    if listed:
        data.attrs["coordinates"] = " ".join(coordinates)
    return data


def write(
    path: Path,
    values: np.ndarray,
    coordinates: Mapping[str, tuple[str, np.ndarray]],
    *,
    order: Sequence[str] = ("neuroid", "time_bin", "presentation"),
    attributes: Mapping[str, object] = {},
    **layout,
) -> Path:
    """Write values, (time_bin, presentation, neuroid), in another order of dimensions."""
    layout = {"dtype": values.dtype.str, **layout}
    with h5py.File(path, "w") as file:
        sizes = {dimension: values.shape[DIMS.index(dimension)] for dimension in order}
        data = create(file, sizes, coordinates, **layout)
        data[...] = values.transpose([DIMS.index(dimension) for dimension in order])
        for name, value in attributes.items():
            data.attrs[name] = value
    return path


def table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write the CSV of a stimulus set."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
