"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from simopt.report.tables import PCS, Summary


def runs_table(summaries: Sequence[Summary]) -> Table:
    """Return the table of runs: one row each, means over replicates."""
    table = Table(title="Stored runs", caption="half capture: the score at which a PC is half captured")
    for name in ("dataset", "measure", "run", "status"):
        table.add_column(name, overflow="fold")
    for name in ("replicates", "steps", "final score", *(f"half PC {pc}" for pc in PCS), "never captured"):
        table.add_column(name, justify="right")
    for summary in summaries:
        table.add_row(*(Text(cell) for cell in summary.cells()))
    return table


def measures_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of measures, one row each, by family."""
    table = Table(title="Measures", caption="`simopt measures NAME` shows formula, source and aliases")
    for name in ("family", "measure", "range", "best", "ignores in Y", "optimisable", "aliases"):
        table.add_column(name, overflow="fold", justify="right" if name == "aliases" else "left")
    for card in sorted(cards, key=lambda card: (card["family"], card["name"])):
        low, high = card["range"]
        row = (
            card["family"],
            card["name"],
            f"{low:.3g} to {high:.3g}",
            "largest" if card["larger_is_closer"] else "smallest",
            ", ".join(card["invariant_y"]) or "nothing",
            "yes" if card["differentiable"] else "no",
            str(len(card["aliases"])),
        )
        table.add_row(*map(Text, row))
    return table


def measure_card(card: Mapping[str, Any]) -> Table:
    """Return one measure, a fact in each row."""
    table = Table(title=card["name"], show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in card.items():
        table.add_row(key.replace("_", " "), Text(_worded(value)))
    return table


def scores_table(scores: Mapping[str, float], skipped: Mapping[str, str]) -> Table:
    """Return scores, and the reason for each that was not computed."""
    table = Table(title="Scores of Y against X")
    table.add_column("measure")
    table.add_column("score", justify="right")
    table.add_column("not computed because", overflow="fold")
    for name, value in scores.items():
        table.add_row(Text(name), f"{value:.6f}", "")
    for name, reason in skipped.items():
        table.add_row(Text(name), "", Text(reason))
    return table


def _worded(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_worded(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
