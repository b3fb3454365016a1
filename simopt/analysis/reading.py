"""Reading a score off a run: what a dataset that was optimized up to it has of the recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simopt.optimization.trajectory import steps_to
from simopt.store.reader import Run
from simopt.typing import FloatArray


@dataclass(frozen=True)
class Reading:
    """A run at one score, mean over replicates.

    Attributes
    ----------
    score : float
    start, end : float
        Scores of the noise that the run started from, and of its last state.
    steps : float
        Updates until the score was reached, the median; NaN where a replicate never reached it.
    captured : array, (K,)
        Captured variance of each PC of the recording at that score.
    half : array of bool, (K,)
        Which PCs were half captured by then, in most replicates.
    decoding : dict of float
        Accuracy of each task variable at that score.
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
        """Whether every replicate came to this score; one that did not is read at its end."""
        return not np.isnan(self.steps)

    @property
    def below_noise(self) -> bool:
        """Whether noise scores as much already."""
        return self.steps == 0


def read_at(run: Run, score: float, sign: int = 1) -> Reading:
    """Read a run at a score: where each replicate first reached it, between logged states linearly.

    Parameters
    ----------
    run : Run
        With at least one logged state.
    score : float
    sign : int
        -1 where the measure is a distance.
    """
    before, after, weight = _place(run.score, score, sign)
    replicate = np.arange(run.score.shape[1])
    low, high = run.captured_variance[before, replicate], run.captured_variance[after, replicate]
    captured = low + weight[:, None] * (high - low)  # (R, K)
    midpoint = (run.captured_variance[0] + 1) / 2
    passed = np.maximum.accumulate(run.captured_variance >= midpoint, axis=0)[before, replicate]
    half = (passed | (captured >= midpoint)).mean(axis=0) > 0.5
    steps = steps_to(run.step, run.score, score, sign)
    decoding = {}
    if len(run.decoding_step):
        first, second, share = _place(run.decoding_score, score, sign)
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


def _place(scores: FloatArray, score: float, sign: int) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """Return the states before and after the first passage, (R,), and the weight of the later one."""
    reached = sign * scores >= sign * score
    last, ever = len(scores) - 1, reached.any(axis=0)
    after = np.where(ever, reached.argmax(axis=0), last)
    before = np.where(ever, np.maximum(after - 1, 0), last)
    replicate = np.arange(scores.shape[1])
    low, high = scores[before, replicate], scores[after, replicate]
    weight = np.divide(score - low, high - low, out=np.zeros_like(low), where=high != low)
    return before, after, weight


def median_half_capture(run: Run) -> FloatArray:
    """Return the half captures of a finished run, (K,): medians over replicates, NaN for never."""
    half = np.where(np.isnan(run.half_capture), np.inf, run.half_capture)  # type: ignore[arg-type]
    middle: FloatArray = np.median(half, axis=0)
    return np.where(np.isinf(middle), np.nan, middle)
