"""Euclidean distances between samples, differentiable, the small ones as exact as the large.

Shapes: n samples, k coordinates; ``...`` are batch dimensions. The backward passes are written by hand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.gradients import Saved, with_gradient

_MANY_COORDINATES = 16
_CANCELLED, _MOST_CANCELLED = 0.05, 0.02  # of the squared norms; of all pairs


def _squared_distances(points: Tensor) -> Tensor:
    """Return ||z_i - z_j||^2 to rounding of itself, not of ||z_i||^2 + ||z_j||^2.

    Of many coordinates it is taken by products, and again by differences where those cancel.
    """
    exact = "donot_use_mm_for_euclid_dist"
    if points.shape[-1] < _MANY_COORDINATES:
        return torch.cdist(points, points, compute_mode=exact).square()
    centered = points - points.mean(dim=-2, keepdim=True)
    own = centered.square().sum(dim=-1)
    squared = (centered @ centered.mT).mul_(-2).add_(own[..., :, None]).add_(own[..., None, :])
    near = squared < _CANCELLED * (own[..., :, None] + own[..., None, :])
    index = near.nonzero(as_tuple=True)
    if len(index[0]) > _MOST_CANCELLED * near.numel():
        return torch.cdist(points, points, compute_mode=exact).square()
    difference = points[(*index[:-2], index[-2])] - points[(*index[:-2], index[-1])]
    squared[index] = difference.square().sum(dim=-1)
    return squared


def _pull(weights: Tensor, points: Tensor) -> Tensor:
    """Return sum_j w_ij (z_i - z_j), (..., n, k), of symmetric weights (..., n, n)."""
    return weights.sum(dim=-1, keepdim=True) * points - weights @ points


def _squared_gradient(grad: Tensor, points: Tensor) -> Tensor:
    return _pull(2 * (grad + grad.mT), points)


@with_gradient(_squared_gradient)
def squared_distances(points: Tensor) -> tuple[Tensor, Saved]:
    """Return ||z_i - z_j||^2, (..., n, n), of Z (..., n, k); small ones keep their digits."""
    return _squared_distances(points), (points,)


def _distances_gradient(grad: Tensor, points: Tensor, distances: Tensor) -> Tensor:
    apart = distances > 0
    return _pull(torch.where(apart, grad + grad.mT, 0.0) / torch.where(apart, distances, 1.0), points)


@with_gradient(_distances_gradient)
def distances(points: Tensor) -> tuple[Tensor, Saved]:
    """Return ||z_i - z_j||, (..., n, n), of Z (..., n, k); small ones keep their digits.

    At z_i = z_j the distance has no derivative and gives none to the gradient.
    """
    apart = _squared_distances(points).sqrt_()
    return apart, (points, apart)
