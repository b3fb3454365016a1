"""CKA against NBS for a known X and a free Y: T = c ||rho|| m, with c = cka and m = ||sigma||_F unknown.

Every function rises with its argument, and takes and gives arrays of levels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from simopt.theory.bounds.setting import greatest, least, unit

if TYPE_CHECKING:
    from simopt.theory.bounds.setting import Floats, Setting

_CUTS = 32


def smallest_norm(setting: Setting, cka: Floats) -> Floats:
    """Return the smallest ||sigma||_F at which a CKA of c is possible.

    m = 1 / (sqrt(r) cos(phi - theta)) with theta = arccos(c E_K / E_r) and phi the angle between (p_1 .. p_r)
    and the flat spectrum, and 1 / sqrt(r) where theta >= phi.

    Proof: tr rho sigma <= sum p_i b_i (von Neumann), b the spectrum of sigma, so b lies within theta of
    (p_1 .. p_r). On sum b = 1, 1 / ||b|| is sqrt(r) times the cosine to the flat spectrum, and the
    nearest b is on the arc between the two. Sharp: that b on the PCs of X.
    """
    count = setting.common
    own = setting.norms[count]
    flat = np.arccos(unit(setting.variance[count] / (np.sqrt(setting.rank) * own)))
    angle = np.arccos(unit(cka * setting.norm / own))
    norm: Floats = 1 / (np.sqrt(setting.rank) * np.cos(np.maximum(flat - angle, 0)))
    return norm


def nbs_lower(setting: Setting, cka: Floats) -> Floats:
    """Return a lower limit of NBS at a given CKA, the larger one of two.

    nbs^2 >= m G^2, G = sum_j sqrt(M_j - M_{j-1}), M_j = E_j cos(phi_j - theta) as long as phi_j > theta and
    c E_K from then on, with cos(theta) = c E_K / E_r, cos(phi_j) = E_j / E_r, m from :func:`smallest_norm`;
    and nbs^2 >= 1 - sqrt(N (1 - c^2)) E_K, N = min(K + r, n - 1).

    Proof of the first: the singular values mu of rho^1/2 sigma^1/2 have mu^2 weakly majorised by p_i b_i
    (Horn), b the spectrum of sigma, and sum mu^2 = T = c E_K m. As b lies within theta of (p_1 .. p_r), its
    product with the first j of them is at most m E_j cos(phi_j - theta). M is concave in j and sum sqrt
    Schur-concave, so nbs is smallest where these limits are met; the result grows with m. It implies
    nbs^2 >= c E_K / sqrt(r), as G^2 >= c E_K.
    Proof of the second: tr A + tr B - 2 F(A, B) <= ||A - B||_1 (Powers and Stormer 1970; Fuchs and van de
    Graaf 1999) at A = rho and B = kappa sigma, kappa = c E_K / m, where ||A - B||_F^2 = E_K^2 (1 - c^2) and
    the rank is at most N; F(A, B) = sqrt(kappa) nbs, and (1 + kappa - D) / (2 sqrt(kappa)) >= sqrt(1 - D).
    Sharp for one PC, for c <= p_1 / (E_K sqrt(r)) where K + r < n, and at the largest CKA.
    """
    level = unit(cka)
    count = setting.common
    own = setting.norms[count]
    angle = np.arccos(unit(level * setting.norm / own))[..., None]
    place = np.arccos(unit(setting.norms[: count + 1] / own))
    inside = setting.norms[: count + 1] * np.cos(np.maximum(place - angle, 0))
    inside = np.where(place > angle, inside, np.cos(angle) * own)
    greedy = np.sqrt(np.maximum(np.diff(inside, axis=-1), 0)).sum(axis=-1)
    first = smallest_norm(setting, level) * greedy**2
    rank = min(setting.components + setting.rank, setting.samples - 1)
    second = 1 - setting.norm * np.sqrt(rank * (1 - level) * (1 + level))
    return unit(np.maximum(first, second)) ** 0.5


def nbs_upper(setting: Setting, cka: Floats) -> Floats:
    """Return an upper limit of NBS at a given CKA, the smallest one of four.

    With A = c E_K, B^2 = 1 - E_K^2 and d = min(K, r):

    - nbs^2 <= max over m in [1 / sqrt(r), 1] of min(d A m, A m + B sqrt(1 - m^2)), the bound of ranks and the
      super-fidelity; without the first and with all m it is nbs^4 <= 1 - (1 - c^2) / PR_x. The terms rise
      and have one peak, so the maximum is at m = max(A / sqrt(A^2 + B^2), B / sqrt((d-1)^2 A^2 + B^2),
      1 / sqrt(r)).
    - nbs <= 1 - (sqrt(p_1 + E_K sqrt(1 - c^2)) - sqrt(p_1))^2 / 2. Proof: factors with AA' = rho, BB' = sigma
      and ||A - B||_F^2 = 2 - 2 nbs = e^2 exist (Uhlmann); E_K sqrt(1 - c^2) <= ||rho - sigma||_F
      <= ||A - B||_F ||A + B||_2 <= e (2 sqrt(p_1) + e).
    - nbs <= sqrt(min(j, r) A) + sqrt(1 - P_j) for every j: the nuclear norm of the first j PCs with Y, by
      Cauchy-Schwarz, and that of the others.
    - nbs <= sqrt(P_r), as rank Y <= r.

    Not exact in general, and no convex problem: pinching Y to the PCs of X raises NBS, but CKA too, and with
    two PCs a Y turned out of them is above every Y on them. Sharp for one PC, at c = 1, and for two PCs where
    m = A / sqrt(A^2 + B^2) is that of a Y in their span.
    """
    level = unit(cka)
    A = level * setting.norm
    B = math.sqrt(max(1 - setting.norm**2, 0))
    C = (setting.common - 1) * A
    peak, crossing = np.hypot(A, B), np.hypot(C, B)
    m = np.maximum(np.maximum(_ratio(A, peak), _ratio(B, crossing)), 1 / np.sqrt(setting.rank))
    # sqrt(1 - m^2), not from m: it counts where m is 1 to rounding.
    beside = np.minimum(np.minimum(_ratio(B, peak, 1), _ratio(C, crossing, 1)), np.sqrt(1 - 1 / setting.rank))
    squared = np.minimum(setting.common * A * m, A * m + B * beside)
    top = setting.share[0]
    away = np.sqrt(top + setting.norm * np.sqrt((1 - level) * (1 + level))) - np.sqrt(top)
    cuts = np.unique(np.geomspace(1, setting.components, _CUTS).astype(int))
    tails = np.sqrt(np.maximum(1 - setting.variance[cuts], 0))
    cut = (np.sqrt(np.minimum(cuts, setting.rank) * A[..., None]) + tails).min(axis=-1)
    limits = [np.sqrt(squared), 1 - away**2 / 2, cut, np.full_like(A, highest_nbs(setting))]
    return unit(np.min(limits, axis=0))


def cka_lower(setting: Setting, nbs: Floats) -> Floats:
    """Return a lower limit of CKA at a given NBS: where :func:`nbs_upper` first reaches it."""
    return least(lambda level: nbs_upper(setting, level), np.asarray(nbs), highest_cka(setting))


def cka_upper(setting: Setting, nbs: Floats) -> Floats:
    """Return an upper limit of CKA at a given NBS: where :func:`nbs_lower` passes it."""
    return greatest(lambda level: nbs_lower(setting, level), np.asarray(nbs), highest_cka(setting))


def highest_cka(setting: Setting) -> float:
    """Return E_r / E_K, the largest CKA of any Y of rank r: the first r PCs of X. Sharp."""
    return float(setting.norms[setting.common] / setting.norm)


def highest_nbs(setting: Setting) -> float:
    """Return sqrt(P_r), the largest NBS of any Y of rank r: the first r PCs of X. Sharp."""
    return float(np.sqrt(setting.variance_of(setting.rank)))


def _ratio(part: Floats | float, whole: Floats, empty: float = 0.0) -> Floats:
    return np.divide(part, whole, out=np.full_like(whole, empty), where=whole > 0)
