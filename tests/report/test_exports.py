"""Tables for other programs."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt
from simopt.analysis import sensitivity
from simopt.errors import InputError
from simopt.ranges.boundary import Extremes
from simopt.ranges.pair import Implied
from simopt.ranges.region import Region
from simopt.ranges.result import JointRange
from simopt.ranges.square import Reached, Settled
from simopt.report import Collected, collect, exports
from simopt.report.exports import LATEX_ROWS, as_json, escape_latex, save_csv, save_latex
from simopt.report.tables import summarize
from simopt.store.layout import ATTRIBUTES
from simopt.store.reader import Run
from simopt.theory.sensitivity import Local, Sensitivity
from tests.report.runs import made

NASTY = '<b>&"50%_#{$}\\~^,\n'


def made_up(measure: str = "cka", run_id: str = "real-0123456789ab") -> Run:
    score = np.array([[0.0, 0.1], [0.3, 0.5], [0.9, np.nan]])
    captured = np.zeros((3, 2, 2))
    captured[:, :, 0] = np.array([0.0, 0.5, 1.0])[:, None]
    about = {**dict.fromkeys(ATTRIBUTES, ""), "dataset": "d", "source": "real", "measure": measure}
    return Run(
        path=Path("outputs") / run_id / "run.h5",
        attributes={**about, "seeds": np.array([7, 8]), "wall_seconds": 1.5},
        status="finished",
        pc_variance=np.array([0.75, 0.25]),
        step=np.array([0, 1, 5]),
        score=score,
        captured_variance=captured,
        tracked={"nbs": score / 2} if measure == "cka" else {},
        half_capture=None,
        decoding_step=np.array([0, 5]),
        decoding={"label": np.array([[0.5, 0.5], [1.0, 0.9]])},
        reference_decoding={
            "label": {"accuracy": 1.0, "chance": 0.5, "classes": 2, "folds": 5, "over_time": np.ones(1)}
        },
    )


def perturbed() -> sensitivity.Sensitivities:
    local = Local(np.full(2, 2.0), np.ones(2), 1.5, np.nan, "closed form")
    experiment = np.array([[[0.2, 0.4], [0.9, 0.9]], [[0.1, 0.1], [np.nan, np.nan]]])
    curves = [
        Sensitivity("cka", 1.0, np.array([[0.1, 0.8], [0.0, 0.7]]), None, None, experiment, local),
        Sensitivity("own", 1.0, None, None, None, experiment, local),
    ]
    return sensitivity.Sensitivities(
        "d", "real", "rotation", [45.0, 90.0], 2, np.array([0.75, 0.25]), curves, {}, None, "found"
    )


def region() -> JointRange:
    levels, least, largest = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.1, 0.9]), np.array([0.4, 0.8, 1.0])
    points = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = Region(
        ("a", "b"), (1, 1), levels, least, largest, np.full((3, 2), 1e-4), np.zeros((3, 2)), points
    )
    across = Extremes(
        np.array([[0.25]]), np.array([[0.3, np.nan]]), np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2)),
        np.zeros((1, 2)),
    )  # fmt: skip
    implied = [Implied("a", "b", 0.9, 0.8, 1.0), Implied("b", "a", 0.9, 0.9, 1.0)]
    return JointRange(
        "d", "real", ("a", "b"), "boundary", Path("joint.h5"), region=found, implied=implied, across=across,
        proved=np.array([[0.5, 0.0, np.nan]]),
    )  # fmt: skip


def square() -> JointRange:
    pairs = np.array([[0.0, 1.0], [1.0, 0.5]])
    settled = tuple(Settled)[:2]
    reached = Reached(pairs, pairs, pairs, pairs / 2, settled, np.array([10, 20]), pairs[None], pairs)
    return JointRange("d", "real", ("a", "b"), "square", Path("joint.h5"), square=reached)


def collected(*runs: Run) -> Collected:
    return Collected(list(runs), ["x: broken"], [summarize(run) for run in runs], [perturbed()], [region()])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_a_run_and_replicate(tmp_path: Path) -> None:
    written = save_csv(collected(made_up(), made_up("nbs", "real-fedcba987654")), tmp_path / "new")
    names = ("runs", "trajectories", "captured_variance", "half_capture", "decoding", "sensitivity", "joint")
    assert [path.name for path in written] == [f"{name}.csv" for name in names]
    rows = read(tmp_path / "new" / "runs.csv")
    told = [
        (r["measure"], r["replicate"], r["seed"], r["steps"], r["score"], r["never_captured"]) for r in rows
    ]
    assert told == [
        ("cka", "0", "7", "5", "0.9", "0.5"), ("cka", "1", "8", "5", "", "0.5"),
        ("nbs", "0", "7", "5", "0.9", "0.5"), ("nbs", "1", "8", "5", "", "0.5"),
    ]  # fmt: skip
    rows = read(tmp_path / "new" / "half_capture.csv")
    assert len(rows) == 2 * 2 * 2
    assert [(r["pc"], r["variance_ratio"], r["half_capture"]) for r in rows[:2]] == [
        ("1", "0.75", "0.3"), ("2", "0.25", ""),
    ]  # fmt: skip


def test_trajectories_read_back_the_same_and_are_thinned(tmp_path: Path) -> None:
    found = collected(made_up(), made_up("nbs", "real-fedcba987654"))
    save_csv(found, tmp_path)
    rows = read(tmp_path / "trajectories.csv")
    assert len(rows) == 2 * 2 * 3
    score = np.array([float(row["score"] or "nan") for row in rows]).reshape(2, 2, 3)
    np.testing.assert_array_equal(score, np.stack([made_up().score.T] * 2))
    assert [row["tracked_nbs"] for row in rows] == ["0.0", "0.15", "0.45", "0.05", "0.25", "", *[""] * 6]
    save_csv(found, tmp_path, every=4)
    assert [row["step"] for row in read(tmp_path / "trajectories.csv")] == ["0", "5"] * 4
    with pytest.raises(InputError, match="every is 0"):
        save_csv(found, tmp_path, every=0)


def test_captured_variance_reads_back_as_the_file_has_it(tmp_path: Path) -> None:
    X = np.random.default_rng(0).standard_normal((30, 12)) * np.arange(12, 0, -1)
    path = simopt.optimize(X, max_steps=6, seeds=(3, 5), store=tmp_path).path
    save_csv(collect([tmp_path]), tmp_path)
    rows = read(tmp_path / "captured_variance.csv")
    with h5py.File(path) as file:
        step, score = file["trajectory/step"][()], file["trajectory/score"][()]
        captured = file["trajectory/captured_variance"][()]
    assert len(rows) == captured.shape[0] * 2 * 4
    for row in rows:
        t, r = step.tolist().index(int(row["step"])), (3, 5).index(int(row["seed"]))
        assert float(row["score"]) == score[t, r]
        assert np.float32(row["captured_variance"]) == captured[t, r, int(row["pc"]) - 1]
    assert len({(row["seed"], row["step"], row["pc"]) for row in rows}) == len(rows)
    assert {row["pc"] for row in rows} == {"1", "2", "5", "10"}


@pytest.mark.parametrize(("most", "states"), [(10**6, 300), (9000, 200), (100, 20)])
def test_captured_variance_is_thinned_to_a_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, states: int
) -> None:
    monkeypatch.setattr(exports, "CAPTURED_ROWS", most)
    runs = [made(seeds=(0, 1), T=1000), made("nbs", seeds=(0, 1, 2), T=5)]
    save_csv(Collected(runs, [], [summarize(run) for run in runs]), tmp_path)
    steps: dict[tuple[str, str, str], list[int]] = {}
    for row in read(tmp_path / "captured_variance.csv"):
        steps.setdefault((row["measure"], row["seed"], row["pc"]), []).append(int(row["step"]))
    counts = {(name, seed): len(steps[name, seed, pc]) for name, seed, pc in steps}
    assert counts == {**{("cka", seed): states for seed in "01"}, **{("nbs", seed): 5 for seed in "012"}}
    assert steps["cka", "1", "2"][:1] + steps["cka", "1", "2"][-1:] == [0, 999]
    gaps = np.diff(steps["cka", "1", "2"])
    assert gaps.max() - gaps.min() <= 1  # evenly spaced


def test_decoding_has_its_levels_and_good_scores(tmp_path: Path) -> None:
    save_csv(collected(made_up()), tmp_path)
    rows = read(tmp_path / "decoding.csv")
    assert [(r["step"], r["score"], r["accuracy"]) for r in rows[:2]] == [
        ("0", "0.0", "0.5"),
        ("5", "0.9", "1.0"),
    ]
    assert float(rows[0]["good_score"]) == pytest.approx(0.9 * 0.9)  # accuracy rises from 0.5 to 1 with score
    assert rows[2]["good_score"] == ""


def test_sensitivity_has_mean_and_standard_error(tmp_path: Path) -> None:
    save_csv(collected(made_up()), tmp_path)
    rows = read(tmp_path / "sensitivity.csv")
    assert len(rows) == 2 * 2 * 2
    first, last = rows[0], rows[3]
    assert (first["strength"], first["pc"], first["theory"], first["expected"]) == ("45.0", "1", "0.1", "")
    assert float(first["experiment"]) == pytest.approx(0.3)
    assert float(first["standard_error"]) == pytest.approx(0.1)  # |0.4 - 0.2| / 2
    assert (last["theory"], last["experiment"], last["standard_error"]) == ("0.7", "", "")
    assert {row["theory"] for row in rows if row["measure"] == "own"} == {""}


def test_joint_ranges_by_part(tmp_path: Path) -> None:
    found = collected(made_up())
    found.joints.append(square())
    save_csv(found, tmp_path)
    rows = read(tmp_path / "joint.csv")
    parts = [row["part"] for row in rows]
    assert parts == ["boundary"] * 3 + ["across", "proved"] + ["square"] * 2
    told = {
        key: rows[1][key] for key in ("a", "b", "of", "at_a", "at_b", "least", "largest", "distance_least")
    }
    assert list(told.values()) == ["a", "b", "b", "0.5", "", "0.1", "0.8", "0.0001"]
    assert float(rows[1]["area"]) == pytest.approx(np.trapezoid([0.4, 0.7, 0.1], [0, 0.5, 1]))
    assert [rows[3][key] for key in ("of", "at_a", "at_b", "least", "largest")] == [
        "a",
        "",
        "0.25",
        "0.3",
        "",
    ]
    assert [rows[4][key] for key in ("at_a", "least", "largest")] == ["0.5", "0.0", ""]
    wanted = ("at_a", "at_b", "closest_a", "closest_b", "state", "steps")
    assert [rows[6][key] for key in wanted] == [
        "1.0",
        "0.5",
        "0.5",
        "0.25",
        tuple(Settled)[1].name.lower(),
        "20",
    ]


def test_text_of_files_stays_text(tmp_path: Path) -> None:
    save_csv(collected(made_up(NASTY)), tmp_path)
    assert {row["measure"] for row in read(tmp_path / "runs.csv")} == {NASTY}
    save_csv(collected(made_up(run_id="real-\udcff")), tmp_path)  # a folder's name that is no UTF-8
    assert {row["run"] for row in read(tmp_path / "runs.csv")} == {r"real-\udcff"}
    assert escape_latex("a_b\n") == r"a\_b "
    assert escape_latex("é中") == "éU+4E2D"
    assert escape_latex("\\{") == r"\textbackslash{}\{"
    assert escape_latex("[a]*") == "{[}a]{*}"  # at the head of a row they would be options of the line before


def test_latex_rounds_and_escapes(tmp_path: Path) -> None:
    text = save_latex(collected(made_up()).summaries, tmp_path / "t" / "runs.tex").read_text()
    assert r"d (real) & cka & 0123456789ab & 2 & 5 & $0.900$ in 1 of 2 & 50\% \\" in text
    assert r"d (real) & cka & 0123456789ab & $0.4 \pm 0.1$ & never \\" in text  # of 0.3 and 0.5
    assert "PC 1 & PC 2 \\\\" in text
    text = save_latex(collected(made_up(NASTY)).summaries, tmp_path / "runs.tex").read_text()
    assert r"\textless{}b\textgreater{}\&\textquotedbl{}50\%\_\#\{\$\}\textbackslash{}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_compiles_and_fits_on_the_page(tmp_path: Path) -> None:
    for needed in ("booktabs.sty", "graphicx.sty"):
        if not subprocess.run(["kpsewhich", needed], capture_output=True, check=False).stdout:
            pytest.skip(f"LaTeX has no {needed}")
    odd = NASTY + "".join(map(chr, range(0x20, 0x180))) + "–“…”λ−中\U0001f600"
    named = [replace(made_up(), attributes={**made_up().attributes, "dataset": d}) for d in ("[d]", "*d")]
    runs = [*named, made_up("a" * 70), made_up(odd), *(made_up() for _ in range(LATEX_ROWS))]
    text = save_latex(collected(*runs).summaries, tmp_path / "runs.tex").read_text("utf-8")
    assert text.count(r"\begin{table}") == 4
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\usepackage[T1]{fontenc}\begin{document}"
    (tmp_path / "paper.tex").write_text(head + r"\input{runs.tex}\end{document}")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-draftmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    for complaint in (b"Overfull", b"Missing character", b"too large for page"):
        assert complaint not in done.stdout


def test_json_has_null_for_what_is_not_finite() -> None:
    told = json.loads(json.dumps(as_json(collected(made_up())), allow_nan=False))
    assert told["runs"][0]["final_score"] is None
    assert told["sensitivities"][0]["measures"]["cka"]["exponent"] is None
    assert told["joints"][0]["boundary"]["b_max"] == [0.4, 0.8, 1.0]
    assert told["broken"] == ["x: broken"]


def test_nothing_but_headers_where_nothing_is(tmp_path: Path) -> None:
    for path in save_csv(Collected([], []), tmp_path):
        assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("write", [save_csv, lambda found, path: save_latex(found.summaries, path / "x.tex")])
def test_places_that_cannot_be_written(tmp_path: Path, write) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken"):
        write(collected(made_up()), tmp_path / "taken")
