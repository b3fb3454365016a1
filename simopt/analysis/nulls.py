"""What a score is worth: the scores of data that have nothing to do with the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simopt import checks
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.typing import ArrayLike, FloatArray

KINDS = ("unrelated", "shuffled", "gaussian")
_BATCH = 2**25
"""Numbers (256 MB of float64) that the draws scored at once may take."""

_COPIES = 4
"""Arrays of a draw's size, or samples x samples, that scoring one draw holds at a time."""

_SHARE = 0.95

_OWN = 20250407
"""What sets the random numbers of nulls and ceilings apart from those of anyone else."""

_STEPS, _MOST, _LEAST, _SIMULATED = 2, 16, 2, 1000
"""Of the deconvolution: how many, and the mean of how many simulations: as many as make a thousand PCs."""


@dataclass(frozen=True)
class Null:
    """The scores of one measure on data unrelated to the recording.

    Attributes
    ----------
    kind : {"unrelated", "shuffled", "gaussian"}
    scores : array, (draws,)
    larger_is_closer : bool
        False for distances.
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
        """The score that 95 % of the null do not pass, interpolated linearly."""
        return float(np.quantile(self.scores, _SHARE if self.larger_is_closer else 1 - _SHARE))

    def percentile(self, score: float) -> float:
        """Return where a score ranks in the null, in (0, 100): 100 is closer than all of it.

        100 (b + t / 2 + 1 / 2) / (draws + 1), of b draws less close and t ties: the middle of the score's
        rank among draws + 1 values. It is uniform over its levels where the score is a draw of the null
        itself. NaN where the score, or any of the null, is undefined.
        """
        ties = float((self.scores == score).sum())
        return 100 * (self._less_close(score) + ties / 2 + 0.5) / (len(self.scores) + 1)

    def p_value(self, score: float) -> float:
        """Return (c + 1) / (draws + 1), of c draws at least as close: a valid p-value, never 0.

        NaN where the score, or any of the null, is undefined.
        """
        return (len(self.scores) - self._less_close(score) + 1) / (len(self.scores) + 1)

    def _less_close(self, score: float) -> float:
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
    observe: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Null]]:
    """Score data unrelated to X that share with Y what has no say in its relation to X.

    ``unrelated``: exactly the spectrum of Y. With Y = U S V' after centering, U is drawn anew from the Haar
    measure on orthonormal sample directions orthogonal to the constant one; S, V and the mean stay.
    ``shuffled``: the rows of Y in random order. ``gaussian``: independent Gaussian samples with the mean and
    the PCs of Y, of population variances from which samples have, on average, the spectrum of Y
    (:func:`deconvolve`): their own spectrum varies. The sample variances themselves would not do, since
    sampling spreads a spectrum, and would do so a second time.

    The percentile of an unrelated Gaussian Y is uniform in the first two by symmetry, whatever X is, and
    approximately so in the third. Samples that depend on each other (time bins) are not exchangeable: there,
    give ``conditions`` and trust ``shuffled``.

    Parameters
    ----------
    X : array, tensor or Reference, (samples, units) or (time, condition, unit)
        The recording, decomposed in float64 where it is a Reference.
    Y : array or tensor, (samples, units) or (time, condition, unit)
        The same samples in the same order.
    measures : sequence of Measure
        Of different names. All of them score the same draws.
    kinds : sequence of {"unrelated", "shuffled", "gaussian"}
        The draws of a kind do not depend on which others are asked for.
    draws : int
    seed : int
    conditions : int or None
        Shuffle this many conditions, all their time bins together (samples are time x condition, time
        outermost): the time course, and its autocorrelation, stay. None: those of a Y in three dimensions;
        every sample by itself otherwise.
    observe : function of (done, total), optional
        Told how many of the draws of all kinds are scored, before each batch of them.

    Returns
    -------
    dict of dict of Null, by name of the measure and kind

    Raises
    ------
    InputError
        Data that no measure can use, a kind that does not exist, conditions that do not divide the samples.
        A measure that cannot score X and Y themselves raises its own error before anything is drawn: leave
        it out of ``measures``.
    """
    for kind in kinds:
        checks.one_of(kind, KINDS, "kind of null")
    checks.whole(draws, 1, "draws of the null")
    checks.whole(seed, 0, "seed of the null")
    x, y = checks.pair(X.responses if isinstance(X, Reference) else X, Y)
    reference = X if isinstance(X, Reference) else Reference.of(x)
    if conditions is None and np.ndim(Y) == 3:
        conditions = np.shape(Y)[1]
    if conditions is not None:
        checks.whole(conditions, 2, "conditions of the null")
        if len(y) % conditions:
            raise InputError(
                f"{len(y)} samples are not {conditions} conditions of as many time bins each; give the "
                "number of conditions, or none to shuffle samples."
            )
    bound = [measure.bind(reference) for measure in measures]
    for score in bound:
        score(torch.from_numpy(y))
    samples, units = y.shape
    at_once = max(1, _BATCH // (_COPIES * samples * max(samples, units)))
    results: dict[str, dict[str, Null]] = {measure.name: {} for measure in measures}
    for number, kind in enumerate(kinds):
        draw = _drawing(kind, y, stream(seed, 1 + KINDS.index(kind)), conditions)
        scores = []
        for start in range(0, draws, at_once):
            if observe is not None:
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
    """Return the function that draws the next (count, n, q) of a kind: the same in batches of any size."""
    samples, units = Y.shape
    if kind == "shuffled":
        blocks = Y.reshape(-1, conditions or samples, units)
        return lambda count: np.stack(
            [blocks[:, rng.permutation(blocks.shape[1])].reshape(Y.shape) for _ in range(count)]
        )
    mean = Y.mean(axis=0)
    _, values, axes = nonzero_svd(Y - mean)
    root = values[:, None] * axes
    if kind == "gaussian":
        count = max(_LEAST, min(_MOST, _SIMULATED // len(root)))
        white = rng.standard_normal((count, samples, len(root)))
        white -= white.mean(axis=1, keepdims=True)
        grams = white.mT @ white

        def simulate(variances: FloatArray) -> FloatArray:
            scale = np.sqrt(variances)
            mean_spectrum: FloatArray = eigenvalues(scale[:, None] * grams * scale).mean(axis=0)
            return mean_spectrum

        observed = values**2
        variances = deconvolve(observed, simulate, float(observed.sum()) / (samples - 1), _STEPS)
        root = np.sqrt(variances)[:, None] * axes
        return lambda count: rng.standard_normal((count, samples, len(root))) @ root + mean
    return lambda count: haar(rng.standard_normal((count, samples, len(root)))) @ root + mean


def stream(seed: int, number: int) -> np.random.Generator:
    """Return random numbers that no recording was made of.

    ``default_rng(seed)``, and with a zero appended it is the same, may have drawn the recording itself.
    """
    return np.random.default_rng([seed, number, _OWN])


def deconvolve(
    observed: FloatArray, simulate: Callable[[FloatArray], FloatArray], total: float, steps: int
) -> FloatArray:
    """Return the variances lambda (k,) of sum ``total`` whose simulated spectrum resembles the observed one.

    lambda_i <- lambda_i observed_i / simulated_i, from the observed spectrum itself (as Richardson 1972 and
    Lucy 1974 do for images). A few steps: a spectrum that no variances have on average, and every single one
    is such, drives them apart without end.

    Parameters
    ----------
    observed : array, (k,), descending
    simulate : function
        The expected spectrum (k,), descending, at variances (k,).
    total : float
    steps : int
    """
    variances: FloatArray = observed * (total / observed.sum())
    for _ in range(steps):
        simulated = simulate(variances)
        variances = variances * observed / np.maximum(simulated, np.finfo(np.float64).eps * simulated[0])
        variances = variances * (total / variances.sum())
    return variances


def nonzero_svd(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return U (n, k), s (k,) and V' (k, p) of a matrix of float64 (n, p), without zero singular values."""
    left, values, axes = (part.numpy() for part in torch.linalg.svd(torch.from_numpy(matrix), False))
    keep = values > np.finfo(np.float64).eps * max(matrix.shape) * values[0]
    return left[:, keep], values[keep], axes[keep]


def eigenvalues(gram: FloatArray) -> FloatArray:
    """Return the eigenvalues (..., k) of symmetric matrices, descending."""
    values: FloatArray = np.asarray(torch.linalg.eigvalsh(torch.from_numpy(gram)).flip(-1))
    return values


def haar(drawn: FloatArray) -> FloatArray:
    """Return Haar-distributed orthonormal columns of mean 0, made of Gaussian entries (..., n, k), k < n."""
    left, right = torch.linalg.qr(torch.from_numpy(drawn - drawn.mean(axis=-2, keepdims=True)))
    # QR chooses signs by the entries; with a positive diagonal they are those of the Haar measure.
    signs = torch.sign(right.diagonal(dim1=-2, dim2=-1))
    columns: FloatArray = (left * signs[..., None, :]).numpy()
    return columns
