"""``simopt report``: stored runs as a table and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simopt.app.console import AsJson, Debug, err, errors_as_lines, out

Paths = Annotated[
    list[Path] | None, typer.Argument(metavar="[PATH]...", help="Run files or folders; default: outputs.")
]
Figures = Annotated[
    Path | None,
    typer.Option("--figures", metavar="DIR", help="Where figures go; default: figures/ in the first folder."),
]


def report(
    paths: Paths = None, figures: Figures = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Show stored runs: a table, and figures of score against step and captured variance against score.

    Example: simopt report outputs/majaj --figures paper/figures
    """
    with errors_as_lines(debug):
        from simopt.app.tables import good_scores_table, runs_table
        from simopt.report import collect, figures_folder
        from simopt.report.figures import save_figures
        from simopt.report.tables import summarise

        places = paths or [Path("outputs")]
        collected = collect(places)
        summaries = [summarise(run) for run in collected.runs]
        written = save_figures(collected.runs, figures or figures_folder(places))
        if as_json:
            rows = [summary.as_json() for summary in summaries]
            typer.echo(json.dumps({"runs": rows, "figures": [str(path) for path in written]}))
        else:
            out().print(runs_table(summaries))
            if any(summary.good_scores for summary in summaries):
                out().print(good_scores_table(summaries))
            for path in written:
                out().print(f"figure: {path}", markup=False, soft_wrap=True)
        for problem in collected.broken:
            err().print(f"simopt: skipped {problem}", markup=False, style="red", soft_wrap=True)
        if collected.broken:
            raise typer.Exit(1)
