"""Nuclear norms of a matrix after each of many rank-one changes, from a single decomposition."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simopt.norms import vector_norm

_STEP = 0.28
"""Step h of the trapezoidal rule in ln t. In a strip of half width pi/2 its error is about exp(-pi^2 / h) =
5e-16, so a larger step loses digits and a smaller one only takes longer."""
_LOWEST, _HIGHEST = 1e-14, 1e5
"""The first and last node, in units of the largest singular value. The part of the integral below the first
is smaller than rounding. The tail above the last is added in closed form, to first order in 1 / t^2."""


def nuclear_norms_without(matrix: Tensor, left: Tensor, right: Tensor, weight: float = 1.0) -> Tensor:
    """Return the nuclear norms ||A - w l_j r_j'||_* of m rank-one changes of a matrix, (m,).

    The error is about 1e-13 of the largest singular value. For every singular value s the integral int_0^inf
    ln(1 + s^2 / t^2) dt is pi s. Let D(t) = det(t^2 + A A'), and let D_new(t) be this determinant after the
    change. Then

        ||A - w l r'||_* - ||A||_* = (1/pi) int_0^inf ln(D_new(t) / D(t)) dt.

    By the matrix determinant lemma, D_new / D follows from three numbers a, b and c for each j and t:

        D_new / D = (1 - w b)^2 + w^2 t^2 a c,
        a = l' (t^2 + A A')^-1 l,  c = r' (t^2 + A'A)^-1 r,  b = l' (t^2 + A A')^-1 A r.

    As a function of ln t the integrand is analytic in a strip of half width pi/2, whatever the singular
    values are. For such a function the trapezoidal rule converges geometrically.

    Parameters
    ----------
    matrix : Tensor of float64, (k, q)
        The matrix A.
    left : Tensor, (m, k)
        The vectors l_j as rows.
    right : Tensor, (m, q)
        The vectors r_j as rows.
    weight : float
        The number w.

    References
    ----------
    Trefethen & Weideman 2014, The exponentially convergent trapezoidal rule, doi:10.1137/130932132.
    """
    U, values, Vt = torch.linalg.svd(matrix, full_matrices=False)
    # Coordinates of l and r along the singular vectors, (m, r), turn a, b, c into sums over singular values.
    u, v = left @ U, right @ Vt.mT
    # The parts of l and r orthogonal to all singular vectors, where A is zero, add ||.||^2 / t^2 to a and c.
    # They are computed from the vectors themselves: ||l||^2 - ||u||^2 would lose all digits where they are
    # small.
    u_apart = (left - u @ U.mT).square().sum(dim=1, keepdim=True)
    v_apart = (right - v @ Vt).square().sum(dim=1, keepdim=True)
    lengths: Tensor = vector_norm(left, dim=1) * vector_norm(right, dim=1)
    scale = max(float(values[0]), weight * float(lengths.max()))
    if scale == 0:
        return torch.zeros_like(left[:, 0])
    count = math.ceil(math.log(_HIGHEST / _LOWEST) / _STEP)
    t = scale * _LOWEST * torch.exp(_STEP * torch.arange(count, dtype=matrix.dtype))  # (T,)
    resolvent = 1 / (values[:, None].square() + t.square())  # (r, T)
    a = u.square() @ resolvent + u_apart / t.square()  # (m, T)
    c = v.square() @ resolvent + v_apart / t.square()
    b = weight * ((u * values * v) @ resolvent)
    squares = weight**2 * t.square() * a * c
    ratio = (1 - b).square() + squares
    # log1p of ratio - 1 = b (b - 2) + squares (with w in b) keeps the digits of small changes; near 0, where
    # it would cancel, the logarithm of the sum of squares is accurate.
    logarithm = torch.where(ratio < 0.5, ratio.clamp(min=1e-300).log(), torch.log1p(b * (b - 2) + squares))
    inside = (logarithm * t).sum(dim=1)  # dt = t d(ln t)
    # For large t, ln ratio -> (||A_new||_F^2 - ||A||_F^2) / t^2. Summed over the nodes beyond the last one,
    # with ratio exp(-h) between them, that is a geometric series.
    growth = weight**2 * lengths.square() - 2 * weight * (u * values * v).sum(dim=1)
    beyond = growth / (t[-1] * math.expm1(_STEP))
    out: Tensor = values.sum() + (inside + beyond) * (_STEP / math.pi)
    return out
