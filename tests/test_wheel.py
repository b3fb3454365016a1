"""The sdist and the wheel: the files they hold, and, slow, that they run and type-check from any folder."""

import base64
import csv
import hashlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INFO = "simopt-0.1.0.dist-info"

USER = """
import numpy as np
import simopt
from simopt import measures

X = np.random.default_rng(0).standard_normal((20, 4))
score: float = simopt.score(X, X, "cka")
trajectory: simopt.Trajectory = simopt.optimize(X, measures.get("nbs"), seeds=(0, 1), max_steps=2)
last: np.ndarray = trajectory.score[-1]
dataset: simopt.Dataset = simopt.load_dataset("ultrametric")
samples: np.ndarray = dataset.samples()
"""
WRONG = """
import simopt

simopt.optimize([[1.0]], "cka", max_steps="many")
steps: str = simopt.score([[1.0]], [[1.0]])
simopt.no_such_name
"""


def build(target: str, folder: Path, source: Path = ROOT) -> Path:
    """Build with the hatchling that is installed, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "simopt-0.1.0"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, in a folder with a space."""
    folder = tmp_path_factory.mktemp("wheel") / "a site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_its_configs_and_nothing_else(site: Path) -> None:
    held = {name: digest for name, digest in digests(site).items() if not name.startswith(f"{INFO}/")}
    configs = {f"configs/{name}": digest for name, digest in digests(ROOT / "configs").items()}
    assert held == {f"simopt/{k}": v for k, v in (digests(ROOT / "simopt") | configs).items()}
    assert "simopt/py.typed" in held
    assert {path.name for path in site.iterdir()} == {"simopt", INFO}


def test_the_record_lists_every_file_with_its_hash(site: Path) -> None:
    rows = {name: digest for name, digest, _ in csv.reader(io.StringIO((site / INFO / "RECORD").read_text()))}
    assert rows.pop(f"{INFO}/RECORD") == ""
    raw = {name: bytes.fromhex(digest) for name, digest in digests(site).items() if "RECORD" not in name}
    assert rows == {
        name: "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
        for name, digest in raw.items()
    }


def test_the_sdist_gives_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert {path.name for path in sdist.iterdir()} == {
        *("simopt", "configs", "tests", "scripts"),
        *(
            "README.md",
            "CHANGELOG.md",
            "LICENSE",
            "pyproject.toml",
            "constraints.txt",
            ".gitignore",
            ".github",
            "PKG-INFO",
        ),
    }
    assert build("wheel", tmp_path, sdist).read_bytes() == wheel.read_bytes()


def test_what_the_wheel_says_of_itself(site: Path) -> None:
    metadata = message_from_bytes((site / INFO / "METADATA").read_bytes())
    assert metadata["Name"] == "simopt"
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert {"joblib", "slurm", "formats", "html"} <= set(metadata.get_all("Provides-Extra"))
    (entry,) = importlib.metadata.PathDistribution(site / INFO).entry_points
    assert (entry.name, entry.value) == ("simopt", "simopt.app.cli:main")


@pytest.mark.slow
def test_the_wheel_runs_from_another_folder(site: Path, tmp_path: Path) -> None:
    def python(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    assert Path(python("-c", "import simopt; print(simopt.__file__)").strip()).is_relative_to(site)
    cli = ("-m", "simopt.app.cli")
    assert json.loads(python(*cli, "run", "dataset=siegel", "max_steps=1", "--json"))["steps"] == 1
    assert "siegel" in python(*cli, "report", "outputs")


@pytest.mark.slow
def test_a_program_that_imports_simopt_type_checks(site: Path, tmp_path: Path) -> None:
    from mypy import api

    def mypy(program: str) -> tuple[str, int]:
        file = tmp_path / "program.py"
        file.write_text(program)
        (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = true\nmypy_path = {site}\n")
        # As installed: silent inside the package, whose missing stubs are no matter of the user's.
        command = ["--config-file", str(tmp_path / "mypy.ini"), "--follow-imports=silent", str(file)]
        out, _, code = api.run([*command, "--cache-dir", str(tmp_path / "cache")])
        return out, code

    assert mypy(USER)[1] == 0, mypy(USER)[0]
    out, _ = mypy(WRONG)
    for line, kind in ((4, "arg-type"), (5, "assignment"), (6, "attr-defined")):
        assert any(f"program.py:{line}:" in each and f"[{kind}]" in each for each in out.splitlines()), out
