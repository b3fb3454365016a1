"""Shape metrics against both published conventions, and the whitening below and across its floor."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import simopt
from simopt import linalg, measures
from simopt.errors import InputError
from simopt.measures import shape
from tests.measures.test_textbook import KINDS, pair
from tests.oracles.shape import MEASURES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    # Rounding of a zero singular value is 1e-13 of the data, and 1e-10 once divided by the floor.
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=2e-9, abs=2e-9)


@pytest.mark.parametrize("kind", ["tall", "related", "unequal widths", "offsets"])
def test_its_ends_are_procrustes_and_cca(kind: str) -> None:
    X, Y = pair(kind)
    for metric, end in (("angular", "procrustes_angle"), ("euclidean", "procrustes_euclidean")):
        for convention in ("netrep", "repsim"):
            score = simopt.score(X, Y, f"shape_{metric}", alpha=1.0, convention=convention)
            assert score == pytest.approx(simopt.score(X, Y, end), rel=1e-10)
    for convention in ("netrep", "repsim"):
        score = simopt.score(X, Y, "shape_angular", alpha=0.0, convention=convention)
        assert score == pytest.approx(simopt.score(X, Y, "cca_angle"), rel=1e-9)


@pytest.mark.parametrize("shape_of", [(9, 4), (5, 8)])
@pytest.mark.parametrize("floor", [1e-3, 1.5, 100.0])
def test_whitening_is_differentiable_above_below_and_across_the_floor(
    shape_of: tuple[int, int], floor: float
) -> None:
    def whiten(Y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whitened, values = shape.clipped(linalg.center(Y), Y, floor)
        return whitened, values.square().sum(dim=-1)

    assert gradcheck(whiten, torch.randn(2, *shape_of, dtype=torch.float64).requires_grad_())


def test_whitening_is_differentiable_at_equal_singular_values() -> None:
    left = torch.linalg.qr(torch.randn(12, 5, dtype=torch.float64))[0]
    left = torch.linalg.qr(left - left.mean(dim=0))[0]
    right = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0]
    Y = (left * torch.tensor([2.0, 2, 2, 0.5, 0.5], dtype=torch.float64)) @ right
    for floor in (1e-3, 1.0, 10.0):
        assert gradcheck(
            lambda A, f=floor: shape.clipped(linalg.center(A), A, f)[0], Y.clone().requires_grad_()
        )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("convention", ["netrep", "repsim"])
@pytest.mark.parametrize("metric", ["angular", "euclidean"])
def test_gradients_at_any_alpha(metric: str, convention: str, alpha: float) -> None:
    X, Y = torch.randn(14, 5, dtype=torch.float64), torch.randn(14, 3, dtype=torch.float64)
    measure = measures.get(f"shape_{metric}", alpha=alpha, convention=convention)
    assert gradcheck(measure.bind(X), Y.requires_grad_())


def test_the_floor_is_absolute_so_small_data_are_not_whitened(rng: np.random.Generator) -> None:
    X, Y = 1e-6 * rng.standard_normal((30, 4)), 1e-6 * rng.standard_normal((30, 4))
    small = simopt.score(X, Y, "shape_angular", alpha=0.0)
    assert small == pytest.approx(simopt.score(X, Y, "procrustes_angle"), rel=1e-9)


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match=r"alpha of shape_angular is 1.5; .*at most 1"):
        measures.get("shape_angular", alpha=1.5)
    with pytest.raises(InputError, match="alpha of shape_angular is -1"):
        measures.get("shape_angular", alpha=-1)
    with pytest.raises(InputError, match=f"alpha of shape_angular is {math.nan}"):
        measures.get("shape_angular", alpha=math.nan)
    with pytest.raises(InputError, match="Unknown convention of shape_angular 'other'"):
        measures.get("shape_angular", convention="other")
    with pytest.raises(InputError, match="Unknown metric of shape_angular 'cosine'"):
        measures.get("shape_angular", metric="cosine")


def test_it_says_when_it_is_degenerate() -> None:
    X, wide = (np.random.default_rng(0).standard_normal((20, units)) for units in (5, 30))
    for sides in ((X, wide), (wide, X)):
        assert "the same angle" in measures.get("shape_angular", alpha=0.0).degenerate(*sides)
        assert measures.get("shape_angular").degenerate(*sides) is None
    assert measures.get("shape_angular", alpha=0.0).degenerate(X, X) is None
