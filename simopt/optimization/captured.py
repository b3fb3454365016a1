"""Which principal components of the recording a synthetic dataset has captured."""

from __future__ import annotations

import torch
from torch import Tensor

from simopt import linalg
from simopt.measures.moments import Moments, Reference


def captured_variance(moments: Moments) -> Tensor:
    """Return the captured variance of every PC of X, (..., K).

    The captured variance of PC i is the R2 of its linear regression on the centered Y,
    R2_i = 1 - ||x_i - Y b_i||^2 / ||x_i||^2, where x_i (n,) are the scores of PC i and b_i (q,) are the
    least-squares coefficients. It is 1 for every PC if the columns of Y span all n - 1 dimensions of centered
    samples, as those of noise with n - 1 units do.

    Parameters
    ----------
    moments : Moments
        The moments of Y (..., n, q) and of a recording X with K PCs of nonzero variance.

    Returns
    -------
    Tensor, (..., K)
        Numbers in [0, 1] for the PCs in order of descending variance. They have no gradient.

    References
    ----------
    Cloos et al. 2024, arXiv 2407.07059, sec. 4.1.
    """
    # R2_i = ||B'f_i||^2 / ||f_i||^2 for any orthonormal basis B (n, rank) of Y's columns, f_i column i of the
    # PC scores F (n, K), and ||f_i||^2 = p_i, the variance ratio. Three routes, the cheapest that is
    # accurate:
    moments = moments.detached()
    reference, units = moments.reference, moments.Y.shape[-1]
    if units < reference.samples - 1:
        # 1. Normal equations: ||B'f_i||^2 = f_i'Y (Y'Y)^-1 Y'f_i. They square the condition number of Y.
        explained, condition = moments.explained
        if linalg.trustworthy(condition):
            return (explained / reference.variance_ratio).clamp(0, 1)
        if linalg.full_rank(condition):
            # 2. Y = QR: B'F = Q'F = R'^-1 Y'F. Q itself is not formed; it would double the cost.
            triangle = torch.linalg.qr(moments.centered, mode="r")[1]  # (..., q, q), R
            along = torch.linalg.solve_triangular(triangle.mT, moments.cross.mT, upper=False)  # (..., q, K)
            return _explained_share(along, reference)
    # 3. Rank-deficient or wide Y: B by singular value decomposition, without directions of zero variance.
    return _explained_share(linalg.column_space(moments.centered).mT @ reference.scores, reference)


def _explained_share(along: Tensor, reference: Reference) -> Tensor:
    """Return ||B'f_i||^2 / p_i, (..., K), from B'F (..., rank, K)."""
    return (along.square().sum(dim=-2) / reference.variance_ratio).clamp(0, 1)
