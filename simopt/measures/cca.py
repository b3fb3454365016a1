"""Canonical correlations: CCA, SVCCA, PWCCA and the singular values of PLS.

The canonical correlations rho of X and Y are the singular values of Qx'Qy. Qx and Qy, both (n, k), are
orthonormal bases of the centered columns of X and of Y. The scores and their gradients depend only on the
subspaces that Qx and Qy span. No gradient is therefore divided by the difference of two correlations, or of
two singular values of Y that are both kept. Equal values would make such a gradient NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.gradients import Saved, with_gradient
from simopt.measures import procrustes
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score, both
from simopt.measures.extent import Extent
from simopt.measures.moments import Moments, Reference
from simopt.norms import vector_norm

Normalizer = Literal["units", "ranks", "smaller_rank"]
CCAForm = Literal["score", "angle"]

_ALL_ONES = "every canonical correlation is 1 whatever Y is."
_NORMALIZERS = {"units": "min(p, q)", "ranks": "sqrt(rank X rank Y)", "smaller_rank": "min(rank X, rank Y)"}


def rank_tolerance(values: Tensor, Y: Tensor) -> Tensor:
    """Return eps max(n, q) (s_1 + ||mean||), the rounding error of the singular values of Y, (..., 1).

    The norm of the mean of Y is included because the rounding error of centering grows with the mean.

    Parameters
    ----------
    values : Tensor, (..., r)
        The singular values of the centered Y in descending order; s_1 is the first.
    Y : Tensor, (..., n, q)
        Y before centering.
    """
    mean = vector_norm(Y.detach().mean(dim=-2), dim=-1, keepdim=True)
    return torch.finfo(values.dtype).eps * max(Y.shape[-2:]) * (values[..., :1] + mean)


def _basis_gradient(
    grad: Tensor, left: Tensor, values: Tensor, right: Tensor, keep: Tensor, variance: float
) -> Tensor:
    inside = torch.where(keep[..., None, :], grad, 0.0)  # G of the columns in use (..., n, r)
    along = left.mT @ inside  # (..., r, r)
    # (I - U U') G S^-1 V': the kept directions turn out of span U.
    pulled = ((inside - left @ along) / torch.where(keep, values, 1.0)[..., None, :]) @ right
    # Entry (j, i): a kept u_i turns towards a dropped u_j at the rate (s_i <u_j, dY v_i> + s_j <u_i, dY v_j>)
    # / (s_i^2 - s_j^2), the perturbation of eigenvectors of YY'. Rotations among kept u_i leave span U as it
    # is.
    kept, dropped = values[..., None, :], values[..., :, None]
    gap = (kept - dropped) * (kept + dropped)  # s_i^2 - s_j^2 without its cancellation
    largest = values[..., :1]
    # At a tie of a kept and a dropped value the subspace jumps, and no rate exists.
    tie = torch.finfo(values.dtype).eps * max(left.shape[-2], right.shape[-1]) * largest.square()
    turned = keep[..., None, :] & ~keep[..., :, None] & (gap > tie[..., None])
    turn = torch.where(turned, along / torch.where(turned, gap, 1.0), 0.0)
    pulled = pulled + left @ ((turn + turn.mT) * kept) @ right
    if variance == 1:
        # A column that Y lacks: the direction G asks for is added along v_j, see :func:`basis`.
        lacking = torch.where(keep[..., None, :], 0.0, grad)
        pulled = pulled + (lacking / torch.where(largest > 0, largest, 1.0)[..., None, :]) @ right
    return pulled


@with_gradient(_basis_gradient)
def basis(centered: Tensor, Y: Tensor, variance: float) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return an orthonormal basis U of the leading PCs of the centered Y, and which of its columns are used.

    The gradient holds for functions of the subspace that U spans, f(U) = f(U R) for every orthogonal R. Let
    Y = U S V', and let G be the gradient of f with respect to U. The gradient with respect to Y is
    (I - U U') G S^-1 V'. If PCs are dropped, it has a term for each kept u_i and dropped u_j, proportional to
    1 / (s_i^2 - s_j^2). If s_i = s_j, this term is set to 0.

    Parameters
    ----------
    centered, Y : Tensor, (..., n, q)
        Y after and before its mean is subtracted.
    variance : float, in (0, 1]
        The share of the variance that the kept PCs must exceed; as few PCs as possible are kept. 1 keeps all
        PCs of nonzero variance.

    Returns
    -------
    basis : Tensor, (..., n, r), r = min(n, q)
        Columns that are not used are zero. If ``variance`` is 1, they stand for directions that Y lacks. When
        Y gains a direction, the score jumps and has no derivative. The gradient of a column that is not used
        is therefore replaced by G V' / s_1, which moves Y along G.
    keep : Tensor of bool, (..., r)
        Which columns are used.
    """
    left, values, right = linalg.svd(centered)
    keep = values > rank_tolerance(values, Y)
    if variance < 1:
        keep = keep & _leading(values.square(), variance)
    return (left * keep[..., None, :], keep), (left, values, right, keep, variance)


def reference_basis(reference: Reference, variance: float = 1.0) -> Tensor:
    """Return an orthonormal basis, (n, k), of the leading PCs of the centered X.

    ``variance`` chooses the PCs as in :func:`basis`.
    """
    norms = vector_norm(reference.scores, dim=0)
    left = reference.scores / norms  # the columns of U S are orthogonal
    return left if variance == 1 else left[:, _leading(reference.variance_ratio, variance)]


def _leading(powers: Tensor, variance: float) -> Tensor:
    """Return which PCs, (..., r), are the fewest whose share of the variance exceeds ``variance``."""
    share = powers.cumsum(dim=-1) / powers.sum(dim=-1, keepdim=True)  # of the first i PCs together (..., r)
    before = torch.cat([torch.zeros_like(share[..., :1]), share[..., :-1]], dim=-1)
    return before <= variance


def _squared_norm_gradient(grad: Tensor, matrix: Tensor) -> Tensor:
    slope = 2 * matrix
    # At an unused column the derivative of its square is 0. A subgradient of the nuclear norm stands in: it
    # asks :func:`basis` for a direction of X that Y lacks.
    unused = (matrix == 0).all(dim=-2, keepdim=True)
    if bool(unused.any()):
        left, _, right = linalg.svd(matrix)
        slope = slope + torch.where(unused, left @ right, 0.0)
    return grad[..., None, None] * slope


@with_gradient(_squared_norm_gradient)
def _squared_norm(matrix: Tensor) -> tuple[Tensor, Saved]:
    return matrix.square().sum(dim=(-2, -1)), (matrix,)


def sum_of_correlations(X_basis: Tensor, Y_basis: Tensor, power: int) -> Tensor:
    """Return the sum of the canonical correlations rho, or of their squares, a tensor of shape (...).

    The sum of rho is ||Qx'Qy||_*. The sum of rho^2 is ||Qx'Qy||_F^2 = tr(Px Py), with the projections
    Px = Qx Qx' and Py = Qy Qy'. At a column of Qy that is zero, the gradient is set to a direction that Qx
    has and Qy lacks.

    Parameters
    ----------
    X_basis : Tensor, (n, k), Qx
        Orthonormal columns.
    Y_basis : Tensor, (..., n, r), Qy
        Orthonormal columns, and columns of zeros that are not used.
    power : {1, 2}
        1 sums rho, 2 sums rho^2.
    """
    cross = X_basis.mT @ Y_basis
    return linalg.nuclear_norm(cross) if power == 1 else _squared_norm(cross)


@dataclass(frozen=True, kw_only=True)
class CCA(Measure):
    """Canonical correlation analysis: the sum of the canonical correlations rho or rho^2, normalized.

    Parameters
    ----------
    power : {1, 2}
        1 sums rho, 2 sums rho^2.
    normalizer : {"units", "ranks", "smaller_rank"}
        The number that the sum is divided by. ``units``: min(p, q), with p and q the numbers of units of X
        and Y. ``ranks``: sqrt(k_x k_y), with k_x and k_y the numbers of PCs kept of X and Y, which are their
        ranks if ``variance`` is 1. ``smaller_rank``: min(k_x, k_y).
    form : {"score", "angle"}
        ``score`` is the quotient c. ``angle`` is arccos(c) in radians; it needs ``power=1`` and
        ``normalizer=ranks``.
    variance : float, in (0, 1]
        Below 1 (SVCCA), X and Y are each reduced to the fewest PCs that together have more than this share of
        the variance. The score jumps where the number of these PCs changes.

    Raises
    ------
    InputError
        An option is out of its range.

    References
    ----------
    Hotelling 1936, Relations Between Two Sets of Variates, doi:10.1093/biomet/28.3-4.321.
    Raghu et al. 2017, SVCCA, arXiv:1706.05806.
    """

    power: int = 1
    normalizer: Normalizer = "units"
    form: CCAForm = "score"
    variance: float = 1.0

    def __post_init__(self) -> None:
        checks.options(self, power=(1, 2))
        if self.form == "angle" and (self.power, self.normalizer) != (1, "ranks"):
            raise InputError(f"{self.name}: form=angle needs power=1 and normalizer=ranks; set both.")
        checks.at_least(self.variance, 0, f"variance of {self.name}", 1, strict=True)

    @property
    def facts(self) -> Facts:
        """The score is invariant to affine maps; if variance < 1, only to rotation, scale and offset."""
        rho = "sum rho" if self.power == 1 else "sum rho^2"
        formula = f"{rho} / {_NORMALIZERS[self.normalizer]}"
        if self.form == "angle":
            formula = f"arccos({formula})"
        formula += ", rho = singular values of Qx'Qy"
        if self.variance < 1:
            formula += f", after PCA of X and of Y to over {self.variance:g} of the variance"
        invariant = AFFINE if self.variance == 1 else ROTATIONAL
        return Facts(
            family="cca",
            formula=formula,
            source="Raghu et al. 2017, SVCCA, arXiv:1706.05806"
            if self.variance < 1
            else "Hotelling 1936, Relations Between Two Sets of Variates, doi:10.1093/biomet/28.3-4.321",
            high=math.pi / 2 if self.form == "angle" else 1.0,
            at_self=0.0 if self.form == "angle" else None if self.normalizer == "units" else 1.0,
            larger_is_closer=self.form == "score",
            **both(invariant),
            sample_rotations=True,
            relations=self._relations(),
        )

    def _relations(self) -> tuple[str, ...]:
        if self.variance < 1:
            return ("cca of the leading principal components",)
        if self.form == "angle":
            return ("shape_angular at alpha 0",)
        if self.normalizer != "ranks":
            return ("sum rho = rank X whatever Y is, where rank Y = samples - 1",)
        return ("nbs of the whitened data",) if self.power == 1 else ("cka of the whitened data",)

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if the PCs that are kept of X or of Y span all centered samples, else None."""
        return extent.spanned(("Y", "X"), _ALL_ONES, self.variance)

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score."""
        X_basis = reference_basis(reference, self.variance)
        X_rank = X_basis.shape[-1]
        X_unit = procrustes.unit(X_basis)

        def evaluate(moments: Moments) -> Tensor:
            Y_basis, keep = basis(moments.centered, moments.Y, self.variance)
            Y_rank = keep.sum(dim=-1)  # (...)
            if self.form == "angle":
                # ||Q||_F^2 is the rank: of unit norm, Qx and Qy have the cosine sum rho / sqrt(k_x k_y). The
                # angle comes from their distance, which keeps its digits where the cosine is near 1.
                Y_unit = Y_basis / Y_rank.to(Y_basis.dtype).sqrt()[..., None, None]
                return procrustes.angle(procrustes.distance(Y_unit, X_unit))
            total = sum_of_correlations(X_basis, Y_basis, self.power)
            if self.normalizer == "units":
                return total / min(reference.responses.shape[-1], moments.Y.shape[-1])
            if self.normalizer == "ranks":
                return total / (X_rank * Y_rank).to(total.dtype).sqrt()
            return total / Y_rank.clamp(max=X_rank)

        return evaluate


@dataclass(frozen=True, kw_only=True)
class PWCCA(Measure):
    """Projection-weighted CCA: correlations weighted by how strongly X projects on their canonical variates.

    The score has no gradient: where two correlations become equal, their canonical variates jump, and with
    them the weights.

    References
    ----------
    Morcos et al. 2018, arXiv:1806.05759.
    """

    @property
    def facts(self) -> Facts:
        """The score is invariant to affine maps of Y, and to permutation, scale and offset of X."""
        return Facts(
            family="cca",
            formula="sum_i w_i rho_i / sum_i w_i, w_i = sum_j |<h_i, x_j>|, h_i canonical variates of X",
            source="Morcos et al. 2018, Insights on representational similarity, arXiv:1806.05759",
            invariant_x=ROTATIONAL - {"orthogonal"},
            invariant_y=AFFINE,
            symmetric=False,
            differentiable=False,
            direction="x_weights",
            relations=("a weighted mean of the correlations of cca",),
        )

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if Y spans all centered samples, else None."""
        return extent.spanned(("Y",), _ALL_ONES)

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        If several correlations are 1 (Y has many units) or 0 (X has a higher rank than Y), their canonical
        variates are not unique. The PCs of X in the space of these variates are used instead.
        """
        X_basis = reference_basis(reference)
        units = X_basis.mT @ linalg.center(reference.responses)  # (K, p)

        @torch.no_grad()
        def evaluate(moments: Moments) -> Tensor:
            Y_basis, _ = basis(moments.centered, moments.Y, 1.0)
            # All K variates of X, also those that Y has no part in (full_matrices), with correlation 0.
            left, rho, _ = torch.linalg.svd(X_basis.mT @ Y_basis, full_matrices=True)
            rho = torch.cat([rho, rho.new_zeros(*rho.shape[:-1], left.shape[-1] - rho.shape[-1])], dim=-1)
            projections = left.mT @ units  # <h_i, x_j> (..., K, p)
            # Correlations within 100 n eps of 1 or of 0 count as equal to it.
            exact = 100 * torch.finfo(rho.dtype).eps * reference.samples
            one, none = rho >= 1 - exact, rho <= exact
            weights = torch.where(one | none, 0.0, projections.abs().sum(dim=-1))  # w_i (..., K)
            ones = _axes_weight(projections * one[..., None])
            rest = _axes_weight(projections * none[..., None])
            return ((weights * rho).sum(dim=-1) + ones) / (weights.sum(dim=-1) + ones + rest)

        return evaluate


def _axes_weight(projections: Tensor) -> Tensor:
    """Return sum_i w_i, with the principal axes of the rows of ``projections`` as variates."""
    _, values, right = torch.linalg.svd(projections, full_matrices=False)
    return (values * right.abs().sum(dim=-1)).sum(dim=-1)


@dataclass(frozen=True, kw_only=True)
class PLSSingularValue(Measure):
    """The mean singular value of the cross-covariance of X and Y, which partial least squares decomposes."""

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation and offset, and proportional to the scales of X and Y."""
        return Facts(
            family="cca",
            formula="||X'Y||_* / ((n - 1) min(p, q))",
            source="Wold 1975, Soft modeling by latent variables (PLS-SVD)",
            high=math.inf,
            at_self=None,
            **both(ROTATIONAL - {"isotropic_scaling"}),
            relations=("nbs times ||X||_F ||Y||_F / ((n - 1) min(p, q))",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score."""
        # ``cross`` is X'Y / ||X||_F up to a rotation of X.
        size = reference.norm / (reference.samples - 1)
        p = reference.responses.shape[-1]
        return lambda moments: linalg.nuclear_norm(moments.cross) * (size / min(p, moments.Y.shape[-1]))
