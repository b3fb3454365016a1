"""The plots of analyses: sensitivity to single PCs, and joint ranges of two measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from simopt.report.joint import axis_limits
from simopt.report.page.plots import COLORS, DASHES, MOST_POINTS, Plot, thin

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.boundary import Extremes
    from simopt.ranges.region import Region
    from simopt.ranges.result import JointRange
    from simopt.ranges.square import Reached
    from simopt.theory.sensitivity import Sensitivity
    from simopt.typing import FloatArray

_MOST_MEASURES = 10
"""In one plot; more are continued in the next one."""


def sensitivity_plots(result: Sensitivities) -> Iterator[Plot]:
    """Yield a plot for each strength, of noise on all PCs one: theory as a line, experiments as dots."""
    title = f"{result.dataset} ({result.source})"
    kind = result.perturbation
    for some, part in _parts(result):
        if kind == "noise_all":
            plot = Plot(
                f"{title}: noise on all of Y{part}", "noise over signal, standard deviations", "score"
            )
            strengths = np.array(result.strengths)
            _add_curves(plot, some, strengths, [(s, 0) for s in range(len(strengths))])
            yield plot
            continue
        unit = "°" if kind == "rotation" else ""
        for s, strength in enumerate(result.strengths):
            plot = Plot(
                f"{title}: {kind} {strength:g}{unit} of one PC{part}",
                "explained variance ratio of the perturbed PC",
                "score",
                xlog=True,
            )
            ratio = result.variance_ratio
            _add_curves(plot, some, ratio, [(s, pc) for pc in range(len(ratio))])
            yield plot


def _parts(result: Sensitivities) -> Iterator[tuple[Sensitivities, str]]:
    """Yield the result with so many measures at a time, and which of how many these are."""
    every = len(result.curves)
    for first in range(0, max(every, 1), _MOST_MEASURES):
        some = result.curves[first : first + _MOST_MEASURES]
        part = f", measures {first + 1} to {first + len(some)} of {every}" if every > _MOST_MEASURES else ""
        yield replace(result, curves=some, skipped={} if first else result.skipped), part


def joint_plot(result: JointRange) -> Plot | None:
    """Return the region of two measures with its bounds and targets; None where nothing of it was found."""
    if result.region is None and result.square is None:
        return None
    a, b = result.names
    plot = Plot(f"{joint_title(result)}: scores found together", a, b)
    found = []
    signs: tuple[int, int] = (1, 1)
    near: tuple[FloatArray | None, FloatArray | None] = (None, None)
    if result.region is not None:
        signs, near = result.region.signs, (result.region.levels, result.region.b_min)
        _add_region(plot, result, result.region)
        found.append(np.concatenate([result.region.lower, result.region.upper]))
    if result.square is not None:
        _add_targets(plot, result.square)
        found += [result.square.targets, result.square.end]
    every = np.concatenate(found)
    for axis, at in (("x", 0), ("y", 1)):
        plot.ranges[axis] = axis_limits(every[:, at], signs[at], near[at])
    limits_a, limits_b = result.thresholds()
    plot.guides = {"x": limits_a, "y": limits_b}
    plot.sentence = _joint_said(result)
    return plot


def joint_title(result: JointRange) -> str:
    """Return the dataset with its source, and the two measures."""
    return f"{result.dataset} ({result.source}), {' and '.join(result.names)}"


def third_plot(result: JointRange, found: Extremes) -> Plot:
    """Return the least and the largest score of a third measure at pairs of scores of the two."""
    a, b = result.names
    plot = Plot(
        f"{joint_title(result)}: range of {result.third}", f"pair of scores of {a} and {b}", result.third
    )
    pair = np.arange(1.0, len(found.levels) + 1)
    columns = {"pair": pair, a: found.levels[:, 0], b: found.levels[:, 1]}
    columns |= {"least": found.value[:, 0], "largest": found.value[:, 1]}
    at, _, _, least, largest = plot.add(plot.title, columns)
    plot.trace("least", at, least, "c0", mode="markers", symbol="triangle-up", legend=True)
    plot.trace("largest", at, largest, "c1", mode="markers", symbol="triangle-down", legend=True)
    said = [
        f"at {a} {level[0]:.2f} and {b} {level[1]:.2f}: {low:.3f} to {high:.3f}"
        for level, (low, high) in zip(found.levels, found.value, strict=True)
        if np.isfinite([low, high]).all()
    ]
    plot.sentence = f"{result.third} {'; '.join(said)}." if said else f"No {result.third} was found."
    return plot


def _add_curves(plot: Plot, result: Sensitivities, at: FloatArray, cells: list[tuple[int, int]]) -> None:
    said = []
    for index, curve in enumerate(result.curves):
        color, dash = f"c{index % COLORS}", DASHES[index // COLORS % len(DASHES)]
        order = np.argsort(at, kind="stable")
        table = {plot.xlabel: at[order]}
        strengths, pcs = np.array(cells)[order].T
        for name, values in (("theory", curve.theory), ("experiment", curve.mean)):
            if values is not None:
                table[name] = values[strengths, pcs]
        if curve.expected is not None and curve.band is not None:
            middle, width = (values[strengths, pcs] for values in (curve.expected, curve.band))
            table |= {"expected, less 2 sd": middle - 2 * width, "expected, and 2 sd": middle + 2 * width}
        if curve.experiment is not None:
            table["sd of the experiment"] = curve.experiment.std(axis=-1)[strengths, pcs]
        rows = thin(np.column_stack(list(table.values())), MOST_POINTS)
        shown = {name: values[rows] for name, values in table.items()}
        places = dict(zip(shown, plot.add(f"{plot.title}, {curve.measure}", shown), strict=True))
        x = places[plot.xlabel]
        if "expected, less 2 sd" in places:
            low, high = places["expected, less 2 sd"], places["expected, and 2 sd"]
            plot.trace(curve.measure, x, low, color, band=high, group=curve.measure)
        if "theory" in places:
            name = f"{curve.measure}, theory"
            plot.trace(name, x, places["theory"], color, dash=dash, legend=True, group=curve.measure)
        if "experiment" in places:
            name = f"{curve.measure}, experiment"
            style = {"mode": "markers", "error": places["sd of the experiment"]}
            plot.trace(name, x, places["experiment"], color, legend=True, group=curve.measure, **style)
        said.append(_curve_said(curve, cells, result))
    skipped = "".join(f" {name} does not apply: {reason}" for name, reason in result.skipped.items())
    plot.sentence = f"{'; '.join(said)}.{skipped}"


def _curve_said(curve: Sensitivity, cells: list[tuple[int, int]], result: Sensitivities) -> str:
    scores = curve.theory if curve.mean is None else curve.mean
    strengths, pcs = np.array(cells).T
    values = np.full(1, np.nan) if scores is None else scores[strengths, pcs]
    if not np.isfinite(values).any():
        return f"{curve.measure}: no score"

    def where(at: int) -> str:
        strength, pc = cells[at]
        if result.perturbation == "noise_all":
            return f"noise {result.strengths[strength]:g}"
        return f"PC {pc + 1}, {result.variance_ratio[pc]:.1%} of variance"

    least, most = int(np.nanargmin(values)), int(np.nanargmax(values))
    told = f"{curve.measure} from {values[least]:.3f} ({where(least)}) to {values[most]:.3f} ({where(most)})"
    if curve.deviation is not None:
        told += f", theory and experiment at most {curve.deviation:.2g} apart"
    return told


def _add_region(plot: Plot, result: JointRange, region: Region) -> None:
    a, b = region.names
    outline = np.concatenate([region.lower, region.upper[::-1], region.lower[:1]])
    x, y = plot.add(f"{plot.title}, outline", {a: outline[:, 0], b: outline[:, 1]})
    plot.trace("region found", x, y, "c0", fill="toself", legend=True)
    table = {a: region.levels, f"least {b}": region.b_min, f"largest {b}": region.b_max}
    table |= {"spread of the least": region.spread[:, 0], "spread of the largest": region.spread[:, 1]}
    level, least, largest, *spread = plot.add(f"{plot.title}, extremes", table)
    style = {"mode": "markers", "symbol": "diamond", "group": "extremes"}
    plot.trace("extremes, spread over starts", level, least, "c0", legend=True, error=spread[0], **style)
    plot.trace("extremes, spread over starts", level, largest, "c0", error=spread[1], **style)
    proved = result.proved_range()
    if proved is not None:
        levels, bounds = proved
        table = {a: levels, f"proved least {b}": bounds.lower, f"proved largest {b}": bounds.upper}
        level, *sides = plot.add(f"{plot.title}, proved bounds", table)
        for at, side in enumerate(sides):
            plot.trace("proved bounds", level, side, "ink", dash="dash", legend=at == 0, group="proved")


def _add_targets(plot: Plot, square: Reached) -> None:
    table = {f"target {plot.xlabel}": square.targets[:, 0], f"target {plot.ylabel}": square.targets[:, 1]}
    table |= {f"reached {plot.xlabel}": square.end[:, 0], f"reached {plot.ylabel}": square.end[:, 1]}
    x, y, end_x, end_y = plot.add(f"{plot.title}, targets", table)
    plot.trace("targets", x, y, "c1", mode="markers", symbol="square-open", legend=True)
    plot.trace("where they ended", end_x, end_y, "c1", mode="markers", symbol="circle", legend=True)


def _joint_said(result: JointRange) -> str:
    said = []
    if result.region is not None:
        verdict = f", {result.verdict}" if result.verdict else ""
        said.append(f"The region found has area {result.region.area:.3g}{verdict}.")
    if result.implied:
        said.append(f"{result.sentence()}.")
    if result.proved is not None:
        said.append("Dashed lines are proved bounds.")
    if result.square is not None:
        reached = sum(each.name == "REACHED" for each in result.square.settled)
        said.append(f"{reached} of {len(result.square.targets)} targets were reached.")
    return " ".join(said)
