"""CCA and its kin against the textbook; rank, jumps of the rank, truncation and tied variates."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import simopt
from simopt import measures
from simopt.errors import InputError
from tests.measures.test_textbook import KINDS, pair
from tests.oracles.cca import MEASURES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    # arccos next to 1 has lost half of the textbook's digits: Y spans all samples in "samples < units".
    loose = 1e-7 if MEASURES[name] is MEASURES["cca_angle"] and kind == "samples < units" else 1e-9
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9, abs=loose)


def test_duplicated_and_padded_columns_change_no_correlation(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((40, 6)), rng.standard_normal((40, 4))
    score = simopt.score(X, Y, "cca_angle")
    for wider in (np.hstack([Y, Y[:, :2]]), np.hstack([Y, np.zeros((40, 3))]), np.hstack([Y, Y @ Y[:4]])):
        assert simopt.score(X, wider, "cca_angle") == pytest.approx(score, rel=1e-10)
        assert simopt.score(wider, X, "cca_angle") == pytest.approx(score, rel=1e-10)


def test_a_constant_column_far_from_zero_adds_no_rank(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((37, 5)), rng.standard_normal((37, 4))
    constant = np.hstack([Y, np.full((37, 1), 1e6 / 3)])
    assert simopt.score(X, constant, "cca_angle") == pytest.approx(simopt.score(X, Y, "cca_angle"), rel=1e-9)


@pytest.mark.parametrize("alias", ["cca-mean", "cca-mean-squared", "cca-bures-score", "cca-angular"])
def test_gradient_at_constant_rank_is_exact(alias: str) -> None:
    """Y = A B of rank 3, as a function of A: the rank stays."""
    X, B = torch.randn(14, 5, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    A = torch.randn(14, 3, dtype=torch.float64).requires_grad_()
    bound = measures.get(alias).bind(X)
    assert gradcheck(lambda A: bound(A @ B), A)


@pytest.mark.parametrize("alias", ["cca-mean", "cca-mean-squared", "gulp-lambda0"])
def test_where_y_lacks_rank_the_gradient_points_to_what_it_lacks(alias: str) -> None:
    X = torch.randn(14, 4, dtype=torch.float64)
    Y = (X * torch.tensor([1.0, 1, 1, 0], dtype=torch.float64)).requires_grad_()
    measure = measures.get(alias)
    before = measure(X, Y)
    (grad,) = torch.autograd.grad(before, Y)
    after = measure(X, Y.detach() + measure.sign * 1e-3 * grad)
    # One more correlation of 1: (3 -> 4) / 4, and of GULP 4 + 3 - 6 -> 4 + 4 - 8.
    assert abs(after - before).item() == pytest.approx(0.25 if measure.sign > 0 else 1.0, abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"power": 2}, {"normalizer": "ranks", "form": "angle"}])
@pytest.mark.parametrize("variance", [0.6, 0.9, 0.99])
def test_gradient_through_truncation_is_exact(variance: float, options: dict) -> None:
    decay = torch.tensor([3.0, 2, 1.4, 1, 0.5, 0.1], dtype=torch.float64)
    X, Y = torch.randn(16, 6, dtype=torch.float64) * decay, torch.randn(16, 6, dtype=torch.float64) * decay
    bound = measures.get("svcca", variance=variance, **options).bind(X)
    assert gradcheck(bound, torch.stack([Y, Y + 0.01 * torch.randn_like(Y)]).requires_grad_())


def test_gradient_of_svcca_is_finite_where_kept_and_dropped_components_tie() -> None:
    left = torch.linalg.qr(torch.randn(16, 4, dtype=torch.float64))[0]
    left = torch.linalg.qr(left - left.mean(dim=0))[0]
    Y = left.clone().requires_grad_()
    score = measures.get("svcca", variance=0.6)(torch.randn(16, 4, dtype=torch.float64), Y)
    assert torch.isfinite(torch.autograd.grad(score, Y)[0]).all()


def test_truncation_keeps_as_many_components_as_the_threshold_needs(rng: np.random.Generator) -> None:
    left = np.linalg.qr(rng.standard_normal((30, 4)))[0]
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    X = left * np.sqrt([0.7, 0.2, 0.08, 0.02])
    assert simopt.score(X, left[:, :2] * [1, 0.9], "svcca", variance=0.85) == pytest.approx(1)
    assert simopt.score(X, left[:, [0, 3]] * [1, 0.9], "svcca", variance=0.85) == pytest.approx(0.5)
    assert simopt.score(X, left[:, [0, 3]] * [1, 0.9], "svcca", variance=0.99) == pytest.approx(1)


def test_pwcca_of_tied_variates_depends_on_the_data_alone(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((30, 6)), rng.standard_normal((30, 4))
    wide = np.hstack([Y, rng.standard_normal((30, 23))])
    for other in (Y, wide):  # Two correlations of 0; four of 1.
        score = simopt.score(X, other, "pwcca")
        mixed = other @ rng.standard_normal((other.shape[1], other.shape[1]))
        assert simopt.score(X, mixed, "pwcca") == pytest.approx(score, rel=1e-8)
        assert simopt.score(X[:, rng.permutation(6)], other, "pwcca") == pytest.approx(score, rel=1e-8)
    assert not measures.get("pwcca").differentiable


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="power of cca is 3"):
        measures.get("cca", power=3)
    with pytest.raises(InputError, match="Unknown normalizer of cca 'p'"):
        measures.get("cca", normalizer="p")
    with pytest.raises(InputError, match="Unknown form of cca 'angular'"):
        measures.get("cca", form="angular")
    with pytest.raises(InputError, match="form=angle needs power=1 and normalizer=ranks"):
        measures.get("cca", form="angle")
    with pytest.raises(InputError, match="variance of svcca is 0"):
        measures.get("svcca", variance=0)
    with pytest.raises(InputError, match="variance of svcca is 99; .* at most 1"):
        measures.get("svcca", variance=99)


def test_it_says_when_it_is_degenerate() -> None:
    X, wide, narrow = (np.random.default_rng(0).standard_normal((20, units)) for units in (5, 30, 10))
    low_rank = narrow @ np.random.default_rng(1).standard_normal((10, 30))
    every = r"30 units of {} >= 20 samples - 1: every canonical correlation is 1"
    for name in ("cca", "cca_angle", "cca-bures-score", "pwcca"):
        measure = measures.get(name)
        assert every.format("Y") in measure.degenerate(X, wide)
        assert measure.degenerate(X, narrow) is None
        assert measure.degenerate(X, low_rank) is None
        weak = measure.degenerate(wide, narrow)
        assert weak is None if name == "pwcca" else every.format("X") in weak
        # It is so: another Y of this size and rank has the same score, and without the warning it has not.
        others = [np.random.default_rng(seed).standard_normal((20, 10)) for seed in (2, 3)]
        for of, same in ((wide, name != "pwcca"), (X, False)):
            first, second = (simopt.score(of, Y, measure) for Y in others)
            assert (abs(first - second) < 1e-10) == same
    flat = np.random.default_rng(4).standard_normal((20, 500))  # all its 19 PCs are kept
    for sides in ((X, flat), (flat, X)):
        assert "500 units of" in measures.get("svcca").degenerate(*sides)
    assert measures.get("svcca").degenerate(X, flat * 0.5 ** np.arange(500)) is None
