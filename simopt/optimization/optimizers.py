"""Optimisers before there is anything to optimise, to see whether they take their options."""

from __future__ import annotations

from simopt.errors import InputError
from simopt.lazy import torch
from simopt.typing import OptimizerFactory


def probe(optimizer: OptimizerFactory) -> torch.optim.Optimizer:
    """Return the optimiser of one number, to look at.

    Raises
    ------
    InputError
        It refuses its options.
    """
    try:
        return optimizer([torch.zeros(1)])
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"optimizer: {error}") from error
