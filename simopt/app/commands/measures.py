"""``simopt measures``: list the measures, or describe one."""

from __future__ import annotations

from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import Output, command

Name = Annotated[
    str | None,
    typer.Argument(
        autocompletion=completion.measures,
        metavar="NAME",
        help="The name or an alias of a measure; without NAME, all measures are listed.",
    ),
]


@command
def measures(output: Output, name: Name = None) -> None:
    """List the measures, or describe one: formula, source, invariances, aliases.

    Other commands take a name or an alias as measure=NAME, and the options of the measure as
    measure.OPTION=VALUE.

    Example: simopt measures cka
    """
    from simopt import measures as catalogue
    from simopt.app.terminal.tables import measure_card, measures_table
    from simopt.measures import describe

    if name is None:
        cards = [describe(catalogue.get(listed)) for listed in catalogue.names()]
        output.deliver(cards, lambda: [measures_table(cards)])
    else:
        card = describe(catalogue.get(name))
        output.deliver(card, lambda: [measure_card(card)])
