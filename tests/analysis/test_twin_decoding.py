"""The calibration of the surrogates' labels, against what is published of decoding.

Decoded as published: no scaling, C = 1, 200 iterations, 5 shuffled folds, in each time bin.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt import catalogue, measures
from simopt.analysis.decoding import PUBLISHED
from simopt.measures import Reference
from simopt.optimization import Ascent, State
from simopt.optimization.init import GaussianInit

DATA = Path(__file__).parents[1] / "data"
REFERENCE = [
    ("majaj", "category", 0.85),
    ("hatsopoulos", "target", 0.77),
    ("freeman_ziemba", "texture_type", 0.61),
    ("mante", "context", 0.89),
    ("siegel", "context", 0.865),
]
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


@pytest.mark.parametrize(("name", "variable", "published"), REFERENCE)
def test_reference_accuracy(name: str, variable: str, published: float) -> None:
    dataset = simopt.load_dataset(name, source="surrogate")
    found = PUBLISHED.decode(dataset.responses, dataset.labels[variable])
    assert found.accuracy == pytest.approx(published, abs=0.03)


def along_a_run(name: str, measure: str, variables: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Return (score, accuracy) at the first state past each level, by variable."""
    dataset = simopt.load_dataset(name, source="surrogate")
    reference = Reference.of(dataset.samples().astype(np.float32))
    bound = measures.get(measure).bind(reference)
    optimizer = catalogue.build(catalogue.read("optimizer", "adam"), "optimizer")
    found: dict[str, list[tuple[float, float]]] = {variable: [] for variable in variables}
    levels = list(LEVELS)

    def decode(state: State) -> None:
        score = state.score.item()
        if not levels or score < levels[0]:
            return
        while levels and score >= levels[0]:
            levels.pop(0)
        Y = state.moments.Y[0].numpy().reshape(*dataset.responses.shape[:-1], -1)
        for variable in variables:
            accuracy = PUBLISHED.decode(Y, dataset.labels[variable]).accuracy
            found[variable].append((score, accuracy))

    Ascent(bound, GaussianInit()([0], *dataset.samples().shape), optimizer, 0.99, 300).run(decode)
    return found


def published(name: str, measure: str, variable: str) -> tuple[np.ndarray, np.ndarray]:
    lines = (DATA / "published_decoding.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    chosen = [r for r in rows if (r["dataset"], r["measure"], r["variable"]) == (name, measure, variable)]
    return tuple(np.array([float(row[key]) for row in chosen]) for key in ("score", "accuracy"))


TASK = ["choice", "context", "motion", "colour"]


@pytest.mark.parametrize(
    ("name", "measure", "variables"),
    [
        ("majaj", "cka", ["category"]),
        ("majaj", "procrustes_angular", ["category"]),
        pytest.param("mante", "cka", TASK, marks=pytest.mark.slow),
        pytest.param("mante", "procrustes_angular", TASK, marks=pytest.mark.slow),
    ],
)
def test_accuracy_along_a_run_at_equal_score(name: str, measure: str, variables: list[str]) -> None:
    apart = {}
    for variable, points in along_a_run(name, measure, variables).items():
        assert len(points) >= 8
        scores, accuracies = np.array(points).T
        expected = np.interp(scores, *published(name, measure, variable))
        apart[variable] = np.median(np.abs(accuracies - expected))
    assert max(apart.values()) <= 0.06, apart
