"""Where and in which precision a run computes."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from simopt.errors import InputError, RunFailedError
from simopt.optimization import device

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
matmul = torch.backends.cuda.matmul
newer = pytest.mark.skipif(not hasattr(matmul, "fp32_precision"), reason="torch before 2.9")


@pytest.fixture
def setting() -> Iterator[None]:
    """Leave the process with the precision that it had."""
    legacy, precision = torch.get_float32_matmul_precision(), getattr(matmul, "fp32_precision", None)
    yield
    torch.set_float32_matmul_precision(legacy)
    if precision is not None:
        matmul.fp32_precision = precision


def test_what_there_is() -> None:
    assert device.choose("cpu", "float64") == (torch.device("cpu"), torch.float64)
    assert device.choose("auto", "float32")[1] is torch.float32
    with pytest.raises(InputError, match="device=gpu .*float32"):
        device.choose("gpu", "float32")
    with pytest.raises(InputError, match="dtype"):
        device.choose("cpu", "float16")


@pytest.mark.parametrize("dtype", device.DTYPES)
def test_auto_takes_a_gpu_where_there_is_one(dtype: str, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose("auto", dtype)[0] == torch.device("cuda")


def test_tf32_is_refused_where_it_would_do_nothing(monkeypatch) -> None:
    with pytest.raises(InputError, match="tf32=true .*device=cpu"):
        device.choose("cpu", "float32", tf32=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose("auto", "float32", tf32=True) == (torch.device("cuda"), torch.float32)
    with pytest.raises(InputError, match="tf32=true .*float64"):
        device.choose("auto", "float64", tf32=True)


@newer
@pytest.mark.parametrize("before", ["none", "ieee", "tf32"])
@pytest.mark.usefixtures("setting")
def test_tf32_is_as_asked_for_and_then_as_it_was(before: str) -> None:
    matmul.fp32_precision = before
    with device.matrix_products(tf32=True):
        assert matmul.fp32_precision == "tf32"
        with device.matrix_products(tf32=False):
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "tf32"
    assert matmul.fp32_precision == before
    with pytest.raises(ValueError, match="within"), device.matrix_products(tf32=before != "tf32"):
        raise ValueError("within")
    assert matmul.fp32_precision == before


@newer
@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.usefixtures("setting")
def test_a_process_that_uses_the_older_names_can_go_on_with_them(precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    for tf32 in (False, True):
        with device.matrix_products(tf32=tf32):
            pass
        assert torch.get_float32_matmul_precision() == precision
        assert matmul.allow_tf32 is (precision == "high")


def test_torch_before_2_9(monkeypatch) -> None:
    older = SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", older)
    with device.matrix_products(tf32=False):
        assert older == SimpleNamespace(allow_tf32=False)
    with device.matrix_products(tf32=True):
        assert older == SimpleNamespace(allow_tf32=True)
    assert older == SimpleNamespace(allow_tf32=True)


@gpu
def test_a_gpu_rounds_only_if_asked() -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no TF32 on this card")
    A, B = torch.randn(2, 512, 512, device="cuda")
    exact = A.double() @ B.double()
    with device.matrix_products(tf32=False):
        assert (A @ B - exact).abs().max() < 1e-3
    with device.matrix_products(tf32=True):
        assert (A @ B - exact).abs().max() > 5e-3


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate"),
        RuntimeError("can't allocate memory: x"),
    ],
)
def test_memory_that_runs_out_is_a_failed_run(error: Exception) -> None:
    with (
        pytest.raises(RunFailedError, match="out of memory.*dtype=float32") as raised,
        device.memory_errors(),
    ):
        raise error
    assert raised.value.__cause__ is error


def test_another_error_is_left_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), device.memory_errors():
        raise RuntimeError("shapes differ")
