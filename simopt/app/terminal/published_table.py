"""Tables of ``simopt report --published`` for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from simopt.report.published.comparison import COUNTS, GOOD
from simopt.report.tables import rounded

if TYPE_CHECKING:
    from simopt.report.published import Comparison

_NEVER = "never"


def published_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """Return a table a dataset and source: the paper's numbers, those found here, the differences."""
    return [
        _table(f"{dataset} ({source})", list(rows))
        for (dataset, source), rows in groupby(comparisons, key=lambda row: (row.dataset, row.source))
    ]


def _table(name: str, rows: Sequence[Comparison]) -> Table:
    table = Table(
        title=Text(f"{name}: the paper's numbers and these"),
        caption="here: means over replicates, of good scores the median; data: computed from published data, "
        "by eye: read from a figure",
    )
    for heading in ("measure", "what"):
        table.add_column(heading, overflow="fold")
    for heading in ("published", "here", "difference"):
        table.add_column(heading, justify="right")
    for heading in ("from", "note"):
        table.add_column(heading, overflow="fold")
    for measure, of in groupby(rows, key=lambda row: row.measure):
        for row in of:
            cells = (measure, row.what, _published(row), _here(row), _difference(row), row.origin, row.note)
            table.add_row(*(Text(cell if cell.isprintable() else repr(cell)) for cell in cells))
        table.add_section()
    return table


def _published(row: Comparison) -> str:
    value = row.published
    if value is None or math.isnan(value):
        return "" if value is None else _NEVER
    if row.what in COUNTS:
        return f"{value:.0f}"
    short = f"{value:.2f}"
    return short if float(short) == value and row.origin != "data" else f"{value:.3f}"


def _here(row: Comparison) -> str:
    value, single = row.here, len(row.replicates) < 2
    if value is None or math.isnan(value):
        return "" if value is None else _NEVER
    if single or row.what.startswith(GOOD):
        return f"{value:.0f}" if row.what in COUNTS else f"{value:.3f}"
    return rounded(row.replicates).worded(_NEVER)


def _difference(row: Comparison) -> str:
    value = row.difference
    if value is None or math.isnan(value):
        return ""
    if row.published is None:
        return f"{value:.4f}"
    decimals = 3 if row.what not in COUNTS else 0 if value.is_integer() else 1
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text
