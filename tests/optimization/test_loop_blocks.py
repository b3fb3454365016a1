"""Scores read in blocks: the same states, to the last bit, as with scores read at every step."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from simopt import assumed, linalg, measures
from simopt.errors import InputError, NumericalError
from simopt.measures import BoundMeasure, Moments, Reference
from simopt.optimization import Ascent, State, StopReason, blocks, captured_variance, ending, replicates
from simopt.optimization.recorded import waits

OPTIMIZERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
    "fused": lambda parameters: torch.optim.Adam(parameters, lr=0.1, fused=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.05, momentum=0.5),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=30.0, momentum=0.9),
}


def bound(measure: str, dtype: torch.dtype = torch.float32) -> BoundMeasure:
    return measures.get(measure).bind(Reference.of(torch.randn(40, 5, dtype=dtype)))


def noise(R: int = 4, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(R, 40, 4, dtype=dtype)


def ascent(on: BoundMeasure, Y0: torch.Tensor, read_every: int, target: float = 0.9, max_steps: int = 200,
           optimizer: str = "adam") -> Ascent:  # fmt: skip
    return Ascent(on, Y0, OPTIMIZERS[optimizer], target, max_steps, read_every=read_every)


def in_blocks(run: Ascent) -> blocks.Blocks:
    return blocks.Blocks(run._replicates, run._ending, run.read_every)


class Log:
    """All that an observer can see of a run."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.last: list[bool] = []
        self.settled: list[bool] = []
        self.tensors: list[torch.Tensor] = []
        self.known: list[bool] = []

    def __call__(self, state: State) -> None:
        self.steps.append(state.step)
        self.last.append(state.last)
        self.settled.append(state.settled)
        captured = state.value("captured", captured_variance)
        self.tensors += [state.score.clone(), state.moments.Y.clone(), captured]
        self.known.append("captured" in state.known)


def logged(run: Ascent, **options) -> tuple[Log, StopReason]:
    log = Log()
    return log, run.run(log, ahead={"captured": captured_variance}, **options)


def compare(each: Ascent, block: Ascent, **options) -> tuple[Log, Log, StopReason]:
    (one, why), (other, why_too) = logged(each, **options), logged(block, **options)
    assert why is why_too
    assert (one.steps, one.last) == (other.steps, other.last)
    assert all(map(torch.equal, one.tensors, other.tensors))
    assert each.step == block.step
    assert torch.equal(each.Y, block.Y)
    return one, other, why


@pytest.mark.parametrize("every", [1, 3, 50])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("measure", ["cka", "nbs", "ridge100_cv5"])
def test_states_are_the_same(measure: str, optimizer: str, every: int) -> None:
    on, Y0 = bound(measure), noise() * torch.tensor([1.0, 2.0, 3.0, 5.0])[:, None, None]
    start = on(Y0).max().item()
    target = start + 0.6 * ((0.9 if measure == "cka" else 0.8) - start)
    runs = [ascent(on, Y0, n, target, 150, optimizer) for n in (1, 7)]
    log, _, why = compare(*runs, every=every)
    scores = torch.stack(log.tensors[::3])
    assert why is StopReason.TARGET
    if every == 1:
        reached = (scores >= target).int().argmax(dim=0)
        assert len(set(reached.tolist())) > 1


@pytest.mark.parametrize(
    "measure", ["linreg", "procrustes_angular", "procrustes_angle", "procrustes_euclidean"]
)
def test_in_double_and_downwards(measure: str) -> None:
    on, Y0 = bound(measure, torch.float64), noise(dtype=torch.float64)
    start = on(Y0).mean().item()
    target = start + 0.5 * (on.measure.facts.at_self - start)
    assert compare(*(ascent(on, Y0, n, target) for n in (1, 16)))[2] is StopReason.TARGET


def test_replicate_by_replicate(monkeypatch) -> None:
    monkeypatch.setattr(replicates, "_BATCHED_UP_TO", 1)
    on, Y0 = bound("cka"), noise()
    compare(*(ascent(on, Y0, n) for n in (1, 5)))


@pytest.mark.parametrize("every", [1, 4, 100])
@pytest.mark.parametrize("max_steps", [0, 1, 6, 7, 8, 20])
def test_the_step_limit(max_steps: int, every: int) -> None:
    on, Y0 = bound("cka"), noise(2)
    runs = [ascent(on, Y0, n, 1.0, max_steps) for n in (1, 7)]
    assert compare(*runs, every=every)[2] is StopReason.MAX_STEPS


def growing(then: Callable[[torch.Tensor], torch.Tensor]) -> tuple[BoundMeasure, torch.Tensor]:
    """Return a score that grows with the size of Y, up to what becomes of it beyond 300, and replicates."""
    linear = bound("cka")

    def evaluate(moments: Moments) -> torch.Tensor:
        size = moments.Y.square().sum(dim=(-2, -1))
        return then(size) - 1e3

    Y0 = torch.ones(3, 40, 4) * torch.tensor([1.0, 0.9, 0.5])[:, None, None]
    return BoundMeasure(linear.measure, linear.reference, evaluate), Y0


@pytest.mark.parametrize("every", [1, 10])
def test_a_score_that_is_not_finite(every: int) -> None:
    on, Y0 = growing(lambda size: size + 0 * (300 - size).sqrt())
    log, _, why = compare(*(ascent(on, Y0, n) for n in (1, 16)), every=every)
    assert why is StopReason.NOT_FINITE
    assert 0 < log.steps[-1] < 16 or every == 10


def test_an_error_comes_after_the_states_before_it() -> None:
    def fail(size: torch.Tensor) -> torch.Tensor:
        if (size > 300).any():
            raise NumericalError("too large")
        return size

    on, Y0 = growing(fail)
    logs = []
    for n in (1, 16):
        run, log = ascent(on, Y0, n), Log()
        with pytest.raises(NumericalError, match="too large"):
            run.run(log)
        logs.append((log.steps, log.last, [each.tolist() for each in log.tensors], run.step))
    assert logs[0] == logs[1]
    assert 2 < logs[0][3] < 16


def test_an_error_beyond_the_end_does_not_count() -> None:
    calls = 0

    def run_out(size: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise RuntimeError("out of memory")
        return size

    on, Y0 = growing(run_out)
    target = 300 - 1e3
    calls = -100
    one, _ = logged(ascent(on, Y0[:1], 1, target))
    calls = 5 - len(one.steps) + 1  # one state more than the run needs
    other, why = logged(ascent(on, Y0[:1], 64, target))
    assert calls > 6
    assert why is StopReason.TARGET
    assert one.steps == other.steps
    assert all(map(torch.equal, one.tensors, other.tensors))


@pytest.mark.parametrize("every", [1, 5, 40])
def test_it_is_stopped_between_blocks_and_goes_on_to_the_same_numbers(every: int) -> None:
    on, Y0 = bound("nbs"), noise()
    whole, whole_log = ascent(on, Y0, 1, max_steps=60), Log()
    whole_reason = whole.run(whole_log, every=every)
    first = ascent(on, Y0, 7, max_steps=60)
    log, why = logged(first, should_stop=lambda: first.step >= 12, every=every)
    assert why is StopReason.INTERRUPTED
    assert log.steps[-1] == first.step
    assert (log.last[-1], log.settled[-1]) == (True, True)
    again = ascent(on, torch.zeros_like(Y0), 7, max_steps=60)
    again.restore(first.state())
    rest, reason = logged(again, every=every)
    assert reason is whole_reason
    assert torch.equal(again.Y, whole.Y)
    assert rest.steps == [step for step in whole_log.steps if step >= first.step] or first.step % every
    assert torch.equal(rest.tensors[-1], whole_log.tensors[-1])


@pytest.mark.parametrize(("every", "read_every"), [(1, 7), (4, 7), (7, 4), (30, 7)])
def test_where_the_ascent_stands_it_goes_on_from_and_that_is_often_enough(
    every: int, read_every: int
) -> None:
    on, Y0 = bound("cka"), noise()
    run = ascent(on, Y0, read_every, 1.0, 65)
    saved: dict[int, dict] = {}

    def observe(state: State) -> None:
        if state.settled:
            assert run.step == state.step
            assert torch.equal(run.Y, state.moments.Y)
            taken = run.state()
            optimizers = [torch.utils._pytree.tree_map(_copied, each) for each in taken["optimizers"]]
            saved[state.step] = {**taken, "Y": run.Y.clone(), "optimizers": optimizers}

    run.run(observe, every=every)
    steps = sorted(saved)
    assert max(b - a for a, b in pairwise(steps)) <= max(every, read_every)
    for step in steps[1:-1:3]:
        again = ascent(on, torch.zeros_like(Y0), read_every, 1.0, 65)
        again.restore(saved[step])
        again.run(lambda state: None)
        assert torch.equal(again.Y, run.Y)


def _copied(leaf: object) -> object:
    return leaf.clone() if isinstance(leaf, torch.Tensor) else leaf


def test_only_the_last_state_of_a_block_is_settled_and_the_first_one_of_a_run() -> None:
    log, _ = logged(ascent(bound("cka"), noise(), 5, 1.0, 12))
    assert log.settled == [step in (0, 5, 10, 12) for step in range(13)]


def test_the_scores_are_read_once_a_block(monkeypatch) -> None:
    reads = 0
    tolist = torch.Tensor.tolist

    def counted(tensor: torch.Tensor) -> list[float]:
        nonlocal reads
        reads += 1
        return tolist(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    ascent(bound("cka"), noise(), 5, 1.0, 20).run(lambda state: None)
    assert reads == 5


LOOKS_AT_NO_VALUE = (
    "cka", "cka_debiased", "cka_rbf", "distance_correlation", "ensd", "linreg", "linreg_cv5", "nbs",
    "procrustes_angular", "ridge100", "ridge100_cv5", "rsa", "rsa_correlation_corr", "rsa_mahalanobis",
    "soft_correlation_match",
)  # fmt: skip


@pytest.mark.parametrize("optimizer", ["fused", "sgd"])
@pytest.mark.parametrize("measure", LOOKS_AT_NO_VALUE)
def test_nothing_is_read_within_a_block(measure: str, optimizer: str, monkeypatch) -> None:
    monkeypatch.setattr(linalg, "polar", linalg.polar_by_products)  # as on accelerators
    run = ascent(bound(measure), noise(), 16, 2.0, 100, optimizer)
    block = in_blocks(run)
    block.advance(lambda state: None, lambda: False, 1)
    assert waits(lambda: block._compute([], 1))[1] == []
    assert run.step == 15


@pytest.mark.parametrize("measure", ["cca", "shape_angular"])
def test_decompositions_are_known_to_wait(measure: str) -> None:
    block = in_blocks(ascent(bound(measure), noise(), 16, 2.0, 100))
    assert "_linalg_svd" in waits(lambda: block._compute([], 1))[1]


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_block_that_took_a_wrong_thing_for_granted_is_gone_through_again(
    optimizer: str, every: int
) -> None:
    told: list[bool] = []

    def score(size: torch.Tensor) -> torch.Tensor:
        told.append(assumed.holds(size < 400))
        return size if told[-1] else size.sqrt() * 20

    makers = {"adam": OPTIMIZERS["adam"], "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)}
    on, Y0 = growing(score)[0], noise(3) / 2
    each, block = (Ascent(on, Y0, makers[optimizer], 1e4, 40, read_every=n) for n in (1, 7))
    compare(each, block, every=every)
    first = told.index(False)
    assert first > 8  # the first state, and a block or more, went well
    in_block = told[41:]
    assert in_block.index(False) > first  # it was seen only when the block was gone through again


@pytest.mark.parametrize("measure", ["cka", "linreg", "ridge1_cv5", "rsa"])
def test_states_are_the_same_where_nothing_can_be_taken_for_granted(measure: str) -> None:
    on, Y0 = bound(measure), noise()
    Y0[..., 1] = Y0[..., 0] * (1 + 1e-6)
    Y0[:, 3] = 0
    Y0[:, 3] = Y0.mean(dim=1)
    _, log, _ = compare(*(ascent(on, Y0, n, 2.0, 20) for n in (1, 6)))
    assert not any(log.known)


def test_what_is_asked_of_every_state_is_computed_with_it() -> None:
    on, Y0 = bound("cka"), noise()
    each, block, _ = compare(*(ascent(on, Y0, n, 2.0, 20) for n in (1, 6)))
    assert not any(each.known)
    assert block.known == [False] + [True] * 20


@pytest.mark.parametrize("target", [0.7, 2.0])
def test_what_cannot_be_computed_ahead_fails_where_it_is_asked_for(target: float) -> None:
    on, Y0 = bound("cka"), noise()

    def fails(moments: Moments) -> torch.Tensor:
        if (on.evaluate(moments) > 0.8).any():
            raise NumericalError("not beyond 0.8")
        return moments.total

    ends = []
    for n in (1, 7):
        run, seen = ascent(on, Y0[:1], n, target, 60), []

        def ask(state: State, seen: list[float] = seen) -> None:
            seen.append(state.value("x", fails).item())

        try:
            why = run.run(ask, ahead={"x": fails})
        except NumericalError:
            why = None
        ends.append((seen, why, run.step))
    assert ends[0] == ends[1]
    assert ends[0][1] is (StopReason.TARGET if target == 0.7 else None)


@pytest.mark.parametrize("bar", [0.0, 400.0])
def test_an_error_from_what_was_taken_for_granted_does_not_count(bar: float) -> None:
    def fails(size: torch.Tensor) -> torch.Tensor:
        if assumed.holds(size < bar) and (size.max() >= bar).item():
            raise RuntimeError("wrong")
        return size

    on, Y0 = growing(fails)[0], noise(3) / 2
    compare(*(Ascent(on, Y0, OPTIMIZERS["adam"], 1e4, 30, read_every=n) for n in (1, 7)))


def test_states_that_are_not_read_yet_do_not_fill_the_memory(monkeypatch) -> None:
    on, Y0 = bound("cka"), noise()
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 2 * Y0.nbytes)
    log, other, _ = compare(*(ascent(on, Y0, n, max_steps=30) for n in (1, 16)))
    assert len(log.steps) > 16
    gaps = [step for step, settled in zip(other.steps, other.settled, strict=True) if settled]
    assert max(b - a for a, b in pairwise(gaps)) <= 2


def test_moments_that_are_not_shown_are_not_kept() -> None:
    for every, kept in ((5, [5, 10, 15]), (100, [16])):
        unread: list = []
        run = ascent(bound("cka"), noise(), 16, 1.0)
        block = in_blocks(run)
        block.advance(lambda state: None, lambda: False, 1)
        run.restore({**run.state(), "step": 1})
        block._compute(unread, every)
        assert [state.step for state in unread if state.moments is not None] == kept


@pytest.mark.parametrize("target", [0.9, 0.99, 0.3, -0.7, 1e-50, 1e300, -1e300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_comparing_on_the_device_is_comparing_on_the_host(target: float, dtype: torch.dtype) -> None:
    near = torch.tensor([target], dtype=dtype)
    infinity = torch.full_like(near, torch.inf)
    below = torch.nextafter(near, -infinity)
    score = torch.cat([below, near, torch.nextafter(near, infinity), near * 0, -infinity, infinity])
    on_device = score < ending._least_reached(target, dtype)
    assert on_device.tolist() == [value < target for value in score.tolist()]


def test_how_often_scores_are_read_where_nobody_says() -> None:
    on, Y0 = bound("cka"), noise()
    assert Ascent(on, Y0, OPTIMIZERS["adam"], 0.9, 5).read_every == 1
    with pytest.raises(InputError, match="read_every is 0; it must be a whole number of at least 1"):
        ascent(on, Y0, 0)


def test_an_optimizer_with_a_closure_is_read_at_every_step() -> None:
    run = Ascent(bound("nbs"), noise(2), lambda p: torch.optim.LBFGS(p), 0.9, 3, read_every=8)
    assert run.read_every == 1
    run.run(lambda state: None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("measure", ["cka", "nbs", "linreg"])
def test_on_a_gpu(measure: str, optimizer: str) -> None:
    on = measures.get(measure).bind(Reference.of(torch.randn(40, 5), device="cuda"))
    Y0 = noise()
    assert Ascent(on, Y0, OPTIMIZERS[optimizer], 0.9, 5).read_every == 16
    (one, why), (other, why_too) = (logged(ascent(on, Y0, n, 0.9, 50, optimizer)) for n in (1, 16))
    assert why is why_too
    assert one.steps == other.steps
    torch.testing.assert_close(one.tensors, other.tensors, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_not_waited_for_within_a_block() -> None:
    on = measures.get("cka").bind(Reference.of(torch.randn(40, 5), device="cuda"))
    run = ascent(on, noise(), 16, 1.0, 100)
    unread: list = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        in_blocks(run)._compute(unread, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(unread) == 16
