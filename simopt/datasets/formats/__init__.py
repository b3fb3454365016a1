"""Read recordings in several file formats: numbers and text only, never Python objects.

A reader finds the array of responses and reads the labels. If the format allows it, the array itself is read
later, and then only the selected part of it.

To add a format, write a reader ``(path, options, stack) -> Content`` and enter it in ``_READERS``. A reader
enters into ``stack`` everything that must be closed after the array was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.datasets.base import readable
from simopt.datasets.formats.arrays import mat, npy, npz, npz_archive
from simopt.datasets.formats.content import Content, Options, variable_of
from simopt.datasets.formats.hdf5 import datasets_inside, h5, is_matlab, stored
from simopt.datasets.formats.netcdf import nc
from simopt.datasets.formats.nwb import nwb
from simopt.datasets.formats.tables import csv_or_tsv, parquet, parquet_columns, text_columns
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError
from simopt.typing import LabelArray

__all__ = ["KINDS", "LABEL_FILES", "Content", "Options", "check", "opened", "read_labels", "variable_of"]

LABEL_FILES = (".csv", ".tsv", ".parquet", ".npy", ".npz", ".h5", ".hdf5")
"""The suffixes of the files that :func:`read_labels` can read."""

_READERS: dict[str, Callable[[Path, Options, ExitStack], Content]] = {
    ".npy": npy,
    ".npz": npz,
    ".h5": h5,
    ".hdf5": h5,
    ".mat": mat,
    ".nc": nc,
    ".csv": csv_or_tsv,
    ".tsv": csv_or_tsv,
    ".parquet": parquet,
    ".nwb": nwb,
}
KINDS = tuple(_READERS)
"""The suffixes of the files of recordings."""


@contextmanager
def opened(path: Path, options: Options) -> Iterator[Content]:
    """Open a file for the ``with`` block with the reader for its suffix and, if it is HDF5, its content.

    Raises
    ------
    InputError
        The file does not exist, has an unknown format, is broken, or lacks the array or a label. Errors that
        parsers raise inside the ``with`` block are turned into an InputError as well.
    """
    check(path)
    with readable(path, path.suffix), ExitStack() as stack:
        yield _reader(path)(path, options, stack)


def _reader(path: Path) -> Callable[[Path, Options, ExitStack], Content]:
    """Return the reader of a file by its suffix; the content tells HDF5 files of MATLAB from others."""
    kind = path.suffix.lower()
    matlab = is_matlab(path) if kind in (".h5", ".hdf5", ".mat") else None
    return _READERS[kind] if matlab is None else mat if matlab else h5


def read_labels(path: Path) -> dict[str, LabelArray]:
    """Read a file of labels, and return a dict that maps each task variable to its labels.

    The labels are the columns of a csv or tsv (each with a header) or parquet, or the arrays of an npz. In an
    h5 they are the datasets in the group ``labels``; without this group, all one-dimensional datasets. An npy
    holds one label, and the file's name is the name of the task variable.

    Raises
    ------
    InputError
        The file does not exist, has an unknown format, is broken, or holds no labels.
    """
    check(path, LABEL_FILES)
    with readable(path, path.suffix), ExitStack() as stack:
        kind = path.suffix.lower()
        labels: dict[str, Any]
        if kind in (".csv", ".tsv"):
            labels = text_columns(path)
        elif kind == ".parquet":
            labels = {name: column.to_pylist() for name, column in parquet_columns(path)}
        elif kind == ".npy":
            labels = {path.stem: np.lib.format.open_memmap(path, mode="r")}
        elif kind == ".npz":
            archive = npz_archive(path, stack)
            labels = {name: archive[name] for name in archive.files}
        else:
            datasets = datasets_inside(stack.enter_context(h5py.File(path, "r")))
            grouped = {name: item for name, item in datasets.items() if name.startswith("labels/")}
            chosen = grouped or {name: item for name, item in datasets.items() if item.ndim == 1}
            labels = {name.rpartition("/")[2]: stored(item, path) for name, item in chosen.items()}
        if not labels:
            raise InputError(f"{path}: holds no labels; expected one array or column for each label.")
        return {name: as_labels(values, f"{path}: label {name!r}") for name, values in labels.items()}


def check(path: Path, kinds: Sequence[str] = KINDS) -> None:
    """Refuse a path whose suffix is not among ``kinds``, or that is not the path of a file."""
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path}: unknown kind of file {path.suffix!r}; expected {', '.join(kinds)}.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
