"""What a region says, on regions that are known."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from simopt import load_dataset, measures
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.ranges.boundary import Boundary, Extremes, Options
from simopt.ranges.region import Region
from simopt.ranges.square import Square, SquareOptions, edges

LEVELS = np.linspace(0, 1, 11)


def region(low: np.ndarray, high: np.ndarray, signs: tuple[int, int] = (1, 1), points=()) -> Region:
    nothing = np.zeros((11, 2))
    pairs = np.reshape(np.array(points, dtype=float), (-1, 2))
    return Region(("cka", "nbs"), signs, LEVELS, low, high, nothing, nothing, pairs)


def test_a_triangle() -> None:
    """All b <= a: a says nothing of b, b >= t says a >= t."""
    triangle = region(np.zeros(11), LEVELS)
    assert triangle.area == pytest.approx(0.5)
    assert triangle.ruled_out(0.9) == pytest.approx(0)
    assert triangle.ruled_out(0.85, 1) == pytest.approx(0.85)
    assert triangle.verdict(0.9, 0.9) == "asymmetric"


def test_verdicts() -> None:
    assert region(np.zeros(11), np.ones(11)).verdict(0.9, 0.9) == "independent"
    assert region(LEVELS, LEVELS).verdict(0.9, 0.9) == "coupled"
    assert region(np.zeros(11), LEVELS).verdict(0.4, 0.4) == "independent"
    assert region(np.zeros(11), LEVELS).verdict(0.1, 0.9) == "asymmetric"


def test_a_distance_is_closer_where_it_is_smaller() -> None:
    falling = region(2 - 2 * LEVELS, 2 - 2 * LEVELS, (1, -1))
    assert falling.ruled_out(0.75) == pytest.approx(0.75)
    assert falling.ruled_out(0.4, 1) == pytest.approx(0.8)
    assert falling.verdict(0.9, 0.2) == "coupled"


def test_out_of_reach() -> None:
    low = region(np.zeros(11), np.full(11, 0.5))
    assert np.isnan(low.ruled_out(0.9, 1))
    assert low.verdict(0.9, 0.9) == "independent"


def test_levels_without_an_extreme_are_left_out() -> None:
    high = LEVELS.copy()
    high[[0, 10]] = np.nan
    assert region(np.where(np.isnan(high), np.nan, 0), high).area == pytest.approx(0.4)


def test_between_levels_it_is_the_hull_of_what_was_reached(rng: np.random.Generator) -> None:
    points = np.column_stack([rng.uniform(0.001, 0.999, 500), rng.uniform(-1, 2, 500)])
    widened = region(np.zeros(11), np.ones(11)).contain(points)
    assert widened.contains(points).all()
    assert widened.contains([(0.5, 0.5), (0.5, 2.5), (1.1, 0.5)]).tolist() == [True, False, False]
    inside = points[(points[:, 0] > 0.3) & (points[:, 0] < 0.4)]
    corners = np.concatenate([inside, [(0.3, 1), (0.4, 1), (0.3, 0), (0.4, 0)]])
    hull = corners[ConvexHull(corners).vertices]
    above = hull[(hull[:, 1] > 1) & (hull[:, 0] > 0.3) & (hull[:, 0] < 0.4)]
    upper = widened.upper[(widened.upper[:, 0] > 0.3001) & (widened.upper[:, 0] < 0.3999)]
    np.testing.assert_allclose(upper, above[np.argsort(above[:, 0])])


def test_points_beyond_the_outer_levels_and_at_a_level_are_held() -> None:
    points = [(-0.5, 0.5), (1.5, 0.2), (0.5, 3.0), (0.5, -3.0)]
    widened = region(np.zeros(11), np.ones(11)).contain(points)
    assert widened.contains(points).all()
    assert widened.lower[0].tolist() == [-0.5, 0.5]
    assert widened.upper[-1].tolist() == [1.5, 0.2]


def test_any_pair_of_any_y_is_inside(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 5)) * [4, 2, 1, 1, 0.5]
    cka, angular = measures.get("cka"), measures.get("procrustes_angular")
    boundary = Boundary(Reference.of(X), cka, angular, LEVELS, Options(steps=60, rounds=2))
    boundary.run()
    searched = Region.of(cka, angular, boundary.extremes())
    assert searched.contains(searched.points).all()
    mixed = [
        X * rng.uniform(0, 2, 5) + size * rng.standard_normal((30, 5)) * rng.uniform(0, 1, 5)
        for size in np.geomspace(0.01, 10, 600)
    ]
    Y = np.stack(mixed)
    pairs = np.column_stack([cka.bind(X)(Y), angular.bind(X)(Y)])
    assert pairs[:, 0].min() < 0.3
    assert pairs[:, 0].max() > 0.95
    assert searched.contains(pairs, slack=2e-3).all()
    assert searched.contain(pairs).contains(pairs).all()
    square = Square(Reference.of(X), cka, angular, edges(5), SquareOptions(max_steps=150))
    square.run()
    reached = square.reached().points
    assert len(reached) > 2000
    assert searched.contains(reached, slack=3e-3).all()
    assert searched.contain(reached).contains(reached).all()


def test_a_steep_end_is_followed() -> None:
    """For X of rank one the largest NBS is the root of CKA: no chord of the boundary may fall far below."""
    X = np.outer(np.random.default_rng(0).standard_normal(30), [1.0, -2.0, 0.5])
    cka, nbs = measures.get("cka"), measures.get("nbs")
    boundary = Boundary(Reference.of(X), cka, nbs, options=Options(units=6, rounds=2))
    boundary.run()
    a = np.linspace(0.002, 1, 500)
    short = np.sqrt(a) - np.interp(a, *Region.of(cka, nbs, boundary.extremes()).upper.T)
    assert short.max() < 1.2e-3
    assert short.min() > -1e-9


@pytest.mark.slow
def test_what_runs_and_targets_reach_lies_inside() -> None:
    """Thousands of pairs, among them the steep ends of the region, on 60 PCs of macaque IT's spectrum."""
    recording = load_dataset("majaj", source="surrogate").samples()
    size = np.linalg.svd(recording - recording.mean(axis=0), compute_uv=False)[:60]
    draw = np.random.default_rng(0).standard_normal((150, 60))
    X = np.linalg.qr(draw - draw.mean(axis=0))[0] * size
    reference = Reference.of(torch.from_numpy(X).float())
    pair = [measures.get("cka"), measures.get("procrustes_angular")]
    boundary = Boundary(reference, *pair)
    boundary.run()
    searched = Region.of(*pair, boundary.extremes())
    square = Square(reference, *pair, edges(6), SquareOptions(max_steps=600, window=600, tolerance=0))
    square.run()
    reached = [square.reached().points]
    for optimized in ("cka", "nbs", "procrustes_angular", "linreg"):
        for seed in range(2):
            Y = torch.from_numpy(np.random.default_rng(seed).standard_normal(X.shape)).float()
            reached.append(_ascent(reference, measures.get(optimized), pair, Y))
    points = np.concatenate(reached)
    assert len(points) > 10_000
    assert (points[:, 0] > 0.99).sum() > 500
    assert (points[:, 0] < 0.1).sum() > 500
    assert searched.contains(points, slack=3e-3).all()
    assert searched.contain(points).contains(points).all()


def _ascent(reference: Reference, optimized: Measure, pair: list[Measure], Y: torch.Tensor) -> np.ndarray:
    score, bounds = optimized.bind(reference), [measure.bind(reference) for measure in pair]
    Y = Y.requires_grad_()
    adam = torch.optim.Adam([Y], lr=0.1)
    points = []
    for _ in range(300):
        adam.zero_grad()
        (-optimized.sign * score(Y)).backward()
        points.append([float(bound(Y.detach())) for bound in bounds])
        adam.step()
    return np.array(points)


def test_a_curve_has_no_area() -> None:
    X = np.random.default_rng(0).standard_normal((30, 5)) * [4, 2, 1, 1, 0.5]
    nbs, angular = measures.get("nbs"), measures.get("procrustes_angular")
    options = Options(steps=60, rounds=1, between=0, tolerance=1e-6)
    boundary = Boundary(Reference.of(X), nbs, angular, LEVELS[1:-1], options)
    boundary.run()
    searched = Region.of(nbs, angular, boundary.extremes())
    assert 0 <= searched.area < 1e-7
    assert searched.verdict(0.9, 0.9) == "coupled"


def test_what_is_no_region_is_refused() -> None:
    cka, nbs = measures.get("cka"), measures.get("nbs")
    nothing = np.full((1, 2), np.nan)
    empty = Extremes(np.ones(1), nothing, nothing, nothing, nothing, np.zeros((0, 2)))
    with pytest.raises(InputError, match="any level of cka"):
        Region.of(cka, nbs, empty)
    with pytest.raises(InputError, match=r"\(.*, 2\)"):
        region(np.zeros(11), np.ones(11)).contain([(0.5, np.nan)])


def test_chords_are_cut_off_where_proof_rules_them_out() -> None:
    """b = a^2 at most is proved, and reached at the levels 0, 0.5 and 1 alone: chords lie above it."""
    levels = np.array([0.0, 0.5, 1.0])
    measured = np.array([[0.25, 0.0625 + 1e-5], [0.7, 0.3]])  # the first one 1e-5 past the limit, by rounding
    region = Region(
        names=("a", "b"),
        signs=(1, 1),
        levels=levels,
        b_min=np.zeros(3),
        b_max=levels**2,
        feasibility=np.zeros((3, 2)),
        spread=np.zeros((3, 2)),
        points=measured,
    )
    grid = np.linspace(0, 1, 101)
    limits = np.column_stack([grid, np.full(101, np.nan), grid**2])
    assert np.interp(0.75, *region.upper.T) > 0.6
    cut = region.within(limits)
    at = np.linspace(0, 1, 401)
    assert (np.interp(at, *cut.upper.T) <= at**2 + 1e-4).all()
    assert cut.contains(measured).all()
    assert cut.contains(np.column_stack([levels, levels**2])).all()
    np.testing.assert_array_equal(cut.lower, region.lower)
    assert cut.area == region.area


def test_limits_at_one_level_are_one_limit() -> None:
    """A boundary of a single level has its proved limits at that level alone, as often as asked for."""
    point = Region(
        names=("a", "b"),
        signs=(1, 1),
        levels=np.array([0.5]),
        b_min=np.array([np.nan]),
        b_max=np.array([0.6]),
        feasibility=np.zeros((1, 2)),
        spread=np.zeros((1, 2)),
        points=np.array([[0.0, 0.0], [1.0, 1.0]]),
    )
    once, often = point.within(np.array([[0.5, 0.2, 0.8]])), point.within(np.array([[0.5, 0.2, 0.8]] * 3))
    np.testing.assert_array_equal(often.upper, once.upper)
    np.testing.assert_array_equal(often.lower, once.lower)
    assert often.verdict(0.4, 0.4) == once.verdict(0.4, 0.4)
