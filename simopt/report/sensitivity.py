"""Figures of sensitivity: score against the variance of the PC that was perturbed, theory and experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simopt.report.figures import CYCLE, STYLES, check_suffix, save
from simopt.theory.sensitivity import Sensitivity
from simopt.typing import FloatArray


def draw_sensitivity(
    ax: Axes, curves: Sequence[Sensitivity], at: FloatArray, strength: int, *, xlabel: str, log: bool
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
    """
    order = np.argsort(at)
    for index, curve in enumerate(curves):
        color, style = CYCLE[index % len(CYCLE)], STYLES[index // len(CYCLE) % len(STYLES)]
        if curve.theory is not None:
            ax.plot(at[order], curve.theory[strength][order], style, color=color, linewidth=1)
        if curve.expected is not None and curve.band is not None:
            middle, band = curve.expected[strength][order], 2 * curve.band[strength][order]
            ax.fill_between(at[order], middle - band, middle + band, color=color, alpha=0.25, linewidth=0)
        mean = curve.mean
        if mean is not None:
            ax.plot(at, mean[strength], "o", color=color, markersize=3)
        ax.plot([], [], style + "o", color=color, markersize=3, label=curve.measure)
    ax.set_xscale("log" if log else "linear")
    ax.set(xlabel=xlabel, ylabel="score")
    ax.legend(frameon=False, fontsize="small")
    return ax


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
        figure = Figure(figsize=(4.2, 3.4), layout="constrained")
        ax = figure.subplots()
        levels = np.array(strengths)
        turned = [_over_strengths(curve) for curve in curves]
        draw_sensitivity(ax, turned, levels, 0, xlabel="noise over signal, standard deviations", log=False)
        ax.set_title(title, fontsize="small", wrap=True)
        return save(figure, path)
    columns = min(3, len(strengths))
    rows = -(-len(strengths) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    unit = {"rotation": "°"}.get(kind, "")
    for s, strength in enumerate(strengths):
        xlabel = "explained variance ratio of the perturbed PC"
        draw_sensitivity(axes[s], curves, variance_ratio, s, xlabel=xlabel, log=True)
        axes[s].set_title(f"{title}\n{kind} {strength:g}{unit}", fontsize="small", wrap=True)
    for ax in axes[len(strengths) :]:
        ax.remove()
    return save(figure, path)


def _over_strengths(curve: Sensitivity) -> Sensitivity:
    """Take the strengths, (S, 1), for the axis of PCs, (1, S)."""
    theory = None if curve.theory is None else curve.theory.T
    scores = None if curve.experiment is None else curve.experiment.transpose(1, 0, 2)
    return Sensitivity(curve.measure, curve.at_self, theory, None, None, scores, curve.local)
