"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal import completion

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Wide = Annotated[
    bool, typer.Option("--wide", help="Show all columns of a table, however narrow the terminal is.")
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        "--config-dir", help="A folder with your own YAML files: measure/NAME.yaml, dataset/NAME.yaml ..."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="KEY=VALUE",
        help="Settings in Hydra's grammar, for instance measure=nbs dataset=mante measure.form=angular.",
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="FILE|KEY=VALUE",
        help="The file of your recording; settings in Hydra's grammar, such as measure=nbs dataset=mante.",
    ),
]
Recording = Annotated[
    str,
    typer.Argument(
        autocompletion=completion.datasets,
        metavar="X",
        help="The recording: a name listed by `simopt datasets`, or a file (npy, npz, h5, mat, nc, csv, tsv "
        "or parquet) with an array of shape (samples, units) or (time, condition, unit).",
    ),
]
OwnFile = Annotated[
    Path, typer.Argument(metavar="Y", help="Your data: a file with the samples of X, in the same order.")
]
FigureFile = Annotated[
    Path | None, typer.Option("--figure", help="Draw the result into this .png, .pdf or .svg file.")
]
Draws = Annotated[
    int | None,
    typer.Option(
        "--draws",
        help="Number of unrelated datasets to score; default: 100, or 0 with measure=all.",
    ),
]
Snr = Annotated[
    float | None,
    typer.Option(
        "--snr",
        help="Signal variance / noise variance of X; gives a noise ceiling if X has no single trials.",
    ),
]
Identifiers = Annotated[
    str | None,
    typer.Option("--ids", metavar="LABEL", help="The label that identifies the samples of X and of Y."),
]
