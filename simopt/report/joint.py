"""Figures of joint ranges: which scores of two measures were found together, and what is proved of them.

Every part has a color of its own and, for print in grey, a form of its own: the region is filled, proved
bounds are dashed with what they rule out hatched, targets are hollow squares.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simopt.errors import InputError
from simopt.report import style
from simopt.report.style import COLUMN, CYCLE, PAGE, PAPER, legend_handles, plain, save

if TYPE_CHECKING:
    from pathlib import Path

    from simopt.ranges.region import Region
    from simopt.ranges.result import JointRange
    from simopt.ranges.square import Reached
    from simopt.theory.bounds import Range
    from simopt.typing import FloatArray

    Limits = tuple[float, float]

MOST_DOTS = 2000
"""As many of the other pairs reached are drawn."""

_REGION, _TARGETS = CYCLE[:2]
_PROVED, _DOTS, _HATCH, _GUIDE = "#000000", "#444444", "#cccccc", "#444444"
_MARGIN = 0.03
_GUIDES = (0.9,)
_LARGE = 1000.0
_LEAST = -1.0


def draw_joint(result: JointRange, ax: Axes | None = None) -> Axes:
    """Draw all that was found of two measures: the region with its extremes and bounds, targets, other pairs.

    The bar at an extreme is its spread over the starts, towards the inside. Guide lines are at the thresholds
    of a region, and at 0.9 of a square. Of the other pairs at most :data:`MOST_DOTS` are drawn. Scores have
    an axis from 0 to 1, or as far as they go beyond, but not under -1; distances as far as they go, but where
    they are more than 1000 times the largest level of a, or the largest minimum of b, not beyond twice that.
    An axis that is cut says so.
    """
    ax = style.axes(ax)
    region, square, others = result.region, result.square, result.stored
    targets = np.empty((0, 2)) if square is None else np.concatenate([square.targets, square.end])
    if region is not None:
        pairs = np.concatenate([_with_bounds(region, result), targets, others])
        _draw_region(ax, result, region, _limits(region, pairs))
    elif square is not None:
        ax.set(xlim=axis_limits(targets[:, 0], 1), ylim=axis_limits(targets[:, 1], 1))
        ax.set(xlabel=plain(result.names[0]), ylabel=plain(result.names[1]))
        _draw_guides(ax, (_GUIDES, _GUIDES))
    if len(others):
        _draw_others(ax, others)
    if square is not None:
        _draw_targets(ax, square)
    return ax


@mpl.rc_context(PAPER)
def save_joint(result: JointRange, path: Path) -> Path:
    """Draw what was found of two measures into a PNG, PDF or SVG by its suffix, and return the path.

    Area and verdict of a region are in the title.

    Raises
    ------
    InputError
        Another suffix, or the file cannot be written.
    """
    figure = Figure(layout="constrained")
    ax = draw_joint(result, figure.subplots())
    title = f"{result.dataset} ({result.source})"
    if result.region is not None:
        area = result.region.area
        verdict = f", {result.verdict}" if result.verdict else ""
        title += f"\narea {area:{'.3f' if area < _LARGE else '.1e'}}{verdict}"
    figure.suptitle(plain(title))
    handles = legend_handles([ax])
    rows = -(-len(handles) // 2) + title.count("\n")
    figure.set_size_inches(COLUMN, COLUMN + 0.1 + 0.18 * rows)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False)
    return save(figure, path)


@mpl.rc_context(PAPER)
def save_matrix(results: Sequence[JointRange], path: Path) -> Path:
    """Draw the regions of all pairs as a lower triangle of panels into a PNG, PDF or SVG; return the path.

    A column has the scores of one measure, a row those of another; each panel is headed by its verdict. A
    pair without a region leaves its place empty.

    Parameters
    ----------
    results : sequence of JointRange
        Of one dataset. The measures come in the order in which the pairs name them.
    path : Path

    Raises
    ------
    InputError
        Another suffix, a pair out of order, no region, or the file cannot be written.
    """
    names = list(dict.fromkeys(name for result in results for name in result.names))
    drawn = {result.names: (result, result.region) for result in results if result.region is not None}
    pairs = list(itertools.combinations(names, 2))
    strange = [pair for pair in drawn if pair not in pairs]
    if strange or not drawn:
        what = f"a region of {' and '.join(strange[0])}" if strange else "no region"
        raise InputError(f"there is {what} among {', '.join(names)}; give pairs in the order of the names.")
    limits, labels = _common_axes(drawn)
    count = len(names) - 1
    side = min(PAGE, max(COLUMN, 0.6 + 1.5 * count))
    figure = Figure(figsize=(side, side + 0.3), layout="constrained")
    axes = figure.subplots(count, count, squeeze=False)
    for (row, b), (column, a) in itertools.product(enumerate(names[1:]), enumerate(names[:-1])):
        ax = axes[row, column]
        if (a, b) not in drawn:
            ax.remove()
            continue
        result, region = drawn[a, b]
        _draw_region(ax, result, region, (limits[a], limits[b]), scale=0.6)
        ax.tick_params(labelsize=6, length=2)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
            axis.label.set_fontsize(7)
        ax.set_title(result.verdict or "", fontsize=7, pad=3)
        left = not any((other, b) in drawn for other in names[:column])
        bottom = not any((a, other) in drawn for other in names[row + 2 :])
        ax.tick_params(labelleft=left, labelbottom=bottom)
        ax.set(xlabel=labels[a] if bottom else "", ylabel=labels[b] if left else "")
    figure.suptitle(plain(f"{results[0].dataset} ({results[0].source})"))
    handles = legend_handles(figure.axes)
    place: dict[str, Any] = {"loc": "upper right", "bbox_to_anchor": (1, 0.95)}
    if count == 1:
        place = {"loc": "outside lower center"}
    figure.legend(handles.values(), handles, frameon=False, **place)
    return save(figure, path)


def axis_limits(values: FloatArray, sign: int, near: FloatArray | None = None) -> Limits:
    """Return the ends of an axis on which some values stand, with a margin.

    Parameters
    ----------
    values : array, (N,)
        Those that are not finite do not count; one at least is.
    sign : int
        1 for scores: from 0 to 1, or as far as they go beyond, but not under -1. -1 for distances: as far as
        they go, but where they are more than 1000 times the largest of ``near``, not beyond twice that.
    near : array, optional
        Distances that are to be told apart.
    """
    known = values[np.isfinite(values)]
    if sign > 0:
        known = np.concatenate([np.maximum(known, _LEAST), [0.0, 1.0]])
    elif near is not None:
        most = float(near[np.isfinite(near)].max(initial=0.0))
        if 0 < _LARGE * most < known.max():
            known = np.minimum(known, 2 * most)
    low, high = float(known.min()), float(known.max())
    margin = _MARGIN * ((high - low) or 1.0)
    return low - margin, high + margin


def _draw_region(
    ax: Axes, result: JointRange, region: Region, limits: tuple[Limits, Limits], scale: float = 1.0
) -> None:
    """Draw the region, its extremes, bounds and guides; ``scale`` is that of lines and marks."""
    outline = _outline(region)
    labels = [_axis_label(region.names[i], outline[:, i], limits[i]) for i in range(2)]
    ax.set(xlim=limits[0], ylim=limits[1], xlabel=labels[0], ylabel=labels[1])
    ax.fill(*outline.T, facecolor=_REGION, alpha=0.22, linewidth=0, zorder=1.2, label="region found")
    closed = np.concatenate([outline, outline[:1]])
    ax.plot(*closed.T, color=_REGION, linewidth=1.6 * scale, solid_joinstyle="round", zorder=2.2)
    _draw_guides(ax, result.thresholds())
    bounds = result.proved_range()
    if bounds is not None:
        _draw_bounds(ax, *bounds, limits[1], scale)
    sides = np.column_stack([region.b_min, region.b_max])
    at = np.column_stack([region.levels, region.levels])
    inside = sides + np.array([1.0, -1.0]) * region.spread
    known = np.isfinite(sides) & np.isfinite(region.spread)
    ax.vlines(at[known], sides[known], inside[known], color=_REGION, linewidth=1.0 * scale, zorder=2.4)
    defined = np.isfinite(sides)
    marks: dict[str, Any] = {"color": _REGION, "markersize": 4 * scale, "markeredgewidth": 0, "zorder": 2.6}
    ax.plot(at[defined], sides[defined], "D", **marks, label="extremes, spread over starts")


def _draw_bounds(ax: Axes, levels: FloatArray, proved: Range, limits: Limits, scale: float) -> None:
    hatch: dict[str, Any] = {"facecolor": "none", "edgecolor": _HATCH, "hatch": "////", "linewidth": 0}
    label = "ruled out by proof"
    for side, end in ((proved.lower, limits[0]), (proved.upper, limits[1])):
        ax.fill_between(levels, side, end, **hatch, zorder=1.4, label=label)
        ax.plot(levels, side, "--", color=_PROVED, linewidth=1.0 * scale, zorder=2.3)
        label = "_"


def _draw_targets(ax: Axes, square: Reached) -> None:
    for target, end in zip(square.targets, square.end, strict=True):
        ax.plot(*np.array([target, end]).T, color=_TARGETS, linewidth=0.6, alpha=0.7, zorder=3)
    ax.plot(*square.targets.T, "s", color=_TARGETS, mfc="#ffffff", markersize=5, zorder=3.2, label="targets")
    ax.plot(*square.end.T, "o", color=_TARGETS, markersize=3, zorder=3.4, label="where they ended")


def _draw_others(ax: Axes, pairs: FloatArray) -> None:
    shown = pairs[np.isfinite(pairs).all(axis=1)]
    if len(shown) > MOST_DOTS:
        shown = shown[np.random.default_rng(0).choice(len(shown), MOST_DOTS, replace=False)]
    dots: dict[str, Any] = {"color": _DOTS, "markersize": 2.5, "markeredgewidth": 0, "zorder": 1.6}
    ax.plot(*shown.T, ".", **dots, rasterized=True, label="other pairs reached")


def _draw_guides(ax: Axes, guides: tuple[Sequence[float], Sequence[float]]) -> None:
    label = f"guides at {', '.join(f'{value:g}' for value in dict.fromkeys([*guides[0], *guides[1]]))}"
    for line, values in zip((ax.axvline, ax.axhline), guides, strict=True):
        for value in values:
            line(value, color=_GUIDE, linewidth=0.8, linestyle=":", zorder=1.8, label=label)
            label = "_"


def _axis_label(name: str, values: FloatArray, limits: Limits) -> str:
    """Return the name, and how far the values go where the axis is cut."""
    name = plain(name)
    if values.min() < limits[0]:
        return f"{name}\n(down to {values.min():.0e})"
    return f"{name}\n(up to {values.max():.0e})" if values.max() > limits[1] else name


def _limits(region: Region, pairs: FloatArray) -> tuple[Limits, Limits]:
    """Return the limits of both axes, on which some pairs of scores, (N, 2), stand."""
    return (
        axis_limits(pairs[:, 0], region.signs[0], region.levels),
        axis_limits(pairs[:, 1], region.signs[1], region.b_min),
    )


def _common_axes(
    drawn: Mapping[tuple[str, str], tuple[JointRange, Region]],
) -> tuple[dict[str, Limits], dict[str, str]]:
    """Return limits of each measure that hold all its regions, and the label of its axes."""
    limits: dict[str, Limits] = {}
    values: dict[str, list[FloatArray]] = {}
    for pair, (result, region) in drawn.items():
        outline = _outline(region)
        for i, (low, high) in enumerate(_limits(region, _with_bounds(region, result))):
            lowest, highest = limits.get(pair[i], (low, high))
            limits[pair[i]] = min(low, lowest), max(high, highest)
            values.setdefault(pair[i], []).append(outline[:, i])
    return limits, {name: _axis_label(name, np.concatenate(values[name]), limits[name]) for name in limits}


def _with_bounds(region: Region, result: JointRange) -> FloatArray:
    """Return the pairs of scores around a region, and those on its proved bounds, (N, 2)."""
    proved: FloatArray = np.empty((0, 3)) if result.proved is None else result.proved
    return np.concatenate([_outline(region), proved[:, [0, 1]], proved[:, [0, 2]]])


def _outline(region: Region) -> FloatArray:
    outline: FloatArray = np.concatenate([region.lower, region.upper[::-1]])
    return outline
