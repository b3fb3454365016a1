"""Readers of the formats that hold arrays by name: npy, npz and mat."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets import matfile
from simopt.datasets.formats.content import Content, Options, choose, find, one_array
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
    names, read = dict.fromkeys(archive.files), archive.__getitem__

    def is_matrix(name: str) -> bool:
        try:
            return bool(len(names) == 1 or read(name).ndim >= 2)
        except ValueError:  # an array of Python objects, such as names of units, which is never loaded
            return False

    key, rest = find(path, options, names, read, is_matrix)
    return Content(array=archive[key], **rest)


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
