"""``simopt card``: what a measure is, and what its scores mean on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import command, deliver, say, titled_bar
from simopt.app.terminal.options import AsJson, ConfigDir, Debug
from simopt.app.terminal.signals import stop_signals
from simopt.errors import InputError

Given = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.measures_and_overrides,
        metavar="MEASURE [MEASURE]... [KEY=VALUE]...",
        help="Measures, or dotted paths of your own functions, and overrides as in `simopt run`.",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="NAME,NAME",
        help="Measures of the joint ranges; default: cka,nbs,procrustes_angular,linreg.",
    ),
]
NoJoint = Annotated[bool, typer.Option("--no-joint", help="Leave joint ranges out.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write an interactive page that loads nothing.")]


def card(
    given: Given = None,
    against: Against = None,
    no_joint: NoJoint = False,
    html: Html = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what a measure is and what its scores mean on a dataset: one card, or several side by side.

    Formula and facts, invariances as tested, sensitivity to single PCs, half capture, decoding and good
    scores along a run, joint ranges with the main measures, cost. Stored results are used, missing ones made
    and kept in log.dir. Keys: those of `simopt run`, and starts, rounds, steps, levels of the joint ranges.

    Example: simopt card cka procrustes_angular dataset=majaj --html card.html
    """
    with command(debug):
        from simopt import checks
        from simopt.app.config import requests
        from simopt.app.terminal.analysis_tables import card_tables
        from simopt.workflows.card import carry_out, decomposed

        checks.suffix(html, ".html")
        if no_joint and against is not None:
            raise InputError("--against chooses joint ranges and --no-joint leaves them out; give one.")
        partners = None if against is None else [name.strip() for name in against.split(",")]
        asked = requests.cards(given or [], against=[] if no_joint else partners, config_dir=config_dir)
        with stop_signals() as stopped, titled_bar(named=True) as observe:
            reference = decomposed(asked[0])
            cards = [carry_out(each, observe, should_stop=stopped, reference=reference) for each in asked]
        if html is not None:
            from simopt.report.card.page import save_page

            say(f"wrote {save_page(cards, html)}", error=True)
        deliver(cards[0] if len(cards) == 1 else cards, as_json, lambda: card_tables(cards))
        for each in [] if as_json else cards:
            say(*(f"{each.measure}: {line}" for line in each.disagreements()), style="yellow")
            say(*each.remarks(), style="dim")
