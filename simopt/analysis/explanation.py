"""The result of comparing a user's data with a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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

_SHOWN = (
    "dataset", "source", "samples", "units", "no_ceiling", "nulls", "unused_labels", "defects", "advice",
)  # fmt: skip


@dataclass(frozen=True)
class Own:
    """What the user's data capture of the recording.

    Attributes
    ----------
    captured : array, (K,)
        Captured variance of each PC of the recording.
    mask : array of bool, (K,)
        Which PCs are captured; see :func:`simopt.analysis.defects.is_captured`.
    decoding : dict of float
        Accuracy with which each task variable is decoded from the user's data.
    """

    captured: FloatArray
    mask: npt.NDArray[np.bool_]
    decoding: dict[str, float]


@dataclass(frozen=True)
class Explained:
    """The result for one measure: the score of the user's data, and a dataset optimized to the same score.

    Attributes
    ----------
    standing : Standing
        The score with its null and the noise ceiling.
    units : int
        Number of units of the optimized dataset.
    reading : Reading
        What the optimized dataset captures at the user's score.
    good : dict of GoodScore
        For each task variable the score from which on it is decodable.
    run : Path or None
        File of the run that optimized the dataset; None if it is not stored.
    verdict : Verdict
        Whether the measure is informative on this recording.
    """

    standing: Standing
    units: int
    reading: Reading
    good: dict[str, GoodScore]
    run: Path | None
    verdict: Verdict


@dataclass(frozen=True)
class Explanation:
    """The comparison of a user's data with a recording.

    Attributes
    ----------
    dataset, source : str
        Name of the recording, and ``real`` or ``surrogate``.
    shape : tuple of int
        Shape of the responses of the recording.
    units : int
        Number of units of the user's data.
    variance_ratio : array, (K,)
        Share of each PC in the variance of the recording.
    reference : dict of dict
        For each task variable how well it is decoded from the recording.
    own : Own
        What the user's data capture of the recording.
    explained : list of Explained
        The results for each measure.
    no_ceiling : str
        Why there is no noise ceiling; empty if there is one.
    defects : list of Defect
        What is wrong with the user's data.
    advice : list of str
        Sentences on which measure to use.
    nulls : list of str
        Lines on what the nulls of the scores exchange and why, or why a score has no percentile, and on
        repeats or classes found among the samples.
    unused_labels : dict of str
        The reason, as a clause, for each label of the recording that is not used to judge a measure: it
        cannot be decoded from the recording, or it is no task variable.
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
    nulls: list[str] = field(default_factory=list)
    unused_labels: dict[str, str] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of samples of the recording."""
        return math.prod(self.shape[:-1])

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values. The first PC has the number 1."""
        reference = {
            variable: {name: float(facts[name]) for name in DECODING_ATTRIBUTES if name in facts}
            for variable, facts in self.reference.items()
        }
        user_data = _content(self.own.captured, self.own.mask, self.own.decoding)
        shown = {name: getattr(self, name) for name in _SHOWN}
        measures = {explained.standing.measure: _measure(explained) for explained in self.explained}
        plain: dict[str, Any] = checks.as_plain(
            {**shown, "reference": reference, "own": user_data, "measures": measures}
        )
        return plain


def _measure(explained: Explained) -> dict[str, Any]:
    reading, verdict = explained.reading, explained.verdict
    return {
        **explained.standing.as_json(),
        "steps": reading.steps,
        "noise": reading.start,
        "end": reading.end,
        **_content(reading.captured, reading.half, reading.decoding),
        "good_score": {variable: good.as_json() for variable, good in explained.good.items()},
        "verdict": verdict.kind,
        "gap": verdict.gap,
        "reason": verdict.reason,
        "run": explained.run,
    }


def _content(captured: FloatArray, mask: npt.NDArray[np.bool_], decoding: dict[str, float]) -> dict[str, Any]:
    return {"captured_variance": captured, "pcs": np.flatnonzero(mask) + 1, "decoding": decoding}
