"""Ceilings of CKA: <K_A, K_S> / (||K_A|| ||K_S||), with the kernel of the signal S estimated from repeats.

||K_S||^2 is estimated by the inner product of kernels of disjoint parts of the repeats, which share no noise.
Let N be the noise in the average A. As E N = 0, E <K_A, K_S> = ||K_S||^2 + <E NN', K_S>. E NN' is zero
between conditions, whose noise is independent. Entries within a condition are therefore treated separately.
"""

from __future__ import annotations

import numpy as np

from simopt.analysis.ceilings.noise import Noise
from simopt.analysis.ceilings.recording import Recording
from simopt.analysis.ceilings.spectra import TAIL
from simopt.checks import flatten
from simopt.typing import FloatArray

CORES = ("cka", "cka_debiased")


def scores(A: FloatArray, S: FloatArray) -> FloatArray:
    """Return CKA and debiased CKA (0 if it is undefined) of two arrays (n, units) of mean 0, (2,)."""
    a, s = np.square(A).sum(axis=1), np.square(S).sum(axis=1)
    cross, one, two = _inner(A, S), _inner(A, A), _inner(S, S)
    biased = cross / np.sqrt(one * two)
    squared = _debiased(one, a, a), _debiased(two, s, s)
    unbiased = _debiased(cross, a, s) / np.sqrt(squared[0] * squared[1]) if min(squared) > 0 else 0.0
    return np.array([biased, unbiased])


def estimates(
    recording: Recording, noise: Noise, splits: int, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Estimate CKA and debiased CKA of the average against the signal, (2,), and ||K_S||^2.

    Parameters
    ----------
    recording : Recording
    noise : Noise
    splits : int
        Number of random splits of the repeats.
    rng : Generator

    References
    ----------
    Song et al. 2012, Feature Selection via Dependence Maximization (eq. 4), JMLR 13:1393-1434.
    """
    A, (T, C, units) = recording.average, recording.average.shape
    n, count = T * C, 4 if recording.fewest >= 4 else 2
    # Means over splits: of the unbiased product of kernels over pairs of different conditions, and of the
    # squared entries of K_S in pairs of the same condition and on the diagonal.
    different, same, diagonal = [], [], []
    for parts in recording.parts(count, splits, rng):
        for one, two in _pairs(parts):
            traces = np.square(one).sum() * np.square(two).sum()
            inner = (
                _inner(flatten(one), flatten(two)) - C / (C - 2) * (_grams(one, one) * _grams(two, two)).sum()
            )
            different.append(inner + traces / ((C - 1) * (C - 2)))
        for product in _fourth_powers(parts):
            same.append(product.sum())
            diagonal.append(np.trace(product, axis1=1, axis2=2).sum())
    block, on_diagonal = np.mean(same), np.mean(diagonal)
    if count == 2:
        block -= _fourth_bias(recording, noise, T * np.ones(T))
        on_diagonal -= _fourth_bias(recording, noise, np.diag(noise.times))
    own = _grams(A, A)
    power = float(np.trace(own, axis1=1, axis2=2).sum())
    size = max(power - noise.power, TAIL * power)  # ||S||^2
    # <E NN', K_S>. The squares of the estimated grams hold their sampling error, which is added back.
    spread = noise.grams - noise.grams.mean(axis=0)
    noisy = noise.grams * (own - noise.grams) + noise.spurious * np.square(spread)
    # The same-condition part takes the place of the one that the unbiased product leaves out.
    h = np.mean(different) + C / (C - 2) * block - size**2 / ((C - 1) * (C - 2))
    bounded = np.clip(h, size**2 / min(n - 1, units), size**2)
    flat = flatten(A)
    squared = _inner(flat, flat)
    biased = (bounded + noisy.sum()) / np.sqrt(bounded * squared)
    # The bounds, which one unit leaves no room between, keep the error of h out of a ratio with its own root,
    # which would be too low by .025 for one unit.
    unbiased = bounded - n / (n - 2) * on_diagonal + size**2 / ((n - 1) * (n - 2))
    lengths = np.square(flat).sum(axis=1)
    squared = _debiased(squared, lengths, lengths)
    if unbiased <= 0 or squared <= 0:
        return np.array([biased, 0.0]), float(bounded)
    off_diagonal = noisy.sum() - np.trace(noisy, axis1=1, axis2=2).sum()
    return np.array([biased, (unbiased + off_diagonal) / np.sqrt(unbiased * squared)]), float(bounded)


def _pairs(parts: list[FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
    """Return all divisions of two or four parts into two halves."""
    if len(parts) == 2:
        return [(parts[0], parts[1])]
    a, b, c, d = parts
    return [((a + b) / 2, (c + d) / 2), ((a + c) / 2, (b + d) / 2), ((a + d) / 2, (b + c) / 2)]


def _fourth_powers(parts: list[FloatArray]) -> list[FloatArray]:
    """Return estimates of the squared entries of K_S within conditions, each (C, T, T)."""
    if len(parts) == 2:
        return [_grams(*parts) ** 2]
    a, b, c, d = parts
    return [
        _grams(a, b) * _grams(c, d), _grams(a, c) * _grams(b, d), _grams(a, d) * _grams(b, c)
    ]  # fmt: skip


def _fourth_bias(recording: Recording, noise: Noise, scale: FloatArray) -> float:
    """Return the bias of the sum of squared products of two halves within conditions.

    E (a1'a2)^2 = (s's)^2 + s'(P1 + P2)s + tr P1 P2, and a half of m1 of m repeats has the noise P m / m1.
    """
    m = recording.counts
    halves = m**2 / (np.ceil(m / 2) * np.floor(m / 2))
    # As E a'Pa = s'Ps + tr P^2, the bias is the mean of a'Pa up to the weights.
    quadratic = np.square(recording.average @ noise.factor.T).sum(axis=-1)  # (T, C)
    return float((halves * noise.weights * (scale @ quadratic)).sum())


def _grams(X: FloatArray, Y: FloatArray) -> FloatArray:
    """Return X_c Y_c' of each condition, (C, T, T), of arrays (T, C, units)."""
    if len(X) == 1:
        products: FloatArray = (X * Y).sum(axis=-1)[0][:, None, None]
    else:
        products = np.matmul(X.swapaxes(0, 1), Y.transpose(1, 2, 0))
    return products


def _inner(X: FloatArray, Y: FloatArray) -> float:
    """Return <XX', YY'>."""
    if max(X.shape[1], Y.shape[1]) <= len(X):
        return float(np.square(X.T @ Y).sum())
    return float(((X @ X.T) * (Y @ Y.T)).sum())


def _debiased(inner: float, x: FloatArray, y: FloatArray) -> float:
    """Return n (n - 3) times the unbiased HSIC of centered kernels with the diagonals x and y, (n,)."""
    n = len(x)
    return float(inner - n / (n - 2) * (x @ y) + x.sum() * y.sum() / ((n - 1) * (n - 2)))
