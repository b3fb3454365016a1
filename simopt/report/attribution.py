"""Figures of attributions: how much a score changes without each PC, sample or unit of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from simopt.analysis.attribution import Attribution
from simopt.report import style
from simopt.report.style import INK, look, plain


def draw_attribution(attribution: Attribution, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw how much the score changes without each part of the data: each PC, sample or unit.

    Parts that bring X and Y closer have the color of the measure, all other parts are gray. The x axis has
    PCs in their order on a logarithmic scale, or samples or units by rank, from the lowest change to the
    highest. Undefined changes are not drawn. Small black dots are first-order changes.

    Parameters
    ----------
    attribution : Attribution
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    title : str
    """
    ax = style.axes(ax)
    change = attribution.change
    if attribution.part == "PC":
        place = np.arange(1.0, len(change) + 1)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        label = "principal component"
    else:
        place = 1.0 + np.argsort(np.argsort(change, kind="stable"))
        label = f"{attribution.part}, by rank"
    # Without a part that brings X and Y closer, they are further apart: a lower score, or a larger distance.
    away = change if attribution.larger_is_closer else -change
    # An undefined change, NaN, is neither.
    colors = {"brings X and Y closer": look(attribution.measure)["color"], "keeps X and Y apart": "#999999"}
    for chosen, (name, color) in zip((away <= 0, away > 0), colors.items(), strict=True):
        if chosen.any():
            ax.vlines(place[chosen], 0, change[chosen], color=color, linewidth=0.8)
            ax.plot(place[chosen], change[chosen], "o", color=color, markersize=3, label=name)
    if attribution.first_order is not None:
        ax.plot(place, attribution.first_order, ".", color=INK, markersize=2, label="first order")
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.set(xlabel=label, ylabel="change of the score if left out")
    ax.set_title(plain(title), fontsize="small", wrap=True)
    ax.legend(frameon=False, fontsize="small")
    return ax


def save_attribution(attribution: Attribution, title: str, path: Path) -> Path:
    """Draw the figure of :func:`draw_attribution` into a .png, .pdf or .svg file and return the path.

    Raises
    ------
    InputError
        The path has another suffix, or the file cannot be written.
    """
    return style.save_panel(lambda ax: draw_attribution(attribution, ax, title), path, 5, 3.4)
