"""The class ``Ceiling``: what the best model can score, or why this cannot be said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt.checks import as_plain
from simopt.typing import FloatArray

_NONE = (math.nan, math.nan)


@dataclass(frozen=True)
class Ceiling:
    """The noise ceiling of a recording for one measure.

    Attributes
    ----------
    measure : str
    value : float
        The estimated score of the noise-free responses against the recording: the best score that a model can
        expect. NaN if it cannot be estimated; ``reason`` then says why.
    replicate : float
        The expected score of a second recording with as many trials and as much noise against this one.
    halves : array, (splits,)
        Uncorrected scores of one half of the repeats against the other half. Empty if the recording has no
        single trials.
    expected_halves : float
        The expected score of the halves, from the estimated signal and noise; NaN without single trials.
    interval : (float, float)
        The 95 % interval of the score of the noise-free responses against this recording, within the range of
        the measure. NaN if it is not known; it may be known although ``value`` is not. If a signal-to-noise
        ratio was given, it is the interval over simulated recordings, and leaves out the error of the signal.
    correction : str
        How ``value`` was estimated.
    expected_halves_interval : (float, float)
        The 95 % interval of ``expected_halves``. If ``halves`` lie outside of it, the noise is not
        independent between conditions, or its distribution is not the assumed one.
    share : float
        The estimated share of the signal in the variance of the recording.
    reason : str
        Why there is no value; empty if there is one.
    """

    measure: str
    value: float
    replicate: float
    halves: FloatArray
    expected_halves: float
    interval: tuple[float, float]
    correction: str
    expected_halves_interval: tuple[float, float] = _NONE
    share: float = math.nan
    reason: str = ""

    @classmethod
    def none(cls, measure: str, reason: str) -> Ceiling:
        """Return a ceiling that holds no number, only the reason."""
        return cls(measure, math.nan, math.nan, np.empty(0), math.nan, _NONE, "", reason=reason)

    def as_json(self) -> dict[str, Any]:
        """Return the ceiling as JSON values. An unknown value is null; other unknown numbers are left out."""
        halves = float(self.halves.mean()) if len(self.halves) else math.nan
        texts = {"ceiling_correction": self.correction, "ceiling_reason": self.reason}
        numbers: dict[str, float | tuple[float, float]] = {
            "ceiling_interval": self.interval,
            "ceiling_share": self.share,
            "ceiling_halves": halves,
            "ceiling_expected_halves": self.expected_halves,
            "ceiling_expected_halves_interval": self.expected_halves_interval,
        }
        known = {name: as_plain(value) for name, value in numbers.items() if not np.isnan(value).any()}
        return {"ceiling": self.known, **known, **{name: text for name, text in texts.items() if text}}

    @property
    def known(self) -> float | None:
        """The value, or None if there is none."""
        return None if math.isnan(self.value) else self.value
