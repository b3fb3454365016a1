"""Bounds between CKA and NBS, for a known spectrum of X and a free Y of rank at most r.

rho and sigma are the density matrices of X and Y (:class:`~simopt.theory.bounds.setting.Setting`). With
c = cka and m = ||sigma||_F, which is unknown,

    T = tr rho sigma = c ||rho||_F m = c E_K m,    nbs = F(rho, sigma) = tr (rho^1/2 sigma rho^1/2)^1/2,

F(A, B) is the root fidelity of two matrices. So nbs is the root fidelity of two quantum states, and
inequalities for quantum states apply. All functions of scores work elementwise on arrays and do not fall as
the score rises. E_j, P_j, p_j, K, n and r are defined in :class:`~simopt.theory.bounds.setting.Setting`.

References
----------
.. [1] Harvey, S. E., Larsen, B. W. & Williams, A. H. (2023). Duality of Bures and shape distances with
   implications for comparing neural representations. arXiv:2311.11436
.. [2] Uhlmann, A. (1976). The "transition probability" in the state space of a *-algebra. Reports on
   Mathematical Physics 9, 273-279. doi:10.1016/0034-4877(76)90060-4
.. [3] Powers, R. T. & Stormer, E. (1970). Free states of the canonical anticommutation relations.
   Communications in Mathematical Physics 16, 1-33. doi:10.1007/BF01645492
.. [4] Fuchs, C. A. & van de Graaf, J. (1999). Cryptographic distinguishability measures for
   quantum-mechanical states. IEEE Transactions on Information Theory 45, 1216-1227. doi:10.1109/18.761271
.. [5] Miszczak, J. A., Puchala, Z., Horodecki, P., Uhlmann, A. & Zyczkowski, K. (2009). Sub- and
   super-fidelity as bounds for quantum fidelity. Quantum Information and Computation 9, 103-130.
   arXiv:0805.2037
.. [6] Horn, A. (1950). On the singular values of a product of completely continuous operators. Proceedings
   of the National Academy of Sciences 36, 374-375. doi:10.1073/pnas.36.7.374
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from simopt.theory.bounds.setting import unit

if TYPE_CHECKING:
    from simopt.theory.bounds.setting import Floats, Setting

# How many j the third limit of nbs_upper is taken at, evenly spaced in their logarithm. Any set of j gives a
# bound. With 32 it is within 0.0015 of the limit over all j, with 8 within 0.023 (200 PCs, power laws and
# exponential spectra, 100 units).
_CUTS = 32


def smallest_norm(setting: Setting, cka: Floats) -> Floats:
    """Return the smallest m = ||sigma||_F with which a CKA of c is possible.

    It is 1 / (sqrt(r) cos(phi - theta)) if theta < phi, and 1 / sqrt(r) otherwise. Here
    theta = arccos(c E_K / E_r), and phi is the angle between (p_1 .. p_r) and the flat spectrum (1 .. 1).

    Proof: let b be the spectrum of sigma. tr rho sigma <= sum p_i b_i (von Neumann), so the angle between b
    and (p_1 .. p_r) is at most theta. As sum b = 1, 1 / ||b|| is sqrt(r) times the cosine of the angle
    between b and the flat spectrum. The b that is nearest to the flat spectrum lies on the arc from
    (p_1 .. p_r) to it. The limit is sharp: a Y with the PCs of X and the spectrum b has this m.
    """
    count = setting.common
    x_norm = setting.norms[count]  # E_r
    flat = np.arccos(unit(setting.variance[count] / (np.sqrt(setting.rank) * x_norm)))  # phi
    angle = np.arccos(unit(cka * setting.norm / x_norm))  # theta
    norm: Floats = 1 / (np.sqrt(setting.rank) * np.cos(np.maximum(flat - angle, 0)))
    return norm


def nbs_lower(setting: Setting, cka: Floats) -> Floats:
    """Return a lower limit of NBS at a CKA of c, the larger one of two limits.

    1. nbs^2 >= m G^2 with G = sum_j sqrt(M_j - M_{j-1}) and m from :func:`smallest_norm`. M_j is
       E_j cos(phi_j - theta) as long as phi_j > theta, and c E_K for larger j, with cos(theta) = c E_K / E_r
       and cos(phi_j) = E_j / E_r.
    2. nbs^2 >= 1 - sqrt(N (1 - c^2)) E_K with N = min(K + r, n - 1).

    Proof of 1: let mu be the singular values of rho^1/2 sigma^1/2 and b the spectrum of sigma. Then
    nbs = sum mu, sum mu^2 = T = c E_K m, and mu^2 is weakly majorized by p_i b_i [6]_. As b is within theta
    of (p_1 .. p_r), the sum of p_i b_i over i <= j is at most m E_j cos(phi_j - theta) = m M_j. M is concave
    in j, and a sum of square roots is Schur-concave, so nbs is smallest if mu_1^2 + ... + mu_j^2 = m M_j for
    every j. The result grows with m. It implies nbs^2 >= c E_K / sqrt(r), as G^2 >= c E_K.

    Proof of 2: tr A + tr B - 2 F(A, B) <= ||A - B||_1 [3]_ [4]_. Take A = rho and B = kappa sigma with
    kappa = c E_K / m. Then ||A - B||_F^2 = E_K^2 (1 - c^2), and the rank of A - B is at most N, so that
    ||A - B||_1 <= D = sqrt(N (1 - c^2)) E_K. As F(A, B) = sqrt(kappa) nbs,
    nbs >= (1 + kappa - D) / (2 sqrt(kappa)) >= sqrt(1 - D), the least value over kappa.

    The limit is sharp for one PC, for c <= p_1 / (E_K sqrt(r)) if K + r < n, and at the largest CKA.
    """
    level = unit(cka)
    count = setting.common
    x_norm = setting.norms[count]  # E_r
    angle = np.arccos(unit(level * setting.norm / x_norm))[..., None]  # theta, (..., 1)
    place = np.arccos(unit(setting.norms[: count + 1] / x_norm))  # phi_j, (d + 1,)
    # M_j, (..., d + 1); its differences are mu_j^2 / m at the minimum of nbs.
    inside = setting.norms[: count + 1] * np.cos(np.maximum(place - angle, 0))
    inside = np.where(place > angle, inside, np.cos(angle) * x_norm)
    greedy = np.sqrt(np.maximum(np.diff(inside, axis=-1), 0)).sum(axis=-1)
    first = smallest_norm(setting, level) * greedy**2
    rank = min(setting.components + setting.rank, setting.samples - 1)
    # 1 - c^2 as a product keeps its digits next to c = 1.
    second = 1 - setting.norm * np.sqrt(rank * (1 - level) * (1 + level))
    return unit(np.maximum(first, second)) ** 0.5


def nbs_upper(setting: Setting, cka: Floats) -> Floats:
    """Return an upper limit of NBS at a CKA of c, the smallest one of four limits.

    With A = c E_K, B^2 = 1 - E_K^2, d = min(K, r), and mu the singular values of rho^1/2 sigma^1/2:

    1. nbs^2 <= max over m in [1 / sqrt(r), 1] of min(d A m, A m + B sqrt(1 - m^2)). The first term holds as
       (sum mu)^2 <= d sum mu^2 = d T, the second is the super-fidelity [5]_. Over all m and without the first
       term this is nbs^4 <= 1 - (1 - c^2) E_K^2. The first term rises with m and the second has one peak, so
       the maximum is at m = max(A / sqrt(A^2 + B^2), B / sqrt((d - 1)^2 A^2 + B^2), 1 / sqrt(r)): the peak,
       the crossing of the two terms, or the lower end.
    2. nbs <= 1 - (sqrt(p_1 + E_K sqrt(1 - c^2)) - sqrt(p_1))^2 / 2. Proof: there are factors with AA' = rho,
       BB' = sigma and ||A - B||_F^2 = 2 - 2 nbs = e^2 [2]_, and
       E_K sqrt(1 - c^2) <= ||rho - sigma||_F <= ||A - B||_F ||A + B||_2 <= e (2 sqrt(p_1) + e).
    3. nbs <= sqrt(min(j, r) A) + sqrt(1 - P_j) for every j. Proof: X'Y has a part from the first j PCs and a
       part from the others, and Cauchy-Schwarz bounds the nuclear norm of each.
    4. nbs <= sqrt(P_r), as the rank of Y is at most r.

    The limit is sharp for one PC, at c = 1, and for two PCs if some Y in their span has
    m = A / sqrt(A^2 + B^2).
    """
    level = unit(cka)
    A = level * setting.norm
    B = math.sqrt(max(1 - setting.norm**2, 0))
    C = (setting.common - 1) * A  # the two terms of 1 cross where C m = B sqrt(1 - m^2)
    peak, crossing = np.hypot(A, B), np.hypot(C, B)
    m = np.maximum(np.maximum(_ratio(A, peak), _ratio(B, crossing)), 1 / np.sqrt(setting.rank))
    # sqrt(1 - m^2), computed without m: next to m = 1 the difference would lose its digits.
    beside = np.minimum(np.minimum(_ratio(B, peak, 1), _ratio(C, crossing, 1)), np.sqrt(1 - 1 / setting.rank))
    squared = np.minimum(setting.common * A * m, A * m + B * beside)
    top = setting.share[0]
    away = np.sqrt(top + setting.norm * np.sqrt((1 - level) * (1 + level))) - np.sqrt(top)
    cuts = np.unique(np.geomspace(1, setting.components, _CUTS).astype(int))
    tails = np.sqrt(np.maximum(1 - setting.variance[cuts], 0))
    cut = (np.sqrt(np.minimum(cuts, setting.rank) * A[..., None]) + tails).min(axis=-1)
    limits = [np.sqrt(squared), 1 - away**2 / 2, cut, np.full_like(A, highest_nbs(setting))]
    return unit(np.min(limits, axis=0))


def highest_cka(setting: Setting) -> float:
    """Return E_r / E_K, the largest CKA of any Y of rank r. A Y that holds the first r PCs of X has it."""
    return float(setting.norms[setting.common] / setting.norm)


def highest_nbs(setting: Setting) -> float:
    """Return sqrt(P_r), the largest NBS of any Y of rank r. A Y that holds the first r PCs of X has it."""
    return float(np.sqrt(setting.variance_of(setting.rank)))


def _ratio(part: Floats | float, whole: Floats, empty: float = 0.0) -> Floats:
    return np.divide(part, whole, out=np.full_like(whole, empty), where=whole > 0)
