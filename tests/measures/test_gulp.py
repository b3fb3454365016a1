"""GULP against its hat matrices, and at penalties of any size."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import simopt
from simopt import measures
from simopt.errors import InputError
from tests.measures.test_textbook import KINDS, pair
from tests.oracles.gulp import MEASURES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("penalty", [1e-6, 1e-3, 10.0])
@pytest.mark.parametrize("units", [3, 12])
def test_gradient_at_any_penalty(units: int, penalty: float) -> None:
    X = torch.randn(10, 4, dtype=torch.float64)
    Y = torch.randn(10, units, dtype=torch.float64).requires_grad_()
    assert gradcheck(measures.get("gulp", penalty=penalty).bind(X), Y)


def test_a_vanishing_penalty_tends_to_none(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((30, 4))
    nothing = simopt.score(X, Y, "gulp", penalty=0.0)
    assert simopt.score(X, Y, "gulp", penalty=1e-12) == pytest.approx(nothing, rel=1e-9)
    rho_squared = 4 * simopt.score(X, Y, "cca-mean-squared")
    assert nothing == pytest.approx(9 - 2 * rho_squared, rel=1e-10)


def test_a_large_penalty_tends_to_the_distance_of_the_kernels(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((30, 4))
    kernels = []
    for A in (X, Y):
        A = A - A.mean(axis=0)
        kernels.append(A @ A.T / np.sum(A**2))
    scaled = simopt.score(X, Y, "gulp", penalty=1e4) * 1e8
    assert scaled == pytest.approx(np.sum((kernels[0] - kernels[1]) ** 2), rel=1e-3)


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(InputError, match="penalty of gulp is -1"):
        measures.get("gulp", penalty=-1)


def test_it_says_when_it_is_degenerate() -> None:
    X, wide = (np.random.default_rng(0).standard_normal((20, units)) for units in (5, 19))
    for sides in ((X, wide), (wide, X)):
        assert "whatever Y is" in measures.get("gulp", penalty=0).degenerate(*sides)
        assert measures.get("gulp").degenerate(*sides) is None
    assert measures.get("gulp", penalty=0).degenerate(X, X) is None
