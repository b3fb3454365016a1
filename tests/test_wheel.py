"""The built wheel: it carries the configs, and runs from any folder. Slow: builds with the network."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_runs_from_another_folder(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "a site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {path.name for path in site.iterdir()} == {"simopt", "simopt-0.1.0.dist-info"}
    configs = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    shipped = {
        path.relative_to(site / "simopt" / "configs")
        for path in (site / "simopt" / "configs").rglob("*.yaml")
    }
    assert shipped == configs

    def python(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    assert Path(python("-c", "import simopt; print(simopt.__file__)").strip()).is_relative_to(site)
    assert (
        json.loads(python("-m", "simopt.app.cli", "run", "dataset=siegel", "max_steps=1", "--json"))["steps"]
        == 1
    )
