"""The boundary search against ranges that are known: closed forms, identities, and another optimizer."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.optimize import NonlinearConstraint, minimize

from simopt import measures
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.ranges.boundary import Boundary, Extremes, Options
from tests.theory.exact import two_components

LEVELS = [0.1, 0.3, 0.5, 0.7, 0.9]
X = np.random.default_rng(0).standard_normal((30, 5)) * [4, 2, 1, 1, 0.5]


def search(a: str, b: str, levels: list[float], data: np.ndarray = X, **options: float) -> Extremes:
    boundary = Boundary(
        Reference.of(data),
        measures.get(a),
        measures.get(b),
        levels,
        Options(**options),
    )
    assert boundary.run()
    return boundary.extremes()


def test_functions_of_each_other_give_a_curve() -> None:
    extremes = search("nbs", "procrustes_angular", LEVELS, tolerance=1e-6, rounds=1, between=0)
    exact = 1 - 2 / math.pi * np.arccos(LEVELS)
    np.testing.assert_allclose(extremes.value, np.column_stack([exact, exact]), atol=3e-6)
    assert extremes.feasibility.max() <= 1e-6


def test_the_tolerance_is_not_spent_on_the_extreme() -> None:
    extremes = search("nbs", "procrustes_angular", LEVELS, tolerance=0.01, rounds=1, between=0)
    assert extremes.feasibility.max() < 1e-5


def test_one_measure_under_two_names_gives_the_diagonal() -> None:
    extremes = search("cka", "rsa_correlation_corr", LEVELS, tolerance=1e-6, rounds=1, between=0)
    np.testing.assert_allclose(extremes.value, np.column_stack([LEVELS, LEVELS]), atol=3e-6)


@pytest.mark.parametrize("units", [2, 6])
def test_rank_one(units: int) -> None:
    """With X = s u v', cka = nbs^2 tr G / ||G||, G = Y'Y: least for rank one, most for G next to even."""
    data = np.outer(X[:, 0], [1.0, -2.0, 0.5])
    levels = np.array([0.2, 0.6, 0.8])
    extremes = search("nbs", "cka", levels.tolist(), data, units=units, tolerance=1e-6, between=0)
    square = levels**2
    even = np.sqrt(
        np.maximum(square, 1 / units) ** 2 + (1 - np.maximum(square, 1 / units)) ** 2 / (units - 1)
    )
    np.testing.assert_allclose(extremes.value[:, 0], square, atol=2e-4)
    np.testing.assert_allclose(extremes.value[:, 1], square / even, atol=2e-4)
    assert (extremes.value[:, 0] >= square - 1e-5).all()
    assert (extremes.value[:, 1] <= square / even + 1e-5).all()


def test_two_pcs() -> None:
    """X and Y in a plane, as three samples leave no more: exact on both sides, see two_components."""
    share = 0.8
    drawn = np.random.default_rng(0).standard_normal((3, 2))
    plane = np.linalg.qr(np.column_stack([np.ones(3), drawn]))[0][:, 1:]
    levels = [0.55, 0.65, 0.75, 0.85, 0.95]
    extremes = search("cka", "nbs", levels, plane * np.sqrt([share, 1 - share]), rounds=2, between=0)
    exact = np.column_stack(two_components(np.array(levels), share))
    np.testing.assert_allclose(extremes.value, exact, atol=2e-5)


def _numpy_scores(flat: np.ndarray, F: np.ndarray, units: int) -> tuple[float, float]:
    Y = flat.reshape(len(F), units)
    Y = Y - Y.mean(axis=0)
    cross = F.T @ Y
    cka = (cross**2).sum() / np.linalg.norm(F.T @ F) / np.linalg.norm(Y.T @ Y)
    nbs = np.linalg.svd(cross, compute_uv=False).sum() / np.linalg.norm(F) / np.linalg.norm(Y)
    return cka, nbs


@pytest.mark.parametrize(("level", "samples", "fewer"), [(0.4, 9, True), (0.8, 6, False)])
def test_scipy_finds_nothing_beyond(level: float, samples: int, fewer: bool) -> None:
    rng = np.random.default_rng(1)
    data = rng.standard_normal((samples, 3)) * [2, 1, 0.7]
    F = data - data.mean(axis=0)
    cka, nbs = measures.get("cka"), measures.get("nbs")
    options = Options(units=2, tolerance=1e-5, rounds=1, steps=200)
    boundary = Boundary(Reference.of(data), cka, nbs, [level], options)
    assert boundary.span.fewer == fewer
    boundary.run()
    extremes = boundary.extremes()
    for side, sign in ((0, 1.0), (1, -1.0)):
        best = math.inf
        for _ in range(2):
            done = minimize(
                lambda y, sign=sign: sign * _numpy_scores(y, F, 2)[1],
                rng.standard_normal(2 * samples),
                method="SLSQP",
                constraints=NonlinearConstraint(lambda y: _numpy_scores(y, F, 2)[0], level, level),
                options={"maxiter": 80},
            )
            if abs(_numpy_scores(done.x, F, 2)[0] - level) < 1e-6:
                best = min(best, done.fun)
        assert sign * extremes.value[0, side] <= best + 1e-4
        assert math.isclose(sign * extremes.value[0, side], best, abs_tol=2e-3)


@pytest.mark.parametrize("pair", [("cka", "nbs"), ("linreg", "nbs")])
def test_never_outside_the_bounds(pair: tuple[str, str]) -> None:
    a, b = search(*pair, LEVELS, steps=40, rounds=1, between=0).points.T
    if pair[0] == "linreg":
        assert (a >= b**2 - 1e-9).all()
    else:
        assert (b**2 <= 5 * a + 1e-9).all()
        assert (b**2 >= a / 5 - 1e-9).all()
    assert len(a) > 1000


def test_the_extreme_y_has_the_scores_that_are_said() -> None:
    cka, nbs = measures.get("cka"), measures.get("nbs")
    boundary = Boundary(Reference.of(X), cka, nbs, [0.4, 0.6, 0.8], Options(steps=30))
    assert boundary.span.fewer
    boundary.run()
    extremes, Y = boundary.extremes(), boundary.extreme()
    assert Y.shape == (3, 2, 30, 5)
    np.testing.assert_allclose(nbs.bind(X)(Y), extremes.value, atol=1e-12)
    apart = np.abs(cka.bind(X)(Y).numpy() - extremes.levels[:, None])
    np.testing.assert_allclose(apart, extremes.feasibility, atol=1e-12)


def test_another_seed_finds_the_same() -> None:
    one, other = (search("cka", "nbs", [0.5], rounds=1, between=0, seed=seed) for seed in (0, 5))
    assert not np.array_equal(one.points, other.points)
    np.testing.assert_allclose(one.value, other.value, atol=1e-3)


def test_beyond_reach_nothing_is_found_and_the_distance_is_said() -> None:
    extremes = search("nbs", "cka", [0.5, 1.0], np.diag([3.0, 2, 1, 1, 1, 1]), units=1, steps=30, rounds=1)
    assert np.isfinite(extremes.value[0]).all()
    assert np.isnan(extremes.value[1]).all()
    assert (extremes.feasibility[1] > 0.2).all()


def test_interrupted_and_resumed_gives_the_same(tmp_path) -> None:
    def new() -> Boundary:
        options = Options(steps=8, rounds=2, between=1)
        return Boundary(Reference.of(X), measures.get("cka"), measures.get("nbs"), [0.2, 0.8], options)

    whole = new()
    assert whole.run()
    for stop in (13, 24):
        first = new()
        assert not first.run(should_stop=lambda first=first, stop=stop: first.steps[0] >= stop)
        torch.save(first.state(), tmp_path / "state.pt")
        second = new()
        second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
        assert second.steps == first.steps
        assert second.run()
        for name, value in vars(whole.extremes()).items():
            np.testing.assert_array_equal(getattr(second.extremes(), name), value, err_msg=f"{name} {stop}")
        torch.testing.assert_close(second.extreme(), whole.extreme(), rtol=0, atol=0, equal_nan=True)


def test_resumed_where_no_extreme_is_known_gives_the_same() -> None:
    def new() -> Boundary:
        options = Options(units=1, starts=2, steps=6, rounds=3, between=1)
        pair = measures.get("nbs"), measures.get("cka")
        return Boundary(Reference.of(np.diag([3.0, 2, 1, 1, 1, 1])), *pair, [0.95, 1.0], options)

    whole = new()
    assert whole.run()
    assert np.isnan(whole.extremes().value).all()
    for stop in range(8, whole.steps[1], 5):
        first, second = new(), new()
        assert not first.run(should_stop=lambda first=first, stop=stop: first.steps[0] >= stop)
        second.restore(first.state())
        assert second.run()
        np.testing.assert_array_equal(second.points(), whole.points(), err_msg=str(stop))


@pytest.mark.parametrize("sought", ["nbs", "cka"])
def test_every_level_of_cca_is_found(sought: str) -> None:
    """Its extremes lie on kinks: correlations of zero, where its gradient says the wrong."""
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    extremes = search("cca", sought, levels, between=0, rounds=2, steps=100)
    assert np.isfinite(extremes.value).all()
    assert extremes.feasibility.max() <= 1e-4


def test_done_is_done() -> None:
    boundary = Boundary(Reference.of(X), measures.get("cka"), measures.get("nbs"), [0.5], Options(steps=2))
    boundary.run()
    before = copy.deepcopy(boundary.extremes().points)
    boundary.advance()
    np.testing.assert_array_equal(boundary.extremes().points, before)
    assert boundary.steps[0] == boundary.steps[1]


def test_what_cannot_be_searched_is_refused() -> None:
    reference, cka = Reference.of(X), measures.get("cka")
    with pytest.raises(InputError, match="mutual_knn"):
        Boundary(reference, cka, measures.get("mutual_knn"))
    with pytest.raises(InputError, match=r"1\.2.*cka.* 0 and 1"):
        Boundary(reference, cka, measures.get("nbs"), [0.5, 1.2])
    with pytest.raises(InputError, match=r"levels has shape \(2, 2\); give a list"):
        Boundary(reference, cka, measures.get("nbs"), np.ones((2, 2)))
    with pytest.raises(InputError, match="starts.* 1"):
        Options(starts=1)
