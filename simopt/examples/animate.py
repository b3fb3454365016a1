"""Animate how a synthetic dataset Y becomes a recording X, in the first two principal components of X.

The top panel shows the samples of X in grey and the samples of Y in color. The bottom panel shows the
captured variance of PCs 1, 2, 5 and 10 of X against the score. Most measures ignore rotations and the scale
of Y. In each frame Y is therefore rotated onto X (by orthogonal Procrustes) and scaled to the total variance
of X. Frames are evenly spaced in score, not in steps.

    python -m simopt.examples.animate majaj cka procrustes_angular --file majaj.gif
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import simopt

Array = npt.NDArray[np.float64]
CURVES = (1, 2, 5, 10)
"""The PCs whose captured variance is drawn."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
ENOUGH = 0.99
"""A run ends when the score has come this share of the way from the score of noise to the score of X."""
MOST_SAMPLES = 1000
"""The largest number of samples to draw. If there are more, a random selection is drawn."""
RATE = 10
"""Frames per second."""


@dataclass(frozen=True)
class Shot:
    """The state of Y at a step: its score, its samples in two PCs of X, and the variance it captures.

    ``points`` is Y in the first two PCs of X, (samples, 2). ``captured`` is the share of the variance of
    each PC in ``CURVES`` that Y captures, (PCs,); if X has fewer PCs, of those that it has.
    """

    step: int
    score: float
    points: Array
    captured: Array


class View:
    """The principal components of a recording X (samples, units), and the view of Y in them."""

    def __init__(self, X: Array) -> None:
        left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
        self.scores = left * (values / np.linalg.norm(values))  # (samples, K), total variance 1
        self.variance_ratio = np.square(values) / np.square(values).sum()
        self.pcs = [pc for pc in CURVES if pc <= len(values)]
        self.axes = left[:, [pc - 1 for pc in self.pcs]]

    def shot(self, step: int, score: float, Y: Array) -> Shot:
        """Return the state of Y (samples, units), rotated to be as close as possible to X.

        With the singular value decomposition Y'X = U S V', the rotated Y is Y U V'.
        """
        Y = Y - Y.mean(axis=0)
        left, _, right = np.linalg.svd(Y.T @ self.scores, full_matrices=False)
        basis, _ = np.linalg.qr(Y)
        # The R2 of predicting the unit vector u_i from Y is the squared length of its projection on span(Y).
        captured = np.square(basis.T @ self.axes).sum(axis=0)
        return Shot(step, score, (Y @ left @ right[:, :2]) / np.linalg.norm(Y), captured)


def follow_gradient(X: Array, measure: str, view: View, frames: int, steps: int, lr: float) -> list[Shot]:
    """Optimize noise by the gradient of a measure, and return the state of Y for each frame."""
    chosen = simopt.measures.get(measure)
    recording = torch.as_tensor(X, dtype=torch.float32)
    score_of = chosen.bind(recording)
    best = score_of(recording).item()
    Y = torch.randn(recording.shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    optimizer = torch.optim.Adam([Y], lr=lr)
    kept: list[Shot] = []
    for step in range(steps + 1):
        score = score_of(Y)
        (Y.grad,) = torch.autograd.grad(-chosen.sign * score, Y)
        first, last = (kept[0].score, kept[-1].score) if kept else (score.item(), np.inf)
        done = step == steps or chosen.sign * (score.item() - first - ENOUGH * (best - first)) >= 0
        # Three times as many states as frames are kept over the whole way to the score of X: a run that ends
        # early, after a third of it, still has enough.
        if done or abs(score.item() - last) * 3 * frames >= abs(best - first):
            kept.append(view.shot(step, score.item(), Y.detach().numpy().astype(np.float64)))
        if done:
            break
        optimizer.step()
    scores = np.array([shot.score for shot in kept])
    levels = np.linspace(scores[0], scores[-1], frames)
    return [kept[i] for i in np.abs(scores[:, None] - levels).argmin(axis=0)]


class Panel:
    """The two panels of one measure: samples at the top, captured variance at the bottom."""

    def __init__(self, above: Axes, below: Axes, name: str, shots: list[Shot], view: View) -> None:
        self.above, self.name, self.shots = above, name, shots
        places = [view.scores[:, :2], *(shot.points for shot in shots)]
        across, along = 1.05 * np.abs(np.concatenate(places)).max(axis=0)
        first, second = (f"PC {i + 1} of X ({view.variance_ratio[i]:.1%})" for i in (0, 1))
        above.set(xlabel=first, ylabel=second, xlim=(-across, across), ylim=(-along, along))
        above.set(aspect="equal", xticks=[], yticks=[])
        self.rows = np.random.default_rng(0).permutation(len(view.scores))[:MOST_SAMPLES]
        fixed, moving = view.scores[self.rows], shots[0].points[self.rows]
        above.scatter(fixed[:, 0], fixed[:, 1], s=9, color="0.85", linewidths=0)
        self.points = above.scatter(moving[:, 0], moving[:, 1], s=12, color=COLORS[0], linewidths=0)
        self.curves = [below.plot([], [], marker="o", markevery=[-1], label=f"PC {pc}")[0] for pc in view.pcs]
        below.set(xlim=(shots[0].score, shots[-1].score), ylim=(-0.05, 1.08))
        below.set(xlabel="score", ylabel="captured variance")
        self.show(0)

    def color(self, label: str, values: npt.NDArray[np.generic]) -> None:
        """Color the samples of Y by a label: one color for each of up to 8 classes, else a color scale."""
        classes, codes = np.unique(values, return_inverse=True)
        few = len(classes) <= len(COLORS)
        scale = ListedColormap(COLORS[: len(classes)]) if few else mpl.colormaps["viridis"]
        quantity = not few and np.issubdtype(values.dtype, np.number)
        self.points.set(array=(values if quantity else codes)[self.rows], cmap=scale)
        if few:
            handles, _ = self.points.legend_elements(num=list(range(len(classes))))
            self.above.legend(handles, classes, title=label, fontsize="x-small", title_fontsize="x-small")
        else:
            self.above.figure.colorbar(self.points, ax=self.above, label=label, shrink=0.6)

    def show(self, index: int) -> None:
        """Show the frame of an index."""
        shown = self.shots[: index + 1]
        self.points.set_offsets(shown[-1].points[self.rows])
        for curve, captured in zip(self.curves, np.array([shot.captured for shot in shown]).T, strict=True):
            curve.set_data([shot.score for shot in shown], captured)
        self.above.set_title(f"{self.name} {shown[-1].score:.3f}, step {shown[-1].step}", fontsize="medium")


def save(panels: Sequence[Panel], figure: Figure, frames: int, file: Path) -> None:
    """Write the frames to a GIF or an MP4 file, in which the last frame stays for a second.

    An MP4 file needs the program ffmpeg.
    """

    def show(index: int) -> list[Artist]:
        for panel in panels:
            panel.show(index)
        return []

    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # lay out only once: else the axes would move from frame to frame
    order = [*range(frames), *[frames - 1] * (RATE - 1)]
    writer = PillowWriter(fps=RATE) if file.suffix == ".gif" else FFMpegWriter(fps=RATE)
    FuncAnimation(figure, show, frames=order).save(file, writer=writer)


def main(arguments: Sequence[str] | None = None) -> None:
    """Optimize Y for each measure, and write the animation."""
    parser = argparse.ArgumentParser(prog="python -m simopt.examples.animate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("dataset", help="name of a dataset (see `simopt datasets`), or path of a file")
    parser.add_argument(
        "measures", nargs="*", default=["cka"], help="names of measures (see `simopt measures`); default: cka"
    )
    parser.add_argument("--file", type=Path, default=Path("animation.gif"), help=".gif or .mp4 to write")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--color", metavar="LABEL", help="label that colors Y; default: the first label")
    parser.add_argument(
        "--steps", type=int, default=1000, help="largest number of steps, default: %(default)s"
    )
    parser.add_argument("--lr", type=float, default=0.02, help="learning rate of Adam, default: %(default)s")
    options = parser.parse_args(arguments)
    if options.file.suffix not in (".gif", ".mp4"):
        parser.error(f"--file is {options.file}; its name must end in .gif or .mp4")
    if options.frames < 2:
        parser.error(f"--frames is {options.frames}; it must be at least 2")
    if Path(options.dataset).is_file():
        dataset = simopt.load_dataset("file", path=options.dataset)
    else:
        dataset = simopt.load_dataset(options.dataset)
    label = options.color or next(iter(dataset.labels), None)
    if label and label not in dataset.labels:
        parser.error(
            f"--color is {label}; the labels of {dataset.name} are: {', '.join(dataset.labels) or 'none'}"
        )
    X = np.asarray(dataset.responses, dtype=np.float64).reshape(-1, dataset.responses.shape[-1])
    view = View(X)
    count = len(options.measures)
    figure = Figure(figsize=(3.6 * count + 1.6, 5.8), layout="constrained", dpi=100)
    figure.suptitle(f"{dataset.name} ({dataset.source}): Y in color, X in grey")
    axes = figure.subplots(2, count, squeeze=False, height_ratios=(3.4, 1))
    panels = []
    for name, (above, below) in zip(options.measures, axes.T, strict=True):
        shots = follow_gradient(X, name, view, options.frames, options.steps, options.lr)
        panels.append(Panel(above, below, name, shots, view))
        if label:
            values = np.asarray(dataset.labels[label])
            panels[-1].color(label, np.tile(values, len(X) // len(values)))
    axes[1, -1].legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(panels, figure, options.frames, options.file)
    print(options.file)


if __name__ == "__main__":
    main()
