"""The work of ``simopt report``: stored results are read, drawn, exported, and compared with the paper."""

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
    """The files to write; None stands for a file that is not written.

    Attributes
    ----------
    figures : Path or None
        A folder; None for ``figures`` in the first folder that is reported.
    suffixes : sequence of str
        The types of figures: ``.png``, ``.pdf``, ``.svg``.
    csv : Path or None
        A folder.
    every : int
        In trajectories.csv, only every so many logged states.
    latex, html : Path or None
    published : bool
        Whether to compare with the numbers of the paper.
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
    """What was read, and the files that were written.

    Attributes
    ----------
    found : Collected
    compared : list of Comparison or None
        None where nothing was to be compared.
    figures, files : list of Path
    left_out : list of str
        A line for each thing that figures or comparisons leave out, and for each result that is not finished
        or of an older revision.
    """

    found: Collected
    compared: list[Comparison] | None
    figures: list[Path]
    files: list[Path]
    left_out: list[str]


def report(selected: Sequence[str], wanted: Wanted) -> Report:
    """Read the selected results and write the files that are wanted.

    Parameters
    ----------
    selected : sequence of str
        Paths, patterns and filters, as :func:`simopt.report.selection.parse` reads them.
    wanted : Wanted

    Raises
    ------
    InputError
        A name, path or filter that cannot be used, or a file that cannot be written.
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
