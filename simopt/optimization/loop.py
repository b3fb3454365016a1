"""The optimisation loop: gradient ascent of a score with respect to Y. No config, no file, no print."""

from __future__ import annotations

import enum
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.measures.base import BoundMeasure
from simopt.measures.moments import Moments
from simopt.typing import OptimizerFactory


class StopReason(enum.Enum):
    """Why a run stopped."""

    TARGET = "every replicate reached the target"
    MAX_STEPS = "the step limit was reached"
    INTERRUPTED = "it was interrupted"
    NOT_FINITE = "the score of a replicate is not finite"


@dataclass(frozen=True)
class State:
    """What the loop shows an observer: the replicates after ``step`` updates.

    Attributes
    ----------
    step : int
    score : Tensor, (R,)
    moments : Moments
        Of Y (R, samples, units), without a gradient; its products are computed once for all observers.
    last : bool
        Whether the run ends here.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool


class Ascent:
    """A batch of optimisations of one bound measure, one replicate each.

    Parameters
    ----------
    bound : BoundMeasure
    Y0 : Tensor, (R, samples, units)
    optimizer : callable
        Makes a torch optimiser from a list of parameters. Each replicate is a parameter of its own, so
        that no optimiser mixes them; one that needs a closure (L-BFGS) is made once a replicate.
    target : float
        A replicate that reaches this score (a distance: from above) is kept as it is while the others go on.
    max_steps : int

    Raises
    ------
    InputError
        The optimiser refuses its options.
    """

    def __init__(
        self, bound: BoundMeasure, Y0: Tensor, optimizer: OptimizerFactory, target: float, max_steps: int
    ) -> None:
        self.bound = bound
        self.target = target
        self.max_steps = max_steps
        self.step = 0
        self._sign = bound.measure.sign
        scores = bound.reference.scores
        self.Y = Y0.to(dtype=scores.dtype, device=scores.device, copy=True)
        self._replicates = [self.Y[r] for r in range(len(self.Y))]
        try:
            probe = optimizer([torch.zeros_like(self._replicates[0])])
            self._by_closure = _needs_closure(probe)
            groups = [[y] for y in self._replicates] if self._by_closure else [self._replicates]
            self.optimizers = [optimizer(group) for group in groups]
        except (ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"optimizer: {error}") from error

    def run(
        self,
        observe: Callable[[State], None],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        every: int = 1,
    ) -> StopReason:
        """Follow the gradient from the current step on.

        Parameters
        ----------
        observe : callable
            Is handed every ``every``-th state, the first and the last.
        should_stop : callable
            Asked before each update; True stops the run with :attr:`StopReason.INTERRUPTED`.
        every : int

        Returns
        -------
        StopReason
            :attr:`StopReason.NOT_FINITE` is returned before the state that is not finite is observed.
        """
        while True:
            leaf = self.Y.detach().requires_grad_()
            moments = Moments(self.bound.reference, leaf)
            score = self.bound.evaluate(moments)
            values = score.tolist()
            if not all(map(math.isfinite, values)):
                return StopReason.NOT_FINITE
            active = [self._sign * value < self._sign * self.target for value in values]
            reason = self._reason(any(active), should_stop)
            if self.step % every == 0 or reason is not None:
                observe(State(self.step, score.detach(), moments.detached(), reason is not None))
            if reason is not None:
                return reason
            (descent,) = torch.autograd.grad(-self._sign * score.sum(), leaf)
            # The fused optimisers of torch read a gradient in the memory order of its parameter.
            self._update(descent.contiguous(), active)
            self.step += 1

    def _reason(self, going_on: bool, should_stop: Callable[[], bool]) -> StopReason | None:
        if not going_on:
            return StopReason.TARGET
        if self.step >= self.max_steps:
            return StopReason.MAX_STEPS
        return StopReason.INTERRUPTED if should_stop() else None

    def _update(self, descent: Tensor, active: Sequence[bool]) -> None:
        for r, y in enumerate(self._replicates):
            y.grad = descent[r] if active[r] else None
        if not self._by_closure:
            self.optimizers[0].step()
            return
        for r, y in enumerate(self._replicates):
            if active[r]:
                self.optimizers[r].step(self._closure(y))

    def _closure(self, y: Tensor) -> Callable[[], float]:
        def closure() -> float:
            leaf = y.detach().requires_grad_()
            loss = -self._sign * self.bound.evaluate(Moments(self.bound.reference, leaf))
            (gradient,) = torch.autograd.grad(loss, leaf)
            y.grad = gradient.contiguous()
            return loss.item()

        return closure

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs: the step, Y, and the optimisers' states."""
        return {
            "step": self.step,
            "Y": self.Y,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the run where :meth:`state` was taken."""
        self.step = int(state["step"])
        self.Y.copy_(state["Y"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
