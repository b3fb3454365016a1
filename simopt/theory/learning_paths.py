"""The paths of gradient flow behind :mod:`simopt.theory.learning`, where the formulas are derived."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from simopt.errors import InputError
from simopt.typing import FloatArray

_LARGEST_CHANGE = 0.01
"""By how much captured variance of any PC may move between two points of a predicted path."""

_LAST_STEP = 1e3
"""Step of the clock, over 1 / lambda of the last PC, at which all has come to rest below the target."""

_RAY_POINTS = 48


def captured_variance(log_gain: FloatArray, samples: int, units: int) -> FloatArray:
    """Return the expected captured variance of each PC, (K,), where Y has the column space of exp(a K_x) Y0.

    d_i k / (1 + d_i k) with d_i = exp(2 a lambda_i), lambda_i the explained variance ratio, and k such that
    the sum over all n - 1 dimensions (d = 1 outside of X) is p: the diagonal of the projector on Y has trace
    p, and every direction adds d_i times the same part of the inverse of Y'Y in the limit of many of them.

    Parameters
    ----------
    log_gain : array, (K,)
        ln d.
    samples, units : int
        n and p.
    """
    outside, start = samples - 1 - len(log_gain), logit(units / (samples - 1))

    def excess(log_k: float) -> float:
        return float(expit(log_gain + log_k).sum() + outside * expit(log_k)) - units

    log_k = brentq(excess, start - log_gain.max() - 1e-9, start + 1e-9, xtol=1e-12)
    captured: FloatArray = expit(log_gain + log_k)
    return captured


def along_clock(
    ratio: FloatArray, samples: int, units: int, advance: Callable[[float, FloatArray], float], end: float
) -> tuple[FloatArray, FloatArray]:
    """Follow exp(a K_x) Y0 until a score is reached, in steps that move no captured variance far.

    ``advance`` takes a step of the clock and the captured variance after it, and returns the score.
    """
    captured = [captured_variance(0 * ratio, samples, units)]
    score = [advance(0.0, captured[0])]
    clock, step = 0.0, 0.02 / ratio.max()
    while score[-1] < end and step < _LAST_STEP / ratio.min():
        new = captured_variance(2 * (clock + step) * ratio, samples, units)
        if np.abs(new - captured[-1]).max() > _LARGEST_CHANGE:
            step /= 2
            continue
        score.append(advance(step, new))
        captured.append(new)
        clock, step = clock + step, 1.25 * step
    if len(score) > 1 and score[-1] > end:  # back to the end, on the line between the last two points
        share = (end - score[-2]) / (score[-1] - score[-2])
        score[-1], captured[-1] = end, captured[-2] + share * (captured[-1] - captured[-2])
    return np.array(score), np.stack(captured)


class KernelSums:
    """K_y along the flow of CKA, by its sums <K_x, K_y> and ||K_y||^2.

    With R = (I + 2 Y0'QY0)^-1, x_i = e_i^2 tr R and r_i = q_i / e_i^2: direction i has the part
    w_i = x_i / (1 + 2 r_i x_i) of tr K_y, where tr R is such that tr R + sum 2 r_i w_i = p. Then
    <K_x, K_y> = sum lambda_i w_i, and ||K_y||^2 is minus the derivative of tr K_y by h at q_i + h e_i^2 / 2.
    """

    def __init__(self, ratio: FloatArray, samples: int, units: int) -> None:
        # The last entry stands for all directions outside of X together.
        self.ratio, self.units = np.append(ratio, 0.0), units
        self.multiplicity = np.append(np.ones(len(ratio)), samples - 1.0 - len(ratio))
        self.own = float(np.linalg.norm(ratio))
        self.clock = 0.0
        self.r: FloatArray = np.zeros(len(self.ratio))
        self.cross, self.power = self._sums(self.clock, self.r)

    def advance(self, step: float, _: FloatArray) -> float:
        """Step r' = b - 2 lambda r, b = <K_x, K_y> / ||K_y||^2, to second order; return the score."""
        if step > 0:
            before = self.cross / self.power
            cross, power = self._sums(self.clock + step, self._stepped(step, before))
            self.r = self._stepped(step, (before + cross / power) / 2)
            self.clock += step
            self.cross, self.power = self._sums(self.clock, self.r)
        return float(self.cross / (self.own * np.sqrt(self.power)))

    def _stepped(self, step: float, b: float) -> FloatArray:
        rate = 2 * self.ratio * step
        mean_decay = np.divide(-np.expm1(-rate), rate, out=np.ones_like(rate), where=rate > 0)
        stepped: FloatArray = self.r * np.exp(-rate) + b * step * mean_decay
        return stepped

    def _sums(self, clock: float, r: FloatArray) -> tuple[float, float]:
        log_gain = 2 * clock * self.ratio
        log_double = log_gain + np.log(2 * r, out=np.full_like(r, -np.inf), where=r > 0)

        def excess(log_trace: float) -> float:
            inside = self.multiplicity @ expit(log_trace + log_double)
            return float(np.exp(log_trace) + inside) - self.units

        high = np.log(self.units)
        low = high - np.log(2 * self.multiplicity.sum()) - max(0.0, float(log_double.max()))
        log_trace = brentq(excess, low, high + 1e-9, xtol=1e-12)
        filled, free = expit(log_trace + log_double), expit(-log_trace - log_double)
        w = filled / (2 * r) if r.any() else np.full_like(r, np.exp(log_trace))
        change, power = float(self.multiplicity @ (w * free)), float(self.multiplicity @ w**2)
        rest = float(np.exp(log_trace) + self.multiplicity @ (filled * free))
        power += change**2 / rest if rest > 0 else 0.0
        return float((self.multiplicity * self.ratio) @ w), power


def along_ray(
    ratio: FloatArray, samples: int, units: int, end: float, seeds: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Follow Y0 + tau F P, whose score is the cosine of an angle that shrinks along it.

    In the basis of the PCs and P, Y is M = Z P' + tau S, Z the rows of Y0 along the PCs, over normal numbers
    in the other n - 1 - K directions. What of those is not explained by the p - K units outside of P is a
    Wishart matrix W with n - 1 - p degrees of freedom, and captured variance is the diagonal of
    M (M'M + W)^-1 M'.

    Raises
    ------
    InputError
        Fewer units than PCs.
    """
    count, root = len(ratio), np.sqrt(ratio)
    if units < count:
        raise InputError(f"the ray of NBS needs at least as many units as PCs; {units} for {count}.")
    draws, nuclear = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        Z = rng.standard_normal((count, units))
        left, values, right = np.linalg.svd(root[:, None] * Z, full_matrices=False)
        draws.append((Z @ (left @ right).T, _wishart(rng, count, samples - 1 - units)))
        nuclear.append(values.sum())
    along, total = float(np.mean(nuclear)), units * (samples - 1.0)
    first = np.arccos(along / np.sqrt(total))
    angles = np.linspace(first, min(first, np.arccos(end)), _RAY_POINTS)
    captured = np.zeros((_RAY_POINTS, count))
    for row, tau in zip(captured, np.sqrt(total - along**2) / np.tan(angles) - along, strict=True):
        for start, W in draws:
            M = start + tau * np.diag(root)
            triangle = np.linalg.cholesky(M.T @ M + W)
            row += np.square(np.linalg.solve(triangle, M.T)).sum(axis=0) / len(draws)
    return np.cos(angles), captured


def _wishart(rng: np.random.Generator, size: int, degrees: int) -> FloatArray:
    Z = rng.standard_normal((size, min(size, degrees)))
    if degrees >= size:  # Bartlett's triangle
        Z = np.tril(Z, -1) + np.diag(np.sqrt(rng.chisquare(degrees - np.arange(size))))
    W: FloatArray = Z @ Z.T
    return W
