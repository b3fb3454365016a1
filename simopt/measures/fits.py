"""Regressions of :mod:`simopt.measures.predictivity` that scikit-learn lacks or computes less accurately."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from simopt.measures.folds import constant
from simopt.typing import LabelArray

Array = npt.NDArray[np.float64]


class PLS:
    """Partial least squares regression from inputs A (n, p) to targets T (n, q), both centered.

    Each component is the direction w of unit length whose scores t = A w have the largest covariance with the
    targets: the first left singular vector of A'T. The predictions of A and of T from t are then subtracted:

        A <- A - t t'A / t't,  T <- T - t t'T / t't.

    scikit-learn finds w by power iteration. If two singular values are close, it stops before convergence,
    and scores change by up to 1e-3 with the order of the units. Here w comes from an eigenvector of A'TT'A or
    of T'AA'T.

    Parameters
    ----------
    components : int
        The largest number of components. Fewer are used if they predict all of A, since further components
        would be fitted to rounding errors.
    scale : bool
        Whether each unit of A and of T is divided by its standard deviation.

    References
    ----------
    Wold, Sjöström & Eriksson 2001, PLS-regression: a basic tool of chemometrics,
    doi:10.1016/S0169-7439(01)00155-1.
    """

    def __init__(self, components: int, scale: bool) -> None:
        self.components, self.scale = components, scale

    def fit(self, inputs: Array, targets: Array) -> PLS:
        """Fit the regression to the train samples, and return this object."""
        self.mean, self.offset = inputs.mean(axis=0), targets.mean(axis=0)
        A, T = inputs - self.mean, targets - self.offset
        x_scale, y_scale = _scale(inputs, self.scale), _scale(targets, self.scale)
        A, T = A / x_scale, T / y_scale
        rounding = max(A.shape) * np.finfo(np.float64).eps * np.linalg.norm(A)
        weights, x_loadings, y_loadings = [], [], []
        for _ in range(self.components):
            w = _first_left(A.T @ T)
            t = A @ w
            power = t @ t
            if np.sqrt(power) <= rounding:
                break
            weights.append(w)
            x_loadings.append(A.T @ t / power)
            y_loadings.append(T.T @ t / power)
            A = A - np.outer(t, x_loadings[-1])
            T = T - np.outer(t, y_loadings[-1])
        self.coefficients = np.zeros((len(self.mean), len(self.offset)))
        if weights:
            # With W, P, Q of columns w, A't / t't and T't / t't, the scores are A W (P'W)^-1 for the A of the
            # start, and the prediction is T = A W (P'W)^-1 Q'.
            W, P, Q = (np.stack(part, axis=1) for part in (weights, x_loadings, y_loadings))
            self.coefficients = W @ np.linalg.solve(P.T @ W, Q.T) / x_scale[:, None] * y_scale
        return self

    def predict(self, inputs: Array) -> Array:
        """Return the predicted targets, (n_test, q)."""
        predicted: Array = (inputs - self.mean) @ self.coefficients + self.offset
        return predicted


def _scale(data: Array, scale: bool) -> Array:
    """Return the standard deviation of each column, or 1 for a column that is constant up to rounding."""
    if not scale:
        return np.ones(data.shape[1])
    rows = torch.from_numpy(data)
    return np.where(constant(rows, rows).numpy(), 1.0, data.std(axis=0, ddof=1))


def _first_left(matrix: Array) -> Array:
    """Return the first left singular vector, (p,), of a matrix (p, q)."""
    from scipy.linalg import eigh

    wide = matrix.shape[0] <= matrix.shape[1]
    # Divided by its largest entry, so that squares neither overflow nor underflow.
    matrix = matrix / (np.abs(matrix).max() or 1.0)
    gram = matrix @ matrix.T if wide else matrix.T @ matrix
    last = len(gram) - 1
    vector = eigh(gram, subset_by_index=[last, last])[1][:, 0]
    left: Array = vector if wide else matrix @ vector
    return left / (np.linalg.norm(left) or 1.0)


class RidgeCV:
    """Ridge regression from inputs A (n, p) to targets T (n, q), both centered, with a chosen penalty lambda.

    The coefficients are (A'A + lambda I)^-1 A'T. The chosen penalty has the smallest mean squared error if
    each sample, or group of samples, is predicted from all other samples.

    Parameters
    ----------
    penalties : array, (k,), > 0
        The penalties to choose from.
    relative : bool
        Whether the penalties are multiples of the mean nonzero eigenvalue of A'A. The prediction then does
        not change if constant units or copies of all units are added to A, or A is scaled.
    per_unit : bool
        Whether each unit of T gets its own penalty.
    """

    def __init__(self, penalties: Array, *, relative: bool, per_unit: bool) -> None:
        self.penalties, self.relative, self.per_unit = penalties, relative, per_unit

    def fit(self, inputs: Array, targets: Array, groups: LabelArray | None) -> RidgeCV:
        """Choose the penalty by leaving out ``groups`` (n,), or samples if None, and fit the regression."""
        self.mean, self.offset = inputs.mean(axis=0), targets.mean(axis=0)
        left, values, right = np.linalg.svd(inputs - self.mean, full_matrices=False)
        rank = np.count_nonzero(values > max(inputs.shape) * np.finfo(np.float64).eps * values[0])
        unit = np.square(values).sum() / rank if self.relative and rank else 1.0
        errors = left_out_errors(left, values, targets, self.penalties * unit, groups)
        self.chosen = (errors if self.per_unit else errors.mean(axis=1)).argmin(axis=0)  # (), or (q,)
        """The position of the chosen penalty among the penalties."""
        penalty = np.atleast_1d(self.penalties[self.chosen] * unit)  # (1,) or (q,)
        shrunk = values[:, None] / (np.square(values)[:, None] + penalty)  # (r, 1 or q)
        self.coefficients = right.T @ (shrunk * (left.T @ (targets - self.offset)))
        return self

    def predict(self, inputs: Array) -> Array:
        """Return the predicted targets, (n_test, q)."""
        predicted: Array = (inputs - self.mean) @ self.coefficients + self.offset
        return predicted


def left_out_errors(
    left: Array, values: Array, targets: Array, penalties: Array, groups: LabelArray | None
) -> Array:
    """Return the mean squared errors, (k, q), of ridge predictions of left-out groups for k penalties.

    Each group g is predicted by a fit to all other groups. One fit to all groups is enough: with the hat
    matrix H = 11'/n + A (A'A + lambda I)^-1 A', where A are the centered inputs, the errors of group g are

        (I - H_gg)^-1 e_g,  where e_g are the rows of group g of the residuals E = T - H T.

    Parameters
    ----------
    left, values : array, (n, r) and (r,)
        The left singular vectors and the singular values of A.
    targets : array, (n, q), T
    penalties : array, (k,)
    groups : array of int, (n,), or None
        The group of each sample; there are at least two. None leaves out one sample at a time.

    References
    ----------
    Cook & Weisberg 1982, Residuals and Influence in Regression (section 3.2), ISBN 978-0-412-24280-9.
    """
    n = len(left)
    centered = targets - targets.mean(axis=0)
    loadings = left.T @ centered
    members = [] if groups is None else [groups == group for group in np.unique(groups)]
    errors = np.empty((len(penalties), targets.shape[1]))
    rounding = n * np.finfo(np.float64).eps * values[0] ** 2
    interpolated = np.count_nonzero(values**2 > rounding) >= n - 1
    for k, penalty in enumerate(penalties):
        if interpolated and penalty <= rounding:  # I - H is 0 but for rounding
            errors[k] = np.inf
            continue
        shrinking = values**2 / (values**2 + penalty)  # (r,)
        residuals = centered - left @ (shrinking[:, None] * loadings)  # (n, q)
        if groups is None:
            own = 1 - 1 / n - np.square(left) @ shrinking  # 1 - H_ii, (n,)
            errors[k] = np.square(residuals / own[:, None]).sum(axis=0)
        else:
            errors[k] = 0.0
        for member in members:
            rows = left[member]  # (m, r)
            others = np.eye(len(rows)) - 1 / n - (rows * shrinking) @ rows.T  # I - H_gg
            errors[k] += np.square(np.linalg.solve(others, residuals[member])).sum(axis=0)
    return errors / n
