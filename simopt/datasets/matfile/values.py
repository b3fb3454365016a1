"""Types and helpers for the values of MAT files of both formats: numbers, text, and cell arrays of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from simopt.errors import InputError
from simopt.typing import LabelArray

Cell: TypeAlias = "LabelArray | str | list[Cell]"

DEPTH = 16  # levels of cells in cells; more are a reference to a cell that holds itself
NUMERIC = {"double", "single", "logical", "sparse"}
NUMERIC |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""The names that MATLAB gives to its numeric classes."""
_LARGEST = 50_000_000  # elements of a sparse matrix that is made dense: 400 MB in float64


def dense(
    values: LabelArray, rows: LabelArray, starts: LabelArray, shape: tuple[int, ...], what: str
) -> LabelArray:
    """Return a sparse matrix, stored by columns (CSC), as a dense array.

    Parameters
    ----------
    values, rows : array, (elements,)
        The values of the nonzero elements, column after column, and the index of each element's row.
    starts : array, (columns + 1,)
        Column j consists of the elements from ``starts[j]`` up to, but without, ``starts[j + 1]``.
    shape : tuple of int
        The number of rows and the number of columns.
    what : str
        Name of the file and the array, for error messages.
    """
    if math.prod(shape) > _LARGEST:
        raise InputError(f"{what} is sparse, with shape {shape}; at most {_LARGEST} elements can be read.")
    counts, used = np.diff(starts), int(starts[-1])  # MATLAB may allocate more elements than it uses
    sound = starts[0] == 0 and counts.min(initial=0) >= 0 and used <= min(len(rows), len(values))
    if not sound or rows[:used].min(initial=0) < 0:
        raise ValueError("a sparse matrix has columns or rows that are out of range")
    full = np.zeros(shape, dtype=values.dtype)
    full[rows[:used], np.repeat(np.arange(shape[1]), counts)] = values[:used]
    return full


def lines(rows: list[str]) -> LabelArray | str:
    """Return one row as str and several rows as an array of str, without the blanks that pad them."""
    return rows[0] if len(rows) == 1 else np.array([row.rstrip() for row in rows])


def listed(names: Iterable[str]) -> str:
    """Return the end of an error message about a missing name: a list of the names that exist."""
    shown = list(names)[:8]
    return f"; there are: {', '.join(shown)}" if shown else ""
