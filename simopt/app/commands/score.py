"""``simopt score``: the scores of two files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simopt.app.console import AsJson, Debug, errors_as_lines, out
from simopt.errors import InputError

File = Annotated[
    Path,
    typer.Argument(
        help="npy, npz, h5, mat, nc, csv, tsv or parquet: (samples, units) or (time, condition, unit)."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[measure=NAME,...|all]", help="Which measures; default: cka."),
]


def score(
    x: File, y: File, overrides: Overrides = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Score Y against the reference X with one, several or all measures, in float64.

    Example: simopt score recording.npy model.npy measure=all
    """
    with errors_as_lines(debug):
        from simopt import datasets, measures
        from simopt.app.tables import scores_table

        chosen = _chosen(overrides or ["measure=cka"])
        X, Y = (datasets.load("file", path=str(path), constant_units="keep").responses for path in (x, y))
        names = measures.distinct() if chosen == ["all"] else chosen
        scores, skipped = measures.score_all(X, Y, names, keep_going=chosen == ["all"])
        if as_json:
            values = {name: {"score": value} for name, value in scores.items()}
            typer.echo(json.dumps({"measures": values, "skipped": skipped}))
        else:
            out().print(scores_table(scores, skipped))


def _chosen(overrides: list[str]) -> list[str]:
    names: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "measure" or not value:
            raise InputError(
                f"{override!r}: `simopt score X Y` takes measure=NAME, measure=NAME,NAME or measure=all."
            )
        names += value.strip("[]").split(",")
    return names
