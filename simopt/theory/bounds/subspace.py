"""Least squares and CCA against each other and against CKA and NBS: P the projector onto the columns of Y.

linreg is tr(P rho), X from Y on all samples; cca is S / min(p, q) with S = sum of canonical correlations.
Every function rises with its argument, and takes and gives arrays of levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simopt.theory.bounds.setting import greatest, least, unit

if TYPE_CHECKING:
    from simopt.theory.bounds.setting import Floats, Setting


def nbs_under_linreg(linreg: Floats) -> Floats:
    """Return sqrt(linreg), the largest NBS at a given linreg.

    X'Y = (PX)'Y, so ||X'Y||_* <= ||PX||_F ||Y||_F. Sharp: Y = PX.
    """
    return unit(linreg) ** 0.5


def linreg_over_nbs(nbs: Floats) -> Floats:
    """Return nbs^2, the smallest linreg at a given NBS: the inverse of :func:`nbs_under_linreg`. Sharp."""
    return unit(nbs) ** 2


def cka_under_linreg(setting: Setting, linreg: Floats) -> Floats:
    """Return the largest CKA at a given linreg.

    sqrt(p_1^2 + ... + p_k^2 + (linreg - P_k)^2) / E_K with P_k <= linreg < P_{k+1}. Proof: <K, L> = <PKP, L>
    <= ||PKP|| ||L||; the eigenvalues of P rho P are at most p_j (Cauchy) and sum to linreg, and their squares
    have the largest sum when the first are full. Sharp: Y Y' = PKP, P on the first k PCs and a part of one.
    """
    level = unit(linreg)
    k = _full(setting.variance, level)
    inside = setting.squares[k] + np.maximum(level - setting.variance[k], 0) ** 2
    return unit(np.sqrt(inside) / setting.norm)


def linreg_over_cka(setting: Setting, cka: Floats) -> Floats:
    """Return the smallest linreg at a given CKA: the inverse of :func:`cka_under_linreg`. Sharp."""
    squared = (unit(cka) * setting.norm) ** 2
    k = _full(setting.squares, squared)
    return unit(setting.variance[k] + np.sqrt(np.maximum(squared - setting.squares[k], 0)))


def lowest_variance(setting: Setting, linreg: Floats) -> Floats:
    """Return max(linreg - P_{r-1}, 0), the least that P rho P has in any direction of a Y of rank r.

    r = min(q, n - 1). Its eigenvalues sum to linreg, and all but the last to at most P_{r-1}. With e the
    result, nbs^2 >= e, since sigma^1/2 rho sigma^1/2 >= e sigma and the root is operator monotone; and
    cka >= e / E_K, since T >= e and m <= 1. 0 where Y is wider than X's rank. Sharp as all of Y's variance
    goes into that direction.
    """
    return unit(unit(linreg) - setting.variance_of(setting.rank - 1))


def linreg_under(setting: Setting, variance: Floats) -> Floats:
    """Return min(P_r, P_{r-1} + v), the largest linreg where v is nbs^2 or cka E_K.

    The inverse of :func:`lowest_variance`: 1 where Y is wider than X's rank. Sharp, as that is.
    """
    limit: Floats = np.minimum(
        setting.variance_of(setting.rank - 1) + variance, setting.variance_of(setting.rank)
    )
    return limit


def linreg_upper(setting: Setting, total: Floats) -> Floats:
    """Return the largest linreg at a given sum of canonical correlations S.

    P_k + (S - k)^2 p_{k+1}, k = floor(S). Proof: linreg = tr(diag(p) M), M = U'PU with the eigenvalues
    rho_j^2, at most sum p_j rho_j^2, both descending (von Neumann), which is convex in rho in [0, 1]: full
    first. Sharp: rho_j of the j-th PC each.
    """
    total = np.clip(total, 0, setting.common)
    k = np.minimum(np.floor(total).astype(int), setting.components - 1)
    return unit(setting.variance[k] + (total - k) ** 2 * setting.share[k])


def linreg_lower(setting: Setting, total: Floats) -> Floats:
    """Return the smallest linreg at a given sum of canonical correlations S.

    min of sum p_j rho_j^2 over rho in [0, 1] with sum S, on the d = min(K, r) smallest PCs, by the same trace
    inequality from below: rho_j = min(1, tau / p_j). With the a smallest PCs full it is their sum plus
    (S - a)^2 / H_a, H_a the sum of 1 / p_j over the others of the d. Sharp where n - 1 >= K + r.
    """
    d = setting.common
    total = np.clip(total, 0, d)
    rising = setting.share[::-1][:d]
    inverse = np.append(np.cumsum(1 / rising[::-1])[::-1], 0.0)  # (d + 1,), H_a
    full = np.arange(d)
    ends = full + rising * inverse[:-1]
    a = np.minimum(np.searchsorted(ends, total, side="left"), d - 1)
    below = np.append(0.0, np.cumsum(rising))[a]
    return unit(below + (total - a) ** 2 / inverse[a])


def correlations_lower(setting: Setting, linreg: Floats) -> Floats:
    """Return the smallest sum of canonical correlations at a given linreg. Sharp."""
    return least(lambda total: linreg_upper(setting, total), np.asarray(linreg), float(setting.common))


def correlations_upper(setting: Setting, linreg: Floats) -> Floats:
    """Return the largest sum of canonical correlations at a given linreg. Sharp as :func:`linreg_lower`."""
    return greatest(lambda total: linreg_lower(setting, total), np.asarray(linreg), float(setting.common))


def _full(running: Floats, level: Floats) -> npt.NDArray[np.intp]:
    index: npt.NDArray[np.intp] = np.searchsorted(running, level, side="right") - 1
    return index.clip(0, len(running) - 2)
