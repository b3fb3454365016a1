"""The optimisation loop: gradient ascent of a score with respect to Y. No config, no file, no print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures.base import BoundMeasure
from simopt.measures.moments import Moments
from simopt.optimization.blocks import Blocks
from simopt.optimization.ending import Ending, StopReason
from simopt.optimization.recorded import StepRecorder
from simopt.optimization.replicates import Replicates
from simopt.optimization.span import Span
from simopt.optimization.state import State
from simopt.typing import OptimizerFactory

if TYPE_CHECKING:
    from simopt.optimization.state import Functions

_READ_EVERY = 16
"""Steps between two readings of the scores where reading them makes the host wait for an accelerator."""


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
        Makes a torch optimiser from a list of parameters; see :class:`Replicates`.
    target : float, or sequence of R floats
        A replicate that reaches this score, or its own (a distance: from above), is kept as it is while the
        others go on.
    max_steps : int
    rows : Span, optional
        What ``bound`` and ``Y0`` were reduced by.
    read_every : int, optional
        Scores are read in blocks of so many steps, and the states handed over then; they are the same. None:
        1 on a CPU, and 16 elsewhere. Always 1 with an optimiser that needs a closure.
    recorder : StepRecorder, optional
        Records the steps, where they are read in blocks and none of them looks at a value.

    Raises
    ------
    InputError
        The optimiser refuses its options or cannot be recorded, ``read_every`` is less than 1, or there are
        not R targets.
    """

    def __init__(
        self,
        bound: BoundMeasure,
        Y0: Tensor,
        optimizer: OptimizerFactory,
        target: float | Sequence[float],
        max_steps: int,
        rows: Span | None = None,
        read_every: int | None = None,
        recorder: StepRecorder | None = None,
    ) -> None:
        targets = [target] * len(Y0) if isinstance(target, float | int) else list(target)
        if len(targets) != len(Y0):
            raise InputError(f"there are {len(targets)} targets for {len(Y0)} replicates; give one for each.")
        self.bound = bound
        self.rows = rows
        self._replicates = Replicates(bound, Y0, optimizer)
        self.Y = self._replicates.Y  # updated in place
        self._ending = Ending(targets, self._replicates.sign, max_steps)
        if recorder is not None:
            for each in self.optimizers:
                recorder.admit(each)
        self._recorder = recorder
        if read_every is None:
            read_every = 1 if self.Y.device.type == "cpu" else _READ_EVERY
        checks.whole(read_every, 1, "read_every")
        self.read_every = 1 if self._replicates.by_closure else read_every

    @property
    def step(self) -> int:
        """How many updates were made."""
        return self._replicates.step

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """One for all replicates, or one each."""
        return self._replicates.optimizers

    def run(
        self,
        observe: Callable[[State], None],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        every: int = 1,
        ahead: Functions = MappingProxyType({}),
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
        ahead : mapping
            Functions of the moments that the observer will ask every state for (:meth:`State.value`), by the
            names it asks with. Where scores are read in blocks, their values are read with them.

        Returns
        -------
        StopReason
            :attr:`StopReason.NOT_FINITE` is returned before the state that is not finite is observed.
        """
        advance = self._once
        if self.read_every > 1:
            blocks = Blocks(self._replicates, self._ending, self.read_every, self._recorder, ahead)
            advance = blocks.advance
        while (reason := advance(observe, should_stop, every)) is None:
            self._replicates.step += 1
        return reason

    def _once(
        self, observe: Callable[[State], None], should_stop: Callable[[], bool], every: int
    ) -> StopReason | None:
        """Show the current state, and leave it unless there is a reason to stop."""
        parts: list[_Part] = []
        for Y in self._replicates.parts(self.Y):
            parts.append(self._differentiate(Y, sum(len(part.values) for part in parts)))
        score = torch.cat([part.score for part in parts])
        values = [value for part in parts for value in part.values]
        reason = self._ending.reason(self.step, values, should_stop)
        if reason is StopReason.NOT_FINITE:
            return reason
        if self.step % every == 0 or reason is not None:
            moments = Moments.joined([part.moments for part in parts], self.Y)
            observe(State(self.step, score, moments, reason is not None))
        if reason is None:
            self._replicates.update([gradient for part in parts for gradient in part.descent])
        return reason

    def _differentiate(self, part: Tensor, first: int) -> _Part:
        """Evaluate replicates, the first of which has this number."""
        moments, score = self._replicates.evaluate(part)
        values = score.tolist()
        going_on = [
            math.isfinite(value) and goes_on
            for value, goes_on in zip(values, self._ending.open(values, first), strict=True)
        ]
        descent: list[Tensor | None] = [None] * len(part)
        if self.step < self._ending.max_steps and any(going_on):
            gradient = self._replicates.gradient(moments, score)
            descent = [gradient[r] if going_on[r] else None for r in range(len(part))]
        return _Part(score.detach(), values, moments.detached(), descent)

    def synthetic(self, Y: Tensor | None = None) -> Tensor:
        """Return Y, or that of a state, (R, samples, units), with all samples if the run has fewer rows."""
        Y = self.Y if Y is None else Y
        return Y if self.rows is None else self.rows.expand(Y)

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs: the step, Y, and the optimisers' states."""
        return self._replicates.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the run where :meth:`state` was taken.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            The state is not of this run: other shapes, or of an optimiser with other options.
        """
        self._replicates.restore(state)
