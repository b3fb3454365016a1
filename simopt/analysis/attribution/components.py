"""Scores with one principal component of X, or one unit, taken away, for all at once where sums allow it."""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.analysis.attribution.nuclear import nuclear_norms_without
from simopt.analysis.attribution.samples import Side, fitted, shaped, trusted
from simopt.measures import Measure, Moments, Reference
from simopt.measures.kernel import KernelSimilarity
from simopt.measures.regression import Regression


def without_component(reference: Reference, component: int) -> Reference:
    """Return the reference whose responses lack one principal component, the others in their scale.

    With t its scores, X - t (t'X) / t't.
    """
    keep = torch.ones_like(reference.variance_ratio, dtype=torch.bool)
    keep[component] = False
    kept = reference.variance_ratio[keep]
    share = float(kept.sum())
    t = reference.scores[:, component]
    mean = reference.responses.mean(dim=0)
    rest = reference.responses - mean
    # Twice: what rounding leaves of a large PC would count as one of its own.
    for _ in range(2):
        rest = rest - torch.outer(t, t @ rest) / t.square().sum()
    return Reference(
        responses=rest + mean,
        scores=reference.scores[:, keep] / share**0.5,
        variance_ratio=kept / share,
        norm=reference.norm * share**0.5,
    )


def scores_without_each_component(measure: Measure, moments: Moments) -> Tensor | None:
    """Return the score without PC i, (K,), NaN where it has to be computed anew; None: no formula."""
    p = moments.reference.variance_ratio
    if isinstance(measure, Regression) and measure.folds is None:
        return fitted(measure, lambda: _predicted(measure, moments), lambda: _predicting(measure, moments))
    if not isinstance(measure, KernelSimilarity) or measure.kernel != "linear":
        return None
    if measure.comparison == "bures":
        left = others(p)
        eye = torch.eye(len(p), dtype=p.dtype)
        nuclear = nuclear_norms_without(moments.cross, eye, moments.cross)
        return shaped(measure.form, trusted(nuclear / (moments.total * left).sqrt(), left))
    if measure.estimator != "biased":
        return None
    cross, small = moments.cross_and_small
    own = others(p.square()).sqrt() * torch.linalg.matrix_norm(small)
    return shaped(measure.form, others(cross.square().sum(dim=1)) / own)


def scores_without_each_unit(measure: Measure, side: Side, other: Side) -> Tensor | None:
    """Return the score without unit u of one side, (units,), NaN where it has to be computed anew.

    None where there is no formula. The columns of ``side.rows`` are the units; which side is X does not
    matter to the measures that have one.
    """
    if not isinstance(measure, KernelSimilarity) or measure.kernel != "linear":
        return None
    Z = side.rows
    cross = other.rows.mT @ Z
    if measure.comparison == "bures":
        left = others(Z.square().sum(dim=0))
        eye = torch.eye(Z.shape[1], dtype=Z.dtype)
        return shaped(measure.form, trusted(nuclear_norms_without(cross, cross.mT, eye) / left.sqrt(), left))
    if measure.estimator != "biased":
        return None
    gram = Z.mT @ Z
    whole = gram.square().sum()
    own = whole - 2 * gram.square().sum(dim=0) + gram.diagonal().square()
    size = torch.linalg.matrix_norm(other.rows.mT @ other.rows)
    score = others(cross.square().sum(dim=0)) / (own.clamp(min=0).sqrt() * size)
    return shaped(measure.form, trusted(score, own / whole))


def others(values: Tensor) -> Tensor:
    """Return for each entry the sum of all others, (m,), without the loss of digits of a difference."""
    zero = values.new_zeros(1)
    before = torch.cat([zero, values[:-1]]).cumsum(dim=0)
    after = torch.cat([zero, values.flip(0)[:-1]]).cumsum(dim=0).flip(0)
    return before + after


def _predicted(measure: Regression, moments: Moments) -> Tensor:
    """Each PC is a target by itself: its part of <T, P> and of ||P||^2 goes with it."""
    U, s = Side.of(moments.Y.numpy()).axes()
    UT = (U.mT @ moments.reference.scores).square()
    kept = s.square() / (s.square() + measure.penalty)
    return _statistic(measure, kept @ UT, kept.square() @ UT, moments.reference.variance_ratio)


def _predicting(measure: Regression, moments: Moments) -> Tensor:
    """PCs are orthogonal predictors: each explains its part of Y by itself."""
    p = moments.reference.variance_ratio
    held = moments.reference.norm**2 * p
    kept = held / (held + measure.penalty)
    explained = moments.cross.square().sum(dim=1) / p
    total = moments.total / (len(p) - 1) * torch.ones_like(p)
    return _statistic(measure, kept * explained, kept.square() * explained, total)


def _statistic(measure: Regression, overlap: Tensor, power: Tensor, total: Tensor) -> Tensor:
    overlap, power, total = others(overlap), others(power), others(total)
    if measure.statistic == "r2":
        return (2 * overlap - power) / total
    return torch.where(power > 0, overlap / (total * power.clamp(min=1e-300)).sqrt(), 0.0)
