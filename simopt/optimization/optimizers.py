"""Making torch optimizers, with errors that name the option at fault."""

from __future__ import annotations

import inspect
from typing import Any

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


def restore(optimizer: torch.optim.Optimizer, saved: dict[str, Any], factory: OptimizerFactory) -> None:
    """Continue from a saved ``state_dict`` of an optimizer of the same parameters and options.

    The state of each parameter is compared with that of a small one after one step: it must have the same
    values, numbers where those are numbers, and tensors of the shape of the parameter where those have the
    shape of the small one. Torch itself checks none of this, and its fused steps would write out of bounds.
    The state of an optimizer that needs a closure (L-BFGS) grows from step to step, and is not compared.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The optimizer that ``factory`` made.
    saved : dict
    factory : callable

    Raises
    ------
    ValueError, KeyError
        The options have other names or types, a value is missing, or has another shape.
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
    """Return whether ``step`` has a required parameter ``closure``, as that of L-BFGS has."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
