"""Tables of the terminal, drawn from what a table holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from simopt.report.document import Table


def as_rich(table: Table) -> RichTable:
    """Return a table as rich draws it: numbers on the right, text folded, no heads where none has a name."""
    drawn = RichTable(
        title=Text(table.caption),
        caption=Text(table.note) if table.note else None,
        show_header=any(table.heads),
    )
    for name, numeric in zip(table.heads, table.numeric, strict=True):
        drawn.add_column(Text(name), overflow="fold", justify="right" if numeric else "left")
    for row in table.rows:
        drawn.add_row(*(Text(text if (text := str(cell)).isprintable() else _escaped(text)) for cell in row))
    return drawn


def _escaped(text: str) -> str:
    """Return text with what a terminal would obey as escapes, but for line breaks."""
    return "\n".join(line if line.isprintable() else repr(line) for line in text.split("\n"))
