"""Bad data files through the command line: exit code 2, one or two lines, nothing left behind.

Run within one process, as there are many; ``test_datasets_commands`` starts real ones.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from simopt import datasets
from simopt.app.cli import app
from tests.datasets.test_formats import BAD


def text(value: Any) -> str:
    """A value in the grammar of overrides."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}: {text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return str(value)


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["datasets", "show", *arguments])
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert 1 <= len(done.stderr.strip().splitlines()) <= 2
    return done.stderr


@pytest.mark.parametrize("name", BAD)
def test_files_of_users(tmp_path: Path, name: str) -> None:
    write, options, _ = BAD[name]
    path = write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = refused("file", f"path='{path}'", *(f"{key}={text(value)}" for key, value in options.items()))
    assert path.name in said
    assert sorted(tmp_path.rglob("*")) == before


def slipping(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PFC data/PFC data 1/../../../../evil.mat", b"x")


def text_file(path: Path) -> None:
    path.write_text("<html>Sign in to download</html>")


def empty(path: Path) -> None:
    path.touch()


def empty_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w"):
        pass


def without_units(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PFC data/PFC data 1/unit.mat", b"MATLAB 5.0 MAT-file".ljust(200))


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["something"] = np.arange(3)


def ragged_labels(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["responses"] = np.random.default_rng(0).standard_normal((8, 59, 278))
        file["labels/context"] = np.arange(58)


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("majaj", other_hdf5, "the file is not the one that was published: its hash is sha1:"),
        ("freeman_ziemba", empty, "the file is not the one that was published: its hash is sha1:"),
        *(("mante", write, "mante") for write in (slipping, text_file, empty, empty_zip, without_units)),
        *(("hatsopoulos", write, "Dataset5_Monkey4") for write in (text_file, empty, other_hdf5)),
        *(("siegel", write, "siegel.h5") for write in (text_file, empty, other_hdf5, ragged_labels)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_files_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable, says: str
) -> None:
    monkeypatch.setenv("SIMOPT_DATA", str(tmp_path))
    folder = tmp_path / name
    folder.mkdir()
    for file in datasets.recording(name).files:
        write(folder / file.name)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for source in ("real", "auto"):
        assert says in refused(name, f"source={source}")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    after.pop(folder / ".lock", None)
    assert after == before
