"""Y laid over X, so that it can be looked at: the measures leave open where its axes point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures.moments import Reference
from simopt.optimization import State, captured_variance
from simopt.typing import FloatArray, LabelArray

_KEPT_PER_FRAME = 2
"""States that are kept for each frame, so that a run which ends halfway to its target still fills them."""


def aligned(X: FloatArray, Y: FloatArray) -> FloatArray:
    """Return Y scaled to the size of X, turned and moved onto it by orthogonal Procrustes, (n, p).

    s Y Q + mean(X), with the centred Y'X = U S V' (reduced), Q = U V' and s = ||X||_F / ||Y||_F: of all
    orthogonal Q the one of least ||X - s Y Q||_F, the narrower of the two being padded with zeros
    (Schoenemann 1966, Psychometrika 31). Rotations, reflections, scale and mean of Y change nothing. The
    least-squares scale would shrink a noisy Y to a point.

    Parameters
    ----------
    X : array, (n, p)
    Y : array, (n, q)

    Raises
    ------
    InputError
        Other numbers of samples, values that are not finite, or a Y that does not vary.
    """
    X, Y = checks.responses(X, "X"), checks.responses(Y, "Y")
    checks.same_samples(X.shape, Y.shape)
    checks.varying(Y, "Y")
    dtype = np.promote_types(X.dtype, Y.dtype)
    mean = X.mean(axis=0, dtype=np.float64)
    towards = (X - mean).astype(dtype)
    centred = (Y - Y.mean(axis=0, dtype=np.float64)).astype(dtype)
    centred *= np.linalg.norm(towards) / np.linalg.norm(centred)
    turn = linalg.polar(torch.from_numpy(centred.T @ towards)).numpy()
    onto: FloatArray = centred @ turn + mean.astype(dtype)
    return onto


@dataclass(frozen=True)
class Snapshot:
    """One state of a run, as far as it is drawn.

    Attributes
    ----------
    step : int
    score : float
    points : array of float32, (m, 2)
        Y aligned with X, in the first two PCs of X; X has unit total variance there.
    captured : array, (K,)
        Captured variance of each PC.
    """

    step: int
    score: float
    points: FloatArray
    captured: FloatArray


class Snapshots:
    """An observer that keeps, of the first replicate, no more states than are needed for so many frames.

    Parameters
    ----------
    reference : Reference
        Of X, with all samples.
    rows : array of int, (m,)
        The samples that are drawn; all of them are aligned.
    frames : int
    target : float
        The score at which the run stops.
    sign : int
        -1 where the measure is a distance.
    synthetic : callable
        Gives Y (R, n, q) with all samples from that of a state.

    Raises
    ------
    InputError
        X has a single PC.
    """

    def __init__(
        self,
        reference: Reference,
        rows: LabelArray,
        *,
        frames: int,
        target: float,
        sign: int,
        synthetic: Callable[[Tensor], Tensor],
    ) -> None:
        if reference.scores.shape[1] < 2:
            raise InputError("X has a single principal component; a picture needs two.")
        self.kept: list[Snapshot] = []
        self._scores = reference.scores.cpu().numpy()
        self._rows, self._frames, self._target, self._sign = rows, frames, target, sign
        self._synthetic = synthetic

    def __call__(self, state: State) -> None:
        """Keep the state if it is the first, the last, or far enough beyond the last one kept."""
        score = float(state.score[0])
        if self.kept and not state.last:
            gap = abs(self._target - self.kept[0].score) / (_KEPT_PER_FRAME * self._frames)
            if self._sign * (score - self.kept[-1].score) < gap:
                return
        Y = self._synthetic(state.moments.Y)[0].cpu().numpy()
        points = aligned(self._scores, Y)[self._rows, :2].astype(np.float32)
        captured = captured_variance(state.moments)[0].cpu().numpy()
        self.kept.append(Snapshot(state.step, score, points, captured))

    def evenly(self) -> list[Snapshot]:
        """Return a state for each frame: those nearest to scores evenly spaced from the first to the last.

        Where the score leaps over several of them in one step, a state stands for several frames.
        """
        scores = np.array([shot.score for shot in self.kept])
        levels = np.linspace(scores[0], scores[-1], self._frames)
        nearest = np.abs(scores[:, None] - levels).argmin(axis=0)
        nearest[-1] = len(scores) - 1
        return [self.kept[index] for index in nearest]
