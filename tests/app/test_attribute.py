"""``simopt attribute``."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import simopt as package
from simopt import datasets
from simopt.app.cli import app


@pytest.fixture
def pair(tmp_path: Path, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((40, 6))
    Y = X[:, :5] + rng.standard_normal((40, 5))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", Y)
    return X, Y


def test_a_ranked_table_and_a_figure(simopt, pair, tmp_path: Path) -> None:
    done = simopt("attribute", "X.npy", "Y.npy", "measure=cka", "--top", "3", "--figure", "pcs.svg")
    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        f"Y against X (real): cka {package.score(*pair):.6f}",
        "PC 1 ",
        "brings X and Y closer",
        "3 of 6",
    ):
        assert part in done.stdout
    assert b"<svg" in (tmp_path / "pcs.svg").read_bytes()
    found = json.loads(simopt("attribute", "X.npy", "Y.npy", "--json").stdout)
    ranked = [f"PC {i + 1} " for i in found["ranking"][:3]]
    assert sorted(ranked, key=done.stdout.index) == ranked
    assert sum(f"PC {i} " in done.stdout for i in range(1, 7)) == 3


def test_samples_of_a_file(simopt, pair) -> None:
    X, Y = pair
    arguments = ("measure=linreg", "measure.direction=both", "--by", "samples", "--json")
    found = json.loads(simopt("attribute", "X.npy", "Y.npy", *arguments).stdout)
    wanted = [
        package.score(np.delete(X, j, 0), np.delete(Y, j, 0), "linreg", direction="both") for j in range(40)
    ]
    np.testing.assert_allclose(found["change"], np.array(wanted) - found["score"], atol=1e-10)
    assert (found["part"], found["route"], found["refitted"]) == ("sample", "downdate", 0)
    assert sorted(found["ranking"]) == list(range(40))
    assert found["about"] == {}


def test_conditions_of_a_dataset_are_named(simopt, tmp_path: Path) -> None:
    dataset = datasets.load("freeman_ziemba", source="surrogate")
    np.save(tmp_path / "Y.npy", dataset.samples()[:, :20])
    arguments = ("dataset.source=surrogate", "--by", "samples")
    done = simopt("attribute", "freeman_ziemba", "Y.npy", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(simopt("attribute", "freeman_ziemba", "Y.npy", *arguments, "--json").stdout)
    j = found["ranking"][0]
    assert len(found["ranking"]) == 135
    kind = dataset.labels["texture_type"][j]
    assert "Y against freeman_ziemba (surrogate): cka" in done.stdout
    assert f"condition {j} " in done.stdout
    assert f"texture_type {kind}" in done.stdout
    assert (found["source"], found["about"]["texture_type"][j]) == ("surrogate", kind)


@pytest.mark.parametrize(
    ("by", "part", "count"),
    [("units", "unit of Y", 5), pytest.param("x-units", "unit of X", 6, marks=pytest.mark.slow)],
)
def test_units_of_either_side(simopt, pair, by: str, part: str, count: int) -> None:
    done = simopt("attribute", "X.npy", "Y.npy", "measure=rsa", "--by", by)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{part} {count - 1}" in done.stdout
    assert ("first order" in done.stdout) == (by == "units")
    found = json.loads(simopt("attribute", "X.npy", "Y.npy", "measure=rsa", "--by", by, "--json").stdout)
    assert (len(found["change"]), found["route"], found["refitted"]) == (count, "refit", count)
    assert (found["first_order"] is None) == (by == "x-units")


def test_a_measure_of_ones_own(simopt, pair, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def inner(X, Y):\n    return (X[:, :5] * Y).sum() / X.norm() / Y.norm()\n"
    )
    done = simopt("attribute", "X.npy", "Y.npy", "measure._target_=mine.inner", "--by", "samples", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["measure"], len(found["change"])) == ("inner", 40)


def test_an_undefined_change_is_said(simopt, pair, tmp_path: Path) -> None:
    lonely = np.zeros((40, 2))
    lonely[5] = 1
    np.save(tmp_path / "lonely.npy", lonely)
    arguments = ("attribute", "lonely.npy", "Y.npy", "--by", "samples")
    done = simopt(*arguments, "--top", "40")
    assert done.returncode == 0
    assert "undefined" in done.stdout
    assert "sample 5: X is the same in all 39 samples" in done.stdout
    found = json.loads(simopt(*arguments, "--json").stdout)
    assert found["change"][5] is None
    assert found["ranking"][-1] == 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["X.npy", "Y.npy", "measure=nbz"], "the nearest: nbs"),
        (["X.npy", "short.npy"], "X has 40 samples and Y has 39"),
        (
            ["X.npy", "Y.npy", "measure=linreg_cv5", "measure.conditions=10", "--by", "samples"],
            "10 conditions",
        ),
    ],
)
def test_bad_input(simopt, pair, tmp_path: Path, arguments: list[str], says: str) -> None:
    np.save(tmp_path / "short.npy", pair[1][1:])
    done = simopt("attribute", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["X.npy", "Y.npy", "measure=cka,nbs"], "takes one measure"),
        (["X.npy", "Y.npy", "measure=all"], "takes one measure"),
        (["X.npy", "Y.npy", "mesure=nbs"], "give measure=NAME"),
        (["X.npy", "Y.npy", "dataset=majaj"], "give measure=NAME"),
        (["X.npy", "Y.npy", "measure.direction=up"], "no option 'direction'"),
        (["X.npy", "Y.npy", "--figure", "figure.bmp"], "a figure is a .png, .pdf or .svg file"),
        (["X.npy", "none.npy"], "no such file"),
        (["majah", "Y.npy"], "the nearest: majaj"),
        (["narrow.npy", "Y.npy"], "X has only one principal component"),
        (["X.npy", "narrow.npy", "--by", "units"], "Y has only one unit"),
    ],
)
def test_bad_input_in_this_process(
    pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "narrow.npy", pair[0][:, :1])
    done = CliRunner().invoke(app, ["attribute", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr
