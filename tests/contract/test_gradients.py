"""Gradients: against finite differences where there is a derivative, ascending and finite where not."""

from collections.abc import Callable

import pytest
import torch
from torch.autograd import gradcheck

from simopt.errors import InputError, NumericalError
from tests.contract import POINTS, mahalanobis, params, point, refused

DIFFERENTIABLE = params(name for name in POINTS if point(name).differentiable)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def with_equal_singular_values() -> tuple[torch.Tensor, torch.Tensor]:
    """X, Y and X'Y of repeated singular values: 2, 2, 1, 1; 1, 1, 2, 2; 2, 2, 2, 2."""
    centered = draw(14, 4)
    left = torch.linalg.qr(centered - centered.mean(dim=0))[0]
    x, y = torch.tensor([[2.0, 2, 1, 1], [1, 1, 2, 2]], dtype=torch.float64)
    return left * x, (left * y) @ torch.linalg.qr(draw(4, 4))[0]


def pair(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    X = draw(14, 4)
    return {
        "well-conditioned": (X, draw(14, 3)),
        "samples < units": (draw(10, 12), draw(10, 11)),
        "wide Y": (X, draw(14, 16)),
        "repeated singular values": with_equal_singular_values(),
        "next to Y = X": (X, X + 1e-2 * draw(14, 4)),
        "large offset": (X + 10, draw(14, 3) - 20),
    }[kind]


KINDS = [
    "well-conditioned", "samples < units", "wide Y", "repeated singular values", "next to Y = X",
    "large offset",
]  # fmt: skip


def is_defined(name: str, kind: str) -> bool:
    """Whether there is a derivative: centered X and Y have a mean of 0, whose direction is undefined."""
    return "concentricity" not in name or kind != "repeated singular values"


CELLS = [
    pytest.param(*param.values, kind, marks=param.marks)
    for param in DIFFERENTIABLE
    for kind in KINDS
    if is_defined(param.values[0], kind)
]


def assert_differences_agree(score: Callable[[torch.Tensor], torch.Tensor], Y: torch.Tensor) -> None:
    """Compare gradients with central differences in five random directions, to 1e-6 of their length.

    One entry in 200 that is wrong by 1 % changes such a product by 7e-4 of the gradient's length.
    """
    (grad,) = torch.autograd.grad(score(Y).sum(), Y)
    Y = Y.detach()
    step = 1e-6  # as gradcheck's: smaller ones round, larger ones miss the curvature of distances
    for _ in range(5):
        V = draw(*Y.shape)
        difference = (score(Y + step * V) - score(Y - step * V)) / (2 * step)
        error = (difference - (grad * V).sum((-2, -1))).abs()
        assert (error <= 1e-6 * grad.norm(dim=(-2, -1)) + 3e-8).all()  # 3e-8: rounding of scores


@pytest.mark.parametrize(("name", "kind"), CELLS)
def test_gradcheck(name: str, kind: str) -> None:
    X, Y = pair(kind)
    measure = point(name)
    if refused(name, *Y.shape):
        with pytest.raises(InputError, match="Mahalanobis"):
            measure(X, Y)
        return
    batch = torch.stack([Y, Y + 0.1 * draw(*Y.shape)]).requires_grad_()
    best, angle = measure.facts.at_self, "arccos" in measure.facts.formula
    if (angle or not measure.facts.larger_is_closer) and abs(measure(X, Y).item() - best) < 1e-6:
        batch = batch[1:]  # an angle or a distance has no derivative where it is 0
        if angle and abs(measure(X, batch[0]).item() - best) < 1e-6:  # 0 whatever Y is
            (grad,) = torch.autograd.grad(measure.bind(X)(batch).sum(), batch)
            assert torch.equal(grad, torch.zeros_like(grad))
            return
    if kind == "well-conditioned":
        assert gradcheck(measure.bind(X), batch)
    else:
        assert_differences_agree(measure.bind(X), batch)


def singular(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    X = draw(14, 4)
    return {
        "duplicated column": (X, draw(14, 3)[:, [0, 1, 2, 2]]),
        "zero column": (X, torch.cat([draw(14, 3), torch.zeros(14, 1, dtype=torch.float64)], dim=1)),
        "rank one": (X, draw(14, 1) @ draw(1, 4)),
        "X of rank one": (draw(14, 1) @ draw(1, 4), draw(14, 3)),
        "lacks a PC of X": (X, X @ torch.diag(torch.tensor([1.0, 1, 1, 0], dtype=torch.float64))),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["duplicated column", "zero column", "rank one", "X of rank one", "lacks a PC of X"]
)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_at_singular_points_is_finite_deterministic_and_ascends(name: str, kind: str) -> None:
    X, Y = singular(kind)
    if mahalanobis(name):  # a covariance without an inverse
        with pytest.raises(InputError, match="Mahalanobis"):
            point(name).bind(X)(Y)
        return
    bound = point(name).bind(X)
    Y = Y.requires_grad_()
    score = bound(Y)
    (grad,) = torch.autograd.grad(score, Y)
    (again,) = torch.autograd.grad(bound(Y), Y)
    assert torch.isfinite(grad).all()
    assert torch.equal(grad, again)
    facts = point(name).facts
    best = facts.high if facts.larger_is_closer else facts.low
    if abs(score.item() - best) < 1e-12:
        return  # nothing lies higher
    if grad.norm() * Y.detach().norm() < 1e-12:
        return  # stationary: correlations of rank-one rows are all 1 or -1
    step = 1e-4 * Y.detach().norm() / grad.norm()
    sign = point(name).sign
    assert sign * bound(Y.detach() + sign * step * grad) > sign * score


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_at_the_recording_itself_is_finite(name: str, dtype: torch.dtype) -> None:
    X = draw(30, 4).to(dtype)
    Y = X.clone().requires_grad_()
    score = point(name)(X, Y)
    (grad,) = torch.autograd.grad(score, Y)
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float32_starts_never_give_nan(name: str) -> None:
    X = torch.randn(20, 6)
    Y = torch.randn(1000, 20, 6).requires_grad_()
    score = point(name).bind(X)(Y)
    (grad,) = torch.autograd.grad(score.sum(), Y)
    assert torch.isfinite(score).all()
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_nan_is_never_scored(name: str) -> None:
    X, Y = draw(20, 4), draw(20, 5)
    Y[3, 2] = torch.nan
    try:
        score = point(name)(X, Y)
    except (NumericalError, InputError):
        return
    assert score.isnan()
