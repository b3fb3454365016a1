"""Functions whose gradient is a formula of their own: none differentiates through a factorization."""

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
"""Tensors and numbers that a gradient needs."""


def with_gradient(
    gradient: Callable[..., Any], outputs: int = 1
) -> Callable[[Callable[Inputs, tuple[Result, Saved]]], Callable[Inputs, Result]]:
    """Make a differentiable function of one that returns its result and what the gradient needs.

    Parameters
    ----------
    gradient : callable
        Takes the gradients with respect to the outputs, then the tensors that the function saved, then
        what else it saved. Returns the gradients with respect to the inputs; inputs left out at the end are
        constant.
    outputs : int
        How many of the outputs, the first ones, have a gradient.

    Returns
    -------
    callable
        Decorates a function that returns (result, saved). The decorated one returns the result, takes its
        arguments by position only and can be differentiated once.
    """

    def decorate(function: Callable[Inputs, tuple[Result, Saved]]) -> Callable[Inputs, Result]:
        evaluate: Callable[..., tuple[Result, Saved]] = function

        class Node(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *inputs: Any) -> Result:
                result, saved = evaluate(*inputs)
                ctx.save_for_backward(*(part for part in saved if isinstance(part, Tensor)))
                ctx.numbers = [part for part in saved if not isinstance(part, Tensor)]
                ctx.inputs = len(inputs)
                if isinstance(result, tuple):
                    ctx.mark_non_differentiable(*result[outputs:])
                return result

            @staticmethod
            @once_differentiable
            def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
                found = gradient(*grads[:outputs], *ctx.saved_tensors, *ctx.numbers)
                found = found if isinstance(found, tuple) else (found,)
                return (*found, *[None] * (ctx.inputs - len(found)))

        @functools.wraps(function)
        def call(*inputs: Inputs.args, **options: Inputs.kwargs) -> Result:
            return Node.apply(*inputs, **options)  # type: ignore[no-untyped-call, no-any-return]

        return call

    return decorate
