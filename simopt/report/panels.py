"""Single panels: each draws on the Axes it is given, or new ones, and returns them.

A line is the mean over replicates, a band their range. ``looks`` numbers the curves by label, so that one
measure looks the same in all panels of a figure; without it they are numbered in the order given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from simopt.report import style
from simopt.report.pools import Band, Pool, along, band
from simopt.report.style import look, plain
from simopt.report.tables import mean_reached
from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.optimization.trajectory import Trajectory

SHOWN_PCS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

_BAND, _GUIDE = 0.2, "#444444"
_MARGIN, _STRIP = 0.03, 0.3

Looks = Mapping[str, int]


def draw_score(pools: Sequence[Pool], ax: Axes | None = None, looks: Looks | None = None) -> Axes:
    """Draw score against step, one line a pool.

    Parameters
    ----------
    pools : sequence of Pool
        Of one dataset and source.
    ax : Axes, optional
    looks : mapping of int, optional
    """
    ax = style.axes(ax)
    for index, pool in enumerate(pools):
        steps, scores = pool.over_steps()
        _curve(ax, steps, band(scores), _number(looks, pool, index), plain(pool.label))
    return _labeled(ax, "step", "score", pools[0].dataset)


def draw_decoding(
    pools: Sequence[Pool], variable: str, ax: Axes | None = None, looks: Looks | None = None
) -> Axes:
    """Draw how well a task variable is decoded against score, one line a pool.

    Lines across: the accuracy from the recording, dashed, and chance, dotted. A dot on a curve is its good
    score, the median over replicates, where accuracy has risen by nine tenths from chance to the recording's.

    Parameters
    ----------
    pools : sequence of Pool
        Of one dataset and source; those without the variable are left out.
    variable : str
    ax : Axes, optional
    looks : mapping of int, optional
    """
    ax = style.axes(ax)
    reference = None
    for index, pool in enumerate(pools):
        if variable not in pool.variables:
            continue
        reference = reference or pool.reference(variable)
        number = _number(looks, pool, index)
        levels, accuracy = pool.decoding(variable)
        _curve(ax, levels, band(accuracy), number, plain(pool.label))
        good = pool.good_score(variable)
        if good is not None and np.isfinite(good.score):
            dot = {**look(number), "linestyle": "none"}
            ax.plot(good.score, good.level, **dot, markersize=4, zorder=3, label="_good score")
    if reference is not None:
        for value, line, name in zip(reference, ("--", ":"), ("recording", "chance"), strict=True):
            ax.axhline(value, color=_GUIDE, linewidth=0.7, linestyle=line, zorder=1, label=f"_{name}")
    return _labeled(ax, "score", f"decoding of {variable}", pools[0].dataset)


def draw_pcs(pool: Pool, ax: Axes | None = None) -> Axes:
    """Draw the captured variance of some PCs against score; the lines are labeled by PC."""
    ax = style.axes(ax)
    _captured(ax, *pool.captured(shown_pcs(len(pool.pc_variance))))
    return _labeled(ax, "score", "captured variance", f"{pool.dataset}, {pool.label}")


def draw_trajectory(
    trajectory: Trajectory, ax: Axes | None = None, against: Literal["score", "step"] = "score"
) -> Axes:
    """Draw a run in memory: captured variance of some PCs against score, or score against step."""
    ax = style.axes(ax)
    if against == "step":
        _curve(ax, trajectory.step, band(trajectory.score), 0, "score")
        return _labeled(ax, "step", "score", "")
    shown = shown_pcs(trajectory.captured_variance.shape[2])
    captured = trajectory.captured_variance[..., [pc - 1 for pc in shown]].astype(float)
    curves = [(trajectory.score[:, r], captured[:, r]) for r in range(trajectory.score.shape[1])]
    _captured(ax, *along(curves, trajectory.sign))
    ax.legend()
    return _labeled(ax, "score", "captured variance", "")


def draw_half_capture(pools: Sequence[Pool], ax: Axes | None = None, looks: Looks | None = None) -> Axes:
    """Draw the score at which each PC is half captured against its explained variance ratio, a marker a PC.

    The mean over the replicates that got there, and a bar from the least to the largest. A PC that some
    replicate never half captured has a tick in the strip at the top, which has a row for each pool.

    Parameters
    ----------
    pools : sequence of Pool
        Of one dataset and source.
    ax : Axes, optional
    looks : mapping of int, optional
    """
    ax = style.axes(ax)
    reached = [band(pool.half_capture, axis=0) for pool in pools]
    low, high = _range([each.low for each in reached], [each.high for each in reached])
    top = high + _STRIP * (high - low)
    rows = np.linspace(top, high, 2 * len(pools) + 1)[1::2]
    for index, (pool, spread) in enumerate(zip(pools, reached, strict=True)):
        marks = {**look(_number(looks, pool, index)), "linestyle": "none"}
        half, ratio = pool.half_capture, pool.pc_variance
        mean = mean_reached(half)
        there = np.isfinite(mean)
        if pool.replicates > 1:
            bars = ratio[there], spread.low[there], spread.high[there]
            ax.vlines(*bars, color=marks["color"], linewidth=0.5, label=f"_range {pool.label}")
        ax.plot(ratio[there], mean[there], **marks, markersize=2, markeredgewidth=0, label=plain(pool.label))
        never = ratio[~np.isfinite(half).all(axis=0)]
        dashes = {"markersize": min(4.0, 24 / len(pools)), "markeredgewidth": 0.4, "color": marks["color"]}
        ax.plot(never, np.full(len(never), rows[index]), "|", **dashes, label=f"_never {pool.label}")
    ax.axhline(high, color=_GUIDE, linewidth=0.5, label="_top")
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    _labeled(ax, "explained variance ratio", "score at half capture", pools[0].dataset)
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    ax.set_yticks([*ticks, (high + top) / 2], [*(f"{tick:g}" for tick in ticks), "never"])
    ax.set_ylim(low, top)
    return ax


def shown_pcs(count: int) -> list[int]:
    """Return which of so many PCs are shown, from 1."""
    return [pc for pc in SHOWN_PCS if pc <= count]


def _captured(ax: Axes, levels: FloatArray, captured: FloatArray) -> None:
    """Draw the captured variance, (G, R, k), of the first k of the PCs shown at levels of score, (G,)."""
    spread = band(captured)
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(SHOWN_PCS)))
    for at, (pc, color) in enumerate(zip(SHOWN_PCS[: captured.shape[2]], colors, strict=False)):
        ax.fill_between(levels, spread.low[:, at], spread.high[:, at], color=color, alpha=_BAND, linewidth=0)
        linestyle = look(at)["linestyle"]
        ax.plot(levels, spread.mean[:, at], color=color, linestyle=linestyle, label=f"PC {pc}")
    ax.set_ylim(-0.03, 1.03)


def _curve(ax: Axes, x: FloatArray, values: Band, number: int, label: str) -> None:
    line = {**look(number), "marker": "none"}
    ax.fill_between(x, values.low, values.high, color=line["color"], alpha=_BAND, linewidth=0)
    ax.plot(x, values.mean, **line, label=label)


def _number(looks: Looks | None, pool: Pool, index: int) -> int:
    return index if looks is None else looks[pool.label]


def _labeled(ax: Axes, xlabel: str, ylabel: str, title: str) -> Axes:
    ax.set(xlabel=xlabel, ylabel=plain(ylabel), title=plain(title))
    return ax


def _range(lows: Sequence[FloatArray], highs: Sequence[FloatArray]) -> tuple[float, float]:
    """Return limits that hold all values, and for scores 0 to 1 at least."""
    known = np.concatenate([np.concatenate(lows), np.concatenate(highs), [0.0, 1.0]])
    known = known[np.isfinite(known)]
    margin = _MARGIN * (known.max() - known.min())
    return float(known.min() - margin), float(known.max() + margin)
