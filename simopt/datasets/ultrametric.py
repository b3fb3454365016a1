"""Ultrametric: binary codes grown along a tree, so that classes are nested.

References
----------
Cloos et al. 2025, Differentiable Optimization of Similarity Scores Between Models and Brains,
arXiv:2407.07059.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets.base import Dataset, Loader
from simopt.typing import Source


@dataclass(frozen=True, kw_only=True)
class Ultrametric(Loader):
    """The leaves of a tree of binary codes.

    The root is a random binary code. At each level every node has ``branching`` children. A child is a copy
    of its parent in which each unit is drawn again, 0 or 1 with equal chance, with probability ``resample``.
    Two leaves are therefore the more alike, the later their last common ancestor.

    Parameters
    ----------
    branching : sequence of int
        Number of children of a node at each level; their product is the number of samples.
    units : int
    resample : float, 0 to 1
    seed : int
    """

    branching: Sequence[int] = (2, 5, 10)
    units: int = 50
    resample: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for width in self.branching:
            checks.whole(width, 1, f"branching of {self.name}")
        checks.options(self, units=1, seed=0, resample=(0, 1))
        checks.holdable((*self.branching, self.units), self.name)

    @property
    def origin(self) -> Source:
        """Always ``surrogate``: generated."""
        return "surrogate"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return the options."""
        return self.recipe(**self.options())

    def load(self) -> Dataset:
        """Grow the tree; the labels ``level1``, ``level2``, ... number the ancestors of each leaf by level.

        The last level has no label: each leaf would be a class of its own.
        """
        rng = np.random.default_rng(self.seed)
        codes = rng.integers(0, 2, size=(1, self.units))
        for width in self.branching:
            codes = np.repeat(codes, width, axis=0)
            fresh = rng.integers(0, 2, size=codes.shape)
            codes = np.where(rng.random(codes.shape) < self.resample, fresh, codes)
        leaf = np.arange(len(codes))
        levels = range(1, len(self.branching))
        return Dataset(
            name=self.name,
            responses=codes.astype(np.float64),
            # The leaves below a node are adjacent, and every node of a level has equally many.
            labels={f"level{k}": leaf // int(np.prod(self.branching[k:])) for k in levels},
            source="surrogate",
            citation="Cloos et al. 2025, Differentiable Optimization of Similarity Scores (ultrametric data)",
        )
