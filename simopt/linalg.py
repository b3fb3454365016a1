"""Differentiable primitives, stable where the textbook ones are not.

Shapes: n samples, q units of Y, r columns of the reference factor; ``...`` are batch dimensions.
Every backward pass is written by hand: none differentiates through a factorisation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from simopt.errors import NumericalError, warn_renamed
from simopt.gradients import Saved, with_gradient

_LARGEST_SCALE = 1.69770248526
_TRUSTED_CONDITION = {4: 3e4, 8: 1e6}  # by the bytes of a number
_FULL_RANK_CONDITION = {4: 1e6, 8: 1e14}  # of A'A


def _less_mean(matrix: Tensor) -> Tensor:
    return matrix - matrix.mean(dim=-2, keepdim=True)


@with_gradient(_less_mean)
def center(matrix: Tensor) -> tuple[Tensor, Saved]:
    """Subtract the mean over samples, (..., n, q)."""
    return _less_mean(matrix), ()


def __getattr__(name: str) -> Any:
    """Give ``centre``, the former name of :func:`center`, for one release."""
    if name != "centre":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed("linalg.centre", "linalg.center")
    return center


def double_center(matrix: Tensor) -> Tensor:
    """Subtract the means of rows and of columns of symmetric A, (..., n, n)."""
    return center(center(matrix).mT)


def _gram_gradient(grad: Tensor, matrix: Tensor) -> Tensor:
    return matrix @ (grad + grad.mT)


@with_gradient(_gram_gradient)
def gram(matrix: Tensor) -> tuple[Tensor, Saved]:
    """Return A'A, (..., q, q), of A (..., n, q).

    The gradient A (G + G') is one matrix product, where the product rule alone would take two.
    """
    return matrix.mT @ matrix, (matrix,)


def _products_gradient(cross_grad: Tensor, gram_grad: Tensor, centered: Tensor, factor: Tensor) -> Tensor:
    grad = factor @ cross_grad
    own = gram_grad + gram_grad.mT
    if grad.ndim == 3:  # one pass over the samples less than a product and a sum
        return grad.baddbmm_(centered, own)
    return grad.add_(centered @ own)


@with_gradient(_products_gradient, outputs=2)
def products(matrix: Tensor, factor: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return F'A and A'A, (..., r, q) and (..., q, q), of A (..., n, q) after centering.

    Parameters
    ----------
    matrix : Tensor, (..., n, q), A
    factor : Tensor, (n, r), F
        Constant, its columns centered: then the gradient F G_1 + A (G_2 + G_2') needs no centering.
    """
    centered = _less_mean(matrix)
    return (factor.mT @ centered, centered.mT @ centered), (centered, factor)


def _cross_and_total_gradient(
    cross_grad: Tensor, total_grad: Tensor, centered: Tensor, factor: Tensor
) -> Tensor:
    return (factor @ cross_grad).addcmul_(centered, 2 * total_grad[..., None, None])


@with_gradient(_cross_and_total_gradient, outputs=2)
def cross_and_total(matrix: Tensor, factor: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return F'A, (..., r, q), and ||A||_F^2, (...), of A (..., n, q) after centering."""
    centered = _less_mean(matrix)
    return (factor.mT @ centered, torch.linalg.matrix_norm(centered).square()), (centered, factor)


def _along(grad: Tensor, direction: Tensor) -> Tensor:
    return grad[..., None, None] * direction


@with_gradient(_along)
def _nuclear_norm(matrix: Tensor) -> tuple[Tensor, Saved]:
    factor = polar(matrix)
    return (factor * matrix).sum(dim=(-2, -1)), (factor,)


def nuclear_norm(matrix: Tensor) -> Tensor:
    """Return the sum of singular values, (...), of A (..., m, q).

    With A = U S V' the gradient is the polar factor U V': exact where all min(m, q) singular values are
    positive, repeated ones included. At a zero singular value the norm has no derivative and U V' is a
    subgradient of spectral norm 1, along which the norm rises.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    if matrix.device.type == "cpu" and not (matrix.requires_grad and torch.is_grad_enabled()):
        return singular_values(matrix).sum(dim=-1)
    return _nuclear_norm(matrix)


def polar(matrix: Tensor) -> Tensor:
    """Return the polar factor U V' of A = U S V', (..., m, q); for use inside a hand-written backward.

    On a CPU by the singular value decomposition, which iterations do not beat there; on accelerators by
    matrix products only (:func:`polar_by_products`).

    Raises
    ------
    NumericalError
        On a CPU: A holds NaN or infinite values. Elsewhere the factor is then NaN.
    """
    if matrix.device.type != "cpu":
        return polar_by_products(matrix)
    left, _, right = svd(matrix)
    return left @ right


def polar_by_products(matrix: Tensor) -> Tensor:
    """Return the polar factor, (..., m, q), by scaled Newton-Schulz steps, without a look at any value.

    X <- a/2 X (3 - a^2 X'X) takes singular values in [l, 1] into [l', 1]; a = sqrt(3 / (1 + l + l^2)) is the
    best scale, up to the largest that is stable (Chen & Chow 2014, A Stable Scaling of Newton-Schulz). So
    many steps are done as take l from eps to 1: singular values below eps s_1, which A does not determine,
    may stay below 1, and a zero stays zero.
    """
    if matrix.shape[-2] < matrix.shape[-1]:
        return polar_by_products(matrix.mT).mT
    bound = torch.linalg.matrix_norm(matrix.mT @ matrix).sqrt()[..., None, None]  # >= s_1
    factor = matrix / torch.where(bound > 0, bound, 1.0)
    eps = torch.finfo(matrix.dtype).eps
    low, three = eps, 3 * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    while low < 1 - eps:
        scale = min(math.sqrt(3 / (1 + low + low**2)), _LARGEST_SCALE)
        factor = scale / 2 * (factor @ (three - scale**2 * (factor.mT @ factor)))
        low = min(scale / 2 * end * (3 - (scale * end) ** 2) for end in (low, 1.0))
    return factor


def svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the reduced singular value decomposition U, s, V' of A; for use inside a hand-written backward.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    _finite(matrix)
    return torch.linalg.svd(matrix, full_matrices=False)


def singular_values(matrix: Tensor) -> Tensor:
    """Return the singular values of A, descending, (..., min(m, q)), without a gradient: twice as fast.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    _finite(matrix)
    return torch.linalg.svdvals(matrix.detach())


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, ascending, and eigenvectors of symmetric A; not to be differentiated.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    _finite(matrix)
    return torch.linalg.eigh(matrix)


def _finite(matrix: Tensor) -> None:
    if not bool(torch.isfinite(matrix).all()):
        raise NumericalError("A matrix to decompose holds NaN or infinite values.")


def _angular_gradient(grad: Tensor, cosine: Tensor) -> Tensor:
    inside = cosine.abs() < 1
    sine = torch.sqrt(torch.where(inside, (1 - cosine) * (1 + cosine), 1.0))
    return grad * torch.where(inside, 2 / math.pi / sine, 0.0)


@with_gradient(_angular_gradient)
def angular(cosine: Tensor) -> tuple[Tensor, Saved]:
    """Return 1 - (2/pi) arccos(c), elementwise: 1 at c = 1, 0 at c = 0.

    At |c| >= 1 (c = 1 is the tip of a cone, beyond it is rounding) the gradient is 0, a subgradient.
    """
    return 1 - 2 / math.pi * torch.arccos(cosine.clamp(-1, 1)), (cosine,)


def root(squared: Tensor) -> Tensor:
    """Return the square root, elementwise; at 0, the tip of a cone, and below, it and its gradient are 0."""
    zero = squared <= 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt())


def _inverse_spd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return A^-1 and the 1-norm condition number of A, infinite where A is not positive definite."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    factor = torch.where((info == 0)[..., None, None], factor, identity)
    inverse = torch.cholesky_inverse(factor)
    condition = torch.linalg.matrix_norm(matrix, 1) * torch.linalg.matrix_norm(inverse, 1)
    return inverse, torch.where((info == 0) & condition.isfinite(), condition, math.inf)


def _solve_gradient(grad: Tensor, inverse: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
    adjoint = inverse @ grad
    return -adjoint @ solution.mT, adjoint


@with_gradient(_solve_gradient)
def solve_spd(matrix: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Solve A B = C for symmetric positive definite A, and say how far the answer can be trusted.

    Parameters
    ----------
    matrix : Tensor, (..., q, q)
    right : Tensor, (..., q, r)

    Returns
    -------
    solution : Tensor, (..., q, r)
    condition : Tensor, (...)
        The 1-norm condition number of A; infinite where A is not positive definite, and then the
        solution means nothing.
    """
    inverse, condition = _inverse_spd(matrix)
    solution = inverse @ right
    return (solution, condition), (inverse, solution)


def _explained_gradient(grad: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
    weighted = solution * grad[..., None, :]
    return -weighted @ solution.mT, 2 * weighted


@with_gradient(_explained_gradient)
def explained(matrix: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return c_i' A^-1 c_i for each column of C, (..., r), and the condition of A as :func:`solve_spd` does.

    With A = Y'Y and C = Y'X it is the sum of squares of each column of X that a regression on Y explains.

    Parameters
    ----------
    matrix : Tensor, (..., q, q), A
    right : Tensor, (..., q, r), C
    """
    inverse, condition = _inverse_spd(matrix)
    solution = inverse @ right
    return ((right * solution).sum(dim=-2), condition), (solution,)


def _predict_gradient(
    grad: Tensor, inverse: Tensor, weights: Tensor, right: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    pulled = (grad @ right.mT) @ inverse
    return pulled, -weights.mT @ pulled, weights.mT @ grad


@with_gradient(_predict_gradient)
def predict(rows: Tensor, matrix: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return B A^-1 C, (..., m, r), and the condition of A as :func:`solve_spd` does.

    Every product has m rows: for few rows cheaper than the solution A^-1 C and its gradient.

    Parameters
    ----------
    rows : Tensor, (..., m, q), B
    matrix : Tensor, (..., q, q), A
        Symmetric positive definite.
    right : Tensor, (..., q, r), C
    """
    inverse, condition = _inverse_spd(matrix)
    weights = rows @ inverse
    return (weights @ right, condition), (inverse, weights, right)


def trustworthy(condition: Tensor) -> bool:
    """Whether normal equations of this condition number are accurate enough to be used.

    Up to the bounds a regression score is off by about 1e-5 in float32 and 1e-11 in float64. Beyond them the
    singular value decomposition of the data matrix takes over (:func:`ridge_coefficients`).
    """
    return bool((condition <= _TRUSTED_CONDITION[condition.dtype.itemsize]).all())


def full_rank(condition: Tensor) -> bool:
    """Whether A'A of this condition number, though not trustworthy, shows that A has full column rank.

    Then A can be decomposed without looking for its rank. The bounds leave room for the rounding of A'A.
    """
    return bool((condition <= _FULL_RANK_CONDITION[condition.dtype.itemsize]).all())


def _ridge_gradient(
    grad: Tensor, predictors: Tensor, targets: Tensor, left: Tensor, values: Tensor, right: Tensor,
    keep: Tensor, coefficients: Tensor, penalty: float,
) -> Tensor:  # fmt: skip
    inside = torch.where(keep[..., None], right @ grad, 0.0)
    outside = grad - right.mT @ inside
    adjoint = right.mT @ (inside / (values.square() + penalty)[..., None])
    if penalty > 0:
        adjoint = adjoint + outside / penalty
    residual = targets - predictors @ coefficients
    pulled = residual @ adjoint.mT - (predictors @ adjoint) @ coefficients.mT
    if penalty == 0:
        weighted = torch.where(keep[..., None], right @ coefficients / values[..., None], 0.0)
        pulled = pulled + left @ (weighted @ outside.mT)
    return pulled


@with_gradient(_ridge_gradient)
def ridge_coefficients(predictors: Tensor, targets: Tensor, penalty: float = 0.0) -> tuple[Tensor, Saved]:
    """Return argmin_B ||T - A B||^2 + penalty ||B||^2, of least norm, for any shape and rank of A.

    Parameters
    ----------
    predictors : Tensor, (..., n, q), A
        May be wide, padded or rank-deficient: singular values up to eps max(n, q) s_1 count as zero.
    targets : Tensor, (n, r) or (..., n, r), T
        Taken as constant by the gradient.
    penalty : float, >= 0

    Returns
    -------
    Tensor, (..., q, r)
        With the gradient of the pseudo-inverse at constant rank (Golub & Pereyra 1973, eq. 4.12) where
        the penalty is zero.
    """
    left, values, right = svd(predictors)
    keep = values > rank_tolerance(values, predictors)
    safe = torch.where(keep, values, 1.0)
    shrunk = torch.where(keep, safe / (safe.square() + penalty), 0.0)
    coefficients = right.mT @ (shrunk[..., None] * (left.mT @ targets))
    return coefficients, (predictors, targets, left, safe, right, keep, coefficients, penalty)


def column_space(matrix: Tensor) -> Tensor:
    """Return an orthonormal basis of the column space of A (..., n, q), padded with zero columns."""
    left, values, _ = svd(matrix)
    return left * (values > rank_tolerance(values, matrix))[..., None, :]


def rank_tolerance(values: Tensor, matrix: Tensor) -> Tensor:
    """Return up to what singular values of A (..., n, q), descending, count as zero: eps max(n, q) s_1."""
    eps = torch.finfo(values.dtype).eps
    return eps * max(matrix.shape[-2:]) * values[..., :1]
