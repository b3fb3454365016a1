"""Bounds between CKA and NBS where the spectra of both sides are known.

With rho = XX' / tr XX' and sigma = YY' / tr YY', T = tr(rho sigma) = cka / sqrt(PR_x PR_y) and
nbs = tr (rho^1/2 sigma rho^1/2)^1/2, the root fidelity of two quantum states; mu_i are the singular values of
rho^1/2 sigma^1/2, T = sum mu_i^2 and nbs = sum mu_i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from simopt.theory.bounds.setting import Floats


def overlap(cka: Floats, x_ratio: Floats, y_ratio: Floats) -> Floats:
    """Return T = cka / sqrt(PR_x PR_y), elementwise, PR the participation ratios of the spectra.

    ||K||_F / tr K = 1 / sqrt(PR).
    """
    return np.asarray(cka) / (np.asarray(x_ratio) * np.asarray(y_ratio)) ** 0.5


def ranks(cka: Floats, x_ratio: Floats, y_ratio: Floats, rank: Floats) -> tuple[Floats, Floats]:
    """Return T and min(k_x, k_y) T, between which nbs^2 lies; k are ranks.

    sum mu^2 <= (sum mu)^2 <= rank sum mu^2 (Cauchy-Schwarz). Sharp below where one side has rank one, above
    where all mu are equal. The ranks cannot be replaced by participation ratios, as
    :func:`participation` would have it.

    Parameters
    ----------
    cka, x_ratio, y_ratio : array
        x_ratio and y_ratio are participation ratios.
    rank : array
        The smaller rank.
    """
    low = overlap(cka, x_ratio, y_ratio)
    return low, np.asarray(rank) * low


def participation(cka: Floats, x_ratio: Floats, y_ratio: Floats) -> Floats:
    """Return min(PR_x, PR_y) cka, which does NOT bound nbs^2 from above, though it has been stated to.

    The spectrum 1 - e and a flat tail e / N against Y of the flat tail alone: nbs^2 = e and
    cka = e / sqrt(N (1 - e)^2 + e^2), so that min(PR) cka, with PR_x = 1 / ((1 - e)^2 + e^2 / N), falls
    below nbs^2 as N grows. It stands here to be broken by the attack.
    """
    return np.minimum(x_ratio, y_ratio) * np.asarray(cka)


def super_fidelity(cka: Floats, x_ratio: Floats, y_ratio: Floats) -> Floats:
    """Return T + sqrt((1 - 1/PR_x) (1 - 1/PR_y)), an upper limit of nbs^2.

    Sharp for ranks up to 2 in a common plane, where nbs^2 = T + 2 sqrt(det rho det sigma) and
    2 det = 1 - 1/PR, and at Y = X.

    Source: Miszczak et al. 2009, Sub- and super-fidelity as bounds for quantum fidelity.
    """
    room: Floats = np.maximum(1 - 1 / np.asarray(x_ratio), 0) * np.maximum(1 - 1 / np.asarray(y_ratio), 0)
    return overlap(cka, x_ratio, y_ratio) + room**0.5


def sub_fidelity(cka: Floats, x_ratio: Floats, y_ratio: Floats, fourth: Floats) -> Floats:
    """Return T + sqrt(2 (T^2 - tr rho sigma rho sigma)), a lower limit of nbs^2.

    (sum mu)^2 = T + 2 e_2(mu) and 2 e_2(mu^2) = T^2 - sum mu^4; e_2(mu)^2 >= e_2(mu^2), as the other products
    are not negative. Sharp where at most two mu are not zero.

    Parameters
    ----------
    cka, x_ratio, y_ratio : array
    fourth : array
        tr rho sigma rho sigma = sum mu^4.

    Source: Miszczak et al. 2009, Sub- and super-fidelity as bounds for quantum fidelity.
    """
    product = overlap(cka, x_ratio, y_ratio)
    rest: Floats = np.maximum(product**2 - np.asarray(fourth), 0)
    return product + (2 * rest) ** 0.5
