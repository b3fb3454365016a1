"""The work of ``simopt report``: what is stored, read, drawn, exported, and compared with the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simopt import checks
from simopt.report import Collected, collect, exports, figures_folder, selection
from simopt.report.arranged import save_arranged
from simopt.report.figures import save_figures
from simopt.report.published import Comparison, compare
from simopt.report.style import check_suffixes

_MOST_DRAWN = 12


@dataclass(frozen=True)
class Wanted:
    """Which files are wanted; None: not written.

    Attributes
    ----------
    figures : Path or None
        A folder; None: ``figures`` beside what is reported.
    suffixes : sequence of str
        Of figures: ``.png``, ``.pdf``, ``.svg``.
    csv : Path or None
        A folder.
    every : int
        In trajectories.csv, only every so many states.
    latex, html : Path or None
    published : bool
        Compare with the paper.
    """

    figures: Path | None = None
    suffixes: Sequence[str] = (".png",)
    csv: Path | None = None
    every: int = 1
    latex: Path | None = None
    html: Path | None = None
    published: bool = False


@dataclass(frozen=True)
class Report:
    """What was found and written.

    Attributes
    ----------
    found : Collected
    compared : list of Comparison or None
    figures, files : list of Path
    left_out : list of str
        A line for whatever figures and comparisons leave out, is not finished or of an older revision.
    """

    found: Collected
    compared: list[Comparison] | None
    figures: list[Path]
    files: list[Path]
    left_out: list[str]


def report(selected: Sequence[str], wanted: Wanted) -> Report:
    """Read what is selected, and write what is wanted.

    Raises
    ------
    InputError
        A name, path or filter that cannot be used, or a file that cannot be written.
    """
    check_suffixes(wanted.suffixes)
    checks.suffix(wanted.latex, ".tex")
    checks.suffix(wanted.html, ".html")
    asked = selection.parse(selected)
    found = collect(asked.places, asked.filters)
    drawn, left_out = selection.drawn(found.runs, _MOST_DRAWN)
    folder = wanted.figures or figures_folder(asked.places)
    figures = save_figures(drawn, folder, wanted.suffixes)
    arranged, crowded = save_arranged(drawn, found.sensitivities, found.joints, folder, wanted.suffixes)
    compared, unlike = compare(found) if wanted.published else (None, [])
    return Report(
        found,
        compared,
        figures + arranged,
        _files(found, compared, wanted),
        [*left_out, *crowded, *unlike, *found.remarks],
    )


def _files(found: Collected, compared: list[Comparison] | None, wanted: Wanted) -> list[Path]:
    files = [] if wanted.csv is None else exports.save_csv(found, wanted.csv, wanted.every)
    if wanted.csv is not None and compared is not None:
        files.append(exports.save_published(compared, wanted.csv))
    if wanted.latex is not None:
        files.append(exports.save_latex(found.summaries, wanted.latex))
    if wanted.html is not None:
        from simopt.report.page import save_page  # loads torch, for analyses

        files.append(save_page(found, wanted.html))
    return files
