"""Reader of MAT files of MATLAB 5 to 7.3: numbers and text, and nothing else.

There are two formats. Up to version 7.2 (``save -v7``, MATLAB's default) a file is a sequence of variables in
MATLAB's own binary format, usually compressed. Version 7.3 is HDF5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from simopt.datasets.base import readable
from simopt.datasets.matfile.values import Cell
from simopt.datasets.matfile.version5 import Mat5
from simopt.datasets.matfile.version73 import Mat73
from simopt.errors import InputError
from simopt.typing import LabelArray

__all__ = ["Cell", "arrays", "cells", "read", "read_all"]

# A file of version 7.3 starts with 512 bytes of text, HDF5's user block; the signature of HDF5 follows. HDF5
# without that text is read, too.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512


def arrays(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the numeric arrays of a file, by name, without reading more than necessary.

    Arrays at the top level are included, and fields of a struct there, as ``struct.field``. In MATLAB numbers
    and vectors are matrices, too: arrays with at most one dimension longer than 1 are left out.

    Raises
    ------
    InputError
        There is no such file, or it is broken or no MAT file.
    """
    with _opened(path, str(path)) as file:
        return {name: shape for name, shape in file.shapes() if sum(n > 1 for n in shape) > 1}


def read(path: Path, name: str) -> LabelArray | str:
    """Return one array or text in MATLAB's orientation.

    Parameters
    ----------
    path : Path
    name : str
        Name of a variable, or of a field of a struct: ``struct.field``.

    Returns
    -------
    array or str
        Numbers and logicals in the type that they have in MATLAB; a row of characters as str; several rows of
        characters, or a cell array of text, as an array of str.

    Raises
    ------
    InputError
        There is no such file or name, the file is broken, or the variable is neither numbers nor text: a cell
        array, a struct, a MATLAB object, or a function handle.
    """
    return read_all(path, [name])[0]


def read_all(source: Path | BinaryIO, names: Sequence[str], title: str = "") -> list[LabelArray | str]:
    """Return several arrays or texts as :func:`read` does, and open the file only once.

    Parameters
    ----------
    source : Path or binary file
    names : sequence of str
    title : str
        Name of the file, for error messages; empty: its path.
    """
    title = title or str(source)
    with _opened(source, title) as file:
        return [_flat(file.value(name), f"{title}: {name}") for name in names]


def cells(path: Path, name: str) -> list[Cell]:
    """Return a cell array as a list in MATLAB's order, first dimension first; nested cells become lists.

    Raises
    ------
    InputError
        As for :func:`read`; or the variable is not a cell array.
    """
    with _opened(path, str(path)) as file:
        value = file.value(name)
    if isinstance(value, list):
        return value
    kind = "text" if isinstance(value, str) else f"an array of shape {value.shape}"
    raise InputError(f"{path}: {name} is {kind}; expected a cell array.")


def _flat(value: Cell, what: str) -> LabelArray | str:
    """Return a cell array of text as an array of str, and refuse any other cell array."""
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, str) for item in value):
        return np.array(value)
    raise InputError(f"{what} is a cell array of {len(value)}; expected numbers or text.")


@contextmanager
def _opened(source: Path | BinaryIO, title: str) -> Iterator[Mat5 | Mat73]:
    """Open a file by its version."""
    with readable(title, "MAT"), ExitStack() as stack:
        handle = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        # HDF5 itself would look for its signature at 0, 512, 1024, 2048 ...; MATLAB writes it at 512.
        head = handle.read(_USER_BLOCK + len(_HDF5))
        handle.seek(0)
        if _HDF5 in (head[: len(_HDF5)], head[_USER_BLOCK:]):
            yield Mat73(stack.enter_context(h5py.File(source, "r")), title)
        else:
            yield Mat5(handle, title)
