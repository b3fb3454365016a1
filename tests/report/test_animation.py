"""Animations, read back from their files."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from PIL import Image
from simopt.analysis.alignment import Snapshot

from simopt.errors import InputError, RunFailedError
from simopt.report.animation import Film, Scene, check_file, save_animation

FRAMES = 4


def film(rng, measure="cka", frames=FRAMES, samples=20):
    X = rng.normal(size=(samples, 2))
    return Film(
        measure,
        [
            Snapshot(10 * k, 0.1 + 0.2 * k, (X * (k + 1) / frames).astype(np.float32), np.full(6, k / frames))
            for k in range(frames)
        ],
    )


def scene(rng, values=None, label="", samples=20):
    values = np.zeros(samples) if values is None else np.asarray(values)
    return Scene("majaj (surrogate)", rng.normal(size=(samples, 2)), np.full(6, 1 / 6), label, values, "note")


def frames_of(path):
    with Image.open(path) as image:
        shots = []
        for index in range(image.n_frames):
            image.seek(index)
            shots.append((np.asarray(image.convert("RGB")).astype(int), image.info["duration"]))
    return shots


def test_every_frame_is_another_and_the_last_one_stays_for_a_second(rng, tmp_path):
    path = save_animation([film(rng)], scene(rng), tmp_path / "new" / "a.gif")
    shots = frames_of(path)
    assert len(shots) == FRAMES
    assert [duration for _, duration in shots] == [100, 100, 100, 1000]
    assert len({image.tobytes() for image, _ in shots}) == FRAMES
    assert list(path.parent.iterdir()) == [path]


def test_nothing_moves_but_samples_title_and_curves(rng, tmp_path):
    (first, _), *_, (last, _) = frames_of(save_animation([film(rng)], scene(rng), tmp_path / "a.gif"))
    changed = np.abs(first - last).max(axis=2) > 8  # each frame has colours of its own, rounded
    height = len(changed)
    assert not changed[: height // 20].any()  # the dataset's name
    assert not changed[-height // 10 :].any()  # axis labels and small print
    assert changed.any()


def test_the_same_frames_are_the_same_bytes(tmp_path):
    written = []
    for name in ("a.gif", "b.gif"):
        rng = np.random.default_rng(5)
        path = save_animation([film(rng)], scene(rng, np.arange(20) % 3, "kind"), tmp_path / name)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_measures_stand_side_by_side(rng, tmp_path):
    one = frames_of(save_animation([film(rng)], scene(rng), tmp_path / "1.gif"))[0][0]
    films = [film(rng), film(rng, "nbs"), film(rng, "linreg")]
    three = frames_of(save_animation(films, scene(rng), tmp_path / "3.gif"))[0][0]
    assert three.shape[0] == one.shape[0]
    assert three.shape[1] > 2 * one.shape[1]


@pytest.mark.parametrize("classes", [1, 8])
def test_each_class_has_its_own_colour_in_the_last_frame(rng, tmp_path, classes):
    values = np.arange(20) % classes
    image = frames_of(save_animation([film(rng)], scene(rng, values, "kind"), tmp_path / "a.gif"))[-1][0]
    found = {tuple(color) for color in image.reshape(-1, 3)}
    palette = [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233)]
    near = [min(np.abs(np.subtract(color, each)).max() for each in found) for color in palette]
    assert sum(distance <= 8 for distance in near) >= min(classes, 6)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (np.linspace(0, 1.5, 20), "angle"),
        (np.arange(20), "object"),
        (["a $x$ of $", "_hidden"] * 10, "<kind> $_{$"),
        (np.full(20, "x" * 100), "y" * 100),
    ],
    ids=["continuous", "many", "odd", "long"],
)
def test_labels_of_every_kind_can_be_drawn(rng, tmp_path, values, label):
    odd = film(rng, "mine_$\\frac$" + "z" * 60, frames=2)
    path = save_animation([odd], scene(rng, values, label), tmp_path / "a.gif")
    assert len(frames_of(path)) == 2


def test_a_falling_distance_is_drawn_from_left_to_right(rng, tmp_path):
    rising = film(rng)
    falling = Film("gulp", [Snapshot(s.step, 2 - s.score, s.points, s.captured) for s in rising.shots])
    rng = np.random.default_rng(5)
    assert len(frames_of(save_animation([falling], scene(rng), tmp_path / "a.gif"))) == FRAMES


def test_other_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"a\.png: an animation is a \.gif or \.mp4 file"):
        check_file(tmp_path / "a.png")
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_file(tmp_path / "folder.gif")
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(InputError, match=r"needs ffmpeg, which is not installed; \.gif"):
        check_file(tmp_path / "a.mp4")


def test_an_interrupt_leaves_the_old_file_and_nothing_else(rng, tmp_path):
    path = tmp_path / "a.gif"
    path.write_text("before")

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_animation([film(rng)], scene(rng), path, interrupt)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "before"


def test_a_place_that_cannot_be_written_is_named(rng, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_animation([film(rng)], scene(rng), tmp_path / "file" / "a.gif")


needs_ffmpeg = pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")


@needs_ffmpeg
def test_a_film_where_there_is_ffmpeg(rng, tmp_path):
    path = save_animation([film(rng)], scene(rng), tmp_path / "a.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"
    assert list(tmp_path.iterdir()) == [path]


@needs_ffmpeg
def test_a_film_that_ffmpeg_refuses_says_so(rng, tmp_path, monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "animation.ffmpeg_args", ["-nonsense"])
    with pytest.raises(RunFailedError, match=r"ffmpeg failed .*\.gif needs no ffmpeg"):
        save_animation([film(rng)], scene(rng), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
