"""Tables of sensitivities say what the results hold."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from simopt.app.terminal.analysis_tables import bounds_table, learning_tables, sensitivity_tables
from simopt.app.terminal.render import as_rich
from simopt.app.terminal.report_tables import report_tables
from simopt.report.document import Table
from simopt.theory.learning import Comparison, Prediction, StartGradient
from simopt.workflows import derivations
from simopt.workflows.data import Data
from simopt.workflows.derivations import Learned, LearningResult
from simopt.workflows.sensitivity_request import SensitivityRequest
from tests.report.test_exports import collected, made_up, perturbed, region, square

X = np.random.default_rng(0).standard_normal((30, 3)) * (3, 2, 1)


def cells(table: Table) -> list[list[str]]:
    return [list(map(str, row)) for row in table.rows]


def shown(*tables: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    for table in tables:
        console.print(as_rich(table))
    return console.file.getvalue()


def result(*learned: Learned) -> LearningResult:
    return LearningResult("[b]mine", "real", np.array([0.6, 0.3, 0.1]), list(learned))


def test_the_learning_order_beside_a_run_and_without() -> None:
    rates = np.array([[1.0, 3.0, 2.0]])
    captured = np.array([[0.0, 0.0, 0.0], [1.0, 0.25, 0.0]])
    prediction = Prediction("nbs", np.array([0.7, 0.2, 0.1]), np.array([0.0, 1.0]), captured, "")
    run = SimpleNamespace(half_capture=np.array([[0.4, np.nan, 0.8], [0.6, 0.7, np.nan]]))
    comparison = Comparison(0.01, 0.02, 0.9, 2, 1, 1)
    with_run = Learned("nbs", StartGradient(rates), prediction, "", run, comparison)
    without, refused = replace(with_run, run=None), Learned("rsa", None, None, "no", None, None)
    order, half = learning_tables(result(with_run, without, refused))
    assert cells(order)[0] == ["nbs", "2, 3, 1", "0.010", "0.020", "0.900", "2 / 1"]
    assert cells(order)[2] == ["rsa", *["-"] * 5]
    assert [row[1] for row in cells(half)] == ["0.500 / 0.500", "never / never", "never / never"]
    assert [row[2] for row in cells(half)] == ["0.500", "never", "never"]
    assert "[b]mine (real): the learning order" in shown(order)


def test_without_a_prediction_there_is_the_order_alone() -> None:
    (order,) = learning_tables(result(Learned("rsa", None, None, "not predicted", None, None)))
    assert len(cells(order)) == 1


def test_bounds_between_a_measure_and_its_angle() -> None:
    asked = SensitivityRequest(dataset=Data.of(X), measures=["nbs", "procrustes_angular"], log={"dir": None})
    table = bounds_table(derivations.bounds(asked))
    there, back = cells(table)
    angle = [1 - 2 / np.pi * np.arccos(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    cosine = [np.cos(np.pi / 2 * (1 - level)) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    assert there == ["nbs", "procrustes_angular", *(f"{x:.3f} to {x:.3f}" for x in angle)]
    assert back == ["procrustes_angular", "nbs", *(f"{x:.3f} to {x:.3f}" for x in cosine)]


def test_noise_on_all_has_a_row_a_level() -> None:
    found = replace(perturbed(), perturbation="noise_all", strengths=[0.1, 1.0])
    levels, summary = sensitivity_tables(found)
    assert [row[0] for row in cells(levels)] == ["0.1", "1"]
    assert len(cells(summary)) == len(found.curves)
    assert "over 2 seeds" in shown(levels)


@pytest.mark.parametrize(("seeds", "says"), [(0, "theory"), (1, "over 1 seed"), (3, "over 3 seeds")])
def test_a_caption_says_how_many_seeds(seeds: int, says: str) -> None:
    first, *_ = sensitivity_tables(replace(perturbed(), seeds=seeds))
    assert str(first.note).endswith(says)


def test_a_report_shows_runs_and_all_kinds_of_analyses() -> None:
    found = collected(made_up())
    found.joints[:] = [region(), square()]
    *_, sensitivity, ranges, targets = report_tables(found)
    assert sensitivity.caption == "d (real): sensitivity to rotation 45, 90"
    assert ranges.caption == "d (real): joint ranges"
    assert cells(ranges)[0][:2] == ["a and b", f"{region().region.area:.3f}"]
    assert "d (real): a and b" in shown(targets)
