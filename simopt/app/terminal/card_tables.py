"""Cards of measures for the terminal: tables with a column, or a pair of them, for each card."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from simopt.analysis.invariances import DRAWS, SIDES
from simopt.app.terminal.sensitivity_tables import sensitivity_tables
from simopt.report.card import (
    SHOWN_PCS,
    Card,
    cost_setting,
    costs,
    disagreements,
    efforts,
    heading,
    kinds,
    partners,
    remarks,
    sensitivities,
    tried,
    tried_worded,
    variables,
)


def card_tables(cards: Sequence[Card]) -> list[RenderableType]:
    """Return all that cards say, side by side; what is missing comes last, with its reason."""
    parts: list[RenderableType] = [_about(cards), _invariances(cards)]
    parts += [table for result in sensitivities(cards) for table in sensitivity_tables(result)]
    if any(card.summary is not None for card in cards):
        parts.append(_halves(cards))
    if variables(cards):
        parts.append(_decoding(cards))
    if partners(cards):
        parts.append(_joints(cards))
    parts.append(_cost(cards))
    parts += [Text(line, style="yellow") for line in disagreements(cards)]
    parts += [Text(line, style="dim") for line in remarks(cards)]
    return parts


def _about(cards: Sequence[Card]) -> Table:
    table = _table(heading(cards), cards, "")
    told = [dict(card.about()) for card in cards]
    for key in told[0]:
        table.add_row(key, *(Text(each[key]) for each in told))
    return table


def _invariances(cards: Sequence[Card]) -> Table:
    caption = f"largest change of the score over {DRAWS} random draws of data and transformation"
    table = Table(title="What leaves the score as it is", caption=caption)
    table.add_column("transformation of the units")
    for card in cards:
        for side in SIDES:
            table.add_column(Text(f"{card.measure}, of {side}"), overflow="fold")
    for kind in kinds(cards):
        cells = [tried_worded(tried(card, kind, side)) for card in cards for side in SIDES]
        table.add_row(kind.replace("_", " "), *map(Text, cells))
    return table


def _halves(cards: Sequence[Card]) -> Table:
    table = _table("Score at half capture of a PC", cards, "PC", right=True)
    ratio = next(card.run.pc_variance for card in cards if card.run is not None)
    for pc in (pc for pc in SHOWN_PCS if pc <= len(ratio)):
        halves = [card.halves(pc) for card in cards]
        cells = ["-" if half is None else half.worded("never") for half in halves]
        table.add_row(f"{pc} ({ratio[pc - 1]:.1%})", *cells)
    ends = [card.final() for card in cards]
    table.add_row("last score", *("-" if end is None else end.worded() for end in ends))
    shares = [math.nan if card.summary is None else card.summary.never_captured for card in cards]
    table.add_row("PCs never half captured", *("-" if math.isnan(each) else f"{each:.0%}" for each in shares))
    return table


def _decoding(cards: Sequence[Card]) -> Table:
    table = _table(
        "Good scores",
        cards,
        "label",
        caption="where accuracy has risen from chance by nine tenths of the recording's rise",
    )
    for variable in variables(cards):
        table.add_row(Text(variable), *(card.good_score(variable) for card in cards))
    return table


def _joints(cards: Sequence[Card]) -> Table:
    effort = efforts(cards)
    table = _table("Joint ranges", cards, "with", caption=f"what was found, by {effort}" if effort else "")
    for partner in partners(cards):
        table.add_row(Text(partner), *(Text(card.joint_sentence(partner)) for card in cards))
    return table


def _cost(cards: Sequence[Card]) -> Table:
    table = _table("Cost", cards, "", caption=cost_setting(cards))
    for name, cells in costs(cards):
        table.add_row(name, *map(Text, cells))
    return table


def _table(title: str, cards: Sequence[Card], first: str, *, caption: str = "", right: bool = False) -> Table:
    table = Table(title=Text(title), caption=Text(caption) if caption else None)
    table.add_column(first, no_wrap=True)
    for card in cards:
        table.add_column(Text(card.measure), overflow="fold", justify="right" if right else "left")
    return table
