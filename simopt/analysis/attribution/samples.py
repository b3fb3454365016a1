"""Scores with one sample deleted, for all samples at once, from the moments of all of them.

Deleting sample j of n moves the means as well: with centered rows x_j and y_j and a = n / (n - 1),

    X'Y -> X'Y - a x_j y_j',    X'X -> X'X - a x_j x_j',    Y'Y -> Y'Y - a y_j y_j'.

Norms, nuclear norms and residuals of these follow from products that are computed once. What is left of a sum
loses digits where the sample held nearly all of it: such samples come back as NaN, to be scored anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt import linalg
from simopt.analysis.attribution.nuclear import nuclear_norms_without
from simopt.measures import Measure, forms
from simopt.measures.kernel import Estimator, KernelSimilarity
from simopt.measures.procrustes import Procrustes
from simopt.measures.regression import Regression
from simopt.measures.rv import AdjustedRV, SharedDimensions
from simopt.theory.closed_forms import DISTANCES
from simopt.typing import FloatArray, Form

_LEFT = 1e-6
"""The least share of a sum of squares that must be left for its digits to be trusted."""
_HIGH_LEVERAGE = 0.25
"""Samples that leave their own prediction more freedom than this are never scored anew for the condition."""


@dataclass(frozen=True)
class Side:
    """One dataset as centered rows.

    Attributes
    ----------
    rows : Tensor of float64, (n, r)
        Of unit Frobenius norm; their inner products are those of the responses.
    norm : float
        Frobenius norm of the centered responses.
    squares : Tensor, (n,)
        Squared norms of the rows: the share of each sample in the variance.
    """

    rows: Tensor
    norm: float
    squares: Tensor

    @classmethod
    def of(cls, array: FloatArray, *, keep_units: bool = False) -> Side:
        """Center and scale responses (n, units), which vary; more units than samples are rotated into n."""
        scale = float(abs(array).max())
        centered = linalg.center(torch.from_numpy(array.astype("float64") / scale))
        size = float(torch.linalg.matrix_norm(centered))
        rows = centered / size
        if not keep_units and rows.shape[1] > rows.shape[0]:
            left, values, _ = linalg.svd(rows)
            rows = left * values
        return cls(rows, scale * size, rows.square().sum(dim=1))

    @property
    def samples(self) -> int:
        """The number of samples, n."""
        return len(self.rows)

    @property
    def weight(self) -> float:
        """The factor a = n / (n - 1) of the downdates."""
        return self.samples / (self.samples - 1)

    @property
    def totals(self) -> Tensor:
        """The sum of squares without each sample, of a whole of 1, (n,)."""
        return 1 - self.weight * self.squares

    def axes(self) -> tuple[Tensor, Tensor]:
        """Return U (n, rank) and s (rank,) of the responses = norm x rows, without zero singular values."""
        left, values, _ = linalg.svd(self.rows)
        keep = values > torch.finfo(values.dtype).eps * max(self.rows.shape) * values[0]
        return left[:, keep], values[keep] * self.norm


def scores_without_each(measure: Measure, X: Side, Y: Side) -> Tensor | None:
    """Return the score without sample j, (n,), NaN where it has to be computed anew; None: no formula."""
    if X.samples < 6:
        return None
    if isinstance(measure, KernelSimilarity) and measure.kernel == "linear":
        if measure.comparison == "bures":
            return shaped(measure.form, _bures(X, Y))
        return shaped(measure.form, _cosine(X, Y, measure.estimator))
    if isinstance(measure, Regression) and measure.folds is None:
        return fitted(measure, lambda: _regression(measure, Y, X), lambda: _regression(measure, X, Y))
    if isinstance(measure, Procrustes) and measure.centered and measure.folds is None:
        return _procrustes(measure, X, Y)
    if isinstance(measure, SharedDimensions):
        return _cosine(X, Y) * _participation(X, Y)
    if isinstance(measure, AdjustedRV) and measure.adjustment == "ghaziri":
        expected = _participation(X, Y) / (X.samples - 2)
        return (_cosine(X, Y) - expected) / (1 - expected)
    return None


def shaped(form: Form, score: Tensor) -> Tensor:
    """Return the form of scores; NaN next to 1 where an angle would magnify their last digits."""
    if form in ("score", "squared"):
        return forms.apply(form, score)
    return forms.apply(form, torch.where(1 - score > _LEFT, score, math.nan))


def fitted(measure: Regression, of_x: Callable[[], Tensor], of_y: Callable[[], Tensor]) -> Tensor:
    """Return the form of the fits of X on Y, of Y on X, or of their mean, as the measure's direction says."""
    ways = {"y_to_x": [of_x], "x_to_y": [of_y]}.get(measure.direction, [of_x, of_y])
    return shaped(measure.form, torch.stack([way() for way in ways]).mean(dim=0))


def trusted(value: Tensor, left: Tensor) -> Tensor:
    """Return values, NaN where too little is left of the sums they come from."""
    return torch.where(left > _LEFT, value, math.nan)


def _product(P: Side, Q: Side, estimator: Estimator = "biased") -> tuple[Tensor, float]:
    """Return the inner products of the linear kernels without each sample, (n,), and of the whole ones."""
    n, m, a = P.samples, P.samples - 1, P.weight
    cross = P.rows.mT @ Q.rows
    chain = _dot(P.rows @ cross, Q.rows)  # p_j' P'Q q_j
    both = P.squares * Q.squares
    whole = cross.square().sum()
    if estimator == "debiased":
        # Kernels without diagonal k_il = p_i'p_l; the estimator is blind to where the rows are centered.
        p_sum, q_sum = -P.squares, -Q.squares  # sums of their rows
        inner = whole - both.sum() - 2 * (chain - both)
        totals = (p_sum.sum() - 2 * p_sum) * (q_sum.sum() - 2 * q_sum)
        chained = (
            both.sum()
            - p_sum * q_sum
            - (Q.rows @ (Q.rows.mT @ p_sum) - p_sum * Q.squares)
            - (P.rows @ (P.rows.mT @ q_sum) - q_sum * P.squares)
            + (chain - both)
        )
        return inner + totals / ((m - 1) * (m - 2)) - 2 / (m - 2) * chained, float(whole)
    inner = whole - 2 * a * chain + a**2 * both
    if estimator == "zero_diagonal":
        # Rows about the mean of the others: p_i + p_j / (n - 1), of square P_i + 2 p_i'p_j / m + P_j / m^2.
        inner = inner - (
            both.sum()
            + 2 / m * (Q.rows @ (Q.rows.mT @ P.squares) + P.rows @ (P.rows.mT @ Q.squares))
            + (P.squares * Q.squares.sum() + Q.squares * P.squares.sum() + 4 * chain) / m**2
            + n * both / m**4
            - a**4 * both
        )
    return inner, float(whole)


def _cosine(X: Side, Y: Side, estimator: Estimator = "biased") -> Tensor:
    own, own_whole = _product(X, X, estimator)
    other, other_whole = _product(Y, Y, estimator)
    inner, _ = _product(X, Y, estimator)
    left = torch.minimum(own / own_whole, other / other_whole)
    return trusted(inner / (own.clamp(min=0) * other.clamp(min=0)).sqrt(), left)


def _participation(X: Side, Y: Side) -> Tensor:
    """Return sqrt(PR_x PR_y) without each sample, (n,)."""
    own, other = _product(X, X)[0], _product(Y, Y)[0]
    return X.totals * Y.totals / (own * other).sqrt()


def _nuclear(X: Side, Y: Side) -> Tensor:
    return nuclear_norms_without(X.rows.mT @ Y.rows, X.rows, Y.rows, X.weight)


def _bures(X: Side, Y: Side) -> Tensor:
    totals = X.totals * Y.totals
    return trusted(_nuclear(X, Y) / totals.clamp(min=0).sqrt(), totals)


def _procrustes(measure: Procrustes, X: Side, Y: Side) -> Tensor:
    if measure.normalized:
        cosine = _bures(X, Y)
        squared = 2 - 2 * trusted(cosine, 1 - cosine)
    else:
        own, other = X.norm**2 * X.totals, Y.norm**2 * Y.totals
        squared = own + other - 2 * X.norm * Y.norm * _nuclear(X, Y)
        squared = trusted(squared, squared / (X.norm**2 + Y.norm**2))
    form, *_ = DISTANCES[measure.form]
    return form(squared)


def _regression(measure: Regression, predictors: Side, targets: Side) -> Tensor:
    """Return the statistic of targets T on predictors A without each sample, (n,).

    With G = A'A + lambda I, coefficients W = G^-1 A'T, prediction p_j = W'a_j, residual e_j = t_j - p_j,
    g = G^-1 a_j, h = a_j'g and c = a / (1 - a h), W becomes W - c g e_j' (Sherman & Morrison 1950), and

        <T, P>  becomes  <T, P> - c p_j'e_j - a t_j'p_j + a c h t_j'e_j
        ||P||^2 becomes  ||P||^2 - 2 c g'A'A W e_j + c^2 g'A'A g ||e_j||^2 - a ||p_j - c h e_j||^2.
    """
    a = targets.weight
    U, values = predictors.axes()
    T = targets.rows
    total = targets.totals
    if measure.penalty == 0 and len(values) == targets.samples - 1:
        return trusted(torch.ones_like(total), total)
    kept = values.square() / (values.square() + measure.penalty)
    UT = U.mT @ T
    P, twice = (U * kept) @ UT, (U * kept.square()) @ UT
    E = T - P
    h = U.square() @ kept
    free = 1 - a * h
    c = a / free
    overlap_whole = kept @ UT.square().sum(dim=1)
    power_whole = kept.square() @ UT.square().sum(dim=1)
    overlap = overlap_whole - c * _dot(P, E) - a * _dot(T, P) + a * c * h * _dot(T, E)
    power = (
        power_whole
        - 2 * c * _dot(twice, E)
        + c.square() * (U.square() @ kept.square()) * _dot(E, E)
        - a * (P - (c * h)[:, None] * E).square().sum(dim=1)
    )
    # The residual is off by eps times the condition of A; a sample of high leverage magnifies it by 1 / free.
    condition = float(values[0]) / math.sqrt(float(values[-1]) ** 2 + measure.penalty)
    least = min(max(_LEFT, 1e8 * torch.finfo(T.dtype).eps * condition), _HIGH_LEVERAGE)
    left = torch.minimum(torch.where(free > least, 1.0, 0.0), torch.minimum(total, predictors.totals))
    if measure.statistic == "r2":
        return trusted((2 * overlap - power) / total, left)
    left = torch.minimum(left, torch.minimum(overlap / overlap_whole, power / power_whole))
    return trusted(overlap / (total * power).clamp(min=0).sqrt(), left)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(dim=1)
