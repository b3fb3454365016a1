"""Procrustes distances: how far apart X and Y are after the best rotation of one onto the other.

Every score here is a monotone function of d = min over orthogonal Q of ||X - Y Q||_F. d is computed as the
norm of the residual X - Y Q, not as the root of ||X||^2 + ||Y||^2 - 2 ||X'Y||_*. Near Y = X that difference
cancels, and half of the digits of d would be lost.
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
from simopt.measures.base import ROTATIONAL, Facts, Measure, Score, both
from simopt.measures.folds import Folds, refuse_small, rounding_power
from simopt.measures.moments import Moments, Reference
from simopt.norms import matrix_norm

ProcrustesForm = Literal["distance", "squared", "angle", "disparity", "similarity"]

_ZERO = 10.0
"""Distances up to this many eps max(n, p, q) (||X|| + ||Y||) count as 0, as their gradient would be noise."""

_FORMULAS = {
    "distance": "{d}",
    "squared": "({d})^2",
    "angle": "arccos(||X'Y||_* / (||X||_F ||Y||_F))",
    "disparity": "1 - (||X'Y||_* / (||X||_F ||Y||_F))^2",
    "similarity": "1 - {d} / 2",
}
_RELATIONS = {
    ("distance", False): ("Bures distance of the kernels XX' and YY'", "shape_euclidean at alpha 1"),
    ("squared", False): ("the square of procrustes_euclidean",),
    ("distance", True): ("sqrt(2 - 2 nbs)",),
    ("squared", True): ("2 - 2 nbs",),
    ("angle", True): ("arccos(nbs)", "shape_angular at alpha 1"),
    ("disparity", True): ("1 - nbs_squared", "scipy.spatial.procrustes"),
    ("similarity", True): ("1 - sqrt(2 - 2 nbs) / 2 where X and Y are centered",),
}


def _distance_gradient(grad: Tensor, residual: Tensor, distance: Tensor, zero: Tensor) -> Tensor:
    # d d = d(d^2) / (2 d) = <A - F P, dA> / d.
    slope = torch.where(distance > zero, grad / torch.where(distance > zero, distance, 1.0), 0.0)
    return slope[..., None, None] * residual


@with_gradient(_distance_gradient)
def distance(matrix: Tensor, factor: Tensor) -> tuple[Tensor, Saved]:
    """Return the Procrustes distance d = min over orthogonal Q of ||F - A Q||_F, a tensor of shape (...).

    The matrix with fewer columns is padded with zero columns. d^2 = ||F||^2 + ||A||^2 - 2 ||F'A||_* has the
    gradient 2 (A - F P), where P is the polar factor of F'A. This gradient is exact even if singular values
    of F'A are equal. If some are zero, it is a subgradient. At d = 0 the gradient does not exist and is set
    to 0.

    Parameters
    ----------
    matrix : Tensor, (..., n, q), A
    factor : Tensor, (n, r), F
        A constant.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    polar = linalg.polar(factor.mT @ matrix)  # P (..., r, q)
    residual = matrix - factor @ polar
    # The norm of the residual is d only if F P has the norm of F, that is if P has orthonormal rows (r <= q).
    # Otherwise P' does, and A is rotated instead.
    narrow = factor.shape[-1] <= matrix.shape[-1]
    apart = matrix_norm(residual if narrow else factor - matrix @ polar.mT)
    size = matrix_norm(matrix) + matrix_norm(factor)
    zero = _ZERO * torch.finfo(matrix.dtype).eps * max(*matrix.shape[-2:], factor.shape[-1]) * size
    return apart, (residual, apart, zero)


def angle(chord: Tensor) -> Tensor:
    """Return the angle between two unit vectors, given their distance d in [0, 2], elementwise.

    2 arcsin(d / 2) is the same as arccos(1 - d^2 / 2), but also accurate for small angles.
    """
    return 2 * torch.asin((chord / 2).clamp(max=1))


def unit(matrix: Tensor) -> Tensor:
    """Return A / ||A||_F for A (..., n, q); the result is NaN if A is zero."""
    return matrix / matrix_norm(matrix, keepdim=True)


def _uncentered_factor(reference: Reference) -> Tensor:
    """Return U S of X = U S V', not centered, (n, K), over its nonzero singular values."""
    # In float64, but with the rank that X has in the precision it was passed in.
    left, values, _ = torch.linalg.svd(reference.responses.double(), full_matrices=False)
    eps = torch.finfo(reference.responses.dtype).eps
    keep = values > eps * max(reference.responses.shape) * values[0]
    return (left * values)[:, keep].to(reference.responses.dtype)


@dataclass(frozen=True, kw_only=True)
class Procrustes(Measure):
    """The distance of X and Y after the best rotation or reflection of one onto the other.

    Parameters
    ----------
    form : {"distance", "squared", "angle", "disparity", "similarity"}
        The function of the distance d that is returned. ``distance``: d. ``squared``: d^2. For X and Y of
        unit norm, with the cosine c = 1 - d^2 / 2: ``angle`` is arccos(c) in radians, ``disparity`` is
        1 - c^2, and ``similarity`` is 1 - d / 2, the only form in which larger is closer.
    centered : bool
        Whether the mean over samples is subtracted from X and Y first.
    normalized : bool
        Whether X and Y are divided by their Frobenius norms first; ``angle``, ``disparity`` and
        ``similarity`` require this.
    folds : int >= 2, or None
        The number of folds of contiguous samples, or of groups if X has groups. The means and the rotation
        come from the train samples, and the score is the mean over folds. It has no gradient, as the
        derivative of the rotation is infinite where a singular value of X'Y is 0. If ``folds`` is None, all
        samples are rotated and scored.

    Raises
    ------
    InputError
        An option has another value than those listed, or the form requires ``normalized=True``.

    References
    ----------
    Williams et al. 2021, Generalized Shape Metrics on Neural Representations, arXiv:2110.14739.

    Examples
    --------
    Rotations do not change the distance. Here Y is X rotated by 90 degrees:

    >>> import torch, simopt
    >>> X = torch.tensor([[1.0, 0], [-1, 0], [0, 0.5], [0, -0.5]], dtype=torch.float64)
    >>> turn = torch.tensor([[0.0, 1], [-1, 0]], dtype=torch.float64)
    >>> round(simopt.measures.get("procrustes_euclidean")(X, X @ turn).item(), 6)
    0.0
    """

    form: ProcrustesForm = "distance"
    centered: bool = True
    normalized: bool = False
    folds: int | None = None

    def __post_init__(self) -> None:
        checks.options(self, folds=2)
        if self.form not in ("distance", "squared") and not self.normalized:
            raise InputError(
                f"{self.name}: form={self.form} needs X and Y of unit norm; set normalized=true."
            )

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation, to offsets if centered, and to scale if normalized."""
        norms = ", ||X||_F = ||Y||_F = 1" if self.normalized and self.form != "angle" else ""
        formula = _FORMULAS[self.form].format(d="min_Q ||X - Y Q||_F") + norms
        if not self.centered:
            formula += ", not centered"
        if self.folds is not None:
            formula += f", on held-out folds ({self.folds}, contiguous), then averaged"
        invariant = ROTATIONAL - ({"translation"} if not self.centered else frozenset())
        invariant -= {"isotropic_scaling"} if not self.normalized else frozenset()
        low, high = self._bounds()
        plain = self.folds is None and (self.centered or self.form == "similarity")
        return Facts(
            family="procrustes",
            formula=formula,
            source="Williams et al. 2021, Generalized Shape Metrics, arXiv:2110.14739",
            low=low,
            high=high,
            at_self=1.0 if self.form == "similarity" else 0.0,
            larger_is_closer=self.form == "similarity",
            **both(invariant),
            differentiable=self.folds is None,
            cost="n p^2 + p^3",
            relations=_RELATIONS[self.form, self.normalized] if plain else (),
        )

    def _bounds(self) -> tuple[float, float]:
        """Return the range: X and the rotated Y have a cosine >= 0, but on held-out samples it may be -1."""
        widest = math.sqrt(2) if self.folds is None else 2.0
        if self.form == "similarity":
            return 1 - widest / 2, 1.0
        if self.form == "disparity":
            return 0.0, 1.0
        if self.form == "angle":
            return 0.0, math.pi / 2 if self.folds is None else math.pi
        highest = widest if self.form == "distance" else widest**2
        return 0.0, highest if self.normalized else math.inf

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            There are more folds than samples or groups; or X and Y are normalized and a fold has fewer than 3
            samples. The returned function raises this error if the train samples of a fold do not determine
            the rotation, as they may if they are fewer than the units, or if X or Y are normalized and do
            not vary in a fold.
        """
        factor = reference.factor if self.centered else _uncentered_factor(reference)
        if self.folds is not None:
            groups = self.groups_to_keep(reference)
            folds = Folds.of(reference.samples, self.folds, groups, self.name, factor.device)
            if self.normalized:  # a cosine; a distance is a sum over samples, and defined for any number
                refuse_small(self.name, min(folds.sizes), reference.samples, groups)
            held_out = torch.no_grad()(self._held_out)
            return lambda moments: held_out(factor, moments, folds)
        factor = self._scaled(factor)
        return lambda moments: self.apply_form(distance(self._scaled(self._rows(moments)), factor))

    def _rows(self, moments: Moments) -> Tensor:
        return moments.centered if self.centered else moments.Y

    def _scaled(self, matrix: Tensor) -> Tensor:
        return unit(matrix) if self.normalized else matrix

    def apply_form(self, distance: Tensor) -> Tensor:
        """Return the form of the distances d, (...), that ``form`` names."""
        if self.form == "angle":
            return angle(distance)
        if self.form == "similarity":
            return 1 - distance / 2
        if self.form == "distance":
            return distance
        squared = distance.square()
        # 1 - c^2 = (1 - c)(1 + c) with c = 1 - d^2 / 2.
        return squared if self.form == "squared" else squared * (1 - squared / 4)

    def _held_out(self, factor: Tensor, moments: Moments, folds: Folds) -> Tensor:
        Y = self._rows(moments)
        # The rank that X'Y of the train samples should have: the smaller of those of X and Y.
        rank = _rank(linalg.singular_values(Y), max(Y.shape[-2:])).clamp(max=factor.shape[-1])
        x_parts, y_parts = folds.parts(factor), folds.parts(Y)
        x_rounding, y_rounding = (rounding_power(side) for side in (moments.reference.responses, moments.Y))
        scores = []
        for k, (x, y) in enumerate(zip(x_parts, y_parts, strict=True)):
            x_train, y_train = folds.train(x_parts, k), folds.train(y_parts, k)
            if self.centered:
                x_mean, y_mean = (train.mean(dim=-2, keepdim=True) for train in (x_train, y_train))
                x_train, x = x_train - x_mean, x - x_mean
                y_train, y = y_train - y_mean, y - y_mean
            left, values, right = linalg.svd(x_train.mT @ y_train)
            # The rotation U V' is unique only if X'Y of the train samples has the rank of X and Y as a whole.
            if bool((_rank(values, max(*Y.shape[-2:], factor.shape[-1])) < rank).any()):
                raise InputError(
                    f"{self.name}: the {len(x_train)} train samples of a fold do not determine the "
                    f"rotation between {factor.shape[-1]} and {Y.shape[-1]} dimensions; reduce X and Y to "
                    "fewer dimensions, or use folds=null."
                )
            # The narrower one is rotated into the space of the wider, so that no length is lost.
            if factor.shape[-1] <= Y.shape[-1]:
                x = x @ (left @ right)
            else:
                y = y @ (left @ right).mT
            for side, part, rounding in (("X", x, x_rounding), ("Y", y, y_rounding)):
                if self.normalized and bool((part.square().sum(dim=(-2, -1)) <= rounding).any()):
                    raise InputError(
                        f"{self.name}: {side} does not vary in one of {len(x_parts)} folds; use fewer folds."
                    )
            apart = matrix_norm(self._scaled(x) - self._scaled(y))
            scores.append(self.apply_form(apart))
        return torch.stack(scores, dim=-1).mean(dim=-1)


def _rank(values: Tensor, size: int) -> Tensor:
    tolerance = torch.finfo(values.dtype).eps * size * values[..., :1]
    return (values > tolerance).sum(dim=-1)
