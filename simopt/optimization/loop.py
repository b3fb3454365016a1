"""The optimization loop: gradient ascent of a score with respect to Y, without files or output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
"""Steps between two readings of the scores on an accelerator, where each reading is a host synchronization.
Up to this many steps are computed after the state that ends the run, and discarded."""


class Ascent(Replicates):
    """R optimizations of one measure, run together as a batch.

    Parameters
    ----------
    bound : BoundMeasure
        The measure, bound to the recording.
    Y0 : Tensor, (R, samples, units)
        The synthetic datasets at the start. They are copied, not changed.
    optimizer : callable
        Makes a torch optimizer from a list of parameters; see :class:`Replicates`.
    target : float, or sequence of R floats
        The score at which a replicate stops: one number for all replicates, or one for each. A similarity
        must be at least the target, a distance at most the target. A replicate that has reached its target
        keeps its Y while the other replicates go on.
    max_steps : int
        Largest number of updates.
    rows : Span, optional
        The span that reduced ``bound`` and ``Y0`` to fewer rows than samples. None: they have all samples.
    read_every : int, optional
        Number of steps between two readings of the scores from the device. Observers see the same states for
        every value, but see them later for larger values. None: 1 on a CPU, 16 on other devices. If the
        optimizer needs a closure, the scores are read at every step.

    Raises
    ------
    InputError
        The optimizer refuses its options, ``read_every`` is less than 1, or the number of targets is not R.
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
        super().__init__(bound, Y0, optimizer, target)
        self.rows, self._max_steps = rows, max_steps
        if read_every is None:
            read_every = 1 if self.Y.device.type == "cpu" else _READ_EVERY
        checks.whole(read_every, 1, "read_every")
        self.read_every = 1 if self.by_closure else read_every

    def run(
        self,
        observe: Callable[[State], None],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        every: int = 1,
    ) -> StopReason:
        """Follow the gradient from the current step until the run ends.

        Parameters
        ----------
        observe : callable
            Is called with each state whose step is a multiple of ``every``, and with the last state. If a
            score is not finite (:attr:`StopReason.NOT_FINITE`), it is not called with the last state.
        should_stop : callable
            Is called at each state from which the run could be resumed (see :attr:`State.settled`). If it
            returns True, the run ends with :attr:`StopReason.INTERRUPTED`.
        every : int, >= 1
            Number of steps between two states that ``observe`` sees.

        Returns
        -------
        StopReason
            Why the run ended.
        """
        if self.read_every == 1:
            states = each_step(self, self._max_steps)
        else:
            states = every_kth_step(self, self._max_steps, self.read_every, every)
        while True:
            state = next(states)  # one step
            reason = self._ended(state, should_stop)
            if reason is not None:
                # Y is that of the state that ended the run, but steps of the same block may be counted beyond
                # it.
                self.step = state.step
                if reason is not StopReason.NOT_FINITE:
                    observe(replace(state, last=True, settled=True))
                return reason
            if state.step % every == 0:
                observe(state)
            del state  # free its moments before those of the next state are computed

    def _ended(self, state: State, should_stop: Callable[[], bool]) -> StopReason | None:
        """Return why the run ends at a state; None if it goes on."""
        # NaN compares as not below the target, so finiteness is checked first.
        if not state.score.isfinite().all():
            return StopReason.NOT_FINITE
        if not self.below(state.score).any():
            return StopReason.TARGET
        if state.step >= self._max_steps:
            return StopReason.MAX_STEPS
        return StopReason.INTERRUPTED if state.settled and should_stop() else None

    def synthetic(self, Y: Tensor | None = None) -> Tensor:
        """Return the synthetic datasets with all samples, (R, samples, units).

        Parameters
        ----------
        Y : Tensor, (R, rows, units), optional
            The synthetic datasets of a state, which may have fewer rows than samples. None: the current ones.
        """
        Y = self.Y if Y is None else Y
        return Y if self.rows is None else self.rows.expand(Y)
