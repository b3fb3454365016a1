"""Scores without each principal component of X, or without each unit, by formulas for all of them at once.

F (n, K) are the PC scores of X, scaled so that F'F = diag(p), where p (K,) is the share of each PC in the
variance of X. C (K, q) is F'Y. To leave PC i out is to remove row i of C and entry i of p.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.analysis.attribution.nuclear import nuclear_norms_without
from simopt.analysis.attribution.samples import Side, fitted, shaped, trusted
from simopt.measures import Measure, Moments, Reference
from simopt.measures.kernel import KernelSimilarity
from simopt.measures.regression import Regression
from simopt.norms import matrix_norm


def without_component(reference: Reference, component: int) -> Reference:
    """Return the reference without one principal component. The scale of all other PCs is unchanged.

    Its responses are X - t (t'X) / t't, where t (n,) are the scores of the component that is left out.
    """
    keep = torch.ones_like(reference.variance_ratio, dtype=torch.bool)
    keep[component] = False
    kept = reference.variance_ratio[keep]
    share = float(kept.sum())
    t = reference.scores[:, component]
    mean = reference.responses.mean(dim=0)
    rest = reference.responses - mean
    # Twice: the rounding error that one projection leaves of a large PC would count as a PC of its own.
    for _ in range(2):
        rest = rest - torch.outer(t, t @ rest) / t.square().sum()
    return Reference(
        responses=rest + mean,
        scores=reference.scores[:, keep] / share**0.5,
        variance_ratio=kept / share,
        norm=reference.norm * share**0.5,
        rows=reference.rows,
    )


def scores_without_each_component(measure: Measure, moments: Moments) -> Tensor | None:
    """Return the score without each PC, (K,); None if there is no formula for the measure.

    An entry is NaN if the formula would lose digits. The caller must then recompute this score.
    """
    p = moments.reference.variance_ratio
    if isinstance(measure, Regression) and measure.folds is None:
        return fitted(measure, lambda: _predicted(measure, moments), lambda: _predicting(measure, moments))
    if not isinstance(measure, KernelSimilarity) or measure.kernel != "linear":
        return None
    if measure.comparison == "bures":
        # nbs = ||C||_* / sqrt(||F||^2 ||Y||^2). Row i of C is removed by C - e_i (e_i'C), a change of rank
        # one.
        left = others(p)
        eye = torch.eye(len(p), dtype=p.dtype)
        nuclear = nuclear_norms_without(moments.cross, eye, moments.cross)
        return shaped(measure.form, trusted(nuclear / (moments.total * left).sqrt(), left))
    if measure.estimator != "biased":
        return None
    # cka = ||C||_F^2 / (||F'F||_F ||Y'Y||_F), and ||F'F||_F^2 = sum p_i^2: every term is a sum over PCs.
    cross, small = moments.cross_and_small
    norms = others(p.square()).sqrt() * matrix_norm(small)
    return shaped(measure.form, others(cross.square().sum(dim=1)) / norms)


def scores_without_each_unit(measure: Measure, side: Side, other: Side) -> Tensor | None:
    """Return the score without each unit of one dataset, (units,); None if there is no formula.

    An entry is NaN if the formula would lose digits. The caller must then recompute this score.

    Parameters
    ----------
    measure : Measure
    side : Side
        The dataset whose units are left out. Its ``rows`` must have one column for each unit.
    other : Side
        The other dataset. It may be X or Y, because the measures with a formula are symmetric.
    """
    if not isinstance(measure, KernelSimilarity) or measure.kernel != "linear":
        return None
    Z = side.rows  # (n, units)
    cross = other.rows.mT @ Z
    if measure.comparison == "bures":
        left = others(Z.square().sum(dim=0))
        eye = torch.eye(Z.shape[1], dtype=Z.dtype)
        return shaped(measure.form, trusted(nuclear_norms_without(cross, cross.mT, eye) / left.sqrt(), left))
    if measure.estimator != "biased":
        return None
    # ||Z'Z||_F^2 without row and column u of Z'Z; entry (u, u) is in both and was subtracted twice.
    gram = Z.mT @ Z
    whole = gram.square().sum()
    reduced = whole - 2 * gram.square().sum(dim=0) + gram.diagonal().square()
    size = matrix_norm(other.rows.mT @ other.rows)
    score = others(cross.square().sum(dim=0)) / (reduced.clamp(min=0).sqrt() * size)
    return shaped(measure.form, trusted(score, reduced / whole))


def others(values: Tensor) -> Tensor:
    """Return for each of m numbers the sum of all other numbers, (m,).

    It adds the sum of the numbers before and the sum of the numbers after each number. Subtracting a number
    from the total would lose digits if the number were nearly the total.
    """
    zero = values.new_zeros(1)
    before = torch.cat([zero, values[:-1]]).cumsum(dim=0)
    after = torch.cat([zero, values.flip(0)[:-1]]).cumsum(dim=0).flip(0)
    return before + after


def _predicted(measure: Regression, moments: Moments) -> Tensor:
    """Return the statistic of X without each PC, predicted from Y, (K,).

    Targets are fitted separately, so <T, P>, ||P||^2 and ||T||^2 are sums over PCs. With Y = U diag(s) V',
    the part of PC i is sum_k w_k (u_k'f_i)^2 for <T, P>, and with w_k^2 for ||P||^2; w_k = s_k^2 / (s_k^2 +
    lambda).
    """
    U, s = Side.of(moments.Y.numpy()).axes()
    UT = (U.mT @ moments.reference.scores).square()  # (rank, K)
    kept = s.square() / (s.square() + measure.penalty)
    return _statistic(measure, kept @ UT, kept.square() @ UT, moments.reference.variance_ratio)


def _predicting(measure: Regression, moments: Moments) -> Tensor:
    """Return the statistic of Y predicted from X without each PC, (K,).

    PCs are orthogonal predictors, so the ridge fit on all of them is the sum of the fits on each.
    """
    p = moments.reference.variance_ratio
    squared_lengths = moments.reference.norm**2 * p  # of the PC scores in the scale of X
    kept = squared_lengths / (squared_lengths + measure.penalty)
    explained = moments.cross.square().sum(dim=1) / p  # sum of squares of Y along each PC, (K,)
    # Y loses nothing with a PC of X: others() of these equal parts is the whole total for every PC.
    total = moments.total / (len(p) - 1) * torch.ones_like(p)
    return _statistic(measure, kept * explained, kept.square() * explained, total)


def _statistic(measure: Regression, overlap: Tensor, power: Tensor, total: Tensor) -> Tensor:
    """Return R2 or correlation without each PC, from the parts of <T, P>, ||P||^2, ||T||^2, all (K,)."""
    overlap, power, total = others(overlap), others(power), others(total)
    if measure.statistic == "r2":
        return (2 * overlap - power) / total  # 1 - ||T - P||^2 / ||T||^2
    return torch.where(power > 0, overlap / (total * power.clamp(min=1e-300)).sqrt(), 0.0)
