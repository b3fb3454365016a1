"""Readers of the file formats that a recording may have: numbers and text only, never Python objects.

A reader finds the array and reads the labels. It does not read the array yet if the format allows that, so
that a selection of a large file can be read alone.

To add a format, write a reader ``(path, options, stack) -> Content`` and enter it in ``_READERS``. What has
to be closed later goes on the stack.
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
from simopt.datasets.formats.hdf5 import datasets_inside, h5, stored
from simopt.datasets.formats.netcdf import nc
from simopt.datasets.formats.nwb import nwb
from simopt.datasets.formats.tables import csv_or_tsv, parquet, parquet_columns, text_columns
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError
from simopt.typing import LabelArray

__all__ = ["LABEL_FILES", "Content", "Options", "check", "opened", "read_labels", "variable_of"]

LABEL_FILES = (".csv", ".tsv", ".parquet", ".npy", ".npz", ".h5", ".hdf5")
"""Suffixes of files that :func:`read_labels` reads."""

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


@contextmanager
def opened(path: Path, options: Options) -> Iterator[Content]:
    """Open a file for the ``with`` block by the reader for its suffix.

    Raises
    ------
    InputError
        There is no such file, array or label, the format is unknown, or the file is broken. Errors of
        parsers inside the ``with`` block are turned into it, too.
    """
    check(path)
    with readable(path, path.suffix), ExitStack() as stack:
        yield _READERS[path.suffix.lower()](path, options, stack)


def read_labels(path: Path) -> dict[str, LabelArray]:
    """Read a file that holds labels only, and return them by task variable.

    The labels are the columns of a csv (with a header), tsv or parquet; the arrays of an npz; in an h5 the
    group ``labels``, or without it the one-dimensional datasets. An npy is one label, named like the file.

    Raises
    ------
    InputError
        There is no such file, its format is unknown, or it is broken or empty.
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


def check(path: Path, kinds: Sequence[str] = tuple(_READERS)) -> None:
    """Refuse a path whose suffix is not among ``kinds``, or at which there is no file."""
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path}: unknown kind of file {path.suffix!r}; expected {', '.join(kinds)}.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
