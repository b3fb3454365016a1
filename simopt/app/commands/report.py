"""``simopt report``: stored runs and analyses as tables, figures, files and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simopt.app.console import AsJson, Debug, err, errors_as_lines, out
from simopt.errors import InputError

Selected = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH | PATTERN | KEY=VALUE]...",
        help="Files, folders or quoted patterns of them, default outputs; filters by dataset, measure, "
        "source, status or run, for instance dataset=majaj measure=cka,nbs.",
    ),
]
Figures = Annotated[
    Path | None,
    typer.Option("--figures", metavar="DIR", help="Where figures go; default: figures/ in the first folder."),
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Write tidy CSV files there.")]
Every = Annotated[int, typer.Option("--every", min=1, help="In trajectories.csv, only every so many states.")]
Latex = Annotated[
    Path | None,
    typer.Option("--latex", metavar="FILE", help="Write LaTeX tables (booktabs) into this .tex file."),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page, an .html file.")
]

_MOST_DRAWN = 12


def report(
    selected: Selected = None,
    figures: Figures = None,
    csv: Csv = None,
    every: Every = 1,
    latex: Latex = None,
    html: Html = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show stored runs, sensitivities and joint ranges: tables, and figures of the runs.

    Figures: score against step, and captured variance against score. Means over replicates are rounded to
    the first digit of their standard error.

    Example: simopt report outputs measure=cka,nbs status=finished --csv paper/data --latex paper/runs.tex
    """
    with errors_as_lines(debug):
        for path, suffix in ((latex, ".tex"), (html, ".html")):
            if path is not None and path.suffix.lower() != suffix:
                raise InputError(f"{path}: give a file that ends in {suffix}.")
        from simopt.report import collect, exports, figures_folder, selection
        from simopt.report.figures import save_figures

        asked = selection.parse(selected or [])
        found = collect(asked.places, asked.filters)
        runs, left_out = selection.drawn(found.runs, _MOST_DRAWN)
        written = save_figures(runs, figures or figures_folder(asked.places))
        files = [] if csv is None else exports.save_csv(found, csv, every)
        if latex is not None:
            files.append(exports.save_latex(found.summaries, latex))
        if html is not None:
            from simopt.report.page import save_page

            files.append(save_page(found.runs, found.sensitivities, found.joints, found.broken, html))
        if as_json:
            told = {
                **exports.as_json(found),
                "figures": list(map(str, written)),
                "files": list(map(str, files)),
            }
            typer.echo(json.dumps(told))
        else:
            from simopt.app.report_tables import report_tables

            for table in report_tables(found):
                out().print(table)
            for path in written:
                out().print(f"figure: {path}", markup=False, soft_wrap=True)
            for path in files:
                out().print(f"file: {path}", markup=False, soft_wrap=True)
        for line in left_out:
            err().print(f"simopt: {line}", markup=False, soft_wrap=True)
        for problem in found.broken:
            err().print(f"simopt: skipped {problem}", markup=False, style="red", soft_wrap=True)
        if found.broken:
            raise typer.Exit(1)
