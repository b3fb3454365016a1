"""The narrowest and the broadest spectrum that the signal of a noisy average may have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simopt.analysis.ceilings.noise import Noise
from simopt.analysis.nulls import stream
from simopt.typing import FloatArray

TAIL = 1e-6
"""Share of the signal in a direction whose variance is too small to be seen or to matter to any kernel."""
_NOISES = 2
"""Number of random draws of noise whose largest singular values are averaged."""


@dataclass(frozen=True)
class Signal:
    """The directions and the debiased spectrum of the signal in an average A (n, units) of mean 0.

    Attributes
    ----------
    left : array, (T, C, r)
        Orthonormal directions of samples.
    right : array, (r, units)
        Orthonormal directions of units.
    visible : array, (r,)
        Debiased squared singular values of the signal in descending order; 0 if the noise hides them.
    limit : float
        The largest squared singular value that the noise may hide.
    total : float
        ||A||^2.
    size : float
        Estimate of the sum of all squared singular values of the signal, ||S||^2.
    error : float
        The standard error of ``size``, given A.
    noise : float
        Estimate of the sum of squares of the noise in A.
    """

    left: FloatArray
    right: FloatArray
    visible: FloatArray
    limit: float
    total: float
    size: float
    error: float
    noise: float

    @classmethod
    def of(cls, average: FloatArray, noise: Noise) -> Signal:
        """Debias the spectrum of an average (T, C, units).

        With l an eigenvalue of A'A - E N'N, t1 = tr P and n t2 = n tr P^2, a squared singular value x of the
        signal appears at l = x + t1 + n t2 / x, if x > sqrt(n t2). If noise alone has larger values than
        t1 + 2 sqrt(n t2), these take the place of n t2.

        References
        ----------
        Benaych-Georges & Nadakuditi 2012, The singular values and vectors of low rank perturbations of large
        rectangular random matrices, doi:10.1016/j.jmva.2012.04.019.
        """
        T, C, _ = average.shape
        left, values, axes, shifted, turn = _less_noise(average, noise)
        # The largest value of noise alone: it is above trace + 2 sqrt(n t2) if conditions have unequal noise.
        limit, rng = float(np.sqrt(noise.chaos)), stream(0, 4)
        if noise.trace > 0:
            drawn = [noise.draw(rng) for _ in range(_NOISES)]
            edges = [_less_noise(N - N.mean(axis=(0, 1)), noise)[3][0] for N in drawn]
            limit = max(limit, (float(np.mean(edges)) - noise.trace) / 2)
        shifted = shifted - noise.trace
        seen = shifted > 2 * limit
        root = np.sqrt(np.maximum(shifted**2 - 4 * limit**2, 0))
        visible = np.where(seen, (shifted + root) / 2, 0.0)
        # The columns of A V are orthogonal only if the noise is equal in all units.
        sides, _ = np.linalg.qr((left * values) @ turn)
        total = float(np.square(values).sum())
        return cls(
            left=sides.reshape(T, C, -1),
            right=turn.T @ axes,
            visible=visible,
            limit=limit,
            total=total,
            size=total - noise.power,
            error=noise.error,
            noise=noise.power,
        )

    @property
    def share(self) -> float:
        """The share of the signal in the sum of squares of the average."""
        return self.size / self.total

    @property
    def certain(self) -> float:
        """log(||A||^2 / noise), in its standard errors: 0 without a signal.

        The logarithm of a ratio of two sums of squares is nearly normal. Their difference is not: for few
        samples of few units that are noise alone, it exceeds 4 standard errors in 1 of 20 recordings.
        """
        if self.error == 0:
            return math.inf
        return math.log(self.total / self.noise) * self.noise / self.error

    @property
    def caution(self) -> float:
        """The factor by which the lower side of intervals is longer: 1 + 2 / max(:attr:`certain`, 1).

        If recordings hold little signal, only those whose signal is overestimated get a ceiling.
        """
        return 1 + 2 / max(self.certain, 1.0)

    def spectrum(self, *, broad: bool, errors: float = 0.0) -> FloatArray:
        """Return squared singular values of the signal, (r,).

        The sum of the visible values is less than ``size``. The difference is given to as few hidden values
        as may have it or, if ``broad``, equally to all values.

        Parameters
        ----------
        broad : bool
        errors : float
            Number of standard errors that are added to ``size``.
        """
        more = -errors * self.error
        if more > 0:  # the logarithm of the noise is nearly normal (see ``certain``)
            more = self.noise * math.expm1(more / self.noise)
        size = max(self.size - more, TAIL * self.total)
        filled = self.visible.copy()
        seen = int((filled > 0).sum())
        hidden, lacking = len(filled) - seen, size - float(filled.sum())
        if hidden and broad:
            # Least squares and canonical correlations count directions, however little variance they have.
            filled[seen:] = max(lacking / hidden, TAIL * size)
        elif hidden and lacking > 0:
            count = min(hidden, int(np.ceil(lacking / self.limit)) if self.limit > 0 else 1)
            filled[seen : seen + count] = lacking / count
        scaled: FloatArray = filled * (size / filled.sum())
        return scaled

    def responses(self, spectrum: FloatArray) -> FloatArray:
        """Return the signal (T, C, units) that has a spectrum (r,) and the estimated directions."""
        made: FloatArray = (self.left * np.sqrt(spectrum)) @ self.right
        return made


def _less_noise(
    average: FloatArray, noise: Noise
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Decompose A = U S V' (n, units), and V'(A'A - E N'N)V = Q diag(l) Q'.

    Returns U, the diagonal of S, V', l in descending order, and Q.
    """
    A = average.reshape(-1, average.shape[-1])
    left, values, axes = np.linalg.svd(A, full_matrices=False)
    keep = values > np.finfo(np.float64).eps * max(A.shape) * values[0]
    left, values, axes = left[:, keep], values[keep], axes[keep]
    hidden = noise.factor @ axes.T
    scale = noise.power / noise.trace if noise.trace > 0 else 0.0
    shifted, turn = np.linalg.eigh(np.diag(values**2) - scale * (hidden.T @ hidden))
    return left, values, axes, shifted[::-1], turn[:, ::-1]


def limited(spectrum: FloatArray, squares: float) -> FloatArray:
    """Return a spectrum whose sum of squares is at most ``squares``; a larger one is shrunk towards its mean.

    Noise spreads the spectrum of a signal of many PCs, which are then debiased as if they were few.
    """
    mean, found = float(spectrum.mean()), float(np.square(spectrum).sum())
    least = len(spectrum) * mean**2
    if found <= max(squares, least):
        return spectrum
    evened: FloatArray = mean + np.sqrt(max(squares - least, 0) / (found - least)) * (spectrum - mean)
    return evened
