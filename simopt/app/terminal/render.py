"""Tables drawn with rich: as wide as the terminal allows, without breaking a name or a number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from simopt.report.document import Table

_READABLE = 20
"""Smallest width of a column of text, in characters; narrower columns have one word a line."""
_PIECES = re.compile(r" / |\n")
"""Where the cell of a number may be split into lines: between theory and experiment."""

_STYLES = {"failed": "red", "running": "cyan", "interrupted": "yellow", "waiting": "dim"}
"""The styles of cells with the status of a run."""


def as_rich(table: Table, width: int = 200, *, whole: bool = True) -> Group:
    """Return a rich table with its title, its note, and a line that names the columns that were left out.

    Parameters
    ----------
    table : Table
    width : int
        The width of the terminal, in characters.
    whole : bool
        Whether all columns are drawn, even if they do not fit. If false, columns are left out until the rest
        fits, in the order of ``Table.optional``.
    """
    title, note, *heads = map(_printable, [table.caption, table.note, *table.heads])
    rows = [[_printable(cell) for cell in row] for row in table.rows]
    measured = [_measured(head, [row[k] for row in rows], table.numeric[k]) for k, head in enumerate(heads)]
    least, widths = [narrow for narrow, _ in measured], [full for _, full in measured]
    # Without heads a table is a list of facts: none is less important, and a long word is broken instead.
    facts = not any(heads)
    kept = list(range(len(heads))) if whole or facts else _fitting(table, least, width)
    while sum(widths[k] for k in kept) > _inside(width, kept):  # the widest column wraps first
        wider = [k for k in kept if widths[k] > (1 if facts else least[k])]
        if not wider:
            break
        widths[max(wider, key=widths.__getitem__)] -= 1
    frame = width - _inside(width, kept)
    drawn = RichTable(show_header=not facts, width=frame + sum(widths[k] for k in kept))
    for k in kept:
        drawn.add_column(
            Text(heads[k]),
            width=widths[k],
            overflow="fold",
            justify="right" if table.numeric[k] else "left",
        )
    for row in rows:
        cells = [row[k] if cell_len(row[k]) <= widths[k] else row[k].replace(" / ", " /\n") for k in kept]
        drawn.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in cells))
    left_out = [head for k, head in enumerate(heads) if k not in kept]
    lines = [Text(note, "table.caption")] if note else []
    if left_out:
        count = "1 column" if len(left_out) == 1 else f"{len(left_out)} columns"
        lines.append(Text(f"{count} left out: {'; '.join(left_out)} (--wide shows all)"))
    return Group(Text(title, "table.title"), drawn, *lines)


def _measured(head: str, cells: Sequence[str], numeric: bool) -> tuple[int, int]:
    """Return the least width of a column, which breaks no word and no number, and its full width."""
    full = max(map(cell_len, [head, *(line for cell in cells for line in cell.split("\n"))]))
    pieces = [piece for cell in cells for piece in (_PIECES.split(cell) if numeric else cell.split())]
    readable = 0 if numeric else min(full, _READABLE)
    return max(readable, *map(cell_len, [*head.split(), *pieces, " "])), full


def _inside(width: int, columns: Sequence[int]) -> int:
    """Return the width left for cells: a column costs two spaces and a line, and a last line is drawn."""
    return width - 3 * len(columns) - 1


def _fitting(table: Table, least: Sequence[int], width: int) -> list[int]:
    """Return the columns, from 0, that fit into a width in their least widths."""
    kept = list(range(len(table.heads)))
    optional = [list(table.heads).index(head) for head in table.optional]
    for k in dict.fromkeys([*optional, *kept[:0:-1]]):
        if sum(least[j] for j in kept) <= _inside(width, kept):
            break
        kept.remove(k)
    return kept


def _printable(text: str) -> str:
    """Return text with the characters that a terminal would obey as escapes, but for line breaks."""
    if text.isprintable():
        return str(text)
    return "\n".join(line if line.isprintable() else repr(line) for line in text.split("\n"))
