"""Targets on the square, as one batch."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.ranges.square import Settled, Square, SquareOfBoth, SquareOptions, edges

X = np.random.default_rng(0).standard_normal((40, 5)) * [4, 2, 1, 1, 0.5]
PAIR = [measures.get("cka"), measures.get("nbs")]
INSIDE = np.array([(0.3, 0.4), (0.6, 0.7), (0.9, 0.85)])


def test_edges() -> None:
    targets = edges(6)
    assert targets.shape == (20, 2)
    assert len({tuple(row) for row in targets.round(9)}) == 20
    assert (np.isin(targets, [0, 1]).any(axis=1) | (targets == 0.99).all(axis=1)).all()
    assert not (targets == 1).all(axis=1).any()
    assert edges(6, corner=None).shape == (19, 2)


@pytest.mark.parametrize("fewer_rows", [True, False])
@pytest.mark.parametrize("loss", ["published", "squared"])
def test_targets_that_can_be_are_reached(loss: str, fewer_rows: bool) -> None:
    options = SquareOptions(loss=loss, tolerance=5e-3, max_steps=400)
    square = Square(Reference.of(X), PAIR, INSIDE, options, fewer_rows=fewer_rows)
    assert square.run()
    reached = square.reached()
    assert reached.settled == (Settled.REACHED,) * 3
    assert np.abs(reached.end - INSIDE).sum(axis=1).max() <= 5e-3
    Y = square.synthetic()
    assert Y.shape == (3, 40, 5)
    scores = np.column_stack([measure.bind(X)(Y) for measure in PAIR])
    np.testing.assert_allclose(scores, reached.end, atol=1e-10)


def test_all_start_at_the_same_noise_in_any_rows() -> None:
    first = [Square(Reference.of(X), PAIR, INSIDE, fewer_rows=fewer) for fewer in (True, False)]
    assert first[0].space is not None
    assert first[0].space.fewer
    for square in first:
        square.advance()
    np.testing.assert_allclose(first[0].reached().start, first[1].reached().start, atol=1e-12)
    assert np.ptp(first[0].reached().start, axis=0).max() == 0


def test_fewer_rows_go_at_the_same_pace() -> None:
    data = np.random.default_rng(0).standard_normal((500, 5)) * [4, 2, 1, 1, 0.5]
    options = SquareOptions(max_steps=12, tolerance=0)
    paths = []
    for fewer in (True, False):
        square = Square(Reference.of(data), PAIR, np.array([(0.9, 0.9)]), options, fewer_rows=fewer)
        square.run()
        paths.append(square.reached())
    gone = [path.end - path.start for path in paths]
    assert gone[1].min() > 0.3
    np.testing.assert_allclose(gone[0], gone[1], atol=0.2)


def test_what_cannot_be_reached_stalls_and_is_frozen() -> None:
    targets = np.array([(0.0, 1.0), (0.6, 0.7)])
    options = SquareOptions(tolerance=5e-3, window=40, max_steps=1000, every=1)
    square = Square(Reference.of(X), PAIR, targets, options)
    square.run()
    reached = square.reached()
    assert reached.settled == (Settled.STALLED, Settled.REACHED)
    assert reached.steps[1] < reached.steps[0] < 1000
    np.testing.assert_array_equal(reached.path[-1], reached.end)
    assert np.ptp(reached.path[reached.steps[1] :, 1], axis=0).max() == 0


def test_a_target_goes_its_own_way() -> None:
    options = SquareOptions(max_steps=50, tolerance=0, every=1)
    together, alone = (Square(Reference.of(X), PAIR, INSIDE[:some], options) for some in (3, 1))
    together.run()
    alone.run()
    np.testing.assert_allclose(together.reached().end[0], alone.reached().end[0], atol=1e-9)


def test_the_closest_pair_is_kept() -> None:
    square = Square(Reference.of(X), PAIR, INSIDE, SquareOptions(max_steps=50, tolerance=0, every=1))
    square.run()
    reached = square.reached()
    best = np.abs(reached.path - INSIDE).sum(axis=2).argmin(axis=0)
    assert best.max() < 50
    np.testing.assert_array_equal(reached.closest, reached.path[best, range(3)])


@pytest.mark.parametrize("both", [False, True])
def test_interrupted_and_resumed_gives_the_same(both: bool, tmp_path) -> None:
    def new() -> Square | SquareOfBoth:
        options = SquareOptions(max_steps=30, tolerance=0.02, window=15, every=7)
        if both:
            return SquareOfBoth(PAIR, INSIDE, options)
        return Square(Reference.of(X), PAIR, INSIDE, options)

    whole, first, second = new(), new(), new()
    assert whole.run()
    assert not first.run(should_stop=lambda: first.step >= 11)
    torch.save(first.state(), tmp_path / "state.pt")
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.run()
    for name, value in vars(whole.reached()).items():
        np.testing.assert_array_equal(getattr(second.reached(), name), value, err_msg=name)


def _own(name: str, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    X, Y = X - X.mean(dim=0), Y - Y.mean(dim=0)
    if name == "cca":
        return torch.linalg.svdvals(torch.linalg.qr(X)[0].T @ torch.linalg.qr(Y)[0]).mean()
    if name == "cka":
        return (X.T @ Y).square().sum() / torch.linalg.norm(X.T @ X) / torch.linalg.norm(Y.T @ Y)
    nbs = torch.linalg.svdvals(X.T @ Y).sum() / torch.linalg.norm(X) / torch.linalg.norm(Y)
    return nbs if name == "nbs" else 1 - 2 / torch.pi * torch.arccos(nbs)


@pytest.mark.parametrize("other", ["nbs", "procrustes_angular", "cca"])
@pytest.mark.parametrize("loss", ["published", "squared"])
def test_both_free_follows_the_gradient_of_both(other: str, loss: str) -> None:
    pair = [measures.get("cka"), measures.get(other)]
    square = SquareOfBoth(pair, INSIDE, SquareOptions(loss=loss), samples=12, units=3, dtype=torch.float64)
    for part in square.free:
        part.add_(0.3 * torch.randn(part.shape, dtype=part.dtype, generator=torch.manual_seed(0)))
    scores, gradients = square._evaluate(torch.tensor([2, 0]))
    for at, target in enumerate((2, 0)):
        x, y = (part[target].clone().requires_grad_() for part in square.free)
        own = torch.stack([_own(name, x, y) for name in ("cka", other)])
        torch.testing.assert_close(scores[at], own.detach())
        apart = own - square.targets[target]
        total = (apart.abs() if loss == "published" else apart.square()).sum()
        for mine, theirs in zip(gradients, torch.autograd.grad(total, (x, y)), strict=True):
            torch.testing.assert_close(mine[at], theirs)


def test_both_free_moves_both_and_comes_closer() -> None:
    targets = np.array([(0.9, 0.5)])
    square = SquareOfBoth(PAIR, targets, SquareOptions(max_steps=60, rate=0.05), samples=12, units=3)
    before = [part.clone() for part in square.free]
    square.run()
    reached = square.reached()
    assert np.abs(reached.closest - targets).sum() < 0.7 * np.abs(reached.start - targets).sum()
    for now, then in zip(square.synthetic(), before, strict=True):
        assert (now - then).abs().max() > 0.1


def test_what_cannot_be_pursued_is_refused() -> None:
    reference = Reference.of(X)
    with pytest.raises(InputError, match="1 measures were given"):
        Square(reference, PAIR[:1], INSIDE)
    with pytest.raises(InputError, match="no finite pairs"):
        Square(reference, PAIR, INSIDE[0])
    with pytest.raises(InputError, match="linreg is not symmetric"):
        SquareOfBoth([PAIR[0], measures.get("linreg")], INSIDE)
    with pytest.raises(InputError, match="has no gradient"):
        Square(reference, [PAIR[0], measures.get("mutual_knn")], INSIDE)
    with pytest.raises(InputError, match="loss"):
        SquareOptions(loss="cubic")
