"""HDF5 files, and what other formats built on HDF5 need of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt import checks
from simopt.datasets.formats.content import Content, Wanted, find
from simopt.errors import InputError


def h5(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Find the array, its axes and the labels of an HDF5 file."""
    file = stack.enter_context(h5py.File(path, "r"))
    inside = datasets_inside(file)
    if wanted.labels is None and "labels" in inside:
        raise InputError(
            f"{path}: there is no group 'labels' of labels; an array is named in a list: "
            "dataset.labels=[labels]."
        )
    read = partial(dataset_in, inside, path)
    key, rest = find(path, wanted, inside, read, lambda name: inside[name].ndim >= 2)
    array = in_this_file(inside[key], path)
    return Content(array=array, axes=_own_axes(file, inside[key]), **rest)


def datasets_inside(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the datasets in a file by name, those behind links to elsewhere not among them."""
    found: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def in_this_file(item: h5py.Dataset, path: Path) -> h5py.Dataset:
    """Refuse a dataset whose numbers lie in other files, or nowhere."""
    if item.external or item.is_virtual:
        raise InputError(f"{path}: {item.name} keeps its numbers in other files, which are not followed.")
    checks.unpacked(item.nbytes, item.id.get_storage_size(), f"{path}: {item.name}")
    return item


def stored(item: h5py.Dataset, path: Path) -> Any:
    """Return the numbers, the text or, of text of a fixed length, the bytes of a dataset."""
    text = h5py.check_string_dtype(item.dtype)
    here = in_this_file(item, path)
    return here.asstr("utf-8")[()] if text is not None and text.length is None else here[()]


def dataset_in(inside: Mapping[str, h5py.Dataset], path: Path, name: str) -> Any:
    """Return the numbers or the text of the dataset of a name."""
    return stored(inside[name], path)


def _own_axes(file: h5py.File, item: h5py.Dataset) -> list[str] | None:
    """Return the attribute ``axes`` of a dataset, or of its file where that fits it in number."""
    for holder in (item, file):
        value = holder.attrs.get("axes")
        if value is None:
            continue
        value = value.decode() if isinstance(value, bytes) else value
        names = value.split(",") if isinstance(value, str) else np.ravel(value).tolist()
        if holder is item or len(names) == item.ndim:
            return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    return None
