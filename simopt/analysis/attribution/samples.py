"""Scores with one sample deleted, for all samples at once, by rank-one downdates of the moments.

Deleting sample j of n also moves the means. With centered rows x_j, y_j and a = n / (n - 1), the moments
about the new means are

    X'Y - a x_j y_j',    X'X - a x_j x_j',    Y'Y - a y_j y_j'.

(The other samples have the means -x_j / (n - 1) and -y_j / (n - 1), so (n - 1) x_j y_j' / (n - 1)^2 is
subtracted.) Their norms, nuclear norms and residuals follow from products that are computed once. If a sample
holds nearly all of a sum, the difference loses digits. The score is then NaN, and the caller recomputes it.
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
from simopt.norms import matrix_norm
from simopt.theory.closed_forms import DISTANCES
from simopt.typing import FloatArray, Form

_LEFT = 1e-6
"""Smallest share of a sum that must remain after a downdate. A rounding error of 2e-16 of the sum is then at
most 2e-10 of the remainder."""
_HIGH_LEVERAGE = 0.25
"""A regression is recomputed if the share 1 - a h of a sample's own residual is below a limit that grows with
the condition of the predictors. This bounds the limit: otherwise every sample could be recomputed."""


@dataclass(frozen=True)
class Side:
    """One of the two datasets, X or Y, centered and scaled, with the quantities that downdates need.

    Attributes
    ----------
    rows : Tensor of float64, (n, r)
        A matrix with Frobenius norm 1. The inner products of its rows are those of the centered samples,
        divided by ``norm`` squared.
    norm : float
        Frobenius norm of the centered responses.
    squares : Tensor, (n,)
        Squared norm of each row: the share of each sample in the variance.
    """

    rows: Tensor
    norm: float
    squares: Tensor

    @classmethod
    def of(cls, array: FloatArray, *, keep_units: bool = False) -> Side:
        """Center and scale the responses of one dataset.

        Parameters
        ----------
        array : array, (n, units)
            The responses, which must not be constant.
        keep_units : bool
            True: ``rows`` has one column for each unit. False: if there are more units than samples, they are
            rotated into at most n columns, which changes no inner product of samples.
        """
        # Division by the largest entry first: squares of responses near the limits of float64 would overflow.
        scale = float(abs(array).max())
        centered = linalg.center(torch.from_numpy(array.astype("float64") / scale))
        size = float(matrix_norm(centered))
        rows = centered / size
        if not keep_units and rows.shape[1] > rows.shape[0]:
            left, values, _ = linalg.svd(rows)
            rows = left * values
        return cls(rows, scale * size, rows.square().sum(dim=1))

    @property
    def samples(self) -> int:
        """Number of samples, n."""
        return len(self.rows)

    @property
    def weight(self) -> float:
        """The factor a = n / (n - 1) of the downdates."""
        return self.samples / (self.samples - 1)

    @property
    def totals(self) -> Tensor:
        """Total sum of squares without each sample, 1 - a ||row||^2, (n,). The total of all samples is 1."""
        return 1 - self.weight * self.squares

    def axes(self) -> tuple[Tensor, Tensor]:
        """Return the left singular vectors (n, rank) and singular values (rank,) of the centered responses.

        Singular values of zero are left out.
        """
        left, values, _ = linalg.svd(self.rows)
        keep = values > linalg.rank_tolerance(values, self.rows)
        return left[:, keep], values[keep] * self.norm


def scores_without_each(measure: Measure, X: Side, Y: Side) -> Tensor | None:
    """Return the score without each sample, (n,); None if there is no formula, or fewer than 6 samples.

    An entry is NaN if the downdate would lose digits. The caller must then recompute this score.
    """
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
        # The expected RV of unrelated data is sqrt(PR_x PR_y) / (m - 1), here with m = n - 1 samples.
        expected = _participation(X, Y) / (X.samples - 2)
        return (_cosine(X, Y) - expected) / (1 - expected)
    return None


def shaped(form: Form, score: Tensor) -> Tensor:
    """Return scores in the form of a measure: unchanged, squared, or as an angle.

    An angle is NaN if its score is within 1e-6 of 1. For small x, arccos(1 - x) is about sqrt(2 x), so the
    error of the angle is that of the score divided by sqrt(2 x).
    """
    if form in ("score", "squared"):
        return forms.apply(form, score)
    return forms.apply(form, torch.where(1 - score > _LEFT, score, math.nan))


def fitted(measure: Regression, of_x: Callable[[], Tensor], of_y: Callable[[], Tensor]) -> Tensor:
    """Return the score of a regression from the scores of its two directions, in the form of the measure.

    Parameters
    ----------
    measure : Regression
        Its direction decides whether the score is that of predicting X, that of predicting Y, or their mean.
    of_x, of_y : callable
        Return the score (n,) of predicting X and the score (n,) of predicting Y.
    """
    scores = {"y_to_x": [of_x], "x_to_y": [of_y]}.get(measure.direction, [of_x, of_y])
    return shaped(measure.form, torch.stack([score() for score in scores]).mean(dim=0))


def trusted(value: Tensor, left: Tensor) -> Tensor:
    """Return values, with NaN where they have lost too many digits.

    Parameters
    ----------
    value : Tensor
        Numbers that were computed from differences: sums from which a part was subtracted.
    left : Tensor
        The share of each sum that remains. Where it is 1e-6 or less, the number is replaced by NaN.
    """
    return torch.where(left > _LEFT, value, math.nan)


def _product(P: Side, Q: Side, estimator: Estimator = "biased") -> tuple[Tensor, float]:
    """Return <K, L> of the linear kernels K = P P', L = Q Q' without each sample, (n,), and with all.

    biased:        ||P'Q - a p_j q_j'||_F^2 = ||P'Q||^2 - 2 a p_j'(P'Q) q_j + a^2 ||p_j||^2 ||q_j||^2.
    zero_diagonal: the same less sum_i k_ii l_ii over the remaining samples, about their own means.
    debiased:      the unbiased HSIC of the kernels without diagonals, n (n - 3) times.
    """
    n, m, a = P.samples, P.samples - 1, P.weight
    cross = P.rows.mT @ Q.rows
    chain = _dot(P.rows @ cross, Q.rows)  # p_j' P'Q q_j
    both = P.squares * Q.squares
    whole = cross.square().sum()
    if estimator == "debiased":
        # Kernels k_il = p_i'p_l with diagonal 0. The estimator does not depend on the means, so the rows stay
        # centered on all n samples. They sum to 0, so row i of the kernel sums to -||p_i||^2.
        p_sum, q_sum = -P.squares, -Q.squares
        # <K, L> without row and column j.
        inner = whole - both.sum() - 2 * (chain - both)
        # Sums of all entries of K and of L without row and column j.
        totals = (p_sum.sum() - 2 * p_sum) * (q_sum.sum() - 2 * q_sum)
        # sum over i != j of (row sum i of K - k_ij) (row sum i of L - l_ij), multiplied out.
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
        # About the mean of the others, row i is p_i + p_j / m, m = n - 1, with squared norm
        # P_i + 2 p_i'p_j / m + P_j / m^2, P_i = ||p_i||^2. The products with those of Q are summed over all i
        # (terms with sum_i p_i = 0 drop out); for i = j the sum has a^4 P_j Q_j too much.
        inner = inner - (
            both.sum()
            + 2 / m * (Q.rows @ (Q.rows.mT @ P.squares) + P.rows @ (P.rows.mT @ Q.squares))
            + (P.squares * Q.squares.sum() + Q.squares * P.squares.sum() + 4 * chain) / m**2
            + n * both / m**4
            - a**4 * both
        )
    return inner, float(whole)


def _cosine(X: Side, Y: Side, estimator: Estimator = "biased") -> Tensor:
    x_norm, x_whole = _product(X, X, estimator)  # ||K||^2 without each sample, and with all
    y_norm, y_whole = _product(Y, Y, estimator)
    inner, _ = _product(X, Y, estimator)
    left = torch.minimum(x_norm / x_whole, y_norm / y_whole)
    return trusted(inner / (x_norm.clamp(min=0) * y_norm.clamp(min=0)).sqrt(), left)


def _participation(X: Side, Y: Side) -> Tensor:
    """Return sqrt(PR_x PR_y) without each sample, (n,), with PR = (tr K)^2 / ||K||^2."""
    return X.totals * Y.totals / (_product(X, X)[0] * _product(Y, Y)[0]).sqrt()


def _nuclear(X: Side, Y: Side) -> Tensor:
    """Return ||X'Y||_* without each sample, (n,)."""
    return nuclear_norms_without(X.rows.mT @ Y.rows, X.rows, Y.rows, X.weight)


def _bures(X: Side, Y: Side) -> Tensor:
    totals = X.totals * Y.totals
    return trusted(_nuclear(X, Y) / totals.clamp(min=0).sqrt(), totals)


def _procrustes(measure: Procrustes, X: Side, Y: Side) -> Tensor:
    # Squared distance: ||X||^2 + ||Y||^2 - 2 ||X'Y||_*, which loses digits where the two sides nearly agree.
    if measure.normalized:
        cosine = _bures(X, Y)
        squared = 2 - 2 * trusted(cosine, 1 - cosine)
    else:
        powers = X.norm**2 * X.totals + Y.norm**2 * Y.totals
        squared = powers - 2 * X.norm * Y.norm * _nuclear(X, Y)
        squared = trusted(squared, squared / (X.norm**2 + Y.norm**2))
    form, *_ = DISTANCES[measure.form]
    return form(squared)


def _regression(measure: Regression, predictors: Side, targets: Side) -> Tensor:
    """Return the statistic of targets T predicted from A without each sample, (n,).

    With G = A'A + lambda I, coefficients W = G^-1 A'T, prediction p_j = W'a_j, residual e_j = t_j - p_j,
    g = G^-1 a_j, leverage h = a_j'g and c = a / (1 - a h), the Sherman-Morrison formula turns W into
    W - c g e_j', and

        <T, P>  into  <T, P> - c p_j'e_j - a t_j'p_j + a c h t_j'e_j
        ||P||^2 into  ||P||^2 - 2 c g'A'A W e_j + c^2 g'A'A g ||e_j||^2 - a ||p_j - c h e_j||^2.

    References
    ----------
    Sherman & Morrison 1950, doi:10.1214/aoms/1177729893.
    """
    a = targets.weight
    U, values = predictors.axes()  # (n, rank), (rank,)
    T = targets.rows
    total = targets.totals
    if measure.penalty == 0 and len(values) == targets.samples - 1:
        # The predictors span all centered samples, also without one: the fit is perfect.
        return trusted(torch.ones_like(total), total)
    # In the singular vectors of A = U S V', A G^-1 A' = U diag(kept) U'. So P = U kept U'T, row j of
    # ``twice`` is g'A'A W, h = sum_k u_jk^2 kept_k, and g'A'A g = sum_k u_jk^2 kept_k^2.
    kept = values.square() / (values.square() + measure.penalty)
    UT = U.mT @ T
    P, twice = (U * kept) @ UT, (U * kept.square()) @ UT  # (n, targets)
    E = T - P
    h = U.square() @ kept
    free = 1 - a * h  # share of the sample's own residual; 0 if the fit passes through the sample
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
    # Residuals have errors of eps times the condition number of A, and c magnifies them by 1 / free. To keep
    # 8 digits, free must be at least 1e8 times that error.
    condition = float(values[0]) / math.sqrt(float(values[-1]) ** 2 + measure.penalty)
    least = min(max(_LEFT, 1e8 * torch.finfo(T.dtype).eps * condition), _HIGH_LEVERAGE)
    left = torch.minimum(torch.where(free > least, 1.0, 0.0), torch.minimum(total, predictors.totals))
    if measure.statistic == "r2":
        return trusted((2 * overlap - power) / total, left)
    left = torch.minimum(left, torch.minimum(overlap / overlap_whole, power / power_whole))
    return trusted(overlap / (total * power).clamp(min=0).sqrt(), left)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(dim=1)
