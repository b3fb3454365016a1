"""``simopt measures``: the catalogue, or one measure of it."""

from __future__ import annotations

from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import command, deliver
from simopt.app.terminal.options import AsJson, Debug

Name = Annotated[
    str | None,
    typer.Argument(
        autocompletion=completion.measures, metavar="[NAME]", help="A measure or an alias; none: list all."
    ),
]


def measures(name: Name = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the measures, or show one: formula, source, what it ignores, its aliases.

    A name or an alias is what measure= takes in every other command; options of a measure are
    measure.OPTION=VALUE.

    Example: simopt measures cka
    """
    with command(debug):
        from simopt import measures as catalogue
        from simopt.app.terminal.tables import measure_card, measures_table
        from simopt.measures import describe

        if name is None:
            cards = [describe(catalogue.get(each)) for each in catalogue.names()]
            deliver(cards, as_json, lambda: [measures_table(cards)])
        else:
            card = describe(catalogue.get(name))
            deliver(card, as_json, lambda: [measure_card(card)])
