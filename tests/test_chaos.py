"""The campaign of faults, in part; the whole one is `python scripts/chaos.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "chaos.py"


def campaign(*options: str) -> dict:
    command = [sys.executable, str(SCRIPT), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.stdout, done.stderr
    rows = json.loads(done.stdout)
    problems = [
        f"{name}: {each}" for name, row in rows.items() for each in (*row["lost"], *row["misreported"])
    ]
    assert not problems
    assert done.returncode == 0
    return rows


@pytest.mark.slow
def test_signals_and_crowds_and_damage() -> None:
    rows = campaign("--faults=12", "--only=run SIGKILL,run SIGTERM,crowd run,bit run,schema run", "--seed=3")
    assert sum(row["faults"] for row in rows.values()) >= 12


@pytest.mark.slow
def test_a_fault_of_every_kind() -> None:
    rows = campaign("--faults=70")
    assert all(row["faults"] or row["skipped"] for row in rows.values())
