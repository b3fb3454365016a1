"""Crossnobis RDMs: distances between conditions, cross-validated over repeats so that noise adds no bias.

The samples are ordered by repeat, with the conditions in the same order in every repeat. Let z_i^A be the
whitened response to condition i in repeat A, M the number of repeats, and q the number of units:

    d_ij = 1 / (M (M - 1) q) sum_{A != B} (z_i^A - z_j^A)'(z_i^B - z_j^B)
         = (||t_i - t_j||^2 - sum_A ||z_i^A - z_j^A||^2) / (M (M - 1) q),    t_i = sum_A z_i^A,

because sum_{A != B} a_A'a_B = ||sum_A a_A||^2 - sum_A ||a_A||^2. If two conditions differ only by noise, the
mean of d_ij is 0, so d_ij may be negative. In the second line d_ij is a difference of squared distances,
which an :class:`Embedding` can represent.

References
----------
Walther et al. 2016, Reliability of Dissimilarity Measures for Multi-voxel Pattern Analysis,
doi:10.1016/j.neuroimage.2015.12.012.
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
from simopt.norms import vector_norm

Noise = Literal["none", "diagonal", "full", "ledoit_wolf"]
Residuals = Literal["two_way", "condition"]

NOISE: dict[Noise, str] = {
    "none": "S = I",
    "diagonal": "S the residual variances of each unit",
    "full": "S the covariance of the residuals",
    "ledoit_wolf": "S the covariance of the residuals, shrunk towards a multiple of I",
}
"""Definitions of the covariance S, by which the units are whitened."""

RESIDUALS: dict[Residuals, str] = {
    "two_way": "e_i^A = z_i^A - mean_B z_i^B - mean_j z_j^A + mean_jB z_j^B",
    "condition": "e_i^A = z_i^A - mean_B z_i^B",
}
"""Formulas of the residuals from which S is computed; z are the responses before whitening."""

INVARIANT: dict[Noise, frozenset[str]] = {
    "none": ROTATIONAL,
    "diagonal": UNITWISE,
    "full": AFFINE,
    "ledoit_wolf": ROTATIONAL,
}


def freedom(samples: int, repeats: int, residuals: Residuals) -> int:
    """Return the degrees of freedom of the residuals of M repeats of C conditions.

    ``condition`` subtracts C means, which leaves M C - C. ``two_way`` also subtracts the means of repeats,
    M - 1 further ones, as the mean of all samples is subtracted already. This leaves (M - 1)(C - 1).
    """
    taken = samples // repeats + (repeats - 1 if residuals == "two_way" else 0)
    return samples - taken


def embed(
    responses: Tensor, repeats: int | None, noise: Noise, what: str, residuals: Residuals = "two_way"
) -> Embedding:
    """Return the embedding of the conditions, which represents their crossnobis distances.

    The coordinates are t_i, followed by z_i^A of every repeat A as negative coordinates (see the module).

    Parameters
    ----------
    responses : Tensor, (..., n, q)
        The responses before centering.
    repeats : int, >= 2, or None
        The number of repeats, M. None is refused.
    noise : {"none", "diagonal", "full", "ledoit_wolf"}
        How the units are whitened, see :data:`NOISE`.
    what : str
        The name of the responses in error messages.
    residuals : {"two_way", "condition"}
        The residuals from which the noise covariance is computed, see :data:`RESIDUALS`.

    Returns
    -------
    Embedding
        Its points are (..., n / M, (M + 1) q).

    Raises
    ------
    InputError
        ``repeats`` is None, or the number of samples is not a multiple of ``repeats``; there are fewer than
        3 conditions; or the noise covariance is singular.
    """
    n, q = responses.shape[-2:]
    if repeats is None:
        raise InputError(
            f"{what}: crossnobis distances need repeats of the conditions. If the {n} samples are M repeats "
            "of the conditions, one repeat after the other, set repeats=M."
        )
    parts = responses.reshape(*responses.shape[:-2], repeats, conditions_of(n, repeats, what), q)
    # Differences of conditions within a repeat do not depend on its mean, and are more accurate without it.
    centered = linalg.center(parts)
    if noise != "none":
        # Without the mean of each repeat, which differs from run to run, noise is what distances see of it:
        # a constant of a repeat cancels in z_i^A - z_j^A.
        noisy = centered if residuals == "two_way" else parts
        errors = (noisy - noisy.mean(dim=-3, keepdim=True)).flatten(-3, -2)
        left = freedom(n, repeats, residuals)
        triangle = _whitener(errors, left, noise, responses, what)[..., None, :, :]
        # z R^-1 has noise covariance I, as S = R'R.
        centered = torch.linalg.solve_triangular(triangle, centered, upper=True, left=False)
    repeat_by_repeat = centered.movedim(-3, -2).flatten(-2)  # z_i^A (..., c, M q)
    points = torch.cat([centered.sum(dim=-3), repeat_by_repeat], dim=-1)  # (..., c, (M + 1) q)
    points = points / math.sqrt(repeats * (repeats - 1) * q)
    return Embedding("crossnobis", points, negative=repeats * q)


def conditions_of(samples: int, repeats: int, what: str) -> int:
    """Return the number of conditions, samples / repeats; ``what`` names the data in error messages.

    Raises
    ------
    InputError
        ``samples`` is not a multiple of ``repeats``, or there are fewer than 3 conditions.
    """
    if samples % repeats or samples // repeats < 3:
        raise InputError(
            f"{what} has {samples} samples, but repeats={repeats} needs a multiple of {repeats} that is at "
            f"least {3 * repeats} (3 conditions). Choose repeats to fit the samples."
        )
    return samples // repeats


def _whitener(residuals: Tensor, freedom: int, noise: Noise, responses: Tensor, what: str) -> Tensor:
    """Return upper triangular R, (..., q, q), with S = R'R the noise covariance.

    Parameters
    ----------
    residuals : Tensor, (..., n, q)
    freedom : int
        Their degrees of freedom.
    noise : {"diagonal", "full", "ledoit_wolf"}
    responses : Tensor, (..., n, q)
        Set the scale of rounding errors.
    what : str
        What errors call the responses.
    """
    n, q = residuals.shape[-2:]
    if noise == "diagonal":
        spread = vector_norm(residuals, dim=-2)
        floor = n * torch.finfo(spread.dtype).eps * vector_norm(responses.detach(), dim=-2)
        noiseless = spread.detach() <= floor
        if bool(noiseless.any()):
            raise InputError(
                f"{what}: unit {int(torch.nonzero(noiseless)[0, -1])} is the same in every repeat, so it has "
                "no noise variance. Remove such units, or choose noise=ledoit_wolf or noise=none."
            )
        return torch.diag_embed(spread / math.sqrt(freedom))
    if noise == "ledoit_wolf":
        triangle, info = torch.linalg.cholesky_ex(_shrunk(residuals) * (n / freedom), upper=True)
        if bool(info.any()):
            raise InputError(
                f"{what}: the repeats differ too little to estimate a noise covariance, even with shrinkage. "
                "Choose noise=none."
            )
        return triangle
    remedy = "Choose noise=ledoit_wolf or noise=diagonal, or use fewer units."
    if q > freedom:
        raise InputError(
            f"{what} has {q} units, more than the {freedom} degrees of freedom of the noise, so the noise "
            f"covariance is singular. {remedy}"
        )
    # With residuals E = Q R, E'E = R'R: the factor of S without forming S, which would square the condition.
    triangle = torch.linalg.qr(residuals)[1]
    dependent = dependent_unit(triangle, responses)
    if dependent is not None:
        raise InputError(
            f"{what}: the noise of unit {dependent} is zero or a linear combination of the noise of the "
            f"units before it, so the noise covariance is singular. {remedy}"
        )
    return triangle / math.sqrt(freedom)


def _shrunk(residuals: Tensor) -> Tensor:
    """Return the shrunk covariance (1 - a) S + a m I, (..., q, q), of residuals E (..., n, q) of mean zero.

    S = E'E / n, m = tr S / q and a = min(b, d) / d, with d = ||S - m I||_F^2 = ||S||_F^2 - q m^2 and
    b = (sum_k ||e_k||^4 / n - ||S||_F^2) / n.

    References
    ----------
    Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices,
    doi:10.1016/S0047-259X(03)00096-4.
    """
    n, q = residuals.shape[-2:]
    S = linalg.gram(residuals) / n
    mean = torch.diagonal(S, dim1=-2, dim2=-1).mean(dim=-1)  # m (...)
    square = S.square().sum(dim=(-2, -1))  # ||S||_F^2
    quartic = residuals.square().sum(dim=-1).square().mean(dim=-1)  # sum_k ||e_k||^4 / n
    distance = square - q * mean.square()  # d
    # If d is rounding, S = m I and any weight gives the same.
    spherical = distance.detach() <= q * torch.finfo(S.dtype).eps * square.detach()
    weight = (quartic - square) / n / torch.where(spherical, 1.0, distance)
    weight = torch.where(spherical, 1.0, weight).clamp(0, 1)  # a
    identity = torch.eye(q, dtype=S.dtype, device=S.device)
    return (1 - weight)[..., None, None] * S + (weight * mean)[..., None, None] * identity
