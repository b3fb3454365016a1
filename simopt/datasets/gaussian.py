"""Gaussian data of any given spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simopt import checks
from simopt.datasets.base import Dataset, Loader
from simopt.datasets.twin import gaussian_responses, normalised


@dataclass(frozen=True, kw_only=True)
class Gaussian(Loader):
    """Responses whose principal components have exactly the variances asked for.

    Parameters
    ----------
    samples, units : int
    spectrum : sequence of float, or None
        Variances of the PCs, in any unit; None takes the power law i^-exponent over all units.
    exponent : float
    seed : int
    """

    samples: int = 500
    units: int = 50
    spectrum: Sequence[float] | None = None
    exponent: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        checks.whole(self.samples, checks.MIN_SAMPLES, f"samples of {self.name}")
        checks.whole(self.units, 1, f"units of {self.name}")
        checks.whole(self.seed, 0, f"seed of {self.name}")
        checks.at_least(self.exponent, 0, f"exponent of {self.name}")

    def load(self) -> Dataset:
        """Draw the responses: the same for the same seed."""
        power_law = np.arange(1, min(self.units, self.samples - 1) + 1) ** -float(self.exponent)
        spectrum = normalised(list(power_law) if self.spectrum is None else self.spectrum, self.name)
        return Dataset(
            name=self.name,
            responses=gaussian_responses(
                spectrum, (self.samples, self.units), np.random.default_rng(self.seed)
            ),
            source="surrogate",
        )
