"""Figures of joint ranges: the pairs of scores of two measures that were found, and proved bounds on them.

A region and its extremes have the color of the measure on the y axis, because they show the scores of this
measure that occur at each score of the measure on the x axis. Each axis label has the color of its measure.
For print in gray, the elements also differ in form: the region is filled, proved bounds are dashed, pairs
that are ruled out by proof are hatched, and targets are hollow squares.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from simopt.errors import InputError
from simopt.report import style
from simopt.report.pools import named
from simopt.report.style import COLUMN, GUIDE, INK, PAGE, PAPER, Panels, legend_handles, look, plain, save

if TYPE_CHECKING:
    from pathlib import Path

    from simopt.ranges.region import Region
    from simopt.ranges.result import JointRange
    from simopt.ranges.square import Reached
    from simopt.theory.bounds import Range
    from simopt.typing import FloatArray

    Limits = tuple[float, float]

MOST_DOTS = 2000
"""The largest number of other pairs of scores that are drawn; if there are more, a random selection is."""

# An area from here on is written with an exponent, and an axis that would be so many times longer than the
# distances of interest is cut.
_LARGE = 1000.0
# Scores of regression have no lower end; below -1 they only say that the prediction is useless.
_LEAST = -1.0


def draw_joint(result: JointRange, ax: Axes | None = None) -> Axes:
    """Draw the pairs of scores of two measures that were found.

    The figure shows the region with its extremes and proved bounds, the targets, and other pairs that were
    reached (at most :data:`MOST_DOTS`), as far as the joint range has them. The bar at an extreme points into
    the region and shows how much the starts of the search differ. Guide lines are at the thresholds of the
    region, or at 0.9 if there are only targets. :func:`axes_limits` computes the ends of the axes. The label
    of an axis says if it does not show all scores of the region.

    Parameters
    ----------
    result : JointRange
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    """
    ax = style.axes(ax)
    region, square, others = result.region, result.square, result.stored
    limits = axes_limits(result)
    if region is not None:
        _draw_region(ax, result, region, limits)
    else:
        ax.set(xlim=limits[0], ylim=limits[1])
        _name_axes(ax, result.names, [*map(plain, result.names)])
        _draw_guides(ax, ([0.9], [0.9]))
    if len(others):
        _draw_others(ax, others)
    if square is not None:
        _draw_targets(ax, square)
    return ax


@mpl.rc_context(PAPER)
def save_joint(result: JointRange, path: Path) -> Path:
    """Draw the figure of :func:`draw_joint` into a .png, .pdf or .svg file and return the path.

    If there is a region, the title contains its area and its verdict.

    Raises
    ------
    InputError
        The path has another suffix, or the file cannot be written.
    """
    grid = Panels(1, 1, COLUMN - 0.35)
    draw_joint(result, grid.axes[0])
    title = named(result)
    if result.region is not None:
        area = result.region.area
        verdict = f", {result.verdict}" if result.verdict else ""
        title += f"\narea {area:{'.3f' if area < _LARGE else '.1e'}}{verdict}"
    grid.set_title(grid.axes[0], title)
    return save(grid.with_legend(legend_handles(grid.axes)), path)


@mpl.rc_context(PAPER)
def save_matrix(results: Sequence[JointRange], path: Path) -> Path:
    """Draw the regions of all pairs of measures into a .png, .pdf or .svg file and return the path.

    The panels form a lower triangle: the panels of a column have the same measure on the x axis, those of a
    row the same measure on the y axis. The title of a panel is the verdict of its region. The panel of a pair
    without a region is empty.

    Parameters
    ----------
    results : sequence of JointRange
        Joint ranges of one dataset. Columns and rows are in the order in which the measures first occur in
        them. The two measures of every pair must be in this order as well.
    path : Path

    Raises
    ------
    InputError
        The path has another suffix, the measures of a pair are in the wrong order, no pair has a region, or
        the file cannot be written.
    """
    names = list(dict.fromkeys(name for result in results for name in result.names))
    drawn = {result.names: (result, result.region) for result in results if result.region is not None}
    pairs = list(itertools.combinations(names, 2))
    out_of_order = [pair for pair in drawn if pair not in pairs]
    if out_of_order or not drawn:
        what = f"{' and '.join(out_of_order[0])} are out of order" if out_of_order else "no pair has a region"
        raise InputError(f"{what}; give regions whose pairs follow the order {', '.join(names)}.")
    limits, labels = _common_axes(drawn)
    count = len(names) - 1
    grid = Panels(count * count, count, PAGE / max(count, 3) - 0.45)
    for ax, (b, a) in zip(grid.axes, itertools.product(names[1:], names[:-1]), strict=True):
        if (a, b) not in drawn:
            ax.set_visible(False)
            continue
        result, region = drawn[a, b]
        _draw_region(ax, result, region, (limits[a], limits[b]), scale=0.6)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        ax.set_title(result.verdict or "")
        _name_axes(ax, (a, b), (labels[a], labels[b]))
    grid.leave_outer_labels(same_x=True, same_y=True)
    grid.figure.suptitle(plain(named(results[0])))
    return save(grid.with_legend(legend_handles(grid.axes)), path)


def axes_limits(result: JointRange) -> tuple[Limits, Limits]:
    """Return the lower and upper ends of both axes, with a margin.

    The axes contain the region, its proved bounds, targets and all other pairs of scores, with two
    exceptions. If larger scores are closer, an axis contains 0 to 1 and does not go below -1. If smaller
    scores are closer (distances), an axis that would exceed 1000 times the largest level (x axis) or minimum
    (y axis) of the region ends at twice that level or minimum.
    """
    pairs = [result.stored]
    if result.square is not None:
        pairs += [result.square.targets, result.square.end]
    if result.proved is not None:
        pairs += [result.proved[:, [0, 1]], result.proved[:, [0, 2]]]
    signs: Sequence[int] = (1, 1)
    near: Sequence[FloatArray] = (np.empty(0), np.empty(0))
    if result.region is not None:
        signs, near = result.region.signs, (result.region.levels, result.region.b_min)
        pairs.append(outline(result.region))
    a, b = np.concatenate(pairs).T
    return _limits(a, signs[0], near[0]), _limits(b, signs[1], near[1])


def _limits(values: FloatArray, sign: int, near: FloatArray) -> Limits:
    shown = values[np.isfinite(values)]
    if sign > 0:
        shown = np.concatenate([np.maximum(shown, _LEAST), [0.0, 1.0]])
    else:
        most = float(near[np.isfinite(near)].max(initial=0.0))
        if 0 < _LARGE * most < shown.max():
            shown = np.minimum(shown, 2 * most)
    return style.limits(shown)


def _draw_region(
    ax: Axes, result: JointRange, region: Region, limits: tuple[Limits, Limits], scale: float = 1.0
) -> None:
    """Draw a region with extremes, bounds and guides; ``scale`` multiplies the sizes of lines and markers."""
    corners, color = outline(region), look(region.names[1])["color"]
    labels = [_axis_label(region.names[i], corners[:, i], limits[i]) for i in range(2)]
    ax.set(xlim=limits[0], ylim=limits[1])
    _name_axes(ax, region.names, labels)
    ax.fill(*corners[:-1].T, facecolor=color, alpha=0.22, linewidth=0, zorder=1.2, label="region found")
    ax.plot(*corners.T, color=color, linewidth=1.6 * scale, solid_joinstyle="round", zorder=2.2)
    _draw_guides(ax, result.thresholds())
    bounds = result.proved_range()
    if bounds is not None:
        _draw_bounds(ax, *bounds, limits[1], scale)
    ends = np.column_stack([region.b_min, region.b_max])  # (levels, 2)
    at = np.column_stack([region.levels, region.levels])
    # Other starts ended above the least value and below the largest, by at most the spread.
    inside = ends + np.array([1.0, -1.0]) * region.spread
    spread = np.isfinite(ends) & np.isfinite(region.spread)
    ax.vlines(at[spread], ends[spread], inside[spread], color=color, linewidth=1.0 * scale, zorder=2.4)
    defined = np.isfinite(ends)
    marks: dict[str, Any] = {"color": color, "markersize": 4 * scale, "markeredgewidth": 0, "zorder": 2.6}
    ax.plot(at[defined], ends[defined], "D", **marks, label="extremes, spread over starts")


def _draw_bounds(ax: Axes, levels: FloatArray, proved: Range, limits: Limits, scale: float) -> None:
    hatch: dict[str, Any] = {"facecolor": "none", "edgecolor": "#cccccc", "hatch": "////", "linewidth": 0}
    label = "ruled out by proof"
    for side, end in ((proved.lower, limits[0]), (proved.upper, limits[1])):
        ax.fill_between(levels, side, end, **hatch, zorder=1.4, label=label)
        ax.plot(levels, side, "--", color=INK, linewidth=1.0 * scale, zorder=2.3)
        label = "_"  # only the first of both sides is in the legend


def _draw_targets(ax: Axes, square: Reached) -> None:
    for target, end in zip(square.targets, square.end, strict=True):
        ax.plot(*np.array([target, end]).T, color=INK, linewidth=0.6, alpha=0.7, zorder=3)
    ax.plot(*square.targets.T, "s", color=INK, mfc="#ffffff", markersize=5, zorder=3.2, label="targets")
    ax.plot(*square.end.T, "o", color=INK, markersize=3, zorder=3.4, label="where they ended")


def _draw_others(ax: Axes, pairs: FloatArray) -> None:
    shown = pairs[np.isfinite(pairs).all(axis=1)]
    if len(shown) > MOST_DOTS:
        shown = shown[np.random.default_rng(0).choice(len(shown), MOST_DOTS, replace=False)]
    dots: dict[str, Any] = {"color": GUIDE, "markersize": 2.5, "markeredgewidth": 0, "zorder": 1.6}
    ax.plot(*shown.T, ".", **dots, rasterized=True, label="other pairs reached")


def _draw_guides(ax: Axes, guides: tuple[Sequence[float], Sequence[float]]) -> None:
    label = f"guides at {', '.join(f'{value:g}' for value in dict.fromkeys([*guides[0], *guides[1]]))}"
    for line, values in zip((ax.axvline, ax.axhline), guides, strict=True):
        for value in values:
            line(value, color=GUIDE, linewidth=0.8, linestyle=":", zorder=1.8, label=label)
            label = "_"


def _name_axes(ax: Axes, names: Sequence[str], labels: Sequence[str]) -> None:
    """Label the axes, each in the color of its measure."""
    ax.set_xlabel(labels[0], color=look(names[0])["color"])
    ax.set_ylabel(labels[1], color=look(names[1])["color"])


def _axis_label(name: str, values: FloatArray, limits: Limits) -> str:
    """Return the label of an axis: the name and, if the axis is cut, how far the values go beyond it."""
    name = plain(name)
    if values.min() < limits[0]:
        return f"{name}\n(down to {values.min():.0e})"
    return f"{name}\n(up to {values.max():.0e})" if values.max() > limits[1] else name


def _common_axes(
    drawn: Mapping[tuple[str, str], tuple[JointRange, Region]],
) -> tuple[dict[str, Limits], dict[str, str]]:
    """Return for each measure axis limits that contain all its regions, and the label of its axes."""
    limits: dict[str, Limits] = {}
    values: dict[str, list[FloatArray]] = {}
    for pair, (result, region) in drawn.items():
        for name, (low, high), of_region in zip(pair, axes_limits(result), outline(region).T, strict=True):
            lowest, highest = limits.get(name, (low, high))
            limits[name] = min(low, lowest), max(high, highest)
            values.setdefault(name, []).append(of_region)
    return limits, {name: _axis_label(name, np.concatenate(values[name]), limits[name]) for name in limits}


def outline(region: Region) -> FloatArray:
    """Return the corners of a region as an array (N, 2), which ends with the first corner again."""
    corners: FloatArray = np.concatenate([region.lower, region.upper[::-1], region.lower[:1]])
    return corners
