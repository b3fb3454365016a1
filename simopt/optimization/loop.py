"""The optimisation loop: gradient ascent of a score with respect to Y. No config, no file, no print."""

from __future__ import annotations

import enum
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simopt import checks
from simopt.errors import InputError
from simopt.lazy import torch
from simopt.measures.base import BoundMeasure
from simopt.measures.moments import Moments
from simopt.optimization.optimizers import make
from simopt.optimization.rows import Rows
from simopt.typing import OptimizerFactory

if TYPE_CHECKING:
    from torch import Tensor

_BATCHED_UP_TO = 100_000
"""Entries of one Y from which on a CPU goes through a step replicate by replicate, each within its caches."""
_READ_EVERY = 16
"""Steps between two readings of the scores where reading them makes the host wait for an accelerator."""
_BLOCK_BYTES = 2**28
"""What the states between two readings may hold, but for the last one."""


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
    settled : bool
        Whether the ascent stands here, so that its ``state()`` goes on from here. Where scores are read in
        blocks, it stands at the last state of the block.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool
    settled: bool = True


@dataclass(frozen=True)
class _Part:
    """Replicates that are evaluated together: scores, moments, and the descent of those that go on.

    ``values`` are the scores on the host, read once a step.
    """

    score: Tensor
    values: list[float]
    moments: Moments
    descent: list[Tensor | None]


@dataclass
class _Unread:
    """A state whose scores are still on the device; its moments, where they are to be shown."""

    step: int
    score: Tensor
    moments: Moments | None


class Ascent:
    """A batch of optimisations of one bound measure, one replicate each.

    Parameters
    ----------
    bound : BoundMeasure
    Y0 : Tensor, (R, samples, units)
    optimizer : callable
        Makes a torch optimiser from a list of parameters. Each replicate is a parameter of its own, so
        that no optimiser mixes them; one that needs a closure (L-BFGS) is made once a replicate.
    target : float, or sequence of R floats
        A replicate that reaches this score, or its own (a distance: from above), is kept as it is while the
        others go on.
    max_steps : int
    rows : Rows, optional
        What ``bound`` and ``Y0`` were reduced by.
    read_every : int, optional
        Scores are read in blocks of so many steps, and the states handed over then; they are the same. None:
        1 on a CPU, and 16 elsewhere. Always 1 with an optimiser that needs a closure.

    Raises
    ------
    InputError
        The optimiser refuses its options, ``read_every`` is less than 1, or there are not R targets.
    """

    def __init__(
        self,
        bound: BoundMeasure,
        Y0: Tensor,
        optimizer: OptimizerFactory,
        target: float | Sequence[float],
        max_steps: int,
        rows: Rows | None = None,
        read_every: int | None = None,
    ) -> None:
        self.bound = bound
        self.rows = rows
        self.targets = [target] * len(Y0) if isinstance(target, float | int) else list(target)
        if len(self.targets) != len(Y0):
            raise InputError(
                f"there are {len(self.targets)} targets for {len(Y0)} replicates; give one for each."
            )
        self.max_steps = max_steps
        self.step = 0
        self._sign = bound.measure.sign
        scores = bound.reference.scores
        self.Y = Y0.to(dtype=scores.dtype, device=scores.device, copy=True)
        self._replicates = [self.Y[r] for r in range(len(self.Y))]
        on_cpu = self.Y.device.type == "cpu"
        self._alone = on_cpu and self.Y[0].numel() >= _BATCHED_UP_TO
        self._parts = self._split(self.Y)
        self._by_closure = _needs_closure(make(optimizer, [self.Y.new_zeros(1)]))
        groups = [[y] for y in self._replicates] if self._by_closure else [self._replicates]
        self.optimizers = [make(optimizer, group) for group in groups]
        if read_every is None:
            read_every = 1 if on_cpu else _READ_EVERY
        checks.whole(read_every, 1, "read_every")
        self.read_every = 1 if self._by_closure else read_every
        bars = [_least_reached(self._sign * each, self.Y.dtype) for each in self.targets]
        self._bars = torch.tensor(bars, dtype=self.Y.dtype, device=self.Y.device)

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
            Asked before each update, or once a block; True stops the run with
            :attr:`StopReason.INTERRUPTED`.
        every : int

        Returns
        -------
        StopReason
            :attr:`StopReason.NOT_FINITE` is returned before the state that is not finite is observed.
        """
        advance = self._once if self.read_every == 1 else self._block
        while (reason := advance(observe, should_stop, every)) is None:
            self.step += 1
        return reason

    def _once(
        self, observe: Callable[[State], None], should_stop: Callable[[], bool], every: int
    ) -> StopReason | None:
        """Show the current state, and leave it unless there is a reason to stop."""
        targets = [[each] for each in self.targets] if self._alone else [self.targets]
        parts = [self._differentiate(*part) for part in zip(self._parts, targets, strict=True)]
        score = torch.cat([part.score for part in parts])
        values = [value for part in parts for value in part.values]
        if not all(map(math.isfinite, values)):
            return StopReason.NOT_FINITE
        reason = self._reason(self.step, values, should_stop)
        if self.step % every == 0 or reason is not None:
            moments = Moments.joined([part.moments for part in parts], self.Y)
            observe(State(self.step, score, moments, reason is not None))
        if reason is None:
            self._update([gradient for part in parts for gradient in part.descent])
        return reason

    def _differentiate(self, part: Tensor, targets: Sequence[float]) -> _Part:
        moments, score = self._evaluate(part)
        values = score.tolist()
        active = [
            math.isfinite(value) and self._active(value, target)
            for value, target in zip(values, targets, strict=True)
        ]
        descent: list[Tensor | None] = [None] * len(part)
        if self.step < self.max_steps and any(active):
            gradient = self._gradient(moments, score)
            descent = [gradient[r] if active[r] else None for r in range(len(part))]
        return _Part(score.detach(), values, moments.detached(), descent)

    def _block(
        self, observe: Callable[[State], None], should_stop: Callable[[], bool], every: int
    ) -> StopReason | None:
        """Go on for a block without reading a score, then read them all and show the states one by one.

        A replicate at the target stays where it is, and all of them do where a score is not finite: so the
        run stands at the state that ends it, whatever was computed after. An error counts only if none did.
        """
        unread: list[_Unread] = []
        failure: Exception | None = None
        try:
            Y, descent = self._compute(unread, every)
        except Exception as error:
            if not unread:
                raise
            failure = error
        values = torch.stack([state.score for state in unread]).tolist()
        for index, (state, row) in enumerate(zip(unread, values, strict=True)):
            if not all(map(math.isfinite, row)):
                self.step = state.step
                return StopReason.NOT_FINITE
            stands = failure is None and state is unread[-1]
            reason = self._reason(state.step, row, should_stop if stands else lambda: False)
            if reason is not None:
                self.step = state.step
            if state.step % every == 0 or reason is not None:
                moments = next(later.moments for later in unread[index:] if later.moments is not None)
                ends = reason is not None
                observe(State(state.step, state.score, moments, ends, settled=stands or ends))
            if reason is not None:
                return reason
        if failure is not None:
            raise failure
        self._move(Y, unread[-1].score, descent)
        return None

    def _compute(self, unread: list[_Unread], every: int) -> tuple[Tensor, list[Tensor]]:
        """Add the states of a block, and return Y at its last one, with the descent from there."""
        end, held = self._end_of_block(every), 0
        while True:
            Y = self.Y.clone()
            parts = [self._evaluate(part) for part in self._split(Y)]
            score = torch.cat([score.detach() for _, score in parts])
            moments = Moments.joined([moments.detached() for moments, _ in parts], Y)
            if unread and unread[-1].step % every:
                unread[-1].moments = None
            unread.append(_Unread(self.step, score, moments))
            descent: list[Tensor] = []
            if self.step < self.max_steps:
                descent = [each for part in parts for each in self._gradient(*part).unbind()]
            if self.step % every == 0:
                held += _nbytes(moments)
            if self.step >= end or held > _BLOCK_BYTES:
                return Y, descent
            self._move(Y, score, descent)
            self.step += 1
            del Y, parts, moments, descent  # none of it is needed beside the next state

    def _end_of_block(self, every: int) -> int:
        """Return the last step of this block: one to be shown, so that observers see where the run stands."""
        end = min(self.step + self.read_every - 1, self.max_steps)
        shown = end - end % every
        return shown if self.step <= shown else end

    def _move(self, Y: Tensor, score: Tensor, descent: Sequence[Tensor]) -> None:
        """Update, from Y and its scores, the replicates that go on: those that :meth:`_once` would update."""
        self._update(descent)
        going_on = (self._sign * score < self._bars) & score.isfinite().all()
        torch.where(going_on[:, None, None], self.Y, Y, out=self.Y)

    def _split(self, Y: Tensor) -> list[Tensor]:
        return [Y[r : r + 1] for r in range(len(Y))] if self._alone else [Y]

    def _evaluate(self, part: Tensor) -> tuple[Moments, Tensor]:
        """Return moments and scores with their graph, down to the moments' own Y."""
        moments = Moments(self.bound.reference, part.detach().requires_grad_())
        return moments, self.bound.evaluate(moments)

    def _gradient(self, moments: Moments, score: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(-self._sign * score.sum(), moments.Y)
        # The fused optimisers of torch read a gradient in the memory order of its parameter.
        return gradient.contiguous()

    def _active(self, value: float, target: float) -> bool:
        return self._sign * value < self._sign * target

    def _reason(
        self, step: int, values: Sequence[float], should_stop: Callable[[], bool]
    ) -> StopReason | None:
        if not any(map(self._active, values, self.targets)):
            return StopReason.TARGET
        if step >= self.max_steps:
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

    def synthetic(self, Y: Tensor | None = None) -> Tensor:
        """Return Y, or that of a state, (R, samples, units), with all samples if the run has fewer rows."""
        Y = self.Y if Y is None else Y
        return Y if self.rows is None else self.rows.expand(Y)

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs: the step, Y, and the optimisers' states."""
        return {
            "step": self.step,
            "Y": self.Y,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the run where :meth:`state` was taken.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            The state is not of this run: other shapes, or of an optimiser with other options.
        """
        self.step = int(state["step"])
        self.Y.copy_(state["Y"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            options = _options(optimizer)
            optimizer.load_state_dict(saved)
            if _options(optimizer) != options:
                raise ValueError("the optimiser's options are not those that were saved")


def _options(optimizer: torch.optim.Optimizer) -> list[dict[str, type]]:
    return [{key: type(value) for key, value in group.items()} for group in optimizer.param_groups]


def _needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _least_reached(target: float, dtype: torch.dtype) -> float:
    """Return the least number of a dtype that is not below the target: comparing in it is then exact."""
    nearest = torch.tensor(target, dtype=dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, math.inf))
    return float(nearest if nearest.item() >= target else above)


def _nbytes(moments: Moments) -> int:
    """Return the memory that moments hold."""
    fields = [field if isinstance(field, tuple) else (field,) for field in vars(moments).values()]
    return sum(part.nbytes for field in fields for part in field if isinstance(part, torch.Tensor))
