"""Runs that differ in their seeds alone are one curve, on one grid of scores."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simopt.optimization.trajectory import first_passage
from simopt.report.pools import MOST_LEVELS, along, band, pool
from tests.report.runs import made


def test_runs_that_differ_in_seeds_alone_are_one_pool() -> None:
    one, two = made(seeds=(0,)), made(seeds=(1, 2), folder="elsewhere", device="cuda")
    (both,) = pool([one, two])
    assert (both.replicates, both.label, both.dataset, both.measure) == (3, "cka", "d (real)", "cka")
    np.testing.assert_array_equal(both.over_steps()[1], np.c_[one.score, two.score])


@pytest.mark.parametrize(
    "other",
    [
        {"measure": "nbs"}, {"dataset": "e"}, {"source": "surrogate"}, {"data": "bb22"}, {"lr": 0.05},
        {"K": 5}, {"config": "[1, 2"}, {"config": None},
    ],
)  # fmt: skip
def test_whatever_else_differs_is_another_pool(other: dict) -> None:
    assert len(pool([made(), made(seeds=(1,), **other)])) == 2


def test_labels_say_what_pools_of_a_measure_differ_in() -> None:
    runs = [made(), made(seeds=(1,)), made(lr=0.05), made("nbs")]
    assert [(curve.label, curve.variant) for curve in pool(runs)] == [
        ("cka lr=0.1", 1), ("cka lr=0.05", 0), ("nbs", 0),
    ]  # fmt: skip
    unread = [replace(made(config=None), path=made().path.parent.parent / f"real-{name}" / "run.h5")
              for name in ("0123456789ab", "fedcba987654")]  # fmt: skip
    assert [curve.label for curve in pool(unread)] == ["cka no. 1", "cka no. 2"]


def test_a_seed_that_was_run_twice_counts_once_and_as_finished() -> None:
    cut = replace(made(seeds=(0, 1), T=4), status="interrupted")
    (both,) = pool([cut, made(seeds=(1, 2))])
    assert both.replicates == 3
    assert [len(run.step) for run, _ in both.places] == [9, 9, 4]


def test_runs_without_a_row_are_left_out() -> None:
    assert pool([replace(made(), step=np.arange(0), score=np.empty((0, 1)))]) == []


FLOATS = st.floats(-1, 1, width=32)


@given(arrays(float, 12, elements=FLOATS), arrays(float, (12, 2), elements=FLOATS))
def test_a_level_has_the_state_in_which_it_is_first_passed(score: np.ndarray, values: np.ndarray) -> None:
    levels, placed = along([(score, values)])
    assert levels.tolist() == sorted({score[: at + 1].max() for at in range(12)})
    for level, state in zip(levels, placed[:, 0], strict=True):
        np.testing.assert_allclose(
            state, values[next(at for at in range(12) if score[at] >= level)], atol=1e-12
        )


def test_between_logged_states_it_is_interpolated_as_half_captures_are() -> None:
    score = np.array([0.1, 0.3, 0.25, 0.7])
    values = np.array([0.0, 0.2, 0.5, 0.9])[:, None]
    levels, placed = along([(score, values), (np.array([0.2, 0.5, 0.8]), np.zeros((3, 1)))])
    np.testing.assert_allclose(levels, [0.1, 0.2, 0.3, 0.5, 0.7, 0.8])
    np.testing.assert_allclose(placed[:, 0, 0], [0, 0.1, 0.2, 0.5 + 0.4 * 0.25 / 0.45, 0.9, np.nan])
    assert np.isnan(placed[:, 1, 0]).tolist() == [True, False, False, False, False, False]
    at = levels.tolist().index(0.2)
    expected = first_passage(values, score[:, None, None], np.array([[0.2]]))  # of values, where score passes
    np.testing.assert_allclose(placed[at, 0, 0], expected[0, 0])


def test_distances_are_passed_from_above() -> None:
    score, values = np.array([5.0, 3.0, 3.5, 1.0]), np.arange(4.0)[:, None]
    levels, placed = along([(score, values)], sign=-1)
    assert levels.tolist() == [5, 3, 1]
    assert placed[:, 0, 0].tolist() == [0, 1, 3]
    falling = made()
    assert pool([replace(falling, score=-falling.score)])[0].sign == -1


def test_scores_that_are_no_numbers_are_passed_over() -> None:
    levels, placed = along([(np.array([np.nan, 0.2, np.nan, 0.4]), np.arange(4.0)[:, None])])
    assert levels.tolist() == [0.2, 0.4]
    assert placed[:, 0, 0].tolist() == [1, 3]
    levels, placed = along([(np.empty(0), np.empty((0, 1)))])
    assert (levels.shape, placed.shape) == ((0,), (0, 1, 1))


def test_many_levels_are_thinned_and_keep_both_ends() -> None:
    score = np.sort(np.random.default_rng(0).uniform(size=2000)) ** 0.2
    levels, placed = along([(score, score[:, None] ** 2)])
    assert len(levels) <= MOST_LEVELS
    assert (levels[0], levels[-1]) == (score[0], score[-1])
    np.testing.assert_allclose(placed[:, 0, 0], levels**2)


def test_captured_variance_and_decoding_on_one_grid() -> None:
    (both,) = pool([made(seeds=(0,), decoded=("a",)), made(seeds=(2,), decoded=("a",))])
    levels, captured = both.captured([1, 2])
    assert captured.shape == (len(levels), 2, 2)
    inside = levels >= 0.1
    np.testing.assert_allclose(
        captured[inside, :, 0], np.c_[levels, levels][inside]
    )  # PC 1: the score itself
    levels, accuracy = both.decoding("a")
    np.testing.assert_allclose(accuracy[levels >= 0.1, 1], 0.5 + 0.5 * levels[levels >= 0.1])
    good = both.good_score("a")
    assert good is not None
    np.testing.assert_allclose(good.per_seed, [0.72, 0.72])  # 0.5 + 0.9 * 0.4 = 0.86
    assert both.good_score("b") is None
    assert (both.variables, both.reference("a")) == (["a"], (0.9, 0.5))


def test_half_captures_of_all_replicates() -> None:
    runs = [made(seeds=(0,)), replace(made(seeds=(1,)), half_capture=np.full((1, 6), 0.3))]
    (both,) = pool(runs)
    assert both.half_capture[1].tolist() == [0.3] * 6
    assert both.half_capture[0, 0] == pytest.approx(0.5)


def test_the_band_is_the_range_and_the_mean_that_of_at_least_half() -> None:
    values = np.array([[1.0, 3.0, np.nan, np.nan], [1.0, np.nan, np.nan, np.nan], [np.nan] * 4, [0, 1, 2, 3]])
    spread = band(values)
    np.testing.assert_array_equal(spread.mean, [2, np.nan, np.nan, 1.5])
    np.testing.assert_array_equal(spread.low, [1, 1, np.nan, 0])
    np.testing.assert_array_equal(spread.high, [3, 1, np.nan, 3])
