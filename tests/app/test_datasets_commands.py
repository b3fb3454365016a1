"""``simopt datasets``: the list, fetching, and a look at one."""

import json
from pathlib import Path

import numpy as np
import pytest

from simopt import datasets


def test_the_list_names_every_dataset_and_what_is_taken_now(simopt) -> None:
    done = simopt("datasets")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in datasets.names())
    assert "(synthetic)" in done.stdout
    cards = {card["name"]: card for card in json.loads(simopt("datasets", "--json").stdout)}
    assert sorted(cards) == datasets.names()
    assert (cards["majaj"]["shape"], cards["majaj"]["source"]) == ([3200, 168], "surrogate")
    assert cards["gaussian"]["source"] == "generated"


def test_a_recording_in_the_cache_is_listed_as_real(simopt, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SIMOPT_DATA", str(tmp_path))
    (tmp_path / "siegel").mkdir()
    (tmp_path / "siegel" / datasets.recording("siegel").files[0].name).touch()
    cards = {card["name"]: card for card in json.loads(simopt("datasets", "--json").stdout)}
    assert (cards["siegel"]["source"], cards["majaj"]["source"]) == ("real", "surrogate")


def test_a_look_at_a_surrogate(simopt, tmp_path: Path) -> None:
    done = simopt("datasets", "show", "freeman_ziemba", "source=surrogate", "--figure", "spectrum.svg")
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("freeman_ziemba (surrogate)", "2 x 135 x 205", "participation ratio", "15.7", "synthetic"):
        assert part in done.stdout
    assert b"<svg" in (tmp_path / "spectrum.svg").read_bytes()
    card = json.loads(simopt("datasets", "show", "freeman_ziemba", "--json").stdout)
    assert card["labels"]["texture_type"]["accuracy_published"] == pytest.approx(0.61, abs=0.03)
    assert len(card["spectrum"]) == 205
    held = np.cumsum(card["spectrum"])
    for share, count in card["pcs_holding"].items():
        assert held[count - 2] < float(share) <= held[count - 1] + 1e-12


def test_a_look_at_a_file_says_why_a_label_is_not_decoded(simopt, tmp_path: Path, rng) -> None:
    np.save(tmp_path / "data.npy", rng.standard_normal((30, 4)))
    (tmp_path / "labels.csv").write_text("side,block\n" + "".join(f"{'ab'[i % 2]},1\n" for i in range(30)))
    done = simopt("datasets", "show", "file", "path=data.npy", "labels=labels.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "data (real)" in done.stdout
    assert "2 classes, chance 0.500" in done.stdout
    assert "not decoded: all 30 labels are 1; give at least two values" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "majah"], 2, "the nearest: majaj"),
        (["show", "file"], 2, "dataset.path has no value"),
        (["show", "file", "path=none.npy"], 2, "no such file"),
        (["show", "majaj", "source=surrogate", "region=V4"], 2, "region can only be set for the real"),
        (["show", "ultrametric", "--figure", "spectrum.bmp"], 2, "a figure is a .png, .pdf or .svg file"),
        (["fetch", "gaussian"], 2, "Unknown recording 'gaussian'; there are: freeman_ziemba"),
        (["fetch", "siegel"], 1, "has no public source"),
        (["fetch", "majaj"], 1, "could not be downloaded"),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines(simopt, arguments: list[str], code: int, says: str) -> None:
    done = simopt("datasets", *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
