"""Scores of simulated recordings whose signal has a spectrum from the bracket, for any measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simopt import checks
from simopt.analysis.ceilings.bures import ERRORS
from simopt.analysis.ceilings.noise import Noise
from simopt.analysis.ceilings.recording import Recording
from simopt.analysis.ceilings.spectra import Signal
from simopt.errors import SimoptError
from simopt.measures import Measure, Reference
from simopt.rows import Rows
from simopt.typing import FloatArray

Range = tuple[float, float, float]
"""A value and the ends of its 95 % interval."""
MODELS = ((False, 0.0), (True, 0.0), (False, -ERRORS), (False, ERRORS), (True, ERRORS))
"""Whether the spectrum is broad, and how many standard errors of its sum are added. The first two give the
expectation, all of them the interval."""
SPREAD = 4.0
"""Standard deviations of simulated scores on either side of an interval. They come from a few draws, whose
noises have equal sums of squares; with 2.5, intervals of regressions held the truth in less than 92 %."""


@dataclass(frozen=True)
class Simulated:
    """Scores of simulated recordings, each (models, draws, measures).

    Attributes
    ----------
    against_signal, replicate, halves : array
        Scores of the signal, of a second recording, and of one half of the repeats against the other half.
    """

    against_signal: FloatArray
    replicate: FloatArray
    halves: FloatArray


def simulate(
    recording: Recording,
    noise: Noise,
    signal: Signal,
    spectra: Sequence[FloatArray],
    measures: Sequence[Measure],
    draws: int,
    rng: np.random.Generator,
    *,
    halves: bool = True,
) -> FloatArray:
    """Score ``draws`` recordings for each of the spectra; without ``halves``, against the signal alone.

    Returns
    -------
    array, (3, models, draws, measures)
        The scores against the signal, of a replicate, and of halves.
    """
    # Halves of m repeats leave one out if m is odd.
    louder = np.sqrt(float((recording.counts / (recording.counts // 2)).mean()))
    found = []
    for spectrum in spectra:
        S = signal.responses(spectrum)
        for draw in range(draws):
            if draw % 2 == 0:
                one, two, three = (_sized(noise, rng) for _ in range(3))
            else:  # what is linear in the noise cancels
                one, two, three = -one, -two, -three
            first = Reference.of(checks.flatten(S + one))
            pairs = [(first, S)]
            if halves:
                half = Reference.of(checks.flatten(S + louder * one))
                pairs += [(first, S + two), (half, S + louder * three)]
            scored = [scores(measures, side, other, recording.rows) for side, other in pairs]
            found.append(scored + [[np.nan] * len(measures)] * (3 - len(scored)))
    shaped: FloatArray = np.moveaxis(np.array(found).reshape(len(spectra), draws, 3, len(measures)), 2, 0)
    return shaped


def _sized(noise: Noise, rng: np.random.Generator) -> FloatArray:
    """Return a noise of the expected sum of squares: its error is that of ||S||^2, which the spectra have."""
    drawn = noise.draw(rng)
    drawn = drawn - drawn.mean(axis=(0, 1))
    power = float(np.square(drawn).sum())
    sized: FloatArray = drawn * np.sqrt(noise.power / power) if power > 0 else drawn
    return sized


def expected(of: FloatArray, *, narrow: bool = False) -> Range:
    """Return the expectation of scores (models, draws) of one measure, and the ends of their interval.

    ``narrow`` is whether the expectation is that of the narrow spectrum alone, instead of the middle of both.
    """
    means = of.mean(axis=1)
    # The spread is common to all models, so that a few draws of each are enough.
    margin = SPREAD * float(np.sqrt(of.var(axis=1, ddof=1).mean()))
    value = means[0] if narrow else means[:2].mean()
    return float(value), float(means.min() - margin), float(means.max() + margin)


def scores(
    measures: Sequence[Measure], X: FloatArray | Reference, Y: FloatArray, rows: Rows | None = None
) -> list[float]:
    """Return the score of Y (..., units) against the recording X for each measure.

    ``rows`` says which samples belong together. The score is NaN for a measure that cannot score them.
    """
    reference = Reference.of(X if isinstance(X, Reference) else checks.flatten(X), rows=rows)
    other = torch.from_numpy(checks.flatten(Y))
    found = []
    for measure in measures:
        try:
            with torch.no_grad():
                found.append(float(measure.bind(reference)(other)))
        except SimoptError:
            found.append(float("nan"))
    return found


def without_score(reference: Reference, measures: Sequence[Measure]) -> dict[str, str]:
    """Return for each measure that cannot score a recording against itself why it cannot."""
    reasons = {}
    for measure in measures:
        try:
            measure.bind(reference)(reference.responses)
        except SimoptError as error:
            reasons[measure.name] = str(error)
    return reasons
