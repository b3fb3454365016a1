"""Tables of ``simopt joint`` for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.ranges.boundary import Extremes
    from simopt.ranges.region import Region
    from simopt.ranges.result import JointRange
    from simopt.ranges.square import Reached


def joint_tables(result: JointRange, spectrum: FloatArray | None) -> list[Table]:
    """Return what was found of one pair: the boundary, the targets, or the range of a third measure."""
    title = f"{result.dataset} ({result.source}): {' and '.join(result.names)}"
    if result.region is not None:
        return [_boundary(result, result.region, spectrum, title)]
    if result.square is not None:
        return [_square(result.square, result.names, title)]
    return [_third(result, result.third_range, title)] if result.third_range is not None else []


def verdicts_table(results: Sequence[JointRange]) -> Table:
    """Return one row a pair: area, verdict, and what the first thresholds imply."""
    table = Table(title="Joint ranges")
    for name in ("measures", "area", "verdict", "implied"):
        table.add_column(name, justify="right" if name == "area" else "left", overflow="fold")
    for result in results:
        area = "-" if result.region is None else f"{result.region.area:.3f}"
        table.add_row(Text(" and ".join(result.names)), area, result.verdict or "-", Text(result.sentence()))
    return table


def _boundary(result: JointRange, region: Region, spectrum: FloatArray | None, title: str) -> Table:
    a, b = region.names
    table = Table(
        title=Text(title),
        caption="spread: over starts; distance: from the level;\n"
        "captured: share of X's variance in PCs of which that Y holds half or more",
    )
    labels = [] if result.extremes is None else list(result.extremes.decoding)
    table.add_column(Text(a), justify="right")
    for end in ("least", "largest"):
        table.add_column(Text(f"{end} {b}"), justify="right")
        for name in ("spread", "distance", "captured", *labels):
            table.add_column(Text(name), justify="right")
    inspected = result.extremes
    share = None if inspected is None or spectrum is None else inspected.half_captured(spectrum)
    for at, level in enumerate(region.levels):
        cells = [f"{level:g}"]
        for side, values in enumerate((region.b_min, region.b_max)):
            cells += [
                _cell(values[at]),
                _cell(region.spread[at, side]),
                f"{region.feasibility[at, side]:.0e}",
            ]
            cells.append("-" if share is None else _cell(share[at, side], "{:.0%}"))
            cells += (
                [] if inspected is None else [_cell(inspected.decoding[each][at, side]) for each in labels]
            )
        table.add_row(*cells)
    return table


def _square(reached: Reached, names: tuple[str, str], title: str) -> Table:
    table = Table(
        title=Text(f"{title}, targets"), caption="closest: the pair of scores nearest to the target"
    )
    for name in ("target", "closest", "end", "state", "steps"):
        table.add_column(name, justify="right")
    rows = zip(reached.targets, reached.closest, reached.end, reached.settled, reached.steps, strict=True)
    for target, closest, end, settled, steps in rows:
        table.add_row(_pair(target), _pair(closest), _pair(end), settled.name.lower(), str(int(steps)))
    return table


def _third(result: JointRange, found: Extremes, title: str) -> Table:
    table = Table(title=Text(f"{title} held: the range of {result.third}"))
    for name in (*result.names, f"least {result.third}", f"largest {result.third}", "distance"):
        table.add_column(Text(name), justify="right")
    for levels, value, feasibility in zip(found.levels, found.value, found.feasibility, strict=True):
        held = [f"{level:g}" for level in levels]
        table.add_row(*held, _cell(value[0]), _cell(value[1]), f"{np.nanmax(feasibility):.0e}")
    return table


def _pair(scores: FloatArray) -> str:
    return f"{scores[0]:.3f}, {scores[1]:.3f}"


def _cell(value: float, style: str = "{:.4f}") -> str:
    return "-" if np.isnan(value) else style.format(value)
