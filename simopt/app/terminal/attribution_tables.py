"""The terminal table of an attribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from simopt.analysis.attribution import Attribution, named

_ROUTES = {
    "closed form": "all by formula",
    "downdate": "all by downdates",
    "refit": "each scored anew",
}


def attribution_table(
    attribution: Attribution, title: str, about: Mapping[str, Sequence[Any]], top: int
) -> Table:
    """Return the parts with the largest changes, one row each.

    Parameters
    ----------
    attribution : Attribution
    title : str
    about : mapping of sequence, (m,)
        What is known of each part, or nothing.
    top : int
        How many rows.
    """
    table = Table(title=Text(title), caption=Text(_caption(attribution, top)))
    first_order = attribution.first_order
    for name in ("rank", "part"):
        table.add_column(name, justify="right" if name == "rank" else "left")
    if about:
        table.add_column("what it is", overflow="fold")
    for name in ("share of variance", "change", *(("first order",) if first_order is not None else ())):
        table.add_column(name, justify="right")
    table.add_column("what it does")
    for rank, i in enumerate(attribution.ranking()[:top].tolist(), start=1):
        change = float(attribution.change[i])
        cells = [str(rank), named(attribution.part, i)]
        cells += [", ".join(f"{key} {values[i]}" for key, values in about.items())] if about else []
        cells += [f"{attribution.share[i]:.2%}", "undefined" if math.isnan(change) else f"{change:+.6f}"]
        cells += [f"{first_order[i]:+.6f}"] if first_order is not None else []
        cells.append(_effect(change if attribution.larger_is_closer else -change))
        table.add_row(*map(Text, cells))
    return table


def _effect(away: float) -> str:
    if away < 0:
        return "brings X and Y closer"
    return "keeps X and Y apart" if away > 0 else ""


def _caption(attribution: Attribution, top: int) -> str:
    count = len(attribution.change)
    told = f"{min(top, count)} of {count}; change: the score without it, less the score"
    told += f"; {_ROUTES[attribution.route]}"
    if attribution.route != "refit" and attribution.refitted:
        told += f", but {attribution.refitted} scored anew"
    return told + (f"\n{attribution.reason}" if attribution.reason else "")
