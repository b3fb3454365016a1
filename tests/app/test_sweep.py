"""Sweeps: planned, skipped, resumed, failed in part, interrupted, beside one another."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simopt.app.config import requests
from simopt.app.sweep import launch
from simopt.app.sweep import plan as sweep
from simopt.app.sweep.combinations import combinations
from simopt.errors import InputError, InterruptedRunError
from simopt.optimization.state import State
from simopt.store import reader
from simopt.workflows import data, run
from simopt.workflows.request import name_of
from tests.app.runs import execute, interrupted_once

SMALL = ["dataset=ultrametric", "max_steps=5"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}

COUNTED = """
from dataclasses import dataclass
from pathlib import Path
from simopt.datasets.gaussian import Gaussian

@dataclass(frozen=True, kw_only=True)
class Counted(Gaussian):
    def load(self):
        with Path("loads").open("a") as file:
            file.write("x")
        return super().load()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "simopt.app.cli", "sweep", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def outcomes(done: subprocess.CompletedProcess) -> dict[str, str]:
    return {row["job"]: row["outcome"] for row in json.loads(done.stdout)}


def test_combinations_with_aliases_and_the_dataset_outermost() -> None:
    overrides = ["measure=cka-linear-song,nbs", "dataset=majaj,mante", "seeds=[0],[1]", "max_steps=9"]
    titled, launcher = combinations(overrides)
    assert [title for title, _ in titled][:3] == [
        "dataset=majaj measure=cka-linear-song seeds=[0]",
        "dataset=majaj measure=cka-linear-song seeds=[1]",
        "dataset=majaj measure=nbs seeds=[0]",
    ]
    assert [request.dataset.name for _, request in titled] == ["majaj"] * 4 + ["mante"] * 4
    assert launcher["_target_"].endswith(".BasicLauncher")
    alone = requests.run(["measure=cka-linear-song", "dataset=majaj", "seeds=[1]", "max_steps=9"])
    assert titled[1][1] == alone
    assert launch.request_of(launch.text_of(alone)) == alone


def test_ranges_and_globs_are_combinations() -> None:
    titles = [title for title, _ in combinations(["measure=glob(nbs*)", "max_steps=range(1,3)"])[0]]
    assert titles == [
        "measure=nbs max_steps=1", "measure=nbs max_steps=2",
        "measure=nbs_squared max_steps=1", "measure=nbs_squared max_steps=2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("measure=nbs,ckaa", "Unknown measure 'ckaa'; the nearest: cka"),
        ("measure=nbs,mutual_knn", "measure=mutual_knn: .* no gradient"),
        ("seeds=0,1", "seeds=0: seeds must be a list"),
        ("optimizer.lr=interval(0,1)", r"interval\(0,1\)"),
        ("max_steps=range(0,1e9)", "more than 10000 values"),
        ("max_steps=shuffle(range(0,1000000000))", "more than 10000 values"),
        ("optimizer.lr=range(1,0,-1e-300)", "more than 10000 values"),
        ("optimizer.lr=range(0,inf)", "more than 10000 values"),
        ("optimizer.lr=range(0,1,0)", "more than 10000 values"),
        ("optimizer.speed=1,2", "has no option 'speed'"),
        ("optimizer.lr=0.1,-1", "optimizer.lr=-1: optimizer: Invalid learning rate"),
        ("target=0.9,2", "target=2: target is 2.0, but cka lies between 0 and 1"),
        ("max_steps=3,-1", "max_steps=-1: max_steps is -1"),
        ("track=[cka],[nbz]", "Unknown measure 'nbz'"),
        ("decoder={a: 1}", "Could not override 'decoder': Key 'a'"),
        ("measure=glob(zz*)", r"measure=glob\(zz"),
        ("+experiment=glob(zz*)", r"experiment=glob\(zz"),
        ("hydra/launcher=jobli", "Unknown hydra/launcher 'jobli'; the nearest: joblib"),
        ("hydra/sweeper=optuna", "Unknown hydra/sweeper"),
        ("+experiment=paper_gird", "Unknown experiment 'paper_gird'; the nearest: paper_grid"),
        ("foo", "Cannot read the override 'foo'"),
    ],
)
def test_bad_input_is_seen_before_anything_runs(here: Path, override: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        sweep.plan([*SMALL, override])
    assert "\n" not in str(refused.value)
    assert files(here) == []


def test_an_option_that_the_decoder_has_not_is_bad_input(here: Path) -> None:
    with pytest.raises(InputError, match="decoder has no option 'typo'"):
        sweep.plan([*SMALL, "decoder=standard", "decoder.typo=1"])


def test_the_grid_of_the_paper(here: Path) -> None:
    asked = [request for _, request in combinations(["+experiment=paper_grid", "seeds=[3]"])[0]]
    pairs = {(each.dataset.name, name_of(each.measure)) for each in asked}
    assert (len(asked), len(pairs)) == (35, 35)
    assert {(each.seeds, each.dataset.origin, each.log.every) for each in asked} == {((3,), "surrogate", 1)}


def test_a_recipe_of_ones_own(here: Path) -> None:
    (here / "mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nmax_steps: 2\nhydra: {sweeper: {params: {measure: 'cka,nbs'}}}\n"
    (here / "mine" / "experiment" / "two.yaml").write_text(text)
    jobs = sweep.plan(["+experiment=two", "dataset=ultrametric"], here / "mine").jobs
    assert [(job.title, job.todo) for job in jobs] == [("measure=cka", "run"), ("measure=nbs", "run")]
    assert jobs[0].request.max_steps == 2


def test_the_same_run_twice_is_one_job(here: Path) -> None:
    jobs = sweep.plan([*SMALL, "device=cpu,auto", "log.dir=elsewhere"]).jobs
    assert [job.todo for job in jobs] == ["run", "found"]
    assert jobs[0].path == jobs[1].path
    assert files(here) == []


def test_a_job_is_found_or_resumed_as_simopt_run_does(here: Path) -> None:
    def interrupt(state: State) -> None:
        if state.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    found = execute([*SMALL, "measure=nbs"]).path
    with pytest.raises(InterruptedRunError):
        execute([*SMALL, "measure=cka"], interrupt)
    overrides = [*SMALL, "measure=cka,nbs,linreg"]
    jobs = sweep.plan(overrides).jobs
    assert [job.todo for job in jobs] == ["resume", "found", "run"]
    assert jobs[1].path == found
    assert [job.todo for job in sweep.plan([*overrides, "force=true"]).jobs] == ["run"] * 3
    found.write_bytes(b"broken")
    assert sweep.plan(overrides).jobs[1].todo == "run"


def test_the_run_file_decides_not_the_job(here: Path) -> None:
    plan = sweep.plan([*SMALL, "measure=cka,nbs,linreg"])
    with sweep.opened(plan) as folder:
        finished = run.carry_out(plan.jobs[0].request).path
        launch.write(folder, 0, launch.Record(launch.RUNNING))  # ended before it could say so
        launch.write(folder, 1, launch.Record("done"))  # says so, and has no file
        hows = [(outcome.how, outcome.done) for outcome in sweep.outcomes(plan, folder, "gone")]
        assert hows == [("done", True), ("failed", False), ("not started", False)]
        launch.write(folder, 2, launch.Record("found", path=str(finished)))  # its threads made other data
        found = sweep.outcomes(plan, folder)[2]
        assert (found.how, found.path, found.reason) == ("found", str(finished), "")
        assert reader.read(finished).status == "finished"
    assert folder.exists()


def test_a_look_at_a_run_takes_no_lock(here: Path) -> None:
    path = execute(SMALL).path
    state = sweep.glance(path)
    assert (state.status, state.step) == ("finished", "5")
    path.write_bytes(b"broken")
    assert sweep.glance(path).status == "missing"


def test_a_sweep_in_this_process_leaves_runs_and_nothing_else(
    simopt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counted.py").write_text(COUNTED)
    overrides = [
        "dataset=gaussian", "dataset._target_=counted.Counted", "dataset.seed=0,1", "measure=cka,nbs,linreg",
        "max_steps=3", "dataset.units=5",
    ]  # fmt: skip
    dry = simopt("sweep", *overrides, "--dry-run", "--json")
    assert dry.returncode == 0
    assert [row["todo"] for row in json.loads(dry.stdout)] == ["run"] * 6
    assert not (tmp_path / "outputs").exists()
    (tmp_path / "loads").unlink()
    monkeypatch.setattr(data, "_cache", {})  # as in a process of its own
    done = simopt("sweep", *overrides, "--json")
    assert done.returncode == 0
    assert set(outcomes(done).values()) == {"done"}
    assert (tmp_path / "loads").read_text() == "xx"
    assert done.stderr.count("done: dataset.seed=") == 6
    made = [name for name in files(tmp_path) if "__pycache__" not in name]
    assert len([name for name in made if name.endswith("/run.h5")]) == 6
    assert {Path(name).name for name in made} == {"run.h5", ".lock", "counted.py", "loads"}
    assert sorted(p.name for p in (tmp_path / "outputs").iterdir()) == ["gaussian"]


def test_a_job_that_fails_is_listed_and_the_others_go_on(simopt, tmp_path: Path) -> None:
    np.save(tmp_path / "nan.npy", np.where(np.eye(5) == 1, np.nan, 1))
    np.save(tmp_path / "good.npy", np.random.default_rng(0).normal(size=(20, 4)))
    files = ["dataset=file", "dataset.path=nan.npy,good.npy", "max_steps=2"]
    failed = simopt("sweep", *files, "--json")
    assert failed.returncode == 1
    assert outcomes(failed) == {"dataset.path=nan.npy": "failed", "dataset.path=good.npy": "done"}
    assert "1 of 2 jobs did not finish" in failed.stderr
    assert "dataset.path=nan.npy: failed. " in failed.stderr
    assert "NaN or infinite" in failed.stderr
    assert len(list(tmp_path.rglob("0.yaml"))) == 1  # to look at, until the same jobs are done
    assert simopt("sweep", "dataset=ultrametric", "max_steps=2").returncode == 0
    assert len(list(tmp_path.rglob("0.yaml"))) == 1
    np.save(tmp_path / "nan.npy", np.random.default_rng(1).normal(size=(20, 4)))
    assert simopt("sweep", *files).returncode == 0
    assert not list(tmp_path.rglob(".sweeps"))


def test_bad_input_is_exit_code_2_and_nothing_written(simopt, tmp_path: Path) -> None:
    refused = simopt("sweep", "dataset=ultrametric", "measure=cka,ckaa")
    assert refused.returncode == 2
    assert refused.stderr == "simopt: Unknown measure 'ckaa'; the nearest: cka, cknna, cca.\n"
    assert files(tmp_path) == []


def test_an_interrupt_keeps_what_is_done_and_the_same_command_goes_on(simopt, here: Path) -> None:
    overrides = ["dataset=ultrametric", "measure=cka,nbs,linreg", "target=1", "max_steps=3,1000000"]
    overrides += ["log.every=1000"]
    with interrupted_once(lambda: len(list(here.rglob("run.h5"))) > 1):
        done = simopt("sweep", *overrides, "--json")
    assert done.returncode == 130
    assert list(outcomes(done).values()) == ["done", "interrupted"] + ["not started"] * 4
    assert "interrupted at step" in done.stderr
    assert "Traceback" not in done.stderr
    todo = [job.todo for job in sweep.plan(overrides).jobs]
    assert todo == ["found", "resume", "run", "run", "run", "run"]


@pytest.mark.parametrize(
    ("processes", "count"),
    [(2, 3), pytest.param(2, 8, marks=pytest.mark.slow), pytest.param(8, 8, marks=pytest.mark.slow)],
)
def test_overlapping_sweeps_do_every_run_once(tmp_path: Path, processes: int, count: int) -> None:
    measures = ["cka", "nbs", "cka_angular", "nbs_squared", "linreg", "ridge1", "procrustes_angular", "ensd"]
    measures = measures[:count]
    children = []
    for k in range(processes):
        mine = ",".join(measures[k:] + measures[:k])
        children.append(start(tmp_path, "dataset=ultrametric", f"measure={mine}", "max_steps=40", "--json"))
    rows = []
    for child in children:
        out, said = child.communicate(timeout=300)
        assert child.returncode == 0, said
        rows += json.loads(out)
    assert len(rows) == processes * len(measures)
    assert sorted(row["measure"] for row in rows if row["outcome"] == "done") == sorted(measures)
    assert {row["outcome"] for row in rows} == {"done", "found"}
    assert {row["status"] for row in rows} == {"finished"}


def test_on_a_terminal_a_table_shows_every_job(simopt, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    done = simopt("sweep", "dataset=ultrametric", "measure=cka,nbs", "target=1", "max_steps=1500")
    assert done.returncode == 0
    assert "1 running, 1 waiting" in done.stderr
    assert "measure=nbs" in done.stderr
    assert "done: " not in done.stderr
    assert "measure=nbs" in done.stdout


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.errors import MissingConfigException

    from simopt.app.config import compose as composing

    def missing(*rest: object, **more: object) -> None:
        raise MissingConfigException("no", "hydra/launcher/joblib", ["basic"])

    monkeypatch.setattr(composing, "hydra_compose", missing)
    with pytest.raises(InputError, match=r'pip install "simopt\[joblib\]"'):
        combinations(["hydra/launcher=joblib"])


def test_jobs_that_start_at_once_share_the_cores() -> None:
    local = {"_target_": "x.LocalLauncher", "cpus_per_task": None}
    cores = len(os.sched_getaffinity(0))
    assert launch._shares(local, 1) == (cores, 1)
    assert launch._shares(local, 100) == (1, cores)
    assert launch._shares({"_target_": "x.BasicLauncher"}, 100) == (0, 0)


def test_no_more_jobs_at_work_than_places(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(2):
            held.enter_context(launch._slot(tmp_path, 2, lambda: False))
        asked: list[int] = []

        def give_up() -> bool:
            asked.append(1)
            return len(asked) == 3

        with launch._slot(tmp_path, 2, give_up):
            assert len(asked) == 3
    with launch._slot(tmp_path, 2, lambda: bool(asked.append(1))):
        assert len(asked) == 4
