"""The calibration of the surrogates' labels, against what is published of decoding.

Decoded as published: no scaling, C = 1, 200 iterations, 5 shuffled folds, in each time bin.
"""

import numpy as np
import pytest

import simopt
from simopt import catalogue, measures
from simopt.analysis.decoding import PUBLISHED
from simopt.measures import Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.loop import Ascent
from simopt.optimization.state import State
from simopt.report.published import numbers

REFERENCE = [
    ("majaj", "category", 0.85),
    ("hatsopoulos", "target", 0.77),
    ("freeman_ziemba", "texture_type", 0.61),
    ("mante", "context", 0.89),
    ("siegel", "context", 0.865),
]
LEVELS = (0.2, 0.4, 0.6, 0.8, 0.95, 0.99)
"""Scores at which a run is decoded here; the slow test below decodes whole runs."""


@pytest.mark.parametrize(("name", "variable", "published"), REFERENCE)
def test_reference_accuracy(name: str, variable: str, published: float) -> None:
    dataset = simopt.load_dataset(name, source="surrogate")
    decoded = PUBLISHED.decode(dataset.responses, dataset.labels[variable])
    assert decoded.accuracy == pytest.approx(published, abs=0.03)


def along_a_run(name: str, measure: str, variables: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Return (score, accuracy) at the first state past each level, by variable."""
    dataset = simopt.load_dataset(name, source="surrogate")
    reference = Reference.of(dataset.samples().astype(np.float32))
    bound = measures.get(measure).bind(reference)
    optimizer = catalogue.build(catalogue.read("optimizer", "adam"), "optimizer", partial=True)
    curves: dict[str, list[tuple[float, float]]] = {variable: [] for variable in variables}
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
            curves[variable].append((score, accuracy))

    Ascent(bound, GaussianInit()([0], *dataset.samples().shape), optimizer, 0.99, 300).run(decode)
    return curves


def apart(points: tuple[np.ndarray, np.ndarray], curve: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the median distance of accuracies from a curve, at equal score."""
    return float(np.median(np.abs(points[1] - np.interp(points[0], *curve))))


@pytest.mark.parametrize("measure", ["cka", "procrustes_angular"])
def test_accuracy_along_a_run_at_equal_score(measure: str) -> None:
    scores, accuracies = np.array(along_a_run("majaj", measure, ["category"])["category"]).T
    assert len(scores) >= 5
    assert apart((scores, accuracies), numbers.decoding("majaj", measure, "category")) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["cka", "procrustes_angular"])
@pytest.mark.parametrize(
    ("name", "variables"),
    [("majaj", ["category"]), ("mante", ["choice", "context", "motion", "colour"])],
)
def test_a_run_with_the_published_decoder(name: str, measure: str, variables: list[str]) -> None:
    dataset = simopt.load_dataset(name, source="surrogate")
    run = simopt.optimize(dataset, measure, decoder="published").run
    assert set(run.decoding) == set(variables)
    scores = run.decoding_score[:, 0]
    past = scores >= 0.1
    assert past.sum() >= 10
    distances = {
        variable: apart((scores[past], accuracy[past, 0]), numbers.decoding(name, measure, variable))
        for variable, accuracy in run.decoding.items()
    }
    assert max(distances.values()) <= 0.06, distances
