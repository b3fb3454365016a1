"""Noise ceilings: the score of the noise-free responses against a noisy recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
"""Steps of the deconvolution, and number of simulated noises over which each step averages."""
_SATURATED = 1e-9
"""Simulated halves closer than this to the best score leave no distance to calibrate by."""


@dataclass(frozen=True)
class Ceiling:
    """The noise ceiling of a recording for one measure.

    Attributes
    ----------
    measure : str
    value : float
        Mean score of the noise-free responses against the recording: the best that a model can expect.
    replicate : float
        Mean score of a second recording, with as many trials and as much noise, against the first.
    halves : array, (splits,)
        Uncorrected scores of one half of the trials against the other half. Empty if the recording has no
        single trials.
    expected_halves : float
        Mean score of simulated halves of the trials. If it differs from the mean of ``halves``, the estimated
        signal and noise are not right, and ``value`` has been calibrated for the difference. NaN if the
        recording has no single trials.
    interval : (float, float)
        The interval that holds the central 95 % of the scores of the noise-free responses over simulated
        recordings. It does not include the error of the estimated signal.
    correction : str
        How ``value`` was estimated.
    """

    measure: str
    value: float
    replicate: float
    halves: FloatArray
    expected_halves: float
    interval: tuple[float, float]
    correction: str


def from_trials(trials: Trials, measures: Sequence[Measure], *, splits: int = 50) -> dict[str, Ceiling]:
    """Estimate noise ceilings from repeated trials, for any measure, including distances.

    For correlations the Spearman-Brown formula gives the ceiling. If the signal has variance 1 and the noise
    of a trial variance c, two averages of k trials each have the correlation r_k = 1 / (1 + c / k). From the
    halves of T trials r_(T/2) is known, and c follows. The average of all trials then has the correlation
    sqrt(r_T) with the signal. Scores of whole datasets do not follow this formula, because noise in many
    units adds PCs. So signal and noise are estimated, and the scores of simulated recordings are computed:

    - The noise consists of the deviations of single trials from the mean of their condition. For m trials
      they are multiplied by sqrt(m / (m - 1)), which makes their variance unbiased. Simulated noise is drawn
      from these deviations with random signs.
    - The signal has the PCs of the average over trials. The variances of the PCs are deconvolved
      (:func:`simopt.analysis.nulls.deconvolve`): their sum is the variance of the average minus that of the
      noise, and after adding noise they give the spectrum of the average. For one unit this is the
      Spearman-Brown formula.

    The scores of one half of the trials against the other are both observed and simulated. If the two differ,
    signal and noise were not separated correctly, most often because large PCs of the noise were partly taken
    for signal. The simulated distances from the best score are then multiplied by the ratio of observed to
    simulated distance of the halves. In simulations with noise in few directions this removes about half of
    the error or more.

    It is assumed that trials are independent, and that noise has the same distribution in all conditions.

    Parameters
    ----------
    trials : Trials
        Responses with at least 2 trials of each condition.
    measures : sequence of Measure
        Measures with different names.
    splits : int, >= 1
        Number of random splits into halves, and number of simulated recordings.

    Returns
    -------
    dict of Ceiling, by name of the measure

    Raises
    ------
    InputError
        A condition has a single trial only; the trials of a condition differ so much that no signal can be
        estimated; or a measure cannot score the responses.

    References
    ----------
    Spearman 1910, Correlation calculated from faulty data, doi:10.1111/j.2044-8295.1910.tb00206.x.
    Brown 1910, Some experimental results in the correlation of mental abilities,
    doi:10.1111/j.2044-8295.1910.tb00207.x.
    """
    trials = Trials(trials.responses.astype(np.float64), trials.condition)
    # One stream for everything: splits, deconvolution and simulations, in this order. Another order would
    # change every stored ceiling.
    rng = stream(0, 0)
    halves = np.array([_scores(measures, *trials.halves(_seed(rng))) for _ in range(splits)])
    model = _Model.of(trials, rng)
    simulated = []
    for _ in range(splits):
        first, second = model.recording(rng), model.recording(rng)
        average = first.average()
        # A recording against the noise-free signal, against a second recording, and half against half.
        pairs = (average, model.signal), (average, second.average()), first.halves(_seed(rng))
        simulated.append([_scores(measures, *pair) for pair in pairs])
    scores, expected = np.split(np.array(simulated), [2], axis=1)  # (splits, 2, m) and (splits, 1, m)
    calibrated = _calibrated(measures, scores, halves, expected[:, 0])
    return _ceilings(measures, calibrated, halves, expected[:, 0], "deconvolved signal, calibrated by halves")


def _calibrated(
    measures: Sequence[Measure], scores: FloatArray, halves: FloatArray, expected: FloatArray
) -> FloatArray:
    """Multiply distances from the best score by the ratio of observed to simulated distance of the halves.

    Scores are (splits, 2, m) for m measures, halves (splits, m). Measures without a best score are left as
    they are.
    """
    facts = [measure.facts for measure in measures]
    best = np.array([fact.high if fact.larger_is_closer else fact.low for fact in facts])  # (m,)
    observed, modeled = best - halves.mean(axis=0), best - expected.mean(axis=0)
    usable = np.isfinite(best) & (np.abs(modeled) > _SATURATED)
    factor = np.divide(observed, modeled, out=np.ones_like(best), where=usable)
    # Factor 1 about the anchor 0 leaves scores unchanged; about an infinite best score it would give NaN.
    anchor = np.where(usable, best, 0.0)
    calibrated: FloatArray = anchor - factor * (anchor - scores)
    return calibrated


def from_snr(X: ArrayLike, snr: float, measures: Sequence[Measure], *, draws: int = 20) -> dict[str, Ceiling]:
    """Return the noise ceilings that a signal-to-noise ratio implies, for recordings without single trials.

    X is taken as the signal. Recordings are simulated as X + noise, with independent Gaussian noise of
    variance var(x_u) / snr in unit u, where x_u are the responses of this unit. Since X already contains
    noise, its spectrum is flatter than that of the true signal. The result is therefore the ceiling for a
    signal like X, not an estimate of the ceiling of X.

    Parameters
    ----------
    X : array or tensor, (samples, units) or (time, condition, unit)
    snr : float, > 0
        Variance of the signal divided by the variance of the noise in the recording. If the recording is an
        average over trials, this is the noise of the average.
    measures : sequence of Measure
        Measures with different names.
    draws : int, >= 1
        Number of simulated recordings.

    Returns
    -------
    dict of Ceiling, by name of the measure

    Raises
    ------
    InputError
        X is invalid, or a measure cannot score it.
    """
    signal = checks.flatten(checks.responses(X, "X")).astype(np.float64)
    scale = signal.std(axis=0) / np.sqrt(snr)  # of the noise in each unit, (units,)
    rng = stream(0, 0)
    simulated = []
    for _ in range(draws):
        first, second = (signal + scale * rng.standard_normal(signal.shape) for _ in range(2))
        simulated.append([_scores(measures, first, other) for other in (signal, second)])
    none = np.empty((0, len(measures)))
    return _ceilings(measures, np.array(simulated), none, none, "given SNR")


def _ceilings(
    measures: Sequence[Measure],
    scores: FloatArray,
    halves: FloatArray,
    expected: FloatArray,
    correction: str,
) -> dict[str, Ceiling]:
    """Return the ceilings by simulated scores (draws, 2, m) against the signal and against a replicate."""
    low, high = np.quantile(scores[:, 0], _QUANTILES, axis=0)
    return {
        measure.name: Ceiling(
            measure=measure.name,
            value=float(scores[:, 0, i].mean()),
            replicate=float(scores[:, 1, i].mean()),
            halves=halves[:, i],
            expected_halves=float(expected[:, i].mean()) if len(expected) else float("nan"),
            interval=(float(low[i]), float(high[i])),
            correction=correction,
        )
        for i, measure in enumerate(measures)
    }


def _scores(measures: Sequence[Measure], X: FloatArray, Y: FloatArray) -> list[float]:
    """Return the score of Y against the recording X for each measure."""
    reference = Reference.of(checks.flatten(X))
    other = torch.from_numpy(checks.flatten(Y))
    with torch.no_grad():
        return [float(measure.bind(reference)(other)) for measure in measures]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


@dataclass(frozen=True)
class _Model:
    """Estimated signal and noise of a recording.

    Attributes
    ----------
    signal : array, (..., condition, unit)
    noise : array, (..., trial, unit)
        Deviations of the trials from the signal, scaled to unbiased variance.
    condition : array of int, (trial,)
        The condition of each trial.
    """

    signal: FloatArray
    noise: FloatArray
    condition: LabelArray

    @classmethod
    def of(cls, trials: Trials, rng: np.random.Generator) -> _Model:
        average, condition = trials.average(), trials.condition
        counts = np.bincount(condition)[condition]  # number of trials with the condition of each trial
        # Deviations from a mean of m trials have (m - 1) / m of the variance of the noise.
        noise = (trials.responses - average[..., condition, :]) * np.sqrt(counts / (counts - 1))[:, None]
        return cls(average, noise, condition)._deconvolved(rng)

    def _noise(self, rng: np.random.Generator) -> FloatArray:
        """Return as many noises as there are trials: each that of a random trial, with a random sign."""
        chosen = rng.integers(len(self.condition), size=len(self.condition))
        drawn: FloatArray = self.noise[..., chosen, :] * rng.choice([-1.0, 1.0], size=(len(chosen), 1))
        return drawn

    def recording(self, rng: np.random.Generator) -> Trials:
        """Return a simulated recording with the same number of trials of each condition."""
        return Trials(self.signal[..., self.condition, :] + self._noise(rng), self.condition)

    def _deconvolved(self, rng: np.random.Generator) -> _Model:
        """Return the model with the PC variances of the signal, from one with the average as its signal."""
        samples = checks.flatten(self.signal)
        mean = samples.mean(axis=0)
        left, values, axes = nonzero_svd(samples - mean)
        observed = values**2
        averages = (Trials(self._noise(rng), self.condition).average() for _ in range(_SIMULATED))
        # The same noises in every step of the deconvolution, so that its simulated spectra differ by the
        # signal only.
        noises = [noise - noise.mean(axis=0) for noise in map(checks.flatten, averages)]
        total = float(observed.sum()) - self._noise_power(samples.shape[0])
        if total <= 0:
            raise InputError(
                "trials of the same condition differ as much as trials of different conditions: no signal is "
                "left to estimate a noise ceiling from. More trials are needed."
            )

        def simulate(variances: FloatArray) -> FloatArray:
            signal = (left * np.sqrt(variances)) @ axes
            noisy = (signal + noise for noise in noises)
            # Z'Z and ZZ' have the same nonzero eigenvalues; the smaller one is used.
            grams = [Z.T @ Z if Z.shape[0] > Z.shape[1] else Z @ Z.T for Z in noisy]
            mean: FloatArray = eigenvalues(np.stack(grams)).mean(axis=0)[: len(observed)]
            return mean

        restored = (left * np.sqrt(deconvolve(observed, simulate, total, _STEPS))) @ axes + mean
        return replace(self, signal=restored.reshape(self.signal.shape))

    def _noise_power(self, samples: int) -> float:
        """Return the expected sum of squares of the noise in the average, centered over its samples.

        The average over the m trials of a condition holds 1 / m of each trial's noise. Independent noises
        then add up to sum ||noise||^2 / m^2 over trials. Centering over samples subtracts the part in the
        mean.
        """
        bins = self.noise.reshape(-1, *self.noise.shape[-2:])
        power = np.square(bins).sum(axis=(0, 2)) - np.square(bins.sum(axis=0)).sum(axis=1) / samples
        trials = np.bincount(self.condition)[self.condition]
        return float((power / trials**2).sum())
