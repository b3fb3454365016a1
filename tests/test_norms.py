"""Norms against sums of squares in float64, and measures of 6,000 samples in float32 against float64."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from simopt import measures
from simopt.norms import matrix_norm, vector_norm


@pytest.mark.parametrize("dim", [0, 1, (0, 1), None])
def test_large_norms_in_single_precision_are_right(dim) -> None:
    A = torch.randn(6000, 6000, generator=torch.Generator().manual_seed(0))
    exact = np.sqrt(np.square(A.numpy(), dtype=np.float64).sum(axis=dim))
    np.testing.assert_allclose(vector_norm(A, dim).double().numpy(), exact, rtol=3e-7)


def test_shapes_and_batches_are_those_of_numpy() -> None:
    for dtype in (torch.float32, torch.float64):
        A = torch.randn(3, 5, 4, dtype=dtype)
        np.testing.assert_allclose(matrix_norm(A), np.linalg.norm(A, axis=(1, 2)), rtol=1e-6)
        kept = np.linalg.norm(A, axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(matrix_norm(A, keepdim=True), kept, rtol=1e-6)
        np.testing.assert_allclose(vector_norm(A, dim=-1), np.linalg.norm(A, axis=-1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_the_direction_and_zero_at_zero(dtype: torch.dtype) -> None:
    A = torch.randn(4, 3, dtype=dtype)
    A[2] = 0
    leaf = A.clone().requires_grad_()
    (grad,) = torch.autograd.grad(vector_norm(leaf, dim=-1).sum(), leaf)
    lengths = np.linalg.norm(A, axis=1, keepdims=True)
    expected = np.divide(A.numpy(), lengths, out=np.zeros((4, 3)), where=lengths > 0)
    np.testing.assert_allclose(grad.numpy(), expected, rtol=1e-6)
    zero = torch.zeros(4, 3, dtype=dtype, requires_grad=True)
    (grad,) = torch.autograd.grad(matrix_norm(zero), zero)
    assert torch.equal(grad, torch.zeros_like(grad))
    assert gradcheck(matrix_norm, torch.randn(2, 4, 3, dtype=torch.float64).requires_grad_())


def test_distance_correlation_of_6000_samples_in_single_precision() -> None:
    """Three points: the distances 1, 1, 2 and 10, 15, 5 give the centered products and norms by hand."""
    x, y = (torch.tensor(points).repeat(2000)[:, None] for points in ([1.0, 2.0, 3.0], [10.0, 20.0, 5.0]))
    bound = measures.get("distance_correlation").bind(x)
    exact = (20 / (32000 / 27) ** 0.5) ** 0.5
    assert bound(y).item() == pytest.approx(exact, abs=1e-6)
    assert bound(x).item() == pytest.approx(1, abs=1e-6)
