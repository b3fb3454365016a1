"""What the loop shows an observer, and which of it is logged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from simopt.measures.moments import Moments
from simopt.typing import FloatArray


@dataclass(frozen=True)
class State:
    """The replicates after ``step`` updates.

    Attributes
    ----------
    step : int
    score : Tensor, (R,)
        On the host.
    moments : Moments
        Of Y (R, samples, units), without a gradient; its products are computed once for all observers.
    last : bool
        Whether the run ends here.
    settled : bool
        Whether :meth:`Ascent.state`, taken now, resumes at this step. Where scores are read every k steps,
        the ascent stands at the last of them.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool = False
    settled: bool = True


class Thinning:
    """Which states of a run are logged: by how far the scores have moved.

    Parameters
    ----------
    score_step : float, >= 0
        A state is logged when the score of any replicate differs by this much from that of the last logged
        one; so are the first and the last. 0 logs all.
    last : array, (R,), or None
        The scores of the last logged state, where a run is gone on with.
    """

    def __init__(self, score_step: float, last: FloatArray | None = None) -> None:
        self.score_step = score_step
        self._last = last

    def keeps(self, state: State) -> bool:
        """Say whether a state is logged; the next ones are then measured against it."""
        if self.score_step == 0:
            return True
        score = state.score.double().numpy()
        near = self._last is not None and (np.abs(score - self._last) < self.score_step).all()
        if near and not state.last:
            return False
        self._last = score
        return True
