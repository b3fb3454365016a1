"""Which files a report is about."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt.analysis import sensitivity
from simopt.errors import InputError
from simopt.ranges import result as joint
from simopt.report.selection import ANALYSES, drawn, find, fits, keeps, nothing_left, parse
from simopt.store.reader import Run

FACTS = {
    "dataset": ["majaj"],
    "measure": ["cka", "nbs"],
    "source": ["surrogate"],
    "status": ["finished"],
    "run": ["surrogate-0123456789ab"],
}


def run(dataset: str, measure: str, steps: int = 2) -> Run:
    return Run(
        path=Path(dataset) / measure / "real-1" / "run.h5",
        attributes={"dataset": dataset, "source": "real", "measure": measure},
        status="finished",
        pc_variance=np.ones(1),
        step=np.arange(steps),
        score=np.zeros((steps, 1)),
        captured_variance=np.zeros((steps, 1, 1)),
        tracked={},
        half_capture=None,
    )


def test_the_analyses_are_those_that_are_stored() -> None:
    assert {sensitivity.ANALYSIS, joint.ANALYSIS} == set(ANALYSES)


def test_filters_and_places_are_told_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "measure=cka").mkdir()
    asked = parse(["a/b=c", "measure=cka,nbs", "measure=[ linreg ]", "./measure=cka", "source=real"])
    assert asked.places == [Path("a/b=c"), Path("measure=cka")]
    assert asked.filters == {"measure": ["cka", "nbs", "linreg"], "source": ["real"]}
    assert parse(["status=failed"]).places == [Path("outputs")]


def test_patterns_give_what_is_there_sorted(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("b/cka", "a/cka", "a/nbs", "odd[1]"):
        (tmp_path / name).mkdir(parents=True)
    assert parse(["*/cka"]).places == [Path("a/cka"), Path("b/cka")]
    assert parse(["~/**/cka"]).places == [tmp_path / "a/cka", tmp_path / "b/cka"]
    assert parse(["odd[1]"]).places == [Path("odd[1]")]  # a name that looks like a pattern, but is there


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("mesure=cka", "'mesure'.* measure"),
        ("measure=", "measure=:"),
        ("measure=cka,,nbs", "measure=cka,,nbs"),
        ("nowhere/*", r"'nowhere/\*'"),
    ],
)
def test_arguments_that_cannot_be_used(argument: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse([argument])


def test_files_are_found_by_what_they_hold_each_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b/run.h5", "a/run.h5", "a/sensitivity.h5", "a/joint.h5", "a/other.h5", "a/run.h5.new"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    with h5py.File("renamed.hdf5", "w") as file:
        file.attrs["analysis"] = "joint"
    found = find([Path("a/run.h5"), tmp_path, Path("a"), Path("renamed.hdf5"), Path("a/other.h5")])
    assert found == {
        "run": [tmp_path / "b/run.h5", Path("a/other.h5"), Path("a/run.h5")],
        "sensitivity": [tmp_path / "a/sensitivity.h5"],
        "joint": [tmp_path / "a/joint.h5", Path("renamed.hdf5")],
    }
    with pytest.raises(InputError, match="nowhere"):
        find([Path("nowhere")])


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({}, True),
        ({"measure": ["nbs"]}, True),
        ({"measure": ["linreg", "c?a"]}, True),
        ({"measure": ["linreg"]}, False),
        ({"measure": ["cka"], "status": ["failed"]}, False),
        ({"run": ["0123"], "dataset": ["maj*"]}, True),
        ({"run": ["surrogate-0123456789ab"]}, True),
        ({"run": ["1234"]}, False),
        ({"dataset": ["MAJAJ"]}, False),
    ],
)
def test_filters(filters: dict, kept: bool) -> None:
    assert keeps(filters, FACTS) is kept


def test_only_runs_are_told_by_the_beginning_of_a_name() -> None:
    assert fits("run", "01", "real-012")
    assert not fits("measure", "ck", "cka")


def test_filters_that_leave_nothing_name_the_nearest() -> None:
    other = {**FACTS, "dataset": ["mante"], "measure": ["linreg"]}
    said = str(nothing_left({"dataset": ["majaj"], "measure": ["ckaa"]}, [FACTS, other]))
    assert said == "Unknown measure 'ckaa'; the nearest: cka."
    said = str(nothing_left({"dataset": ["majaj"], "measure": ["linreg"]}, [FACTS, other]))
    assert said.startswith("No stored run or analysis fits dataset=majaj measure=linreg together, though")


def test_figures_show_every_measure_before_a_second_run_of_one() -> None:
    runs = [run("d", "cka"), run("d", "cka"), run("d", "nbs"), run("e", "cka"), run("d", "nbs", 0)]
    shown, told = drawn(runs, 2)
    assert [(run.dataset, run.measure) for run in shown] == [
        ("d (real)", "cka"), ("d (real)", "nbs"), ("e (real)", "cka"),
    ]  # fmt: skip
    (line,) = told
    assert re.search(r"2 of 3 runs of d \(real\).* measure=cka", line)
    assert drawn(runs, 3)[1] == []
