"""Where and in which precision a run computes."""

from __future__ import annotations

import torch

from simopt import checks
from simopt.errors import InputError

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def choose(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Return the device and dtype of these names.

    Parameters
    ----------
    device : str
        ``auto`` takes cuda, then mps, then cpu, whichever is there (and can compute in ``dtype``); or any
        torch device.
    dtype : {"float32", "float64"}

    Raises
    ------
    InputError
        There is no such device or dtype, or the device cannot compute in it.
    """
    checks.one_of(dtype, DTYPES, "dtype")
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), DTYPES[dtype]
        metal = torch.backends.mps.is_available() and dtype == "float32"
        return torch.device("mps" if metal else "cpu"), DTYPES[dtype]
    try:
        chosen = torch.device(device)
        torch.zeros(1, dtype=DTYPES[dtype], device=chosen)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} cannot be used in {dtype} here ({str(error).splitlines()[0]}); "
            "device=auto takes what there is."
        ) from error
    return chosen, DTYPES[dtype]
