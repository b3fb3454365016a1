"""Euclidean distances between samples: differentiable, and accurate also where they are small.

Shapes: n samples, k coordinates; ``...`` are batch dimensions. The backward passes are written by hand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.gradients import Saved, with_gradient

_MANY_COORDINATES = 16
"""With this many coordinates or more, distances are computed as ||z_i||^2 + ||z_j||^2 - 2 z_i'z_j."""
_CANCELLED = 0.05
"""A result below this share of ||z_i||^2 + ||z_j||^2 has lost a digit: it is computed from z_i - z_j."""
_MOST_CANCELLED = 0.02
"""If more than this share of pairs has lost a digit, all pairs are computed from z_i - z_j to save memory."""


def _squared_distances(points: Tensor) -> Tensor:
    """Return ||z_i - z_j||^2, (..., n, n), each with a small relative error.

    For many coordinates it is computed by a matrix product, and again by differences where that cancels:
    the absolute error of the product is about eps (||z_i||^2 + ||z_j||^2), far more than a small distance.
    """
    exact = "donot_use_mm_for_euclid_dist"
    if points.shape[-1] < _MANY_COORDINATES:
        return torch.cdist(points, points, compute_mode=exact).square()
    # Distances do not depend on the mean; without it the norms, and with them the cancellation, are least.
    centered = points - points.mean(dim=-2, keepdim=True)
    lengths = centered.square().sum(dim=-1)  # (..., n)
    squared = (centered @ centered.mT).mul_(-2).add_(lengths[..., :, None]).add_(lengths[..., None, :])
    near = squared < _CANCELLED * (lengths[..., :, None] + lengths[..., None, :])
    index = near.nonzero(as_tuple=True)
    if len(index[0]) > _MOST_CANCELLED * near.numel():
        return torch.cdist(points, points, compute_mode=exact).square()
    # index holds (batch indices ..., i, j) of the pairs to compute again.
    difference = points[(*index[:-2], index[-2])] - points[(*index[:-2], index[-1])]
    squared[index] = difference.square().sum(dim=-1)
    return squared


def _pull(weights: Tensor, points: Tensor) -> Tensor:
    """Return sum_j w_ij (z_i - z_j) = (W 1)_i z_i - (W Z)_i, (..., n, k), of symmetric W (..., n, n)."""
    return weights.sum(dim=-1, keepdim=True) * points - weights @ points


def _squared_gradient(grad: Tensor, points: Tensor) -> Tensor:
    # d_ij and d_ji both depend on z_i: dL/dz_i = sum_j 2 (G_ij + G_ji) (z_i - z_j).
    return _pull(2 * (grad + grad.mT), points)


@with_gradient(_squared_gradient)
def squared_distances(points: Tensor) -> tuple[Tensor, Saved]:
    """Return the squared distances ||z_i - z_j||^2, (..., n, n), between the rows of Z (..., n, k).

    Every entry has a small relative error.
    """
    return _squared_distances(points), (points,)


def _distances_gradient(grad: Tensor, points: Tensor, distances: Tensor) -> Tensor:
    # The gradient of ||z_i - z_j|| is (z_i - z_j) / ||z_i - z_j||; 0, a subgradient, where z_i = z_j.
    apart = distances > 0
    return _pull(torch.where(apart, grad + grad.mT, 0.0) / torch.where(apart, distances, 1.0), points)


@with_gradient(_distances_gradient)
def distances(points: Tensor) -> tuple[Tensor, Saved]:
    """Return the distances ||z_i - z_j||, (..., n, n), between the rows of Z (..., n, k).

    Every entry has a small relative error. A distance of 0 has no derivative; it adds 0 to the gradient.
    """
    result = _squared_distances(points).sqrt_()
    return result, (points, result)
