"""The synthetic datasets of a run, with their scores, gradients and updates."""

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
    """The replicates after ``step`` updates.

    Attributes
    ----------
    step : int
    score : Tensor, (R,)
    moments : Moments
        Of Y (R, samples, units), without a gradient.
    gradients : list of R tensors (samples, units), or None
        Of the minimized quantity: minus the score, or the distance. None for replicates that were evaluated
        without a gradient.
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
        Makes a torch optimizer from a list of parameters. Each replicate is one parameter, so that an
        optimizer that works parameter by parameter does not mix them. Optimizers that need a closure
        (L-BFGS) do mix their parameters; every replicate then has its own optimizer.
    target : float, or sequence of R floats

    Attributes
    ----------
    Y : Tensor, (R, samples, units)
        Updated in place.
    step : int
        Number of updates made.
    by_closure : bool
        Whether the optimizer needs a closure with which it evaluates the score itself.

    Raises
    ------
    InputError
        The optimizer refuses its options, or the number of targets is not R.
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
        # Views of Y: the optimizer's in-place updates of them are updates of Y.
        self._parameters = list(self.Y.unbind())
        self.by_closure = _needs_closure(probe(optimizer))
        groups = [[y] for y in self._parameters] if self.by_closure else [self._parameters]
        self._optimizers = [make(optimizer, group) for group in groups]

    def below(self, score: Tensor) -> Tensor:
        """Return which replicates have not reached their targets at scores (R,), a bool tensor (R,)."""
        return self._sign * score < self._bars.to(score.device)

    def evaluate(self, Y: Tensor, moving: Sequence[bool]) -> Evaluation:
        """Return scores, moments and gradients of Y (R, samples, units).

        Parameters
        ----------
        Y : Tensor, (R, samples, units)
        moving : sequence of R bool
            Which replicates need a gradient. Replicates that are evaluated together all get one if any needs
            it.
        """
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
            # Replicates are independent: the gradient of the sum holds the gradient of each score.
            gradients = self._gradient(score.sum(), moments.Y).unbind()
        return score.detach(), moments.detached(), gradients

    def update(self, gradients: Sequence[Tensor | None]) -> None:
        """Make one optimizer step with the gradient of each replicate; None leaves a replicate as it is."""
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
        # torch's fused optimizers assume that a gradient has the memory layout of its parameter. A transposed
        # one, as matrix products may return it, would be added to the wrong entries without an error.
        return gradient.contiguous()

    def _closure(self, y: Tensor) -> Callable[[], float]:
        def closure() -> float:
            # A line search calls this at trial values of y; the gradient belongs to the current one.
            leaf = y.detach().requires_grad_()
            score = self.bound.evaluate(Moments(self.bound.reference, leaf))
            y.grad = self._gradient(score, leaf)
            return -self._sign * score.item()

        return closure

    def state(self) -> dict[str, Any]:
        """Return the step, Y and the optimizers' states; not copied, so they change as the run goes on."""
        return {
            "step": self.step,
            "Y": self.Y,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` returned.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            The state belongs to another run: other shapes, or other options of the optimizer.
        """
        if state["Y"].shape != self.Y.shape:
            raise ValueError(
                f"Y has shape {tuple(self.Y.shape)}; the saved one has {tuple(state['Y'].shape)}"
            )
        self.step = int(state["step"])
        self.Y.copy_(state["Y"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            options = _options(optimizer)
            # torch replaces all options by the saved ones, also by those of another class or torch version.
            optimizer.load_state_dict(saved)
            if _options(optimizer) != options:
                raise ValueError("the saved optimizer has options of other names or types")
            _check_shapes(optimizer)


def _options(optimizer: torch.optim.Optimizer) -> list[dict[str, type]]:
    """Return the names and types of the options of each parameter group."""
    return [{key: type(value) for key, value in group.items()} for group in optimizer.param_groups]


def _check_shapes(optimizer: torch.optim.Optimizer) -> None:
    """Refuse a saved state of other shapes: torch's fused steps would write out of bounds, unchecked."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("fused") else []:
            for name, value in optimizer.state[parameter].items():
                if name != "step" and value is not None and value.shape != parameter.shape:
                    raise ValueError(f"{name} of the optimizer has another shape than Y")


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether ``step`` has a required parameter ``closure``, as that of L-BFGS has."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _least_reached(target: float, dtype: torch.dtype) -> float:
    """Return the smallest number of a dtype that is >= the target.

    For every score s of the dtype, s < target (in float64) holds exactly if s is less than this number. So
    the comparison can be made on the device in its own dtype.
    """
    nearest = torch.tensor(target, dtype=dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, math.inf))
    return float(nearest if nearest.item() >= target else above)
