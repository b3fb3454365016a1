"""``simopt joint``: which scores of two measures can occur together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.commands.run import ConfigDir, Overrides
from simopt.app.terminal.console import (
    AsJson,
    Debug,
    check_figure,
    errors_as_lines,
    print_json,
    say,
    titled_bar,
    warnings_shown,
)
from simopt.app.terminal.signals import stop_signals

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

    Keys: measure=A,B (more: every pair; all_paper), measure.OPTION, dataset, mode (boundary, square), levels,
    thresholds, thresholds_b, units, starts, rounds, steps, per_side, loss, rate, seed, contain, decode, keep,
    device, dtype, log.dir, checkpoint_seconds, force. An interrupted search goes on.

    Example: simopt joint measure=cka,procrustes_angular dataset=majaj --figure joint.pdf
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app.config import requests
        from simopt.app.terminal.analysis_tables import joint_tables, verdicts_table
        from simopt.app.terminal.render import show
        from simopt.workflows.joint import carry_out

        check_figure(figure)
        asked = requests.joint(overrides or [], config_dir)
        for each in asked:
            each.check()
        with stop_signals() as stopped, titled_bar() as observe:
            results = [carry_out(each, observe, should_stop=stopped) for each in asked]
        if figure is not None:
            from simopt.report.joint import save_joint, save_matrix

            save_joint(results[0], figure) if len(results) == 1 else save_matrix(results, figure)
        if as_json:
            told = [result.as_json() for result in results]
            print_json(told[0] if len(told) == 1 else told)
            return
        spectrum = asked[0].dataset.dataset.spectrum()
        show(table for result in results for table in joint_tables(result, spectrum))
        if results[0].region is not None:
            show([verdicts_table(results)])
        for result in results:
            if result.outside:
                told_of = (
                    f"{result.outside} of {len(result.stored)} stored pairs of scores widened the region"
                )
                say(f"{' and '.join(result.names)}: {told_of}", error=True)
            say(f"{result.how}: {result.path}")
