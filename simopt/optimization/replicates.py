"""The synthetic datasets of a run: their scores, gradients and updates."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.measures.base import BoundMeasure
from simopt.measures.moments import Moments
from simopt.optimization.optimizers import make, probe
from simopt.optimization.span import parts
from simopt.typing import OptimizerFactory


@dataclass
class Evaluation:
    """The replicates after ``step`` updates: scores (R,), moments, and R gradients of what is minimized.

    Gradients are None where none of the replicates that are evaluated together is to move.
    """

    step: int
    score: Tensor
    moments: Moments
    gradients: list[Tensor | None]


class Replicates:
    """R synthetic datasets, their targets, and the optimizers that move them.

    Parameters
    ----------
    bound : BoundMeasure
    Y0 : Tensor, (R, samples, units)
    optimizer : callable
        Makes a torch optimizer from a list of parameters. Each replicate is a parameter of its own, so
        that no optimizer mixes them; one that needs a closure (L-BFGS) is made once a replicate.
    target : float, or sequence of R floats

    Attributes
    ----------
    Y : Tensor, (R, samples, units)
        Updated in place.
    step : int
        How many updates were made.
    by_closure : bool
        Whether the optimizer evaluates the score by itself.

    Raises
    ------
    InputError
        The optimizer refuses its options, or there are not R targets.
    """

    def __init__(
        self, bound: BoundMeasure, Y0: Tensor, optimizer: OptimizerFactory, target: float | Sequence[float]
    ) -> None:
        targets = [target] * len(Y0) if isinstance(target, float | int) else list(target)
        if len(targets) != len(Y0):
            raise InputError(f"there are {len(targets)} targets for {len(Y0)} replicates; give one for each.")
        self.bound = bound
        self.step = 0
        self._sign = bound.measure.sign
        scores = bound.reference.scores
        self.Y = Y0.to(dtype=scores.dtype, device=scores.device, copy=True)
        self._bars = self.Y.new_tensor([_least_reached(self._sign * t, scores.dtype) for t in targets])
        self._parameters = list(self.Y.unbind())
        self.by_closure = _needs_closure(probe(optimizer))
        groups = [[y] for y in self._parameters] if self.by_closure else [self._parameters]
        self._optimizers = [make(optimizer, group) for group in groups]

    def below(self, score: Tensor) -> Tensor:
        """Return which replicates have not reached their targets at these scores, (R,), bool."""
        return self._sign * score < self._bars.to(score.device)

    def evaluate(self, Y: Tensor, moving: Sequence[bool]) -> Evaluation:
        """Return scores, moments and gradients of Y (R, samples, units), of which some are to move."""
        scores, moments, gradients = zip(
            *(self._evaluate(Y[part], moving[part]) for part in parts(Y)), strict=True
        )
        flat = list(itertools.chain.from_iterable(gradients))
        return Evaluation(self.step, torch.cat(scores), Moments.joined(moments, Y), flat)

    def _evaluate(self, Y: Tensor, moving: Sequence[bool]) -> tuple[Tensor, Moments, Sequence[Tensor | None]]:
        moments = Moments(self.bound.reference, Y.detach().requires_grad_())
        score = self.bound.evaluate(moments)
        gradients: Sequence[Tensor | None] = [None] * len(Y)
        if any(moving):
            gradients = self._gradient(score.sum(), moments.Y).unbind()
        return score.detach(), moments.detached(), gradients

    def update(self, gradients: Sequence[Tensor | None]) -> None:
        """Move each replicate by its gradient; None leaves one where it is."""
        for y, gradient in zip(self._parameters, gradients, strict=True):
            y.grad = gradient
        if self.by_closure:
            for y, optimizer in zip(self._parameters, self._optimizers, strict=True):
                if y.grad is not None:
                    optimizer.step(self._closure(y))
        else:
            self._optimizers[0].step()
        for y in self._parameters:
            y.grad = None
        self.step += 1

    def _gradient(self, score: Tensor, Y: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(-self._sign * score, Y)
        # The fused optimizers of torch read a gradient in the memory order of its parameter.
        return gradient.contiguous()

    def _closure(self, y: Tensor) -> Callable[[], float]:
        def closure() -> float:
            leaf = y.detach().requires_grad_()
            score = self.bound.evaluate(Moments(self.bound.reference, leaf))
            y.grad = self._gradient(score, leaf)
            return -self._sign * score.item()

        return closure

    def state(self) -> dict[str, Any]:
        """Return the step, Y, and the optimizers' states: not copies, they change as the run goes on."""
        return {
            "step": self.step,
            "Y": self.Y,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back, or on, to where :meth:`state` was taken.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            The state is not of this run: other shapes, or of an optimizer with other options.
        """
        if state["Y"].shape != self.Y.shape:
            raise ValueError("Y has another shape than the one that was saved")
        self.step = int(state["step"])
        self.Y.copy_(state["Y"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            options = _options(optimizer)
            optimizer.load_state_dict(saved)
            if _options(optimizer) != options:
                raise ValueError("the optimizer's options are not those that were saved")
            _check_shapes(optimizer)


def _options(optimizer: torch.optim.Optimizer) -> list[dict[str, type]]:
    return [{key: type(value) for key, value in group.items()} for group in optimizer.param_groups]


def _check_shapes(optimizer: torch.optim.Optimizer) -> None:
    """Refuse a state of other shapes where torch does not: its fused steps write beyond the end of it."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("fused") else []:
            for name, value in optimizer.state[parameter].items():
                if name != "step" and value is not None and value.shape != parameter.shape:
                    raise ValueError(f"{name} of the optimizer has another shape than Y")


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _least_reached(target: float, dtype: torch.dtype) -> float:
    """Return the least number of a dtype that is not below the target: comparing in it is then exact."""
    nearest = torch.tensor(target, dtype=dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, math.inf))
    return float(nearest if nearest.item() >= target else above)
