"""Both searches of a pair, and what their scores imply."""

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.measures import Reference
from simopt.ranges.boundary import Options
from simopt.ranges.pair import PairSearch, implied

OPTIONS = Options(starts=2, steps=30, rounds=1, between=0)
FILLED = Options(starts=2, steps=10, rounds=1, between=3)
"""Their last round, between levels, has other problems than the first one."""


def search(levels=(0.3, 0.9), thresholds=(0.9,), options=OPTIONS):
    X = simopt.load_dataset("gaussian", samples=30, units=5).samples()
    pair = [measures.get(name) for name in ("cka", "procrustes_angular")]
    return PairSearch(Reference.of(X), *pair, levels, thresholds, options)


@pytest.fixture(scope="module")
def ended():
    both = search()
    assert both.run()
    return both


def test_the_region_holds_what_both_searches_passed(ended):
    region = ended.region()
    across = ended.across.points()[:, ::-1]
    assert len(across) > 100
    assert region.contains(across).all()
    assert ended.steps[0] == ended.steps[1]


def test_a_close_second_score_is_searched_directly(ended):
    region, across = ended.region(), ended.across_extremes()
    implication = implied(region, 0.9, 1, found=across.value[0].tolist())
    assert (implication.given, implication.implied) == ("procrustes_angular", "cka")
    assert implication.low <= across.value[0, 0] + 1e-12
    reached = region.points[region.points[:, 1] >= 0.9, 0]
    assert implication.low == pytest.approx(min(reached.min(), across.value[0, 0]))
    assert implication.high == pytest.approx(max(reached.max(), across.value[0, 1]))


def test_what_was_never_reached_implies_nothing(ended):
    implication = implied(ended.region(), 1.5, 0)
    assert np.isnan([implication.low, implication.high]).all()


@pytest.mark.parametrize("options", [OPTIONS, FILLED], ids=["rounds", "filled"])
def test_going_on_ends_in_the_same_numbers(options):
    whole = search(options=options)
    assert whole.run()
    first = search(options=options)
    within = first.along.steps[1]
    for stop in (within // 2, within - 1, within, within + 5):  # both searches, and between them
        assert not first.run(should_stop=lambda at=first, stop=stop: at.steps[0] >= stop)
        second = search(options=options)
        second.restore(first.state())
        assert second.steps == first.steps
        first = second
    assert first.run()
    np.testing.assert_array_equal(first.region().points, whole.region().points)
    np.testing.assert_array_equal(first.region().b_min, whole.region().b_min)
    torch.testing.assert_close(first.along.extreme(), whole.along.extreme(), rtol=0, atol=0, equal_nan=True)


def test_without_thresholds_there_is_one_search():
    one = search(thresholds=())
    assert one.across_extremes() is None
    assert one.steps[1] == one.along.steps[1]
