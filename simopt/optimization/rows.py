"""Helmert's columns, until simopt.theory takes them from scipy itself."""

from __future__ import annotations

import torch
from torch import Tensor


def without_mean(size: int) -> Tensor:
    """Return Helmert's orthonormal columns of sum zero, (size + 1, size), in float64."""
    from scipy.linalg import helmert

    return torch.from_numpy(helmert(size + 1).T.copy())
