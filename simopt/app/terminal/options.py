"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal import completion

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="A folder with your own measure/, dataset/ ... yamls.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[KEY=VALUE]...",
        help="Overrides in Hydra's grammar, for instance measure=nbs dataset=mante measure.form=angular.",
    ),
]
Recording = Annotated[
    str,
    typer.Argument(
        metavar="X",
        help="The recording: a dataset of `simopt datasets`, or npy, npz, h5, mat, nc, csv, tsv, parquet: "
        "(samples, units) or (time, condition, unit).",
    ),
]
OwnFile = Annotated[
    Path, typer.Argument(metavar="Y", help="Your data, a file with the same samples in the same order.")
]
FigureFile = Annotated[
    Path | None, typer.Option("--figure", help="Draw the result into this .png, .pdf or .svg file.")
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
Identifiers = Annotated[
    str | None, typer.Option("--ids", metavar="LABEL", help="The label that names the rows in both files.")
]
