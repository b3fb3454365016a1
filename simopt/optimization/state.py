"""The state of a run that observers see, and the rule by which states are logged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from simopt.measures.moments import Moments
from simopt.typing import FloatArray


@dataclass(frozen=True)
class State:
    """The replicates after ``step`` updates, as observers of a run see them.

    Attributes
    ----------
    step : int
        Number of updates made; 0 at the start.
    score : Tensor, (R,)
        Scores of the replicates, on the CPU.
    moments : Moments
        The moments of Y (R, samples, units), detached from the autograd graph. All observers share their
        matrix products.
    last : bool
        True at the state that ends the run.
    settled : bool
        True if a run that is saved now by :meth:`Ascent.state` would be resumed at this step. If scores are
        read only every k steps, Y is at the last of these k steps when they are read, and only the last state
        is settled.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool = False
    settled: bool = True


class Thinning:
    """A rule that decides which states of a run are logged: a score must have changed enough.

    Parameters
    ----------
    score_step : float, >= 0
        A state is logged if the score of a replicate differs by at least this much from its score at the
        last logged state. The first and the last state are always logged. 0 logs every state.
    last : array, (R,), or None
        The scores of the last logged state of a run that is resumed. None at the start of a run.
    """

    def __init__(self, score_step: float, last: FloatArray | None = None) -> None:
        self.score_step = score_step
        self._last = last

    def keeps(self, state: State) -> bool:
        """Return whether to log a state. If it is logged, later states are compared with this state."""
        if self.score_step == 0:
            return True
        score = state.score.double().numpy()
        near = self._last is not None and (np.abs(score - self._last) < self.score_step).all()
        if near and not state.last:
            return False
        self._last = score
        return True
