"""``simopt score``: the scores of two datasets, and where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import (
    AsJson,
    Debug,
    check_figure,
    errors_as_lines,
    print_json,
    warnings_shown,
)
from simopt.app.terminal.signals import stop_signals

Recording = Annotated[
    str,
    typer.Argument(
        metavar="X",
        help="A dataset of `simopt datasets`, or npy, npz, h5, mat, nc, csv, tsv, parquet: (samples, units) "
        "or (time, condition, unit).",
    ),
]
File = Annotated[Path, typer.Argument(metavar="Y", help="A file with the same samples in the same order.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[measure=NAME,...|all] [measure.KEY=VALUE] [dataset.KEY=VALUE]...",
        help="Which measures, default cka, and options of them and of X as in `simopt run`.",
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        "--draws", help="Unrelated data to compare with, of each kind; default: 100, none with all."
    ),
]
Snr = Annotated[
    float | None,
    typer.Option("--snr", help="Signal-to-noise ratio of X, for a ceiling where there are no single trials."),
]
FigureFile = Annotated[
    Path | None,
    typer.Option("--figure", help="Draw scores, nulls and ceilings into this .png, .pdf or .svg file."),
]
Identifiers = Annotated[
    str | None, typer.Option("--ids", metavar="LABEL", help="The label that names the rows in both files.")
]


def score(
    x: Recording,
    y: File,
    overrides: Overrides = None,
    draws: Draws = None,
    snr: Snr = None,
    ids: Identifiers = None,
    figure: FigureFile = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score Y against the reference X with one, several or all measures, in float64.

    Beside each score: its percentile among unrelated data with the spectrum of Y, and the noise ceiling of X,
    from single trials or a signal-to-noise ratio. Labels that both sides have must agree row by row. Scores
    are stored in log.dir, outputs, and found again.

    Example: simopt score recording.npy model.npy measure=cka,nbs --draws 200
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app.config import requests
        from simopt.app.terminal.render import show
        from simopt.app.terminal.tables import scores_table
        from simopt.workflows.compare import carry_out

        check_figure(figure)
        request = requests.score(x, y, overrides or [], draws=draws, snr=snr, ids=ids)
        with stop_signals() as stopped:
            result = carry_out(request, should_stop=stopped)
        if figure is not None:
            from simopt.report.standing import save_standings

            save_standings(result.standings, result.title, figure)
        if as_json:
            print_json(result.as_json())
        else:
            show([scores_table(result)])
