"""``simopt card`` as a user runs it."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

import simopt as package
from simopt.app.cli import app
from tests.app.test_sweep import COUNTED

SMALL = ["dataset=ultrametric", "seeds=[0]", "max_steps=30"]
QUICK = ["starts=2", "rounds=1", "steps=4", "levels=[0.3,0.9]"]
OWN = """
import torch

def spectral(X, Y):
    K, L = X @ X.T, Y @ Y.T
    return (K * L).sum() / (K.norm() * L.norm())

def broken(X, Y):
    raise ZeroDivisionError("no")
"""


def found(shown):
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


@pytest.mark.slow
def test_a_card_of_ones_own_function_and_its_files(simopt, tmp_path):
    (tmp_path / "my_scores.py").write_text(OWN)
    asked = ["card", "my_scores.spectral", *SMALL, *QUICK, "--against", "nbs"]
    told = found(simopt(*asked, "--json", "--html", "c.html"))
    assert told["measure"] == "spectral"
    assert (told["dataset"], told["source"]) == ("ultrametric", "surrogate")
    assert {each["declared"] for each in told["invariances"]} == {None}
    stays = {(each["kind"], each["side"]) for each in told["invariances"] if each["holds"]}
    kinds = ("permutation", "orthogonal", "isotropic_scaling")
    assert stays == {(kind, side) for kind in kinds for side in ("X", "Y")}
    assert told["missing"] == {}
    assert set(told["decoding"]) == {"level1", "level2"}
    X = package.load_dataset("ultrametric").samples()
    curve = told["sensitivity"]["measures"]["spectral"]
    assert len(curve["experiment"]) == len(told["sensitivity"]["variance_ratio"])
    assert curve["theory"] is None
    assert (told["samples"], told["units"]) == X.shape
    assert told["cost"]["gradient_seconds"] > told["cost"]["score_seconds"] > 0
    (joint,) = told["joint"]
    assert joint["partner"] == "nbs"
    assert joint["proved_lower"] == []
    assert "starts=2 rounds=1 steps=4" in joint["effort"]
    assert "spectral" in (tmp_path / "c.html").read_text()
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/**/*.h5")}
    assert len(stored) == 3
    again = found(simopt(*asked, "--json"))
    assert again["run"]["path"] == told["run"]["path"]
    assert again["joint"] == told["joint"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/**/*.h5")} == stored


def test_two_side_by_side_without_joint_ranges(simopt):
    shown = simopt("card", "cka", "rsa_spearman", *SMALL, "decoder=none", "--no-joint")
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    assert "cka and rsa_spearman on ultrametric (surrogate)" in words
    assert "||X'Y||_F^2" in words
    assert "rsa_spearman has no gradient: it can be scored, not optimized" in words
    assert "cka, joint: left out" in words
    assert "cka, decoding: left out" in words
    assert "making cka: sensitivity" in shown.stderr


@pytest.mark.slow
def test_stored_results_of_other_commands_are_taken(simopt, tmp_path):
    run = found(
        simopt("run", "measure=cka", "dataset=ultrametric", "seeds=[0,1,2]", "decoder=standard", "--json")
    )
    joint = found(simopt("joint", "measures=[cka,nbs]", "dataset=ultrametric", *QUICK[:3], "--json"))
    told = found(simopt("card", "cka", "dataset=ultrametric", "--against", "nbs", "--json"))
    assert told["run"]["path"] == run["path"]
    (range_,) = told["joint"]
    assert range_["path"] == joint["path"]
    outline = np.array(range_["outline"])
    turned = np.concatenate([joint["outline"]["lower"], joint["outline"]["upper"][::-1]])[:, ::-1]
    np.testing.assert_array_equal(outline, turned)
    changed = found(simopt("card", "cka", "measure.kernel=rbf", *SMALL, *QUICK, "--against", "nbs", "--json"))
    assert changed["joint"][0]["path"] != joint["path"]
    assert changed["run"]["path"] != run["path"]


def test_the_data_are_read_once(simopt, tmp_path):
    (tmp_path / "counted.py").write_text(COUNTED)
    data = ["dataset=gaussian", "dataset._target_=counted.Counted", "dataset.samples=30", "dataset.units=4"]
    told = found(
        simopt("card", "cka", *data, "seeds=[0]", "max_steps=3", *QUICK, "--against", "nbs", "--json")
    )
    assert told["missing"].keys() == {"decoding"}
    assert (tmp_path / "loads").read_text() == "x"


@pytest.mark.slow
def test_an_interrupted_card_ends_with_130_and_goes_on(simopt, tmp_path):
    asked = ["card", "cka", "dataset=ultrametric", "--against", "nbs", "--json"]
    command = [sys.executable, "-m", "simopt.app.cli", *asked]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as at_work:
        deadline = time.monotonic() + 120
        for line in at_work.stderr:
            if "joint range" in line or time.monotonic() > deadline:
                break
        time.sleep(0.5)
        at_work.send_signal(signal.SIGINT)
        at_work.communicate()
    assert at_work.returncode == 130
    (run,) = tmp_path.glob("outputs/ultrametric/cka/*/run.h5")
    told = found(simopt(*asked))
    assert told["run"]["path"] == str(run.relative_to(tmp_path))
    assert told["joint"]


@pytest.mark.slow
def test_a_whole_card_on_majaj_and_again_in_seconds(simopt, tmp_path):
    asked = ["card", "cka", "dataset=majaj", "dataset.source=surrogate", "--json"]
    told = found(simopt(*asked, "--html", "c.html"))
    assert "majaj (surrogate)" in (tmp_path / "c.html").read_text()
    assert [each["partner"] for each in told["joint"]] == ["nbs", "procrustes_angular", "linreg"]
    assert told["half_capture"][0][0] < 0.6
    again = found(simopt(*asked))
    assert again["joint"] == told["joint"]
    assert again["run"] == told["run"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], "No measure is named"),
        (["ckaa"], "Unknown measure 'ckaa'"),
        (["cka", "cka"], "named twice"),
        (["all"], "measure=all"),
        (["no_module.score"], "cannot be imported"),
        (["cka", "speed=3"], "Unknown key of run 'speed'"),
        (["cka", "starts=1"], "starts is 1"),
        (["cka", "--against", "rsa_spearman"], "has no gradient"),
        (["cka", "--against", "nbs", "--no-joint"], "give one"),
        (["cka", "--html", "c.pdf"], "c.pdf: the name of the output file must end in .html"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(asked, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["card", *asked])
    assert shown.exit_code == 2
    assert told in " ".join(shown.output.split())
    assert len(shown.output.strip().splitlines()) <= 2
    assert not list(tmp_path.iterdir())


def test_a_function_that_fails_is_bad_input(monkeypatch, tmp_path):
    (tmp_path / "scores_of_a_card.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shown = CliRunner().invoke(app, ["card", "scores_of_a_card.broken", *SMALL])
    assert shown.exit_code == 2
    assert "broken fails (ZeroDivisionError: no); give a function of two tensors" in shown.output
    assert not (tmp_path / "outputs").exists()
