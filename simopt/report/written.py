"""The work of ``simopt report``: read stored results, draw and export them, compare them with the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simopt import checks
from simopt.report import Collected, collect, exports, selection
from simopt.report.arranged import MOST, save_arranged
from simopt.report.figures import save_figures
from simopt.report.published import Comparison, compare
from simopt.report.style import check_suffix


@dataclass(frozen=True)
class Wanted:
    """The files that a report writes.

    Attributes
    ----------
    figures : Path or None
        The folder of the figures. None: the folder ``figures`` in the first folder that is reported.
    suffixes : sequence of str
        The types in which each figure is written: any of ``.png``, ``.pdf``, ``.svg``.
    csv : Path or None
        The folder of the CSV files; None: they are not written.
    every : int
        trajectories.csv has the last logged state and every N-th, with N = ``every``.
    latex, html : Path or None
        The paths of the LaTeX file and the HTML page; None: it is not written.
    published : bool
        Whether to compare the results with the numbers of the paper.
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
    """The results that were read, and the files that were written.

    Attributes
    ----------
    found : Collected
        The results.
    compared : list of Comparison or None
        The comparison with the paper; None if it was not requested.
    figures, files : list of Path
        The figures that were written, and all other files.
    left_out : list of str
        Lines on what the figures or the comparison leave out, and on results that are unfinished or were made
        by an older revision of their code.
    """

    found: Collected
    compared: list[Comparison] | None
    figures: list[Path]
    files: list[Path]
    left_out: list[str]


def report(selected: Sequence[str], wanted: Wanted) -> Report:
    """Read the selected results and write the requested files.

    Parameters
    ----------
    selected : sequence of str
        Paths, patterns of paths and filters, as :func:`simopt.report.selection.parse` reads them.
    wanted : Wanted
        The files to write.

    Raises
    ------
    InputError
        A path does not exist, a filter is invalid or matches nothing, the type of a file is not possible, or
        a file cannot be written.
    """
    # File types are checked first: reading hundreds of runs takes a while.
    for suffix in wanted.suffixes:
        check_suffix(Path(f"figure{suffix}"))
    checks.suffix(wanted.latex, ".tex")
    checks.suffix(wanted.html, ".html")
    request = selection.parse(selected)
    collected = collect(request.places, request.filters)
    drawn, left_out = selection.drawn(collected.runs, MOST)
    first = request.places[0]
    folder = wanted.figures or (first.parent if first.is_file() else first) / "figures"
    figures = save_figures(drawn, folder, wanted.suffixes)
    analyses = collected.sensitivities, collected.joints
    arranged, crowded = save_arranged(drawn, *analyses, folder, wanted.suffixes)
    compared, unlike = compare(collected) if wanted.published else (None, [])
    return Report(
        collected,
        compared,
        figures + arranged,
        _files(collected, compared, wanted),
        [*left_out, *crowded, *unlike, *collected.remarks],
    )


def _files(collected: Collected, compared: list[Comparison] | None, wanted: Wanted) -> list[Path]:
    files = [] if wanted.csv is None else exports.save_csv(collected, wanted.csv, wanted.every)
    if wanted.csv is not None and compared is not None:
        files.append(exports.save_published(compared, wanted.csv))
    if wanted.latex is not None:
        files.append(exports.save_latex(collected.summaries, wanted.latex))
    if wanted.html is not None:
        from simopt.report.page import save_page  # loads torch, for analyses

        files.append(save_page(collected, wanted.html))
    return files
