"""The states logged along one run, and numbers computed from them. torch is not imported here."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from simopt.typing import FloatArray


class StopReason(enum.Enum):
    """Why a run stopped."""

    TARGET = "every replicate reached the target"
    MAX_STEPS = "the step limit was reached"
    INTERRUPTED = "it was interrupted"
    NOT_FINITE = "the score of a replicate is not finite"


@dataclass(frozen=True)
class Trajectory:
    """The T logged states of R replicates.

    Attributes
    ----------
    step : array of int, (T,)
        Number of updates made before each logged state. The first entry is 0.
    score : array, (T, R)
        Score of each replicate. A replicate that has reached the target keeps its score.
    captured_variance : array, (T, R, K)
        The captured variance, in [0, 1], of each PC of the recording with nonzero variance. The PCs are in
        order of descending variance.
    Y : array, (R, samples, units), or None
        The synthetic datasets at the end; None if they were not kept.
    variance_ratio : array, (K,)
        Share of each PC in the variance of the recording. The shares sum to 1.
    stop_reason : StopReason or str
        Why the run stopped. For a failed run it is the message of the error.
    sign : int
        1 for a similarity, -1 for a distance.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 4)) * [4, 3, 2, 1]
    >>> result = simopt.optimize(X, max_steps=3)
    >>> isinstance(result, simopt.Trajectory), result.captured_variance.shape
    (True, (4, 1, 4))
    """

    step: np.ndarray
    score: FloatArray
    captured_variance: FloatArray
    Y: FloatArray | None
    variance_ratio: FloatArray
    stop_reason: StopReason | str
    sign: int = 1

    def half_capture(self) -> FloatArray:
        """Return the score at which Y first captures half of each PC, (R, K); see :func:`half_capture`."""
        return half_capture(self.score, self.captured_variance)

    def steps_to(self, score: float) -> FloatArray:
        """Return the first logged step at which each replicate reached a score, (R,), or NaN for never."""
        return steps_to(self.step, self.score, score, self.sign)


def half_capture(score: FloatArray, captured: FloatArray) -> FloatArray:
    """Return the half captures of a run: the score at which Y first captures half of each PC, (R, K).

    Half of a PC is captured when its captured variance reaches the midpoint between its value at the first
    state and 1. The score at this moment is interpolated linearly between logged states. If Y never captures
    half of a PC, its half capture is NaN.

    Parameters
    ----------
    score : array, (T, R)
        Scores of R replicates at T logged states.
    captured : array, (T, R, K)
        Captured variance of K PCs at these states.

    References
    ----------
    Cloos et al. 2024, arXiv 2407.07059, fig. 5.
    """
    return first_passage(score, captured, (captured[0] + 1) / 2)


def first_passage(score: FloatArray, values: FloatArray, level: FloatArray) -> FloatArray:
    """Return the score at which each value first reaches its level, (R, K), or NaN for never.

    The score is interpolated linearly between logged states.

    Parameters
    ----------
    score : array, (T, R)
        Scores of R replicates at T logged states.
    values : array, (T, R, K)
        K values of each replicate at these states, for instance captured variances.
    level : array, (R, K)
        The level of each value.
    """
    reached = values >= level  # (T, R, K)
    first = reached.argmax(axis=0)  # (R, K); 0 also where the level is never reached, see below
    before = np.maximum(first - 1, 0)
    replicate, column = np.indices(first.shape)
    low, high = values[before, replicate, column], values[first, replicate, column]
    # low == high only if the level is reached at the first state (the passage is at its score) or never
    # (NaN).
    fraction = np.divide(level - low, high - low, out=np.zeros_like(level), where=high > low)
    at_low, at_high = score[before, replicate], score[first, replicate]
    passage: FloatArray = np.where(reached.any(axis=0), at_low + fraction * (at_high - at_low), np.nan)
    return passage


def steps_to(step: np.ndarray, score: FloatArray, target: float, sign: int = 1) -> FloatArray:
    """Return the first logged step at which each replicate reaches a target, (R,), or NaN for never.

    Parameters
    ----------
    step : array of int, (T,)
        Number of updates made before each logged state.
    score : array, (T, R)
        Scores of R replicates at T logged states.
    target : float
    sign : int
        1 for a similarity, whose score must be at least the target; -1 for a distance, whose score must be at
        most the target.
    """
    reached = sign * score >= sign * target
    return np.where(reached.any(axis=0), step[reached.argmax(axis=0)].astype(np.float64), np.nan)
