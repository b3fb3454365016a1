"""Optimizers that take their options, or say why they do not."""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.typing import OptimizerFactory


def make(optimizer: OptimizerFactory, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Return the optimizer of some parameters.

    Raises
    ------
    InputError
        It refuses its options, or is none.
    """
    try:
        made = optimizer(parameters)
    except MemoryError:
        raise
    # What is named as an optimizer may be anything.
    except Exception as error:
        raise InputError(f"optimizer: {error}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise InputError(f"optimizer: _target_ gives a {type(made).__name__}, not a torch.optim.Optimizer.")
    return made


def probe(optimizer: OptimizerFactory) -> torch.optim.Optimizer:
    """Return the optimizer of one number, to look at before there is anything to optimize.

    Raises
    ------
    InputError
        As :func:`make`.
    """
    return make(optimizer, [torch.zeros(1)])
