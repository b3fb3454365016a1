"""Making torch optimizers, with errors that name the option at fault."""

from __future__ import annotations

import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.typing import OptimizerFactory


def make(optimizer: OptimizerFactory, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Return the torch optimizer that a function makes for some parameters.

    Parameters
    ----------
    optimizer : callable
        Makes a torch optimizer from a list of parameters, for instance ``partial(torch.optim.Adam, lr=0.1)``.
    parameters : list of Tensor

    Raises
    ------
    InputError
        ``optimizer`` refuses its options, or returns something other than a torch optimizer.
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
        raise InputError(f"optimizer: _target_ returned a {type(made).__name__}, no torch.optim.Optimizer.")
    return made


def probe(optimizer: OptimizerFactory) -> torch.optim.Optimizer:
    """Return an optimizer of a single number, to check its options and its type before data are loaded.

    Raises
    ------
    InputError
        :func:`make` refuses the optimizer.
    """
    return make(optimizer, [torch.zeros(1)])
