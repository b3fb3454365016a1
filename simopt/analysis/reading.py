"""A run at one score: what the optimized dataset Y captures of the recording when it reaches the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simopt.optimization.trajectory import steps_to
from simopt.store.reader import Run
from simopt.typing import FloatArray


@dataclass(frozen=True)
class Reading:
    """What Y captures at one score of a run, as the mean over replicates.

    Attributes
    ----------
    score : float
        The score.
    start, end : float
        The score of the noise at the start of the run, and the score of the last state.
    steps : float
        Number of optimizer steps until the score was reached, the median over replicates. NaN if a replicate
        never reached it.
    captured : array, (K,)
        Captured variance of each PC of the recording at this score.
    half : array of bool, (K,)
        Whether more than half of the replicates have captured half of each PC at this score or before; see
        :func:`simopt.optimization.trajectory.half_capture`.
    decoding : dict of float
        Accuracy with which each task variable is decoded from Y at this score.
    """

    score: float
    start: float
    end: float
    steps: float
    captured: FloatArray
    half: npt.NDArray[np.bool_]
    decoding: dict[str, float]

    @property
    def reached(self) -> bool:
        """Whether every replicate reached this score. A replicate that did not counts with its last state."""
        return not np.isnan(self.steps)

    @property
    def below_noise(self) -> bool:
        """Whether the noise at the start of the run is already at or beyond this score."""
        return self.steps == 0


def read_at(run: Run, score: float, sign: int = 1) -> Reading:
    """Return what Y captures in a run at the state where each replicate first reached a score.

    Values are interpolated linearly between logged states.

    Parameters
    ----------
    run : Run
        A run with at least one logged state.
    score : float
    sign : int
        1 for a similarity, -1 for a distance.
    """
    before, after, weight = _first_passage(run.score, score, sign)
    replicate = np.arange(run.score.shape[1])
    low, high = run.captured_variance[before, replicate], run.captured_variance[after, replicate]  # (R, K)
    captured = low + weight[:, None] * (high - low)  # (R, K)
    midpoint = (run.captured_variance[0] + 1) / 2
    # Half capture once reached counts, even if captured variance fell below the midpoint again.
    passed = np.maximum.accumulate(run.captured_variance >= midpoint, axis=0)[before, replicate]
    half = (passed | (captured >= midpoint)).mean(axis=0) > 0.5
    steps = steps_to(run.step, run.score, score, sign)
    decoding = {}
    if len(run.decoding_step):
        # Fewer states are decoded than logged: they have their own interpolation.
        first, second, share = _first_passage(run.decoding_score, score, sign)
        for variable, accuracy in run.decoding.items():
            left, right = accuracy[first, replicate], accuracy[second, replicate]
            decoding[variable] = float(np.mean(left + share * (right - left)))
    return Reading(
        score=score,
        start=float(run.score[0].mean()),
        end=float(run.score[-1].mean()),
        steps=float("nan") if np.isnan(steps).any() else float(np.median(steps)),
        captured=captured.mean(axis=0),
        half=half,
        decoding=decoding,
    )


def _first_passage(scores: FloatArray, score: float, sign: int) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """Return the states before and after scores (T, R) first reach a score, and the weight of the later one.

    All three have shape (R,). A replicate that never reaches the score is read at its last state.
    """
    reached = sign * scores >= sign * score
    last, ever = len(scores) - 1, reached.any(axis=0)
    after = np.where(ever, reached.argmax(axis=0), last)
    before = np.where(ever, np.maximum(after - 1, 0), last)
    replicate = np.arange(scores.shape[1])
    low, high = scores[before, replicate], scores[after, replicate]
    # Equal scores (the first state, or the last of a replicate that never arrives) leave nothing to
    # interpolate.
    weight = np.divide(score - low, high - low, out=np.zeros_like(low), where=high != low)
    return before, after, weight


def median_half_capture(run: Run) -> FloatArray:
    """Return the score at which Y first captures half of each PC in a finished run, (K,).

    It is the median over replicates. A replicate that never captures half of a PC counts as the largest
    value. If the median falls on such a replicate, it is NaN.
    """
    # Never counts as later than every score, so a PC that most replicates capture has a finite median.
    half = np.where(np.isnan(run.half_capture), np.inf, run.half_capture)  # type: ignore[arg-type]
    middle: FloatArray = np.median(half, axis=0)
    return np.where(np.isinf(middle), np.nan, middle)
