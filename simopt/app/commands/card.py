"""``simopt card``: what a measure is, and what its scores mean on a dataset."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from simopt.app import completion
from simopt.app.commands.run import ConfigDir
from simopt.app.console import AsJson, Debug, err, errors_as_lines, out, titled_bar, warnings_shown
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
Pdf = Annotated[Path | None, typer.Option("--pdf", help="Write one page, A4.")]


def card(
    given: Given = None,
    against: Against = None,
    no_joint: NoJoint = False,
    html: Html = None,
    pdf: Pdf = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what a measure is and what its scores mean on a dataset: one card, or several side by side.

    Formula and facts, invariances as tested, sensitivity to single PCs, half capture, decoding and good
    scores along a run, joint ranges with the main measures, cost. Stored results are used, missing ones made
    and kept in log.dir. Keys: those of `simopt run`, and starts, rounds, steps, levels of the joint ranges.

    Example: simopt card cka procrustes_angular dataset=majaj --pdf card.pdf
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt import checks

        checks.suffix(html, ".html")
        checks.suffix(pdf, ".pdf")
        if no_joint and against is not None:
            raise InputError("--against chooses joint ranges and --no-joint leaves them out; give one.")
        from simopt.app import card as work
        from simopt.app.card_request import request
        from simopt.app.card_tables import card_tables

        partners = None if against is None else [name.strip() for name in against.split(",")]
        asked = request(given or [], against=[] if no_joint else partners, config_dir=config_dir)
        with _progress() as observe:
            cards = work.cards(asked, observe)
        if html is not None:
            from simopt.report.card.page import save_page

            err().print(f"wrote {save_page(cards, html)}", markup=False, soft_wrap=True)
        if pdf is not None:
            from simopt.report.card.sheet import save_sheet

            err().print(f"wrote {save_sheet(cards, pdf)}", markup=False, soft_wrap=True)
        if as_json:
            told = [each.as_json() for each in cards]
            typer.echo(json.dumps(told[0] if len(told) == 1 else told, allow_nan=False))
            return
        for part in card_tables(cards):
            out().print(part, soft_wrap=False)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give an observer: bars in a terminal, elsewhere a line on standard error for each thing begun."""
    console = err()
    with titled_bar() as bar:
        if console.is_terminal:
            yield bar
            return
        begun: set[str] = set()

        def observe(title: str, done: int, total: int) -> None:
            if title not in begun:
                begun.add(title)
                console.print(f"making {title}", markup=False, soft_wrap=True)

        yield observe
