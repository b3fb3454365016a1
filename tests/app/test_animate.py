"""``simopt animate`` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from simopt.app.animate import animate, request
from typer.testing import CliRunner

from simopt.app.cli import app
from simopt.errors import InputError

SMALL = ["dataset=ultrametric", "max_steps=300"]


@pytest.mark.slow
def test_the_same_command_makes_the_same_bytes(simopt, tmp_path):
    asked = ["animate", "measure=cka,nbs", *SMALL, "target=0.6", "--frames", "3", "--json"]
    first, again = (simopt(*asked, "--file", f"{name}.gif") for name in ("a", "b"))
    assert first.returncode == again.returncode == 0, first.stderr
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    found = json.loads(first.stdout)
    assert (found["file"], found["frames"]) == ("a.gif", 3)
    assert (found["dataset"], found["source"]) == ("ultrametric", "surrogate")
    assert list(found["measures"]) == ["cka", "nbs"]
    for each in found["measures"].values():
        scores, steps = each["scores"], each["steps"]
        assert steps[0] == 0
        assert scores[-1] >= 0.6
        np.testing.assert_allclose(scores, np.linspace(scores[0], scores[-1], 3), atol=0.08)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "b.gif"]


def test_what_cannot_be_shown_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["animate", *SMALL, "--file", "a.png"])
    assert shown.exit_code == 2
    assert "a.png: an animation is a .gif or .mp4 file." in shown.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seeds=[0,1]"], r"an animation shows one run, seeds=\[0\]"),
        (["track=[nbs]"], r"track=\[nbs\]: an animation stores no run"),
        (["decoder=standard"], "decoder belongs to `simopt run`"),
        (["measure=all"], "name the measures to show side by side"),
        (["measure=cka,mutual_knn"], "mutual_knn has no gradient"),
        (["measure=ckq"], "the nearest: cka"),
        (["target=2"], "target is 2.0; cka lies between"),
    ],
)
def test_overrides_that_make_no_animation_are_named(overrides, message):
    with pytest.raises(InputError, match=message):
        request([*SMALL, *overrides], 5)


@pytest.mark.parametrize("frames", [1, 501])
def test_frames_are_between_2_and_500(frames):
    with pytest.raises(InputError, match=f"--frames is {frames}"):
        request(SMALL, frames)


def test_the_rate_is_low_unless_an_optimiser_is_chosen():
    assert request(["measure=cka"], 5)[0].config.optimizer["lr"] == 0.02
    assert request(["measure=cka", "optimizer.lr=0.3"], 5)[0].config.optimizer["lr"] == 0.3
    assert request(["measure=cka", "optimizer=adam"], 5)[0].config.optimizer["lr"] == 0.1


def test_samples_carry_their_label_over_time_and_some_of_many_are_drawn(tmp_path):
    bins, conditions = 3, 400
    X = np.random.default_rng(0).normal(size=(bins, conditions, 6))
    np.savez(tmp_path / "x.npz", responses=X, position=np.linspace(0, 1, conditions))
    asked = request(
        ["dataset=file", f"dataset.path={tmp_path / 'x.npz'}", "dataset.labels=[position]", "max_steps=2"], 2
    )
    shown = animate(asked, 2)
    assert len(shown.scene.X) == len(shown.films[0].shots[0].points) == 1000
    assert shown.scene.label == "position"
    flat = X.reshape(-1, 6) - X.reshape(-1, 6).mean(axis=0)
    left, values, _ = np.linalg.svd(flat, full_matrices=False)
    score, position = (
        left[:, 0] * values[0] / np.linalg.norm(values),
        np.tile(np.linspace(0, 1, conditions), bins),
    )
    drawn = shown.scene.X[:, :1]
    sign = 1 if np.abs(score - drawn).min(axis=1).max() < 1e-5 else -1
    nearest = np.abs(sign * score - drawn).argmin(axis=1)
    agree = position[nearest] == shown.scene.values
    assert agree.mean() > 0.98  # float32 cannot tell all samples apart


def test_the_last_y_lies_nearer_to_x_than_the_first():
    shown = animate(request([*SMALL, "measure=nbs"], 4), 4, "level2")
    first, *_, last = shown.films[0].shots
    assert shown.scene.label == "level2"
    assert np.linalg.norm(last.points - shown.scene.X) < 0.3 * np.linalg.norm(first.points - shown.scene.X)


def test_a_label_that_is_not_there_is_named():
    with pytest.raises(InputError, match="Unknown label of ultrametric 'levle1'; the nearest: level1"):
        animate(request(SMALL, 4), 4, "levle1")
    with pytest.raises(InputError, match="--color x: gaussian has no labels"):
        animate(request(["dataset=gaussian", "max_steps=1"], 4), 4, "x")


def test_a_distance_is_animated_downwards():
    shown = animate(request([*SMALL, "measure=procrustes_normalised", "target=0.2"], 6), 6)
    scores = [shot.score for shot in shown.films[0].shots]
    assert scores[0] > 0.5
    np.testing.assert_allclose(scores, np.linspace(scores[0], scores[-1], 6), atol=0.05)


def test_fewer_rows_show_all_samples():
    lower = ["dataset=gaussian", "dataset.samples=200", "dataset.units=4", "max_steps=40", "target=0.9"]
    quick = animate(request([*lower, "measure=nbs", "optimizer=sgd", "optimizer.lr=20"], 3), 3)
    assert len(quick.films[0].shots[-1].points) == 200
    gaps = [np.linalg.norm(shot.points - quick.scene.X) for shot in quick.films[0].shots]
    assert gaps[-1] < gaps[0]


def test_leaps_are_told():
    shown = animate(request([*SMALL, "measure=cka", "optimizer.lr=1"], 40), 40)
    assert "cka: the score leaps; 40 frames show" in shown.leaps()[0]


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_and_says_so(tmp_path):
    command = [sys.executable, "-m", "simopt.app.cli", "animate", "dataset=ultrametric", "target=1"]
    command += ["max_steps=10000000", "measure=nbs", "optimizer.lr=1e-9"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in told
    assert not list(tmp_path.iterdir())
