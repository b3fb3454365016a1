"""Predictivity unit by unit: splits, pooling, hard data, options. Its numbers: the published packages."""

import numpy as np
import pytest

import simopt
from simopt.errors import InputError


def test_all_components_of_pls_are_least_squares(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((60, 5)), rng.standard_normal((60, 4))
    X[:, :4] += Y
    linear = simopt.score(X, Y, "pls25", model="linear")
    assert simopt.score(X, Y, "pls25", tolerance=1e-12) == pytest.approx(linear, rel=1e-9)


def test_a_penalty_is_chosen_that_suits_the_noise(rng: np.random.Generator) -> None:
    """30 noisy predictors for 60 samples: a chosen penalty beats both none and one far too strong."""
    signal = rng.standard_normal((60, 2))
    X = signal @ rng.standard_normal((2, 8)) + 0.5 * rng.standard_normal((60, 8))
    Y = signal @ rng.standard_normal((2, 30)) + 2 * rng.standard_normal((60, 30))
    chosen = simopt.score(X, Y, "ridge_cv")
    assert chosen > simopt.score(X, Y, "ridge_cv", model="linear") + 0.05
    assert chosen > simopt.score(X, Y, "ridge_cv", model="ridge", penalty=1e-6) + 0.05
    assert simopt.score(X, Y, "ridge_cv", per_unit=True) == pytest.approx(chosen, abs=0.05)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["pls25", "ridge_cv", "neuroai-pls25", "deepdive-ridge1-r2-5fold-pooled"])
def test_wide_and_padded_data_neither_warn_nor_mislead(rng: np.random.Generator, name: str) -> None:
    wide = rng.standard_normal((15, 30))
    scores = simopt.score(rng.standard_normal((15, 20)), wide, [name])
    assert np.isfinite(scores[name])
    padded = np.hstack([wide[:, :4], np.zeros((15, 3))])
    assert list(simopt.score(wide[:, 5:9], padded, [name])) == [name]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "lasso"}, "Unknown model"),
        ({"folds": 1}, "folds of pls25 is 1"),
        ({"folds": 50}, "50 folds of 40 samples"),
        ({"components": 0}, "components of pls25 is 0"),
        ({"fewer_components": False}, "25 components need"),
        ({"pooled": True}, "pooled=true .*splits=contiguous"),
        ({"tolerance": 0.0}, "tolerance of pls25"),
    ],
)
def test_options_that_cannot_be(rng: np.random.Generator, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.score(rng.standard_normal((40, 3)), rng.standard_normal((40, 3)), "pls25", **options)


def test_several_measures_have_the_scores_they_have_alone(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 20, 4))
    nbs = simopt.measures.get("nbs")
    several = simopt.score(X, Y, ["cka", nbs, "linreg"])
    assert several == {name: simopt.score(X, Y, name) for name in ("cka", "nbs", "linreg")}
