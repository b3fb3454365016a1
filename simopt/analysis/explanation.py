"""What is said of a user's data beside a recording, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simopt import checks
from simopt.analysis.advice import Verdict
from simopt.analysis.defects import Defect
from simopt.analysis.good_score import GoodScore
from simopt.analysis.reading import Reading
from simopt.analysis.standing import Standing
from simopt.store.layout import DECODING_ATTRIBUTES
from simopt.typing import FloatArray

_SHOWN = ("dataset", "source", "samples", "units", "no_ceiling", "defects", "advice")


@dataclass(frozen=True)
class Own:
    """The user's data themselves.

    Attributes
    ----------
    captured : array, (K,)
        Captured variance of each PC of the recording.
    mask : array of bool, (K,)
        Which PCs are captured.
    decoding : dict of float
    """

    captured: FloatArray
    mask: npt.NDArray[np.bool_]
    decoding: dict[str, float]


@dataclass(frozen=True)
class Explained:
    """One measure: where the score stands, and what an optimized dataset, of so many units, has at it."""

    standing: Standing
    units: int
    reading: Reading
    good: dict[str, GoodScore]
    run: Path | None
    verdict: Verdict


@dataclass(frozen=True)
class Explanation:
    """All that is said of a recording and a user's data.

    Attributes
    ----------
    dataset, source : str
        Of the recording.
    shape : tuple of int
        Of its responses.
    units : int
        Of the user's data.
    variance_ratio : array, (K,)
    reference : dict of dict
        By task variable what was decoded from the recording.
    own : Own
    explained : list of Explained
    no_ceiling : str
        Why there is none; empty where there is one.
    defects : list of Defect
    advice : list of str
    """

    dataset: str
    source: str
    shape: tuple[int, ...]
    units: int
    variance_ratio: FloatArray
    reference: dict[str, dict[str, Any]]
    own: Own
    explained: list[Explained]
    no_ceiling: str
    defects: list[Defect]
    advice: list[str]

    @property
    def samples(self) -> int:
        """The number of samples."""
        return math.prod(self.shape[:-1])

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; PCs are numbered from 1."""
        reference = {
            variable: {name: float(facts[name]) for name in DECODING_ATTRIBUTES}
            for variable, facts in self.reference.items()
        }
        own = _what_it_has(self.own.captured, self.own.mask, self.own.decoding)
        shown = {name: getattr(self, name) for name in _SHOWN}
        measures = {each.standing.measure: _measure(each) for each in self.explained}
        plain: dict[str, Any] = checks.as_plain(
            {**shown, "reference": reference, "own": own, "measures": measures}
        )
        return plain


def _measure(each: Explained) -> dict[str, Any]:
    reading, verdict = each.reading, each.verdict
    return {
        **each.standing.as_json(),
        "steps": reading.steps,
        "noise": reading.start,
        "end": reading.end,
        **_what_it_has(reading.captured, reading.half, reading.decoding),
        "good_score": {variable: good.as_json() for variable, good in each.good.items()},
        "verdict": verdict.kind,
        "gap": verdict.gap,
        "reason": verdict.reason,
        "run": each.run,
    }


def _what_it_has(
    captured: FloatArray, mask: npt.NDArray[np.bool_], decoding: dict[str, float]
) -> dict[str, Any]:
    return {"captured_variance": captured, "pcs": np.flatnonzero(mask) + 1, "decoding": decoding}
