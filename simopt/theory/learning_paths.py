"""Compute the paths of gradient flow, which solve the equations of :mod:`simopt.theory.learning`.

The argument ``ratio`` (K,) holds the explained variance ratios p_i = lambda_i / sum lambda of the PCs. They
are enough, since CKA, NBS and R2 do not depend on the scale of X.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, exprel, logit

from simopt.errors import InputError
from simopt.typing import FloatArray

# Largest change of any PC's captured variance between two points of a path. Half captures then differ by 2e-5
# from those at steps of 0.0005, and by 1e-4 at steps of 0.02 (CKA, 30 PCs, lambda = k^-1.5).
_LARGEST_CHANGE = 0.01

# Step of the clock, times lambda of the last PC, at which the path is at rest: the target is out of reach.
_LAST_STEP = 1e3

# Points of a ray, evenly spaced in the angle of the score. Half captures change by 2e-4 with twice as many,
# by 5e-4 with half as many (same spectrum).
_RAY_POINTS = 48


def captured_variance(log_gain: FloatArray, samples: int, units: int) -> FloatArray:
    """Return the expected captured variance of each PC, (K,), if Y has the column space of exp(a K_x) Y0.

    The captured variance is the diagonal of the projector on Y in the basis of the PCs,

        d_i k / (1 + d_i k),   d_i = exp(2 a p_i) for PC i, d = 1 for directions outside of the span of X.

    The number k is such that the sum over all n - 1 directions equals the trace of the projector, which is
    the number of units. This is the limit for many directions, where (Y'Y)^-1 is the same for all of them.

    Parameters
    ----------
    log_gain : array, (K,)
        The logarithms of d_i.
    samples, units : int
        The shape of Y.
    """
    # In logarithms, as d overflows: expit(log d + log k) = d k / (1 + d k). log k is ``start`` if all d = 1.
    outside, start = samples - 1 - len(log_gain), logit(units / (samples - 1))

    def excess(log_k: float) -> float:
        return float(expit(log_gain + log_k).sum() + outside * expit(log_k)) - units

    # With larger d everywhere k must be smaller, by a factor of the largest d at most.
    log_k = brentq(excess, start - log_gain.max() - 1e-9, start + 1e-9, xtol=1e-12)
    captured: FloatArray = expit(log_gain + log_k)
    return captured


def along_clock(
    ratio: FloatArray, samples: int, units: int, advance: Callable[[float, FloatArray], float], end: float
) -> tuple[FloatArray, FloatArray]:
    """Return the path exp(a K_x) Y0 until it reaches a score, in small steps of captured variance.

    Parameters
    ----------
    ratio : array, (K,)
        Explained variance ratios.
    samples, units : int
        The shape of Y.
    advance : callable
        Takes the length of a step of the time a and the captured variance after it, and returns the score.
    end : float
        The score at which the path ends.

    Returns
    -------
    score : array, (T,)
        Score at each point of the path.
    captured : array, (T, K)
        Captured variance of each PC at each point.
    """
    captured = [captured_variance(0 * ratio, samples, units)]
    score = [advance(0.0, captured[0])]
    # The first step multiplies the strongest PC by exp(0.02). A step that passes the test below makes
    # the next one longer by a quarter; one that does not is halved. advance sees steps that pass only.
    clock, step = 0.0, 0.02 / ratio.max()
    while score[-1] < end and step < _LAST_STEP / ratio.min():
        new = captured_variance(2 * (clock + step) * ratio, samples, units)
        if np.abs(new - captured[-1]).max() > _LARGEST_CHANGE:
            step /= 2
            continue
        score.append(advance(step, new))
        captured.append(new)
        clock, step = clock + step, 1.25 * step
    if len(score) > 1 and score[-1] > end:
        # The last step went past the end: interpolate between the last two points.
        share = (end - score[-2]) / (score[-1] - score[-2])
        score[-1], captured[-1] = end, captured[-2] + share * (captured[-1] - captured[-2])
    return np.array(score), np.stack(captured)


class KernelSums:
    """The sums <K_x, K_y> and ||K_y||^2 along the flow of CKA, in the limit of many samples and units.

    Let E = diag(e_i), Q = diag(q_i), R = (I + 2 Y0'QY0)^-1, x_i = e_i^2 tr R and r_i = q_i / e_i^2. Direction
    i contributes to tr K_y

        w_i = x_i / (1 + 2 r_i x_i),   where tr R solves tr R + sum 2 r_i w_i = units.

    This equation is tr R + tr (2 Y0'QY0 R) = tr I. Then <K_x, K_y> = sum lambda_i w_i. If every q_i becomes
    q_i + h e_i^2 / 2, d/dh K_y = -K_y^2, so that ||K_y||^2 = -d/dh tr K_y at h = 0.

    Parameters
    ----------
    ratio : array, (K,)
        Explained variance ratios. In the formulas they are lambda, for a total variance of 1.
    samples, units : int
        The shape of Y.
    """

    def __init__(self, ratio: FloatArray, samples: int, units: int) -> None:
        # The last entry stands for all n - 1 - K directions outside of X, which behave alike.
        self.ratio, self.units = np.append(ratio, 0.0), units
        self.multiplicity = np.append(np.ones(len(ratio)), samples - 1.0 - len(ratio))
        self.x_norm = float(np.linalg.norm(ratio))  # ||K_x||_F
        self.clock = 0.0
        self.r: FloatArray = np.zeros(len(self.ratio))
        self.cross, self.power = self._sums(self.clock, self.r)

    def advance(self, step: float, _: FloatArray) -> float:
        """Take a step of dr/da = b - 2 lambda r, b = <K_x, K_y> / ||K_y||^2, and return the score after it.

        The second argument, the captured variance, is not used. The step uses Heun's method for b and the
        exact solution for constant b, so that its error is of third order.
        """
        if step > 0:
            before = self.cross / self.power
            cross, power = self._sums(self.clock + step, self._stepped(step, before))
            self.r = self._stepped(step, (before + cross / power) / 2)
            self.clock += step
            self.cross, self.power = self._sums(self.clock, self.r)
        return float(self.cross / (self.x_norm * np.sqrt(self.power)))

    def _stepped(self, step: float, b: float) -> FloatArray:
        # r exp(-rate) + b step (1 - exp(-rate)) / rate, whose last factor is 1 at rate 0, outside of X.
        rate = 2 * self.ratio * step
        stepped: FloatArray = self.r * np.exp(-rate) + b * step * exprel(-rate)
        return stepped

    def _sums(self, clock: float, r: FloatArray) -> tuple[float, float]:
        # In logarithms, as e_i^2 overflows: with trace = tr R and double_i = 2 r_i e_i^2, 2 r_i w_i is
        # trace double_i / (1 + trace double_i).
        log_gain = 2 * clock * self.ratio
        log_double = log_gain + np.log(2 * r, out=np.full_like(r, -np.inf), where=r > 0)

        def excess(log_trace: float) -> float:
            inside = self.multiplicity @ expit(log_trace + log_double)
            return float(np.exp(log_trace) + inside) - self.units

        # tr R is at most units. At the lower end exp(log_trace) and the sum are each at most half of units.
        high = np.log(self.units)
        low = high - np.log(2 * self.multiplicity.sum()) - max(0.0, float(log_double.max()))
        log_trace = brentq(excess, low, high + 1e-9, xtol=1e-12)
        filled, free = expit(log_trace + log_double), expit(-log_trace - log_double)
        w = filled / (2 * r) if r.any() else np.full_like(r, np.exp(log_trace))
        # -d/dh tr K_y: w^2 at constant tr R, and through the change of tr R the rest.
        change, power = float(self.multiplicity @ (w * free)), float(self.multiplicity @ w**2)
        rest = float(np.exp(log_trace) + self.multiplicity @ (filled * free))
        power += change**2 / rest if rest > 0 else 0.0
        return float((self.multiplicity * self.ratio) @ w), power


def along_ray(
    ratio: FloatArray, samples: int, units: int, end: float, seeds: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Return the ray Y0 + tau F P of NBS until it reaches a score, averaged over normal Y0.

    The score is the cosine of an angle that shrinks with tau. With c = ||F'Y0||_*, ||F|| = 1 and F'Y0 = H P,

        nbs = (c + tau) / sqrt(||Y0||^2 + 2 tau c + tau^2),   tan(angle) = sqrt(||Y0||^2 - c^2) / (c + tau).

    Write the samples in the basis of the PCs and the units in the basis of P. The K rows of Y along the PCs
    are M = Z P' + tau S and units - K more columns. Here Z are these rows of Y0, and S = diag(sqrt(p_i)). All
    other rows are normal numbers R. After the units - K columns are regressed out of R, W = R'R is Wishart
    with n - 1 - units degrees of freedom. The captured variance is the diagonal of M (M'M + W)^-1 M'.

    Parameters
    ----------
    ratio : array, (K,)
        Explained variance ratios p_i.
    samples, units : int
        The shape of Y.
    end : float
        The score at which the path ends.
    seeds : sequence of int
        Each seed gives one Y0.

    Returns
    -------
    score : array, (T,)
        Score at each point of the ray.
    captured : array, (T, K)
        Captured variance of each PC at each point.

    Raises
    ------
    InputError
        There are fewer units than PCs.
    """
    count, root = len(ratio), np.sqrt(ratio)
    if units < count:
        raise InputError(f"Y has {units} units for {count} PCs; for NBS give at least as many units as PCs.")
    draws, nuclear = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        Z = rng.standard_normal((count, units))
        # The SVD of F'Y0, whose polar factor P is left @ right.
        left, values, right = np.linalg.svd(root[:, None] * Z, full_matrices=False)
        draws.append((Z @ (left @ right).T, _wishart(rng, count, samples - 1 - units)))
        nuclear.append(values.sum())
    # c, averaged over draws, and the expected ||Y0||^2 of centered normal numbers.
    along, total = float(np.mean(nuclear)), units * (samples - 1.0)
    first = np.arccos(along / np.sqrt(total))
    angles = np.linspace(first, min(first, np.arccos(end)), _RAY_POINTS)
    captured = np.zeros((_RAY_POINTS, count))
    for row, tau in zip(captured, np.sqrt(total - along**2) / np.tan(angles) - along, strict=True):
        for start, W in draws:
            M = start + tau * np.diag(root)
            # The diagonal of M A^-1 M' with A = L L' is the sum of squares of each column of L^-1 M'.
            triangle = np.linalg.cholesky(M.T @ M + W)
            row += np.square(np.linalg.solve(triangle, M.T)).sum(axis=0) / len(draws)
    return np.cos(angles), captured


def _wishart(rng: np.random.Generator, size: int, degrees: int) -> FloatArray:
    """Return Z Z' of standard normal Z (size, degrees), drawn from at most size^2 numbers.

    By Bartlett's decomposition Z Z' has the distribution of T T', with T lower triangular: normal numbers
    below the diagonal, and on it the roots of chi-square numbers with degrees, degrees - 1 ... degrees of
    freedom.
    """
    Z = rng.standard_normal((size, min(size, degrees)))
    if degrees >= size:
        Z = np.tril(Z, -1) + np.diag(np.sqrt(rng.chisquare(degrees - np.arange(size))))
    W: FloatArray = Z @ Z.T
    return W
