"""The tables of sensitivities, joint ranges and cards."""

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

_PCS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500)  # that have a row, from 1


def sensitivity_tables(result: Sensitivities) -> list[Table]:
    """Return a table of scores by PC for each strength (one for ``noise_all``), and a summary."""
    if result.perturbation == "noise_all":
        levels = [[f"{level:g}", *_cells(result, s, 0)] for s, level in enumerate(result.strengths)]
        return [_scores(result, "noise on all of Y", ["level"], levels), _summary(result)]
    tables = []
    for s, strength in enumerate(result.strengths):
        perturbation = f"{strength_label(result.perturbation, strength)} of one PC"
        shares = result.variance_ratio
        rows = [[str(k + 1), f"{shares[k]:.4f}", *_cells(result, s, k)] for k in _shown(len(shares))]
        tables.append(_scores(result, perturbation, ["PC", "variance"], rows))
    return [*tables, _summary(result)]


def _shown(count: int) -> list[int]:
    """Return which of ``count`` PCs have a row, from 0."""
    return [pc - 1 for pc in _PCS if pc <= count]


def _scores(
    result: Sensitivities, perturbation: str, first: Sequence[str], rows: Sequence[Sequence[str]]
) -> Table:
    heads = [*first, *(curve.measure for curve in result.curves)]
    title = f"{result.dataset} ({result.source}): {perturbation}"
    return Table("", title, _caption(result), heads, [list(map(Number, row)) for row in rows], first[1:])


def _caption(result: Sensitivities) -> str:
    if not result.seeds:
        return "theory"
    seeds = "1 seed" if result.seeds == 1 else f"{result.seeds} seeds"
    return f"theory, if the directions are orthogonal to all PCs / experiment, mean ± SD over {seeds}"


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
        "a rotation of PC i by a small angle t lowers the score by w_i t^order, and w_i grows as "
        "variance^exponent. effective PCs: participation ratio of the w_i. largest deviation: of experiment "
        "from theory; corrected: from theory for finite samples. within 2 SD: share of the experiments"
    )
    heads = ["measure", "method", "order", "exponent", "effective PCs", "largest deviation", "corrected"]
    rows: list[list[str]] = []
    for curve in result.curves:
        local = curve.local
        order = float(np.nanmedian(local.order)) if np.isfinite(local.order).any() else math.nan
        numbers = [number(value, ".3g") for value in (order, local.exponent, local.effective_components)]
        numbers += [number(value, ".1e") for value in (curve.deviation, curve.corrected_deviation)]
        rows.append([curve.measure, local.how, *numbers, number(curve.within_band, ".0%")])
    optional = ("method", "within 2 SD", "corrected", "order", "largest deviation")
    return Table("", "Sensitivity of the measures", note, [*heads, "within 2 SD"], rows, optional)


def learning_tables(result: LearningResult) -> list[Table]:
    """Return a table of the PCs that each measure learns first, and a table of half captures.

    The half capture of a PC is the score at which Y first captures half of its variance.
    """
    heads = ["measure", "first PCs", "median difference", "largest", "rank correlation"]
    rows: list[list[str]] = []
    for learned in result.learned:
        first = "-" if learned.start is None else ", ".join(map(str, learned.start.order[:8] + 1))
        cells, compared = ["-"] * 4, learned.comparison
        if compared is not None:
            differences = (compared.median_difference, compared.largest_difference, compared.rank_correlation)
            never = f"{compared.never_predicted} / {compared.never_run}"
            cells = [*(f"{value:.3f}" for value in differences), never]
        rows.append([learned.measure, first, *map(Number, cells)])
    title = f"{result.dataset} ({result.source}): the learning order"
    note = (
        "first PCs: by the gradient at random starts, the fastest first. never: the number of PCs that are "
        "never half captured, predicted / in the stored run"
    )
    order = Table("", title, note, [*heads, "never"], rows, ("rank correlation", "largest", "never"))
    shown = [learned for learned in result.learned if learned.prediction is not None]
    if not shown:
        return [order]
    note = (
        "score at which Y first captures half of a PC: predicted for gradient flow / in a stored run. "
        "Adam, the default optimizer, departs from gradient flow in the first PCs of CKA"
    )
    halves = [
        list(map(Number, [str(k + 1), *(_half(learned, k) for learned in shown)]))
        for k in _shown(len(result.spectrum))
    ]
    names = [learned.measure for learned in shown]
    return [order, Table("", "Score at half capture", note, ["PC", *names], halves)]


def _half(learned: Learned, k: int) -> str:
    cells = [learned.prediction.half_capture()[k]]  # type: ignore[union-attr]
    if learned.run is not None:
        cells.append(median_half_capture(learned.run)[k])
    return " / ".join("never" if math.isnan(cell) else f"{cell:.3f}" for cell in cells)


def learning_remarks(result: LearningResult) -> list[str]:
    """Return a line for each measure without a prediction, or without a stored run to compare it with."""
    remarks = []
    for learned in result.learned:
        if learned.refusal:
            remarks.append(f"{learned.measure}: {learned.refusal}")
        elif learned.run is None:
            remedy = f"`simopt run measure={learned.measure}` makes a run to compare with"
            remarks.append(f"{learned.measure}: no run on these data is stored; {remedy}")
    return remarks


def bounds_table(result: BoundsResult) -> Table:
    """Return a row for each ordered pair of measures: limits on the second at given scores of the first."""
    rows: list[list[str]] = []
    for first, second, limits in result.pairs:
        ends = zip(limits.lower, limits.upper, strict=True)
        cells = ["-" if math.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in ends]
        rows.append([first, second, *map(Number, cells)])
    title = f"{result.dataset} ({result.source}): what a score of one measure proves about another"
    note = (
        "range of the implied score where the given measure scores 0.5, 0.8 ...; proved for every "
        "Y with as many units as X, but its ends are not always attained"
    )
    heads = ["given", "implied", *(f"at {level:g}" for level in LEVELS)]
    return Table("", title, note, heads, rows, [f"at {level:g}" for level in (0.99, 0.5, 0.8, 0.95)])


def joint_tables(results: Sequence[JointRange], spectrum: FloatArray | None) -> Iterator[Table]:
    """Yield a table of the boundary or targets of each pair of measures, and a table of verdicts."""
    for result in results:
        title = f"{result.dataset} ({result.source}): {' and '.join(result.names)}"
        if result.region is not None:
            yield _boundary(result, spectrum, title)
        elif result.square is not None:
            yield _square(result, title)
    if results[0].region is not None:
        yield verdicts_table(results)


def verdicts_table(results: Sequence[JointRange], title: str = "Joint ranges") -> Table:
    """Return a row for each pair of measures: area, verdict, and what the first thresholds imply."""
    rows: list[list[str]] = []
    for result in results:
        area = number(None if result.region is None else result.region.area, ".3f")
        rows.append([" and ".join(result.names), area, result.verdict or "-", result.sentence()])
    return Table("", title, "", ["measures", "area", "verdict", "implied"], rows, ("implied", "area"))


def _boundary(result: JointRange, spectrum: FloatArray | None, title: str) -> Table:
    region, inspected = result.region, result.extremes
    assert region is not None
    a, b = region.names
    labels = [] if inspected is None else list(inspected.decoding)
    ends = ("least", "largest")
    facts = ["spread", "distance", "captured", *labels]
    heads = [a, *(head for end in ends for head in (f"{end} {b}", *(f"{fact} ({end})" for fact in facts)))]
    share = None if inspected is None or spectrum is None else inspected.half_captured(spectrum)
    rows: list[list[str]] = []
    for k, level in enumerate(region.levels):
        cells: list[str] = [Number(f"{level:g}")]
        for end, values in enumerate((region.b_min, region.b_max)):
            cells += [number(values[k], ".4f"), number(region.spread[k, end], ".4f")]
            cells.append(Number(f"{region.feasibility[k, end]:.0e}"))
            cells.append(number(None if share is None else share[k, end], ".0%"))
            cells += [number(inspected.decoding[label][k, end], ".4f") for label in labels if inspected]
        rows.append(cells)
    note = (
        f"least, largest: extreme {b} found at each level of {a}. spread: of {b} over starts. distance: of "
        f"{a} from the level. captured: share of X's variance in the PCs of which Y captures half or more"
    )
    optional = [f"{fact} ({end})" for fact in ("distance", "spread", *reversed(facts[2:])) for end in ends]
    return Table("", title, note, heads, rows, optional)


def _square(result: JointRange, title: str) -> Table:
    square = result.square
    assert square is not None
    columns = zip(square.targets, square.closest, square.end, square.settled, square.steps, strict=True)
    rows: list[list[str]] = [
        list(map(Number, [*map(_pair, pairs), settled.name.lower(), str(int(steps))]))
        for *pairs, settled, steps in columns
    ]
    note = "closest: the pair of scores nearest to the target. end: the last pair of the search"
    heads = ["target", "closest", "end", "state", "steps"]
    return Table("", f"{title}, targets", note, heads, rows, ("steps", "end"))


def _pair(scores: FloatArray) -> str:
    return f"{scores[0]:.3f}, {scores[1]:.3f}"


def of_report(collected: Collected) -> Iterator[Table]:
    """Yield the tables of stored sensitivities and joint ranges; a region is shown by its verdict only."""
    for result in collected.sensitivities:
        strengths = ", ".join(f"{strength:g}" for strength in result.strengths)
        caption = f"{result.dataset} ({result.source}): sensitivity to {result.perturbation} {strengths}"
        yield replace(_summary(result), caption=caption)
    for (dataset, source), group in groupby(
        collected.joints, key=lambda joint: (joint.dataset, joint.source)
    ):
        joints = list(group)
        regions = [joint for joint in joints if joint.region is not None]
        if regions:
            yield verdicts_table(regions, f"{dataset} ({source}): joint ranges")
        for joint in joints:
            if joint.region is None:
                yield from joint_tables([joint], None)


def card_tables(cards: Sequence[cards_of.Card]) -> Iterator[Table]:
    """Yield the tables of cards, with one column for each card."""
    yield cards_of.about_table(cards)
    yield cards_of.invariance_table(cards)
    for result in cards_of.sensitivities(cards):
        yield from sensitivity_tables(result)
    made = (cards_of.half_capture_table, cards_of.good_score_table, cards_of.joint_table, cards_of.cost_table)
    for make in made:
        table = make(cards)
        if table is not None:
            yield table
