"""The command line as a user meets it."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simopt.app import cli
from simopt.store import reader

QUICK = ["dataset=ultrametric", "max_steps=3"]


def test_run_then_report(simopt, tmp_path: Path) -> None:
    done = simopt("run", "measure=cka", "dataset=majaj", "seeds=[0,1]")
    assert (done.returncode, "SURROGATE" in done.stderr) == (0, True)
    assert "majaj (surrogate), cka: 80 steps, score 0.990" in done.stdout
    (path,) = (tmp_path / "outputs" / "majaj" / "cka").glob("surrogate-*/run.h5")
    assert str(path.relative_to(tmp_path)) in done.stdout
    simopt("run", "measure=nbs", "dataset=ultrametric")
    shown = simopt("report")
    assert shown.returncode == 0
    assert "majaj (surrogate)" in shown.stdout
    assert "ultrametric (surrogate)" in shown.stdout
    figures = sorted(p.name for p in (tmp_path / "outputs" / "figures").iterdir())
    assert figures == [
        "half_capture_vs_variance_surrogate.png", "majaj_surrogate_captured.png",
        "majaj_surrogate_score.png", "pcs_vs_score_surrogate.png",
        "ultrametric_surrogate_captured.png", "ultrametric_surrogate_score.png",
    ]  # fmt: skip
    assert all(f"outputs/figures/{name}" in shown.stdout for name in figures)


def test_json_and_progress_stay_out_of_each_others_way(simopt) -> None:
    done = simopt("run", *QUICK, "--json")
    result = json.loads(done.stdout)
    assert (result["outcome"], result["status"], result["steps"], result["replicates"]) == (
        "done",
        "finished",
        3,
        1,
    )
    assert done.stderr == ""  # not a terminal: no bar
    assert json.loads(simopt("run", *QUICK, "--json").stdout)["outcome"] == "found"
    (row,) = json.loads(simopt("report", "--json", "--figures", "figs").stdout)["runs"]
    assert row["half_capture"].keys() == {"1", "2", "5", "10"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "measure=ckaa"], 2, "Unknown measure 'ckaa'; the nearest: cka"),
        (["run", "dataset=file", "dataset.path=nan.npy"], 2, "NaN or infinite"),
        (["run", *QUICK, "log.dir=/dev/null/x"], 2, "cannot be written (not a directory)"),
        (["run", *QUICK, "optimizer.lr=1e30"], 1, "NaN or infinite at step 1"),
        (["run", "measure._target_=os.system", *QUICK], 2, "system cannot be called with X and Y"),
        (["run", *QUICK, "optimizer.lr=abc"], 2, "lr='abc'"),
        (["score", "x.npy", "y.npy", "measure=cka,cka"], 2, "cka is named twice"),
        (["sensitivity", "measure=nbs,cka,nbs"], 2, "nbs is named twice"),
        *(
            ([*command, "--config-dir", "none"], 2, "--config-dir none")
            for command in (["run"], ["sweep", "--dry-run"], ["joint"], ["sensitivity"], ["card", "cka"])
        ),
        (["explain", "x.npy", "y.npy", "--config-dir", "none"], 2, "--config-dir none"),
        (["joint", "loss=cubed"], 2, "Unknown loss 'cubed'"),
        (["joint", "per_side=1"], 2, "per_side is 1"),
        (["joint", "decode=maybe"], 2, "decode=maybe"),
        (["report", "nowhere"], 2, "there is no such file or folder"),
        (["report", "empty"], 2, "No run files in empty"),
        (["report", "broken"], 1, "skipped broken/run.h5: damaged"),
    ],
)
def test_bad_input_is_one_or_two_lines_and_an_exit_code(
    simopt, tmp_path: Path, arguments, code: int, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.h5").write_text("no run")
    for name in ("x", "y"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(size=(20, 4)))
    np.save(tmp_path / "nan.npy", np.where(np.eye(5) == 1, np.nan, 1))
    done = simopt(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in done.stderr


CLOSED = [["measures", "--json"], ["measures"], ["--help"]]


@pytest.mark.parametrize("arguments", CLOSED, ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "simopt.app.cli", *arguments]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        child.stdout.close()
        said = child.stderr.read()
    assert (child.returncode, said) == (0, "")


def test_a_stream_without_a_reader_takes_what_is_written() -> None:
    reader_end, writer_end = os.pipe()
    os.close(reader_end)
    with os.fdopen(writer_end, "w") as pipe:
        stream = cli._reopened(pipe)
        assert stream.write("x" * 10**6) == 10**6
        stream.flush()
    with cli._reopened(None) as dropped:  # closed before Python started
        assert dropped.write("x") == 1


def test_debug_shows_the_traceback(simopt) -> None:
    done = simopt("run", "measure=ckaa", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_file_that_may_not_grow_fails_the_run(simopt_process, tmp_path: Path) -> None:
    limit = 40_000  # bytes a file

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = simopt_process("run", "dataset=ultrametric", preexec_fn=small_files)
    assert done.returncode == 1
    assert "file too large" in done.stderr
    assert "Traceback" not in done.stderr
    (path,) = tmp_path.rglob("run.h5")
    assert reader.read(path).status == "failed"


def test_an_interrupt_is_exit_code_130_and_the_same_command_goes_on(simopt, tmp_path: Path) -> None:
    arguments = ["run", "dataset=majaj", "measure=linreg", "dataset.source=surrogate"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "simopt.app.cli", *arguments]
    child = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while not (found := list(tmp_path.rglob("run.h5"))) and child.poll() is None:
        os.sched_yield()
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "interrupted at step" in said
    assert reader.read(found[0]).status == "interrupted"
    again = simopt(*arguments)
    assert again.returncode == 0
    assert again.stdout.startswith("resumed: ")


DROPPED = """
import os, signal, threading
from simopt.app import cli

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.{signal})

@cli.app.command(name="wait")
def wait():
    Finalised()
    threading.Event().wait(60)

cli.main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_that_python_drops_in_a_finaliser_comes_again(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", DROPPED.format(signal=name), "wait"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_help_and_version(simopt) -> None:
    done = simopt("--help")
    assert done.returncode == 0
    assert "Example: simopt" in done.stdout
    assert simopt("--version").stdout == "simopt 0.1.0\n"
    assert simopt("rnu").returncode == 2
