"""Geometric differences: against the textbook, their options, and where a statistic has no derivative."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.measures import geometry
from tests.measures.test_textbook import KINDS, pair
from tests.oracles.geometry import MEASURES


def test_every_yaml_of_the_family_has_a_textbook_version() -> None:
    mine = {n for n in measures.names(aliases=True) if measures.get(n).facts.family == "geometry"}
    assert mine == set(MEASURES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_score_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("kind", ["generic", "repeated", "all equal"])
def test_gradient_of_the_polar_factor(shape: tuple[int, int], kind: str) -> None:
    left, _, right = torch.linalg.svd(torch.randn(*shape, dtype=torch.float64), full_matrices=False)
    values = {"generic": [3.0, 2, 1, 0.5], "repeated": [2.0, 2, 1, 1], "all equal": [1.0] * 4}[kind]
    matrix = left * torch.tensor(values[: min(shape)], dtype=torch.float64) @ right
    assert gradcheck(geometry.polar, matrix.requires_grad_())


def test_polar_factor_at_constant_rank() -> None:
    # P M R of rank 2, for all P near P: the directions that keep the rank.
    P = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    R = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a, b: geometry.polar(a @ b), (P, R))


def test_eigenspace_overlap_says_when_it_is_degenerate(rng: np.random.Generator) -> None:
    overlap = measures.get("eigenspace_overlap")
    X, wide = rng.random((10, 4)), rng.random((10, 10))
    assert overlap.degenerate(X, wide[:, 1:]) is None
    assert "10 units of Y span all 10 samples" in overlap.degenerate(X, wide)
    assert "10 units of X span all 10 samples" in overlap.degenerate(wide, X)
    assert overlap.degenerate(X, wide - wide.mean(axis=0)) is None
    assert simopt.score(rng.random((10, 4)), rng.random((10, 12)), overlap) == pytest.approx(4 / 12)


def test_distance_correlation_of_independent_samples_is_zero() -> None:
    # A full design: every value of X with every value of Y, equally often.
    X, Y = np.meshgrid([0.0, 1.0, 3.0], [0.0, 2.0, 5.0, 6.0])
    X, Y = torch.from_numpy(X.reshape(-1, 1)), torch.from_numpy(Y.reshape(-1, 1)).requires_grad_()
    score = measures.get("distance_correlation")(X, Y)
    (grad,) = torch.autograd.grad(score, Y)
    assert score.item() == pytest.approx(0, abs=1e-7)
    assert torch.isfinite(grad).all()


def test_concentricity_of_centered_responses_is_zero(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 4))
    centered = X - X.mean(axis=0)
    expected = abs(geometry.concentricity(torch.from_numpy(X)).item())
    assert simopt.score(X, centered, "concentricity_difference") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["concentricity_difference", "magnitude_difference"])
def test_gradient_at_a_mean_of_zero_is_zero(name: str) -> None:
    X, Y = torch.randn(2, 30, 4, dtype=torch.float64)
    Y = (Y - Y.mean(dim=0)).requires_grad_()
    (grad,) = torch.autograd.grad(measures.get(name)(X, Y), Y)
    assert torch.equal(grad, torch.zeros_like(grad))


@pytest.mark.parametrize("name", MEASURES)
def test_samples_of_zeros_leave_score_and_gradient_finite(name: str) -> None:
    X, Y = torch.randn(2, 12, 3, dtype=torch.float64)
    Y[[2, 5]] = 0
    Y[8] = Y[7]
    Y.requires_grad_()
    score = measures.get(name)(X, Y)
    (grad,) = torch.autograd.grad(score, Y)
    assert torch.isfinite(score)
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("distance_correlation", {"comparison": "cosine"}, "Unknown comparison of distance_correlation"),
        ("magnitude_difference", {"statistic": "mean"}, "Unknown statistic of magnitude_difference"),
        ("aligned_cosine", {"k": 3}, "no option 'k'"),
    ],
)
def test_options_are_checked(name: str, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        measures.get(name, **options)
