"""Functions that make and restore torch optimizers, with errors that name the faulty option."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.typing import OptimizerFactory


def make(optimizer: OptimizerFactory, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Return the torch optimizer that ``optimizer(parameters)`` makes.

    Parameters
    ----------
    optimizer : callable
        Makes a torch optimizer from a list of parameters, for instance ``partial(torch.optim.Adam, lr=0.1)``.
    parameters : list of Tensor
        The tensors that are optimized.

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
        raise InputError(f"optimizer: {reason}; correct its options.") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise InputError(f"optimizer: _target_ made a {type(made).__name__}; name a torch.optim.Optimizer.")
    return made


def probe(optimizer: OptimizerFactory) -> torch.optim.Optimizer:
    """Return an optimizer of a single number, which checks the options before data are loaded.

    Raises
    ------
    InputError
        :func:`make` refuses the optimizer, or its learning rate is 0, with which Y would stay as it is.
    """
    made = make(optimizer, [torch.zeros(1)])
    for group in made.param_groups:
        if "lr" in group:
            checks.at_least(float(group["lr"]), 0, "optimizer.lr", strict=True)
    return made


def restore(optimizer: torch.optim.Optimizer, saved: dict[str, Any], factory: OptimizerFactory) -> None:
    """Load the saved state of an optimizer, after a check of its options and shapes.

    torch does not check the shapes, and its fused steps would write out of bounds. Here the saved state of
    each parameter is compared with the state of a small parameter after one step: it must have the same
    entries, and a tensor must have the shape of the parameter. The state of an optimizer that needs a closure
    (L-BFGS) grows from step to step, and is not compared.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The optimizer that ``factory`` made.
    saved : dict
        The ``state_dict`` of an optimizer of the same parameters and options.
    factory : callable

    Raises
    ------
    ValueError, KeyError
        Options have other names or types, or an entry of the state is missing or has another shape.
    """
    options = _options(optimizer)
    # torch replaces all options by the saved ones, also by those of another class or torch version.
    optimizer.load_state_dict(saved)
    if _options(optimizer) != options:
        raise ValueError("the saved optimizer has options of other names or types")
    if needs_closure(optimizer):
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    small = parameters[0].new_zeros(2, 3)
    small.grad = torch.ones_like(small)
    trial = make(factory, [small])
    trial.step()
    for parameter in parameters:
        state = optimizer.state[parameter]
        for name, value in trial.state[small].items() if state else ():
            shapes = {torch.Size(): torch.Size(), small.shape: parameter.shape}
            shape = shapes.get(_shape(value))
            if shape is not None and _shape(state[name]) != shape:
                raise ValueError(f"{name} of the optimizer has shape {_shape(state[name])}, not {shape}")


def _shape(value: object) -> torch.Size:
    return value.shape if isinstance(value, Tensor) else torch.Size()


def _options(optimizer: torch.optim.Optimizer) -> list[dict[str, type]]:
    """Return the names and types of the options of each parameter group."""
    return [{key: type(value) for key, value in group.items()} for group in optimizer.param_groups]


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether the method ``step`` requires the argument ``closure``, as L-BFGS does."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
