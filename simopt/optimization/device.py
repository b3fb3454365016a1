"""The device and the precision of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from simopt import checks
from simopt.errors import InputError, RunFailedError

DTYPES = ("float32", "float64")
_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Parts of the messages by which CUDA, torch's CPU allocator and cuBLAS say that memory has run out."""


def choose(device: str, dtype: str, *, tf32: bool = False) -> tuple[torch.device, torch.dtype]:
    """Return the torch device and the torch dtype with the given names.

    Parameters
    ----------
    device : str
        Name of a torch device, or ``auto`` for the first of cuda, mps and cpu that exists and can compute in
        ``dtype``.
    dtype : {"float32", "float64"}
    tf32 : bool
        Whether the run will multiply float32 matrices in TF32 (see :func:`matrix_products`).

    Raises
    ------
    InputError
        The device or the dtype does not exist; the device cannot compute in the dtype; or ``tf32`` is True,
        but the dtype is float64 or the device is not a CUDA device.
    """
    checks.one_of(dtype, DTYPES, "dtype")
    precision: torch.dtype = getattr(torch, dtype)
    if device == "auto":
        metal = torch.backends.mps.is_available() and dtype == "float32"
        chosen = torch.device("cuda" if torch.cuda.is_available() else "mps" if metal else "cpu")
    else:
        try:
            chosen = torch.device(device)
            # torch accepts devices that do not exist, and mps with float64: only an allocation tells.
            torch.zeros(1, dtype=precision, device=chosen)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise InputError(
                f"device={device} cannot be used with dtype={dtype} on this machine "
                f"({str(error).splitlines()[0]}); device=auto chooses a device that can."
            ) from error
    if tf32 and dtype != "float32":
        raise InputError(
            f"tf32=true applies to float32 only, but dtype={dtype}; use tf32=false or dtype=float32."
        )
    if tf32 and chosen.type != "cuda":
        raise InputError(f"tf32=true needs a CUDA device, but device={device} is {chosen}; use tf32=false.")
    return chosen, precision


@contextlib.contextmanager
def matrix_products(*, tf32: bool) -> Iterator[None]:
    """Set how CUDA multiplies float32 matrices in a ``with`` block; the former setting is restored after it.

    Parameters
    ----------
    tf32 : bool
        True: GPUs that have TF32 round both factors of a product to TF32, which has 10 bits of mantissa
        instead of 23. False: both factors keep all bits of float32.
    """
    matmul = torch.backends.cuda.matmul
    # torch 2.9 renamed the setting; reading the old name raises an error once the new one has been set.
    newer = hasattr(matmul, "fp32_precision")
    name = "fp32_precision" if newer else "allow_tf32"
    before = getattr(matmul, name)
    setattr(matmul, name, ("tf32" if tf32 else "ieee") if newer else tf32)
    try:
        yield
    finally:
        setattr(matmul, name, before)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn the memory errors of Python, numpy and torch in a ``with`` block into an error with a remedy.

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
        raise RunFailedError("out of memory; run fewer seeds at a time, or use dtype=float32.") from error
