"""Read numbers and text, and nothing else, from MAT files of MATLAB 5 to 7.3.

There are two formats. Up to version 7.2 (``save -v7``, MATLAB's default) a file is a sequence of variables in
MATLAB's own binary format, usually compressed. A file of version 7.3 is an HDF5 file.
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
    """Return a dict that maps the name of each numeric array in a file to its shape.

    The dict has the variables of the file and, as ``struct.field``, the fields of structs among them. Scalars
    and vectors, which MATLAB stores as arrays with at most one dimension longer than 1, are left out. No more
    is read than necessary.

    Raises
    ------
    InputError
        The file does not exist, is broken, or is not a MAT file.
    """
    with _opened(path, str(path)) as file:
        return {name: shape for name, shape in file.shapes() if sum(n > 1 for n in shape) > 1}


def read(path: Path, name: str) -> LabelArray | str:
    """Return one array or text, with the dimensions in MATLAB's order.

    Parameters
    ----------
    path : Path
    name : str
        Name of a variable, or ``struct.field`` for a field of a struct.

    Returns
    -------
    array or str
        Numbers and logicals keep their MATLAB type. A row of characters becomes a str. Several rows of
        characters, or a cell array of text, become an array of str.

    Raises
    ------
    InputError
        The file does not exist, is broken, or has no variable of this name; or the variable holds neither
        numbers nor text, but for instance a struct, a MATLAB object or a function handle.
    """
    return read_all(path, [name])[0]


def read_all(source: Path | BinaryIO, names: Sequence[str], title: str = "") -> list[LabelArray | str]:
    """Return a list of several arrays or texts from a file, each as :func:`read` returns it.

    The file is opened only once.

    Parameters
    ----------
    source : Path or binary file
    names : sequence of str
        Names of variables, or ``struct.field`` for a field of a struct.
    title : str
        Name of the file, for error messages. If it is empty, messages show ``source``.
    """
    title = title or str(source)
    with _opened(source, title) as file:
        return [_flat(file.value(name), f"{title}: {name}") for name in names]


def cells(path: Path, name: str) -> list[Cell]:
    """Return a cell array as a list; cell arrays in its cells become lists as well.

    The list is in MATLAB's order: the index of the first dimension changes fastest.

    Raises
    ------
    InputError
        The file does not exist, is broken, or has no variable of this name; or the variable is not a cell
        array, or a cell holds neither numbers nor text nor a cell array.
    """
    with _opened(path, str(path)) as file:
        value = file.value(name)
    if isinstance(value, list):
        return value
    kind = "text" if isinstance(value, str) else f"an array of shape {value.shape}"
    raise InputError(f"{path}: {name} is {kind}; expected a cell array.")


def _flat(value: Cell, what: str) -> LabelArray | str:
    """Return a cell array of text as an array of str; refuse other cell arrays; return the rest unchanged."""
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, str) for item in value):
        return np.array(value)
    raise InputError(f"{what} is a cell array of {len(value)} cells; expected numbers or text.")


@contextmanager
def _opened(source: Path | BinaryIO, title: str) -> Iterator[Mat5 | Mat73]:
    """Open a MAT file for the ``with`` block with the reader for its version."""
    with readable(title, "MAT"), ExitStack() as stack:
        handle = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        # HDF5 itself would look for its signature at 0, 512, 1024, 2048 ...; MATLAB writes it at 512.
        head = handle.read(_USER_BLOCK + len(_HDF5))
        handle.seek(0)
        if _HDF5 in (head[: len(_HDF5)], head[_USER_BLOCK:]):
            yield Mat73(stack.enter_context(h5py.File(source, "r")), title)
        else:
            yield Mat5(handle, title)
