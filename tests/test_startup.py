"""How long a command takes before it does anything: what it loads, and its processor time."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

import simopt as package
from simopt.catalogue import config_dir

HEAVY = {"torch", "scipy", "sklearn", "sympy", "matplotlib", "pandas", "plotly"}
COMMAND = [sys.executable, "-m", "simopt.app.cli"]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "NO_COLOR": "1",
    "PYTHONPATH": str(Path(package.__file__).parents[1]),
}
YAMLS = {path.stem for path in (config_dir() / "measure").glob("*.yaml")} - {"function"}


def loaded(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """Run a command and return its exit code and the names of all modules that it loaded."""
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], *arguments]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 100
    return done.returncode, {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    ("arguments", "unused", "code"),
    [
        ("--help", {*HEAVY, "h5py", "hydra", "numpy"}, 0),
        ("sweep --help", {*HEAVY, "h5py", "hydra", "numpy"}, 0),
        ("measures cka", {"hydra", "matplotlib"}, 0),
        ("datasets", {*HEAVY, "hydra"}, 0),
    ],
)
def test_only_what_is_needed_is_loaded(arguments, unused, code, tmp_path) -> None:
    got, modules = loaded(tmp_path, *arguments.split())
    assert got == code
    assert not unused & modules


def test_a_report_on_runs_alone_loads_no_torch(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    package.optimize(package.load_dataset("gaussian"), max_steps=3, store="outputs")
    code, modules = loaded(tmp_path, "report")
    assert code == 0
    assert "matplotlib" in modules
    assert not {"torch", "scipy", "sklearn", "sympy"} & modules


def test_every_measure_is_a_row(simopt) -> None:
    listed = json.loads(simopt("measures", "--json").stdout)
    assert len(listed) == len(YAMLS)
    assert {card["name"] for card in listed} == YAMLS
    rows = [line.split("│")[1:] for line in simopt("measures").stdout.splitlines() if line.startswith("│")]
    assert len(rows) == len(YAMLS)
    assert {name.strip() for row in rows for name in row[:2]} >= YAMLS


def test_completion_loads_what_it_offers_from(tmp_path) -> None:
    request = {
        "_SIMOPT_COMPLETE": "complete_bash",
        "COMP_WORDS": "simopt run measure = proc",
        "COMP_CWORD": "4",
        "_TYPER_COMPLETE_ARGS": "simopt run measure=proc",
    }
    text = (
        "import sys\n"
        "from simopt.app import cli\n"
        "try:\n"
        "    cli.app(prog_name='simopt')\n"
        "finally:\n"
        "    print(sorted({*sys.modules} & {'torch', 'h5py', 'hydra', 'scipy', 'matplotlib'}))\n"
    )
    command = [sys.executable, "-c", text]
    environment = {**ENVIRONMENT, **request}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "procrustes_angular" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("arguments", "bar"), [("--help", 0.5), ("datasets", 1.0)])
def test_processor_time(arguments, bar, tmp_path) -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*COMMAND, *arguments.split()], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert median(seconds() for _ in range(3)) < bar
