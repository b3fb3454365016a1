"""The optimization loop: gradient ascent of a score with respect to Y. No config, no file, no print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from simopt import checks
from simopt.measures.base import BoundMeasure
from simopt.optimization.replicates import Replicates
from simopt.optimization.span import Span
from simopt.optimization.state import State
from simopt.optimization.steps import each_step, every_kth_step
from simopt.optimization.trajectory import StopReason
from simopt.typing import OptimizerFactory

_READ_EVERY = 16
"""Steps between two readings of the scores where reading them makes the host wait for an accelerator."""


class Ascent:
    """A batch of optimizations of one bound measure, one replicate each.

    Parameters
    ----------
    bound : BoundMeasure
    Y0 : Tensor, (R, samples, units)
    optimizer : callable
        Makes a torch optimizer from a list of parameters; see :class:`Replicates`.
    target : float, or sequence of R floats
        A replicate that reaches this score, or its own (a distance: from above), is kept as it is while the
        others go on.
    max_steps : int
    rows : Span, optional
        What ``bound`` and ``Y0`` were reduced by.
    read_every : int, optional
        Scores are read every so many steps, and the states handed over then; they are the same. None: 1 on a
        CPU, and 16 elsewhere. Always 1 with an optimizer that needs a closure.

    Raises
    ------
    InputError
        The optimizer refuses its options, ``read_every`` is less than 1, or there are not R targets.
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
    ) -> None:
        self.bound = bound
        self.rows = rows
        self._replicates = Replicates(bound, Y0, optimizer, target)
        self.Y = self._replicates.Y  # updated in place
        self._max_steps = max_steps
        if read_every is None:
            read_every = 1 if self.Y.device.type == "cpu" else _READ_EVERY
        checks.whole(read_every, 1, "read_every")
        self.read_every = 1 if self._replicates.by_closure else read_every

    @property
    def step(self) -> int:
        """How many updates were made."""
        return self._replicates.step

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
            Asked at each settled state; True stops the run with :attr:`StopReason.INTERRUPTED`.
        every : int

        Returns
        -------
        StopReason
            :attr:`StopReason.NOT_FINITE` is returned before the state that is not finite is observed.
        """
        if self.read_every == 1:
            states = each_step(self._replicates, self._max_steps)
        else:
            states = every_kth_step(self._replicates, self._max_steps, self.read_every, every)
        while True:
            state = next(states)  # one step
            reason = self._ended(state, should_stop)
            if reason is not None:
                # The run stands at the state that ended it.
                self._replicates.step = state.step
                if reason is not StopReason.NOT_FINITE:
                    observe(replace(state, last=True, settled=True))
                return reason
            if state.step % every == 0:
                observe(state)
            del state  # its moments are not needed beside those of the next one

    def _ended(self, state: State, should_stop: Callable[[], bool]) -> StopReason | None:
        """Say why the run ends at a state, or None where it goes on."""
        if not state.score.isfinite().all():
            return StopReason.NOT_FINITE
        if not self._replicates.below(state.score).any():
            return StopReason.TARGET
        if state.step >= self._max_steps:
            return StopReason.MAX_STEPS
        return StopReason.INTERRUPTED if state.settled and should_stop() else None

    def synthetic(self, Y: Tensor | None = None) -> Tensor:
        """Return Y, or that of a state, (R, samples, units), with all samples if the run has fewer rows."""
        Y = self.Y if Y is None else Y
        return Y if self.rows is None else self.rows.expand(Y)

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs: the step, Y, and the optimizers' states."""
        return self._replicates.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the run where :meth:`state` was taken.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            The state is not of this run: other shapes, or of an optimizer with other options.
        """
        self._replicates.restore(state)
