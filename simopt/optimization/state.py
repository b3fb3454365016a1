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
        The moments of Y (R, samples, units), detached from the graph of the gradient. Matrix products of Y
        are computed once and shared by all observers.
    last : bool
        True at the state that ends the run.
    settled : bool
        True if a run that is saved now with :meth:`Ascent.state` would be resumed at this step. If scores are
        read every k steps only, Y has already moved on to the last of these steps. Then only the last state
        of the k is settled.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool = False
    settled: bool = True


class Thinning:
    """Decides which states of a run are logged: those at which a score has moved far enough.

    Parameters
    ----------
    score_step : float, >= 0
        A state is logged when the score of any replicate differs by at least this much from its score at
        the last logged state. The first and the last state are always logged. 0: log every state.
    last : array, (R,), or None
        If a run is resumed, the scores of its last logged state. None at the start of a run.
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
