"""The animation of a synthetic dataset becoming the recording, in the recording's first two PCs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL.Image import Dither, Image, Quantize

from simopt.analysis.alignment import Snapshot
from simopt.analysis.decoding import is_continuous
from simopt.errors import InputError, RunFailedError
from simopt.report.style import CYCLE, STYLES, plain
from simopt.store.whole import whole
from simopt.typing import FloatArray, LabelArray

CURVES = (1, 2, 5, 10)
"""The PCs whose captured variance is drawn."""
_COLORS = (*CYCLE, "#F0E442")  # all eight of Okabe & Ito
_MARKERS = ("o", "^")
_FEW = len(_COLORS) * len(_MARKERS)
"""Classes that colours and markers tell apart; more are coloured in their order."""
_PER_SECOND = 10
_HOLD = 10
"""Frames for which the last one stays: a second."""
_DPI = 100
_LONGEST = 28


@dataclass(frozen=True)
class Film:
    """The states of one run, one a frame.

    Attributes
    ----------
    measure : str
    shots : list of Snapshot
    """

    measure: str
    shots: Sequence[Snapshot]


@dataclass(frozen=True)
class Scene:
    """What every frame shares.

    Attributes
    ----------
    title : str
        The dataset, with its source.
    X : array, (m, 2)
        The recording in its first two PCs.
    shares : array, (K,)
        Explained variance ratio of each PC.
    label : str
        What the samples are coloured by; empty for one colour.
    values : array, (m,)
        The label of each sample.
    note : str
        Printed small.
    """

    title: str
    X: FloatArray
    shares: FloatArray
    label: str
    values: LabelArray
    note: str


def check_file(path: Path) -> None:
    """Refuse a file that is no animation, or one that cannot be made here, before anything is computed.

    Raises
    ------
    InputError
        Neither .gif nor .mp4, .mp4 without ffmpeg, or a folder.
    """
    suffix = path.suffix.lower()
    if suffix not in (".gif", ".mp4"):
        raise InputError(f"{path}: an animation is a .gif or .mp4 file.")
    if suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError(f"{path}: .mp4 needs ffmpeg, which is not installed; .gif needs nothing more.")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it.")


def save_animation(
    films: Sequence[Film],
    scene: Scene,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Draw films of equally many frames side by side into a GIF or MP4, and return the path.

    The file appears when it is complete. The last frame stays for a second.

    Parameters
    ----------
    films : sequence of Film
    scene : Scene
    path : Path
    progress : callable
        Is handed how many of how many frames are drawn.

    Raises
    ------
    InputError
        As :func:`check_file`; or the file cannot be written.
    RunFailedError
        ffmpeg failed.
    """
    check_file(path)
    try:
        with whole(path) as unfinished:
            unfinished.touch()  # a place that cannot be written is known before anything is drawn
            _write(films, scene, unfinished, progress)
    except CalledProcessError as error:
        told = (error.stderr or "").strip().splitlines() or [f"exit code {error.returncode}"]
        raise RunFailedError(f"{path}: ffmpeg failed ({told[-1]}); .gif needs no ffmpeg.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()}).") from error
    return path


def _write(films: Sequence[Film], scene: Scene, path: Path, progress: Callable[[int, int], None]) -> None:
    figure, frames = _frames(films, scene)
    gif = path.suffix.lower() == ".gif"
    writer = _GifWriter(fps=_PER_SECOND) if gif else FFMpegWriter(fps=_PER_SECOND, codec="h264")
    with mpl.rc_context({"savefig.bbox": None}):
        writer.setup(figure, str(path), _DPI)
        try:
            for done, _ in enumerate(frames, start=1):
                writer.grab_frame()
                progress(done, len(films[0].shots))
            for _ in range(_HOLD - 1):
                writer.repeat() if isinstance(writer, _GifWriter) else writer.grab_frame()
        except BaseException as error:
            if isinstance(writer, FFMpegWriter):
                # Its process is not left behind; after a broken pipe, what it says is the error.
                with contextlib.suppress(*([] if isinstance(error, OSError) else [CalledProcessError])):
                    writer.finish()
            raise
        writer.finish()


class _GifWriter(PillowWriter):
    """Pillow's own choice of 256 colours, by area, loses those of a few small points; octrees keep them."""

    _frames: list[Image]

    def grab_frame(self, **options: Any) -> None:
        """Draw a frame, and keep it in its colours."""
        super().grab_frame(**options)
        self._frames[-1] = self._frames[-1].quantize(method=Quantize.FASTOCTREE, dither=Dither.NONE)

    def repeat(self) -> None:
        """Show the last frame once more; Pillow stores the same frames as one that stays longer."""
        self._frames.append(self._frames[-1])


def _frames(films: Sequence[Film], scene: Scene) -> tuple[Figure, Iterator[None]]:
    """Return the figure, and an iterator that brings it to one frame after the other."""
    margin = 1.3 if scene.label else 0.0
    figure = Figure(figsize=(max(4.6, 3.6 * len(films)) + margin, 5.8), layout="constrained", dpi=_DPI)
    FigureCanvasAgg(figure)
    figure.suptitle(plain(scene.title), fontsize="large")
    figure.supxlabel(plain(scene.note), fontsize=7, color="0.35")
    axes = figure.subplots(2, len(films), squeeze=False, height_ratios=(3.4, 1))
    reach = np.abs(np.concatenate([scene.X, *(shot.points for film in films for shot in film.shots)]))
    panels = [
        _Panel(axes[0, column], axes[1, column], film, scene, 1.05 * reach.max(axis=0), leftmost=column == 0)
        for column, film in enumerate(films)
    ]
    panels[-1].key(figure, axes[0])
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: nothing moves but the samples

    def play() -> Iterator[None]:
        for index in range(len(films[0].shots)):
            for panel in panels:
                panel.show(index)
            yield

    return figure, play()


class _Panel:
    """One measure: the samples above, what is captured of some PCs below."""

    def __init__(
        self, above: Axes, below: Axes, film: Film, scene: Scene, reach: FloatArray, *, leftmost: bool
    ) -> None:
        self.film, self.scene = film, scene
        above.scatter(scene.X[:, 0], scene.X[:, 1], s=9, color="0.85", linewidths=0)
        first, second = (f"PC {pc} of X ({scene.shares[pc - 1]:.1%})" for pc in (1, 2))
        above.set(xlabel=first, aspect="equal", xticks=[], yticks=[])
        above.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
        self.groups = list(self._scatter(above))
        self.title: Text = above.set_title("", fontsize="medium")
        shown = [pc for pc in CURVES if pc <= len(scene.shares)]
        colors = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(shown)))
        self.score = np.array([shot.score for shot in film.shots])
        self.captured = np.array([shot.captured[[pc - 1 for pc in shown]] for shot in film.shots])
        self.curves = [
            below.plot(
                [], [], style, color=color, label=f"PC {pc}", marker="o", markersize=4, markevery=[-1]
            )[0]
            for pc, color, style in zip(shown, colors, STYLES, strict=False)
        ]
        room = 0.03 * (np.ptp(self.score) or 1.0)
        first_score, last_score = self.score[0], self.score[-1]
        falling = np.sign(last_score - first_score) < 0
        room = -room if falling else room
        below.set(xlim=(first_score - room, last_score + room), ylim=(-0.05, 1.08), xlabel="score")
        if leftmost:
            above.set_ylabel(second)
            below.set_ylabel("captured")
        self.below = below
        self.show(0)

    def _scatter(self, ax: Axes) -> Iterator[tuple[PathCollection, LabelArray]]:
        """Draw a scatter for each class, or one of all samples; give each with its samples."""
        points, values = self.film.shots[0].points, self.scene.values
        everything = np.arange(len(points))
        options: dict[str, Any] = {"s": 12, "linewidths": 0}
        if not self.scene.label:
            yield ax.scatter(points[:, 0], points[:, 1], color=CYCLE[0], **options), everything
            return
        classes, codes = np.unique(values, return_inverse=True)
        if is_continuous(values) or len(classes) > _FEW:
            shade = values if is_continuous(values) else codes
            yield ax.scatter(points[:, 0], points[:, 1], c=shade, cmap="viridis", **options), everything
            return
        for number in range(len(classes)):
            members = np.flatnonzero(codes == number)
            marker = _MARKERS[number // len(_COLORS)]
            color = _COLORS[number % len(_COLORS)]
            yield (
                ax.scatter(points[members, 0], points[members, 1], color=color, marker=marker, **options),
                members,
            )

    def key(self, figure: Figure, above: Sequence[Axes]) -> None:
        """Say what colours and lines mean, to the right."""
        beside: dict[str, Any] = {"frameon": False, "loc": "center left", "bbox_to_anchor": (1, 0.5)}
        self.below.legend(fontsize="x-small", **beside)
        if not self.scene.label:
            return
        name, classes = plain(_short(self.scene.label)), np.unique(self.scene.values)
        if len(self.groups) == len(classes):
            handles, names = (
                [group for group, _ in self.groups],
                [plain(_short(str(each))) for each in classes],
            )
            above[-1].legend(
                handles, names, title=name, fontsize="x-small", title_fontsize="x-small", **beside
            )
            return
        bar = figure.colorbar(self.groups[0][0], ax=list(above), shrink=0.6, aspect=25)
        bar.ax.tick_params(labelsize="x-small")
        ordered = "" if is_continuous(self.scene.values) else f", {len(classes)} in order"
        bar.ax.set_title(name + ordered, fontsize="x-small")

    def show(self, index: int) -> None:
        """Bring the panel to a frame."""
        shot = self.film.shots[index]
        for group, members in self.groups:
            group.set_offsets(shot.points[members])
        for curve, captured in zip(self.curves, self.captured.T, strict=True):
            curve.set_data(self.score[: index + 1], captured[: index + 1])
        self.title.set_text(plain(f"{_short(self.film.measure)} {shot.score:.3f}, step {shot.step}"))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
