"""MAT files of MATLAB 5 to 7.3: the numbers and the text in them, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from simopt.datasets.matfile.values import Cell, MatFile
from simopt.datasets.matfile.version5 import Mat5
from simopt.datasets.matfile.version73 import Mat73
from simopt.errors import InputError
from simopt.typing import LabelArray

__all__ = ["Cell", "arrays", "cells", "read", "read_all"]

# Version 7.3: HDF5 after 512 bytes of text.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512


def arrays(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the numeric arrays of a file, by name, mostly without reading them.

    Arrays at the top level and those one struct deep, as ``struct.field``. In MATLAB every number is a
    matrix: those with at most one dimension longer than 1 (numbers and vectors) are left out.

    Raises
    ------
    InputError
        No such file, or not a MAT file, or a broken one.
    """
    with _opened(path, str(path)) as file:
        return {name: shape for name, shape in file.shapes() if sum(n > 1 for n in shape) > 1}


def read(path: Path, name: str) -> LabelArray | str:
    """Return one array or text in MATLAB's orientation.

    Parameters
    ----------
    path : Path
    name : str
        Of a variable, or of the field of a struct: ``struct.field``.

    Returns
    -------
    array or str
        Numbers and logicals in their own type; a row of characters as str; rows of characters, and a cell
        array of texts, as an array of str.

    Raises
    ------
    InputError
        No such file or name, a broken file, or what is neither numbers nor text: a cell array, a struct, a
        MATLAB object, a function handle.
    """
    return read_all(path, [name])[0]


def read_all(source: Path | BinaryIO, names: Sequence[str], title: str = "") -> list[LabelArray | str]:
    """Return several arrays or texts as :func:`read` does, opening the file once.

    Parameters
    ----------
    source : Path or binary file
    names : sequence of str
    title : str
        How errors call the file; of a path, the path.
    """
    title = title or str(source)
    with _opened(source, title) as file:
        return [_flat(file.value(name), f"{title}: {name}") for name in names]


def cells(path: Path, name: str) -> list[Cell]:
    """Return a cell array as a list in MATLAB's order (first dimension first), cells in it as lists too.

    Raises
    ------
    InputError
        As for :func:`read`; what has this name is not a cell array.
    """
    with _opened(path, str(path)) as file:
        value = file.value(name)
    if isinstance(value, list):
        return value
    found = "text" if isinstance(value, str) else f"an array of shape {value.shape}"
    raise InputError(f"{path}: {name} is {found}; expected a cell array.")


def _flat(value: Cell, what: str) -> LabelArray | str:
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, str) for item in value):
        return np.array(value)
    raise InputError(f"{what} is a cell array of {len(value)}; expected numbers or text.")


@contextmanager
def _opened(source: Path | BinaryIO, title: str) -> Iterator[MatFile]:
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"{title}: there is no such file.")
    try:
        with ExitStack() as stack:
            handle = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            head = handle.read(_USER_BLOCK + len(_HDF5))
            handle.seek(0)
            if _HDF5 in (head[: len(_HDF5)], head[_USER_BLOCK:]):
                yield Mat73(stack.enter_context(h5py.File(source, "r")), title)
            else:
                yield Mat5(handle, title)
    except InputError:
        raise
    # Broken bytes lead HDF5, zlib, struct and numpy to exceptions of every kind.
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(f"{title}: not a readable MAT file ({reason}).") from error
