"""Crossnobis RDMs: distances of conditions, cross-validated over repeats, so that noise adds nothing to them.

The samples are repeats x conditions, one repeat after the other with the conditions in the same order. With
z_i^A condition i in repeat A, whitened, M repeats and q units,

    d_ij = 1 / (M (M - 1) q) sum_{A != B} (z_i^A - z_j^A)'(z_i^B - z_j^B)
         = (||t_i - t_j||^2 - sum_A ||z_i^A - z_j^A||^2) / (M (M - 1) q),    t_i = sum_A z_i^A,

which is 0 on average where two conditions differ by noise only, and may be negative.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from simopt import linalg
from simopt.errors import InputError
from simopt.measures.base import AFFINE, ROTATIONAL, UNITWISE
from simopt.measures.rdm import Embedding, dependent_unit

Noise = Literal["none", "diagonal", "full", "ledoit_wolf"]

NOISE: dict[Noise, str] = {
    "none": "S = I",
    "diagonal": "S the residual variances of each unit",
    "full": "S the covariance of the residuals",
    "ledoit_wolf": "S the covariance of the residuals, shrunk towards a multiple of I",
}
"""What the units are whitened by; residuals are the differences of repeats from their condition mean."""

INVARIANT: dict[Noise, frozenset[str]] = {
    "none": ROTATIONAL,
    "diagonal": UNITWISE,
    "full": AFFINE,
    "ledoit_wolf": ROTATIONAL,
}


def embed(responses: Tensor, repeats: int | None, noise: Noise, what: str) -> Embedding:
    """Return the conditions as an embedding: t_i, and as negative coordinates z_i^A of every repeat.

    Parameters
    ----------
    responses : Tensor, (..., n, q)
        Not centered.
    repeats : int, >= 2, or None
        M; None is refused, as nothing tells repeats from conditions.
    noise : {"none", "diagonal", "full", "ledoit_wolf"}
    what : str
        How errors call the responses.

    Returns
    -------
    Embedding of (..., n / M, (M + 1) q)

    Raises
    ------
    InputError
        Samples that are no multiple of the repeats, or of fewer than 3 conditions; noise that has no inverse
        covariance.
    """
    n, q = responses.shape[-2:]
    if repeats is None:
        raise InputError(
            f"{what}: crossnobis distances need repeats of the conditions; give repeats=M where the {n} "
            "samples are M repeats x conditions, one repeat after the other."
        )
    if n % repeats or n // repeats < 3:
        raise InputError(
            f"{what} has {n} samples, which are not {repeats} repeats of at least 3 conditions, one repeat "
            "after the other."
        )
    parts = responses.reshape(*responses.shape[:-2], repeats, n // repeats, q)
    centered = linalg.center(parts)
    if noise != "none":
        residuals = (parts - parts.mean(dim=-3, keepdim=True)).flatten(-3, -2)
        triangle = _whitener(residuals, n - n // repeats, noise, responses, what)[..., None, :, :]
        centered = torch.linalg.solve_triangular(triangle, centered, upper=True, left=False)
    each = centered.movedim(-3, -2).flatten(-2)  # (..., c, M q)
    points = torch.cat([centered.sum(dim=-3), each], dim=-1) / math.sqrt(repeats * (repeats - 1) * q)
    return Embedding("crossnobis", points, negative=repeats * q)


def _whitener(residuals: Tensor, freedom: int, noise: Noise, responses: Tensor, what: str) -> Tensor:
    """Return upper triangular R, (..., q, q), with S = R'R, of residuals (..., n, q) and their freedom."""
    n, q = residuals.shape[-2:]
    if noise == "diagonal":
        spread = torch.linalg.vector_norm(residuals, dim=-2)
        floor = n * torch.finfo(spread.dtype).eps * torch.linalg.vector_norm(responses.detach(), dim=-2)
        still = spread.detach() <= floor
        if bool(still.any()):
            raise InputError(
                f"{what}: unit {int(torch.nonzero(still)[0, -1])} is the same in every repeat, so it has no "
                "noise variance to divide by. Remove such units, or take noise=ledoit_wolf or noise=none."
            )
        return torch.diag_embed(spread / math.sqrt(freedom))
    if noise == "ledoit_wolf":
        triangle, info = torch.linalg.cholesky_ex(_shrunk(residuals) * (n / freedom), upper=True)
        if bool(info.any()):
            raise InputError(
                f"{what}: the repeats differ too little for a noise covariance, even a shrunk one. "
                "Take noise=none."
            )
        return triangle
    remedy = "Take noise=ledoit_wolf or noise=diagonal, or fewer units."
    if q > freedom:
        raise InputError(
            f"{what} has {q} units and {freedom} degrees of freedom of the noise (samples less conditions), "
            f"so the noise covariance is singular. {remedy}"
        )
    triangle = torch.linalg.qr(residuals)[1]
    dependent = dependent_unit(triangle, responses)
    if dependent is not None:
        raise InputError(
            f"{what}: the noise of unit {dependent} is none, or a combination of that of the units before "
            f"it, so the noise covariance is singular. {remedy}"
        )
    return triangle / math.sqrt(freedom)


def _shrunk(residuals: Tensor) -> Tensor:
    """Return (1 - a) S + a m I, S = R'R / n, (..., q, q), of residuals R (..., n, q) of mean zero.

    m = tr S / q, and a = min(b, d) / d with d = ||S - m I||^2 and b = (sum_k ||r_k||^4 / n - ||S||^2) / n
    (Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices).
    """
    n, q = residuals.shape[-2:]
    S = linalg.gram(residuals) / n
    mean = torch.diagonal(S, dim1=-2, dim2=-1).mean(dim=-1)
    square = S.square().sum(dim=(-2, -1))
    quartic = residuals.square().sum(dim=-1).square().mean(dim=-1)
    away = square - q * mean.square()
    # S is m I already, whatever the weight.
    round_ = away.detach() <= q * torch.finfo(S.dtype).eps * square.detach()
    weight = torch.where(round_, 1.0, (quartic - square) / n / torch.where(round_, 1.0, away)).clamp(0, 1)
    identity = torch.eye(q, dtype=S.dtype, device=S.device)
    return (1 - weight)[..., None, None] * S + (weight * mean)[..., None, None] * identity
