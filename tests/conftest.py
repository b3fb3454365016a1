"""Shared fixtures: seeded data, and the command line in this process or in one of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

Simopt = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _offline_without_a_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test sees the recordings that a user has, or reaches out for them."""
    monkeypatch.setenv("SIMOPT_DATA", str(tmp_path_factory.getbasetemp() / "recordings"))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)


def invoke(folder: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess:
    """Run ``simopt ARGUMENTS`` within this process, in a folder whose modules it may import."""
    from simopt.app.cli import app

    before = list(sys.path)
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(arguments), env={"NO_COLOR": "1"}, prog_name="simopt")
    sys.path[:] = before
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(f"{folder}{os.sep}"):
            del sys.modules[name]
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(list(arguments), done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def simopt(tmp_path: Path) -> Simopt:
    """Run ``simopt ARGUMENTS`` within this process, in a folder of its own, and return what it printed."""
    return lambda *arguments: invoke(tmp_path, arguments)


@pytest.fixture
def simopt_process(tmp_path: Path) -> Simopt:
    """Run ``simopt ARGUMENTS`` as a process, in a folder of its own, and return what it printed."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "simopt.app.cli", *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            **{"timeout": 120, **options},
        )

    return run
