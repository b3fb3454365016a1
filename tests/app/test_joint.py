"""``simopt joint`` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt as package
from simopt.store import analysis
from simopt.store.state import pack
from simopt.theory.bounds import between

GAUSSIAN = ["dataset=gaussian", "dataset.samples=40", "dataset.units=5"]
QUICK = [*GAUSSIAN, "steps=20", "starts=2", "rounds=1"]


def found(shown):
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def test_a_region_its_verdict_and_its_file(simopt, tmp_path):
    shown = simopt("joint", *QUICK, "--figure", "f.svg")
    assert shown.returncode == 0, shown.stderr
    assert "cka >= 0.9 leaves procrustes_angular" in " ".join(shown.stdout.split())
    assert "<svg" in (tmp_path / "f.svg").read_text()
    told = found(simopt("joint", *QUICK, "--json"))
    (stored,) = tmp_path.glob("outputs/gaussian/joint/surrogate-*/joint.h5")
    assert told["path"] == str(stored.relative_to(tmp_path))
    assert told["verdict"] in ("independent", "coupled", "asymmetric")
    boundary = told["boundary"]
    assert len(boundary["a_level"]) == len(boundary["b_min"]) == len(boundary["b_max"]) == 11
    assert len(told["proved"]) == 101
    spectrum = package.load_dataset("gaussian", samples=40, units=5).spectrum()
    level, apart = np.array(boundary["a_level"]), 1e-4  # how far from a level a Y may be
    for side, name, sign in (("lower", "b_min", 1), ("upper", "b_max", -1)):
        ends = np.clip(level - sign * apart, 0, 1)
        proved = between("cka", "procrustes_angular", spectrum, samples=40, units=5, levels=ends)
        beyond = sign * (np.array(boundary[name], dtype=float) - getattr(proved, side))
        assert (beyond[np.isfinite(beyond)] > -1e-5).all()
    for interval in told["implied"].values():
        assert interval["proved"][0] <= interval["low"] + 1e-4
    assert len(told["captured"][0][0]) == 5


@pytest.mark.slow
def test_scores_of_stored_runs_lie_inside(simopt):
    assert simopt("run", "measure=cka", *GAUSSIAN, "track=[procrustes_angular]").returncode == 0
    square = found(simopt("joint", *GAUSSIAN, "mode=square", "steps=30", "per_side=2", "--json"))
    assert [len(square["square"][name]) for name in ("targets", "closest", "settled")] == [4, 4, 4]
    told = found(simopt("joint", *QUICK, "--json"))
    assert told["stored_pairs"] > 4 * 30
    lower, upper = (np.array(told["outline"][side]) for side in ("lower", "upper"))
    for a, b in square["square"]["closest"]:
        assert np.interp(a, *lower.T) - 1e-6 <= b <= np.interp(a, *upper.T) + 1e-6
    before = told["stored_pairs"]
    other = ("measure=cka", "measure.kernel=rbf", "track=[procrustes_angular]", "max_steps=3")
    assert simopt("run", *GAUSSIAN, *other).returncode == 0
    assert found(simopt("joint", *QUICK, "--json"))["stored_pairs"] == before
    without = found(simopt("joint", *QUICK, "contain=false", "--json"))
    assert without["path"] == told["path"]
    assert without["stored_pairs"] == 0


def test_extreme_y_are_kept_though_there_is_a_result_without(simopt, tmp_path):
    asked = ["joint", *QUICK, "levels=[0.5]", "--json"]
    plain, kept = found(simopt(*asked)), found(simopt(*asked, "keep=true"))
    assert plain["boundary"] == kept["boundary"]
    with h5py.File(tmp_path / kept["path"]) as file:
        assert file["extremes/Y"].shape == (1, 2, 40, 5)


@pytest.mark.slow
def test_several_pairs(simopt, tmp_path):
    told = found(
        simopt(
            "joint", *QUICK, "measures=[cka,nbs,linreg]", "levels=[0.2,0.8]", "--figure", "m.png", "--json"
        )
    )
    assert [each["measures"] for each in told] == [["cka", "nbs"], ["cka", "linreg"], ["nbs", "linreg"]]
    assert (tmp_path / "m.png").stat().st_size > 1000


def searched(folder: Path) -> list[Path]:
    """The files of searches that can go on."""
    return [
        path
        for path in folder.glob("parts/*/joint/*/joint.h5")
        if analysis.unfinished(path, "joint") is not None
    ]


@pytest.mark.slow
def test_an_interrupted_search_goes_on_to_the_same_region(simopt, tmp_path):
    asked = [*GAUSSIAN, "steps=60", "levels=[0.2,0.5,0.8]", "checkpoint_seconds=0", "--json"]
    whole = found(simopt("joint", *asked, "log.dir=whole"))
    command = [sys.executable, "-m", "simopt.app.cli", "joint", *asked, "log.dir=parts"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for way in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 60
            while not (kept := searched(tmp_path)) and time.monotonic() < deadline:
                assert process.poll() is None
            process.send_signal(way)
            process.communicate()
        assert process.returncode == (130 if way is signal.SIGINT else -signal.SIGKILL)
        (kept,) = searched(tmp_path)
    state = kept.read_bytes()
    stored = analysis.unfinished(kept, "joint")
    assert stored is not None
    groups = {"resume": {"state": pack({"searches": []}, "resume")[0]}}
    analysis.write(kept, "joint", replace(stored, groups=groups), "running")
    refused = simopt("joint", *asked, "log.dir=parts")
    assert refused.returncode == 1
    assert "cannot be resumed" in " ".join(refused.stderr.split())
    kept.write_bytes(state)
    parts = found(simopt("joint", *asked, "log.dir=parts"))
    for key in ("area", "boundary", "outline", "implied", "captured"):
        assert parts[key] == whole[key]
    assert not searched(tmp_path)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["measures=[cka]"], "measure=cka,nbs"),
        (["measures=[cka,ckaa]"], "Unknown measure 'ckaa'"),
        (["measures=[cka,rsa_spearman]"], "has no gradient"),
        (["measures=[procrustes_euclidean,cka]"], "procrustes_euclidean does not range from 0 to 1"),
        (["mode=round"], "Unknown mode of joint 'round'"),
        (["levels=[2.0]"], "cka lies between 0 and 1"),
        (["third=linreg"], "third was removed"),
        (["starts=1"], "starts"),
        (["speed=3"], "Unknown key of joint 'speed'"),
        (["mode=both"], "Unknown mode of joint 'both'"),
        (["mode=square", "loss=cubed"], "Unknown loss 'cubed'"),
        (["mode=square", "per_side=1"], "per_side is 1"),
        (["device=toaster"], "toaster"),
        (["--figure", "f.txt"], "a figure is"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(simopt, tmp_path, asked, told):
    shown = simopt("joint", *GAUSSIAN, *asked)
    assert shown.returncode == 2, shown.stdout + shown.stderr
    assert told in shown.stderr
    assert len(shown.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "outputs").exists()
