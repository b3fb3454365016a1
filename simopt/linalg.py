"""Differentiable matrix functions that stay accurate at repeated and zero singular values.

Shapes: n samples, q units of Y, r columns of a factor of X; ``...`` are batch dimensions. G is the gradient
of the loss with respect to an output. eps is the machine precision. Every backward pass is written by hand:
torch's backward pass of a factorization divides by differences of singular values, which gives NaN if two
singular values are equal.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from simopt.errors import NumericalError, warn_renamed
from simopt.gradients import Saved, with_gradient
from simopt.norms import matrix_norm

_LARGEST_SCALE = 1.69770248526
"""The largest stable scale of a Newton-Schulz step. It maps a singular value of 1 to 0.1; sqrt(3) gives 0."""
_TRUSTED_CONDITION = {4: 3e4, 8: 1e6}
"""Normal equations are used up to this condition number of A'A, by bytes per number (:func:`trustworthy`)."""
_FULL_RANK_CONDITION = {4: 1e6, 8: 1e14}
"""A has full rank up to this condition number of A'A, by bytes per number: about 0.1 / eps and 0.02 / eps."""


def _less_mean(matrix: Tensor) -> Tensor:
    return matrix - matrix.mean(dim=-2, keepdim=True)


# Centering is the symmetric projection H = I - 11'/n, so the gradient with respect to A is H G.
@with_gradient(_less_mean)
def center(matrix: Tensor) -> tuple[Tensor, Saved]:
    """Return A (..., n, q) less the mean over its n samples."""
    return _less_mean(matrix), ()


def __getattr__(name: str) -> Any:
    """Return :func:`center` under its former name ``centre``, for one release."""
    if name != "centre":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed("linalg.centre", "linalg.center")
    return center


def double_center(matrix: Tensor) -> Tensor:
    """Return H A H, (..., n, n), of a symmetric matrix A, with H = I - 11'/n."""
    return center(center(matrix).mT)


def _gram_gradient(grad: Tensor, matrix: Tensor) -> Tensor:
    return matrix @ (grad + grad.mT)


@with_gradient(_gram_gradient)
def gram(matrix: Tensor) -> tuple[Tensor, Saved]:
    """Return A'A, (..., q, q), of A (..., n, q).

    The gradient A (G + G') takes one matrix product; differentiating A.mT @ A would take two.
    """
    return matrix.mT @ matrix, (matrix,)


def _products_gradient(cross_grad: Tensor, gram_grad: Tensor, centered: Tensor, factor: Tensor) -> Tensor:
    # d<G_1, F'A> = <F G_1, dA>, d<G_2, A'A> = <A (G_2 + G_2'), dA>.
    grad = factor @ cross_grad  # (..., n, q)
    symmetric = gram_grad + gram_grad.mT
    if grad.ndim == 3:  # adds the product in place: one pass over (n, q) less
        return grad.baddbmm_(centered, symmetric)
    return grad.add_(centered @ symmetric)


@with_gradient(_products_gradient, outputs=2)
def products(matrix: Tensor, factor: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Center A, and return F'A (..., r, q) and A'A (..., q, q).

    Parameters
    ----------
    matrix : Tensor, (..., n, q), A
    factor : Tensor, (n, r), F
        A constant with centered columns. The gradient F G_1 + A (G_2 + G_2') is then centered as well.
    """
    centered = _less_mean(matrix)
    return (factor.mT @ centered, centered.mT @ centered), (centered, factor)


def _cross_and_total_gradient(
    cross_grad: Tensor, total_grad: Tensor, centered: Tensor, factor: Tensor
) -> Tensor:
    return (factor @ cross_grad).addcmul_(centered, 2 * total_grad[..., None, None])


@with_gradient(_cross_and_total_gradient, outputs=2)
def cross_and_total(matrix: Tensor, factor: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Center A, and return F'A (..., r, q) and ||A||_F^2 (...).

    Parameters
    ----------
    matrix : Tensor, (..., n, q), A
    factor : Tensor, (n, r), F
        A constant with centered columns.
    """
    centered = _less_mean(matrix)
    return (factor.mT @ centered, centered.square().sum(dim=(-2, -1))), (centered, factor)


def _nuclear_norm_gradient(grad: Tensor, polar_factor: Tensor) -> Tensor:
    return grad[..., None, None] * polar_factor


@with_gradient(_nuclear_norm_gradient)
def _nuclear_norm(matrix: Tensor) -> tuple[Tensor, Saved]:
    # <U V', U S V'> = tr S.
    factor = polar(matrix)
    return (factor * matrix).sum(dim=(-2, -1)), (factor,)


def nuclear_norm(matrix: Tensor) -> Tensor:
    """Return the nuclear norm of A (..., m, q): the sum of its singular values, a tensor of shape (...).

    With A = U S V' the gradient is the polar factor U V'. It is exact if all min(m, q) singular values are
    positive, even if some of them are equal. At a zero singular value the norm has no derivative. U V' is
    then a subgradient of spectral norm 1, and a small step along it increases the norm.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    # Without a gradient the singular values suffice: about twice as fast on a CPU.
    if matrix.device.type == "cpu" and not (matrix.requires_grad and torch.is_grad_enabled()):
        return singular_values(matrix).sum(dim=-1)
    return _nuclear_norm(matrix)


def polar(matrix: Tensor) -> Tensor:
    """Return the polar factor U V', (..., m, q), of A = U S V', for use in a hand-written backward pass.

    On a CPU the factor is computed by a singular value decomposition. On an accelerator, where this is slow
    and waits for the host, it is computed by matrix products (:func:`polar_by_products`).

    Raises
    ------
    NumericalError
        A holds NaN or infinite values, on a CPU. On an accelerator the factor is NaN instead.
    """
    if matrix.device.type != "cpu":
        return polar_by_products(matrix)
    left, _, right = svd(matrix)
    return left @ right


def polar_by_products(matrix: Tensor) -> Tensor:
    """Return the polar factor, (..., m, q), by scaled Newton-Schulz steps, without waiting for the host.

    The step X <- a/2 X (3 I - a^2 X'X) keeps the singular vectors and maps each singular value s to a/2 s (3
    - a^2 s^2). It moves singular values in [l, 1] into [l', 1] with l' > l. The best scale is a = sqrt(3 / (1
    + l + l^2)), or the largest stable scale if that is smaller. The fixed number of steps raises l from eps
    to 1. Singular values below eps times the largest, which are rounding errors, may stay below 1. A zero
    stays zero.

    References
    ----------
    Chen & Chow 2014, A Stable Scaling of Newton-Schulz for Improving the Sign Function Computation of a
    Hermitian Matrix, preprint ANL/MCS-P5059-0114.
    """
    if matrix.shape[-2] < matrix.shape[-1]:
        return polar_by_products(matrix.mT).mT
    # ||A'A||_F = sqrt(sum s^4) >= s_1^2, closer than ||A||_F; dividing by its root brings all s into [0, 1].
    bound = matrix_norm(matrix.mT @ matrix).sqrt()[..., None, None]
    factor = matrix / torch.where(bound > 0, bound, 1.0)
    eps = torch.finfo(matrix.dtype).eps
    low, three = eps, 3 * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    while low < 1 - eps:
        scale = min(math.sqrt(3 / (1 + low + low**2)), _LARGEST_SCALE)
        factor = scale / 2 * (factor @ (three - scale**2 * (factor.mT @ factor)))
        # s (3 - a^2 s^2) is concave for s > 0, so its least value over [l, 1] is at one of the ends.
        low = min(scale / 2 * end * (3 - (scale * end) ** 2) for end in (low, 1.0))
    return factor


def svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the reduced singular value decomposition U, s, V' of A, for use in a hand-written backward pass.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    _require_finite(matrix)
    return torch.linalg.svd(matrix, full_matrices=False)


def singular_values(matrix: Tensor) -> Tensor:
    """Return the singular values of A (..., m, q) in descending order, (..., min(m, q)), without a gradient.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    _require_finite(matrix)
    return torch.linalg.svdvals(matrix.detach())


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, ascending, and the eigenvectors of a symmetric matrix A.

    Only the eigenvalues have a gradient.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    _require_finite(matrix)
    return torch.linalg.eigh(matrix)


def _require_finite(matrix: Tensor) -> None:
    # LAPACK would fail to converge, or return NaN, without naming the reason.
    if not bool(torch.isfinite(matrix).all()):
        raise NumericalError(
            "Cannot decompose a matrix of Y: it holds NaN or infinite values. Check Y, or scale it down."
        )


def _angular_gradient(grad: Tensor, cosine: Tensor) -> Tensor:
    # d/dc of -(2/pi) arccos c = (2/pi) / sqrt(1 - c^2); (1 - c)(1 + c) does not cancel near c = 1 as 1 - c^2
    # does.
    inside = cosine.abs() < 1
    sine = torch.sqrt(torch.where(inside, (1 - cosine) * (1 + cosine), 1.0))
    return grad * torch.where(inside, 2 / math.pi / sine, 0.0)


@with_gradient(_angular_gradient)
def angular(cosine: Tensor) -> tuple[Tensor, Saved]:
    """Return 1 - (2/pi) arccos(c) of each element c: 1 at c = 1, 0 at c = 0.

    The gradient is 0 at |c| = 1, where the slope is infinite, and at |c| > 1, which only rounding gives.
    """
    return 1 - 2 / math.pi * torch.arccos(cosine.clamp(-1, 1)), (cosine,)


def _inverse_spd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return A^-1 and the 1-norm condition number of A, infinite where A is not positive definite."""
    # cholesky_ex reports a failure in ``info`` on the device; cholesky would raise, for the whole batch.
    factor, info = torch.linalg.cholesky_ex(matrix)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    factor = torch.where((info == 0)[..., None, None], factor, identity)
    inverse = torch.cholesky_inverse(factor)
    condition = torch.linalg.matrix_norm(matrix, 1) * torch.linalg.matrix_norm(inverse, 1)
    return inverse, torch.where((info == 0) & condition.isfinite(), condition, math.inf)


def _solve_gradient(grad: Tensor, inverse: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
    # dB = A^-1 (dC - dA B), so <G, dB> = <A^-1 G, dC> - <A^-1 G B', dA>.
    adjoint = inverse @ grad
    return -adjoint @ solution.mT, adjoint


@with_gradient(_solve_gradient)
def solve_spd(matrix: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return the solution B of A B = C for symmetric positive definite A, and the condition number of A.

    Parameters
    ----------
    matrix : Tensor, (..., q, q), A
    right : Tensor, (..., q, r), C

    Returns
    -------
    solution : Tensor, (..., q, r), B
    condition : Tensor, (...)
        The 1-norm condition number ||A||_1 ||A^-1||_1. It is infinite if A is not positive definite; the
        solution is then meaningless.
    """
    inverse, condition = _inverse_spd(matrix)
    solution = inverse @ right
    return (solution, condition), (inverse, solution)


def _explained_gradient(grad: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
    # With B = A^-1 C and b_i = c_i' A^-1 c_i: db_i = 2 B_i' dc_i - B_i' dA B_i.
    weighted = solution * grad[..., None, :]
    return -weighted @ solution.mT, 2 * weighted


@with_gradient(_explained_gradient)
def explained(matrix: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return c_i' A^-1 c_i for each column c_i of C, (..., r), and the condition number of A, of shape (...).

    With A = Y'Y and C = Y'X the i-th result is the sum of squares of column i of X that a regression on Y
    explains. The condition number is defined as in :func:`solve_spd`.

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
    # P = B A^-1 C with W = B A^-1: dP = dB A^-1 C - W dA A^-1 C + W dC.
    pulled = (grad @ right.mT) @ inverse  # (..., m, q)
    return pulled, -weights.mT @ pulled, weights.mT @ grad


@with_gradient(_predict_gradient)
def predict(rows: Tensor, matrix: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return B A^-1 C, (..., m, r), and the condition number of A, defined as in :func:`solve_spd`.

    If m is small, this is cheaper than B @ ``solve_spd(A, C)``, because every product has only m rows.

    Parameters
    ----------
    rows : Tensor, (..., m, q), B
    matrix : Tensor, (..., q, q), A
        A symmetric positive definite matrix.
    right : Tensor, (..., q, r), C
    """
    inverse, condition = _inverse_spd(matrix)
    weights = rows @ inverse
    return (weights @ right, condition), (inverse, weights, right)


def trustworthy(condition: Tensor) -> bool:
    """Return whether normal equations with these condition numbers of A'A are accurate enough to be used.

    The error of R2 grows as eps times the condition number. If the result is true, the error is below about
    1e-5 in float32 and 1e-11 in float64. Otherwise use the singular value decomposition of A
    (:func:`ridge_coefficients`), whose error grows only with the square root of the condition number of A'A.
    """
    return bool((condition <= _TRUSTED_CONDITION[condition.dtype.itemsize]).all())


def full_rank(condition: Tensor) -> bool:
    """Return whether these condition numbers of A'A show that A has full column rank.

    If so, A can be decomposed without determining its rank. A singular A'A has a computed condition number of
    1 / eps or more. The largest condition number accepted is below 1 / eps, as A'A itself is rounded.
    """
    return bool((condition <= _FULL_RANK_CONDITION[condition.dtype.itemsize]).all())


def _ridge_gradient(
    grad: Tensor, predictors: Tensor, targets: Tensor, left: Tensor, values: Tensor, right: Tensor,
    keep: Tensor, coefficients: Tensor, penalty: float,
) -> Tensor:  # fmt: skip
    # B = M A'T with M = (A'A + lambda I)^-1, so dB = M dA'(T - A B) - M A' dA B, and with the adjoint Z = M G
    # the gradient is (T - A B) Z' - A Z B'.
    # M = V (S^2 + lambda)^-1 V' + (I - V V') / lambda: split G into its parts within and outside of span V.
    inside = torch.where(keep[..., None], right @ grad, 0.0)  # V'G (..., k, r)
    outside = grad - right.mT @ inside  # (I - V V') G (..., q, r)
    adjoint = right.mT @ (inside / (values.square() + penalty)[..., None])
    if penalty > 0:
        adjoint = adjoint + outside / penalty
    residual = targets - predictors @ coefficients
    pulled = residual @ adjoint.mT - (predictors @ adjoint) @ coefficients.mT
    if penalty == 0:
        # Of least norm, B stays within the row space of A: where that turns, B turns with it. This is the
        # third term of the derivative of a pseudo-inverse, A^+ A^+' dA' ... (I - A^+ A): here A^+' B
        # (outside)'.
        weighted = torch.where(keep[..., None], right @ coefficients / values[..., None], 0.0)
        pulled = pulled + left @ (weighted @ outside.mT)
    return pulled


@with_gradient(_ridge_gradient)
def ridge_coefficients(predictors: Tensor, targets: Tensor, penalty: float = 0.0) -> tuple[Tensor, Saved]:
    """Return the B of least norm that minimizes ||T - A B||_F^2 + penalty ||B||_F^2, for A of any rank.

    With A = U S V', restricted to its nonzero singular values, B = V S (S^2 + penalty)^-1 U'T.

    Parameters
    ----------
    predictors : Tensor, (..., n, q), A
        Singular values up to eps max(n, q) s_1 count as zero, where s_1 is the largest.
    targets : Tensor, (n, r) or (..., n, r), T
        A constant.
    penalty : float, >= 0

    Returns
    -------
    Tensor, (..., q, r), B
        If the penalty is zero, the gradient of B is that of the pseudo-inverse of A at constant rank.

    References
    ----------
    Golub & Pereyra 1973, The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems Whose
    Variables Separate (eq. 4.12), doi:10.1137/0710036.
    """
    left, values, right = svd(predictors)
    keep = values > rank_tolerance(values, predictors)
    safe = torch.where(keep, values, 1.0)  # a divisor also where it is not used
    shrunk = torch.where(keep, safe / (safe.square() + penalty), 0.0)
    coefficients = right.mT @ (shrunk[..., None] * (left.mT @ targets))
    return coefficients, (predictors, targets, left, safe, right, keep, coefficients, penalty)


def column_space(matrix: Tensor) -> Tensor:
    """Return an orthonormal basis, (..., n, min(n, q)), of the column space of A (..., n, q).

    If A does not have full rank, the last columns of the basis are zero.
    """
    left, values, _ = svd(matrix)
    return left * (values > rank_tolerance(values, matrix))[..., None, :]


def rank_tolerance(values: Tensor, matrix: Tensor) -> Tensor:
    """Return eps max(n, q) s_1, (..., 1), the value up to which singular values of A count as zero.

    This value bounds the rounding error of a decomposition. numpy.linalg.matrix_rank uses the same bound.

    Parameters
    ----------
    values : Tensor, (..., min(n, q))
        The singular values of A in descending order; s_1 is the first.
    matrix : Tensor, (..., n, q), A
    """
    eps = torch.finfo(values.dtype).eps
    return eps * max(matrix.shape[-2:]) * values[..., :1]
