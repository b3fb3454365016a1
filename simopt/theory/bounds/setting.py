"""The arguments of all bounds: the spectrum of X, and the numbers of samples and units."""

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
    """What all bounds assume: an X of known spectrum, and the number of samples and of units of any Y.

    The matrices rho = XX' / tr XX' and sigma = YY' / tr YY' of the centered data are positive semidefinite
    and have trace 1, that is, they are density matrices. All bounds are stated for rho and sigma. The
    eigenvalues p_i of rho are known, but m = ||sigma||_F is not.

    Attributes
    ----------
    share : array, (K,)
        p_i = lambda_i / sum lambda, all positive, in descending order.
    samples : int
        Number of samples, n.
    units : int
        Number of units of Y, q.
    x_units : int
        Number of units of X, p. The measure cca is divided by min(p, q).
    """

    share: Floats
    samples: int
    units: int
    x_units: int

    @classmethod
    def of(cls, spectrum: ArrayLike, *, samples: int, units: int, x_units: int | None = None) -> Setting:
        """Return the setting for eigenvalues in any order and scale; zeros are left out.

        Parameters
        ----------
        spectrum : array, (K,)
            Eigenvalues of X'X of the centered X.
        samples, units : int
            Number n of samples, and number q of units of Y.
        x_units : int, optional
            Number p of units of X; None: as many as X has PCs.

        Raises
        ------
        InputError
            X of this shape cannot have this spectrum.
        """
        checks.whole(samples, 3, "samples")
        checks.whole(units, 1, "units")
        share = checks.spectrum(spectrum, samples, x_units)
        return cls(share / share.sum(), samples, units, len(share) if x_units is None else x_units)

    @property
    def components(self) -> int:
        """The rank K of X, which is its number of PCs."""
        return len(self.share)

    @property
    def rank(self) -> int:
        """The largest rank of Y, r = min(q, n - 1), as centering takes one dimension."""
        return min(self.units, self.samples - 1)

    @property
    def common(self) -> int:
        """The largest possible number of canonical correlations, d = min(K, r)."""
        return min(self.components, self.rank)

    @cached_property
    def variance(self) -> Floats:
        """The sums P_j = p_1 + ... + p_j for j = 0, 1, ... K, (K + 1,)."""
        return _running(self.share)

    @cached_property
    def squares(self) -> Floats:
        """The sums p_1^2 + ... + p_j^2 for j = 0, 1, ... K, (K + 1,)."""
        return _running(self.share**2)

    @cached_property
    def norms(self) -> Floats:
        """The norms E_j = sqrt(p_1^2 + ... + p_j^2) for j = 0, 1, ... K, (K + 1,)."""
        return np.sqrt(self.squares)

    @property
    def norm(self) -> float:
        """The norm ||rho||_F = E_K = 1 / sqrt(participation ratio of X)."""
        return float(self.norms[-1])

    def variance_of(self, count: int) -> float:
        """Return P_count, which is exactly 1 if ``count`` is K or more."""
        return 1.0 if count >= self.components else float(self.variance[count])


def unit(values: Floats) -> Floats:
    """Clip values to [0, 1]."""
    clipped: Floats = np.clip(values, 0, 1)
    return clipped


def least(function: Callable[[Floats], Floats], values: Floats, top: float) -> Floats:
    """Return, for each value v, the smallest x in [0, top] at which a rising function reaches v.

    If the function does not reach v, the result is ``top``. The method is bisection. It returns the lower end
    of the last interval, so that rounding cannot make a lower limit larger.
    """
    low, _ = _bisected(lambda x: function(x) >= values, np.full_like(values, top))
    return np.where(function(np.full_like(values, top)) < values, top, low)


def greatest(function: Callable[[Floats], Floats], values: Floats, top: float) -> Floats:
    """Return, for each value v, the largest x in [0, top] at which a rising function is at most v.

    If the function is above v everywhere, the result is 0. The method is bisection. It returns the upper end
    of the last interval, so that rounding cannot make an upper limit smaller.
    """
    return _bisected(lambda x: function(x) > values, np.full_like(values, top))[1]


def _bisected(beyond: Callable[[Floats], npt.NDArray[np.bool_]], high: Floats) -> tuple[Floats, Floats]:
    """Return the last interval of a bisection between 0 and ``high`` for where ``beyond`` becomes true."""
    low = np.zeros_like(high)
    # 60 halvings leave 1e-18 of the range, less than float64 resolves.
    for _ in range(60):
        middle = (low + high) / 2
        there = beyond(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return low, high


def _running(values: Floats) -> Floats:
    """Return the sums of the first 0, 1, ... K values, (K + 1,)."""
    return np.append(0.0, np.cumsum(values))
