"""Everything logged along one run, and what is read off it. Imports no torch."""

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
    """The logged states of R replicates over T steps.

    Attributes
    ----------
    step : array of int, (T,)
        Updates made so far; the first is 0, the start.
    score : array, (T, R)
        A replicate that reached the target keeps its score while the others go on.
    captured_variance : array, (T, R, K)
        In [0, 1], for each PC of the recording of nonzero variance, descending.
    Y : array, (R, samples, units), or None
        The synthetic datasets at the end; None where they were not kept.
    variance_ratio : array, (K,)
        The explained variance ratio of each PC of the recording.
    stop_reason : StopReason or str
        Of a failed run, what failed.
    sign : int
        -1 where the measure is a distance.

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
        """Return the score at which each PC is half captured, (R, K); NaN where it never is."""
        return half_capture(self.score, self.captured_variance)

    def steps_to(self, score: float) -> FloatArray:
        """Return the first logged step at which each replicate reached a score, (R,); NaN if never."""
        return steps_to(self.step, self.score, score, self.sign)


def half_capture(score: FloatArray, captured: FloatArray) -> FloatArray:
    """Return the score at which each PC is half captured, (R, K).

    The first score at which captured variance reaches the midpoint of its start value and 1, by linear
    interpolation between logged steps; NaN where it is never reached (arXiv 2407.07059, fig. 5).

    Parameters
    ----------
    score : array, (T, R)
    captured : array, (T, R, K)
    """
    return first_passage(score, captured, (captured[0] + 1) / 2)


def first_passage(score: FloatArray, values: FloatArray, level: FloatArray) -> FloatArray:
    """Return the score at which values first reach a level, (R, K), by linear interpolation; NaN if never.

    Parameters
    ----------
    score : array, (T, R)
    values : array, (T, R, K)
    level : array, (R, K)
    """
    reached = values >= level
    first = reached.argmax(axis=0)  # (R, K)
    before = np.maximum(first - 1, 0)
    replicate, column = np.indices(first.shape)
    low, high = values[before, replicate, column], values[first, replicate, column]
    fraction = np.divide(level - low, high - low, out=np.zeros_like(level), where=high > low)
    at_low, at_high = score[before, replicate], score[first, replicate]
    passage: FloatArray = np.where(reached.any(axis=0), at_low + fraction * (at_high - at_low), np.nan)
    return passage


def steps_to(step: np.ndarray, score: FloatArray, target: float, sign: int = 1) -> FloatArray:
    """Return the first logged step at which each replicate's score reaches ``target``, (R,); NaN if never.

    ``sign`` is -1 for a distance, which reaches it from above.
    """
    reached = sign * score >= sign * target
    return np.where(reached.any(axis=0), step[reached.argmax(axis=0)].astype(np.float64), np.nan)
