"""The look of all figures: sized for print and readable in gray; the same numbers give the same bytes.

A measure has the same color, line style and marker in every figure and on every page.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from simopt.typing import FloatArray

COLUMN, PAGE = 3.5, 7.2
"""The widths of a text column and of the text of a page, in inches."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""The colors of measures: the palette of Okabe and Ito (2008), safe for color-blind readers."""
INK, GUIDE = "#000000", "#444444"
"""The color of lines and markers that belong to no measure, and the color of guide lines."""
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
# 7 colors, 4 line styles and 9 markers have no common divisor, so that 7 * 4 * 9 numbers in a row give as
# many different combinations.
_LOOKS = len(COLORS) * len(STYLES) * len(MARKERS)
# The index of a name determines its look, so new measures are added at the end. Each of the first seven,
# those of the default sets and of the paper, has a color of its own, and so has each of the five ridge*_cv5.
_MEASURES = """
cka nbs procrustes_angular linreg ridge100_cv5 cka_angular rsa_correlation_corr
ridge1_cv5 ridge10_cv5 ridge1000_cv5 ridge10000_cv5 ridge_cv linreg_cv5 rsa
cca svcca pwcca cca_angle pls25 pls_singular_value nbs_squared
procrustes_angle procrustes_euclidean procrustes_normalized shape_angular shape_euclidean permutation_angular
permutation_euclidean cka_debiased cka_rbf cka_polynomial distance_correlation rv_adjusted ensd ridge1 ridge10
ridge100 ridge1000 ridge10000 rsa_euclidean rsa_spearman rsa_kendall rsa_cosine rsa_cosine_cov rsa_corr_cov
rsa_bures rsa_crossnobis rsa_mahalanobis rsa_distance rsm_norm_difference second_order_cosine aligned_cosine
eigenspace_overlap gulp hard_correlation_match soft_correlation_match pairwise_matching
soft_matching_correlation soft_matching_distance mutual_knn cycle_knn lcs_knn jaccard_knn cknna
rank_similarity magnitude_difference uniformity_difference concentricity_difference function
""".split()  # noqa: SIM905, a list of as many strings would fill a page
SUFFIXES = (".png", ".pdf", ".svg")

PAPER = mpl.rc_params_from_file(Path(__file__).with_name("paper.mplstyle"), use_default_template=False)
"""The matplotlib settings of figures: text of 6 to 8 points at the printed width."""

_LEGEND_HANDLE, _LETTER, _LINE, _TITLE_LETTER = 0.48, 0.052, 0.135, 0.056
"""Lengths in inches: in a legend the sample line with its spaces, the width of a letter and the height of a
line; the width of a letter in a panel's title. Change them together with the font sizes of PAPER."""
_DOTS = 300
_REPEATABLE = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": "simopt", "Producer": None},
    ".svg": {"Date": None, "Creator": "simopt"},
}


def place(measure: str) -> int:
    """Return the index of a measure, which determines its color, line style and marker.

    For a measure outside the catalogue it is a hash of the name.
    """
    if measure in _MEASURES:
        return _MEASURES.index(measure)
    # Not hash(), which differs from one process to the next.
    return len(_MEASURES) + zlib.crc32(measure.encode("utf-8", "replace")) % (_LOOKS - len(_MEASURES))


def look(measure: str, variant: int = 0) -> dict[str, Any]:
    """Return color, line style and marker of a measure, as keyword arguments for matplotlib's ``plot``.

    Parameters
    ----------
    measure : str
    variant : int
        The index of one of several curves of the measure, counted from 0. Curves of the same measure share
        the color and differ in line style and marker.
    """
    number = place(measure)
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": STYLES[(number + variant) % len(STYLES)],
        "marker": MARKERS[(number + variant) % len(MARKERS)],
    }


def plain(text: str) -> str:
    """Return a label that matplotlib shows exactly as ``text``.

    Without this, matplotlib would set text between dollar signs as a formula, and a legend would omit labels
    that begin with ``_``.
    """
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def stem(*parts: str) -> str:
    """Join names to the name of a file, and replace characters that a file system may refuse by ``_``."""
    return re.sub(r"[^\w.+-]", "_", "_".join(parts)).lstrip(".")


def check_suffix(path: Path) -> None:
    """Refuse a path that does not end in .png, .pdf or .svg; called before anything is computed.

    Raises
    ------
    InputError
        The path has another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a figure is a .png, .pdf or .svg file; end its name in one of these.")


def axes(ax: Axes | None) -> Axes:
    """Return ``ax`` or, if it is None, the Axes of a new pyplot figure, which notebooks display."""
    if ax is None:
        from matplotlib import pyplot  # imported late: it picks a backend, which may open a display

        _, ax = pyplot.subplots(layout="constrained")
    return ax


def limits(values: FloatArray) -> tuple[float, float]:
    """Return the lower and upper end of an axis that shows all of the finite ``values`` with a margin."""
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * ((high - low) or 1.0)
    return low - margin, high + margin


class Panels:
    """A figure of panels in rows and columns.

    A figure of one column has the width of a text column, and a figure of 2 to 6 columns the width of a page.
    Figures of more columns are wider.

    Parameters
    ----------
    count : int
        The number of panels.
    columns : int
        The largest number of panels in a row.
    height : float
        The height of a panel, in inches.
    """

    def __init__(self, count: int, columns: int, height: float) -> None:
        self.columns = min(columns, count)
        rows = -(-count // self.columns)
        # At least an inch a column, and 0.8 for the labels on the left.
        self.width = COLUMN if self.columns == 1 else max(PAGE, self.columns + 0.8)
        self.height = rows * (height + 0.45)  # 0.45 for the title and the labels below
        self.figure = Figure(figsize=(self.width, self.height), layout="constrained")
        axes = self.figure.subplots(rows, self.columns, squeeze=False).ravel()
        for ax in axes[count:]:
            ax.remove()
        self.axes: list[Axes] = list(axes[:count])

    def set_title(self, ax: Axes, title: str) -> None:
        """Set the title of a panel, broken into lines that fit its width."""
        letters = int((self.width / self.columns - 0.08) / _TITLE_LETTER)
        lines = [part for line in title.split("\n") for part in wrap(line, letters) or [""]]
        ax.set_title(plain("\n".join(lines)))

    def leave_outer_labels(self, *, same_x: bool = False, same_y: bool = False) -> None:
        """Remove axis labels from inner panels.

        A panel keeps its x label if no visible panel is below it in its column, and its y label if no visible
        panel is left of it in its row.

        Parameters
        ----------
        same_x, same_y : bool
            Whether the panels of a column have the same x axis, and the panels of a row the same y axis. If
            so, inner panels lose their tick labels as well.
        """
        there = [ax.get_visible() for ax in self.axes]
        for at, ax in enumerate(self.axes):
            if any(there[at + self.columns :: self.columns]):
                ax.set_xlabel("")
                ax.tick_params(labelbottom=not same_x)
            if any(there[at - at % self.columns : at]):
                ax.set_ylabel("")
                ax.tick_params(labelleft=not same_y)

    def with_legend(self, handles: Mapping[str, Artist], caption: Sequence[str] = ()) -> Figure:
        """Add a legend below the panels and return the figure, whose height grows accordingly.

        Parameters
        ----------
        handles : mapping of Artist
            The entries of the legend, by label.
        caption : sequence of str
            Lines of text between the panels and the legend.
        """
        longest = max(map(len, handles), default=0)
        columns = max(1, min(len(handles), int(self.width / (_LEGEND_HANDLE + _LETTER * longest))))
        lines = [part for line in caption for part in wrap(line, int(self.width / _LETTER))]
        rows = -(-len(handles) // columns) + len(lines)
        self.figure.set_size_inches(self.width, self.height + _LINE * rows)
        self.figure.legend(
            handles.values(),
            handles,
            loc="outside lower center",
            ncols=columns,
            title=plain("\n".join(lines)),
        )
        return self.figure


def legend_handles(axes: Iterable[Axes]) -> dict[str, Artist]:
    """Return the labeled artists of some Axes by label; if several have the same label, the first."""
    handles: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    return handles


def save_panel(draw: Callable[[Axes], object], path: Path, width: float, height: float) -> Path:
    """Draw a figure of one panel, write it by :func:`save`, and return the path.

    Parameters
    ----------
    draw : callable
        A function that draws on the Axes that it receives.
    path : Path
    width, height : float
        The size of the figure, in inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    draw(figure.subplots())
    return save(figure, path)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure to a .png, .pdf or .svg file, create its folder if needed, and return the path.

    The same figure gives the same bytes at any time and in any process: the file contains no date, and the
    names inside an SVG are not random. The figure also looks the same on every machine: a PDF contains its
    fonts (as TrueType, which journals ask for), and in an SVG, which cannot contain fonts, letters are
    outlines.

    Raises
    ------
    InputError
        The path has another suffix, or the file cannot be written.
    """
    check_suffix(path)
    FigureCanvasAgg(figure)
    # 42 is TrueType, 3 would be Type 3. Without a fixed salt the names inside an SVG are random.
    repeatable: dict[Any, Any] = {"pdf.fonttype": 42, "svg.hashsalt": "simopt", "svg.fonttype": "path"}
    with writing(path), whole(path) as unfinished, mpl.rc_context(repeatable):
        figure.savefig(unfinished, dpi=_DOTS, metadata=_REPEATABLE[path.suffix.lower()])
    return path
