"""``simopt run``: one optimisation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simopt.app import completion
from simopt.app.console import AsJson, Debug, errors_as_lines, out, progress_bar, warnings_shown

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[KEY=VALUE]...",
        help="Overrides in Hydra's grammar, for instance measure=nbs.",
    ),
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="A folder with your own measure/, dataset/ ... yamls.")
]


def run(
    overrides: Overrides = None, config_dir: ConfigDir = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Optimise noise towards a recording and log score and captured variance.

    Keys: measure, dataset, optimizer, init, decoder, seeds, target, max_steps, track, nulls, attribute,
    device, dtype, tf32, cuda_graphs, log, force. The run goes to outputs/DATASET/MEASURE/ID/run.h5; a
    finished one is found again, an interrupted one goes on.

    Example: simopt run measure=procrustes_angular dataset=mante seeds=[0,1,2] optimizer.lr=0.05
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app.compose import compose

        composed = compose(overrides or [], config_dir)
        from simopt.app.job import execute
        from simopt.report.tables import summary

        with progress_bar("optimising", composed.config.max_steps) as observe:
            outcome = execute(composed, observe)
        result = summary(outcome.path)
        if as_json:
            typer.echo(json.dumps({"outcome": outcome.how, **result.as_json()}))
        else:
            out().print(f"{outcome.how}: {result.line()}\n{outcome.path}", markup=False, soft_wrap=True)
