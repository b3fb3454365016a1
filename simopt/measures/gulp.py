"""GULP: how much ridge regressions from X and from Y differ in their predictions, over all targets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from simopt import checks, linalg
from simopt.gradients import Saved, with_gradient
from simopt.measures import cca
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score, both, distance_facts
from simopt.measures.extent import Extent
from simopt.measures.moments import Moments, Reference
from simopt.measures.procrustes import unit


def _hat_gradient(
    grad: Tensor, left: Tensor, values: Tensor, right: Tensor, shrunk: Tensor, cross: Tensor,
    X_basis: Tensor, X_shrunk: Tensor, penalty: float,
) -> Tensor:  # fmt: skip
    # 4 (I - H) (H - H_x) A (A'A + lambda I)^-1 with A = U S V' and H = U S^2 (S^2 + lambda)^-1 U'. All
    # products are with U (n, r); no (n, n) matrix is formed.
    coefficients = values / (values.square() + penalty)  # of A (A'A + lambda I)^-1 = U S (S^2 + lambda)^-1 V'
    # (H - H_x) U, then (I - H) of it.
    difference = left * shrunk[..., None, :] - X_basis @ (X_shrunk[:, None] * cross)
    difference = difference - left @ (shrunk[..., :, None] * (left.mT @ difference))
    pulled = 4 * (difference * coefficients[..., None, :]) @ right
    return grad[..., None, None] * pulled


@with_gradient(_hat_gradient)
def hat_distance(matrix: Tensor, X_basis: Tensor, X_shrunk: Tensor, penalty: float) -> tuple[Tensor, Saved]:
    """Return the squared distance ||H_x - H||_F^2, of shape (...), of the ridge hat matrices of X and of A.

    H = A (A'A + lambda I)^-1 A' maps targets to their predictions from A, and H_x from X. The gradient is
    4 (I - H) (H - H_x) A (A'A + lambda I)^-1. It contains no difference of singular values.

    Parameters
    ----------
    matrix : Tensor, (..., n, q), A
    X_basis : Tensor, (n, k)
        The orthonormal eigenvectors of H_x.
    X_shrunk : Tensor, (k,)
        The eigenvalues of H_x.
    penalty : float, > 0, lambda
    """
    # ||H_x||^2 + ||H||^2 - 2 <H_x, H>, where <H_x, H> = sum_ij h_i (u_i'v_j)^2 k_j over both eigenbases.
    left, values, right = linalg.svd(matrix)
    shrunk = values.square() / (values.square() + penalty)
    cross = X_basis.mT @ left
    overlap = (X_shrunk[:, None] * cross.square() * shrunk[..., None, :]).sum(dim=(-2, -1))
    squared = X_shrunk.square().sum() + shrunk.square().sum(dim=-1) - 2 * overlap
    return squared, (left, values, right, shrunk, cross, X_basis, X_shrunk, penalty)


@dataclass(frozen=True, kw_only=True)
class GULP(Measure):
    """The squared GULP distance of X and Y, each centered and scaled to total variance 1.

    Parameters
    ----------
    penalty : float, >= 0
        lambda of the ridge regressions, as a fraction of the total variance. At 0 only the column spaces of X
        and Y are compared.

    Raises
    ------
    InputError
        The penalty is negative.

    References
    ----------
    Boix-Adsera et al. 2022, arXiv:2210.06545.
    """

    penalty: float = 0.01

    def __post_init__(self) -> None:
        checks.options(self, penalty=0)

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation, scale and offset; without a penalty also to affine maps."""
        invariant = ROTATIONAL if self.penalty > 0 else AFFINE
        relation = "times lambda^2 it tends to ||XX' - YY'||_F^2 as lambda grows"
        if self.penalty == 0:
            relation = "rank X + rank Y - 2 sum rho^2, rho the correlations of cca"
        return Facts(
            family="gulp",
            formula="||X (X'X + lambda I)^-1 X' - Y (Y'Y + lambda I)^-1 Y'||_F^2, ||X||_F = ||Y||_F = 1",
            source="Boix-Adsera et al. 2022, GULP: a prediction-based metric, arXiv:2210.06545",
            **distance_facts(math.inf),
            **both(invariant),
            sample_rotations=True,
            relations=(relation,),
        )

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if the penalty is 0 and X or Y spans all centered samples, else None."""
        same = "the distance is the difference of the ranks whatever Y is."
        return None if self.penalty > 0 else extent.spanned(("Y", "X"), same)

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the squared distance."""
        X_basis = cca.reference_basis(reference)
        if self.penalty == 0:
            return lambda moments: _subspace_distance(X_basis, moments)
        powers = reference.variance_ratio
        penalty = float(self.penalty)  # torch overflows on integers of more than 64 bits
        X_shrunk = powers / (powers + penalty)  # eigenvalues of H_x, as lambda_i of X of unit norm is p_i
        return lambda moments: hat_distance(unit(moments.centered), X_basis, X_shrunk, penalty)


def _subspace_distance(X_basis: Tensor, moments: Moments) -> Tensor:
    """Return ||Px - Py||_F^2 = rank X + rank Y - 2 tr(Px Py) of the projections on span X and span Y."""
    Y_basis, keep = cca.basis(moments.centered, moments.Y, 1.0)
    shared = cca.sum_of_correlations(X_basis, Y_basis, power=2)
    return X_basis.shape[-1] + keep.sum(dim=-1) - 2 * shared
