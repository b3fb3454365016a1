"""Reader of HDF5 files, and helpers for formats built on HDF5 (netCDF4, NWB, Brain-Score assemblies)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.datasets.base import in_this_file
from simopt.datasets.formats.content import Content, Options, find, named_by_length
from simopt.datasets.formats.packed import decoded
from simopt.errors import InputError


def h5(path: Path, options: Options, stack: ExitStack) -> Content:
    """Find the array, its axes and the labels of an HDF5 file."""
    file = stack.enter_context(h5py.File(path, "r"))
    datasets = datasets_inside(file)
    if options.labels is None and "labels" in datasets:
        raise InputError(
            f"{path}: 'labels' is an array, not a group of arrays; dataset.labels=[labels] takes the array "
            "as a label."
        )
    read = partial(dataset_in, datasets, path)
    key, rest = find(path, options, datasets, read, lambda name: datasets[name].ndim >= 2)
    array = in_this_file(datasets[key], path)
    shapes = {name: item.shape for name, item in datasets.items() if item.shape is not None}
    return Content(
        array=array,
        axes=_axes_attribute(file, datasets[key]),
        decode=partial(decoded, attributes=array.attrs, what=f"{path}: {key}"),
        named=named_by_length(shapes, key, read),
        **rest,
    )


def is_matlab(path: Path) -> bool | None:
    """Return whether MATLAB wrote an HDF5 file (version 7.3), whose axes are reversed; None if it is no HDF5.

    MATLAB writes its name into the 512 bytes before the HDF5 file, and the class of each variable into an
    attribute. The suffix says neither: both kinds of file are called .mat and .h5.
    """
    with path.open("rb") as handle:
        if handle.read(10) == b"MATLAB 7.3":
            return True
    if not h5py.is_hdf5(path):
        return None
    with h5py.File(path, "r") as file:
        inside = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        return any("MATLAB_class" in file[name].attrs for name in inside)


def datasets_inside(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return a dict of the HDF5 datasets in a file or group, by name.

    Soft and external links are not followed, so that a file cannot make simopt read other files.
    """
    items: dict[str, h5py.Dataset] = {}
    # visititems visits hard links only, each object once.
    file.visititems(lambda name, item: items.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return items


def stored(item: h5py.Dataset, path: Path) -> Any:
    """Return the values of an HDF5 dataset: numbers, str (text of any length) or bytes (fixed length)."""
    # Text of fixed length comes as bytes, which as_labels decodes.
    text = h5py.check_string_dtype(item.dtype)
    dataset = in_this_file(item, path)
    return dataset.asstr("utf-8")[()] if text is not None and text.length is None else dataset[()]


def dataset_in(datasets: Mapping[str, h5py.Dataset], path: Path, name: str) -> Any:
    """Return the values, numbers or text, of the HDF5 dataset called ``name``."""
    return stored(datasets[name], path)


def _axes_attribute(file: h5py.File, item: h5py.Dataset) -> list[str] | None:
    """Return the names of axes in the attribute ``axes`` of an HDF5 dataset.

    If the dataset does not have the attribute, the attribute ``axes`` of the file is used, provided that it
    names as many axes as the dataset has. The attribute is text with commas, or an array of text; both may be
    bytes.
    """
    for holder in (item, file):
        texts = np.ravel(holder.attrs.get("axes", [])).tolist()
        names = ",".join(x.decode() if isinstance(x, bytes) else str(x) for x in texts).split(",")
        # An attribute of the file describes its main array, and may not fit the one that is read.
        if texts and (holder is item or len(names) == item.ndim):
            return names
    return None
