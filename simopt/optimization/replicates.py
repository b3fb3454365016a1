"""The synthetic datasets of a run: their scores, gradients and updates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from simopt.measures.base import BoundMeasure
from simopt.measures.moments import Moments
from simopt.optimization.optimizers import make
from simopt.typing import OptimizerFactory

_BATCHED_UP_TO = 100_000
"""Entries of one Y from which on a CPU goes through a step replicate by replicate, each within its caches."""


class Replicates:
    """R synthetic datasets and the optimisers that move them.

    Parameters
    ----------
    bound : BoundMeasure
    Y0 : Tensor, (R, samples, units)
    optimizer : callable
        Makes a torch optimiser from a list of parameters. Each replicate is a parameter of its own, so
        that no optimiser mixes them; one that needs a closure (L-BFGS) is made once a replicate.

    Attributes
    ----------
    Y : Tensor, (R, samples, units)
        Updated in place.
    step : int
        How many updates were made.
    by_closure : bool
        Whether the optimiser evaluates the score by itself.

    Raises
    ------
    InputError
        The optimiser refuses its options.
    """

    def __init__(self, bound: BoundMeasure, Y0: Tensor, optimizer: OptimizerFactory) -> None:
        self.bound = bound
        self.step = 0
        self.sign = bound.measure.sign
        scores = bound.reference.scores
        self.Y = Y0.to(dtype=scores.dtype, device=scores.device, copy=True)
        self._each = list(self.Y.unbind())
        self._alone = self.Y.device.type == "cpu" and self.Y[0].numel() >= _BATCHED_UP_TO
        self.by_closure = _needs_closure(make(optimizer, [self.Y.new_zeros(1)]))
        groups = [[y] for y in self._each] if self.by_closure else [self._each]
        self.optimizers = [make(optimizer, group) for group in groups]

    def parts(self, Y: Tensor) -> list[Tensor]:
        """Return Y in parts along R: those that are evaluated together."""
        return [Y[r : r + 1] for r in range(len(Y))] if self._alone else [Y]

    def evaluate(self, part: Tensor) -> tuple[Moments, Tensor]:
        """Return moments and scores with their graph, down to the moments' own Y."""
        moments = Moments(self.bound.reference, part.detach().requires_grad_())
        return moments, self.bound.evaluate(moments)

    def gradient(self, moments: Moments, score: Tensor) -> Tensor:
        """Return the gradient of what is minimised, of Y's shape."""
        (gradient,) = torch.autograd.grad(-self.sign * score.sum(), moments.Y)
        # The fused optimisers of torch read a gradient in the memory order of its parameter.
        return gradient.contiguous()

    def update(self, descent: Sequence[Tensor | None]) -> None:
        """Move each replicate by its gradient; None leaves one where it is."""
        for y, gradient in zip(self._each, descent, strict=True):
            y.grad = gradient
        if self.by_closure:
            for r, y in enumerate(self._each):
                if descent[r] is not None:
                    self.optimizers[r].step(self._closure(y))
        else:
            self.optimizers[0].step()
        for y in self._each:
            y.grad = None

    def _closure(self, y: Tensor) -> Callable[[], float]:
        def closure() -> float:
            leaf = y.detach().requires_grad_()
            loss = -self.sign * self.bound.evaluate(Moments(self.bound.reference, leaf))
            (gradient,) = torch.autograd.grad(loss, leaf)
            y.grad = gradient.contiguous()
            return loss.item()

        return closure

    def state(self) -> dict[str, Any]:
        """Return the step, Y, and the optimisers' states: not copies, they change as the run goes on."""
        return {
            "step": self.step,
            "Y": self.Y,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back, or on, to where :meth:`state` was taken.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            The state is not of this run: other shapes, or of an optimiser with other options.
        """
        self.step = int(state["step"])
        self.Y.copy_(state["Y"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            options = _options(optimizer)
            optimizer.load_state_dict(_launched_as(optimizer, saved))
            if _options(optimizer) != options:
                raise ValueError("the optimiser's options are not those that were saved")


def _options(optimizer: torch.optim.Optimizer) -> list[dict[str, type]]:
    return [{key: type(value) for key, value in group.items()} for group in optimizer.param_groups]


def _launched_as(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a saved state with ``capturable`` as it is now: how a step is launched is no part of a run."""
    groups = [
        {**group, "capturable": own["capturable"]} if "capturable" in group and "capturable" in own else group
        for group, own in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**saved, "param_groups": groups}


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
