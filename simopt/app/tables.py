"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

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
