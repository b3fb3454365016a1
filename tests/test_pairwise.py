"""Distances between samples: against differences taken one by one, with their gradients."""

import pytest
import torch
from torch.autograd import gradcheck

from simopt import pairwise


def test_distances_and_their_gradient() -> None:
    A = torch.randn(2, 6, 3, dtype=torch.float64)
    expected = torch.stack([(a[:, None] - a[None]).norm(dim=-1) for a in A])
    torch.testing.assert_close(pairwise.distances(A), expected)
    assert gradcheck(pairwise.distances, A.requires_grad_())


def test_distances_of_equal_samples_are_zero_and_pull_nothing() -> None:
    A = torch.randn(5, 3, dtype=torch.float64)
    A[3] = A[1]
    (grad,) = torch.autograd.grad(pairwise.distances(A.requires_grad_())[1, 3], A)
    assert pairwise.distances(A)[1, 3] == 0
    assert not grad.any()


@pytest.mark.parametrize("close", [0, 6, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_by_products_keep_the_digits_of_small_ones(close: int, dtype: torch.dtype) -> None:
    """40 points of 30 coordinates far from the origin, some of them next to another: none, few, or all."""
    A = torch.randn(2, 40, 30, dtype=torch.float64)
    A[:, 40 - close :] = A[:, :close] + 1e-5 * torch.randn(2, close, 30) if close < 40 else 1e-5 * A + 1
    A = A.to(dtype)
    exact = (A.double()[:, :, None] - A.double()[:, None]).square().sum(dim=-1)
    squared = pairwise.squared_distances(A)
    torch.testing.assert_close(squared.double(), exact, rtol=100 * torch.finfo(dtype).eps, atol=0)
    torch.testing.assert_close(pairwise.distances(A).double(), exact.sqrt(), rtol=1e-4, atol=0)
    assert (squared.diagonal(dim1=-2, dim2=-1) == 0).all()
    if dtype is torch.float64:
        small = A[:, :6].clone().requires_grad_()
        assert gradcheck(pairwise.squared_distances, small, eps=1e-8 if close == 40 else 1e-6)
