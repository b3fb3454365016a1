"""Figures of scores between null and ceiling: Axes in, Axes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simopt.analysis.standing import Standing
from simopt.report.style import CYCLE, check_suffix, plain, save

_SCORE, _CEILING = CYCLE[1:3]
_SHADES = {"unrelated": "#555555", "shuffled": "#999999", "gaussian": "#c4c4c4"}


def draw_standings(ax: Axes, standings: Sequence[Standing], title: str) -> Axes:
    """Draw each score on a line of its own, with the scores of unrelated data and the noise ceiling."""
    labelled: set[str] = set()

    def label(name: str) -> str | None:
        first = name not in labelled
        labelled.add(name)
        return name if first else None

    for row, each in enumerate(standings):
        for place, (kind, null) in enumerate(each.null.items()):
            height = np.full(len(null.scores), row + 0.12 * (place - 1))
            ax.plot(null.scores, height, "|", color=_SHADES[kind], markersize=6, label=label(f"null: {kind}"))
        if each.ceiling is not None:
            ax.plot(each.ceiling.interval, [row, row], color=_CEILING, linewidth=3, alpha=0.5)
            ax.plot(each.ceiling.value, row, "s", color=_CEILING, markersize=6, label=label("ceiling"))
        ax.plot(each.score, row, "o", color=_SCORE, markersize=7, label=label("score"))
    ax.set_yticks(range(len(standings)), [plain(each.measure) for each in standings])
    ax.set(xlabel="score", title=plain(title), ylim=(len(standings) - 0.5, -0.5))
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def save_standings(standings: Sequence[Standing], title: str, path: Path) -> Path:
    """Draw scores into a file, PNG, PDF or SVG by its suffix, and return the path.

    Raises
    ------
    InputError
        Another suffix, or the file cannot be written.
    """
    check_suffix(path)
    figure = Figure(figsize=(6.5, 1 + 0.5 * len(standings)), layout="constrained")
    draw_standings(figure.subplots(), standings, title)
    return save(figure, path)
