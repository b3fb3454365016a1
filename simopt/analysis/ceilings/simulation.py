"""Scores of recordings that are simulated with the narrow and the broad spectrum of the signal."""

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
"""The simulated spectra: whether the spectrum is broad, and how many standard errors are added to its sum.
The first two give the expectation, all of them the interval."""
SPREAD = 4.0
"""The half width of intervals in standard deviations of a few simulated scores, whose noise has equal sums of
squares. With 2.5, less than 92 % of the intervals of regressions held the truth."""


@dataclass(frozen=True)
class Simulated:
    """Scores of simulated recordings, each (models, draws, measures).

    Attributes
    ----------
    against_signal, replicate, halves : array
        Scores of a recording against the signal and against a second recording, and of one half of its
        repeats against the other half.
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
    """Simulate ``draws`` recordings with each spectrum, and score them.

    Without ``halves`` they are scored against the signal only.

    Returns
    -------
    array, (3, models, draws, measures)
        The scores against the signal, against a second recording, and of halves, as in :class:`Simulated`.
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
    """Return the mean of the scores ``of`` (models, draws) of one measure, and the ends of their interval.

    The mean is the middle of both spectra or, if ``narrow`` is true, that of the narrow spectrum.
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

    ``rows`` says which samples belong together. The score is NaN if the measure cannot score these data.
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
    """Return the reason for each measure that cannot score a recording against itself, by name."""
    reasons = {}
    for measure in measures:
        try:
            measure.bind(reference)(reference.responses)
        except SimoptError as error:
            reasons[measure.name] = str(error)
    return reasons
