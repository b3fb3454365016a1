"""Noise ceilings: what the noise-free responses themselves would score against a noisy recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simopt import checks
from simopt.analysis.nulls import deconvolve, eigenvalues, nonzero_svd, stream
from simopt.datasets.base import Trials
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.typing import ArrayLike, FloatArray, LabelArray

_QUANTILES = (0.025, 0.975)
_STEPS, _SIMULATED = 6, 4
"""Of the deconvolution: how many, and of how many simulations the mean is taken."""
_SATURATED = 1e-9


@dataclass(frozen=True)
class Ceiling:
    """How close a measure lets anything come to a noisy recording.

    Attributes
    ----------
    measure : str
    value : float
        The mean score of the noise-free responses Y against the recording X.
    replicate : float
        The mean score of a second recording, of as many trials and as noisy as the first.
    halves : array, (splits,)
        The scores of one half of the trials against the other, as they are; empty where there are none.
    expected_halves : float
        The mean that ``halves`` would have if the model behind ``value`` were right; the ratio of the two
        distances from the best score has been made up for. NaN where there are no halves.
    interval : (float, float)
        Where the score of the noise-free responses falls for 95 % of simulated recordings. How far the
        signal behind them is off is not in it.
    correction : str
        How ``value`` was made from recordings noisier than the one it is about.
    """

    measure: str
    value: float
    replicate: float
    halves: FloatArray
    expected_halves: float
    interval: tuple[float, float]
    correction: str


def from_trials(
    trials: Trials, measures: Sequence[Measure], *, splits: int = 50, seed: int = 0
) -> dict[str, Ceiling]:
    """Estimate noise ceilings from repeated trials, for any measure, distances included.

    Half of the trials is noisier than the recording, and its other half than the truth. Spearman-Brown
    corrects correlations for it: a signal of variance 1 and trials of noise variance c have correlation
    r_k = 1 / (1 + c / k) between averages of k, hence c from r_(T/2), and sqrt(r_T) with the truth. Scores
    of whole datasets do not follow it: noise in many units adds PCs, and overlaps of its own. But it is the
    same idea that is used here: determine signal and noise, then say what they score. Noise is resampled from
    the deviations of trials from their mean, times sqrt(c / (c - 1)) for c trials, with random signs. The
    signal is the average with its spectrum deconvolved (:func:`simopt.analysis.nulls.deconvolve`): the same
    PCs, the total variance that is left without the noise, and PC variances to which the noise, added
    again, gives the spectrum of the average. For one unit this is Spearman-Brown.

    Scores of halves are both observed and simulated. Where they differ, the model is off, most often because
    large PCs of noise were taken for signal in part; so the simulated distances from the best score are
    multiplied by the ratio of the observed one to the simulated one, of the halves. In simulations with noise
    in few directions that takes about half of the error away, or more.

    What is assumed: trials are independent, and noise has the same distribution in all conditions.

    Parameters
    ----------
    trials : Trials
        At least 2 of each condition.
    measures : sequence of Measure
        Of different names.
    splits : int
        Random halves, and simulated recordings.
    seed : int

    Returns
    -------
    dict of Ceiling, by name of the measure

    Raises
    ------
    InputError
        A condition with a single trial; trials that differ so much that no signal is left; a measure that
        cannot score them.
    """
    checks.whole(splits, 1, "splits of the noise ceiling")
    checks.whole(seed, 0, "seed of the noise ceiling")
    trials = Trials(trials.responses.astype(np.float64), trials.condition)
    rng = stream(seed, 0)
    halves = np.array([_scores(measures, *trials.halves(_seed(rng))) for _ in range(splits)])
    model = _Model.of(trials, rng)
    simulated = []
    for _ in range(splits):
        first, second = model.recording(rng), model.recording(rng)
        average = first.average()
        pairs = (average, model.signal), (average, second.average()), first.halves(_seed(rng))
        simulated.append([_scores(measures, *pair) for pair in pairs])
    values, replicates, expected = np.array(simulated).swapaxes(0, 1)
    values, replicates = _calibrated(measures, values, replicates, halves, expected)
    correction = "deconvolved signal, calibrated by halves"
    return _ceilings(measures, values, replicates, halves, expected, correction)


def _calibrated(
    measures: Sequence[Measure],
    values: FloatArray,
    replicates: FloatArray,
    halves: FloatArray,
    expected: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Scale distances from the best score, (splits, m), by that of the halves over that expected of them."""
    best = np.array([each.facts.high if each.facts.larger_is_closer else each.facts.low for each in measures])
    observed, modeled = best - halves.mean(axis=0), best - expected.mean(axis=0)
    known = np.isfinite(best) & (np.abs(modeled) > _SATURATED)
    factor = np.divide(observed, modeled, out=np.ones_like(best), where=known)
    anchor = np.where(known, best, 0.0)
    return anchor - factor * (anchor - values), anchor - factor * (anchor - replicates)


def from_snr(
    X: ArrayLike, snr: float, measures: Sequence[Measure], *, draws: int = 20, seed: int = 0
) -> dict[str, Ceiling]:
    """Bound the scores that a recording of a given signal-to-noise ratio allows, where there are no repeats.

    X is taken for the signal. The recording is X + noise, independent Gaussian in every sample and unit, of
    variance var(x_u) / snr in unit u. A recording is no signal: its own noise makes its spectrum flatter, so
    this is what the ratio implies for a signal like X, not an estimate of the ceiling of X.

    Parameters
    ----------
    X : array or tensor, (samples, units) or (time, condition, unit)
    snr : float, > 0
        Variance of the signal over that of the noise that is left in the recording (in the average of
        trials, where it averages them).
    measures : sequence of Measure
        Of different names.
    draws : int
        Simulated recordings.
    seed : int

    Returns
    -------
    dict of Ceiling, by name of the measure

    Raises
    ------
    InputError
        Data that no measure can use; snr not positive; a measure that cannot score them.
    """
    checks.at_least(snr, 0, "snr of the noise ceiling", strict=True)
    checks.whole(draws, 1, "draws of the noise ceiling")
    checks.whole(seed, 0, "seed of the noise ceiling")
    signal = checks.flatten(checks.responses(X, "X")).astype(np.float64)
    checks.varying(signal, "X")
    scale = signal.std(axis=0) / np.sqrt(snr)
    rng = stream(seed, 0)
    simulated = []
    for _ in range(draws):
        first, second = (signal + scale * rng.standard_normal(signal.shape) for _ in range(2))
        simulated.append([_scores(measures, first, other) for other in (signal, second)])
    values, replicates = np.array(simulated).swapaxes(0, 1)
    none = np.empty((0, len(measures)))
    return _ceilings(measures, values, replicates, none, none, "given SNR")


def _ceilings(
    measures: Sequence[Measure],
    values: FloatArray,
    replicates: FloatArray,
    halves: FloatArray,
    expected: FloatArray,
    correction: str,
) -> dict[str, Ceiling]:
    low, high = np.quantile(values, _QUANTILES, axis=0)
    return {
        measure.name: Ceiling(
            measure=measure.name,
            value=float(values[:, i].mean()),
            replicate=float(replicates[:, i].mean()),
            halves=halves[:, i],
            expected_halves=float(expected[:, i].mean()) if len(expected) else float("nan"),
            interval=(float(low[i]), float(high[i])),
            correction=correction,
        )
        for i, measure in enumerate(measures)
    }


def _scores(measures: Sequence[Measure], X: FloatArray, Y: FloatArray) -> list[float]:
    """Return the score of Y against the recording X by each measure."""
    reference = Reference.of(checks.flatten(X))
    other = torch.from_numpy(checks.flatten(Y))
    with torch.no_grad():
        return [float(measure.bind(reference)(other)) for measure in measures]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


@dataclass(frozen=True)
class _Model:
    """Signal and noise of a recording: the signal (..., condition, unit), the noise (..., trial, unit)."""

    signal: FloatArray
    noise: FloatArray
    condition: LabelArray

    @classmethod
    def of(cls, trials: Trials, rng: np.random.Generator) -> _Model:
        average, of = trials.average(), trials.condition
        counts = np.bincount(of)[of]
        noise = (trials.responses - average[..., of, :]) * np.sqrt(counts / (counts - 1))[:, None]
        model = cls(average, noise, of)
        return cls(model._deconvolved(average, rng), noise, of)

    def _noise(self, rng: np.random.Generator) -> FloatArray:
        chosen = rng.integers(len(self.condition), size=len(self.condition))
        drawn: FloatArray = self.noise[..., chosen, :] * rng.choice([-1.0, 1.0], size=(len(chosen), 1))
        return drawn

    def recording(self, rng: np.random.Generator) -> Trials:
        """Return as many trials as there are, each the signal and the noise of some trial."""
        return Trials(self.signal[..., self.condition, :] + self._noise(rng), self.condition)

    def _deconvolved(self, average: FloatArray, rng: np.random.Generator) -> FloatArray:
        samples = checks.flatten(average)
        mean = samples.mean(axis=0)
        left, values, axes = nonzero_svd(samples - mean)
        observed = values**2
        averages = (Trials(self._noise(rng), self.condition).average() for _ in range(_SIMULATED))
        noises = [noise - noise.mean(axis=0) for noise in map(checks.flatten, averages)]
        total = float(observed.sum()) - self._noise_power(samples.shape[0])
        if total <= 0:
            raise InputError(
                "trials of the same condition differ as much as those of different ones: no signal is left "
                "to estimate a noise ceiling from. It needs more trials."
            )

        def simulate(variances: FloatArray) -> FloatArray:
            signal = (left * np.sqrt(variances)) @ axes
            noisy = (signal + noise for noise in noises)
            grams = [Z.T @ Z if Z.shape[0] > Z.shape[1] else Z @ Z.T for Z in noisy]
            mean: FloatArray = eigenvalues(np.stack(grams)).mean(axis=0)[: len(observed)]
            return mean

        restored: FloatArray = (left * np.sqrt(deconvolve(observed, simulate, total, _STEPS))) @ axes + mean
        return restored.reshape(average.shape)

    def _noise_power(self, samples: int) -> float:
        """Return the expected sum of squares of the noise in the average, centered over its samples."""
        bins = self.noise.reshape(-1, *self.noise.shape[-2:])
        power = np.square(bins).sum(axis=(0, 2)) - np.square(bins.sum(axis=0)).sum(axis=1) / samples
        trials = np.bincount(self.condition)[self.condition]
        return float((power / trials**2).sum())
