"""``simopt card``: what a measure is, and what its scores mean on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import Output, command, say, titled_bar
from simopt.app.terminal.options import ConfigDir
from simopt.app.terminal.signals import stop_signals
from simopt.errors import InputError

Words = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.measures_and_overrides,
        metavar="MEASURE|KEY=VALUE",
        help="Names of measures or dotted paths of your own functions; settings as in `simopt run`.",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="NAME,NAME",
        help="Measures to map joint ranges with; default: cka,nbs,procrustes_angular,linreg.",
    ),
]
NoJoint = Annotated[bool, typer.Option("--no-joint", help="Leave out the joint ranges.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write one interactive page to this .html file.")]


@command
def card(
    output: Output,
    words: Words = None,
    against: Against = None,
    no_joint: NoJoint = False,
    html: Html = None,
    config_dir: ConfigDir = None,
) -> None:
    """Describe a measure and what its scores mean on a dataset; several measures side by side.

    A card shows the formula of the measure, its tested invariances, its sensitivity to single PCs, its joint
    ranges with the main measures, and its cost. From a run it shows the score at which Y first captures half
    of each PC, and the score from which the labels can be decoded well.

    Stored results are used; missing results are computed and stored in the folder log.dir.

    Keys: those of `simopt run`; for the joint ranges also starts, rounds, steps, levels, units.

    Example: simopt card cka procrustes_angular dataset=majaj --html card.html
    """
    from simopt import checks
    from simopt.app.config import requests
    from simopt.app.terminal.analysis_tables import card_tables
    from simopt.workflows.card import carry_out, decomposed

    checks.suffix(html, ".html")
    if no_joint and against is not None:
        raise InputError("--against maps joint ranges and --no-joint leaves them out; give one of the two.")
    partners = None if against is None else [name.strip() for name in against.split(",")]
    cards_requests = requests.cards(words or [], against=[] if no_joint else partners, config_dir=config_dir)
    with stop_signals() as stopped, titled_bar(named=True) as observe:
        reference = decomposed(cards_requests[0])  # X of all cards: decomposed once
        cards = [
            carry_out(request, observe, should_stop=stopped, reference=reference)
            for request in cards_requests
        ]
    if html is not None:
        from simopt.report.card.page import save_page

        say(f"wrote {save_page(cards, html)}", error=True)
    result = cards[0] if len(cards) == 1 else cards
    output.deliver(result, lambda: card_tables(cards))
    for made in cards:
        output.say(*(f"{made.measure}: {line}" for line in made.disagreements()), style="yellow")
        output.say(*made.remarks(), style="dim")
