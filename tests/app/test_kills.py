"""Killed runs go on to the bits of an undisturbed one, in part; the whole campaign: `scripts/kills.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "kills.py"


@pytest.mark.parametrize(
    ("kills", "fresh"), [pytest.param(3, 0, id="few"), pytest.param(30, 3, id="many", marks=pytest.mark.slow)]
)
def test_killed_runs_go_on_to_the_same_bits(kills: int, fresh: int) -> None:
    command = [sys.executable, str(SCRIPT), f"--kills={kills}", f"--fresh={fresh}", "--seed=1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] >= kills + fresh
    assert seen["after a kill: crashed with a state"] > 0
    assert seen["at the end: equal"] > 0
    assert not [what for what in seen if "wrong" in what or "unreadable" in what]
