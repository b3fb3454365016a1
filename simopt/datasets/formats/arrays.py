"""Files of arrays: npy, npz, mat, and netCDF, classic or on HDF5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt import checks
from simopt.datasets import matfile
from simopt.datasets.formats.content import (
    Content,
    Wanted,
    choose,
    labelled,
    named_labels,
    one_array,
    variable_of,
)
from simopt.datasets.formats.hdf5 import dataset_in, datasets_inside, in_this_file
from simopt.datasets.preprocess import AXES, as_labels
from simopt.errors import InputError
from simopt.typing import LabelArray

_UNWRITTEN = 9.969209968386869e36  # what netCDF puts where nothing was written


def npy(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Map the array of an npy file."""
    one_array(path, wanted)
    if wanted.labels:
        raise InputError(f"{path}: an npy holds no labels; name a file of them, as dataset.labels=FILE.csv.")
    return Content(array=np.lib.format.open_memmap(path, mode="r"))


def npz_archive(path: Path, stack: ExitStack) -> Any:
    """Open an npz until the stack closes; an npy of that name is refused."""
    archive = np.load(stack.enter_context(path.open("rb")))
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise TypeError("it is an npy")
    for member in archive.zip.infolist() if archive.zip else ():
        checks.unpacked(member.file_size, member.compress_size, f"{path}: {member.filename}")
    return stack.enter_context(archive)


def npz(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Find the array and the labels of an npz file."""
    archive = npz_archive(path, stack)
    labels = labelled(archive.files, wanted.labels, path)
    candidates = [name for name in archive.files if name not in labels.values()]
    if len(candidates) > 1 and wanted.key is None and "responses" not in candidates:
        candidates = [name for name in candidates if _is_matrix(archive, name)]
    key = choose(wanted.key, archive.files if wanted.key else candidates, path)
    return Content(
        array=archive[key],
        labels=named_labels(labels, archive.__getitem__, path),
        variable=partial(variable_of, archive.files, archive.__getitem__),
    )


def _is_matrix(archive: Any, name: str) -> bool:
    try:
        return bool(archive[name].ndim >= 2)
    except ValueError:  # Python objects, such as names of units
        return False


def mat(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Read the array and the labels of a MAT file, version 5 or 7.3."""
    names = [wanted.labels] if isinstance(wanted.labels, str) else list(wanted.labels or ())
    matrices = matfile.arrays(path)
    key = wanted.key or choose(None, [name for name in matrices if name not in names], path)
    array, *labels = matfile.read_all(path, [key, *names])
    return Content(
        array=np.asarray(array),
        labels={
            name.rpartition(".")[2]: as_labels(values, f"{path}: label {name!r}")
            for name, values in zip(names, labels, strict=True)
        },
        variable=lambda name: as_labels(matfile.read(path, name), f"variable {name!r}"),
    )


def nc(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Find the variable and the labels of a netCDF file, classic or on HDF5."""
    with path.open("rb") as handle:
        classic = handle.read(3) == b"CDF"
    if classic:
        from scipy.io import netcdf_file

        variables = stack.enter_context(netcdf_file(path, "r", mmap=False)).variables
        present = {name: variable.data for name, variable in variables.items()}
        read: Callable[[str], Any] = present.__getitem__
    else:
        present = datasets_inside(stack.enter_context(h5py.File(path, "r")))
        read = partial(dataset_in, present, path)
    labels = labelled(present, wanted.labels, path)
    matrices = [
        name
        for name, item in present.items()
        if item.ndim >= 2 and item.dtype.kind in "fiub" and name not in labels.values()
    ]
    key = choose(wanted.key, present if wanted.key else matrices, path)
    if classic:
        array, axes, attributes = present[key], variables[key].dimensions, vars(variables[key])
    else:
        array = in_this_file(present[key], path)
        axes, attributes = [_scale(dimension) for dimension in array.dims], dict(array.attrs)
    return Content(
        array=array,
        axes=axes if set(axes) <= {*AXES, "sample", "trial"} else None,
        labels=named_labels(labels, read, path),
        variable=partial(variable_of, present, read),
        decode=partial(_unpacked, attributes),
    )


def _scale(dimension: Any) -> str:
    return str(dimension[0].name).rpartition("/")[2] if len(dimension) else ""


def _unpacked(attributes: Mapping[str, Any], stored: LabelArray) -> LabelArray:
    """Return what netCDF values stand for: missing ones as NaN, scaled ones in their unit."""
    missing = [np.ravel(attributes[name]) for name in ("_FillValue", "missing_value") if name in attributes]
    missing += [np.array([_UNWRITTEN], dtype=stored.dtype)] if stored.dtype.kind == "f" else []
    holes = np.isin(stored, np.concatenate(missing)) if missing else np.zeros(1, dtype=bool)
    packed = "scale_factor" in attributes or "add_offset" in attributes
    if not holes.any() and not packed:
        return stored
    values = stored if stored.dtype.kind == "f" and not packed else stored.astype(np.float64)
    if packed:
        values *= np.ravel(attributes.get("scale_factor", 1.0))[0]
        values += np.ravel(attributes.get("add_offset", 0.0))[0]
    return np.where(holes, np.nan, values).astype(values.dtype)
