"""Nulls: the scores of data that are unrelated to the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.typing import ArrayLike, FloatArray, OnStep

KINDS = ("unrelated", "shuffled", "gaussian")
_BATCH = 2**25
"""Memory of the draws that are scored at once, in numbers of float64 (256 MB)."""

_COPIES = 4
"""Arrays of the size of a draw, or samples x samples, that scoring one draw needs at the same time."""

_LEVEL = 0.95

_STREAM_KEY = 20250407
"""Part of the seed of nulls and ceilings, so that their random numbers differ from those of users' own
code."""

_STEPS, _MOST, _LEAST, _SIMULATED = 2, 16, 2, 1000
"""Of the deconvolution: its steps, and the bounds on the number of simulations over which each step averages.
Between the bounds, so many are used that together they have 1000 PCs."""


@dataclass(frozen=True)
class Null:
    """The scores of one measure on random data that are unrelated to the recording.

    Attributes
    ----------
    kind : {"unrelated", "shuffled", "gaussian"}
        How the data were drawn; see :func:`nulls`.
    scores : array, (draws,)
        One score for each draw.
    larger_is_closer : bool
        True for similarities, False for distances.
    """

    kind: str
    scores: FloatArray
    larger_is_closer: bool

    @property
    def mean(self) -> float:
        """The mean score of the null."""
        return float(self.scores.mean())

    @property
    def end(self) -> float:
        """The 95th percentile of the scores (for a distance the 5th), interpolated linearly."""
        return float(np.quantile(self.scores, _LEVEL if self.larger_is_closer else 1 - _LEVEL))

    def percentile(self, score: float) -> float:
        """Return the percentile of a score in the null, in (0, 100). A large percentile means close to X.

        If b draws are less close to X than the score and t draws have the same score, the percentile is
        100 (b + t / 2 + 1 / 2) / (draws + 1). This is the middle of the ranks that the score can have among
        draws + 1 values. The percentile of a score that is itself a draw of the null is uniformly distributed
        over its possible values. It is NaN if the score, or any score of the null, is NaN.
        """
        ties = float((self.scores == score).sum())
        return 100 * (self._less_close(score) + ties / 2 + 0.5) / (len(self.scores) + 1)

    def p_value(self, score: float) -> float:
        """Return the p-value of a score: (c + 1) / (draws + 1), where c draws are at least as close to X.

        The p-value is valid for any number of draws, and never 0. It is NaN if the score, or any score of the
        null, is NaN.

        References
        ----------
        Phipson & Smyth 2010, Permutation p-values should never be zero, arXiv 1603.05766.
        """
        return (len(self.scores) - self._less_close(score) + 1) / (len(self.scores) + 1)

    def _less_close(self, score: float) -> float:
        """Return the number of draws that are less close to X than a score."""
        if np.isnan(score) or np.isnan(self.scores).any():
            return float("nan")
        less = self.scores < score if self.larger_is_closer else self.scores > score
        return float(less.sum())


def nulls(
    X: ArrayLike | Reference,
    Y: ArrayLike,
    measures: Sequence[Measure],
    *,
    kinds: Sequence[str] = KINDS,
    draws: int = 100,
    seed: int = 0,
    conditions: int | None = None,
    observe: OnStep = lambda done, total: None,
) -> dict[str, dict[str, Null]]:
    """Return the scores of random data that are unrelated to X but resemble Y.

    There are three kinds of random data:

    - ``unrelated`` data have exactly the spectrum of Y. The centered Y has the singular value decomposition
      U S V'. U is replaced by a Haar-distributed matrix with orthonormal columns that sum to zero. S, V and
      the mean of Y are kept.
    - ``shuffled`` data are the samples of Y in random order.
    - ``gaussian`` data are independent Gaussian samples with the mean and the PCs of Y. Their population
      variances are chosen such that as many samples as Y has show the spectrum of Y on average
      (:func:`deconvolve`). Using the sample variances of Y instead would spread the spectrum twice: once in
      Y, and again in each draw.

    If the samples of Y are independent, Gaussian and unrelated to X, the percentile of Y in the null is
    uniformly distributed. This holds exactly for ``unrelated`` and ``shuffled`` by symmetry, whatever X is,
    and approximately for ``gaussian``. Samples that depend on each other, such as successive time bins, are
    not exchangeable. For them give ``conditions``, and use only ``shuffled``.

    Parameters
    ----------
    X : array, tensor or Reference, (samples, units) or (time, condition, unit)
        The recording. A Reference must be in float64.
    Y : array or tensor, (samples, units) or (time, condition, unit)
        Data with the same samples as X, in the same order.
    measures : sequence of Measure
        Measures with different names. All of them score the same draws.
    kinds : sequence of {"unrelated", "shuffled", "gaussian"}
        The kinds of data to draw. The draws of one kind do not depend on which other kinds are drawn.
    draws : int, >= 1
        Number of draws of each kind.
    seed : int
    conditions : int or None
        Number of conditions that ``shuffled`` permutes. Each condition is moved with all its time bins, which
        keeps its time course and the autocorrelation. The samples of a 2-D Y must then be time x condition,
        time outermost. None: the number of conditions of a 3-D Y; the samples of a 2-D Y are shuffled one by
        one.
    observe : function of (done, total)
        Called before each batch with the number of draws scored so far and the number of all draws, both over
        all kinds.

    Returns
    -------
    dict of dict of Null
        The outer keys are names of measures, the inner keys are kinds.

    Raises
    ------
    InputError
        X or Y is invalid, the number of samples is no multiple of ``conditions``, or a measure cannot score X
        and Y. All this is checked before data are drawn.
    """
    x, y = checks.pair(X.responses if isinstance(X, Reference) else X, Y)
    reference = X if isinstance(X, Reference) else Reference.of(x)
    if conditions is None and np.ndim(Y) == 3:
        conditions = np.shape(Y)[1]
    if conditions is not None:
        checks.whole(conditions, 2, "conditions of the null")
        if len(y) % conditions:
            raise InputError(
                f"{len(y)} samples are not {conditions} conditions of equally many time bins; give a "
                "number of conditions that divides the samples, or leave it out to shuffle single samples."
            )
    bound = [measure.bind(reference) for measure in measures]
    for score in bound:
        score(torch.from_numpy(y))  # raises for a measure that cannot score these data
    samples, units = y.shape
    # A score may need arrays of the size of a draw, (n, q), or of a kernel, (n, n).
    at_once = max(1, _BATCH // (_COPIES * samples * max(samples, units)))
    results: dict[str, dict[str, Null]] = {measure.name: {} for measure in measures}
    for number, kind in enumerate(kinds):
        # A stream for each kind: its draws do not depend on which other kinds are requested.
        draw = _drawing(kind, y, stream(seed, 1 + KINDS.index(kind)), conditions)
        scores = []
        for start in range(0, draws, at_once):
            observe(number * draws + start, len(kinds) * draws)
            with torch.no_grad():
                batch = torch.from_numpy(draw(min(at_once, draws - start)))
                scores.append([score(batch).numpy() for score in bound])
        for measure, parts in zip(measures, zip(*scores, strict=True), strict=True):
            scored = np.concatenate(parts)
            results[measure.name][kind] = Null(kind, scored, measure.facts.larger_is_closer)
    return results


def _drawing(
    kind: str, Y: FloatArray, rng: np.random.Generator, conditions: int | None
) -> Callable[[int], FloatArray]:
    """Return a function that draws the next (count, n, q) data of a kind.

    Random numbers are drawn in the order of the draws, so the result does not depend on the sizes of batches.
    """
    samples, units = Y.shape
    if kind == "shuffled":
        blocks = Y.reshape(-1, conditions or samples, units)  # (time, condition, unit); one bin without time
        return lambda count: np.stack(
            [blocks[:, rng.permutation(blocks.shape[1])].reshape(Y.shape) for _ in range(count)]
        )
    mean = Y.mean(axis=0)
    _, values, axes = nonzero_svd(Y - mean)
    root = values[:, None] * axes  # (k, q), S V'
    if kind == "gaussian":
        count = max(_LEAST, min(_MOST, _SIMULATED // len(root)))
        white = rng.standard_normal((count, samples, len(root)))
        white -= white.mean(axis=1, keepdims=True)
        grams = white.mT @ white  # (count, k, k)

        def simulate(variances: FloatArray) -> FloatArray:
            # Samples Z D with white Z and D = diag(sqrt(variances)) have the scatter matrix D Z'Z D. The same
            # Z in every step: the steps then change the spectrum, not its sampling noise.
            scale = np.sqrt(variances)
            mean_spectrum: FloatArray = eigenvalues(scale[:, None] * grams * scale).mean(axis=0)
            return mean_spectrum

        observed = values**2
        variances = deconvolve(observed, simulate, float(observed.sum()) / (samples - 1), _STEPS)
        root = np.sqrt(variances)[:, None] * axes
        return lambda count: rng.standard_normal((count, samples, len(root))) @ root + mean
    # (count, n, k) @ (k, q): U S V' with a new U.
    return lambda count: haar(rng.standard_normal((count, samples, len(root)))) @ root + mean


def stream(seed: int, number: int) -> np.random.Generator:
    """Return a random generator for nulls and ceilings.

    A user may have drawn the recording itself with ``default_rng(seed)``, which gives the same numbers as
    ``default_rng([seed, 0])``. A null with these numbers could repeat the recording. So a fixed key is part
    of the seed of this generator.

    Parameters
    ----------
    seed : int
    number : int
        Number of the stream. Streams with different numbers are independent.
    """
    return np.random.default_rng([seed, number, _STREAM_KEY])


def deconvolve(
    observed: FloatArray, simulate: Callable[[FloatArray], FloatArray], total: float, steps: int
) -> FloatArray:
    """Return variances lambda (k,) whose simulated spectrum resembles an observed spectrum.

    The iteration starts at the observed spectrum. Each step sets lambda_i to lambda_i * observed_i /
    simulated_i, and rescales lambda to the sum ``total``. This is the multiplicative update of
    Richardson-Lucy deconvolution. Only a few steps are used, because many would fit the sampling noise of the
    observed spectrum.

    Parameters
    ----------
    observed : array, (k,)
        The observed spectrum, in descending order.
    simulate : function
        Returns for variances (k,) the spectrum (k,) that is expected on average, in descending order.
    total : float
        Sum of the returned variances.
    steps : int
        Number of steps of the iteration.

    References
    ----------
    Richardson 1972, doi:10.1364/JOSA.62.000055. Lucy 1974, doi:10.1086/111605.
    """
    variances: FloatArray = observed * (total / observed.sum())
    for _ in range(steps):
        simulated = simulate(variances)
        # A simulated eigenvalue may be zero up to rounding; the floor avoids dividing by it.
        variances = variances * observed / np.maximum(simulated, np.finfo(np.float64).eps * simulated[0])
        variances = variances * (total / variances.sum())
    return variances


def nonzero_svd(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return U (n, k), s (k,) and V' (k, p) of a float64 matrix (n, p), without zero singular values."""
    left, values, axes = (part.numpy() for part in torch.linalg.svd(torch.from_numpy(matrix), False))
    keep = values > np.finfo(np.float64).eps * max(matrix.shape) * values[0]
    return left[:, keep], values[keep], axes[keep]


def eigenvalues(gram: FloatArray) -> FloatArray:
    """Return the eigenvalues (..., k) of symmetric matrices (..., k, k), in descending order."""
    values: FloatArray = np.asarray(torch.linalg.eigvalsh(torch.from_numpy(gram)).flip(-1))
    return values


def haar(drawn: FloatArray) -> FloatArray:
    """Return Haar-distributed matrices (..., n, k) whose columns are orthonormal and have mean 0.

    Parameters
    ----------
    drawn : array, (..., n, k)
        Matrices of independent standard normal entries, with k < n.

    References
    ----------
    Mezzadri 2007, How to generate random matrices from the classical compact groups, arXiv math-ph/0609050.
    """
    return orthonormal(torch.from_numpy(drawn - drawn.mean(axis=-2, keepdims=True))).numpy()


def orthonormal(drawn: Tensor) -> Tensor:
    """Return the matrix Q (..., n, k) of the decomposition A = QR in which R has a positive diagonal.

    Without this condition on R the decomposition is not unique. LAPACK chooses signs that depend on the
    entries of A. Its Q of a matrix with normal entries becomes Haar-distributed only if the signs of the
    diagonal of R are moved to Q.
    """
    left, right = torch.linalg.qr(drawn)
    columns: Tensor = left * right.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    return columns
