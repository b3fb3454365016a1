"""Tables and figures from stored runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from simopt.errors import InputError
from simopt.report import collect, figures_folder
from simopt.report.figures import draw_captured, draw_score, save_figures
from simopt.report.tables import summarise
from simopt.store import reader
from simopt.store.reader import Run

STORED = Path(__file__).parents[1] / "data" / "run_schema1.h5"


def made_up(source: str = "real", measure: str = "cka", T: int = 4, run_id: str = "real-0123456789ab") -> Run:
    score = np.linspace([0.0, 0.2], [0.9, 1.0], T)
    captured = np.zeros((T, 2, 6))
    captured[:, :, 0] = np.linspace(0, 1, T)[:, None]
    captured[:, 1, 1] = np.linspace(0, 1, T)
    return Run(
        path=Path("outputs") / "d" / measure / run_id / "run.h5",
        attributes={"dataset": "d", "source": source, "measure": measure, "stop_reason": "why"},
        status="finished",
        pc_variance=np.full(6, 1 / 6),
        step=np.arange(T),
        score=score,
        captured_variance=captured,
        tracked={},
        half_capture=None,
    )


def test_a_summary_of_known_numbers() -> None:
    summary = summarise(made_up())
    assert (summary.replicates, summary.steps, summary.final_score) == (2, 3, pytest.approx(0.95))
    assert summary.half_capture[1] == pytest.approx((0.45 + 0.6) / 2)
    assert summary.half_capture[2] == pytest.approx(0.6)  # of the one replicate that reached it
    assert np.isnan(summary.half_capture[5])
    assert 10 not in summary.half_capture
    assert summary.never_captured == pytest.approx(9 / 12)
    assert "never" in summary.cells()
    assert json.loads(json.dumps(summary.as_json()))["half_capture"]["5"] is None


def test_a_run_without_a_single_row_is_shown() -> None:
    summary = summarise(
        made_up(T=1).__class__(**{**made_up(T=1).__dict__, "step": np.arange(0), "score": np.empty((0, 2))})
    )
    assert summary.steps == 0
    assert summary.as_json()["final_score"] is None
    assert summary.never_captured == 1


def test_stored_summary_and_recomputed_one_agree() -> None:
    run = reader.read(STORED)
    stored = summarise(run)
    recomputed = summarise(Run(**{**run.__dict__, "half_capture": None}))
    assert stored.cells() == recomputed.cells()


def test_the_curves_drawn_are_the_data() -> None:
    run = made_up()
    ax = Figure().subplots()
    assert draw_score(ax, [run]) is ax
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.c_[run.step, run.score.mean(axis=1)])
    assert ax.get_title() == "d (real)"
    ax = draw_captured(Figure().subplots(), run)
    np.testing.assert_array_equal(
        ax.lines[1].get_xydata(), np.c_[run.score[:, 1], run.captured_variance[:, 1, 0]]
    )
    assert ax.get_legend_handles_labels()[1] == ["PC 1 (16.7%)", "PC 2 (16.7%)", "PC 5 (16.7%)"]


def test_runs_of_one_measure_are_told_apart() -> None:
    ax = draw_score(Figure().subplots(), [made_up(), made_up(run_id="real-fedcba987654")])
    assert ax.get_legend_handles_labels()[1] == ["cka 012345", "cka fedcba"]


def test_real_and_surrogate_never_share_a_figure(tmp_path: Path) -> None:
    written = save_figures([made_up("surrogate"), made_up("real"), made_up("real", "nbs")], tmp_path)
    assert sorted(path.name for path in written) == [
        "d_real_captured.png", "d_real_score.png", "d_surrogate_captured.png", "d_surrogate_score.png",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_figures_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_figures([made_up()], tmp_path / "taken" / "figures")


def test_collecting(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.h5").write_bytes(STORED.read_bytes())
    (tmp_path / "b" / "run.h5").write_bytes(b"")
    collected = collect([tmp_path, tmp_path / "a"])
    assert [run.path for run in collected.runs] == [tmp_path / "a" / "run.h5"]
    assert len(collected.broken) == 1
    assert str(tmp_path / "b" / "run.h5") in collected.broken[0]
    assert figures_folder([tmp_path]) == tmp_path / "figures"
    assert figures_folder([tmp_path / "a" / "run.h5"]) == tmp_path / "a" / "figures"
