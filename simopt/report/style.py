"""How figures look: sized for a paper, told apart without color, the same bytes from the same numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simopt.errors import InputError
from simopt.store.errors import writing
from simopt.store.whole import whole

COLUMN, PAGE = 3.5, 7.2
"""Inches of a column and of a page's text."""
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
SUFFIXES = (".png", ".pdf", ".svg")

PAPER = mpl.rc_params_from_file(Path(__file__).with_name("paper.mplstyle"), use_default_template=False)
"""Settings under which figures are made: text of 6 to 8 points at the width at which it is printed."""

_LEGEND_HANDLE, _LETTER, _LINE, _TITLE_LETTER = 0.48, 0.052, 0.135, 0.056
"""Inches: a line in a legend with its spaces, a letter, from line to line, and a letter of a title."""
_DOTS = 300
_REPEATABLE = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": "simopt", "Producer": None},
    ".svg": {"Date": None, "Creator": "simopt"},
}


def look(index: int) -> dict[str, Any]:
    """Return color, line style and marker of the curve with this number, from 0.

    Style and marker alone, so also in grey, are another pair for each of 36 numbers in a row.
    """
    return {
        "color": CYCLE[index % len(CYCLE)],
        "linestyle": STYLES[index % len(STYLES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def plain(text: str) -> str:
    """Return text for matplotlib, which takes what stands between dollars as a formula, and hides ``_``."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def stem(*parts: str) -> str:
    """Return a file name of parts that may hold anything."""
    return re.sub(r"[^\w.+-]", "_", "_".join(parts)).lstrip(".")


def check_suffixes(suffixes: Iterable[str]) -> None:
    """Refuse kinds of files that are no figures, before anything is computed."""
    for suffix in suffixes:
        check_suffix(Path(f"figure{suffix}"))


def check_suffix(path: Path) -> None:
    """Refuse a file that is no figure, before anything is computed."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a figure is a .png, .pdf or .svg file.")


def axes(ax: Axes | None) -> Axes:
    """Return the Axes, or new ones of a figure of pyplot, as notebooks show it."""
    if ax is None:
        from matplotlib import pyplot  # picks a backend

        _, ax = pyplot.subplots(layout="constrained")
    return ax


class Panels:
    """A figure of panels, a column or a page wide; a page too narrow for its columns is widened.

    Parameters
    ----------
    count : int
    columns : int
        At most so many.
    height : float
        Of a panel, in inches.
    """

    def __init__(self, count: int, columns: int, height: float) -> None:
        self.columns = min(columns, count)
        rows = -(-count // self.columns)
        self.width = COLUMN if self.columns == 1 else max(PAGE, self.columns + 0.8)
        self.height = rows * (height + 0.45)
        self.figure = Figure(figsize=(self.width, self.height), layout="constrained")
        axes = self.figure.subplots(rows, self.columns, squeeze=False).ravel()
        for ax in axes[count:]:
            ax.remove()
        self.axes: list[Axes] = list(axes[:count])

    def set_title(self, ax: Axes, title: str) -> None:
        """Set a title in as many lines as the width of the panel takes."""
        letters = int((self.width / self.columns - 0.08) / _TITLE_LETTER)
        lines = [part for line in title.split("\n") for part in wrap(line, letters) or [""]]
        ax.set_title(plain("\n".join(lines)))

    def leave_outer_labels(self) -> None:
        """Leave labels of axes to the panels on the left and at the bottom."""
        for at, ax in enumerate(self.axes):
            if at + self.columns < len(self.axes):
                ax.set_xlabel("")
            if at % self.columns:
                ax.set_ylabel("")

    def with_legend(self, handles: Mapping[str, Artist]) -> Figure:
        """Add a legend below the panels, for which the figure grows, and return the figure."""
        longest = max(map(len, handles), default=0)
        columns = max(1, min(len(handles), int(self.width / (_LEGEND_HANDLE + _LETTER * longest))))
        self.figure.set_size_inches(self.width, self.height + _LINE * -(-len(handles) // columns))
        self.figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns)
        return self.figure


def legend_handles(axes: Iterable[Axes]) -> dict[str, Artist]:
    """Return what is labeled in some Axes, by label, the first of each."""
    handles: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    return handles


def save_panel(draw: Callable[[Axes], object], path: Path, width: float, height: float) -> Path:
    """Write a figure of one panel, in inches, and return the path; raises as :func:`save`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    draw(figure.subplots())
    return save(figure, path)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, PNG, PDF or SVG by its suffix, its folder made if need be, and return the path.

    The same figure is the same bytes, whenever and by whichever process it is written: there is no date in
    it, and the names inside an SVG do not come by chance. It looks the same on every machine: a PDF holds its
    fonts, as TrueType, which journals ask for; an SVG, which can hold none, has outlines for letters.

    Raises
    ------
    InputError
        Another suffix, or the file cannot be written.
    """
    check_suffix(path)
    FigureCanvasAgg(figure)
    repeatable: dict[Any, Any] = {"pdf.fonttype": 42, "svg.hashsalt": "simopt", "svg.fonttype": "path"}
    with writing(path), whole(path) as unfinished, mpl.rc_context(repeatable):
        figure.savefig(unfinished, dpi=_DOTS, metadata=_REPEATABLE[path.suffix.lower()])
    return path
