"""What the tables of sensitivities, joint ranges and cards hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from simopt.analysis.reading import median_half_capture
from simopt.analysis.sensitivity import Sensitivities
from simopt.app.terminal.tables import number
from simopt.ranges.result import JointRange
from simopt.report import card as cards_of
from simopt.report.document import Number, Table
from simopt.report.sensitivity import strength_label
from simopt.theory.sensitivity import Sensitivity
from simopt.typing import FloatArray
from simopt.workflows.derivations import LEVELS, BoundsResult, Learned, LearningResult

if TYPE_CHECKING:
    from simopt.report import Collected

_PCS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500)


def sensitivity_tables(result: Sensitivities) -> list[Table]:
    """Return a table of scores by PC for each strength (of noise on all, one), and one of the measures."""
    if result.perturbation == "noise_all":
        levels = [[f"{level:g}", *_cells(result, s, 0)] for s, level in enumerate(result.strengths)]
        return [_scores(result, "noise on all of Y", ["level"], levels), _summary(result)]
    tables = []
    for s, strength in enumerate(result.strengths):
        told = f"{strength_label(result.perturbation, strength)} of one PC"
        shares = result.variance_ratio
        rows = [[str(k + 1), f"{shares[k]:.4f}", *_cells(result, s, k)] for k in _shown(len(shares))]
        tables.append(_scores(result, told, ["PC", "variance"], rows))
    return [*tables, _summary(result)]


def _shown(count: int) -> list[int]:
    """Return the PCs that have a row, from 0."""
    return [pc - 1 for pc in _PCS if pc <= count]


def _scores(result: Sensitivities, told: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    heads = [*heads, *(curve.measure for curve in result.curves)]
    title = f"{result.dataset} ({result.source}): {told}"
    return Table("", title, _caption(result), heads, [list(map(Number, row)) for row in rows])


def _caption(result: Sensitivities) -> str:
    if not result.seeds:
        return "theory"
    seeds = "1 seed" if result.seeds == 1 else f"{result.seeds} seeds"
    return f"theory, for directions orthogonal to all PCs / experiment, mean and sd over {seeds}"


def _cells(result: Sensitivities, s: int, k: int) -> list[str]:
    return [_cell(curve, s, k) for curve in result.curves]


def _cell(curve: Sensitivity, s: int, k: int) -> str:
    parts = []
    if curve.theory is not None:
        parts.append(f"{curve.theory[s, k]:.4f}")
    if curve.experiment is not None:
        scores = curve.experiment[s, k]
        parts.append("-" if np.isnan(scores).any() else f"{scores.mean():.4f} ± {scores.std():.4f}")
    return " / ".join(parts)


def _summary(result: Sensitivities) -> Table:
    note = (
        "a small rotation t of PC i costs weight t^order, the weight grows as variance^exponent;\n"
        "effective PCs: the participation ratio of the weights; corrected: for finite samples"
    )
    heads = ["measure", "from", "order", "exponent", "effective PCs", "largest deviation", "corrected"]
    rows: list[list[str]] = []
    for curve in result.curves:
        local = curve.local
        order = float(np.nanmedian(local.order)) if np.isfinite(local.order).any() else math.nan
        numbers = [number(value, ".3g") for value in (order, local.exponent, local.effective_components)]
        numbers += [number(value, ".1e") for value in (curve.deviation, curve.corrected_deviation)]
        rows.append([curve.measure, local.how, *numbers, number(curve.within_band, ".0%")])
    return Table("", "What the measures see", note, [*heads, "dots within 2 sd"], rows)


def learning_tables(result: LearningResult) -> list[Table]:
    """Return which PCs each measure learns first, and at which score each is half captured."""
    heads = ["measure", "first PCs", "median difference", "largest", "rank correlation"]
    rows: list[list[str]] = []
    for each in result.learned:
        first = "-" if each.start is None else ", ".join(map(str, each.start.order[:8] + 1))
        cells, found = ["-"] * 4, each.comparison
        if found is not None:
            differences = (found.median_difference, found.largest_difference, found.rank_correlation)
            cells = [
                *(f"{value:.3f}" for value in differences),
                f"{found.never_predicted} / {found.never_run}",
            ]
        rows.append([each.measure, first, *map(Number, cells)])
    title = f"{result.dataset} ({result.source}): the learning order"
    note = "first PCs: by the gradient at random starts, the fastest first"
    order = Table("", title, note, [*heads, "never, predicted / run"], rows)
    shown = [each for each in result.learned if each.prediction is not None]
    if not shown:
        return [order]
    note = (
        "predicted for gradient flow / a stored run, where there is one;\n"
        "Adam moves the first PCs of CKA away from that, see simopt/theory/learning.py"
    )
    halves = [
        list(map(Number, [str(k + 1), *(_half(each, k) for each in shown)]))
        for k in _shown(len(result.spectrum))
    ]
    names = [each.measure for each in shown]
    return [order, Table("", "Score at half capture", note, ["PC", *names], halves)]


def _half(learned: Learned, k: int) -> str:
    cells = [learned.prediction.half_capture()[k]]  # type: ignore[union-attr]
    if learned.run is not None:
        cells.append(median_half_capture(learned.run)[k])
    return " / ".join("never" if math.isnan(cell) else f"{cell:.3f}" for cell in cells)


def learning_remarks(result: LearningResult) -> list[str]:
    """Return why nothing is predicted of a measure, or that no stored run can be compared with."""
    told = []
    for each in result.learned:
        if each.refusal:
            told.append(f"{each.measure}: {each.refusal}")
        elif each.run is None:
            command = f"`simopt run measure={each.measure}` makes one to compare with"
            told.append(f"{each.measure}: no stored run on these data; {command}")
    return told


def bounds_table(result: BoundsResult) -> Table:
    """Return, for each ordered pair of measures, between what the second lies at levels of the first."""
    rows: list[list[str]] = []
    for given, implied, found in result.pairs:
        limits = zip(found.lower, found.upper, strict=True)
        cells = ["-" if math.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in limits]
        rows.append([given, implied, *map(Number, cells)])
    title = f"{result.dataset} ({result.source}): what one score proves about another"
    note = "over all Y of as many units: proved limits, not always attained"
    return Table("", title, note, ["given", "implied", *(f"at {level:g}" for level in LEVELS)], rows)


def joint_tables(results: Sequence[JointRange], spectrum: FloatArray | None) -> Iterator[Table]:
    """Give what was found of each pair, the boundary or the targets, and the verdicts."""
    for result in results:
        title = f"{result.dataset} ({result.source}): {' and '.join(result.names)}"
        if result.region is not None:
            yield _boundary(result, spectrum, title)
        elif result.square is not None:
            yield _square(result, title)
    if results[0].region is not None:
        yield verdicts_table(results)


def verdicts_table(results: Sequence[JointRange], title: str = "Joint ranges") -> Table:
    """Return one row a pair: area, verdict, and what the first thresholds imply."""
    rows: list[list[str]] = []
    for result in results:
        area = number(None if result.region is None else result.region.area, ".3f")
        rows.append([" and ".join(result.names), area, result.verdict or "-", result.sentence()])
    return Table("", title, "", ["measures", "area", "verdict", "implied"], rows)


def _boundary(result: JointRange, spectrum: FloatArray | None, title: str) -> Table:
    region, inspected = result.region, result.extremes
    assert region is not None
    a, b = region.names
    labels = [] if inspected is None else list(inspected.decoding)
    sides = [[f"{end} {b}", "spread", "distance", "captured", *labels] for end in ("least", "largest")]
    share = None if inspected is None or spectrum is None else inspected.half_captured(spectrum)
    rows: list[list[str]] = []
    for at, level in enumerate(region.levels):
        cells: list[str] = [Number(f"{level:g}")]
        for side, values in enumerate((region.b_min, region.b_max)):
            cells += [number(values[at], ".4f"), number(region.spread[at, side], ".4f")]
            cells.append(Number(f"{region.feasibility[at, side]:.0e}"))
            cells.append(number(None if share is None else share[at, side], ".0%"))
            cells += [number(inspected.decoding[name][at, side], ".4f") for name in labels if inspected]
        rows.append(cells)
    note = (
        "spread: over starts; distance: from the level;\n"
        "captured: share of X's variance in PCs of which that Y holds half or more"
    )
    return Table("", title, note, [a, *sides[0], *sides[1]], rows)


def _square(result: JointRange, title: str) -> Table:
    reached = result.square
    assert reached is not None
    columns = zip(reached.targets, reached.closest, reached.end, reached.settled, reached.steps, strict=True)
    rows: list[list[str]] = [
        list(map(Number, [*map(_pair, pairs), settled.name.lower(), str(int(steps))]))
        for *pairs, settled, steps in columns
    ]
    note = "closest: the pair of scores nearest to the target"
    return Table("", f"{title}, targets", note, ["target", "closest", "end", "state", "steps"], rows)


def _pair(scores: FloatArray) -> str:
    return f"{scores[0]:.3f}, {scores[1]:.3f}"


def of_report(collected: Collected) -> Iterator[Table]:
    """Give the tables of stored sensitivities, and the verdicts or targets of stored joint ranges."""
    for found in collected.sensitivities:
        strengths = ", ".join(f"{strength:g}" for strength in found.strengths)
        told = f"what the measures see; {found.perturbation} {strengths}"
        yield replace(_summary(found), caption=f"{found.dataset} ({found.source}): {told}")
    for (dataset, source), group in groupby(
        collected.joints, key=lambda found: (found.dataset, found.source)
    ):
        results = list(group)
        regions = [each for each in results if each.region is not None]
        if regions:
            yield verdicts_table(regions, f"{dataset} ({source}): joint ranges")
        for each in results:
            if each.region is None:
                yield from joint_tables([each], None)


def card_tables(cards: Sequence[cards_of.Card]) -> Iterator[Table]:
    """Give all that cards say, side by side."""
    yield cards_of.about_table(cards)
    yield cards_of.invariance_table(cards)
    for result in cards_of.sensitivities(cards):
        yield from sensitivity_tables(result)
    made = (cards_of.half_capture_table, cards_of.good_score_table, cards_of.joint_table, cards_of.cost_table)
    for make in made:
        table = make(cards)
        if table is not None:
            yield table
