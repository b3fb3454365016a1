"""The noise in the average of a recording: its covariances, its size, and random draws of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simopt.analysis.ceilings.recording import Recording
from simopt.typing import FloatArray


@dataclass(frozen=True)
class Noise:
    """Noise N (T, C, units) in an average A: independent between conditions, with separable covariances.

    cov(N_tcu, N_scv) = weights_c R_ts P_uv for times t, s and units u, v; tr R = T, and the mean weight is 1.

    Attributes
    ----------
    factor : array, (k, units)
        F, where F'F is the estimate of P.
    trace, squares : float
        Estimates of tr P and of tr P^2. The second is without the bias of the estimated P.
    mixing : float
        Drawn noise has the covariance mixing F'F + (1 - mixing) (tr P / units) I between units. The squares
        of its entries sum to ``squares``.
    times : array, (T, T)
        R, the covariance over times.
    weights : array, (C,)
        Relative power of the noise of each condition, shrunk towards 1 by the share of sampling error.
    grams : array, (C, T, T)
        The covariance of each condition over times, summed over units. It is not shrunk.
    spurious : float
        The share of sampling error in sum_c ||grams_c - mean of grams||^2.
    excess : float
        k >= 1: the mean square of the relative powers, without sampling error.
    spread : float
        The variance of the noise's power less its estimate, divided by that of its power: m / (m - 1) if all
        conditions have m repeats.
    """

    factor: FloatArray
    trace: float
    squares: float
    mixing: float
    times: FloatArray
    weights: FloatArray
    grams: FloatArray
    spurious: float
    excess: float
    spread: float

    @classmethod
    def of(cls, recording: Recording) -> Noise:
        """Estimate the noise of a recording.

        A sample covariance P with f degrees of freedom has E tr P^2 = (1 + 1/f) tr(E P)^2 + (tr E P)^2 / f.

        References
        ----------
        Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices,
        doi:10.1016/S0047-259X(03)00096-4.
        """
        T, C, units = recording.average.shape
        grams = recording.grams()  # (C, T, T)
        power = np.trace(grams, axis1=1, axis2=2)
        if power.sum() == 0:  # repeats that are alike have no noise
            nothing = np.zeros((1, units))
            return cls(nothing, 0.0, 0.0, 0.0, np.eye(T), np.ones(C), grams, 1.0, 1.0, 1.0)
        counts, freedoms = recording.counts, recording.counts - 1
        # The part of each condition in the noise of the average, if all trials have equal noise.
        part = 1 / counts / (1 / counts).mean()
        between = 0.0
        scale: FloatArray = np.ones(C)
        weights: FloatArray = scale
        # With equal counts the scale stays 1, and one pass is enough. Otherwise, and in the loop within, two
        # passes come within 1e-4 of the limit.
        for _ in range(1 if np.ptp(counts) == 0 else 3):
            total = (scale[:, None, None] * grams).sum(axis=0)
            size = float(np.trace(total))
            trace, times = size / (T * C), total * (T / size)
            alike = float(np.square(times).sum()) / T**2  # 1 / T for independent times, 1 for equal times
            scaled = recording.deviations * np.sqrt(scale)[recording.trials.condition][:, None]
            rows: FloatArray = scaled.reshape(-1, units) / np.sqrt(T * C)
            factor = rows if len(rows) < units else _root(rows.T @ rows)
            sampled = float(np.square(factor @ factor.T).sum())  # tr P^2 = ||F F'||^2
            effective = (scale * part).sum() ** 2 / (np.square(scale * part) / freedoms).sum()
            effective *= recording.freedom / freedoms.sum()
            for _ in range(3):  # the squares enter the differences between conditions, and these the squares
                freedom = max(effective / (alike * (1 + between)), 2.0)
                squares = freedom**2 / ((freedom - 1) * (freedom + 2)) * (sampled - trace**2 / freedom)
                # Between those of noise that is equal in all units, and of noise in one direction.
                squares = float(np.clip(squares, trace**2 / units, trace**2))
                # The relative variance of a sum of squares of one degree of freedom.
                variance = 2 * squares / trace**2 * alike
                next_scale, weights, between = _pooled(power, counts, variance)
            used, scale = scale, next_scale
        even = trace**2 / units
        uneven = sampled > even * (1 + 1e-9)
        observed = float(np.square(power / power.mean() - 1).mean())
        error = variance * float((np.square(part) / freedoms).mean()) * (1 + between)
        return cls(
            factor=factor,
            trace=trace,
            squares=squares,
            mixing=float(np.sqrt((squares - even) / (sampled - even))) if uneven else 0.0,
            times=times,
            weights=weights,
            grams=grams,
            spurious=min(1.0, error / observed) if observed > 0 else 1.0,
            excess=(1 + between) * float(np.square(part).mean()),
            spread=1 + float((np.square(used * part) / freedoms).sum() / np.square(part).sum()),
        )

    @property
    def power(self) -> float:
        """The expected sum of squares of the centered noise."""
        T, C = len(self.times), len(self.weights)
        return self.trace * (T * C - float(self.times.sum()) / T)

    @property
    def chaos(self) -> float:
        """The squared size of the fluctuations of N'N: n tr P^2 for n independent samples."""
        T, C = len(self.times), len(self.weights)
        return (C - 1 / T) * float(np.square(self.times).sum()) * self.squares

    @property
    def error(self) -> float:
        """The standard error of the estimated sum of squares of the noise in A."""
        return float(np.sqrt(2 * self.chaos * self.excess * self.spread))

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Return random noise of the average, (T, C, units)."""
        T, C = len(self.times), len(self.weights)
        drawn = self._colored(rng, T * C).reshape(T, C, -1)
        if T > 1:
            drawn = np.einsum("ts,scu->tcu", _root(self.times), drawn)
        return drawn * np.sqrt(self.weights)[:, None]

    def along(self, directions: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return U'N (r, units) for random noise N and orthonormal directions U (T, C, r)."""
        T, C, r = directions.shape
        weighted = np.tensordot(self.times, directions, 1) if T > 1 else directions
        flat = (weighted * self.weights[:, None]).reshape(T * C, r)
        drawn: FloatArray = _root(directions.reshape(T * C, r).T @ flat) @ self._colored(rng, r)
        return drawn

    def _colored(self, rng: np.random.Generator, rows: int) -> FloatArray:
        """Return independent rows of the covariance over units, (rows, units)."""
        units = self.factor.shape[1]
        even = np.sqrt((1 - self.mixing) * self.trace / units)
        colored: FloatArray = even * rng.standard_normal((rows, units))
        if self.mixing > 0:
            colored += np.sqrt(self.mixing) * (rng.standard_normal((rows, len(self.factor))) @ self.factor)
        return colored


def _pooled(power: FloatArray, counts: FloatArray, variance: float) -> tuple[FloatArray, FloatArray, float]:
    """Estimate the noise of each condition from its own trials and from those of all conditions.

    The power of single trials is shrunk towards its mean over conditions, by the share of its variance that
    is sampling error: few repeats tell little of their noise, but have most of the noise of the average.

    Parameters
    ----------
    power : array, (C,)
        The power of the noise in the average of each condition.
    counts : array, (C,)
    variance : float
        The relative variance of a sum of squares of one degree of freedom.

    Returns
    -------
    scale : array, (C,)
        Factors of the covariances of conditions, whose sum is then that of the shrunk ones. They are 1 if all
        conditions have as many repeats.
    weights : array, (C,)
        The shrunk power of the noise in the average, with mean 1.
    between : float
        The variance of the power of single trials between conditions, without sampling error, in squares of
        its mean.
    """
    freedoms = counts - 1
    of_trial = power * counts
    mean = float((freedoms * of_trial).sum() / freedoms.sum())
    observed = float((freedoms * np.square(of_trial / mean - 1)).sum() / freedoms.sum())
    sampling = variance * len(counts) / freedoms.sum()
    between = max(0.0, (observed - sampling) / (1 + sampling))
    error = variance * (1 + between) / freedoms
    shared = error / (error + between)
    weights = ((1 - shared) * of_trial + shared * mean) / counts
    scale = (1 - shared) + counts * freedoms / freedoms.sum() * (shared / counts).sum()
    return scale, weights / weights.mean(), between


def _root(matrix: FloatArray) -> FloatArray:
    """Return the symmetric square root of a symmetric matrix that is positive semidefinite up to rounding."""
    values, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    rooted: FloatArray = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    return rooted
