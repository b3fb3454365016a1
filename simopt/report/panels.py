"""Functions that draw one panel, on the given Axes or on those of a new figure, and return the Axes.

Lines are means over replicates. Bands are the range over replicates, from the least value to the largest.
A pool is a group of runs that differ only in their seeds (:class:`simopt.report.pools.Pool`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from simopt.analysis.defects import noise_level
from simopt.report import style
from simopt.report.pools import Band, Pool, along, band
from simopt.report.style import GUIDE, STYLES, look, plain
from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.optimization.trajectory import Trajectory

SHOWN_PCS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

NOISE_LABEL = "noise: units / (samples - 1)"

# The strip for PCs that were never captured, as a share of the range of scores.
_STRIP = 0.3


def draw_score(pools: Sequence[Pool], ax: Axes | None = None) -> Axes:
    """Draw score against step, with one line for each pool.

    Parameters
    ----------
    pools : sequence of Pool
        Pools of one dataset and source.
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    """
    ax = style.axes(ax)
    for pool in pools:
        steps, scores = pool.over_steps()
        _curve(ax, steps, band(scores), look(pool.measure, pool.variant), plain(pool.label))
    return _labeled(ax, "step", "score", pools[0].dataset)


def draw_decoding(pools: Sequence[Pool], variable: str, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of decoding a task variable from Y against score, with one line for each pool.

    Horizontal lines are the accuracy of decoding from the recording (dashed) and the chance level (dotted).
    The marker on a curve is at its good score: the score, median over replicates, at which (accuracy -
    chance) / (accuracy of the recording - chance) first reaches 90 %.

    Parameters
    ----------
    pools : sequence of Pool
        Pools of one dataset and source. Pools in which the variable was not decoded are left out.
    variable : str
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    """
    ax = style.axes(ax)
    reference = None
    for pool in pools:
        if variable not in pool.variables:
            continue
        reference = reference or pool.reference(variable)
        drawn = look(pool.measure, pool.variant)
        levels, accuracy = pool.decoding(variable)
        _curve(ax, levels, band(accuracy), drawn, plain(pool.label))
        good = pool.good_score(variable)
        if good is not None and np.isfinite(good.score):
            dot = {**drawn, "linestyle": "none"}
            ax.plot(good.score, good.level, **dot, markersize=4, zorder=3, label="_good score")
    if reference is not None:
        for value, line, name in zip(reference, ("--", ":"), ("recording", "chance"), strict=True):
            ax.axhline(value, color=GUIDE, linewidth=0.7, linestyle=line, zorder=1, label=f"_{name}")
    return _labeled(ax, "score", f"decoding of {variable}", pools[0].dataset)


def draw_pcs(pool: Pool, ax: Axes | None = None) -> Axes:
    """Draw the captured variance of some PCs against score, with one line for each PC and one for noise."""
    ax = style.axes(ax)
    _captured(ax, *pool.captured(shown_pcs(len(pool.pc_variance))), pool.noise_floor)
    return _labeled(ax, "score", "captured variance", f"{pool.dataset}, {pool.label}")


def draw_trajectory(trajectory: Trajectory, ax: Axes | None = None) -> Axes:
    """Draw the captured variance of some PCs against score for a run in memory, with a line for noise."""
    ax = style.axes(ax)
    shown = shown_pcs(trajectory.captured_variance.shape[2])
    captured = trajectory.captured_variance[..., [pc - 1 for pc in shown]].astype(float)
    curves = [(trajectory.score[:, r], captured[:, r]) for r in range(trajectory.score.shape[1])]
    Y = trajectory.Y
    floor = trajectory.captured_variance[0].mean() if Y is None else noise_level(*Y.shape[1:])
    _captured(ax, *along(curves, trajectory.sign), float(floor))
    ax.legend()
    return _labeled(ax, "score", "captured variance", "")


def draw_half_capture(pools: Sequence[Pool], ax: Axes | None = None) -> Axes:
    """Draw the score at which each PC is half captured against the explained variance ratio of the PC.

    A marker is the mean over the replicates that half captured the PC, a bar is their range. The strip at the
    top has a row for each pool, with a tick for each PC that some replicate never half captured. A PC has no
    marker if noise half captures it as well. :mod:`simopt.report.pools` defines half captures, and the
    criterion for noise.

    Parameters
    ----------
    pools : sequence of Pool
        Pools of one dataset and source.
    ax : Axes, optional
        The axes to draw on. By default, those of a new figure.
    """
    ax = style.axes(ax)
    ranges = [pool.half_capture_range for pool in pools]
    values = np.concatenate([[0.0, 1.0], *(spread.low for spread in ranges), *(s.high for s in ranges)])
    low, high = style.limits(values[np.isfinite(values)])
    top = high + _STRIP * (high - low)
    rows = np.linspace(top, high, 2 * len(pools) + 1)[1::2]  # the middle of the row of each pool
    for pool, spread, row in zip(pools, ranges, rows, strict=True):
        marks = {**look(pool.measure, pool.variant), "linestyle": "none"}
        ratio, mean = pool.pc_variance, spread.mean
        # The axis shows all PCs, also those without a mark: without any mark it would have no limits.
        ax.update_datalim(np.column_stack([ratio, np.full_like(ratio, high)]), updatey=False)
        reached = np.isfinite(mean)
        if pool.replicates > 1:
            bars = ratio[reached], spread.low[reached], spread.high[reached]
            ax.vlines(*bars, color=marks["color"], linewidth=0.5, label=f"_range {pool.label}")
        label = plain(pool.label)
        ax.plot(ratio[reached], mean[reached], **marks, markersize=2, markeredgewidth=0, label=label)
        never = ratio[~np.isfinite(pool.half_capture).all(axis=0)]
        dashes = {"markersize": min(4.0, 24 / len(pools)), "markeredgewidth": 0.4, "color": marks["color"]}
        ax.plot(never, np.full(len(never), row), "|", **dashes, label=f"_never {pool.label}")
    ax.axhline(high, color=GUIDE, linewidth=0.5, label="_top")
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    _labeled(ax, "explained variance ratio", "score at half capture", pools[0].dataset)
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    # The strip has one tick, in its middle.
    ax.set_yticks([*ticks, (high + top) / 2], [*(f"{tick:g}" for tick in ticks), "never"])
    ax.set_ylim(low, top)
    return ax


def shown_pcs(count: int) -> list[int]:
    """Return the PCs, numbered from 1, that figures show of a recording with ``count`` PCs."""
    return [pc for pc in SHOWN_PCS if pc <= count]


def _captured(ax: Axes, levels: FloatArray, captured: FloatArray, noise_floor: float) -> None:
    """Draw captured variance, (G, R, k), of the first k of SHOWN_PCS against levels of score, (G,)."""
    spread = band(captured)
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(SHOWN_PCS)))
    for at, (pc, color) in enumerate(zip(SHOWN_PCS[: captured.shape[2]], colors, strict=False)):
        drawn = {"color": color, "linestyle": STYLES[at % len(STYLES)]}
        one = Band(spread.mean[:, at], spread.low[:, at], spread.high[:, at])
        _curve(ax, levels, one, drawn, f"PC {pc}")
    ax.axhline(noise_floor, color=GUIDE, linewidth=0.7, linestyle=":", zorder=1, label=NOISE_LABEL)
    ax.set_ylim(-0.03, 1.03)


def _curve(ax: Axes, x: FloatArray, values: Band, drawn: Mapping[str, Any], label: str) -> None:
    ax.fill_between(x, values.low, values.high, color=drawn["color"], alpha=0.2, linewidth=0)
    ax.plot(x, values.mean, **{**drawn, "marker": "none"}, label=label)


def _labeled(ax: Axes, xlabel: str, ylabel: str, title: str) -> Axes:
    ax.set(xlabel=xlabel, ylabel=plain(ylabel), title=plain(title))
    return ax
