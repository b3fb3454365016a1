"""``simopt sensitivity --learning``: the predicted learning order, beside the runs that are stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt.app import inputs, stored
from simopt.app.sensitivity import Request
from simopt.datasets import Dataset
from simopt.errors import SimoptError
from simopt.store.reader import Run
from simopt.theory.learning import Comparison, Prediction, StartGradient, compare, gradient_at_start, predict

_STARTS = (0, 1, 2)


@dataclass(frozen=True)
class Learned:
    """What is predicted of one measure, and what a stored run did.

    Attributes
    ----------
    measure : str
    start : StartGradient or None
        None without a gradient.
    prediction : Prediction or None
    refusal : str
        Why nothing is predicted; empty where something is.
    run : Run or None
        A finished one of this measure on the same data.
    comparison : Comparison or None
    """

    measure: str
    start: StartGradient | None
    prediction: Prediction | None
    refusal: str
    run: Run | None
    comparison: Comparison | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; PCs are counted from 1, never is null."""
        comparison = self.comparison
        return {
            "first_pcs": None if self.start is None else (self.start.order[:10] + 1).tolist(),
            "half_capture": None if self.prediction is None else _listed(self.prediction.half_capture()),
            "assumption": None if self.prediction is None else self.prediction.assumption,
            "refusal": self.refusal or None,
            "run": None if self.run is None else str(self.run.path),
            "run_half_capture": None if self.run is None else _listed(half_of(self.run)),
            "median_difference": None if comparison is None else comparison.median_difference,
            "largest_difference": None if comparison is None else comparison.largest_difference,
            "rank_correlation": None if comparison is None else comparison.rank_correlation,
        }


def half_of(run: Run) -> np.ndarray:
    """Return the half captures of a finished run, (K,): medians over replicates, NaN for never."""
    half = np.where(np.isnan(run.half_capture), np.inf, run.half_capture)  # type: ignore[arg-type]
    middle = np.median(half, axis=0)
    return np.where(np.isinf(middle), np.nan, middle)


def learning(asked: Request, config_dir: Path | None = None) -> tuple[Dataset, list[Learned]]:
    """Predict, for each measure, which PCs are learned first and where each is half captured.

    Raises
    ------
    InputError
        Data that cannot be used.
    """
    dataset = inputs.recording(asked.data, config_dir)
    return dataset, [_learned(asked, dataset, name) for name in asked.measures]


def _learned(asked: Request, dataset: Dataset, name: str) -> Learned:
    X = dataset.samples()
    samples, units = X.shape
    start = prediction = comparison = None
    refusal = ""
    try:
        start = gradient_at_start(X, asked.measures[name], _STARTS)
        prediction = predict(dataset.spectrum(), samples, units, name, seeds=_STARTS)
    except SimoptError as error:
        refusal = str(error)
    folder = Path(asked.config.dir).expanduser() / dataset.name / name
    run = stored.best(folder, dataset.data_hash(), asked.nodes[name])
    if prediction is not None and run is not None:
        comparison = compare(prediction, run.half_capture)  # type: ignore[arg-type]
    return Learned(name, start, prediction, refusal, run, comparison)


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
