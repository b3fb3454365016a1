"""``simopt attribute``: which PCs, samples or units a score hangs on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from simopt.app import completion
from simopt.app.console import AsJson, Debug, check_figure, count_bar, errors_as_lines, out, warnings_shown

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
        "for instance measure.form=angular dataset.labels=[object].",
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

    A positive change: the score rises without it, so it keeps X and Y apart. What the linear measures can
    compute by formula is not refitted.

    Example: simopt attribute recording.npy model.npy measure=cka --by samples --figure samples.png
    """
    with errors_as_lines(debug), warnings_shown():
        check_figure(figure)
        from simopt.app import attribute as work
        from simopt.app import inputs
        from simopt.app.attribution_tables import attribution_table

        measure, dataset = work.chosen(x, overrides or [])
        own = inputs.file(y)
        inputs.same_rows(dataset, own)
        with count_bar(f"{measure.name}, scored anew") as observe:
            found = work.attribution(dataset.responses, own.responses, measure, by, observe)
        source = f"{dataset.name} (surrogate)" if dataset.source == "surrogate" else dataset.name
        title = f"{y.stem} against {source}: {found.measure} {found.score:.6f}"
        if figure is not None:
            from simopt.report.attribution import save_attribution

            save_attribution(found, title, figure)
        about = work.about_samples(dataset) if by == "samples" else {}
        if as_json:
            typer.echo(json.dumps(work.as_json(found, dataset, about)))
        else:
            words = [", ".join(f"{key} {value}" for key, value in row.items()) for row in work.rows(about)]
            out().print(attribution_table(found, title, words, top))
