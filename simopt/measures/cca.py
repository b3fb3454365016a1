"""Canonical correlations and their kin: CCA, SVCCA, PWCCA and the singular values of PLS.

The canonical correlations of X and Y are the singular values of Qx'Qy, Q an orthonormal basis of the centered
columns. The gradient goes through the basis as a subspace, so that neither repeated correlations nor repeated
singular values of Y are ever told apart.
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
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score, both, spans_all
from simopt.measures.moments import Moments, Reference

Normalizer = Literal["units", "ranks", "smaller_rank"]
CCAForm = Literal["score", "angle"]

_ALL_ONES = "every canonical correlation is 1 whatever Y is."
_NORMALIZERS = {"units": "min(p, q)", "ranks": "sqrt(rank X rank Y)", "smaller_rank": "min(rank X, rank Y)"}


def rank_tolerance(values: Tensor, Y: Tensor) -> Tensor:
    """Return up to what singular values of the centered Y are rounding, (..., 1).

    eps max(n, q) (s_1 + ||mean||): the error of centering grows with the mean.

    Parameters
    ----------
    values : Tensor, (..., r)
        Singular values of the centered Y, descending.
    Y : Tensor, (..., n, q)
        As it came.
    """
    mean = torch.linalg.vector_norm(Y.detach().mean(dim=-2), dim=-1, keepdim=True)
    return torch.finfo(values.dtype).eps * max(Y.shape[-2:]) * (values[..., :1] + mean)


def _basis_gradient(
    grad: Tensor, left: Tensor, values: Tensor, right: Tensor, keep: Tensor, variance: float
) -> Tensor:
    inside = torch.where(keep[..., None, :], grad, 0.0)
    along = left.mT @ inside
    pulled = ((inside - left @ along) / torch.where(keep, values, 1.0)[..., None, :]) @ right
    # Row j, column i: a kept u_i turns towards a dropped u_j.
    own, other = values[..., None, :], values[..., :, None]
    gap = (own - other) * (own + other)
    largest = values[..., :1]
    tie = torch.finfo(values.dtype).eps * max(left.shape[-2], right.shape[-1]) * largest.square()
    turned = keep[..., None, :] & ~keep[..., :, None] & (gap > tie[..., None])
    turn = torch.where(turned, along / torch.where(turned, gap, 1.0), 0.0)
    pulled = pulled + left @ ((turn + turn.mT) * own) @ right
    if variance == 1:
        lacking = torch.where(keep[..., None, :], 0.0, grad)
        pulled = pulled + (lacking / torch.where(largest > 0, largest, 1.0)[..., None, :]) @ right
    return pulled


@with_gradient(_basis_gradient)
def _basis(centered: Tensor, Y: Tensor, variance: float) -> tuple[tuple[Tensor, Tensor], Saved]:
    left, values, right = linalg.svd(centered)
    keep = values > rank_tolerance(values, Y)
    if variance < 1:
        keep = keep & _leading(values.square(), variance)
    return (left * keep[..., None, :], keep), (left, values, right, keep, variance)


def basis(moments: Moments, variance: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis U of the leading part of the centered Y, and which columns are in use.

    The gradient is that of a function of span U, the same for U R with R orthogonal. With Y = U S V' it is
    (I - U U') G S^-1 V', and where components are dropped, kept i and dropped j turn into each other with
    1 / (s_i^2 - s_j^2), 0 at a tie; no difference of two kept values is ever taken.

    Parameters
    ----------
    moments : Moments
    variance : float, in (0, 1]
        Below 1 the smallest number of principal components whose share of the variance exceeds it; 1
        keeps the rank.

    Returns
    -------
    basis : Tensor, (..., n, r), r = min(n, q)
        Columns not in use are zero. A gradient that asks for the unused ones, at variance 1, says in which
        direction Y lacks rank: there the score jumps, and the gradient points along, of slope 1 / s_1.
    keep : Tensor of bool, (..., r)
    """
    return _basis(moments.centered, moments.Y, variance)


def reference_basis(reference: Reference, variance: float = 1.0) -> Tensor:
    """Return an orthonormal basis (n, k) of the leading part of the centered X, as :func:`basis` of Y."""
    norms = torch.linalg.vector_norm(reference.scores, dim=0)
    left = reference.scores / norms
    return left if variance == 1 else left[:, _leading(reference.variance_ratio, variance)]


def _leading(powers: Tensor, variance: float) -> Tensor:
    share = powers.cumsum(dim=-1) / powers.sum(dim=-1, keepdim=True)
    before = torch.cat([torch.zeros_like(share[..., :1]), share[..., :-1]], dim=-1)
    return before <= variance


def _squared_norm_gradient(grad: Tensor, matrix: Tensor) -> Tensor:
    slope = 2 * matrix
    unused = (matrix == 0).all(dim=-2, keepdim=True)
    if bool(unused.any()):
        left, _, right = linalg.svd(matrix)
        slope = slope + torch.where(unused, left @ right, 0.0)
    return grad[..., None, None] * slope


@with_gradient(_squared_norm_gradient)
def _squared_norm(matrix: Tensor) -> tuple[Tensor, Saved]:
    return matrix.square().sum(dim=(-2, -1)), (matrix,)


def sum_of_correlations(X_basis: Tensor, Y_basis: Tensor, power: int) -> Tensor:
    """Return sum rho^power of the canonical correlations, (...).

    power 1: ||Qx'Qy||_*; power 2: ||Qx'Qy||_F^2 = tr(Px Py). Where a column of Qy is not in use, the gradient
    asks for a direction of Qx that Qy lacks.

    Parameters
    ----------
    X_basis : Tensor, (n, k)
    Y_basis : Tensor, (..., n, r)
        Orthonormal columns, those not in use zero.
    power : {1, 2}
    """
    cross = X_basis.mT @ Y_basis
    return linalg.nuclear_norm(cross) if power == 1 else _squared_norm(cross)


@dataclass(frozen=True, kw_only=True)
class CCA(Measure):
    """Canonical correlation analysis: the sum of correlations or of their squares, normalized.

    Parameters
    ----------
    power : {1, 2}
        Sum rho or rho^2.
    normalizer : {"units", "ranks", "smaller_rank"}
        Divide by min(p, q) of the numbers of units; by sqrt(k_x k_y) of the numbers of components in use;
        or by min(k_x, k_y). Without truncation k is the rank.
    form : {"score", "angle"}
        The quotient c, or arccos(c) in radians, which needs power 1 and normalizer ranks.
    variance : float, in (0, 1]
        Below 1 (SVCCA) each side is first cut to the smallest number of principal components whose share of
        its variance exceeds this. The score jumps where the number changes.

    Raises
    ------
    InputError
        An option is none of these.
    """

    power: int = 1
    normalizer: Normalizer = "units"
    form: CCAForm = "score"
    variance: float = 1.0

    def __post_init__(self) -> None:
        self._check_choices()
        if self.power not in (1, 2):
            raise InputError(
                f"power of {self.name} is {self.power!r}; it must be 1 (rho) or 2 (rho squared)."
            )
        if self.form == "angle" and (self.power, self.normalizer) != (1, "ranks"):
            raise InputError(f"{self.name}: form 'angle' needs power=1 and normalizer=ranks.")
        checks.at_least(self.variance, 0, f"variance of {self.name}", strict=True)
        if self.variance > 1:
            raise InputError(f"variance of {self.name} is {self.variance!r}; it is a share, at most 1.")

    @property
    def facts(self) -> Facts:
        """Blind to any invertible affine map of either side; truncated, to rotation, scale and offset."""
        rho = "sum rho" if self.power == 1 else "sum rho^2"
        formula = f"{rho} / {_NORMALIZERS[self.normalizer]}"
        if self.form == "angle":
            formula = f"arccos({formula})"
        formula += ", rho = singular values of Qx'Qy"
        if self.variance < 1:
            formula += f", after PCA of each side to over {self.variance:g} of the variance"
        ignored = AFFINE if self.variance == 1 else ROTATIONAL
        return Facts(
            family="cca",
            formula=formula,
            source="Raghu et al. 2017, SVCCA"
            if self.variance < 1
            else "Hotelling 1936, Relations Between Two Sets of Variates",
            high=math.pi / 2 if self.form == "angle" else 1.0,
            at_self=0.0 if self.form == "angle" else None if self.normalizer == "units" else 1.0,
            larger_is_closer=self.form == "score",
            **both(ignored),
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

    def degenerate(self, samples: int, units: int) -> str | None:
        """Without truncation, with as many units as samples, Y spans everything."""
        return None if self.variance < 1 else spans_all(samples, units, _ALL_ONES)

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments."""
        X_basis = reference_basis(reference, self.variance)
        X_rank = X_basis.shape[-1]
        X_unit = procrustes.unit(X_basis)

        def evaluate(moments: Moments) -> Tensor:
            Y_basis, keep = basis(moments, self.variance)
            Y_rank = keep.sum(dim=-1)
            if self.form == "angle":
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
    """Projection-weighted CCA: correlations weighted by how much of X their canonical variates carry.

    The variates h_i of X depend on Y, and each turns without bound as its correlation meets another; the
    weights follow. Not differentiable.
    """

    @property
    def facts(self) -> Facts:
        """Blind to invertible affine maps of Y; to permutation, common scale and offsets of X."""
        return Facts(
            family="cca",
            formula="sum_i w_i rho_i / sum_i w_i, w_i = sum_j |<h_i, x_j>|, h_i canonical variates of X",
            source="Morcos et al. 2018, Insights on representational similarity with canonical correlation",
            invariant_x=ROTATIONAL - {"orthogonal"},
            invariant_y=AFFINE,
            symmetric=False,
            differentiable=False,
            direction="x_weights",
            relations=("a weighted mean of the correlations of cca",),
        )

    def degenerate(self, samples: int, units: int) -> str | None:
        """With as many units as samples Y spans everything."""
        return spans_all(samples, units, _ALL_ONES)

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments.

        Where several correlations are 1 (wide Y) or 0 (X of higher rank than Y) their variates are not
        unique; the principal axes of X within their span stand for them.
        """
        X_basis = reference_basis(reference)
        units = X_basis.mT @ linalg.center(reference.responses)  # (K, p)

        @torch.no_grad()
        def evaluate(moments: Moments) -> Tensor:
            Y_basis, _ = basis(moments)
            left, rho, _ = torch.linalg.svd(X_basis.mT @ Y_basis, full_matrices=True)
            rho = torch.cat([rho, rho.new_zeros(*rho.shape[:-1], left.shape[-1] - rho.shape[-1])], dim=-1)
            carried = left.mT @ units
            exact = 100 * torch.finfo(rho.dtype).eps * reference.samples
            one, none = rho >= 1 - exact, rho <= exact
            weights = torch.where(one | none, 0.0, carried.abs().sum(dim=-1))
            ones = _axes_weight(carried * one[..., None])
            rest = _axes_weight(carried * none[..., None])
            return ((weights * rho).sum(dim=-1) + ones) / (weights.sum(dim=-1) + ones + rest)

        return evaluate


def _axes_weight(carried: Tensor) -> Tensor:
    _, values, right = torch.linalg.svd(carried, full_matrices=False)
    return (values * right.abs().sum(dim=-1)).sum(dim=-1)


@dataclass(frozen=True, kw_only=True)
class PLSSingularValue(Measure):
    """The mean singular value of the cross-covariance of X and Y: PLS without its regression."""

    @property
    def facts(self) -> Facts:
        """Blind to rotation and offset of either side; proportional to the scale of both."""
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
        """Return the score as a function of the moments."""
        size = reference.norm / (reference.samples - 1)
        p = reference.responses.shape[-1]
        return lambda moments: linalg.nuclear_norm(moments.cross) * (size / min(p, moments.Y.shape[-1]))
