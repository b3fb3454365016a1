"""The synthetic datasets of a run, with their scores, gradients and updates."""

from __future__ import annotations

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
from simopt.optimization import optimizers
from simopt.optimization.span import parts
from simopt.typing import OptimizerFactory


@dataclass
class Evaluation:
    """Scores and gradients of the replicates after ``step`` updates.

    Attributes
    ----------
    step : int
        Number of updates made before.
    score : Tensor, (R,)
        The scores of the replicates.
    moments : Moments
        The moments of Y (R, samples, units), detached from the autograd graph.
    gradients : list of length R
        For each replicate the gradient (samples, units) of the loss. The loss is minus the score of a
        similarity, or a distance itself. None for a replicate that was evaluated without a gradient.
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
        The measure, bound to the recording.
    Y0 : Tensor, (R, samples, units)
        The synthetic datasets at the start. They are copied, not changed.
    optimizer : callable
        Makes a torch optimizer from a list of parameters. Each replicate is one parameter. An optimizer that
        needs a closure, such as L-BFGS, mixes its parameters, so each replicate gets its own optimizer.
    target : float, or sequence of R floats
        One target for all replicates, or one for each.

    Attributes
    ----------
    Y : Tensor, (R, samples, units)
        The synthetic datasets. Each update changes them in place.
    step : int
        Number of updates made.
    by_closure : bool
        Whether the optimizer needs a closure, a function that evaluates the score.

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
            raise InputError(f"target has {len(targets)} values; give one for each of {len(Y0)} replicates.")
        self.bound = bound
        self.step = 0
        self._sign = bound.measure.sign
        scores = bound.reference.scores
        self.Y = Y0.to(dtype=scores.dtype, device=scores.device, copy=True)
        self._bars = self.Y.new_tensor([_least_reached(self._sign * t, scores.dtype) for t in targets])
        # Views of Y: the optimizer's in-place updates of them are updates of Y.
        self._parameters = list(self.Y.unbind())
        self.by_closure = optimizers.needs_closure(optimizers.probe(optimizer))
        groups = [[y] for y in self._parameters] if self.by_closure else [self._parameters]
        self._factory = optimizer
        self._optimizers = [optimizers.make(optimizer, group) for group in groups]

    def below(self, score: Tensor) -> Tensor:
        """Return which replicates have not reached their targets, a bool tensor (R,).

        Parameters
        ----------
        score : Tensor, (R,)
            The scores of the replicates.
        """
        return self._sign * score < self._bars.to(score.device)

    def evaluate(self, Y: Tensor, moving: Sequence[bool]) -> Evaluation:
        """Return the scores, moments and gradients of Y.

        Parameters
        ----------
        Y : Tensor, (R, samples, units)
        moving : sequence of R bool
            Which replicates need a gradient. If one of several replicates that are evaluated together needs
            a gradient, all of them get one.
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
        """Make one optimizer step.

        Parameters
        ----------
        gradients : sequence of length R
            The gradient (samples, units) of each replicate. None leaves a replicate unchanged.
        """
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
        """Return the step, Y and the states of the optimizers as a dict.

        The tensors are not copied, so the next update changes them.
        """
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
            The state belongs to another run: Y has another shape, or the optimizer has other options or
            another state.
        """
        if state["Y"].shape != self.Y.shape:
            raise ValueError(
                f"the saved Y has shape {tuple(state['Y'].shape)}; this run needs {tuple(self.Y.shape)}"
            )
        self.step = int(state["step"])
        self.Y.copy_(state["Y"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizers.restore(optimizer, saved, self._factory)


def _least_reached(target: float, dtype: torch.dtype) -> float:
    """Return the smallest number of a dtype that is >= the target.

    For every score s of the dtype, s < target (in float64) holds exactly if s is less than this number. So
    the comparison can be made on the device in its own dtype.
    """
    nearest = torch.tensor(target, dtype=dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, math.inf))
    return float(nearest if nearest.item() >= target else above)
