"""What both kinds of MAT files are: arrays by name, of numbers, text, or cells of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from simopt import checks
from simopt.errors import InputError
from simopt.typing import LabelArray

Cell: TypeAlias = "LabelArray | str | list[Cell]"

DEPTH = 16  # cells in cells; more is a circle
_LARGEST = 50_000_000  # elements up to which a sparse matrix is made dense


class MatFile(ABC):
    """An open file; ``title`` is how errors call it."""

    title: str

    @abstractmethod
    def children(self, item: Any) -> Mapping[str, Any]:
        """Return the fields of a single struct by name, of None the variables of the file, else nothing."""

    @abstractmethod
    def shape(self, item: Any) -> tuple[int, ...] | None:
        """Return the shape of an array of numbers; None of anything else."""

    @abstractmethod
    def plain(self, item: Any, what: str, depth: int = 0) -> Cell:
        """Return numbers, text or cells; ``what`` is how errors call the item, ``depth`` how many hold it."""

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of the numeric arrays at the top level and one struct deep."""
        for name, item in self.children(None).items():
            fields = {f"{name}.{field}": child for field, child in self.children(item).items()}
            shapes = {path: self.shape(array) for path, array in {name: item, **fields}.items()}
            yield from ((path, shape) for path, shape in shapes.items() if shape is not None)

    def value(self, name: str) -> Cell:
        """Return numbers, text or cells by name, ``struct.field`` of a field."""
        item: Any = None
        for part in name.split("."):
            known = self.children(item)
            if part not in known and item is None:
                raise InputError(f"{self.title}: {checks.unknown(name, known, 'array')}")
            if part not in known:
                raise InputError(f"{self.title}: there is no {name}{listed(known)}.")
            item = known[part]
        return self.plain(item, f"{self.title}: {name}")


def dense(
    values: LabelArray, rows: LabelArray, starts: LabelArray, shape: tuple[int, ...], what: str
) -> LabelArray:
    """Return a sparse matrix in full; column j holds the elements from ``starts[j]`` to ``starts[j + 1]``."""
    if math.prod(shape) > _LARGEST:
        raise InputError(f"{what} is a sparse matrix of shape {shape}, too large to be made dense.")
    counts, used = np.diff(starts), int(starts[-1])
    sound = (
        len(counts) == shape[1]
        and starts[0] == 0
        and counts.min(initial=0) >= 0
        and used <= min(len(rows), len(values))
    )
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
