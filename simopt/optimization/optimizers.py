"""Making torch optimizers, with errors that name the option at fault."""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.typing import OptimizerFactory


def make(optimizer: OptimizerFactory, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Return a torch optimizer of some parameters.

    Raises
    ------
    InputError
        The factory refuses its options, or returns something that is no torch optimizer.
    """
    try:
        made = optimizer(parameters)
    except MemoryError:
        raise
    # The factory may be any Python object that a user has named, so any exception is possible.
    except Exception as error:
        texts = [f"{k}={v!r}" for k, v in getattr(optimizer, "keywords", {}).items() if isinstance(v, str)]
        reason = f"{', '.join(texts)} cannot be used ({error})" if texts else error
        raise InputError(f"optimizer: {reason}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise InputError(f"optimizer: _target_ gives a {type(made).__name__}, not a torch.optim.Optimizer.")
    return made


def probe(optimizer: OptimizerFactory) -> torch.optim.Optimizer:
    """Return an optimizer of one number, to check its options and read its type before there is any data.

    Raises
    ------
    InputError
        As :func:`make`.
    """
    return make(optimizer, [torch.zeros(1)])
