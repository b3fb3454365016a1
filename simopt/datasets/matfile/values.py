"""What both kinds of MAT files hold: numbers, text, and cells of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from simopt.errors import InputError
from simopt.typing import LabelArray

Cell: TypeAlias = "LabelArray | str | list[Cell]"

DEPTH = 16  # cells in cells; more is a circle
NUMERIC = {"double": "f8", "single": "f4", "logical": "?", "sparse": "f8"}
NUMERIC |= {f"{u}int{8 * n}": f"{u or 'i'}{n}" for u in ("", "u") for n in (1, 2, 4, 8)}
_LARGEST = 50_000_000  # elements up to which a sparse matrix is made dense


def dense(
    values: LabelArray, rows: LabelArray, starts: LabelArray, shape: tuple[int, ...], what: str
) -> LabelArray:
    """Return a sparse matrix in full; column j holds the elements from ``starts[j]`` to ``starts[j + 1]``."""
    if math.prod(shape) > _LARGEST:
        raise InputError(f"{what} is a sparse matrix of shape {shape}, too large to be made dense.")
    counts, used = np.diff(starts), int(starts[-1])
    sound = starts[0] == 0 and counts.min(initial=0) >= 0 and used <= min(len(rows), len(values))
    if not sound or rows[:used].min(initial=0) < 0:
        raise ValueError("a sparse matrix is broken")
    full = np.zeros(shape, dtype=values.dtype)
    full[rows[:used], np.repeat(np.arange(shape[1]), counts)] = values[:used]
    return full


def lines(rows: list[str]) -> LabelArray | str:
    """Return a row of characters as text, several as an array of text without the padding."""
    return rows[0] if len(rows) == 1 else np.array([row.rstrip() for row in rows])


def listed(names: Iterable[str]) -> str:
    """Word what there is in place of a name that is not."""
    shown = list(names)[:8]
    return f"; there is: {', '.join(shown)}" if shown else ""
