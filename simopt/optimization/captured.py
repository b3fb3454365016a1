"""Which principal components of the recording a synthetic dataset has captured."""

from __future__ import annotations

import torch
from torch import Tensor

from simopt import linalg
from simopt.measures.moments import Moments, Reference


def captured_variance(moments: Moments) -> Tensor:
    """Return the captured variance of every PC of X, (..., K).

    R2_i = 1 - ||x_i - Y b_i||^2 / ||x_i||^2, x_i the i-th principal-component scores of X and b_i their
    least-squares regression on the centered Y; in [0, 1] (arXiv 2407.07059, sec. 4.1). It is 1 for every PC
    when Y has as many units as there are samples, less one.
    """
    known = moments.detached()
    reference, units = known.reference, known.Y.shape[-1]
    if units < reference.samples - 1:
        explained, condition = known.explained
        if linalg.trustworthy(condition):
            return (explained / reference.variance_ratio).clamp(0, 1)
        if linalg.full_rank(condition):
            triangle = torch.linalg.qr(known.centered, mode="r")[1]
            # Q'F of Y = QR, without Q: it costs as much again as R.
            along = torch.linalg.solve_triangular(triangle.mT, known.cross.mT, upper=False)
            return _share(along, reference)
    return _share(linalg.column_space(known.centered).mT @ reference.scores, reference)


def _share(along: Tensor, reference: Reference) -> Tensor:
    """Return ||b_i||^2 over the variance of PC i, b_i its coordinates in an orthonormal basis of Y."""
    return (along.square().sum(dim=-2) / reference.variance_ratio).clamp(0, 1)
