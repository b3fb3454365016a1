"""The plots of analyses: sensitivity to single PCs, and joint ranges of two measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from simopt.report.joint import axes_limits, outline
from simopt.report.page.plots import MOST_POINTS, THEME, Plot, error_bars, pages, thin, trace_look
from simopt.report.pools import named
from simopt.report.sensitivity import Panel, panels
from simopt.report.style import INK

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.region import Region
    from simopt.ranges.result import JointRange
    from simopt.ranges.square import Reached
    from simopt.theory.sensitivity import Sensitivity

_MOST_MEASURES = 10
"""The largest number of measures in a plot; further measures are in another plot."""


def sensitivity_plots(result: Sensitivities) -> Iterator[Plot]:
    """Yield a plot for each strength of a perturbation: theory as lines, experiments as markers.

    If noise is added to all of Y, one plot has all strengths.
    """
    for curves, part in pages(result.curves, _MOST_MEASURES, "measures "):
        some = replace(
            result, curves=curves, skipped=result.skipped if curves[:1] == result.curves[:1] else {}
        )
        for panel in panels(result):
            what, log_x = (f"{panel.what} of one PC", panel.at) if panel.log else (panel.what, None)
            plot = Plot(f"{named(result)}: {what}{part}", panel.xlabel, "score", log_x)
            _add_curves(plot, some, panel)
            yield plot


def joint_plot(result: JointRange) -> Plot:
    """Return a plot of the pairs of scores of two measures: the region, proved bounds and targets."""
    names = " and ".join(result.names)
    plot = Plot(f"{named(result)}, {names}: scores found together", *result.names)
    if result.region is not None:
        _add_region(plot, result, result.region)
    if result.square is not None:
        _add_targets(plot, result.square)
    x_range, y_range = axes_limits(result)
    plot.figure.update_xaxes(range=x_range)
    plot.figure.update_yaxes(range=y_range)
    guide = {"color": THEME["quiet"], "width": 1, "dash": "dot"}
    for line, levels in zip((plot.figure.add_vline, plot.figure.add_hline), result.thresholds(), strict=True):
        for level in levels:
            line(level, line=guide)
    plot.sentence = _joint_sentence(result)
    return plot


def _add_curves(plot: Plot, result: Sensitivities, panel: Panel) -> None:
    """Add the curves of all measures to a plot."""
    sentences = []
    order = np.argsort(panel.at, kind="stable")
    for curve in result.curves:
        color, dash, symbol = trace_look(curve.measure)
        low, high, deviation = "expected - 2 sd", "expected + 2 sd", "sd of the experiment"
        scores = {"theory": curve.theory, "experiment": curve.mean}
        if curve.expected is not None and curve.band is not None:
            scores |= {low: curve.expected - 2 * curve.band, high: curve.expected + 2 * curve.band}
        if curve.experiment is not None:
            scores[deviation] = curve.experiment.std(axis=-1)
        columns = {plot.xlabel: panel.at[order]}
        columns |= {name: values[panel.cells][order] for name, values in scores.items() if values is not None}
        rows = thin(np.column_stack(list(columns.values())), MOST_POINTS)
        shown = {name: values[rows] for name, values in columns.items()}
        plot.table(f"{plot.title}, {curve.measure}", shown)
        x, group = shown[plot.xlabel], curve.measure
        if low in shown:
            plot.band(group, x, shown[low], shown[high], color)
        if "theory" in shown:
            plot.trace(f"{group}, theory", x, shown["theory"], color, dash=dash, group=group)
        if "experiment" in shown:
            bars = error_bars(color, shown[deviation])
            name, mean = f"{group}, experiment", shown["experiment"]
            plot.trace(name, x, mean, color, mode="markers", symbol=symbol, group=group, error_y=bars)
        sentences.append(_curve_sentence(curve, panel))
    skipped = "".join(f" {name} does not apply: {reason}" for name, reason in result.skipped.items())
    plot.sentence = f"{'; '.join(sentences)}.{skipped}"


def _curve_sentence(curve: Sensitivity, panel: Panel) -> str:
    scores = curve.theory if curve.mean is None else curve.mean
    if scores is None or not np.isfinite(scores[panel.cells]).any():
        return f"{curve.measure}: all scores are undefined"

    def where(at: int) -> str:
        value = panel.at[at]
        return f"PC {at + 1}, {value:.1%} of variance" if panel.log else f"noise over signal {value:g}"

    values = scores[panel.cells]
    least, most = int(np.nanargmin(values)), int(np.nanargmax(values))
    text = f"{curve.measure} from {values[least]:.3f} ({where(least)}) to {values[most]:.3f} ({where(most)})"
    if curve.deviation is not None:
        text += f", theory and experiment at most {curve.deviation:.2g} apart"
    return text


def _add_region(plot: Plot, result: JointRange, region: Region) -> None:
    a, b = region.names
    color = trace_look(b)[0]
    corners = outline(region)
    plot.table(f"{plot.title}, outline", {a: corners[:, 0], b: corners[:, 1]})
    plot.area("region found", corners, color)
    spread = region.spread.T
    table = {a: region.levels, f"least {b}": region.b_min, f"largest {b}": region.b_max}
    table |= {"spread of the least": spread[0], "spread of the largest": spread[1]}
    plot.table(f"{plot.title}, extremes", table)
    levels, ends = np.tile(region.levels, 2), np.concatenate([region.b_min, region.b_max])
    bars = error_bars(color, spread.ravel())
    plot.trace(
        "extremes, spread over starts", levels, ends, color, mode="markers", symbol="diamond", error_y=bars
    )
    proved = result.proved_range()
    if proved is not None:
        levels, bounds = proved
        table = {a: levels, f"proved least {b}": bounds.lower, f"proved largest {b}": bounds.upper}
        plot.table(f"{plot.title}, proved bounds", table)
        for side, values in enumerate((bounds.lower, bounds.upper)):
            plot.trace("proved bounds", levels, values, INK, dash="dash", legend=side == 0, group="proved")


def _add_targets(plot: Plot, square: Reached) -> None:
    (a, b), (end_a, end_b) = square.targets.T, square.end.T
    table = {f"target {plot.xlabel}": a, f"target {plot.ylabel}": b}
    table |= {f"reached {plot.xlabel}": end_a, f"reached {plot.ylabel}": end_b}
    plot.table(f"{plot.title}, targets", table)
    plot.trace("targets", a, b, INK, mode="markers", symbol="square-open")
    plot.trace("where they ended", end_a, end_b, INK, mode="markers")


def _joint_sentence(result: JointRange) -> str:
    sentences = []
    if result.region is not None:
        verdict = f", {result.verdict}" if result.verdict else ""
        sentences.append(f"The region found has area {result.region.area:.3g}{verdict}.")
    if result.implied:
        sentences.append(f"{result.sentence()}.")
    if result.proved is not None:
        sentences.append("Dashed lines are proved bounds.")
    if result.square is not None:
        reached = sum(state.name == "REACHED" for state in result.square.settled)
        sentences.append(f"{reached} of {len(result.square.targets)} targets were reached.")
    return " ".join(sentences)
