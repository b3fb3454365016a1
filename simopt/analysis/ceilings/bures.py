"""Ceilings of NBS: ||A'S||_* / (||A|| ||S||) of the average A of the repeats against the signal S."""

from __future__ import annotations

import numpy as np

from simopt.analysis.ceilings.noise import Noise
from simopt.analysis.ceilings.spectra import Signal

ERRORS = 2.5
"""The interval covers this many standard errors of ||S||^2. With 2, it often missed the truth for few
units."""
_LEAST, _UNSEEN = 0.004, 0.02
"""The interval is widened on both sides: by the first number because the noise is drawn at random, and by the
second times the share of noise in the average because the directions have errors."""


def estimate(signal: Signal, noise: Noise, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the NBS of the average against the signal, and the ends of its 95 % interval.

    With S = U D V' and A = S + N, S'A = V D (D V' + U'N) depends on the noise N only through U'N (r, units).
    U'N is drawn once and used with both signs, so that terms linear in the noise cancel.
    """
    drawn = noise.along(signal.left, rng)
    root = np.sqrt(signal.total)

    def nbs(*, broad: bool, errors: float = 0.0) -> float:
        spectrum = signal.spectrum(broad=broad, errors=errors)
        used = spectrum > 0
        length = np.sqrt(spectrum[used])[:, None]
        clean = length * signal.right[used]
        nuclear = [
            np.linalg.svd(length * (clean + sign * drawn[used]), compute_uv=False).sum() for sign in (1, -1)
        ]
        return float(np.mean(nuclear) / (root * np.sqrt(spectrum.sum()))) if used.any() else 0.0

    value = (nbs(broad=False) + nbs(broad=True)) / 2
    margin = _LEAST + _UNSEEN * (1 - signal.share)
    return (
        value,
        nbs(broad=False, errors=-ERRORS * signal.caution) - margin,
        nbs(broad=True, errors=ERRORS) + margin,
    )
