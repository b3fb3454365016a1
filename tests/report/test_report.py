"""Tables and figures from stored runs."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simopt.analysis import sensitivity
from simopt.errors import InputError
from simopt.report import collect
from simopt.report.tables import rounded, standard_error, summarize
from simopt.report.written import Wanted, report
from simopt.store import analysis, reader
from simopt.store.analysis import Array, Stored
from simopt.store.reader import Run

STORED = Path(__file__).parents[1] / "data" / "run_schema1.h5"


def made_up(source: str = "real", measure: str = "cka", T: int = 4, run_id: str = "real-0123456789ab") -> Run:
    score = np.linspace([0.0, 0.2], [0.9, 1.0], T)
    captured = np.zeros((T, 2, 6))
    captured[:, :, 0] = np.linspace(0, 1, T)[:, None]
    captured[:, 1, 1] = np.linspace(0, 1, T)
    return Run(
        path=Path("outputs") / "d" / measure / run_id / "run.h5",
        attributes={
            "dataset": "d",
            "source": source,
            "measure": measure,
            "stop_reason": "why",
            "seeds": np.arange(2),
        },
        status="finished",
        pc_variance=np.full(6, 1 / 6),
        step=np.arange(T),
        score=score,
        captured_variance=captured,
        tracked={},
        half_capture=None,
    )


def test_a_summary_of_known_numbers() -> None:
    summary = summarize(made_up())
    assert (summary.replicates, summary.steps, summary.final_score) == (2, 3, pytest.approx(0.95))
    assert summary.half_capture[1] == pytest.approx((0.45 + 0.6) / 2)
    assert summary.half_capture[2] == pytest.approx(0.6)  # of the one replicate that reached it
    assert np.isnan(summary.half_capture[5])
    assert 10 not in summary.half_capture
    assert summary.never_captured == pytest.approx(9 / 12)
    assert "never" in summary.cells()
    assert json.loads(json.dumps(summary.as_json()))["half_capture"]["5"] is None


def test_a_run_without_a_single_row_is_shown() -> None:
    summary = summarize(replace(made_up(T=1), step=np.arange(0), score=np.empty((0, 2))))
    assert summary.steps == 0
    assert summary.as_json()["final_score"] is None
    assert summary.never_captured == 1


def test_stored_summary_and_recomputed_one_agree() -> None:
    run = reader.read(STORED)
    stored = summarize(run)
    recomputed = summarize(replace(run, half_capture=None))
    assert stored.cells() == recomputed.cells()


def test_collecting(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.h5").write_bytes(STORED.read_bytes())
    (tmp_path / "b" / "run.h5").write_bytes(b"")
    collected = collect([tmp_path, tmp_path / "a"])
    assert [run.path for run in collected.runs] == [tmp_path / "a" / "run.h5"]
    assert len(collected.broken) == 1
    assert str(tmp_path / "b" / "run.h5") in collected.broken[0]


def test_figures_go_to_a_folder_beside_what_is_reported(tmp_path: Path) -> None:
    path = stored(tmp_path / "a" / "run.h5")
    for place, folder in ((tmp_path, tmp_path), (path, tmp_path / "a")):
        assert {figure.parent for figure in report([str(place)], Wanted()).figures} == {folder / "figures"}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.61, 0.62, 0.63], "0.620 ± 0.006"),  # sd 0.01, over the root of 3
        ([0.1, 0.5], "0.3 ± 0.2"),
        ([120.0, 160.0], "140 ± 20"),
        ([1.0, 1.0 + 2 * 0.00096], "1.001 ± 0.001"),  # 0.00096 rounds to 0.001, not to 0.0010
        ([-0.001, 0.0012], "0.000 ± 0.001"),
        ([0.99034], "0.990"),
        ([0.99951], "1.00"),
        ([0.0123456], "0.0123"),
        ([1234.5], "1230"),
        ([0.0], "0.00"),
        ([0.5, 0.5], "0.500 ± 0"),
        ([0.5, 0.5 + 1e-9], "0.500 ± 0"),
        ([0.61, np.nan], "0.610 in 1 of 2"),
        ([0.61, 0.63, np.inf], "0.62 ± 0.01 in 2 of 3"),
        ([np.nan, np.nan], "never"),
        ([1e200], "never"),
        ([], "never"),
    ],
)
def test_digits_that_the_seeds_support(values: list[float], text: str) -> None:
    assert rounded(values).worded("never") == text


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9))
def test_rounding_keeps_to_the_standard_error(values: list[float]) -> None:
    told, error = rounded(values), standard_error(values)
    if told.error == "0":
        assert error <= 1e-7 * abs(np.mean(values))
        return
    assert error == pytest.approx(stats.sem(values))
    digit = 10 ** math.floor(math.log10(error))
    assert abs(float(told.value) - np.mean(values)) <= 0.5 * 10 * digit * (1 + 1e-6)
    assert float(told.error) == pytest.approx(float(f"{error:.0e}"))
    assert len(told.error.replace(".", "").strip("0")) == 1


def test_cells_say_how_many_replicates_there_are_of() -> None:
    cells = summarize(made_up()).cells()
    assert cells[6:10] == ["0.95 ± 0.05", "0.53 ± 0.08", "0.600 in 1 of 2", "never"]
    assert cells[10:] == ["", "75%"]  # there is no tenth PC
    told = summarize(made_up()).as_json()
    assert told["final_score_error"] == pytest.approx(0.05)
    assert told["half_capture_error"] == {"1": pytest.approx(0.075), "2": None, "5": None}


def stored(path: Path, **attributes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(STORED.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    return path


def stored_sensitivity(path: Path, measures=("cka", "nbs"), columns: int = 3, **attributes) -> Path:
    arrays = {"reference/pc_variance": Array(np.array([0.5, 0.3, 0.2]), "K")}
    groups = {}
    for at, name in enumerate(measures):
        arrays[f"measures/{name}/theory"] = Array(np.full((1, columns), 0.1 * at), "S K")
        arrays[f"measures/{name}/order"] = arrays[f"measures/{name}/weight"] = Array(np.ones(3), "K")
        groups[f"measures/{name}"] = {
            "at_self": 1.0, "effective_components": 2.0, "exponent": np.nan, "how": "gradient",
        }  # fmt: skip
    about = {
        "dataset": "mante", "source": "surrogate", "perturbation": "rotation", "strengths": np.array([90.0]),
        "seeds": 0, "measures": list(measures), **attributes,
    }  # fmt: skip
    return analysis.write(path, sensitivity.ANALYSIS, Stored(about, arrays, groups))


def test_filters_choose_runs_and_the_measures_of_analyses(tmp_path: Path) -> None:
    for dataset, measure in (("majaj", "cka"), ("majaj", "nbs"), ("mante", "cka")):
        stored(tmp_path / dataset / measure / "real-1" / "run.h5", dataset=dataset, measure=measure)
    stored_sensitivity(tmp_path / "mante" / "sensitivity" / "surrogate-2" / "sensitivity.h5")
    found = collect([tmp_path], {"measure": ["nbs"]})
    assert [(run.attributes["dataset"], run.measure) for run in found.runs] == [("majaj", "nbs")]
    assert [[curve.measure for curve in each.curves] for each in found.sensitivities] == [["nbs"]]
    assert len(found.summaries) == 1
    found = collect([tmp_path], {"dataset": ["majaj"]})
    assert (len(found.runs), found.sensitivities, found.joints) == (2, [], [])
    assert len(collect([tmp_path]).runs) == 3
    assert collect([tmp_path], {"status": ["finished"], "measure": ["cka"], "dataset": ["m*e"]}).sensitivities
    with pytest.raises(InputError, match="'manta'.* mante"):
        collect([tmp_path], {"dataset": ["manta"]})
    with pytest.raises(InputError, match="'failed'.* finished"):
        collect([tmp_path], {"dataset": ["mante"], "measure": ["nbs"], "status": ["failed"]})


def _without_seeds(file: h5py.File) -> None:
    del file.attrs["seeds"]


def _more_seeds(file: h5py.File) -> None:
    file.attrs["seeds"] = np.arange(3)


def _replace(name: str, data: np.ndarray):
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = data

    return change


def _huge(file: h5py.File) -> None:
    del file["reference/pc_variance"]
    file.create_dataset("reference/pc_variance", shape=(10**15,), dtype="f8", chunks=(1024,))


def _controls(file: h5py.File) -> None:
    file.attrs["measure"] = "cka\x1b[2J"


def _no_text(file: h5py.File) -> None:
    file.attrs.create("measure", b"cka\xff", dtype=h5py.string_dtype())


def _half_decoded(file: h5py.File) -> None:
    file["trajectory/decoding/step"] = np.arange(2)
    file["trajectory/decoding/a"] = np.ones((2, 1))
    attributes = {"accuracy": "high", "chance": 0.5, "classes": 2, "folds": 5}
    file.create_dataset("reference/decoding/a", data=np.ones(1)).attrs.update(attributes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without_seeds, "seeds"),
        (_more_seeds, "3 seeds for 1 replicates"),
        (_replace("summary/half_capture", np.ones(50)), r"half_capture has shape \(50,\) .*expected"),
        (_replace("trajectory/score", np.full((45, 1), b"1")), r"score has shape .*\|S1"),
        (_replace("trajectory/captured_variance", np.ones((45, 2, 50), "f4")), "score has shape .*float64"),
        (_replace("trajectory/captured_variance", np.ones(45, "f4")), r"b.run\.h5"),
        (_huge, "hardly anything was ever written"),
        (_controls, "control characters"),
        (_no_text, r"'cka\\udcff' .*UTF-8"),
        (_half_decoded, "could not convert string to float: 'high'"),
    ],
)
def test_files_that_hold_anything_are_named_and_skipped(tmp_path: Path, change, says: str) -> None:
    good = stored(tmp_path / "a" / "run.h5")
    bad = stored(tmp_path / "b" / "run.h5")
    with h5py.File(bad, "r+") as file:
        change(file)
    found = collect([tmp_path])
    assert [run.path for run in found.runs] == [good]
    (line,) = found.broken
    assert line.startswith(str(bad))
    assert re.search(says, line)


def test_analyses_that_hold_anything_are_named_and_skipped(tmp_path: Path) -> None:
    stored(tmp_path / "run.h5")
    stored_sensitivity(tmp_path / "a" / "sensitivity.h5", columns=2)
    stored_sensitivity(tmp_path / "b" / "sensitivity.h5", measures=("cka",), strengths="none")
    about = {"dataset": "d", "source": "real", "names": ["cka"], "mode": "boundary", "data_hash": "aa"}
    analysis.write(tmp_path / "c" / "joint.h5", "joint", Stored(about, {}, {}))
    neither = Stored({**about, "names": ["cka", "nbs"]}, {}, {})
    analysis.write(tmp_path / "d" / "joint.h5", "joint", neither)
    found = collect([tmp_path])
    assert (len(found.runs), found.sensitivities, found.joints) == (1, [], [])
    assert [line.partition(":")[0] for line in found.broken] == [
        str(tmp_path / "a" / "sensitivity.h5"),
        str(tmp_path / "b" / "sensitivity.h5"),
        str(tmp_path / "c" / "joint.h5"),
        str(tmp_path / "d" / "joint.h5"),
    ]
    assert found.broken[-1].endswith("the joint range has neither a region nor targets.")


def test_many_rows_are_thinned_and_read_again_where_all_are_wanted(tmp_path: Path) -> None:
    path = stored(tmp_path / "run.h5")
    with h5py.File(path, "r+") as file:
        file["trajectory/decoding/step"] = np.arange(0, 45, 4)
        file["trajectory/decoding/a"] = np.linspace(0.1, 0.9, 12)[:, None]
        attributes = {"accuracy": 0.9, "chance": 0.1, "classes": 2, "folds": 5}
        file.create_dataset("reference/decoding/a", data=np.ones(1)).attrs.update(attributes)
    whole = collect([tmp_path])
    few = collect([tmp_path], budget=10 * 50 * 4)
    assert (whole.thinned, few.thinned) == (set(), {path})
    (all_rows,), (rows,) = whole.runs, few.runs
    assert len(rows.step) <= 10 < len(all_rows.step)
    assert rows.step[[0, -1]].tolist() == all_rows.step[[0, -1]].tolist()
    np.testing.assert_array_equal(rows.captured_variance, all_rows.captured_variance[rows.step])
    np.testing.assert_array_equal(rows.decoding_score, all_rows.score[rows.decoding_step])
    np.testing.assert_array_equal(rows.decoding["a"], all_rows.decoding["a"][rows.decoding_step // 4])
    assert few.summaries[0].good_scores["a"].score == whole.summaries[0].good_scores["a"].score
    np.testing.assert_array_equal(next(few.whole()).score, all_rows.score)


def test_half_captures_of_thinned_runs_are_those_of_all_rows(tmp_path: Path) -> None:
    with h5py.File(stored(tmp_path / "run.h5"), "r+") as file:
        del file["summary/half_capture"]
    (whole,) = collect([tmp_path]).runs
    few = collect([tmp_path], budget=5 * 50 * 4)
    assert whole.half_capture is None
    assert len(few.runs[0].step) <= 5
    np.testing.assert_array_equal(few.runs[0].half_capture, summarize(whole).halves)
    assert summarize(few.runs[0]).cells() == few.summaries[0].cells() == summarize(whole).cells()


def test_decoding_beyond_the_last_row_is_left_out(tmp_path: Path) -> None:
    with h5py.File(stored(tmp_path / "run.h5"), "r+") as file:
        file["trajectory/decoding/step"] = np.array([0, 44, 99])
        file["trajectory/decoding/a"] = np.array([[0.1], [0.5], [0.9]])
        attributes = {"accuracy": 0.9, "chance": 0.1, "classes": 2, "folds": 5}
        file.create_dataset("reference/decoding/a", data=np.ones(1)).attrs.update(attributes)
    (run,) = collect([tmp_path]).runs
    assert run.decoding_step.tolist() == [0, 44]
    assert run.decoding["a"].tolist() == [[0.1], [0.5]]
