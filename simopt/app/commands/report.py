"""``simopt report``: stored runs and analyses as tables, figures, files and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal.console import Output, command, print_json, say

Selected = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH|PATTERN|KEY=VALUE",
        help="Files, folders or quoted patterns to read (default: outputs), and filters by dataset, measure, "
        "source, status or run, for instance dataset=majaj measure=cka,nbs.",
    ),
]
Figures = Annotated[
    Path | None,
    typer.Option(
        "--figures", metavar="DIR", help="Write figures to this folder; default: figures/ in the first PATH."
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format", metavar="NAMES", help="Format of the figures: png, pdf, svg, or several: pdf,png."
    ),
]
Published = Annotated[
    bool, typer.Option("--published", help="Compare with the numbers published in arXiv 2407.07059.")
]
Csv = Annotated[
    Path | None, typer.Option("--csv", metavar="DIR", help="Write tidy CSV files into this folder.")
]
Every = Annotated[
    int, typer.Option("--every", min=1, help="Write every N-th logged state to trajectories.csv.")
]
Latex = Annotated[
    Path | None,
    typer.Option(
        "--latex", metavar="FILE", help="Write LaTeX tables (booktabs, graphicx) to this .tex file."
    ),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write one self-contained page to this .html file."),
]


@command
def report(
    output: Output,
    selected: Selected = None,
    figures: Figures = None,
    format: Format = "png",
    published: Published = False,
    csv: Csv = None,
    every: Every = 1,
    latex: Latex = None,
    html: Html = None,
) -> None:
    """Show stored runs, sensitivities and joint ranges as tables, figures, files or one page.

    Every figure for which results are stored is drawn. Each dataset has score against step, and captured
    variance against score. Figures of the paper: decoding_vs_score, pcs_vs_score, half_capture_vs_variance,
    sensitivity, joint_ranges, ridge_lambda.

    Runs that differ only in their seeds are drawn as one curve with a band. A mean over replicates is rounded
    to the first digit of its standard error.

    Example: simopt report outputs measure=cka,nbs status=finished --csv paper/data --latex paper/runs.tex
    """
    from simopt.report import written as work

    suffixes = [f".{name.strip().lower()}" for name in format.split(",")]
    outputs = work.Wanted(figures, suffixes, csv, every, latex, html, published)
    done = work.report(selected or [], outputs)
    if output.as_json:
        from simopt.report import exports

        content = exports.as_json(done.found, done.compared)
        print_json({**content, "figures": done.figures, "files": done.files})
    else:
        from simopt.app.terminal.report_tables import report_tables

        output.show(report_tables(done.found, done.compared))
        say(*(f"figure: {path}" for path in done.figures), *(f"file: {path}" for path in done.files))
    say(*(f"simopt: {line}" for line in done.left_out), error=True)
    say(*(f"simopt: skipped {problem}" for problem in done.found.broken), style="red", error=True)
    if done.found.broken:
        raise typer.Exit(1)
