"""Exact joint ranges of CKA and NBS, in closed form, for X of one or two PCs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simopt.theory.bounds.setting import unit

if TYPE_CHECKING:
    from simopt.theory.bounds.setting import Floats


def one_component(cka: Floats, rank: int) -> tuple[Floats, Floats]:
    """Return the smallest and the largest NBS at a given CKA where X is one PC and Y free.

    nbs^2 = u'sigma u = c m. The largest m is 1 (Y of rank one): nbs^2 = c. The smallest is 1 / sqrt(r) as
    long as c <= 1 / sqrt(r), and then 1 / (c + sqrt((1 - c^2) (r - 1))), since c m = u'sigma u is at most
    the first eigenvalue and the r - 1 others are best all equal. With Y in the span of X both scores are 1.

    Parameters
    ----------
    cka : array, c
    rank : int
        r = min(q, n - 1), of Y.
    """
    level = unit(cka)
    flat = level * np.sqrt(rank) <= 1
    m = 1 / np.where(flat, np.sqrt(rank), level + np.sqrt((1 - level**2) * (rank - 1)))
    return np.sqrt(level * m), np.sqrt(level)


def two_components(cka: Floats, larger: float) -> tuple[Floats, Floats]:
    """Return the smallest and the largest NBS at a given CKA where X is two PCs and Y lies in their span.

    rho and sigma are points of the Bloch disc, of radius sqrt(w), w = 2 E^2 - 1, and sqrt(2 m^2 - 1), so that
    nbs^2 = T + 2 sqrt(det rho det sigma) = A m + sqrt((1 - E^2)(1 - m^2)), A = c E, E^2 = p^2 + (1 - p)^2.
    T = (1 + a.s) / 2 allows (2 A m - 1)^2 <= w (2 m^2 - 1): m from E / (c + g) to E / (c - g),
    g = sqrt(w (1 - c^2)), or to 1 if that is smaller or c <= g. nbs^2 is concave in m with its peak at
    A / sqrt(A^2 + 1 - E^2): the largest lies there, or at the end next to it, the smallest at an end. NaN
    where no Y has that CKA. With Y free the largest stays exact where it lies at the peak; else there are
    Y beyond either limit.

    Parameters
    ----------
    cka : array, c
    larger : float in (1/2, 1), p
        The larger share of the variance.
    """
    level = unit(cka)
    squared = larger**2 + (1 - larger) ** 2
    norm = np.sqrt(squared)
    A = level * norm
    g = np.sqrt(max(2 * squared - 1, 0) * (1 - level) * (1 + level))
    first = norm / (level + g)
    last = np.minimum(norm / np.where(level > g * (1 + 1e-15), level - g, norm), 1)
    possible = first <= 1 + 1e-15

    def nbs(m: Floats) -> Floats:
        square: Floats = A * m + np.sqrt((1 - squared) * np.maximum(1 - m**2, 0))
        return square**0.5

    first = np.minimum(first, last)
    peak = np.clip(A / np.hypot(A, np.sqrt(1 - squared)), first, last)
    low, high = np.minimum(nbs(first), nbs(last)), nbs(peak)
    return np.where(possible, low, np.nan), np.where(possible, high, np.nan)
