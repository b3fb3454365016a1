"""Targets on the square, as one batch."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.ranges.square import Settled, Square, SquareOptions, edges

X = np.random.default_rng(0).standard_normal((40, 5)) * [4, 2, 1, 1, 0.5]
PAIR = [measures.get("cka"), measures.get("nbs")]
INSIDE = np.array([(0.3, 0.4), (0.6, 0.7), (0.9, 0.85)])


def in_rows(fewer: bool, *arguments) -> Square:
    with pytest.MonkeyPatch.context() as patch:
        if not fewer:
            patch.setattr("simopt.ranges.square.rows_suffice", lambda *_: False)
        square = Square(*arguments)
    assert square.span.fewer == fewer
    return square


def test_edges() -> None:
    targets = edges(6)
    assert targets.shape == (20, 2)
    assert len({tuple(row) for row in targets.round(9)}) == 20
    assert (np.isin(targets, [0, 1]).any(axis=1) | (targets == 0.99).all(axis=1)).all()
    assert not (targets == 1).all(axis=1).any()


@pytest.mark.parametrize("fewer_rows", [True, False])
@pytest.mark.parametrize("loss", ["published", "squared"])
def test_targets_that_can_be_are_reached(loss: str, fewer_rows: bool) -> None:
    options = SquareOptions(loss=loss, tolerance=5e-3, max_steps=400)
    square = in_rows(fewer_rows, Reference.of(X), *PAIR, INSIDE, options)
    assert square.run()
    reached = square.reached()
    assert reached.settled == (Settled.REACHED,) * 3
    assert np.abs(reached.end - INSIDE).sum(axis=1).max() <= 5e-3
    Y = square.span.expand(square.Y)
    assert Y.shape == (3, 40, 5)
    scores = np.column_stack([measure.bind(X)(Y) for measure in PAIR])
    np.testing.assert_allclose(scores, reached.end, atol=1e-10)


def test_all_start_at_the_same_noise_in_any_rows() -> None:
    first = [in_rows(fewer, Reference.of(X), *PAIR, INSIDE) for fewer in (True, False)]
    for square in first:
        square.advance()
    np.testing.assert_allclose(first[0].reached().start, first[1].reached().start, atol=1e-12)
    assert np.ptp(first[0].reached().start, axis=0).max() == 0


def test_fewer_rows_go_at_the_same_pace() -> None:
    data = np.random.default_rng(0).standard_normal((500, 5)) * [4, 2, 1, 1, 0.5]
    options = SquareOptions(max_steps=12, tolerance=0)
    paths = []
    for fewer in (True, False):
        square = in_rows(fewer, Reference.of(data), *PAIR, np.array([(0.9, 0.9)]), options)
        square.run()
        paths.append(square.reached())
    gone = [path.end - path.start for path in paths]
    assert gone[1].min() > 0.3
    np.testing.assert_allclose(gone[0], gone[1], atol=0.2)


def test_what_cannot_be_reached_stalls_and_is_frozen() -> None:
    targets = np.array([(0.0, 1.0), (0.6, 0.7)])
    options = SquareOptions(tolerance=5e-3, window=40, max_steps=1000, every=1)
    square = Square(Reference.of(X), *PAIR, targets, options)
    square.run()
    reached = square.reached()
    assert reached.settled == (Settled.STALLED, Settled.REACHED)
    assert reached.steps[1] < reached.steps[0] < 1000
    np.testing.assert_array_equal(reached.path[-1], reached.end)
    assert np.ptp(reached.path[reached.steps[1] :, 1], axis=0).max() == 0


def test_a_target_goes_its_own_way() -> None:
    options = SquareOptions(max_steps=50, tolerance=0, every=1)
    together, alone = (Square(Reference.of(X), *PAIR, INSIDE[:some], options) for some in (3, 1))
    together.run()
    alone.run()
    np.testing.assert_allclose(together.reached().end[0], alone.reached().end[0], atol=1e-9)


def test_the_closest_pair_is_kept() -> None:
    square = Square(Reference.of(X), *PAIR, INSIDE, SquareOptions(max_steps=50, tolerance=0, every=1))
    square.run()
    reached = square.reached()
    best = np.abs(reached.path - INSIDE).sum(axis=2).argmin(axis=0)
    assert best.max() < 50
    np.testing.assert_array_equal(reached.closest, reached.path[best, range(3)])


@pytest.mark.parametrize("stop", [0, 11])
def test_interrupted_and_resumed_gives_the_same(tmp_path, stop: int) -> None:
    def new() -> Square:
        options = SquareOptions(max_steps=30, tolerance=0.02, window=15, every=7)
        return Square(Reference.of(X), *PAIR, INSIDE, options)

    whole, first, second = new(), new(), new()
    assert whole.run()
    assert not first.run(should_stop=lambda: first.step >= stop)
    torch.save(first.state(), tmp_path / "state.pt")
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.run()
    for name, value in vars(whole.reached()).items():
        np.testing.assert_array_equal(getattr(second.reached(), name), value, err_msg=name)


@pytest.mark.parametrize("loss", ["published", "squared"])
def test_the_gradient_is_that_of_the_loss(loss: str) -> None:
    square = Square(Reference.of(X), *PAIR, INSIDE, SquareOptions(loss=loss, tolerance=0))
    for _ in range(3):
        square.advance()
    scores, gradients = square._evaluate(torch.tensor([2, 0]))
    for row, target in enumerate((2, 0)):
        y = square.Y[target].clone().requires_grad_()
        ours = torch.stack(
            [_by_definition(name, square.span.reference.responses, y) for name in ("cka", "nbs")]
        )
        torch.testing.assert_close(scores[row], ours.detach())
        apart = ours - square.targets[target]
        total = (apart.abs() if loss == "published" else apart.square()).sum()
        torch.testing.assert_close(gradients[row], torch.autograd.grad(total, y)[0])


def _by_definition(name: str, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    X, Y = X - X.mean(dim=0), Y - Y.mean(dim=0)
    if name == "cka":
        return (X.T @ Y).square().sum() / torch.linalg.norm(X.T @ X) / torch.linalg.norm(Y.T @ Y)
    return torch.linalg.svdvals(X.T @ Y).sum() / torch.linalg.norm(X) / torch.linalg.norm(Y)


def test_what_cannot_be_pursued_is_refused() -> None:
    reference = Reference.of(X)
    with pytest.raises(InputError, match=r"\(2,\).*\(N, 2\)"):
        Square(reference, *PAIR, INSIDE[0])
    with pytest.raises(InputError, match="mutual_knn"):
        Square(reference, PAIR[0], measures.get("mutual_knn"), INSIDE)
    with pytest.raises(InputError, match="loss"):
        SquareOptions(loss="cubic")
