"""Figures of scores between null distributions and the noise ceiling (:mod:`simopt.analysis.standing`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from simopt.analysis.nulls import UNRELATED
from simopt.analysis.standing import Standing
from simopt.report import style
from simopt.report.style import INK, look, plain

_SHADE = "#555555"


def draw_standings(standings: Sequence[Standing], ax: Axes | None = None, title: str = "") -> Axes:
    """Draw a row for each measure: its score, the scores of the null distributions, and the noise ceiling.

    The score has the color of the measure. The scores of the null distributions are gray ticks.

    Parameters
    ----------
    standings : sequence of Standing
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    title : str
    """
    ax = style.axes(ax)
    for row, standing in enumerate(standings):
        if standing.null and len(standing.null[UNRELATED].scores):
            scores = standing.null[UNRELATED].scores
            height = np.full(len(scores), row - 0.12)
            ax.plot(scores, height, "|", color=_SHADE, markersize=6, label="unrelated data")
        if standing.ceiling is not None:
            ax.plot(standing.ceiling.interval, [row, row], color=INK, linewidth=3, alpha=0.3)
        if standing.limit is not None:
            ax.plot(standing.limit, row, "s", color=INK, mfc="#ffffff", markersize=6, label="ceiling")
        ax.plot(standing.score, row, "o", color=look(standing.measure)["color"], markersize=7, label="score")
    ax.set_yticks(range(len(standings)), [plain(standing.measure) for standing in standings])
    ax.set(xlabel="score", title=plain(title), ylim=(len(standings) - 0.5, -0.5))
    handles = style.legend_handles([ax])
    ax.legend(
        handles.values(), handles, frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return ax


def save_standings(standings: Sequence[Standing], title: str, path: Path) -> Path:
    """Draw the figure of :func:`draw_standings` into a .png, .pdf or .svg file and return the path.

    Raises
    ------
    InputError
        The path has another suffix, or the file cannot be written.
    """
    height = 1 + 0.5 * len(standings)
    return style.save_panel(lambda ax: draw_standings(standings, ax, title), path, 6.5, height)
