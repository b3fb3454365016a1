"""Everything logged along one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simopt.optimization import captured
from simopt.optimization.captured import captured_variance
from simopt.optimization.state import State, StopReason
from simopt.typing import FloatArray


@dataclass(frozen=True)
class Trajectory:
    """The logged states of R replicates over T steps.

    Attributes
    ----------
    step : array of int, (T,)
        Updates made so far; the first is 0, the start.
    score : array, (T, R)
        A replicate that reached the target keeps its score while the others go on.
    captured_variance : array, (T, R, K)
        In [0, 1], for each PC of the recording of nonzero variance, descending.
    Y : array, (R, samples, units)
        The synthetic datasets at the end.
    variance_ratio : array, (K,)
        The explained variance ratio of each PC of the recording.
    stop_reason : StopReason
    sign : int
        -1 where the measure is a distance.
    """

    step: np.ndarray
    score: FloatArray
    captured_variance: FloatArray
    Y: FloatArray
    variance_ratio: FloatArray
    stop_reason: StopReason
    sign: int = 1

    def half_capture(self) -> FloatArray:
        """Return the score at which each PC is half captured, (R, K); NaN where it never is."""
        return captured.half_capture(self.score, self.captured_variance)

    def steps_to(self, score: float) -> FloatArray:
        """Return the first logged step at which each replicate reached a score, (R,); NaN if never."""
        return captured.steps_to(self.step, self.score, score, self.sign)


class Recorder:
    """An observer that keeps step, score and captured variance of every state it is handed."""

    def __init__(self) -> None:
        self.step: list[int] = []
        self.score: list[FloatArray] = []
        self.captured_variance: list[FloatArray] = []

    def __call__(self, state: State) -> None:
        """Keep a state."""
        self.step.append(state.step)
        self.score.append(state.score.numpy().copy())
        self.captured_variance.append(captured_variance(state.moments).cpu().numpy())


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
