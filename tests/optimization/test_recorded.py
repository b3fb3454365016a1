"""Steps recorded once and repeated: the same states, to the last bit, as steps carried out one by one.

A tape on the CPU stands in for a CUDA graph: the same operations on the same memory, whatever Python would do
the next time.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from simopt import linalg, measures
from simopt.errors import InputError, RunFailedError, UnrecordedWarning
from simopt.measures import BoundMeasure, Reference
from simopt.optimization import Ascent, State, StopReason, captured_variance
from simopt.optimization.recorded import CudaGraphs, waits

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
OPTIMIZERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1, fused=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.5, momentum=0.9, dampening=0.2),
}


class _Record(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple] = []
        self.before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for argument, given in [*zip(func._schema.arguments, args, strict=False)] + [
            (argument, kwargs.get(argument.name)) for argument in func._schema.arguments
        ]:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_leaves(given):
                    if isinstance(tensor, torch.Tensor) and tensor.data_ptr() not in self.before:
                        self.before[tensor.data_ptr()] = tensor, tensor.clone()
        out = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, out))
        return out


class Tape:
    """Keeps the operations of work, and undoes them: to record is not to carry out."""

    def __init__(self) -> None:
        self.replays = 0

    def admit(self, optimizer: torch.optim.Optimizer) -> None:
        pass

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        with _Record() as record:
            result = work()
        for tensor, before in record.before.values():
            tensor.copy_(before)

        def replay() -> None:
            self.replays += 1
            with torch.no_grad():
                for func, args, kwargs, out in record.operations:
                    again = func(*args, **kwargs)
                    for kept, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                        if isinstance(kept, torch.Tensor) and kept.data_ptr() != new.data_ptr():
                            kept.copy_(new)

        return replay, result


def bound(measure: str, dtype: torch.dtype = torch.float32) -> BoundMeasure:
    return measures.get(measure).bind(Reference.of(torch.randn(40, 5, dtype=dtype)))


def logged(run: Ascent, every: int = 1) -> tuple[list[int], list[torch.Tensor], StopReason]:
    steps: list[int] = []
    tensors: list[torch.Tensor] = []

    def observe(state: State) -> None:
        steps.append(state.step)
        captured = state.value("captured", captured_variance)
        tensors.extend([state.score.clone(), state.moments.Y.clone(), captured])

    return steps, tensors, run.run(observe, every=every, ahead={"captured": captured_variance})


def compare(on: BoundMeasure, Y0: torch.Tensor, optimizer: str, target: float, every: int = 1) -> Tape:
    tape = Tape()
    each = Ascent(on, Y0, OPTIMIZERS[optimizer], target, 40)
    recorded = Ascent(on, Y0, OPTIMIZERS[optimizer], target, 40, read_every=6, recorder=tape)
    (steps, tensors, why), (same_steps, same, same_why) = (logged(run, every) for run in (each, recorded))
    assert steps == same_steps
    assert why is same_why
    assert all(map(torch.equal, tensors, same))
    assert torch.equal(each.Y, recorded.Y)
    return tape


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("measure", ["cka", "nbs", "linreg"])
def test_recorded_states_are_the_same(measure: str, optimizer: str, monkeypatch) -> None:
    monkeypatch.setattr(linalg, "polar", linalg.polar_by_products)  # as on accelerators
    tape = compare(bound(measure), torch.randn(3, 40, 4), optimizer, 2.0)
    assert tape.replays == 34 + 33  # steps 7 to 40: the first one and a block before them are not


@pytest.mark.parametrize(
    "measure",
    [
        "cka_debiased", "cka_polynomial", "cka_rbf", "distance_correlation", "ensd", "linreg_cv5",
        "procrustes_angular", "procrustes_euclidean", "ridge100", "ridge1_cv5", "rsa", "rsa_cosine_cov",
        "rsa_mahalanobis", "rv_adjusted", "soft_correlation_match", "uniformity_difference",
    ],
)  # fmt: skip
def test_of_every_family(measure: str, monkeypatch) -> None:
    monkeypatch.setattr(linalg, "polar", linalg.polar_by_products)
    on = bound(measure, torch.float64)
    target = 2.0 if on.measure.sign > 0 else -1.0
    assert compare(on, torch.randn(2, 40, 4, dtype=torch.float64), "adam", target).replays > 0


@pytest.mark.parametrize("every", [1, 4, 100])
def test_replicates_end_where_they_would(every: int) -> None:
    on = bound("cka")
    Y0 = torch.randn(3, 40, 4) * torch.tensor([1.0, 3.0, 9.0])[:, None, None]
    assert compare(on, Y0, "adam", 0.8, every).replays > 0


def test_what_looks_at_values_is_not_recorded_and_says_so() -> None:
    with pytest.warns(UnrecordedWarning, match=r"cca: a step waits for values \(.*_linalg_svd"):
        assert compare(bound("cca"), torch.randn(2, 40, 4), "adam", 2.0).replays == 0


def test_what_was_wrongly_taken_for_granted_ends_recording() -> None:
    Y0 = torch.randn(2, 40, 4)
    Y0[..., 1] = Y0[..., 0]
    assert compare(bound("linreg"), Y0, "sgd", 2.0).replays == 0


def test_what_observers_ask_for_does_not_keep_a_step_from_being_recorded() -> None:
    on, Y0, tape = bound("cka"), torch.randn(2, 40, 4), Tape()
    cca = measures.get("cca").bind(on.reference).evaluate
    run = Ascent(on, Y0, OPTIMIZERS["adam"], 2.0, 20, read_every=6, recorder=tape)
    asked: list[torch.Tensor] = []
    run.run(lambda state: asked.append(state.value("cca", cca)), ahead={"cca": cca})
    assert tape.replays > 0
    each = Ascent(on, Y0, OPTIMIZERS["adam"], 2.0, 20)
    expected: list[torch.Tensor] = []
    each.run(lambda state: expected.append(cca(state.moments)))
    assert all(map(torch.equal, asked, expected))


def test_captured_variance_of_a_singular_y_does_not_end_recording() -> None:
    Y0 = torch.randn(2, 40, 4)
    Y0[..., 1] = Y0[..., 0]
    assert compare(bound("cka"), Y0, "sgd", 2.0).replays > 30


def test_a_restored_run_is_recorded_anew() -> None:
    on, Y0, tape = bound("cka"), torch.randn(2, 40, 4), Tape()
    whole = Ascent(on, Y0, OPTIMIZERS["adam"], 2.0, 60)
    logged(whole)
    run = Ascent(on, Y0, OPTIMIZERS["adam"], 2.0, 60, read_every=6, recorder=tape)
    assert run.run(lambda state: None, should_stop=lambda: run.step > 20) is StopReason.INTERRUPTED
    again = Ascent(on, torch.zeros_like(Y0), OPTIMIZERS["adam"], 2.0, 60, read_every=6, recorder=tape)
    again.restore(run.state())
    logged(again)
    assert torch.equal(again.Y, whole.Y)


def test_what_makes_the_host_wait() -> None:
    A = torch.randn(5, 5)
    assert waits(lambda: A @ A)[1] == []
    assert waits(lambda: A.sum().item())[1] == ["_local_scalar_dense"]
    assert waits(lambda: torch.linalg.svd(A))[1] == ["_linalg_svd"]
    assert waits(lambda: A[A > 0])[1] == ["index"]
    assert waits(lambda: A[torch.tensor([1, 2])])[1] == []
    assert waits(lambda: A.to("meta"))[1] == ["_to_copy"]
    out, found = waits(lambda: torch.linalg.cholesky_ex(A @ A.mT)[0])
    assert (out.shape, found) == ((5, 5), [])


def test_optimizers_whose_state_is_on_the_device() -> None:
    parameters = [torch.zeros(3)]
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
        optimizer = kind(parameters)
        CudaGraphs().admit(optimizer)
        assert optimizer.param_groups[0]["capturable"]
    CudaGraphs().admit(torch.optim.SGD(parameters, lr=0.1, momentum=0.9))
    for other in (torch.optim.Adagrad, torch.optim.LBFGS):
        with pytest.raises(InputError, match=f"cuda_graphs=true: {other.__name__} keeps values on the host"):
            CudaGraphs().admit(other(parameters))


def test_a_state_saved_without_graphs_is_taken_up_with_them_and_the_other_way() -> None:
    on, Y0 = bound("cka"), torch.randn(2, 40, 4)
    adam = lambda parameters: torch.optim.Adam(parameters, lr=0.1)  # noqa: E731
    plain = Ascent(on, Y0, adam, 2.0, 3)
    graphs = Ascent(on, Y0, adam, 2.0, 3, recorder=CudaGraphs())
    plain.run(lambda state: None)
    graphs.restore(plain.state())
    assert graphs.optimizers[0].param_groups[0]["capturable"]
    plain.restore(graphs.state())
    assert not plain.optimizers[0].param_groups[0]["capturable"]


def test_a_refused_recording_is_a_failed_run(monkeypatch) -> None:
    class Refuses:
        def __init__(self, graph: object) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", Refuses)
    with pytest.raises(RunFailedError, match=r"recorded \(operation not .* capturing\); cuda_graphs=false"):
        CudaGraphs().record(lambda: None)


@gpu
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("measure", ["cka", "nbs", "linreg", "ridge100_cv5", "rsa"])
def test_on_a_gpu(measure: str, optimizer: str) -> None:
    on = measures.get(measure).bind(Reference.of(torch.randn(40, 5), device="cuda"))
    Y0 = torch.randn(3, 40, 4)
    runs = [
        Ascent(on, Y0, OPTIMIZERS[optimizer], 0.9, 60, recorder=recorder) for recorder in (None, CudaGraphs())
    ]
    (steps, tensors, why), (same_steps, same, same_why) = map(logged, runs)
    assert (steps, why) == (same_steps, same_why)
    torch.testing.assert_close(tensors, same, rtol=1e-3, atol=1e-4)
