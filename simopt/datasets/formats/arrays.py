"""Readers of the formats that hold arrays by name: npy, npz and mat."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets import matfile
from simopt.datasets.formats.content import Content, Options, choose, find, named_by_length, one_array
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError


def npy(path: Path, options: Options, stack: ExitStack) -> Content:
    """Map the array of an npy file into memory, so that only its selected part is read."""
    one_array(path, options)
    if options.labels:
        raise InputError(f"{path}: an npy has no labels; name a file with labels: dataset.labels=FILE.csv.")
    return Content(array=np.lib.format.open_memmap(path, mode="r"))


def npz_archive(path: Path, stack: ExitStack) -> Any:
    """Open an npz file, which remains open until ``stack`` is closed."""
    archive = np.load(stack.enter_context(path.open("rb")), allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise TypeError("it is an npy file, or not a numpy file at all")
    # Each member is unpacked as a whole: refuse one that unpacks to far more than it takes up.
    for member in archive.zip.infolist() if archive.zip else ():
        checks.unpacked(member.file_size, member.compress_size, f"{path}: {member.filename}")
    return stack.enter_context(archive)


def npz(path: Path, options: Options, stack: ExitStack) -> Content:
    """Find the array and the labels of an npz file."""
    archive = npz_archive(path, stack)
    shapes, read = {name: _shape(archive, name) for name in archive.files}, archive.__getitem__
    key, rest = find(path, options, shapes, read, lambda name: len(shapes) == 1 or len(shapes[name]) >= 2)
    return Content(array=archive[key], named=named_by_length(shapes, key, read), **rest)


def _shape(archive: Any, name: str) -> tuple[int, ...]:
    """Return the shape of an array in an npz, from its header; () for an array of Python objects."""
    with archive.zip.open(f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name) as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
    # Objects are never loaded, so that an array of them, such as names of units, is no data.
    return () if dtype.hasobject else tuple(shape)


def mat(path: Path, options: Options, stack: ExitStack) -> Content:
    """Read the array and the labels of a MAT file, version 5 or 7.3."""
    names = options.label_names
    key = options.key or choose(None, [name for name in matfile.arrays(path) if name not in names], path)
    array, *labels = matfile.read_all(path, [key, *names])
    return Content(
        array=np.asarray(array),
        labels={
            name.rpartition(".")[2]: as_labels(values, f"{path}: label {name!r}")
            for name, values in zip(names, labels, strict=True)
        },
        variable=lambda name: as_labels(matfile.read(path, name), f"variable {name!r}"),
    )
