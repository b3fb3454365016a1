"""Optimisers that take their options, or say why they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simopt.errors import InputError
from simopt.lazy import torch
from simopt.typing import OptimizerFactory

if TYPE_CHECKING:
    from torch import Tensor


def make(optimizer: OptimizerFactory, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Return the optimiser of some parameters.

    Raises
    ------
    InputError
        It refuses its options.
    """
    try:
        return optimizer(parameters)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"optimizer: {error}") from error


def probe(optimizer: OptimizerFactory) -> torch.optim.Optimizer:
    """Return the optimiser of one number, to look at before there is anything to optimise.

    Raises
    ------
    InputError
        As :func:`make`.
    """
    return make(optimizer, [torch.zeros(1)])
