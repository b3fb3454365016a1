"""The tables of ``simopt report``: runs, good scores, analyses, a comparison with published numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from simopt.report.document import Number, Table

if TYPE_CHECKING:
    from simopt.report import Collected
    from simopt.report.published import Comparison

_NEVER = "never"


def report_tables(collected: Collected, compared: Sequence[Comparison] | None = None) -> Iterator[Table]:
    """Yield the tables of stored results: runs, good scores, analyses, and the published numbers."""
    from simopt.report.tables import good_scores_table, runs_table

    if collected.summaries:
        yield runs_table(collected.summaries)
    if any(summary.good_scores for summary in collected.summaries):
        yield good_scores_table(collected.summaries)
    if collected.sensitivities or collected.joints:
        from simopt.app.terminal import analysis_tables  # loads torch, which runs alone do not need

        yield from analysis_tables.of_report(collected)
    for (dataset, source), rows in groupby(compared or (), key=lambda row: (row.dataset, row.source)):
        yield _published_table(f"{dataset} ({source})", list(rows))


def _published_table(name: str, rows: Sequence[Comparison]) -> Table:
    note = (
        "here: mean over replicates, but the median for good scores. from: data means that the number was "
        "computed from the published data, by eye that it was read from a figure"
    )
    heads = ("measure", "what", "published", "here", "difference", "from", "note")
    cells: list[list[str]] = []
    for row in rows:
        numbers = map(Number, (_published(row), _here(row), _difference(row)))
        cells.append([row.measure, row.what, *numbers, row.origin, row.note])
    return Table(
        "published", f"{name}: published numbers", note, heads, cells, ("note", "from", "difference")
    )


def _published(row: Comparison) -> str:
    value = row.published
    if value is None or math.isnan(value):
        return "" if value is None else _NEVER
    if _is_count(row):
        return f"{value:.0f}"
    short = f"{value:.2f}"
    return short if float(short) == value and row.origin != "data" else f"{value:.3f}"


def _here(row: Comparison) -> str:
    from simopt.report.published.comparison import GOOD
    from simopt.report.tables import rounded

    value, single = row.here, len(row.replicates) < 2
    if value is None or math.isnan(value):
        return "" if value is None else _NEVER
    if single or row.what.startswith(GOOD):
        return f"{value:.0f}" if _is_count(row) else f"{value:.3f}"
    return rounded(row.replicates).worded(_NEVER)


def _difference(row: Comparison) -> str:
    value = row.difference
    if value is None or math.isnan(value):
        return ""
    if row.published is None:
        return f"{value:.4f}"
    decimals = 3 if not _is_count(row) else 0 if value.is_integer() else 1
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text


def _is_count(row: Comparison) -> bool:
    from simopt.report.published.comparison import COUNTS

    return row.what in COUNTS
