"""Single steps of the constrained search."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.measures import Reference
from simopt.ranges.tangent import Problem, Search, evaluate

X = np.random.default_rng(0).standard_normal((30, 5)) * [4, 2, 1, 1, 0.5]
NAMES = ["cka", "nbs"]


def search(Y: torch.Tensor, levels: list[float], rate: float, constrained: int = 0) -> Search:
    reference = Reference.of(X)
    problems = [Problem(y, level, 1.0, rate, constrained) for y, level in zip(Y, levels, strict=True)]
    return Search([measures.get(name).bind(reference) for name in NAMES], problems, 1e-4, 100)


def near(size: float, count: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy(X + size * rng.standard_normal((count, 30, 5)))


def test_a_step_leaves_the_constrained_score_but_for_its_square() -> None:
    Y = near(1.0)
    level = measures.get("cka").bind(X)(Y).tolist()
    lost = []
    for rate in (1e-2, 1e-3):
        one = search(Y, level, rate)
        before = one.advance()[0]
        after = one.advance()[0]
        lost.append(abs(float(after[0] - before[0])))
        assert after[1] > before[1]
    assert lost[1] < 0.02 * lost[0]


def test_newton_meets_the_level() -> None:
    one = search(near(1.0), [0.8], 1e-9)
    for _ in range(6):
        scores = one.advance()
    assert float(scores[0, 0]) == pytest.approx(0.8, abs=1e-8)


def test_no_return_is_longer_than_a_share_of_y() -> None:
    one = search(near(0.001), [0.1], 1e-9)
    before = one.Y.clone()
    one.advance()
    size = torch.linalg.matrix_norm(before)
    along = float((one.Y * before).sum() / size**2)  # scores that ignore scale have gradients across Y
    across = float(torch.linalg.matrix_norm(one.Y - along * before) / size)
    assert across / along == pytest.approx(0.3)


def test_what_is_stuck_stays_and_the_others_go_on() -> None:
    Y = torch.cat([torch.from_numpy(X)[None], near(1.0)])
    both = search(Y, [0.5, 0.8], 0.1)
    before = both.Y.clone()
    for _ in range(3):
        assert both.advance().isfinite().all()
    assert (both.Y[1] - before[1]).abs().max() > 0.01
    assert both.Y.isfinite().all()


def test_a_problem_may_be_turned_round() -> None:
    """The second score may be held, and the first one rises."""
    one = search(near(1.0), [0.7], 0.1, constrained=1)
    passed = torch.cat([one.advance() for _ in range(101)])
    assert one.best_scores[0, 1] == pytest.approx(0.7, abs=1e-4)
    assert one.best_scores[0, 0] == pytest.approx(float(one.best_merit[0]), abs=1e-4)
    held = passed[(passed[:, 1] - 0.7).abs() < 1e-4]
    assert float(one.best_scores[0, 0]) == pytest.approx(float(held[:, 0].max()), abs=1e-4)
    assert float(held[-1, 0] - held[0, 0]) > 0.005


def test_scores_of_a_batch_are_those_of_each() -> None:
    Y = near(1.0, 4)
    bounds = [measures.get(name).bind(X) for name in NAMES]
    singly = torch.stack([torch.stack([bound(y) for bound in bounds]) for y in Y])
    torch.testing.assert_close(evaluate(bounds, Y), singly)


def test_scores_of_y_beyond_what_can_be_squared_do_not_count() -> None:
    reference = Reference.of(X[:20, :3].astype(np.float32))
    bounds = [measures.get(name).bind(reference) for name in ("procrustes_euclidean", "cka")]
    Y = torch.randn(2, 20, 3) * torch.tensor([1e12, 1.0])[:, None, None]
    scores = Search(bounds, [Problem(y, 0.0, 1.0, 1.0) for y in Y], 1e-4, 1).advance()
    assert scores[0].isnan().all()
    assert scores[1].isfinite().all()


def test_y_keeps_its_norm_where_scores_ignore_it() -> None:
    reference = Reference.of(X[:20, :3])
    bounds = [measures.get(name).bind(reference) for name in ("cka", "nbs")]
    Y = torch.randn(2, 20, 3, dtype=torch.float64)
    problems = [Problem(Y[0], 0.5, 1.0, 0.3), Problem(Y[1], 0.5, -1.0, 0.3)]
    search = Search(bounds, problems, 1e-4, 30)
    while not search.done:
        search.advance()
    torch.testing.assert_close(torch.linalg.matrix_norm(search.Y), torch.linalg.matrix_norm(Y))
