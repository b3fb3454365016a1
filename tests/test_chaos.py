"""The campaigns of faults and damage, in part; whole ones: `scripts/chaos.py`, `scripts/damages.py`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def campaign(script: str, *options: str) -> Any:
    command = [sys.executable, str(SCRIPTS / script), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    return report


def test_damaged_files_are_refused() -> None:
    report = campaign("damages.py", "--damages=600", "--seed=2")
    assert sum(count for *_, count in report) >= 600
    assert {verdict for _, _, verdict, _ in report} <= {"refused", "harmless"}
    assert len({name for name, *_ in report}) == 6


def faults(*options: str) -> dict[str, Any]:
    rows: dict[str, Any] = campaign("chaos.py", *options)
    assert not [
        f"{name}: {problem}" for name, row in rows.items() for problem in (*row["lost"], *row["misreported"])
    ]
    return rows


@pytest.mark.slow
def test_signals_and_crowds_and_damage() -> None:
    rows = faults(
        "--faults=12", "--only=run SIGKILL,run SIGTERM,crowd run,damaged run,schema run", "--seed=3"
    )
    assert sum(row["faults"] for row in rows.values()) >= 12


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_size() -> None:
    rows = faults("--faults=20", "--only=disk full run")
    assert all(row["faults"] == 20 or row["skipped"] for row in rows.values())


@pytest.mark.slow
def test_a_fault_of_every_kind() -> None:
    rows = faults("--faults=70")
    assert all(row["faults"] or row["skipped"] for row in rows.values())
