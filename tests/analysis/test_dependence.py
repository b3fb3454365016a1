"""Tests of dependence against all orders of few rows, other libraries, and simulations of known kind."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from scipy.fft import dct
from scipy.signal import lfilter

from simopt.analysis import dependence
from simopt.analysis.dependence import Basis

ONE = np.zeros(200, np.int64)


def series(rng: np.random.Generator, a: float, n: int = 200, units: int = 10) -> np.ndarray:
    return lfilter([1], [1, -a], rng.standard_normal((n + 200, units)), axis=0)[200:]


def sums(rows: np.ndarray, lags: int) -> np.ndarray:
    centered = rows - rows.mean(axis=0)
    return np.array([(centered[lag:] * centered[:-lag]).sum() for lag in range(1, lags + 1)])


def test_moments_of_similarities_are_those_over_all_orders() -> None:
    rows = np.random.default_rng(0).standard_normal((7, 3)) ** 3
    at, means, variances = dependence._similarities(rows, np.zeros(7, np.int64))
    every = np.array([sums(rows[list(order)], 3) for order in permutations(range(7))])
    np.testing.assert_allclose(at, sums(rows, 3), atol=1e-10)
    np.testing.assert_allclose(means, every.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(variances, every.var(axis=0), rtol=1e-9)


def test_only_pairs_within_a_block_count() -> None:
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(5), 40)
    offset = 5 * rng.standard_normal((5, 10))[blocks] + rng.standard_normal((200, 10))
    assert dependence.depend(offset, ONE)
    assert not dependence.depend(offset, blocks)
    assert dependence.depend(offset + 3 * series(rng, 0.8), blocks)


@pytest.mark.parametrize("tails", [0, 3])
def test_independent_rows_rarely_seem_to_depend(tails: int) -> None:
    seen = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        size = rng.standard_t(tails, (60, 1)) if tails else 1.0
        seen += dependence.depend(size * rng.standard_normal((60, 8)), ONE[:60])
    # An order is refused if both sides seem to depend: in 1 % of pairs with a rate of 10 % for each.
    assert seen <= 31  # of 200, with a true rate of at most 10 %: more in 1 % of such tests


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_slow_changes_are_seen_in_each_block_and_in_all(degree: int) -> None:
    rng, blocks = np.random.default_rng(0), np.repeat(np.arange(5), 24)
    shape = np.polynomial.legendre.Legendre.basis(degree)(np.linspace(-1, 1, 24))[:, None]
    noise = rng.standard_normal((120, 5))
    own = np.concatenate([shape * rng.standard_normal((1, 5)) for _ in range(5)])
    common = np.tile(shape * np.ones((1, 5)), (5, 1))
    assert dependence.slow(noise, blocks) > 0.05
    assert dependence.slow(noise + own, blocks) < 1e-4
    assert dependence.slow(noise + common, blocks) < 1e-4
    assert dependence.slow(noise, np.arange(120)) == 1


@pytest.mark.parametrize("sizes", [[20] * 4, [5] * 30, [3, 5, 12] * 8])
def test_the_p_value_of_slow_changes_is_uniform_where_there_are_none(sizes: list[int]) -> None:
    """The smallest of four p-values that go together is below 1 % in 1 to 4 % of cases."""
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    low = [
        dependence.slow(np.random.default_rng(seed).standard_normal((len(blocks), 3)), blocks) < 0.01
        for seed in range(300)
    ]
    assert 1 <= sum(low) <= 20  # of 300, with a rate of 1 and of 4 %: fewer or more in 5 and 1 % of tests


def test_a_curve_within_short_blocks_is_seen() -> None:
    """Blocks of 5 samples have two polynomials; a test that counts three sees 39 % of these."""
    blocks, curve = np.repeat(np.arange(30), 5), np.tile(np.linspace(-1, 1, 5) ** 2, 30)[:, None]
    draws = (np.random.default_rng(seed) for seed in range(200))
    noisy = (rng.standard_normal((150, 5)) + 0.4 * curve * rng.standard_normal(5) for rng in draws)
    assert np.mean([dependence.slow(rows, blocks) < 0.01 for rows in noisy]) > 0.5


@pytest.mark.parametrize("a", [0.2, 0.5, 0.9])
def test_series_are_seen_to_depend(a: float) -> None:
    assert all(dependence.depend(series(np.random.default_rng(seed), a), ONE) for seed in range(20))


def test_power_that_changes_slowly_is_seen() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal((200, 10))
    ramp = np.linspace(0.2, 2, 200)[:, None]
    assert dependence.power_depends(ramp * white, ONE)
    assert not dependence.power_depends(white, ONE)
    assert not dependence.depend(ramp * white, ONE)


@pytest.mark.parametrize(("a", "m"), [(0.3, 30), (0.9, 31)])
def test_fast_coefficients_of_a_series_are_uncorrelated_with_all_others(a: float, m: int) -> None:
    basis = Basis(np.zeros(m, np.int64), a)
    turned = basis.coefficients(np.eye(m))  # of rows Z the coefficients are turned @ Z
    np.testing.assert_allclose(basis.rows(turned), np.eye(m), atol=1e-10)
    covariance = turned @ a ** np.abs(np.subtract.outer(np.arange(m), np.arange(m))) @ turned.T
    np.testing.assert_allclose(covariance[:4, 4:], 0, atol=1e-10)
    fast = covariance[4:, 4:]
    np.testing.assert_allclose(fast, np.diag(np.diag(fast)), atol=1e-10)
    assert (np.diff(np.diag(fast)) < 0).all()  # from low to high frequency
    cubic = np.polyval([3.0, -1.0, 2.0, 5.0], np.arange(m) / m)[:, None]
    slow = basis.coefficients(cubic)[:4]
    np.testing.assert_allclose(np.linalg.norm(slow), np.linalg.norm(cubic))  # orthonormal polynomials
    np.testing.assert_array_equal(np.flatnonzero(basis.constant), [0])
    np.testing.assert_array_equal(np.flatnonzero(basis.kept), [0, 1, 2, 3])


def test_at_one_the_basis_is_the_cosine_transform() -> None:
    rows = np.random.default_rng(0).standard_normal((25, 3))
    basis = Basis(np.zeros(25, np.int64), 1.0)
    np.testing.assert_allclose(basis.coefficients(rows), dct(rows, norm="ortho", axis=0), atol=1e-12)


def test_each_block_has_a_basis_of_its_own() -> None:
    blocks = np.array([0, 1, 0, 1, 0, 1, 1])
    rows = np.random.default_rng(0).standard_normal((7, 2))
    basis = Basis(blocks, 0.5)
    np.testing.assert_allclose(basis.rows(basis.coefficients(rows)), rows, atol=1e-12)
    np.testing.assert_array_equal(np.flatnonzero(basis.kept), [0, 1, 3, 4])  # of 3 rows, and of 4
    signs = basis.signs(3, np.random.default_rng(0), basis.constant)
    assert (signs[:, basis.constant] == 1).all()
    changed = basis.rows(signs * basis.coefficients(rows))
    for block in (0, 1):
        kept = blocks == block
        means = changed[:, kept].mean(axis=1)
        np.testing.assert_allclose(means, np.tile(rows[kept].mean(axis=0), (3, 1)), atol=1e-12)


def test_the_coefficient_of_a_series_is_found_without_bias() -> None:
    found = [
        dependence.lag_one(
            tuple(series(np.random.default_rng([seed, side]), 0.7, 60) for side in (0, 1)), ONE[:60]
        )
        for seed in range(100)
    ]
    assert np.mean(found) == pytest.approx(0.7, abs=0.015)
    assert dependence.lag_one((np.tile([[1.0], [-1.0]], (30, 1)),), ONE[:60]) == 0


def test_the_coefficient_is_that_within_blocks_in_any_order() -> None:
    sides = (series(np.random.default_rng(0), 0.8, 400),)
    one, blocks = np.zeros(400, np.int64), np.repeat(np.arange(5), 80)
    woven = np.argsort(np.argsort(np.arange(400) % 5, kind="stable"), kind="stable")
    apart = dependence.lag_one(sides, blocks)
    assert apart == pytest.approx(dependence.lag_one(sides, one), abs=0.05)
    assert dependence.lag_one((sides[0][woven],), blocks[woven]) == pytest.approx(apart, abs=1e-12)
    assert dependence.lag_one(sides, np.arange(400) // 3) == 0
    assert dependence.lag_one((np.ones((400, 2)),), blocks) < 0.05


def test_long_blocks_have_the_cosine_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((25, 3))
    monkeypatch.setattr(dependence, "_MOST", 20)
    basis = Basis(np.zeros(25, np.int64), 0.5)
    np.testing.assert_allclose(basis.coefficients(rows), dct(rows, norm="ortho", axis=0), atol=1e-12)


def test_stationary_series_pass_and_jumps_and_ramps_do_not() -> None:
    def failing(make: Callable[[np.random.Generator], np.ndarray]) -> int:
        copies = np.random.default_rng(99)
        made = (make(np.random.default_rng(seed)) for seed in range(40))
        return sum(dependence.stationary(rows, ONE, copies) < 0.05 for rows in made)

    # 5 % of 40: more than 7 in 0.3 % of such tests.
    assert failing(lambda rng: series(rng, 0.8)) <= 7
    jumps, white = np.repeat(np.arange(5), 40), (200, 10)
    assert failing(lambda rng: 2 * rng.standard_normal((5, 10))[jumps] + rng.standard_normal(white)) >= 38
    assert failing(lambda rng: np.linspace(0.2, 3, 200)[:, None] * series(rng, 0.5)) >= 38


def test_a_slow_change_of_variance_makes_frequencies_go_together() -> None:
    rng = np.random.default_rng(0)
    basis = Basis(ONE, 1.0)
    ramp = np.linspace(0.1, 3, 200)[:, None] * rng.standard_normal((200, 10))
    assert dependence.go_together(basis.coefficients(ramp), basis.constant)
    assert not dependence.go_together(basis.coefficients(rng.standard_normal((200, 10))), basis.constant)


def test_effective_comparisons_are_counted() -> None:
    constant = np.array([True, False, False, False, False])
    even, single = np.ones((5, 2)), np.zeros((5, 2))
    single[[0, 2]] = 1
    assert dependence.effective(even, even, constant) == pytest.approx(4)
    assert dependence.effective(even, single, constant) == pytest.approx(1)
    assert dependence.effective(np.zeros((5, 2)), even, constant) == 0
