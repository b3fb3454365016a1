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


SUBMITIT = ["hydra/launcher=submitit_local"]


@pytest.fixture
def sweep(simopt_process, tmp_path: Path):
    (tmp_path / "mine.py").write_text(MEASURES)

    def run(*overrides: str, simopt=simopt_process):
        done = simopt("sweep", *QUICK, *overrides, "--json")
        rows = json.loads(done.stdout)
        return done, {row["job"].rpartition("=")[2]: row for row in rows}

    return run


@pytest.mark.parametrize(
    ("launcher", "others"),
    [
        pytest.param(JOBLIB, ["mine.fine"], id="joblib"),
        pytest.param(JOBLIB, ["mine.fine", "mine.other"], id="joblib-3", marks=pytest.mark.slow),
        pytest.param(SUBMITIT, ["mine.fine", "mine.other"], id="submitit", marks=pytest.mark.slow),
    ],
)
def test_a_job_that_fails_is_listed_and_the_others_finish(sweep, tmp_path: Path, launcher, others) -> None:
    done, jobs = sweep(*launcher, f"measure._target_=mine.broken,{','.join(others)}")
    assert done.returncode == 1
    assert [row["outcome"] for row in jobs.values()] == ["failed", *["done"] * len(others)]
    assert jobs["mine.broken"]["reason"] == "ArithmeticError: by design"
    assert f"1 of {len(jobs)} jobs did not finish" in done.stderr
    assert "mine.broken: failed. ArithmeticError: by design" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.read_text() for path in tmp_path.glob("threads-*")} == {"1"}
    assert {row["status"] for row in jobs.values() if row["path"] and row["outcome"] == "done"} == {
        "finished"
    }


def test_on_one_gpu_jobs_run_one_at_a_time_in_one_process(sweep, simopt, tmp_path: Path) -> None:
    done, _ = sweep("hydra/launcher=gpu", "measure._target_=mine.fine", "seeds=[0],[1]", simopt=simopt)
    assert done.returncode == 0
    assert len(list(tmp_path.glob("threads-*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, SUBMITIT], ids=["joblib", "submitit"])
def test_a_job_whose_process_is_killed_takes_no_other_with_it(sweep, tmp_path: Path, launcher) -> None:
    done, jobs = sweep(*launcher, "measure._target_=mine.killed,mine.fine,mine.other")
    assert done.returncode == 1
    assert jobs.pop("mine.killed")["outcome"] == "failed"
    assert {row["outcome"] for row in jobs.values()} == {"done"}
    assert "Traceback" not in done.stderr
