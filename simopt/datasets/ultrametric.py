"""Generate ultrametric data: binary codes grown along a tree, so that classes are nested.

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
    """Generator of samples that are the leaves of a tree of binary codes.

    The root of the tree is a random binary code with a 0 or 1 for each unit. At each level every code has
    ``branching`` children. A child is a copy of its parent in which each unit is drawn again with probability
    ``resample``, as 0 or 1 with equal chance. Two leaves are therefore more similar if their last common
    ancestor is at a later level.

    Parameters
    ----------
    branching : sequence of int
        The number of children of a code, for each level. The product of these numbers is the number of
        samples.
    units : int
    resample : float, 0 to 1
        Probability that a unit of a child is drawn again.
    seed : int
        Seed of the tree.
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
        """``surrogate`` for all generated data."""
        return "surrogate"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return a dict of the options, which determine the data."""
        return self.recipe(**self.options())

    def load(self) -> Dataset:
        """Grow the tree, and return its leaves with labels.

        The label ``level1`` is the index of each leaf's ancestor at level 1, ``level2`` that at level 2, and
        so on. The last level has no label, because each leaf would be its own class.
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
