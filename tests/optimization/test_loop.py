"""The loop: against plain torch, and its ways to stop."""

import numpy as np
import pytest
import torch

from simopt import catalogue, measures
from simopt.errors import InputError
from simopt.measures import BoundMeasure, Reference
from simopt.optimization.captured import captured_variance
from simopt.optimization.loop import Ascent
from simopt.optimization.state import State
from simopt.optimization.trajectory import StopReason
from tests.oracles import textbook


def adam(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.1)


def ascent(
    R: int = 2, target: float = 0.99, max_steps: int = 200, measure: str = "cka", optimizer=adam
) -> Ascent:
    bound = measures.get(measure).bind(Reference.of(torch.randn(30, 5, dtype=torch.float64)))
    return Ascent(bound, torch.randn(R, 30, 4, dtype=torch.float64), optimizer, target, max_steps)


def states(loop: Ascent, **options) -> tuple[list[State], list[torch.Tensor], StopReason]:
    seen, ys = [], []

    def observe(state: State) -> None:
        seen.append(state)
        ys.append(state.moments.Y.clone())

    return seen, ys, loop.run(observe, **options)


def test_it_does_what_a_plain_loop_with_autograd_through_the_textbook_does() -> None:
    X, Y0 = torch.randn(25, 4, dtype=torch.float64), torch.randn(25, 3, dtype=torch.float64)

    def plain_cka(Y: torch.Tensor) -> torch.Tensor:
        K, L = ((A - A.mean(0)) @ (A - A.mean(0)).T for A in (X, Y))
        return (K * L).sum() / (K.norm() * L.norm())

    Y = Y0.clone().requires_grad_()
    optimizer = torch.optim.Adam([Y], lr=0.1, maximize=True)
    expected = []
    for _ in range(20):
        optimizer.zero_grad()
        score = plain_cka(Y)
        expected.append(score.item())
        score.backward()
        optimizer.step()
    seen, ys, _ = states(Ascent(measures.get("cka").bind(X), Y0[None], adam, 0.999999, 20))
    np.testing.assert_allclose([state.score.item() for state in seen[:20]], expected, rtol=1e-8)
    np.testing.assert_allclose(ys[20][0], Y.detach(), rtol=1e-6, atol=1e-8)
    assert expected[0] == pytest.approx(textbook.cka(X.numpy(), Y0.numpy()))


def test_replicates_do_not_feel_each_other() -> None:
    together = ascent(R=3, max_steps=15, target=1)
    alone = Ascent(together.bound, together.Y[1:2].clone(), adam, 1.0, 15)
    _, batch, _ = states(together)
    _, single, _ = states(alone)
    for both, one in zip(batch, single, strict=True):
        torch.testing.assert_close(both[1:2], one, rtol=1e-9, atol=1e-11)


def test_a_replicate_at_the_target_is_kept_while_the_others_go_on() -> None:
    loop = ascent(R=3, target=0.9)
    seen, ys, reason = states(loop)
    assert reason is StopReason.TARGET
    score = torch.stack([state.score for state in seen])
    first = (score >= 0.9).int().argmax(dim=0)
    assert len(set(first.tolist())) > 1
    for r, step in enumerate(first):
        assert (score[:step, r] < 0.9).all()
        assert all(torch.equal(ys[t][r], ys[step][r]) for t in range(step, len(ys)))
    assert seen[-1].step == first.max() == loop.step
    assert [state.last for state in seen] == [False] * loop.step + [True]


@pytest.mark.parametrize("read_every", [1, 4])
def test_each_replicate_has_its_own_target(read_every: int) -> None:
    bound = measures.get("cka").bind(Reference.of(torch.randn(30, 5, dtype=torch.float64)))
    Y0, targets = torch.randn(3, 30, 4, dtype=torch.float64), [0.95, 0.5, 0.8]
    _, ys, reason = states(Ascent(bound, Y0, adam, targets, 200, read_every=read_every))
    assert reason is StopReason.TARGET
    for r, target in enumerate(targets):
        seen, same, _ = states(Ascent(bound, Y0, adam, target, 200))
        step = next(state.step for state in seen if state.score[r] >= target)
        assert torch.equal(ys[-1][r], same[step][r])
    with pytest.raises(InputError, match="target has 2 values.*3 replicates"):
        Ascent(bound, Y0, adam, targets[:2], 200)


def test_it_stops_at_the_step_limit_and_logs_every_kth_state_and_the_last() -> None:
    seen, _, reason = states(ascent(max_steps=10, target=1), every=4)
    assert reason is StopReason.MAX_STEPS
    assert [state.step for state in seen] == [0, 4, 8, 10]
    seen, _, reason = states(ascent(max_steps=0))
    assert [state.step for state in seen] == [0]


def test_it_can_be_stopped_and_goes_on_to_the_same_numbers() -> None:
    torch.manual_seed(3)
    whole = ascent(max_steps=30, target=1)
    part = Ascent(whole.bound, whole.Y.clone(), adam, 1.0, 30)
    again = Ascent(whole.bound, torch.zeros_like(whole.Y), adam, 1.0, 30)
    whole.run(lambda state: None)
    assert part.run(lambda state: None, should_stop=lambda: part.step == 12) is StopReason.INTERRUPTED
    again.restore(part.state())
    again.run(lambda state: None)
    assert again.step == 30
    assert torch.equal(again.Y, whole.Y)


def test_a_score_that_is_not_finite_stops_it_before_it_is_seen() -> None:
    loop = ascent(R=2)
    loop.Y[1] = 1.0  # constant: no score
    seen, _, reason = states(loop)
    assert reason is StopReason.NOT_FINITE
    assert seen == []


def test_y0_is_left_alone() -> None:
    Y0 = torch.randn(1, 30, 4, dtype=torch.float64)
    before = Y0.clone()
    loop = ascent()
    Ascent(loop.bound, Y0, adam, 0.99, 5).run(lambda state: None)
    assert torch.equal(Y0, before)


def lbfgs(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(
        parameters, lr=1.0, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )


def test_an_optimizer_with_a_closure_gets_one_a_replicate() -> None:
    loop = ascent(R=2, optimizer=lbfgs, max_steps=20, measure="nbs", target=0.85)
    assert len(loop.state()["optimizers"]) == 2
    alone = Ascent(loop.bound, loop.Y[1:].clone(), lbfgs, 0.85, 20)
    seen, _, reason = states(loop)
    assert reason is StopReason.TARGET
    assert seen[-1].step < 20
    single, _, _ = states(alone)
    both = [state.score[1].item() for state in seen[: len(single)]]
    np.testing.assert_allclose(both, [state.score.item() for state in single[: len(both)]], rtol=1e-6)


@pytest.mark.parametrize("lr", [-1.0, "fast"])
def test_an_optimizer_that_refuses_its_options(lr) -> None:
    with pytest.raises(InputError, match="optimizer: "):
        ascent(optimizer=lambda parameters: torch.optim.Adam(parameters, lr=lr))


def test_a_gradient_in_another_memory_order_moves_the_right_entries() -> None:
    """The fused Adam of torch 2.13 takes a transposed gradient for one in order."""
    weights = torch.randn(4, 30, dtype=torch.float64)
    start = ascent(R=1)
    bound = BoundMeasure(start.bound.measure, start.bound.reference)
    bound.evaluate = lambda moments: (moments.Y.mT * weights).sum(dim=(-2, -1)) - 1e3
    optimizer = catalogue.build(catalogue.read("optimizer", "adam"), "optimizer", partial=True)
    loop = Ascent(bound, start.Y, optimizer, 0.999, 1)
    before = loop.Y.clone()
    loop.run(lambda state: None)
    torch.testing.assert_close((loop.Y - before)[0].sign(), weights.mT.sign())


@pytest.mark.parametrize("measure", ["cka", "nbs", "linreg", "ridge100_cv5"])
def test_replicate_by_replicate_is_the_same_as_in_a_batch(measure: str, monkeypatch) -> None:
    together = ascent(R=3, max_steps=8, target=0.9, measure=measure)
    alone = Ascent(together.bound, together.Y.clone(), adam, 0.9, 8)
    seen: list[list[torch.Tensor]] = [[], []]
    for loop, kept, least in zip((together, alone), seen, (100_000, 1), strict=True):
        monkeypatch.setattr("simopt.optimization.span._BATCHED_UP_TO", least)
        loop.run(lambda state, kept=kept: kept.append(captured_variance(state.moments)))
    torch.testing.assert_close(alone.Y, together.Y, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(torch.stack(seen[1]), torch.stack(seen[0]), rtol=1e-9, atol=1e-11)
