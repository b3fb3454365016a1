"""A decorator for functions with a hand-written gradient, so that torch differentiates no factorization."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Inputs = ParamSpec("Inputs")
Result = TypeVar("Result")
Saved: TypeAlias = "tuple[Any, ...]"
"""The values that a function saves for its gradient: tensors and numbers."""


def with_gradient(
    gradient: Callable[..., Any], outputs: int = 1
) -> Callable[[Callable[Inputs, tuple[Result, Saved]]], Callable[Inputs, Result]]:
    """Attach a gradient to a function that returns (result, values saved for the gradient).

    Parameters
    ----------
    gradient : callable
        Takes the gradients with respect to the outputs, then the saved tensors, then the other saved values.
        Returns a tuple of gradients with respect to the inputs, in their order. If the tuple is shorter than
        the inputs, the last inputs are constants.
    outputs : int
        Number of results, from the first on, that have a gradient. All later results are constants.

    Returns
    -------
    callable
        The decorator. The decorated function returns the result alone, takes its arguments by position
        only, and can be differentiated once, not twice.
    """

    def decorate(function: Callable[Inputs, tuple[Result, Saved]]) -> Callable[Inputs, Result]:
        evaluate: Callable[..., tuple[Result, Saved]] = function

        class Node(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *inputs: Any) -> Result:
                result, saved = evaluate(*inputs)
                # Tensors saved through torch are freed with the graph and checked for in-place changes.
                ctx.save_for_backward(*(part for part in saved if isinstance(part, Tensor)))
                ctx.numbers = [part for part in saved if not isinstance(part, Tensor)]
                ctx.inputs = len(inputs)
                if isinstance(result, tuple):
                    ctx.mark_non_differentiable(*result[outputs:])
                return result

            @staticmethod
            @once_differentiable
            def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
                pulled = gradient(*grads[:outputs], *ctx.saved_tensors, *ctx.numbers)
                pulled = pulled if isinstance(pulled, tuple) else (pulled,)
                # torch wants one gradient for each input, None for a constant one.
                return (*pulled, *[None] * (ctx.inputs - len(pulled)))

        @functools.wraps(function)
        def call(*inputs: Inputs.args, **options: Inputs.kwargs) -> Result:
            return Node.apply(*inputs, **options)  # type: ignore[no-untyped-call, no-any-return]

        return call

    return decorate
