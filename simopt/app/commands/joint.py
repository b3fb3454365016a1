"""``simopt joint``: which scores of two measures can occur together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simopt.app import completion
from simopt.app.commands.run import ConfigDir
from simopt.app.console import (
    AsJson,
    Debug,
    check_figure,
    err,
    errors_as_lines,
    out,
    titled_bar,
    warnings_shown,
)
from simopt.errors import InputError

if TYPE_CHECKING:
    from simopt.ranges.result import JointRange

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[KEY=VALUE]...",
        help="Overrides in Hydra's grammar, for instance dataset=mante.",
    ),
]
FigureFile = Annotated[
    Path | None,
    typer.Option(
        "--figure", help="Draw the region, of several pairs a matrix, into this .png, .pdf or .svg file."
    ),
]


def joint(
    overrides: Overrides = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Map the pairs of scores that one Y can have, and say what a score of one measure implies for the other.

    Keys: measures=[A,B] (more: every pair; all_paper), dataset, mode (boundary, square, both), levels,
    thresholds, thresholds_b, third, at, units, starts, rounds, steps, per_side, loss, rate, seed, contain,
    decode, keep, device, dtype, dir, checkpoint_seconds, force. An interrupted search goes on.

    Example: simopt joint measures=[cka,procrustes_angular] dataset=majaj --figure joint.pdf
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app import joint as work
        from simopt.app.joint_tables import joint_tables, verdicts_table

        check_figure(figure)
        asked = work.request(overrides or [], config_dir)
        if figure is not None and asked.config.third is not None:
            raise InputError("--figure draws pairs of measures; the range of a third one is a table.")
        with titled_bar() as observe:
            results, spectrum = work.carry_out(asked, config_dir, observe)
        if figure is not None:
            _draw(results, figure)
        if as_json:
            told = [result.as_json() for result in results]
            typer.echo(json.dumps(told[0] if len(told) == 1 else told))
            return
        for result in results:
            for table in joint_tables(result, spectrum):
                out().print(table)
        if results[0].region is not None:
            out().print(verdicts_table(results))
        for result in results:
            if result.outside:
                told_of = (
                    f"{result.outside} of {len(result.stored)} stored pairs of scores widened the region"
                )
                err().print(f"{' and '.join(result.names)}: {told_of}", markup=False, soft_wrap=True)
            out().print(f"{result.how}: {result.path}", markup=False, soft_wrap=True)


def _draw(results: list[JointRange], figure: Path) -> None:
    from simopt.report.joint import save_matrix, save_region, save_square

    first = results[0]
    title = f"{first.dataset} ({first.source})"
    regions = {result.names: result.region for result in results if result.region is not None}
    if first.square is not None and first.mode != "boundary":
        if len(results) > 1:
            raise InputError("--figure draws the targets of one pair; give two measures.")
        save_square(first.square, first.names, title, figure)
    elif len(results) == 1:
        guides = first.thresholds()
        bounds = first.proved_range()
        save_region(
            regions[first.names],
            title,
            figure,
            bounds=bounds,
            square=first.square,
            reached=first.stored if len(first.stored) else None,
            guides=guides[0],
            guides_b=guides[1],
        )
    else:
        names = list(dict.fromkeys(name for result in results for name in result.names))
        bounds_of = {
            result.names: found for result in results if (found := result.proved_range()) is not None
        }
        save_matrix(regions, names, title, figure, bounds=bounds_of, guides=first.thresholds()[0])
