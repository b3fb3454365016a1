"""Where and in which precision a run computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from simopt import checks
from simopt.errors import InputError, RunFailedError

DTYPES = ("float32", "float64")


_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def choose(device: str, dtype: str, *, tf32: bool = False) -> tuple[torch.device, torch.dtype]:
    """Return the device and dtype of these names.

    Parameters
    ----------
    device : str
        ``auto`` takes cuda, then mps, then cpu, whichever is there (and can compute in ``dtype``); or any
        torch device.
    dtype : {"float32", "float64"}
    tf32 : bool
        Whether :func:`matrix_products` are to be taken in TF32.

    Raises
    ------
    InputError
        There is no such device or dtype, or the device cannot compute in it; or TF32 is asked for where there
        is none.
    """
    chosen, precision = _choose(device, dtype)
    if tf32 and dtype != "float32":
        raise InputError(f"tf32=true rounds products of float32; dtype is {dtype}. Give one of them up.")
    if tf32 and chosen.type != "cuda":
        raise InputError(f"tf32=true needs a CUDA device; device={device} is {chosen} here. Use tf32=false.")
    return chosen, precision


def _choose(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    checks.one_of(dtype, DTYPES, "dtype")
    precision: torch.dtype = getattr(torch, dtype)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), precision
        metal = torch.backends.mps.is_available() and dtype == "float32"
        return torch.device("mps" if metal else "cpu"), precision
    try:
        chosen = torch.device(device)
        torch.zeros(1, dtype=precision, device=chosen)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} cannot be used in {dtype} here ({str(error).splitlines()[0]}); "
            "device=auto takes what there is."
        ) from error
    return chosen, precision


@contextlib.contextmanager
def matrix_products(*, tf32: bool) -> Iterator[None]:
    """Set how CUDA multiplies float32 matrices, and set it back at the end.

    Parameters
    ----------
    tf32 : bool
        True: factors are rounded to TF32, 10 bits after the point in place of 23, on cards that have it.
        False: they are not, whatever the process has set.
    """
    matmul = torch.backends.cuda.matmul
    newer = hasattr(matmul, "fp32_precision")  # torch 2.9; the other name may not be read once it is set
    name = "fp32_precision" if newer else "allow_tf32"
    before = getattr(matmul, name)
    setattr(matmul, name, ("tf32" if tf32 else "ieee") if newer else tf32)
    try:
        yield
    finally:
        setattr(matmul, name, before)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Word in one way what Python, numpy and torch's allocators say when memory runs out.

    Raises
    ------
    RunFailedError
        Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in _MEMORY_SIGNS):
            raise
        raise RunFailedError("out of memory; fewer seeds at a time or dtype=float32 need less.") from error
