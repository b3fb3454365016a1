"""Tables of ``simopt sensitivity`` for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.theory.sensitivity import Sensitivity
    from simopt.workflows.derivations import BoundsResult, Learned, LearningResult

_SHOWN = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500)


def sensitivity_tables(result: Sensitivities) -> list[Table]:
    """Return a table of scores by PC for each strength (of noise on all, one), and one of the measures."""
    if result.perturbation == "noise_all":
        return [_over_levels(result), _summary(result)]
    return [*(_by_pc(result, s) for s in range(len(result.strengths))), _summary(result)]


def learning_tables(result: LearningResult) -> list[Table]:
    """Return which PCs each measure learns first, and at which score each is half captured."""
    learned = result.learned
    title = f"{result.dataset} ({result.source}): the learning order"
    order = Table(title=Text(title), caption="first PCs: by the gradient at random starts, the fastest first")
    for name in (
        "measure",
        "first PCs",
        "median difference",
        "largest",
        "rank correlation",
        "never, predicted / run",
    ):
        order.add_column(name, justify="left" if name in ("measure", "first PCs") else "right")
    for each in learned:
        first = "-" if each.start is None else ", ".join(map(str, each.start.order[:8] + 1))
        found = each.comparison
        cells = ["-"] * 4
        if found is not None:
            cells = [
                f"{found.median_difference:.3f}",
                f"{found.largest_difference:.3f}",
                f"{found.rank_correlation:.3f}",
                f"{found.never_predicted} / {found.never_run}",
            ]
        order.add_row(Text(each.measure), first, *cells)
    half = Table(
        title="Score at half capture",
        caption="predicted for gradient flow / a stored run, where there is one;\n"
        "Adam moves the first PCs of CKA away from that, see simopt/theory/learning.py",
    )
    half.add_column("PC", justify="right")
    shown = [each for each in learned if each.prediction is not None]
    for each in shown:
        half.add_column(Text(each.measure), justify="right")
    for pc in (pc for pc in _SHOWN if pc <= len(result.spectrum)):
        half.add_row(str(pc), *(_half(each, pc - 1) for each in shown))
    return [order, half] if shown else [order]


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


def _half(learned: Learned, k: int) -> str:
    from simopt.analysis.reading import median_half_capture

    cells = [learned.prediction.half_capture()[k]]  # type: ignore[union-attr]
    if learned.run is not None:
        cells.append(median_half_capture(learned.run)[k])
    return " / ".join("never" if math.isnan(cell) else f"{cell:.3f}" for cell in cells)


def bounds_table(result: BoundsResult) -> Table:
    """Return, for each ordered pair of measures, between what the second lies at levels of the first."""
    from simopt.workflows.derivations import LEVELS

    title = f"{result.dataset} ({result.source}): what one score proves about another"
    table = Table(
        title=Text(title), caption="over all Y of as many units: proved limits, not always attained"
    )
    for name in ("given", "implied", *(f"at {level:g}" for level in LEVELS)):
        table.add_column(name, justify="left" if name in ("given", "implied") else "right")
    for given, implied, found in result.pairs:
        limits = zip(found.lower, found.upper, strict=True)
        cells = ["-" if math.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in limits]
        table.add_row(Text(given), Text(implied), *cells)
    return table


def _by_pc(result: Sensitivities, s: int) -> Table:
    unit = "°" if result.perturbation == "rotation" else ""
    told = f"{result.perturbation} {result.strengths[s]:g}{unit} of one PC"
    table = Table(title=Text(f"{result.dataset} ({result.source}): {told}"), caption=_caption(result))
    table.add_column("PC", justify="right")
    table.add_column("variance", justify="right")
    for curve in result.curves:
        table.add_column(Text(curve.measure), justify="right")
    for pc in (pc for pc in _SHOWN if pc <= len(result.variance_ratio)):
        cells = [_cell(curve, s, pc - 1) for curve in result.curves]
        table.add_row(str(pc), f"{result.variance_ratio[pc - 1]:.4f}", *cells)
    return table


def _over_levels(result: Sensitivities) -> Table:
    table = Table(
        title=Text(f"{result.dataset} ({result.source}): noise on all of Y"), caption=_caption(result)
    )
    table.add_column("level", justify="right")
    for curve in result.curves:
        table.add_column(Text(curve.measure), justify="right")
    for s, level in enumerate(result.strengths):
        table.add_row(f"{level:g}", *(_cell(curve, s, 0) for curve in result.curves))
    return table


def _caption(result: Sensitivities) -> str:
    if not result.seeds:
        return "theory"
    seeds = "1 seed" if result.seeds == 1 else f"{result.seeds} seeds"
    return f"theory, for directions orthogonal to all PCs / experiment, mean and sd over {seeds}"


def _cell(curve: Sensitivity, s: int, k: int) -> str:
    parts = []
    if curve.theory is not None:
        parts.append(f"{curve.theory[s, k]:.4f}")
    if curve.experiment is not None:
        scores = curve.experiment[s, k]
        parts.append("-" if np.isnan(scores).any() else f"{scores.mean():.4f} ± {scores.std():.4f}")
    return " / ".join(parts)


def _summary(result: Sensitivities) -> Table:
    table = Table(
        title="What the measures see",
        caption="a small rotation t of PC i costs weight t^order, the weight grows as variance^exponent;\n"
        "effective PCs: the participation ratio of the weights; corrected: for finite samples",
    )
    for name in ("measure", "from"):
        table.add_column(name)
    names = ("order", "exponent", "effective PCs", "largest deviation", "corrected", "dots within 2 sd")
    for name in names:
        table.add_column(name, justify="right")
    for curve in result.curves:
        local = curve.local
        order = float(np.nanmedian(local.order)) if np.isfinite(local.order).any() else math.nan
        share = "-" if curve.within_band is None else f"{curve.within_band:.0%}"
        table.add_row(
            Text(curve.measure),
            local.how,
            _short(order),
            _short(local.exponent),
            _short(local.effective_components),
            _small(curve.deviation),
            _small(curve.corrected_deviation),
            share,
        )
    return table


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _small(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
