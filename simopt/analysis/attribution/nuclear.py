"""Nuclear norms of one matrix after many changes of rank one, without a decomposition for each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_STEP = 0.28
"""Of the trapezoidal rule in ln t: its error is exp(-pi^2 / step), 5e-16."""
_LOWEST, _HIGHEST = 1e-14, 1e5
"""Where the nodes end, in units of the largest singular value; what lies above is summed in closed form."""


def nuclear_norms_without(matrix: Tensor, left: Tensor, right: Tensor, weight: float = 1.0) -> Tensor:
    """Return ||A - w l_j r_j'||_* for every j, (m,), to about 1e-13 of the largest singular value.

    The sum of singular values is an integral of a determinant: with D(t) = det(t^2 + A A'),

        ||A - w l r'||_* - ||A||_* = (1/pi) int_0^inf ln(D_new(t) / D(t)) dt,

    and by the determinant lemma the ratio is a sum of squares of three numbers for each j and t:

        (1 - w b)^2 + w^2 t^2 a c,
        a = l' (t^2 + A A')^-1 l,  c = r' (t^2 + A'A)^-1 r,  b = l' (t^2 + A A')^-1 A r.

    In ln t the integrand is analytic in a strip of half width pi/2, where the trapezoidal rule converges
    geometrically, whatever the singular values are.

    Parameters
    ----------
    matrix : Tensor of float64, (k, q), A
    left : Tensor, (m, k), l
    right : Tensor, (m, q), r
    weight : float, w

    Notes
    -----
    The first formula is int_0^inf ln(1 + s^2 / t^2) dt = pi s, summed over singular values s.
    """
    U, values, Vt = torch.linalg.svd(matrix, full_matrices=False)
    u, v = left @ U, right @ Vt.mT
    # Parts outside the singular vectors, where A is zero.
    u_apart = (left - u @ U.mT).square().sum(dim=1, keepdim=True)
    v_apart = (right - v @ Vt).square().sum(dim=1, keepdim=True)
    lengths: Tensor = torch.linalg.vector_norm(left, dim=1) * torch.linalg.vector_norm(right, dim=1)
    scale = max(float(values[0]), weight * float(lengths.max()))
    if scale == 0:
        return torch.zeros_like(left[:, 0])
    count = math.ceil(math.log(_HIGHEST / _LOWEST) / _STEP)
    t = scale * _LOWEST * torch.exp(_STEP * torch.arange(count, dtype=matrix.dtype))  # (T,)
    resolvent = 1 / (values[:, None].square() + t.square())  # (r, T)
    a = u.square() @ resolvent + u_apart / t.square()
    c = v.square() @ resolvent + v_apart / t.square()
    b = weight * ((u * values * v) @ resolvent)
    squares = weight**2 * t.square() * a * c
    ratio = (1 - b).square() + squares
    logarithm = torch.where(ratio < 0.5, ratio.clamp(min=1e-300).log(), torch.log1p(b * (b - 2) + squares))
    inside = (logarithm * t).sum(dim=1)
    # ln ratio -> (||A_new||_F^2 - ||A||_F^2) / t^2 beyond the last node: a geometric series.
    growth = weight**2 * lengths.square() - 2 * weight * (u * values * v).sum(dim=1)
    beyond = growth / (t[-1] * math.expm1(_STEP))
    out: Tensor = values.sum() + (inside + beyond) * (_STEP / math.pi)
    return out
