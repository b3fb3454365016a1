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
    """An X of known spectrum; Y is free.

    rho = XX' / tr XX' and sigma = YY' / tr YY' of the centered data are positive semidefinite with trace 1,
    that is, density matrices. All bounds are stated for them. rho has the eigenvalues p_i; m = ||sigma||_F is
    unknown.

    Attributes
    ----------
    share : array, (K,)
        p_i = lambda_i / sum lambda, descending, all positive.
    samples : int
        n.
    units : int
        q, of Y.
    x_units : int
        p, of X; cca is divided by min(p, q).
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
            Eigenvalues of X'X, X centered.
        samples, units : int
            n, and q of Y.
        x_units : int, optional
            p of X; None: as many as PCs.

        Raises
        ------
        InputError
            A spectrum that X of this shape cannot have.
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
        """The largest rank of Y, r = min(q, n - 1); centering takes one dimension."""
        return min(self.units, self.samples - 1)

    @property
    def common(self) -> int:
        """The largest number of canonical correlations, d = min(K, r)."""
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
        """P_count, which is exactly 1 from K on."""
        return 1.0 if count >= self.components else float(self.variance[count])


def unit(values: Floats) -> Floats:
    """Return values clipped to [0, 1]."""
    clipped: Floats = np.clip(values, 0, 1)
    return clipped


def least(function: Callable[[Floats], Floats], values: Floats, top: float) -> Floats:
    """Return, for each value v, the smallest x in [0, top] at which a rising function reaches v.

    By bisection. Of the last interval the lower end is returned, so that rounding makes a lower limit no
    larger. ``top`` where v is not reached.
    """
    low, _ = _bisected(lambda x: function(x) >= values, np.full_like(values, top))
    return np.where(function(np.full_like(values, top)) < values, top, low)


def greatest(function: Callable[[Floats], Floats], values: Floats, top: float) -> Floats:
    """Return, for each value v, the largest x in [0, top] at which a rising function has not passed v.

    By bisection. Of the last interval the upper end is returned, so that rounding makes an upper limit no
    smaller. 0 where the function is above v everywhere.
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
