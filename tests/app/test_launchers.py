"""Sweeps by Hydra's launchers, with a job that fails among them; real processes."""

import json
from pathlib import Path

import pytest

pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher")

MEASURES = """
import os
import signal
from pathlib import Path

import torch


def fine(X, Y):
    with Path(f"threads-{os.getpid()}").open("w") as file:
        file.write(str(torch.get_num_threads()))
    return (X * Y).sum() / (X.norm() * Y.norm())


def other(X, Y):
    return fine(X, Y)


def broken(X, Y):
    raise ArithmeticError("by design")


def killed(X, Y):
    Path(f"killed-{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
QUICK = ["dataset=ultrametric", "max_steps=3"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.fixture
def sweep(simopt_process, tmp_path: Path):
    (tmp_path / "mine.py").write_text(MEASURES)

    def run(*overrides: str):
        done = simopt_process("sweep", *QUICK, *overrides, "--json")
        rows = json.loads(done.stdout)
        return done, {row["job"].rpartition("=")[2]: row for row in rows}

    return run


@pytest.mark.parametrize("launcher", [JOBLIB, ["hydra/launcher=submitit_local"]], ids=["joblib", "submitit"])
def test_a_job_that_fails_is_listed_and_the_others_finish(sweep, tmp_path: Path, launcher) -> None:
    done, jobs = sweep(*launcher, "measure._target_=mine.broken,mine.fine,mine.other")
    assert done.returncode == 1
    assert [row["outcome"] for row in jobs.values()] == ["failed", "done", "done"]
    assert jobs["mine.broken"]["reason"] == "ArithmeticError: by design"
    assert "1 of 3 jobs did not finish" in done.stderr
    assert "mine.broken: failed. ArithmeticError: by design" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.read_text() for path in tmp_path.glob("threads-*")} == {"1"}
    assert {row["status"] for row in jobs.values() if row["path"] and row["outcome"] == "done"} == {
        "finished"
    }


def test_on_one_gpu_jobs_run_one_at_a_time_in_one_process(sweep, tmp_path: Path) -> None:
    done, _ = sweep("hydra/launcher=gpu", "measure._target_=mine.fine", "seeds=[0],[1]")
    assert done.returncode == 0
    assert len(list(tmp_path.glob("threads-*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, ["hydra/launcher=submitit_local"]], ids=["joblib", "submitit"])
def test_a_job_whose_process_is_killed_takes_no_other_with_it(sweep, tmp_path: Path, launcher) -> None:
    done, jobs = sweep(*launcher, "measure._target_=mine.killed,mine.fine,mine.other")
    assert done.returncode == 1
    assert jobs.pop("mine.killed")["outcome"] == "failed"
    assert {row["outcome"] for row in jobs.values()} == {"done"}
    assert "Traceback" not in done.stderr
