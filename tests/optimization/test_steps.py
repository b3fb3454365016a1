"""Scores read every k steps: the same states, to the last bit, as with scores read at every step."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from simopt import linalg, measures
from simopt.errors import InputError, NumericalError
from simopt.measures import BoundMeasure, Moments, Reference
from simopt.optimization import replicates, span, steps
from simopt.optimization.captured import captured_variance
from simopt.optimization.loop import Ascent
from simopt.optimization.state import State
from simopt.optimization.trajectory import StopReason

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


def evaluate_block(run: Ascent, every: int = 1) -> list[steps._Unread]:
    block: list[steps._Unread] = []
    steps._evaluate_block(block, run, 200, run.read_every, every)
    return block


class ReadValues(TorchDispatchMode):
    """Notes the operations that hand a value to the host, or whose result has a size that values decide."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_value = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        if func is torch.ops.aten.index.Tensor:
            by_value = any(index is not None and index.dtype is torch.bool for index in args[1])
        if by_value:
            self.operations.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class Log:
    """All that an observer can see of a run."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.last: list[bool] = []
        self.settled: list[bool] = []
        self.tensors: list[torch.Tensor] = []

    def __call__(self, state: State) -> None:
        self.steps.append(state.step)
        self.last.append(state.last)
        self.settled.append(state.settled)
        captured = captured_variance(state.moments)
        self.tensors += [state.score.clone(), state.moments.Y.clone(), captured]


def logged(run: Ascent, **options) -> tuple[Log, StopReason]:
    log = Log()
    return log, run.run(log, **options)


def compare(stepwise: Ascent, blockwise: Ascent, **options) -> tuple[Log, Log, StopReason]:
    (one, why), (other, why_too) = logged(stepwise, **options), logged(blockwise, **options)
    assert why is why_too
    assert (one.steps, one.last) == (other.steps, other.last)
    assert all(map(torch.equal, one.tensors, other.tensors))
    assert stepwise.step == blockwise.step
    assert torch.equal(stepwise.Y, blockwise.Y)
    return one, other, why


@pytest.mark.parametrize(("every", "read_every"), [(1, 4), (3, 4), (1, 16), (3, 16), (50, 7)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("measure", ["cka", "nbs", "ridge100_cv5"])
def test_states_are_the_same(measure: str, optimizer: str, every: int, read_every: int) -> None:
    on, Y0 = bound(measure), noise() * torch.tensor([1.0, 2.0, 3.0, 5.0])[:, None, None]
    start = on(Y0).max().item()
    target = start + 0.6 * ((0.9 if measure == "cka" else 0.8) - start)
    runs = [ascent(on, Y0, n, target, 150, optimizer) for n in (1, read_every)]
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
    monkeypatch.setattr(span, "_BATCHED_UP_TO", 1)
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
    linear.evaluate = evaluate
    return linear, Y0


@pytest.mark.parametrize("every", [1, 10])
def test_a_score_that_is_not_finite(every: int) -> None:
    on, Y0 = growing(lambda size: size + 0 * (300 - size).sqrt())
    log, _, why = compare(*(ascent(on, Y0, n) for n in (1, 16)), every=every)
    assert why is StopReason.NOT_FINITE
    assert log.steps == {1: [0, 1, 2, 3], 10: [0]}[every]


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
        logs.append((log.steps, log.last, [tensor.tolist() for tensor in log.tensors], run.step))
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
    assert first.step == {1: 13, 5: 15, 40: 14}[every]  # blocks end at a shown state, where they have one
    assert rest.steps == [step for step in whole_log.steps if step >= first.step]
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
            optimizers = [torch.utils._pytree.tree_map(_copied, state) for state in taken["optimizers"]]
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


def test_only_the_last_state_of_a_block_is_settled() -> None:
    log, _ = logged(ascent(bound("cka"), noise(), 5, 1.0, 12))
    assert log.settled == [step in (4, 9, 12) for step in range(13)]


def test_the_scores_are_read_once_a_block(monkeypatch) -> None:
    run, reads, cpu = ascent(bound("cka"), noise(), 5, 1.0, 19), 0, torch.Tensor.cpu

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal reads
        reads += 1
        return cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    run.run(lambda state: None)
    assert reads == 4


@pytest.mark.parametrize("optimizer", ["fused", "sgd"])
@pytest.mark.parametrize("measure", ["cka", "cka_debiased", "cka_rbf", "nbs", "procrustes_angular"])
def test_no_value_is_read_within_a_block(measure: str, optimizer: str, monkeypatch) -> None:
    monkeypatch.setattr(linalg, "polar", linalg.polar_by_products)  # as on accelerators
    run = ascent(bound(measure), noise(), 16, 2.0, 100, optimizer)
    with ReadValues() as read:
        evaluate_block(run)
    assert read.operations == set()
    assert run.step == 15


def test_a_condition_that_is_looked_at_is_noticed() -> None:
    with ReadValues() as read:
        evaluate_block(ascent(bound("linreg"), noise(), 16))
    assert read.operations == {"_local_scalar_dense"}


def test_states_that_are_not_read_yet_do_not_fill_the_memory(monkeypatch) -> None:
    on, Y0 = bound("cka"), noise()
    monkeypatch.setattr(steps, "_BLOCK_BYTES", 2 * Y0.nbytes)
    log, other, _ = compare(*(ascent(on, Y0, n, max_steps=30) for n in (1, 16)))
    assert len(log.steps) > 16
    gaps = [step for step, settled in zip(other.steps, other.settled, strict=True) if settled]
    assert max(b - a for a, b in pairwise(gaps)) <= 2


@pytest.mark.parametrize(("every", "kept"), [(5, [0, 5, 10, 15]), (16, [0]), (100, [16])])
def test_moments_that_are_not_shown_are_not_kept(every: int, kept: list[int]) -> None:
    run = ascent(bound("cka"), noise(), 16, 1.0)
    if every == 100:  # else the first block is of one state, which is to be shown
        run.restore({**run.state(), "step": 1})
    block = evaluate_block(run, every)
    assert [state.step for state in block if state.moments is not None] == kept


@pytest.mark.parametrize("target", [0.9, 0.99, 0.3, -0.7, 1e-50, 1e300, -1e300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_comparing_on_the_device_is_comparing_on_the_host(target: float, dtype: torch.dtype) -> None:
    near = torch.tensor([target], dtype=dtype)
    infinity = torch.full_like(near, torch.inf)
    below = torch.nextafter(near, -infinity)
    score = torch.cat([below, near, torch.nextafter(near, infinity), near * 0, -infinity, infinity])
    on_device = score < replicates._least_reached(target, dtype)
    assert on_device.tolist() == [value < target for value in score.tolist()]


def test_how_often_scores_are_read_where_nobody_says() -> None:
    on, Y0 = bound("cka"), noise()
    assert Ascent(on, Y0, OPTIMIZERS["adam"], 0.9, 5).read_every == 1
    with pytest.raises(InputError, match="read_every is 0.*at least 1"):
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
    evaluate_block(run)
    torch.cuda.set_sync_debug_mode("error")
    try:
        block = evaluate_block(run)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(block) == 16
