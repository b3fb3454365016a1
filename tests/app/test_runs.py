"""Runs: found again, resumed, failed, alone."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest

from simopt.errors import InputError, InterruptedRunError, RunFailedError, StorageError
from simopt.optimization.state import State
from simopt.optimization.trajectory import half_capture
from simopt.store import layout, reader
from simopt.store.whole import UNFINISHED
from simopt.workflows.run import RunResult
from tests.app.runs import PowerCutError, content, execute, same


@pytest.fixture
def start(tmp_path: Path):
    def run(*overrides: str, progress=lambda state: None) -> RunResult:
        return execute(["dataset=ultrametric", f"log.dir='{tmp_path}'", *overrides], progress)

    return run


def test_the_run_file_holds_the_run(start) -> None:
    outcome = start("seeds=[0,1]", "track=[nbs,linreg_cv5]", "init.units=30")
    run, arrays = reader.read(outcome.path), content(outcome.path)
    T, R, K = run.captured_variance.shape
    assert (R, K) == (2, 50)
    assert run.step.tolist() == list(range(T))
    assert (run.score[-1] >= 0.99).all()
    assert run.tracked.keys() == {"nbs", "linreg_cv5"}
    assert arrays["final/Y"].shape == (2, 100, 30)
    np.testing.assert_allclose(arrays["summary/half_capture"], half_capture(run.score, run.captured_variance))
    assert arrays["summary/steps_to_target"].max() == T - 1
    assert run.pc_variance.sum() == pytest.approx(1)
    attributes = run.attributes
    assert (attributes["status"], attributes["source"], attributes["device"]) == (
        "finished",
        "surrogate",
        "cpu",
    )
    assert attributes["seeds"].tolist() == [0, 1]
    assert attributes["wall_seconds"] > 0
    assert attributes["created"] <= attributes["finished"]
    assert "track:\n- nbs\n- linreg_cv5\n" in attributes["config"]
    assert outcome.path.parent.name == f"surrogate-{attributes['config_hash'][:12]}"
    assert sorted(p.name for p in outcome.path.parent.iterdir()) == [layout.LOCK_FILE, layout.RUN_FILE]


def test_tracked_scores_are_those_of_the_logged_y(start) -> None:
    import simopt

    arrays = content(start("track=[nbs]", "dtype=float64").path)
    X = simopt.load_dataset("ultrametric").responses
    assert arrays["trajectory/tracked/nbs"][-1, 0] == pytest.approx(
        simopt.score(X, arrays["final/Y"][0], "nbs"), abs=1e-5
    )


def test_final_y_is_optional(start) -> None:
    assert "final/Y" not in content(start("log.final=false", "max_steps=2").path)


def test_a_finished_run_is_found_again_unless_forced(start) -> None:
    first = start("max_steps=3")
    stamp = first.path.stat().st_mtime_ns
    assert (first.how, start("max_steps=3").how) == ("done", "found")
    assert first.path.stat().st_mtime_ns == stamp
    assert start("max_steps=3", "force=true").how == "done"
    assert first.path.stat().st_mtime_ns > stamp


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("every", [1, 7])
def test_an_interrupted_run_goes_on_to_the_same_numbers(
    start, tmp_path: Path, number: int, every: int
) -> None:
    def interrupt(state: State) -> None:
        if state.step == 14:
            os.kill(os.getpid(), number)

    options = ("measure=nbs", "seeds=[0,1]", "track=[cka]", f"log.every={every}", "target=0.999")
    with pytest.raises(InterruptedRunError, match="interrupted"):
        start(*options, progress=interrupt)
    (path,) = tmp_path.rglob("run.h5")
    assert reader.read(path).status == layout.INTERRUPTED
    assert reader.unfinished(path) is not None
    assert "summary/half_capture" not in content(path)
    handler = signal.getsignal(number)
    assert start(*options).how == "resumed"
    assert signal.getsignal(number) is handler
    assert reader.unfinished(path) is None
    resumed = content(path)
    same(resumed, content(start(*options, "force=true").path))


def test_a_killed_run_goes_on_from_its_checkpoint(start, tmp_path: Path) -> None:
    def cut(state: State) -> None:
        if state.step == 20:
            raise PowerCutError

    options = ("measure=nbs", "target=0.999", "log.checkpoint_seconds=0")
    with pytest.raises(PowerCutError):
        start(*options, progress=cut)
    (path,) = tmp_path.rglob("run.h5")
    assert reader.read(path).status == reader.CRASHED
    assert start(*options).how == "resumed"
    resumed = content(path)
    same(resumed, content(start(*options, "force=true").path))


def test_a_failed_run_says_so_in_its_file(start, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="NaN or infinite at step 1"):
        start("optimizer.lr=1e30")
    (path,) = tmp_path.rglob("run.h5")
    run = reader.read(path)
    assert run.status == layout.FAILED
    assert "NaN or infinite at step 1; try a smaller optimizer.lr" in run.attributes["stop_reason"]
    assert run.step.tolist() == [0]


def test_a_full_disk_fails_the_run_and_leaves_its_last_whole_file(
    start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, itertools.count()

    def limited(descriptor: int) -> None:
        if next(calls) >= 1:
            raise OSError(28, os.strerror(28))
        real(descriptor)

    options = ("max_steps=3",)
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="no space left on device"):
        patch.setattr(os, "fsync", limited)
        start(*options)
    (path,) = tmp_path.rglob("run.h5")
    assert reader.read(path).status == reader.CRASHED
    assert len(reader.read(path).step) == 0
    assert start(*options).how == "done"


def test_a_broken_run_file_is_made_again(start) -> None:
    path = start("max_steps=3").path
    path.write_bytes(b"broken")
    assert start("max_steps=3").how == "done"
    assert reader.read(path).status == layout.FINISHED


def test_two_processes_do_not_write_one_run(start, tmp_path: Path) -> None:
    path = start("max_steps=3").path
    with (
        filelock.FileLock(path.parent / layout.LOCK_FILE),
        pytest.raises(StorageError, match="another process is at work"),
    ):
        start("max_steps=3", "force=true")


@pytest.mark.parametrize(
    "override", ["decoder={a: 1}", "track=[nbz]", "optimizer.lr=-1", "device=toaster", "measure.typo=1"]
)
def test_bad_input_leaves_nothing_behind(start, tmp_path: Path, override: str) -> None:
    with pytest.raises(InputError):
        start(override)
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_thinned_by_score_increments(start) -> None:
    whole = reader.read(start("seeds=[0,1]").path)
    thinned = reader.read(start("seeds=[0,1]", "log.score_step=0.1", "force=true").path)
    assert 3 < len(thinned.step) < len(whole.step) / 2
    assert (thinned.step[0], thinned.step[-1]) == (0, whole.step[-1])
    moved = np.abs(np.diff(thinned.score, axis=0)).max(axis=1)
    assert (moved[:-1] >= 0.1).all()
    kept = np.searchsorted(whole.step, thinned.step)
    np.testing.assert_array_equal(thinned.score, whole.score[kept])
    for row, following in itertools.pairwise(kept):
        between = np.abs(whole.score[row + 1 : following] - whole.score[row])
        assert (between < 0.1).all()
    early = whole.half_capture < 0.8
    np.testing.assert_allclose(thinned.half_capture[early], whole.half_capture[early], atol=0.05)


@pytest.mark.parametrize("end", ["interrupt", "kill"])
def test_a_thinned_log_has_the_same_rows_after_a_resume(start, tmp_path: Path, end: str) -> None:
    def stop(state: State) -> None:
        if state.step == 13 and end == "kill":
            raise PowerCutError
        if state.step == 13:
            os.kill(os.getpid(), signal.SIGINT)

    options = ("measure=nbs", "target=0.999", "log.score_step=0.03", "log.checkpoint_seconds=0")
    with pytest.raises((InterruptedRunError, PowerCutError)):
        start(*options, progress=stop)
    resumed = content(start(*options).path)
    same(resumed, content(start(*options, "force=true").path))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_a_run_that_is_out_of_memory_says_so_and_keeps_its_rows(
    start, tmp_path: Path, error: Exception
) -> None:
    def full(state: State) -> None:
        if state.step == 9:
            raise error

    with pytest.raises(RunFailedError, match="out of memory") as raised:
        start(progress=full)
    assert raised.value.exit_code == 1
    (path,) = tmp_path.rglob("run.h5")
    run = reader.read(path)
    assert run.status == layout.FAILED
    assert "out of memory" in run.attributes["stop_reason"]
    assert run.step.tolist() == list(range(9))
    assert start().how == "done"


def test_an_unforeseen_error_is_said_in_the_file(start, tmp_path: Path) -> None:
    def breaks(state: State) -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        start(progress=breaks)
    (path,) = tmp_path.rglob("run.h5")
    assert reader.read(path).attributes["stop_reason"] == "ZeroDivisionError: by zero"


def test_what_a_kill_leaves_behind_is_cleared_away(start) -> None:
    folder = start("max_steps=3").path.parent
    (folder / f"{UNFINISHED}torn").write_bytes(b"torn")
    assert start("max_steps=3").how == "found"
    assert sorted(p.name for p in folder.iterdir()) == [layout.LOCK_FILE, layout.RUN_FILE]


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_that_start_one_run_at_once_do_it_once(tmp_path: Path, processes: int) -> None:
    command = [sys.executable, "-m", "simopt.app.cli", "run", "dataset=ultrametric", "max_steps=30", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    started = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    outcomes = []
    for process in started:
        said, complaint = process.communicate(timeout=120)
        refused = process.returncode == 1 and "another process is at work" in complaint
        outcomes.append("refused" if refused else json.loads(said)["outcome"])
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "found", "refused"}
    (path,) = tmp_path.rglob("run.h5")
    assert reader.read(path).status == layout.FINISHED
