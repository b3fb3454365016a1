"""The fit of :mod:`simopt.measures.predictivity` that scikit-learn does not have: ridge_cv with groups."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simopt.typing import LabelArray

Array = npt.NDArray[np.float64]


def left_out_errors(inputs: Array, targets: Array, penalties: Array, groups: LabelArray) -> Array:
    """Return the mean squared error of ridge predictions of groups that are left out, (penalties, units).

    Each group is predicted by a fit to all other groups. No fit is repeated: with the hat matrix
    H = 11'/n + A (A'A + lambda I)^-1 A', A the centered inputs, the errors of group g without it are

        (I - H_gg)^-1 e_g,  e_g its rows of the residuals E = T - H T.

    Parameters
    ----------
    inputs : array, (n, p)
    targets : array, (n, q), T
    penalties : array, (k,)
    groups : array of int, (n,)
        The group of each sample; there are at least two.

    References
    ----------
    Cook & Weisberg 1982, Residuals and Influence in Regression (section 3.2), ISBN 978-0-412-24280-9.
    """
    n = len(inputs)
    left, values, _ = np.linalg.svd(inputs - inputs.mean(axis=0), full_matrices=False)
    centered = targets - targets.mean(axis=0)
    shrinking = values**2 / (values**2 + penalties[:, None])  # (k, r)
    residuals = centered - left @ (shrinking[:, :, None] * (left.T @ centered))  # (k, n, q)
    total = np.zeros((len(penalties), targets.shape[1]))
    for group in np.unique(groups):
        member = groups == group
        rows = left[member]  # (m, r)
        others = np.eye(len(rows)) - 1 / n - (rows * shrinking[:, None, :]) @ rows.T  # I - H_gg, (k, m, m)
        total += np.square(np.linalg.solve(others, residuals[:, member])).sum(axis=1)
    return total / n
