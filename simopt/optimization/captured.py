"""Which principal components of the recording a synthetic dataset has captured."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simopt import linalg
from simopt.measures.moments import Moments, Reference
from simopt.typing import FloatArray


def captured_variance(moments: Moments) -> Tensor:
    """Return the captured variance of every PC of X, (..., K).

    R2_i = 1 - ||x_i - Y b_i||^2 / ||x_i||^2, x_i the i-th principal-component scores of X and b_i their
    least-squares regression on the centred Y; in [0, 1] (arXiv 2407.07059, sec. 4.1). It is 1 for every PC
    when Y has as many units as there are samples, less one.
    """
    known = moments.detached()
    reference, units = known.reference, known.Y.shape[-1]
    if units < reference.samples - 1:
        explained, condition = known.explained
        if linalg.trustworthy(condition):
            return (explained / reference.variance_ratio).clamp(0, 1)
        if linalg.full_rank(condition):
            triangle = torch.linalg.qr(known.centred, mode="r")[1]
            # Q'F of Y = QR, without Q: it costs as much again as R.
            along = torch.linalg.solve_triangular(triangle.mT, known.cross.mT, upper=False)
            return _share(along, reference)
    return _share(linalg.column_space(known.centred).mT @ reference.scores, reference)


def _share(along: Tensor, reference: Reference) -> Tensor:
    """Return ||b_i||^2 over the variance of PC i, b_i its coordinates in an orthonormal basis of Y."""
    return (along.square().sum(dim=-2) / reference.variance_ratio).clamp(0, 1)


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
