"""The animation of the examples."""

import numpy as np
import pytest
import scipy.linalg
from PIL import Image

from simopt.examples.animate import View, follow_gradient, main


def test_the_file_is_a_gif_of_so_many_frames(tmp_path):
    file = tmp_path / "a.gif"
    main(["ultrametric", "cka", "--file", str(file), "--frames", "3", "--steps", "20", "--color", "level2"])
    with Image.open(file) as image:
        assert (image.format, image.n_frames) == ("GIF", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--file", "a.png"], "must end in .gif or .mp4"), (["--frames", "1"], "at least 2"),
     (["--color", "level9"], "--color is level9; the labels of ultrametric are: level1")],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["ultrametric", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("measure", ["nbs", "procrustes_normalized"])
def test_frames_are_evenly_spaced_in_score_and_end_at_the_recording(measure, rng):
    X = rng.normal(size=(40, 6)) * [6, 5, 4, 1, 1, 1]
    view = View(X)
    shots = follow_gradient(X, measure, view, frames=6, steps=1000, lr=0.02)
    scores = [shot.score for shot in shots]
    np.testing.assert_allclose(scores, np.linspace(scores[0], scores[-1], 6), atol=0.05)
    gaps = [np.linalg.norm(shot.points - view.scores[:, :2]) for shot in shots]
    assert gaps[-1] < 0.2 * gaps[0]
    assert (shots[-1].captured[:2] > 0.9).all()  # the two PCs that are drawn


@pytest.mark.parametrize("units", [3, 8])
def test_y_is_turned_as_scipy_turns_padded_data(units, rng):
    X, Y = rng.normal(size=(40, 5)), rng.normal(size=(40, units)) + 3
    view = View(X)
    wide_x = np.pad(view.scores, ((0, 0), (0, 8 - 5)))
    wide_y = np.pad(Y - Y.mean(axis=0), ((0, 0), (0, 8 - units)))
    turn, _ = scipy.linalg.orthogonal_procrustes(wide_y, wide_x)
    expected = (wide_y @ turn)[:, :2] / np.linalg.norm(wide_y)
    shot = view.shot(0, 0.0, Y)
    np.testing.assert_allclose(shot.points, expected, atol=1e-12)
    fit = np.linalg.lstsq(np.c_[np.ones(40), Y], view.axes, rcond=None)[1]
    np.testing.assert_allclose(shot.captured, 1 - fit, atol=1e-12)
