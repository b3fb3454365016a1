"""What the bounds take as given: the spectrum of X, and how many samples and units there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simopt import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from simopt.typing import ArrayLike

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """X known by its spectrum, Y free.

    rho = XX' / tr XX' and sigma = YY' / tr YY' of the centered data are density matrices; every bound speaks
    of them. rho has the eigenvalues p_i; m = ||sigma||_F is unknown.

    Attributes
    ----------
    share : array, (K,)
        p_i = lambda_i / sum lambda, descending, all positive.
    samples : int, n
    units : int, q
        Of Y.
    x_units : int, p
        Of X; cca is divided by min(p, q).
    """

    share: Floats
    samples: int
    units: int
    x_units: int

    @classmethod
    def of(cls, spectrum: ArrayLike, *, samples: int, units: int, x_units: int | None = None) -> Setting:
        """Return the setting of eigenvalues in any order and scale; zeros are left out.

        Raises
        ------
        InputError
            A spectrum that is not one of X'X with so many samples and units.
        """
        checks.whole(samples, 3, "samples")
        checks.whole(units, 1, "units")
        share = checks.spectrum(spectrum, samples, x_units)
        return cls(share / share.sum(), samples, units, len(share) if x_units is None else x_units)

    @property
    def components(self) -> int:
        """K, the rank of X."""
        return len(self.share)

    @property
    def rank(self) -> int:
        """R = min(q, n - 1), the largest rank of Y."""
        return min(self.units, self.samples - 1)

    @property
    def common(self) -> int:
        """D = min(K, r), the largest number of canonical correlations."""
        return min(self.components, self.rank)

    @cached_property
    def variance(self) -> Floats:
        """P_j = p_1 + ... + p_j, (K + 1,), j from 0."""
        return _running(self.share)

    @cached_property
    def squares(self) -> Floats:
        """p_1^2 + ... + p_j^2, (K + 1,), j from 0."""
        return _running(self.share**2)

    @cached_property
    def norms(self) -> Floats:
        """E_j = sqrt(p_1^2 + ... + p_j^2), (K + 1,), j from 0."""
        return np.sqrt(self.squares)

    @property
    def norm(self) -> float:
        """||rho||_F = E_K = 1 / sqrt(participation ratio of X)."""
        return float(self.norms[-1])

    def variance_of(self, count: int) -> float:
        """P_count, which is 1 from K on."""
        return 1.0 if count >= self.components else float(self.variance[count])


def unit(values: Floats) -> Floats:
    """Return values clipped to [0, 1]."""
    clipped: Floats = np.clip(values, 0, 1)
    return clipped


def least(function: Callable[[Floats], Floats], values: Floats, top: float) -> Floats:
    """Return, for each value v, the smallest x in [0, top] where a rising function reaches v.

    By bisection, the end of the last interval that lies below; ``top`` where v is not reached.
    """
    low, _ = _bisected(lambda x: function(x) >= values, np.full_like(values, top))
    return np.where(function(np.full_like(values, top)) < values, top, low)


def greatest(function: Callable[[Floats], Floats], values: Floats, top: float) -> Floats:
    """Return, for each value v, the largest x in [0, top] where a rising function has not passed v.

    By bisection, the end of the last interval that lies above; 0 where the function starts above v.
    """
    return _bisected(lambda x: function(x) > values, np.full_like(values, top))[1]


def _bisected(beyond: Callable[[Floats], npt.NDArray[np.bool_]], high: Floats) -> tuple[Floats, Floats]:
    """Return the last interval, from 0 to ``high`` at first, around where ``beyond`` becomes true."""
    low = np.zeros_like(high)
    for _ in range(60):
        middle = (low + high) / 2
        there = beyond(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return low, high


def _running(values: Floats) -> Floats:
    return np.append(0.0, np.cumsum(values))
