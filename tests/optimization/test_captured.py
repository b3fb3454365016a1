"""Captured variance against a textbook regression; half capture against values worked out by hand."""

import numpy as np
import pytest
import torch

from simopt import linalg
from simopt.measures import Moments, Reference
from simopt.optimization.captured import captured_variance
from simopt.optimization.trajectory import half_capture, steps_to
from tests.oracles import textbook


@pytest.mark.parametrize(
    ("n", "p", "q"),
    [(50, 6, 4), (50, 4, 6), (20, 30, 8), (30, 6, 28)],
    ids=["tall", "more units", "wide X", "ill-conditioned"],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=str)
def test_agrees_with_the_textbook(n: int, p: int, q: int, dtype: torch.dtype, tolerance: float) -> None:
    X, Y = torch.randn(n, p, dtype=torch.float64), torch.randn(2, n, q, dtype=torch.float64)
    moments = Moments(Reference.of(X, dtype=dtype), Y.to(dtype))
    captured = captured_variance(moments).numpy()
    for r in range(2):
        expected = textbook.captured_variance(X.numpy(), Y[r].numpy())[: captured.shape[1]]
        np.testing.assert_allclose(captured[r], expected, atol=tolerance)


def test_it_is_one_for_what_y_holds_and_zero_for_the_rest() -> None:
    reference = Reference.of(torch.randn(40, 5, dtype=torch.float64))
    Y = 3 * reference.scores[:, [0, 3]] @ torch.randn(2, 7, dtype=torch.float64) + 5  # rank 2, 7 units
    np.testing.assert_allclose(captured_variance(Moments(reference, Y)), [1, 0, 0, 1, 0], atol=1e-12)


def test_it_is_one_when_y_has_as_many_units_as_samples() -> None:
    reference = Reference.of(torch.randn(10, 5, dtype=torch.float64))
    Y = torch.randn(10, 12, dtype=torch.float64)
    np.testing.assert_allclose(captured_variance(Moments(reference, Y)), 1, atol=1e-10)


@pytest.mark.parametrize(("weakest", "route"), [(1e-1, "normal"), (2e-3, "qr"), (1e-5, "svd")])
def test_every_route_agrees_with_the_textbook(weakest: float, route: str, monkeypatch) -> None:
    """Column norms from 1 down to ``weakest``: normal equations, QR or SVD, all to float32 rounding."""
    called = []
    for name, where in (("qr", "torch.linalg.qr"), ("svd", "simopt.linalg.column_space")):
        function = torch.linalg.qr if name == "qr" else linalg.column_space
        monkeypatch.setattr(where, lambda *a, f=function, n=name, **k: (called.append(n), f(*a, **k))[1])
    X, Y = torch.randn(60, 5).double(), torch.randn(60, 8) * torch.logspace(0, np.log10(weakest), 8)
    captured = captured_variance(Moments(Reference.of(X, dtype=torch.float32), Y))
    expected = textbook.captured_variance(X.numpy(), Y.double().numpy())
    np.testing.assert_allclose(captured, expected, atol=1e-4)
    assert called == ([] if route == "normal" else [route])


def test_it_carries_no_gradient() -> None:
    reference = Reference.of(torch.randn(10, 3, dtype=torch.float64))
    Y = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    assert not captured_variance(Moments(reference, Y)).requires_grad


def test_half_capture_interpolates_and_takes_the_first_passage() -> None:
    score = np.array([[0.0], [0.2], [0.4], [0.6]])
    captured = np.array(
        [
            # half way from 0.2 to 1 is 0.6
            [0.2, 0.5, 0.7, 0.9], # between steps, from 0.5 to 0.7
            [0.2, 0.3, 0.4, 0.59], # never
            [0.2, 0.6, 0.3, 0.9], # at step 1 exactly, then lost again
            [1.0, 1.0, 1.0, 1.0], # held from the start
        ]
    ).T[:, None, :]  # fmt: skip
    np.testing.assert_allclose(half_capture(score, captured), [[0.3, np.nan, 0.2, 0.0]])


def test_half_capture_and_steps_of_each_replicate_alone() -> None:
    score = np.array([[0.0, 0.1], [0.5, 0.3], [1.0, 0.5]])
    captured = np.array([[0.0, 0.0], [1.0, 0.25], [1.0, 0.75]])[:, :, None]
    np.testing.assert_allclose(half_capture(score, captured), [[0.25], [0.4]])
    np.testing.assert_allclose(steps_to(np.array([0, 5, 10]), score, 0.5), [5, 10])
    np.testing.assert_allclose(steps_to(np.array([0, 5, 10]), score, 0.6), [10, np.nan])
