"""Bounds between linear regression and CCA, and between linear regression and CKA or NBS.

Let P be the projector onto the columns of Y, and S the sum of the canonical correlations. Then
linreg = tr P rho (X predicted from Y, without held-out samples) and cca = S / min(p, q). The other symbols
are defined in :mod:`~simopt.theory.bounds.setting` and :mod:`~simopt.theory.bounds.frontier`. All functions
of scores work elementwise on arrays and do not fall as the score rises. A limit is sharp if some Y comes
arbitrarily close to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simopt.theory.bounds.setting import unit

if TYPE_CHECKING:
    from simopt.theory.bounds.setting import Floats, Setting


def nbs_under_linreg(linreg: Floats) -> Floats:
    """Return sqrt(linreg), the largest NBS at a given linreg.

    Proof: X'Y = (PX)'Y, so ||X'Y||_* <= ||PX||_F ||Y||_F. The limit is sharp: Y = PX reaches it.
    """
    return unit(linreg) ** 0.5


def linreg_over_nbs(nbs: Floats) -> Floats:
    """Return nbs^2, the smallest linreg at a given NBS, the inverse of :func:`nbs_under_linreg`."""
    return unit(nbs) ** 2


def cka_under_linreg(setting: Setting, linreg: Floats) -> Floats:
    """Return the largest CKA at a given linreg.

    It is sqrt(p_1^2 + ... + p_k^2 + (linreg - P_k)^2) / E_K, where k is such that P_k <= linreg < P_{k+1}.

    Proof: P sigma P = sigma, so tr rho sigma = tr P rho P sigma <= ||P rho P||_F ||sigma||_F. The eigenvalues
    of P rho P are at most p_j (Cauchy interlacing) and sum to linreg. The sum of their squares is largest if
    as many as possible equal their p_j. The limit is sharp: sigma proportional to P rho P reaches it, where P
    projects onto the first k PCs and a direction that overlaps with PC k + 1.
    """
    level = unit(linreg)
    k = _full(setting.variance, level)
    inside = setting.squares[k] + np.maximum(level - setting.variance[k], 0) ** 2
    return unit(np.sqrt(inside) / setting.norm)


def linreg_over_cka(setting: Setting, cka: Floats) -> Floats:
    """Return the smallest linreg at a given CKA, the inverse of :func:`cka_under_linreg`."""
    squared = (unit(cka) * setting.norm) ** 2
    k = _full(setting.squares, squared)
    return unit(setting.variance[k] + np.sqrt(np.maximum(squared - setting.squares[k], 0)))


def lowest_variance(setting: Setting, linreg: Floats) -> Floats:
    """Return e = max(linreg - P_{r-1}, 0), a lower limit of the r eigenvalues of P rho P for a Y of rank r.

    Proof: the eigenvalues of P rho P sum to linreg, and all but the smallest sum to at most P_{r-1}. Two
    limits follow. nbs^2 >= e, since sigma^1/2 rho sigma^1/2 >= e sigma and the square root is operator
    monotone. cka >= e / E_K, since T >= e and m <= 1. If r exceeds the rank of X, e is 0. Both limits become
    sharp as all variance of Y moves into the direction of the smallest eigenvalue.
    """
    return unit(unit(linreg) - setting.variance_of(setting.rank - 1))


def linreg_under(setting: Setting, variance: Floats) -> Floats:
    """Return min(P_r, P_{r-1} + v), the largest linreg at a given v, where v is nbs^2 or cka E_K.

    This is the inverse of :func:`lowest_variance`, and becomes sharp as described there. It is 1 if r exceeds
    the rank of X.
    """
    limit: Floats = np.minimum(
        setting.variance_of(setting.rank - 1) + variance, setting.variance_of(setting.rank)
    )
    return limit


def linreg_upper(setting: Setting, total: Floats) -> Floats:
    """Return the largest linreg at a given sum S of canonical correlations.

    It is p_1 + ... + p_k + (S - k)^2 p_{k+1} with k = floor(S).

    Proof: linreg = tr diag(p) M with M = U'PU, where U holds the PC scores of X, scaled to length 1. The
    eigenvalues of M are the squared canonical correlations rho_j^2. So
    linreg <= sum p_j rho_j^2 with p_j and rho_j descending (von Neumann). This sum is convex in the rho_j.
    For rho_j in [0, 1] with sum S it is largest if the first k are 1 and the next is S - k. The limit is
    sharp: it is reached if Y has one unit for each PC j, whose correlation with the PC is rho_j.
    """
    total = np.clip(total, 0, setting.common)
    k = np.minimum(np.floor(total).astype(int), setting.components - 1)
    return unit(setting.variance[k] + (total - k) ** 2 * setting.share[k])


def linreg_lower(setting: Setting, total: Floats) -> Floats:
    """Return the smallest linreg at a given sum S of canonical correlations.

    It is the least sum p_j rho_j^2 on the d = min(K, r) smallest PCs, over all rho_j in [0, 1] with sum S.
    This follows from von Neumann's lower bound of the trace of :func:`linreg_upper`. The minimum is at
    rho_j = min(1, tau / p_j), with the same tau for all j. If the a smallest PCs have rho_j = 1, the minimum
    is the sum of their p_j plus (S - a)^2 / H_a, where H_a is the sum of 1 / p_j over the other d - a PCs.
    The limit is sharp if n - 1 >= K + r.
    """
    d = setting.common
    total = np.clip(total, 0, d)
    rising = setting.share[::-1][:d]
    inverse = np.append(np.cumsum(1 / rising[::-1])[::-1], 0.0)  # (d + 1,), H_a
    full = np.arange(d)
    # The S at which one more PC reaches rho = 1: then tau = p_a, and the others sum to p_a H_a.
    ends = full + rising * inverse[:-1]
    a = np.minimum(np.searchsorted(ends, total, side="left"), d - 1)
    below = np.append(0.0, np.cumsum(rising))[a]
    return unit(below + (total - a) ** 2 / inverse[a])


def _full(running: Floats, level: Floats) -> npt.NDArray[np.intp]:
    """Return the k with running[k] <= level < running[k + 1]; at most K - 1, so that k + 1 exists."""
    index: npt.NDArray[np.intp] = np.searchsorted(running, level, side="right") - 1
    return index.clip(0, len(running) - 2)
