"""Figures of sensitivity: score against the variance of the perturbed PC, from theory and experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from simopt.report import style
from simopt.report.pools import named
from simopt.report.style import PAPER, Panels, look, plain, save

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.typing import FloatArray

    Cells = int | tuple[slice, int]


@dataclass(frozen=True)
class Panel:
    """One panel or plot of a sensitivity.

    Attributes
    ----------
    what : str
        The perturbation and its strength.
    xlabel : str
    at : array
        The values on the x axis.
    cells : index
        The index that selects the scores at these values from an array of shape (S, K), for S strengths and K
        PCs.
    log : bool
        Whether the x axis is logarithmic.
    """

    what: str
    xlabel: str
    at: FloatArray
    cells: Cells
    log: bool


def panels(result: Sensitivities) -> list[Panel]:
    """Return a panel for each strength; if noise is added to all of Y, one panel has all strengths."""
    if result.perturbation == "noise_all":
        label = "noise over signal, standard deviations"
        return [Panel("noise on all of Y", label, np.array(result.strengths), (slice(None), 0), log=False)]
    label = "explained variance ratio of the perturbed PC"
    return [
        Panel(strength_label(result.perturbation, strength), label, result.variance_ratio, index, log=True)
        for index, strength in enumerate(result.strengths)
    ]


def strength_label(perturbation: str, strength: float) -> str:
    """Return the name of a perturbation with its strength, for instance ``rotation 90°``."""
    return f"{perturbation} {strength:g}{'°' if perturbation == 'rotation' else ''}"


def draw_sensitivity(
    result: Sensitivities,
    ax: Axes | None = None,
    *,
    strength: int = 0,
    legend: bool = True,
) -> Axes:
    """Draw the scores after a perturbation of one strength against the variance of the perturbed PC.

    Lines are theory and markers are experiments. A band covers the expected score and two standard deviations
    over random directions to either side. If noise is added to all of Y, all strengths are drawn in one
    panel, with the strength on the x axis.

    Parameters
    ----------
    result : Sensitivities
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    strength : int
        The index in ``result.strengths`` of the strength to draw.
    legend : bool
        Whether to add a legend.
    """
    ax = style.axes(ax)
    panel = panels(result)[strength]
    at, cells = panel.at, panel.cells
    order = np.argsort(at)
    for curve in result.curves:
        drawn = look(curve.measure)
        line, dots = {**drawn, "marker": "none"}, {**drawn, "linestyle": "none"}
        if curve.theory is not None:
            ax.plot(at[order], curve.theory[cells][order], **line)
        if curve.expected is not None and curve.band is not None and panel.log:
            middle, band = curve.expected[cells][order], 2 * curve.band[cells][order]
            ends = middle - band, middle + band
            ax.fill_between(at[order], *ends, color=drawn["color"], alpha=0.25, linewidth=0)
        if curve.mean is not None:
            ax.plot(at, curve.mean[cells], **dots, markersize=2.5, markeredgewidth=0)
        ax.plot([], [], **drawn, label=plain(curve.measure))
    if panel.log:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=panel.xlabel, ylabel="score")
    ax.set_title(plain(f"{named(result)}\n{panel.what}"), wrap=True)
    if legend:
        ax.legend()
    return ax


@mpl.rc_context(PAPER)
def save_sensitivity(result: Sensitivities, path: Path) -> Path:
    """Draw the panels of a sensitivity into a .png, .pdf or .svg file and return the path.

    If single PCs are perturbed, there is a panel for each strength. If noise is added to all of Y, there is
    one panel, with the strengths along its x-axis.

    Raises
    ------
    InputError
        The path has another suffix, or the file cannot be written.
    """
    grid = Panels(len(panels(result)), 3, 2.2)
    for index, ax in enumerate(grid.axes):
        draw_sensitivity(result, ax, strength=index)
    return save(grid.figure, path)
