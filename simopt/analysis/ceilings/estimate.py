"""Noise ceilings from repeated trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simopt import checks
from simopt.analysis.ceilings import bures, families, kernels
from simopt.analysis.ceilings.ceiling import Ceiling
from simopt.analysis.ceilings.noise import Noise
from simopt.analysis.ceilings.recording import NoCeilingError, Recording
from simopt.analysis.ceilings.simulation import (
    MODELS,
    Range,
    Simulated,
    expected,
    scores,
    simulate,
    without_score,
)
from simopt.analysis.ceilings.spectra import Signal, limited
from simopt.analysis.nulls import stream
from simopt.datasets.trials import Trials
from simopt.measures import Measure, Reference
from simopt.rows import Rows
from simopt.typing import FloatArray

SPLITS = 4
CERTAIN, SHARE = 2.0, 0.25
"""The signal has no interval and no value if its sum of squares is less than the first number of standard
errors. It has no value if its share of the sum of squares of the average is less than the second: in
simulations values were then too high by .03 to .2."""
_ERRORS = 3.0
"""The half width of the interval of CKA in root mean squared errors, which a few simulations estimate."""
_DRAWS, _FEWEST, _SIZE = 6, 3, 1_000_000
"""The largest and smallest number of recordings simulated per spectrum; in between, their size in numbers."""
_QUARTERS = 4
"""Parts of the repeats at most: products of four kernels need parts that share no noise."""
_CORRECTIONS = {
    "cka": "kernel of the signal from parts of the repeats",
    "cka_debiased": "kernel of the signal from parts of the repeats",
    "nbs": "between the narrowest and the broadest spectrum of the signal",
}
_SIMULATED = "simulated with the narrowest and the broadest spectrum of the signal"


def from_trials(
    trials: Trials, measures: Sequence[Measure], *, splits: int = SPLITS, rows: Rows | None = None
) -> dict[str, Ceiling]:
    """Estimate the noise ceilings of measures, similarities or distances, from repeated trials.

    A ceiling is the score of the average A of all repeats against the noise-free signal S of the same
    conditions. The constant that each repeat (run, session) adds to a unit is removed first. The noise in A
    is estimated from the deviations of trials from the mean of their condition. For M repeats of C conditions
    they have (M - 1)(C - 1) degrees of freedom. The spectrum of S (squared singular values) is known only to
    lie between a narrow and a broad one.

    - CKA and debiased CKA need ||K_S||^2, where K_S is the kernel of the signal. It is estimated by inner
      products of kernels of disjoint parts of the repeats. The width of the interval is the error of this
      estimate in recordings that are simulated with the two spectra.
    - NBS and angular Procrustes depend on the whole spectrum. Its visible part is debiased. The remaining
      variance is given to as few PCs as the noise can hide (narrow), or to all (broad). The value is the
      middle of the two scores. The interval covers both, with 2.5 standard errors of ||S||^2.
    - All other measures score recordings that are simulated with the two spectra. The interval covers both
      scores. Least squares and canonical correlations count directions of the signal however small they are;
      their value is the score of the narrow spectrum.

    A ceiling has a reason instead of a value if there are fewer than 2 repeats or 20 conditions, or if the
    sum of squares of the signal is less than a quarter of that of A or 2 standard errors. The table of
    ``scripts/calibrate_ceilings.py`` shows how often intervals hold the known score of simulated recordings.
    Values of cross-validated least squares are up to .09 too high for spike counts of skewed rates.

    Noise is assumed to be independent between conditions. If it is not, ``halves`` lies outside of
    ``expected_halves_interval``.

    Parameters
    ----------
    trials : Trials
        Responses with at least 2 trials of each condition; NaN where a unit has no value in a trial.
    measures : sequence of Measure
        Measures with different names.
    splits : int, >= 0
        Number of random splits of the repeats into halves. 0: ``halves`` and ``replicate`` are left out.
    rows : Rows, optional
        Which samples of the average belong together: folds of cross-validated measures keep groups together.

    Returns
    -------
    dict of Ceiling, by name of the measure
        There is one for every measure. A ceiling without a value has a reason.

    References
    ----------
    Song et al. 2012, Feature Selection via Dependence Maximization, JMLR 13:1393-1434.
    Benaych-Georges & Nadakuditi 2012, doi:10.1016/j.jmva.2012.04.019.
    Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4.
    """
    try:
        recording = Recording.of(trials, rows)
    except NoCeilingError as error:
        return {measure.name: Ceiling.none(measure.name, str(error)) for measure in measures}
    noise = Noise.of(recording)
    signal = Signal.of(recording.average, noise)
    refused = without_score(Reference.of(checks.flatten(recording.average), rows=rows), measures)
    usable = [measure for measure in measures if measure.name not in refused]
    # One stream for splits and simulations, which all measures share. CKA and NBS have streams of their own.
    rng = stream(0, 0)
    halves = _halves(recording, usable, splits, rng)
    reasons = {measure.name: _reason(measure, signal, recording) for measure in usable}
    others = [measure for measure in usable if not (families.core(measure) or reasons[measure.name])]
    found_cka, squares = _kernels(recording, noise)
    spectra = []
    for broad, errors in MODELS:
        spectrum = signal.spectrum(broad=broad, errors=errors * (signal.caution if errors < 0 else 1))
        spectra.append(limited(spectrum, squares) if broad else spectrum)
    simulated = _simulated(recording, noise, signal, usable, others, spectra, halves=splits > 0, rng=rng)
    cores = {part[0] for measure in usable if (part := families.core(measure)) is not None}
    ranges: dict[str, Range] = {}
    if cores & set(kernels.CORES):
        ranges |= _cka(recording, noise, signal, found_cka, squares)
    if "nbs" in cores:
        ranges["nbs"] = bures.estimate(signal, noise, stream(0, 3))
    found = {name: Ceiling.none(name, reason) for name, reason in refused.items()}
    for index, measure in enumerate(usable):
        part = families.core(measure)
        if part is None:
            narrow = families.counts_directions(measure)
            middle, low, high = expected(simulated.against_signal[..., index], narrow=narrow)
            spanned = middle, families.lowered(measure, middle, low), high
            correction = _SIMULATED
        else:
            spanned, correction = families.applied(part[1], *ranges[part[0]]), _CORRECTIONS[part[0]]
        value, low, high = families.within(measure, *spanned)
        reason = reasons[measure.name]
        if not reason and math.isnan(value):
            reason = "the score of simulated recordings is undefined"
        half = families.within(measure, *expected(simulated.halves[..., index]))
        found[measure.name] = Ceiling(
            measure=measure.name,
            value=math.nan if reason else value,
            replicate=expected(simulated.replicate[..., index])[0],
            halves=halves[:, index],
            expected_halves=half[0],
            interval=(low, high) if signal.certain >= CERTAIN else (math.nan, math.nan),
            correction=correction,
            expected_halves_interval=half[1:],
            share=signal.share,
            reason=reason,
        )
    return {measure.name: found[measure.name] for measure in measures}


def _reason(measure: Measure, signal: Signal, recording: Recording) -> str:
    """Return why there is no value; empty if there is one."""
    if signal.certain < CERTAIN:
        return (
            f"the signal is not told from the noise: its sum of squares is {max(signal.certain, 0):.1f} "
            f"standard errors, less than {CERTAIN:.0f}; more repeats are needed"
        )
    if signal.share < SHARE:
        return (
            f"the signal holds {signal.share:.0%} of the variance of the average, less than {SHARE:.0%}; "
            "more repeats are needed"
        )
    return families.limit(measure, signal.share, recording.average.shape)


def _halves(
    recording: Recording, measures: Sequence[Measure], splits: int, rng: np.random.Generator
) -> FloatArray:
    """Return the scores of halves against each other, (splits, measures)."""
    if np.ptp(recording.counts) == 0:  # two repeats have a single split, three have three
        splits = min(splits, {2: 1, 3: 3}.get(recording.fewest, splits))
    drawn = recording.parts(2, splits, rng, even=True)
    scored = [scores(measures, one, other, recording.rows) for one, other in drawn]
    return np.array(scored).reshape(splits, len(measures))


def _simulated(
    recording: Recording,
    noise: Noise,
    signal: Signal,
    measures: Sequence[Measure],
    others: Sequence[Measure],
    spectra: Sequence[FloatArray],
    *,
    halves: bool,
    rng: np.random.Generator,
) -> Simulated:
    """Return scores of simulated recordings for all measures, or without ``halves`` for ``others`` alone.

    The scores of all the others are NaN.
    """
    # Of CKA and NBS the simulations give the halves and the replicate, for which two are enough.
    draws = max(_FEWEST, min(_DRAWS, _SIZE // recording.average.size)) if others else 2
    chosen = [measure for measure in measures if halves or measure in others]
    found = np.full((3, len(MODELS), draws, len(measures)), np.nan)
    if chosen:
        columns = [measures.index(measure) for measure in chosen]
        found[..., columns] = simulate(recording, noise, signal, spectra, chosen, draws, rng, halves=halves)
    return Simulated(*found)


def _kernels(recording: Recording, noise: Noise) -> tuple[FloatArray, float]:
    """Return CKA and debiased CKA of the average against the signal, (2,), and ||K_S||^2."""
    # With 12 splits instead of 3 the error of CKA of 100 conditions falls from .0103 to .0097 for 2 to 9
    # repeats, and from .0061 to .0046 for 4 to 9; for 8 repeats of each only from .0032 to .0031.
    splits = 12
    if np.ptp(recording.counts) == 0:
        # Two repeats have one split; four have one into quarters, which make three pairs of halves.
        splits = {2: 1, 4: 1}.get(recording.fewest, 3)
    return kernels.estimates(recording, noise, splits, stream(0, 1))


def _cka(
    recording: Recording, noise: Noise, signal: Signal, values: FloatArray, squares: float
) -> dict[str, Range]:
    margins = _ERRORS * _errors(recording, noise, signal, squares)
    low = np.sqrt(np.maximum(values**2 - signal.caution * margins, 0))
    high = np.sqrt(values**2 + margins)
    ranges = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return dict(zip(kernels.CORES, ranges, strict=True))


def _errors(recording: Recording, noise: Noise, signal: Signal, squares: float) -> FloatArray:
    """Return the root mean squared errors of squared CKA and debiased CKA, (2,), for the worse spectrum.

    The squares are estimated from products of kernels, so that their errors depend little on their size. The
    spectra have the sum of squares that the repeats show.
    """
    rng = stream(0, 2)
    T, C, units = recording.average.shape
    groups = min(recording.fewest, _QUARTERS)
    draws = max(_FEWEST, min(_DRAWS, _SIZE // (groups * recording.average.size)))
    condition = np.repeat(np.arange(C), groups)
    errors = []
    for broad in (False, True):
        S = signal.responses(limited(signal.spectrum(broad=broad), squares))
        deviations = []
        for _ in range(draws):
            noises = np.stack([noise.draw(rng) for _ in range(groups)], axis=2) * np.sqrt(groups)
            drawn = Recording.of(Trials((S[:, :, None] + noises).reshape(T, C * groups, units), condition))
            estimated, _ = kernels.estimates(drawn, Noise.of(drawn), 3 if groups == 3 else 1, rng)
            true = kernels.scores(checks.flatten(drawn.average), checks.flatten(S))
            deviations.append(estimated**2 - true**2)
        errors.append(np.sqrt(np.mean(np.square(deviations), axis=0)))
    worse: FloatArray = np.max(errors, axis=0)
    return worse
