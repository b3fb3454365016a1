"""``simopt run``: one optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import (
    AsJson,
    Debug,
    errors_as_lines,
    print_json,
    progress_bar,
    say,
    warnings_shown,
)
from simopt.app.terminal.signals import stop_signals

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
    device, dtype, tf32, log, force. The run goes to outputs/DATASET/MEASURE/ID/run.h5; a finished one is
    found again, an interrupted one goes on.

    Example: simopt run measure=procrustes_angular dataset=mante seeds=[0,1,2] optimizer.lr=0.05
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app.config import requests
        from simopt.workflows.run import carry_out

        request = requests.run(overrides or [], config_dir)
        with stop_signals() as stopped, progress_bar("optimising", request.max_steps) as observe:
            result = carry_out(request, observe, should_stop=stopped)
        if as_json:
            print_json(result.as_json())
        else:
            say(f"{result.how}: {result.line()}", result.path or "not stored: log.dir is null")
