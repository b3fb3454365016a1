"""``simopt attribute``: which PCs, samples or units a score depends on."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from simopt.app.terminal.console import Output, command, titled_bar
from simopt.app.terminal.options import ConfigDir, FigureFile, Overrides, OwnFile, Recording
from simopt.app.terminal.signals import stop_signals

By = Annotated[
    Literal["pcs", "samples", "units", "x-units"],
    typer.Option("--by", help="What to rank: PCs of X, samples, units of Y, or x-units (the units of X)."),
]
Top = Annotated[int, typer.Option("--top", min=1, help="Number of rows of the table.")]


@command
def attribute(
    output: Output,
    x: Recording,
    y: OwnFile,
    overrides: Overrides = None,
    by: By = "pcs",
    figure: FigureFile = None,
    top: Top = 10,
    config_dir: ConfigDir = None,
) -> None:
    """Rank PCs, samples or units by how much the score of Y against X changes when each is left out.

    A positive change means that the score rises when the PC, sample or unit is left out. For linear measures
    the changes have closed forms; for other measures the score is recomputed each time.

    The result is stored in the folder log.dir (default: outputs), and the same command reads it from there.

    Keys: measure (default: cka), measure.OPTION, dataset.OPTION, y.OPTION, log.dir, force.

    Example: simopt attribute recording.npy model.npy measure=cka --by samples --figure samples.png
    """
    from simopt.app.config import requests
    from simopt.app.terminal.tables import attribution_table
    from simopt.workflows.attribute import carry_out

    request = requests.attribute(x, y, overrides or [], by, config_dir)
    with stop_signals() as stopped, titled_bar() as observe:
        result = carry_out(request, observe, should_stop=stopped)
    if figure is not None:
        from simopt.report.attribution import save_attribution

        save_attribution(result, result.title, figure)
    output.deliver(result, lambda: [attribution_table(result, top)])
