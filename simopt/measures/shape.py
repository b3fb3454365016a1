"""Shape metrics: Procrustes distances of data that are not (alpha 1), partly, or fully (alpha 0) whitened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.gradients import Saved, with_gradient
from simopt.measures import cca, procrustes
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score, both, distance_facts
from simopt.measures.extent import Extent
from simopt.measures.moments import Moments, Reference
from simopt.norms import vector_norm

Convention = Literal["netrep", "repsim"]
Metric = Literal["angular", "euclidean"]

_FLOORS = {"netrep": 1e-7, "repsim": 1e-9}
"""Floors of the eigenvalues in the packages of these names: of Y'Y in netrep, of Y'Y / n in repsim."""


def _clipped_gradient(
    grad: Tensor, values_grad: Tensor, left: Tensor, values: Tensor, right: Tensor, whitened: Tensor,
    floor: float,
) -> Tensor:  # fmt: skip
    # Of f(Y) = U h(S) V' with M = U'G V, the gradient within both spans is, entry by entry, (h_i - h_j) /
    # (s_i - s_j) times the symmetric part of M plus (h_i + h_j) / (s_i + s_j) times its skew part.
    inner = left.mT @ grad @ right.mT  # M (..., k, k)
    difference, total = _slopes(values, whitened, floor)
    along = torch.where(values > 0, whitened / torch.where(values > 0, values, 1.0), 1 / floor)  # h_i / s_i
    core = difference * (inner + inner.mT) / 2 + total * (inner - inner.mT) / 2
    core = core + torch.diag_embed(values_grad)  # ds_i = u_i'dY v_i
    pulled = left @ core @ right
    # Outside of span U (n > q) or of span V (n < q) the quotient is h_i / s_i, as there the other value is 0.
    if left.shape[-2] > right.shape[-1]:
        pulled = pulled + ((grad @ right.mT - left @ inner) * along[..., None, :]) @ right
    elif left.shape[-2] < right.shape[-1]:
        pulled = pulled + left @ (along[..., :, None] * (left.mT @ grad - inner @ right))
    return pulled


def _slopes(values: Tensor, whitened: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Return (h_i - h_j) / (s_i - s_j) and (h_i + h_j) / (s_i + s_j), (..., k, k), of h = min(s / floor, 1).

    Both lie in [0, 1 / floor]. For two values on the same side of the floor the first is 0 (above) or 1 /
    floor (below), whatever their difference, so only values on different sides are divided by it.
    """
    s_i, s_j = values[..., :, None], values[..., None, :]
    h_i, h_j = whitened[..., :, None], whitened[..., None, :]
    above_i, above_j = s_i > floor, s_j > floor
    mixed = above_i ^ above_j
    quotient = (h_i - h_j) / torch.where(mixed, s_i - s_j, 1.0)
    same = torch.where(above_i, 0.0, 1 / floor)
    total = s_i + s_j
    return (
        torch.where(mixed, quotient, same),
        torch.where(total > 0, (h_i + h_j) / torch.where(total > 0, total, 1.0), 1 / floor),
    )


@with_gradient(_clipped_gradient, outputs=2)
def clipped(centered: Tensor, Y: Tensor, floor: float) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return U min(S / floor, 1) V' of the centered Y = U S V', and the singular values s of Y.

    If all singular values exceed the floor, the first result is the polar factor Y (Y'Y)^-1/2. Singular
    values of the size of rounding errors count as 0. The gradient of the first result is the Daleckii-Krein
    formula for singular values, with divided differences of min(s / floor, 1). If g is the gradient of a loss
    with respect to s, the gradient with respect to Y is U diag(g) V'. This holds for losses that do not
    change if equal singular values are exchanged.

    Parameters
    ----------
    centered, Y : Tensor, (..., n, q)
        Y after and before its mean is subtracted.
    floor : float, > 0

    Returns
    -------
    whitened : Tensor, (..., n, q)
    values : Tensor, (..., min(n, q)), s
    """
    left, values, right = linalg.svd(centered)
    values = torch.where(values > cca.rank_tolerance(values, Y), values, 0.0)
    whitened = (values / floor).clamp(max=1)
    return ((left * whitened[..., None, :]) @ right, values), (left, values, right, whitened, floor)


@dataclass(frozen=True, kw_only=True)
class ShapeMetric(Measure):
    """The Procrustes distance of X and Y after both have been whitened in part.

    The centered Y = U S V' is replaced by U (alpha S + (1 - alpha) c min(S / floor, 1)) V', and so is X. The
    convention sets the constant c and the floor of the singular values.

    Parameters
    ----------
    alpha : float, 0 to 1
        1 leaves the data as they are, 0 whitens them.
    convention : {"netrep", "repsim"}
        The package whose definition is used. ``netrep``: c = 1; eigenvalues of Y'Y below 1e-7 are raised to
        it; the result is rescaled to the variance of Y. The dataset with fewer units is padded with zero
        columns, whose eigenvalues are raised too. ``repsim``: c = sqrt(samples); eigenvalues of
        Y'Y / samples below 1e-9 are raised to it; nothing is rescaled.
    metric : {"angular", "euclidean"}
        Let A and B be the whitened X and Y. ``angular`` is arccos(||A'B||_* / (||A|| ||B||)) in radians, and
        ``euclidean`` is the minimum of ||A - B Q||_F over orthogonal Q.

    Raises
    ------
    InputError
        ``alpha`` is not between 0 and 1, or another option has a value that is not listed.

    References
    ----------
    Williams et al. 2021, Generalized Shape Metrics on Neural Representations, arXiv:2110.14739.
    """

    alpha: float = 0.5
    convention: Convention = "netrep"
    metric: Metric = "angular"

    def __post_init__(self) -> None:
        checks.options(self, alpha=(0, 1))

    @property
    def facts(self) -> Facts:
        """The distance is invariant to rotation and offset; other invariances depend on the options."""
        angular = self.metric == "angular"
        restored = self.convention == "netrep"
        invariant = ROTATIONAL - {"isotropic_scaling"}
        if self.alpha == 1 and angular:
            invariant = ROTATIONAL
        elif self.alpha == 0 and (angular or not restored):
            invariant = AFFINE
        apart = "arccos(||A'B||_* / (||A||_F ||B||_F))" if angular else "min_Q ||A - B Q||_F"
        whitening = "1" if restored else "sqrt(n)"
        formula = f"{apart}, A = U (a S + (1 - a) {whitening}) V' of X = U S V', B of Y, a = {self.alpha:g}"
        if restored and not angular:
            formula += ", each rescaled to its variance"
        return Facts(
            family="shape",
            formula=formula,
            source="Williams et al. 2021, Generalized Shape Metrics, arXiv:2110.14739",
            **distance_facts(math.pi / 2 if angular else math.inf),
            **both(invariant),
            sample_rotations=restored,
            relations=self._relations(),
        )

    def _relations(self) -> tuple[str, ...]:
        if self.alpha == 1:
            return ("procrustes_angle",) if self.metric == "angular" else ("procrustes_euclidean",)
        if self.alpha > 0:
            return ("between procrustes (alpha 1) and cca (alpha 0)",)
        if self.metric == "angular":
            return ("cca_angle",)
        return ("sqrt(n (rank X + rank Y - 2 sum rho))",) if self.convention == "repsim" else ()

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if alpha is 0 and X or Y spans all centered samples, else None."""
        same = "whitened, every Y has the same angle to X."
        return None if self.alpha > 0 else extent.spanned(("Y", "X"), same)

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the distance."""
        n, p = reference.samples, reference.responses.shape[-1]
        # repsim floors the covariance Y'Y / n, so in singular values of Y both c and the floor grow by
        # sqrt(n).
        scale = 1 if self.convention == "netrep" else n
        white, floor = (1 - self.alpha) * math.sqrt(scale), math.sqrt(_FLOORS[self.convention] * scale)
        factor = reference.factor
        X_values = vector_norm(factor, dim=0)  # singular values of X (K,)
        # U (alpha S + white min(S / floor, 1)): V does not matter to a Procrustes distance.
        X = factor / X_values * (self.alpha * X_values + white * (X_values / floor).clamp(max=1))
        X_unit = procrustes.unit(X)

        def evaluate(moments: Moments) -> Tensor:
            Y = moments.centered
            if self.alpha < 1:
                whitened, values = clipped(moments.centered, moments.Y, floor)
                Y = self.alpha * Y + white * whitened
            if self.metric == "angular":
                return procrustes.angle(procrustes.distance(procrustes.unit(Y), X_unit))
            # At alpha 1 nothing was whitened, so the variance is unchanged.
            if self.alpha == 1 or self.convention == "repsim":
                return procrustes.distance(Y, X)
            width = max(p, moments.Y.shape[-1])
            Y = Y * self._restoring(values, width, floor)[..., None, None]
            return procrustes.distance(Y, X * self._restoring(X_values, width, floor))

        return evaluate

    def _restoring(self, values: Tensor, width: int, floor: float) -> Tensor:
        """Return the factor that restores the variance, of shape (...).

        sqrt(sum l / sum (alpha sqrt(l) + 1 - alpha)^2) over ``width`` eigenvalues l, of which those without a
        singular value in ``values`` are at the floor.
        """
        missing = width - values.shape[-1]  # eigenvalues at the floor
        root = values.clamp(min=floor)  # sqrt(l) (..., k)
        before = root.square().sum(dim=-1) + missing * floor**2
        after = (self.alpha * root + 1 - self.alpha).square().sum(dim=-1)
        after = after + missing * (self.alpha * floor + 1 - self.alpha) ** 2
        return (before / after).sqrt()
