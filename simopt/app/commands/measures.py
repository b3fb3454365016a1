"""``simopt measures``: list the measures, or describe one."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import Output, command
from simopt.app.terminal.options import ConfigDir

Name = Annotated[
    str | None,
    typer.Argument(
        autocompletion=completion.measures,
        metavar="NAME",
        help="The name or an alias of a measure; without NAME, all measures are listed.",
    ),
]


@command
def measures(output: Output, name: Name = None, config_dir: ConfigDir = None) -> None:
    """List the measures, or describe one: formula, source, invariances, aliases.

    Other commands take a name or an alias as measure=NAME, and the options of the measure as
    measure.OPTION=VALUE.

    Example: simopt measures cka
    """
    from simopt import measures as catalogue
    from simopt.app.terminal.tables import measure_card, measures_table
    from simopt.measures import describe

    own: list[str] = []
    built = catalogue.get
    if config_dir is not None:  # Hydra, which takes a second to load, reads the user's own YAML files
        from simopt.app.config import settings

        own = [path.stem for path in (config_dir / "measure").glob("*.yaml")]
        built = partial(settings.measure, config_dir=config_dir)
    if name is None:
        cards = [describe(built(listed)) for listed in sorted({*catalogue.names(), *own})]
        output.deliver(cards, lambda: [measures_table(cards)])
    else:
        card = describe(built(name))
        output.deliver(card, lambda: [measure_card(card)])
