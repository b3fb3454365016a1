"""What a run file keeps beside the trajectory: good scores, nulls, a ceiling, attributions of the last Y."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simopt.analysis import ceilings
from simopt.analysis.attribution import Attribution, leave_one_pc, leave_one_sample, leave_one_unit
from simopt.analysis.good_score import good_score
from simopt.analysis.nulls import nulls
from simopt.app.decode import RunDecoding
from simopt.app.schema import RunConfig
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures import Measure
from simopt.store import layout
from simopt.store.layout import Entry
from simopt.typing import FloatArray

Found = tuple[dict[Entry, Any], dict[Entry, dict[str, Any]]]
"""Datasets of the run file, and attributes of some of them."""

_LEFT_OUT: dict[str, Callable[[FloatArray, FloatArray, Measure], Attribution]] = {
    "pcs": leave_one_pc,
    "samples": leave_one_sample,
    "units": leave_one_unit,
}


def good_scores(decoding: RunDecoding) -> dict[Entry, Any]:
    """Return the good score of every variable that the recording itself holds, (R,)."""
    found: dict[Entry, Any] = {}
    for variable, (accuracy, chance, reference) in decoding.curves().items():
        if reference > chance:
            found[layout.good_score(variable)] = good_score(decoding.score(), accuracy, chance, reference)
    return found


def standing(dataset: Dataset, measure: Measure, draws: int) -> Found:
    """Return the scores of data with the spectrum of the recording, and its ceiling if it has trials."""
    X = dataset.samples()
    conditions = dataset.responses.shape[1] if dataset.responses.ndim == 3 else None
    drawn = nulls(X, X, [measure], draws=draws, conditions=conditions)[measure.name]
    results: dict[Entry, Any] = {layout.null(kind): each.scores for kind, each in drawn.items()}
    if dataset.trials is None:
        return results, {}
    ceiling = ceilings.from_trials(dataset.trials, [measure])[measure.name]
    attributes = {
        "value": ceiling.value,
        "replicate": ceiling.replicate,
        "interval": np.array(ceiling.interval),
        "correction": ceiling.correction,
    }
    return {**results, layout.CEILING: ceiling.halves}, {layout.CEILING: attributes}


def attributions(dataset: Dataset, Y: FloatArray, measure: Measure, parts: list[str]) -> Found:
    """Return how the score of each Y (R, samples, units) changes without each part, (R, m)."""
    results: dict[Entry, Any] = {}
    attributes: dict[Entry, dict[str, Any]] = {}
    for part in parts:
        each = [_LEFT_OUT[part](dataset.samples(), y, measure) for y in Y]
        entry = layout.attribution(part)
        results[entry] = np.stack([found.change for found in each])
        attributes[entry] = {"route": each[0].route, "score": np.array([found.score for found in each])}
    return results, attributes


def check(config: RunConfig) -> None:
    """Refuse parts that cannot be left out.

    Raises
    ------
    InputError
    """
    for part in config.attribute:
        if part not in _LEFT_OUT:
            raise InputError(f"attribute holds {part!r}; there are: {', '.join(_LEFT_OUT)}.")
