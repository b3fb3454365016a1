"""``simopt attribute``: which PCs, samples or units a score hangs on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import (
    AsJson,
    Debug,
    check_figure,
    errors_as_lines,
    print_json,
    titled_bar,
    warnings_shown,
)
from simopt.app.terminal.signals import stop_signals

By = Literal["pcs", "samples", "units", "x-units"]

Reference = Annotated[
    str, typer.Argument(metavar="X", help="The reference: a file, or a dataset such as majaj.")
]
File = Annotated[
    Path,
    typer.Argument(
        metavar="Y",
        help="npy, npz, h5, mat, nc, csv, tsv or parquet: (samples, units) or (time, condition, unit).",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[measure=NAME] [OVERRIDES]...",
        help="Which measure, default cka, and options of measure and dataset as `simopt run` takes them, "
        "for instance measure.form=angular dataset.labels=\\[object].",
    ),
]
ByOption = Annotated[
    By,
    typer.Option("--by", help="PCs of X, samples, units (of Y), or x-units (those of X)."),
]
Figure = Annotated[
    Path | None, typer.Option("--figure", help="Draw all changes into this .png, .pdf or .svg file.")
]
Top = Annotated[int, typer.Option("--top", min=1, help="How many rows the table has.")]


def attribute(
    x: Reference,
    y: File,
    overrides: Overrides = None,
    by: ByOption = "pcs",
    figure: Figure = None,
    top: Top = 10,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Rank the PCs, samples or units by how much the score of Y against X changes without each of them.

    A positive change: the score rises without it, so it keeps X and Y apart. Linear measures use closed
    forms, others are scored again. The result is stored in log.dir, outputs, and found again.

    Example: simopt attribute recording.npy model.npy measure=cka --by samples --figure samples.png
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app.config import requests
        from simopt.app.terminal.render import show
        from simopt.app.terminal.tables import attribution_table
        from simopt.workflows.attribute import carry_out

        check_figure(figure)
        request = requests.attribute(x, y, overrides or [], by)
        with stop_signals() as stopped, titled_bar() as observe:
            result = carry_out(request, observe, should_stop=stopped)
        if figure is not None:
            from simopt.report.attribution import save_attribution

            save_attribution(result, result.title, figure)
        if as_json:
            print_json(result.as_json())
        else:
            show([attribution_table(result, top)])
