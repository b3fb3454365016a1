"""Figures of sensitivity: score against the variance of the PC that was perturbed, theory and experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from simopt.report.style import COLUMN, PAGE, PAPER, check_suffix, look, plain, save
from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.theory.sensitivity import Sensitivity


def draw_sensitivity(
    ax: Axes,
    curves: Sequence[Sensitivity],
    at: FloatArray,
    strength: int,
    *,
    xlabel: str,
    log: bool,
    looks: Mapping[str, int] | None = None,
) -> Axes:
    """Draw one strength: theory as a line, its band for random directions, experiments as dots.

    Parameters
    ----------
    ax : Axes
    curves : sequence of Sensitivity
    at : array, (K,)
        Where the PCs stand on the x axis.
    strength : int
        Which of the strengths.
    xlabel : str
    log : bool
    looks : mapping of int, optional
        Numbers of the measures, by which they look the same in several panels; otherwise in the order given.
    """
    order = np.argsort(at)
    for index, curve in enumerate(curves):
        style = look(index if looks is None else looks[curve.measure])
        color, line, dots = style["color"], {**style, "marker": "none"}, {**style, "linestyle": "none"}
        if curve.theory is not None:
            ax.plot(at[order], curve.theory[strength][order], **line)
        if curve.expected is not None and curve.band is not None:
            middle, band = curve.expected[strength][order], 2 * curve.band[strength][order]
            ax.fill_between(at[order], middle - band, middle + band, color=color, alpha=0.25, linewidth=0)
        mean = curve.mean
        if mean is not None:
            ax.plot(at, mean[strength], **dots, markersize=2.5, markeredgewidth=0)
        ax.plot([], [], **style, label=plain(curve.measure))
    ax.set_xscale("log" if log else "linear")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=xlabel, ylabel="score")
    return ax


@mpl.rc_context(PAPER)
def save_sensitivity(
    curves: Sequence[Sensitivity],
    variance_ratio: FloatArray,
    strengths: Sequence[float],
    kind: str,
    title: str,
    path: Path,
) -> Path:
    """Draw one panel a strength, for noise on all PCs one of all, into a PNG, PDF or SVG; return the path.

    Raises
    ------
    InputError
        Another suffix, or the file cannot be written.
    """
    check_suffix(path)
    if kind == "noise_all":
        figure = Figure(figsize=(COLUMN, 2.8), layout="constrained")
        ax = figure.subplots()
        levels = np.array(strengths)
        turned = [_over_strengths(curve) for curve in curves]
        draw_sensitivity(ax, turned, levels, 0, xlabel="noise over signal, standard deviations", log=False)
        ax.legend()
        ax.set_title(plain(title), wrap=True)
        return save(figure, path)
    columns = min(3, len(strengths))
    rows = -(-len(strengths) // columns)
    figure = Figure(figsize=(PAGE if columns > 1 else COLUMN, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    unit = {"rotation": "°"}.get(kind, "")
    for s, strength in enumerate(strengths):
        xlabel = "explained variance ratio of the perturbed PC"
        draw_sensitivity(axes[s], curves, variance_ratio, s, xlabel=xlabel, log=True)
        axes[s].legend()
        axes[s].set_title(plain(f"{title}\n{kind} {strength:g}{unit}"), wrap=True)
    for ax in axes[len(strengths) :]:
        ax.remove()
    return save(figure, path)


def _over_strengths(curve: Sensitivity) -> Sensitivity:
    """Take the strengths, (S, 1), for the axis of PCs, (1, S)."""
    theory = None if curve.theory is None else curve.theory.T
    scores = None if curve.experiment is None else curve.experiment.transpose(1, 0, 2)
    return replace(curve, theory=theory, expected=None, band=None, experiment=scores)
