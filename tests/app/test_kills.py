"""Runs that are killed or interrupted at random instants go on to the numbers of an undisturbed one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "kills.py"


def kills(count: int, number: str, *options: str) -> dict:
    command = [sys.executable, str(SCRIPT), f"--kills={count}", f"--signal={number}", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "count", [pytest.param(1, id="1"), pytest.param(30, id="30", marks=pytest.mark.slow)]
)
def test_killed_runs_go_on_to_the_same_numbers(count: int) -> None:
    result = kills(count, "KILL", "--seed=1", "max_steps=60")
    assert result["kills"] >= count
    assert result["failed"] == 0
    assert result["seen"]["at the end: equal"] == result["runs"]
    done_by_itself = result["seen"].get("exit code 0", 0)  # at the very instant of the signal
    assert result["seen"]["exit code -9"] + done_by_itself == result["kills"]
    assert done_by_itself <= max(1, result["kills"] // 5)
    assert result["seen"]["after a kill: crashed"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", ["INT", "TERM"])
def test_interrupted_runs_go_on_to_the_same_numbers(number: str) -> None:
    result = kills(20, number, "max_steps=60")
    assert result["failed"] == 0
    assert result["seen"]["at the end: equal"] == result["runs"]
    assert result["seen"]["exit code 130"] > 0
