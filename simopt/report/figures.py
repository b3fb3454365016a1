"""Figures of stored runs. Drawing functions take Axes and return them; real and surrogate never mix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simopt.errors import InputError
from simopt.store.reader import Run
from simopt.typing import FloatArray

SHOWN_PCS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
STYLES = ("-", "--", "-.", ":")
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008


def draw_score(ax: Axes, runs: Sequence[Run]) -> Axes:
    """Draw score against step: the mean over replicates, and their range as a band."""
    measures = [run.measure for run in runs]
    for index, run in enumerate(runs):
        label = run.measure
        if measures.count(label) > 1:
            label += f" {run.run_id.rpartition('-')[2][:6]}"
        color = CYCLE[index % len(CYCLE)]
        style = STYLES[index // len(CYCLE) % len(STYLES)]
        ax.plot(run.step, run.score.mean(axis=1), style, color=color, label=label)
        ax.fill_between(
            run.step, run.score.min(axis=1), run.score.max(axis=1), color=color, alpha=0.2, linewidth=0
        )
    ax.set(xlabel="step", ylabel="score", title=runs[0].dataset)
    ax.legend(frameon=False, fontsize="small")
    return ax


def draw_captured(ax: Axes, run: Run) -> Axes:
    """Draw captured variance of some PCs against score, one line a replicate."""
    shown = [pc for pc in SHOWN_PCS if pc <= len(run.pc_variance)]
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(shown)))
    for pc, color in zip(shown, colors, strict=True):
        for r in range(run.score.shape[1]):
            share = f"PC {pc} ({run.pc_variance[pc - 1]:.1%})" if r == 0 else None
            ax.plot(
                run.score[:, r], run.captured_variance[:, r, pc - 1], color=color, label=share, linewidth=1.2
            )
    ax.set(
        xlabel="score", ylabel="captured variance", ylim=(-0.02, 1.02), title=f"{run.dataset}, {run.measure}"
    )
    ax.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def draw_spectrum(ax: Axes, spectrum: FloatArray, title: str) -> Axes:
    """Draw the explained variance ratio of each PC, (K,), both axes logarithmic."""
    ax.loglog(np.arange(1, len(spectrum) + 1), spectrum, ".-", color=CYCLE[0], markersize=3, linewidth=0.8)
    ax.set(xlabel="principal component", ylabel="explained variance ratio", title=title)
    return ax


def save_spectrum(spectrum: FloatArray, title: str, path: Path) -> Path:
    """Draw a spectrum into a file, PNG, PDF or SVG by its suffix, and return the path.

    Raises
    ------
    InputError
        Another suffix, or the file cannot be written.
    """
    check_suffix(path)
    figure = Figure(figsize=(4, 3), layout="constrained")
    draw_spectrum(figure.subplots(), spectrum, title)
    return save(figure, path)


def save_figures(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Draw the two figures for each dataset and source, as PNG, and return their paths.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    written = []
    drawable = sorted((run for run in runs if len(run.step)), key=lambda run: (run.dataset, run.measure))
    for _, group in groupby(drawable, key=lambda run: run.dataset):
        same = list(group)
        stem = f"{same[0].attributes['dataset']}_{same[0].attributes['source']}".replace("/", "_")
        score = Figure(figsize=(5, 3.6), layout="constrained")
        draw_score(score.subplots(), same)
        columns = min(3, len(same))
        rows = -(-len(same) // columns)
        captured = Figure(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
        axes = captured.subplots(rows, columns, squeeze=False).ravel()
        for ax, run in zip(axes, same, strict=False):
            draw_captured(ax, run)
        for ax in axes[len(same) :]:
            ax.remove()
        written += [
            save(score, folder / f"{stem}_score.png"),
            save(captured, folder / f"{stem}_captured.png"),
        ]
    return written


def check_suffix(path: Path) -> None:
    """Refuse a file that is no figure, before anything is computed."""
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"{path}: a figure is a .png, .pdf or .svg file.")


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, its folder made if need be, and return the path."""
    FigureCanvasAgg(figure)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"pdf.fonttype": 42}):  # whole TrueType fonts, as journals ask for
            figure.savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()}).") from error
    return path
