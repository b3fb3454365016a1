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
from simopt.optimization.rows import Rows
from simopt.typing import OptimizerFactory

_BATCHED_UP_TO = 100_000
"""Entries of one Y from which on a CPU goes through a step replicate by replicate, each within its caches."""


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


@dataclass(frozen=True)
class _Part:
    """Replicates that are evaluated together: scores, moments, and the descent of those that go on.

    ``values`` are the scores on the host, read once a step.
    """

    score: Tensor
    values: list[float]
    moments: Moments
    descent: list[Tensor | None]


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
    rows : Rows, optional
        What ``bound`` and ``Y0`` were reduced by.

    Raises
    ------
    InputError
        The optimiser refuses its options.
    """

    def __init__(
        self,
        bound: BoundMeasure,
        Y0: Tensor,
        optimizer: OptimizerFactory,
        target: float,
        max_steps: int,
        rows: Rows | None = None,
    ) -> None:
        self.bound = bound
        self.rows = rows
        self.target = target
        self.max_steps = max_steps
        self.step = 0
        self._sign = bound.measure.sign
        scores = bound.reference.scores
        self.Y = Y0.to(dtype=scores.dtype, device=scores.device, copy=True)
        self._replicates = [self.Y[r] for r in range(len(self.Y))]
        alone = self.Y.device.type == "cpu" and self.Y[0].numel() >= _BATCHED_UP_TO
        self._parts = [self.Y[r : r + 1] for r in range(len(self.Y))] if alone else [self.Y]
        try:
            probe = optimizer([self.Y.new_zeros(1)])
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
        while (reason := self._once(observe, should_stop, every)) is None:
            self.step += 1
        return reason

    def _once(
        self, observe: Callable[[State], None], should_stop: Callable[[], bool], every: int
    ) -> StopReason | None:
        """Show the current state, and leave it unless there is a reason to stop."""
        parts = [self._differentiate(part) for part in self._parts]
        score = torch.cat([part.score for part in parts])
        values = [value for part in parts for value in part.values]
        if not all(map(math.isfinite, values)):
            return StopReason.NOT_FINITE
        reason = self._reason(any(map(self._active, values)), should_stop)
        if self.step % every == 0 or reason is not None:
            moments = Moments.joined([part.moments for part in parts], self.Y)
            observe(State(self.step, score, moments, reason is not None))
        if reason is None:
            self._update([gradient for part in parts for gradient in part.descent])
        return reason

    def _differentiate(self, part: Tensor) -> _Part:
        leaf = part.detach().requires_grad_()
        moments = Moments(self.bound.reference, leaf)
        score = self.bound.evaluate(moments)
        values = score.tolist()
        active = [math.isfinite(value) and self._active(value) for value in values]
        descent: list[Tensor | None] = [None] * len(part)
        if self.step < self.max_steps and any(active):
            (gradient,) = torch.autograd.grad(-self._sign * score.sum(), leaf)
            # The fused optimisers of torch read a gradient in the memory order of its parameter.
            gradient = gradient.contiguous()
            descent = [gradient[r] if active[r] else None for r in range(len(part))]
        return _Part(score.detach(), values, moments.detached(), descent)

    def _active(self, value: float) -> bool:
        return self._sign * value < self._sign * self.target

    def _reason(self, going_on: bool, should_stop: Callable[[], bool]) -> StopReason | None:
        if not going_on:
            return StopReason.TARGET
        if self.step >= self.max_steps:
            return StopReason.MAX_STEPS
        return StopReason.INTERRUPTED if should_stop() else None

    def _update(self, descent: Sequence[Tensor | None]) -> None:
        for y, gradient in zip(self._replicates, descent, strict=True):
            y.grad = gradient
        if self._by_closure:
            for r, y in enumerate(self._replicates):
                if descent[r] is not None:
                    self.optimizers[r].step(self._closure(y))
        else:
            self.optimizers[0].step()
        for y in self._replicates:
            y.grad = None

    def _closure(self, y: Tensor) -> Callable[[], float]:
        def closure() -> float:
            leaf = y.detach().requires_grad_()
            loss = -self._sign * self.bound.evaluate(Moments(self.bound.reference, leaf))
            (gradient,) = torch.autograd.grad(loss, leaf)
            y.grad = gradient.contiguous()
            return loss.item()

        return closure

    def synthetic(self) -> Tensor:
        """Return Y, (R, samples, units), with all samples where the run goes on in fewer rows."""
        return self.Y if self.rows is None else self.rows.expand(self.Y)

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
