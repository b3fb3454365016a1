"""The formats a recording may come in: one reader each, numbers and text only, never objects.

A reader says where the array is, without reading it where the format allows that, and reads the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.datasets.formats.arrays import mat, npy, npz, npz_archive
from simopt.datasets.formats.content import Content, Wanted, variable_of
from simopt.datasets.formats.hdf5 import datasets_inside, h5, stored
from simopt.datasets.formats.netcdf import nc
from simopt.datasets.formats.nwb import nwb
from simopt.datasets.formats.tables import csv_or_tsv, parquet, parquet_columns, text_columns
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError
from simopt.typing import LabelArray

__all__ = ["LABEL_FILES", "Content", "Wanted", "check", "opened", "read_labels", "readable", "variable_of"]

LABEL_FILES = (".csv", ".tsv", ".parquet", ".npy", ".npz", ".h5", ".hdf5")


_READERS: dict[str, Callable[[Path, Wanted, ExitStack], Content]] = {
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
def opened(path: Path, wanted: Wanted) -> Iterator[Content]:
    """Open a file by the reader for its suffix.

    Raises
    ------
    InputError
        No such file, another format, a broken file, no such array or labels; also for what breaks while
        the content is read.
    """
    check(path)
    with readable(path), ExitStack() as stack:
        yield _READERS[path.suffix.lower()](path, wanted, stack)


def read_labels(path: Path) -> dict[str, LabelArray]:
    """Return the labels in a file of their own, by task variable.

    A column each of a csv (with a header), tsv or parquet; the arrays of an npz; the group ``labels``, or
    else the one-dimensional datasets, of an h5; an npy is one variable and gives it its name.

    Raises
    ------
    InputError
        No such file, another format, or a broken file.
    """
    check(path, LABEL_FILES)
    with readable(path), ExitStack() as stack:
        kind = path.suffix.lower()
        found: dict[str, Any]
        if kind in (".csv", ".tsv"):
            found = text_columns(path)
        elif kind == ".parquet":
            found = {name: column.to_pylist() for name, column in parquet_columns(path)}
        elif kind == ".npy":
            found = {path.stem: np.lib.format.open_memmap(path, mode="r")}
        elif kind == ".npz":
            archive = npz_archive(path, stack)
            found = {name: archive[name] for name in archive.files}
        else:
            inside = datasets_inside(stack.enter_context(h5py.File(path, "r")))
            grouped = {name: item for name, item in inside.items() if name.startswith("labels/")}
            chosen = grouped or {name: item for name, item in inside.items() if item.ndim == 1}
            found = {name.rpartition("/")[2]: stored(item, path) for name, item in chosen.items()}
        if not found:
            raise InputError(f"{path}: holds no labels.")
        return {name: as_labels(values, f"{path}: label {name!r}") for name, values in found.items()}


def check(path: Path, kinds: Sequence[str] = tuple(_READERS)) -> None:
    """Refuse a path of another suffix, or at which there is no file."""
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path}: unknown kind of file {path.suffix!r}; expected {', '.join(kinds)}.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name the file in it.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say of a file that cannot be read what is wrong with it."""
    try:
        yield
    except InputError:
        raise
    # Parsers raise whatever broken bytes lead them to.
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        if isinstance(error, MemoryError):
            reason = "it says it holds more than fits in memory"
        elif "object" in str(error).lower():
            reason = "it holds Python objects, which are never loaded, or no array at all"
        raise InputError(f"{path}: not a readable {path.suffix} file of numbers ({reason}).") from error
