"""The figures of the paper, arXiv 2407.07059, in their published arrangement, drawn from stored results.

A pool is a group of runs that differ only in their seeds (:class:`simopt.report.pools.Pool`). The functions
append to ``left_out`` a line on everything that their figure does not show.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simopt.report.joint import draw_joint
from simopt.report.panels import draw_decoding, draw_half_capture, draw_pcs
from simopt.report.pools import Pool, by_rank, named, pool
from simopt.report.sensitivity import draw_sensitivity
from simopt.report.stored_config import differences
from simopt.report.style import GUIDE, PAPER, Panels, legend_handles, look, plain, save, stem
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange

MEASURES = ("cka", "cka_angular", "nbs", "procrustes_angular", "linreg", "ridge100_cv5")
"""The measures of the paper, in its order. Figures show other measures after them, sorted by name."""
SENSITIVE = ("cka", "nbs", "procrustes_angular")
"""The measures whose sensitivity the paper shows."""
VARIABLES = {
    "mante": "context",
    "siegel": "context",
    "hatsopoulos": "target",
    "majaj": "category",
    "freeman_ziemba": "texture_type",
}
"""The task variable, by dataset, whose panel comes first."""
DATASETS = tuple(VARIABLES)
MOST = 12
"""The largest number of measures, of datasets and of panels in a figure: more would be too small to read."""

_ANGLE = 90.0
_ACROSS = 5  # columns, one for each dataset of the paper
Content = TypeVar("Content")


@mpl.rc_context(PAPER)
def save_arranged(
    runs: Sequence[Run],
    sensitivities: Sequence[Sensitivities],
    joints: Sequence[JointRange],
    folder: Path,
    suffixes: Sequence[str] = (".png",),
) -> tuple[list[Path], list[str]]:
    """Draw the figures of the paper from stored results, separately for real and surrogate data.

    The files are named ``NAME_SOURCE``, where NAME is ``decoding_vs_score`` (fig. 3 of the paper),
    ``pcs_vs_score`` (fig. 4), ``half_capture_vs_variance`` (fig. 5), ``sensitivity`` (fig. 6),
    ``joint_ranges`` (fig. 7) or ``ridge_lambda`` (fig. S2). A figure without results is not drawn.

    Parameters
    ----------
    runs : sequence of Run
    sensitivities : sequence of Sensitivities
    joints : sequence of JointRange
    folder : Path
    suffixes : sequence of str
        The types in which each figure is written: any of ``.png``, ``.pdf`` and ``.svg``.

    Returns
    -------
    paths : list of Path
        The files that were written.
    left_out : list of str
        Lines that say what the figures do not show.

    Raises
    ------
    InputError
        A suffix is unknown, or a file cannot be written.
    """
    pools = pool(runs)
    figures: list[tuple[Callable[[Any, list[str]], Figure | None], Sequence[Any]]] = [
        (decoding_vs_score, pools),
        (pcs_vs_score, pools),
        (half_capture_vs_variance, pools),
        (sensitivity, sensitivities),
        (joint_ranges, joints),
        (ridge_lambda, pools),
    ]
    written: list[Path] = []
    left_out: list[str] = []
    for source in sorted({entry.source for _, content in figures for entry in content}):
        for draw, content in figures:
            name = draw.__name__
            lines: list[str] = []
            of_source = [entry for entry in content if entry.source == source]
            figure = draw(of_source, lines) if of_source else None
            left_out += [f"{name} ({source}): {line}" for line in lines]
            if figure is not None:
                written += [save(figure, folder / f"{stem(name, source)}{suffix}") for suffix in suffixes]
    return written, left_out


def decoding_vs_score(pools: Sequence[Pool], left_out: list[str]) -> Figure | None:
    """Draw decoding accuracy against score for all measures, a panel for each dataset and task variable."""
    return _decoding([curve for curve in pools if curve.variables], left_out)


def ridge_lambda(pools: Sequence[Pool], left_out: list[str]) -> Figure | None:
    """Draw decoding accuracy against score for cross-validated ridge regression, a curve for each lambda.

    Lambda is the strength of the ridge penalty. A dataset with runs for only one lambda is left out.
    """
    names = {curve.measure for curve in pools if re.fullmatch(r"ridge\d+_cv5", curve.measure)}
    order = sorted(names, key=lambda name: (len(name), name))  # by lambda
    lambdas = [curve for curve in pools if curve.variables and curve.measure in order]
    several = Counter(dataset for dataset, _ in {(curve.dataset, curve.measure) for curve in lambdas})
    return _decoding([curve for curve in lambdas if several[curve.dataset] > 1], left_out, order)


def _decoding(pools: Sequence[Pool], left_out: list[str], order: Sequence[str] = MEASURES) -> Figure | None:
    if not pools:
        return None
    panels = [
        (name, group, variable)
        for name, group in _recordings(pools, order).items()
        for variable in dict.fromkeys(name for curve in group for name in curve.variables)
    ]
    # The first variable of every dataset comes first, as in the paper; others follow in new rows.
    panels.sort(key=lambda panel: panel[2] != VARIABLES.get(panel[1][0].name, panel[1][0].variables[0]))
    panels = _shown(panels, "panels", left_out)
    grid = Panels(len(panels), _ACROSS if len(panels) >= _ACROSS else 3, 1.3)
    for ax, (name, group, variable) in zip(grid.axes, panels, strict=True):
        draw_decoding(group, variable, ax).set_ylabel("decoding accuracy")
        grid.set_title(ax, f"{name}\n{variable}")
    grid.leave_outer_labels()
    guides = {
        "recording": Line2D([], [], color=GUIDE, linewidth=0.7, linestyle="--"),
        "chance": Line2D([], [], color=GUIDE, linewidth=0.7, linestyle=":"),
        "good score (90 %)": Line2D([], [], color=GUIDE, marker="o", markersize=4, linestyle="none"),
    }
    curves = [curve for _, group, _ in panels for curve in group]
    return grid.with_legend({**_handles(curves, order), **guides})


def pcs_vs_score(pools: Sequence[Pool], left_out: list[str]) -> Figure:
    """Draw captured variance of some PCs against score, with a row of panels for each dataset.

    There is a column for each measure. If a dataset has several pools of a measure, there are further
    columns.
    """
    recordings = _recordings(pools)
    rows = _shown([(name, by_rank(group)) for name, group in recordings.items()], "datasets", left_out)
    keys = {key for _, curves in rows for key in curves}
    columns = sorted(keys, key=lambda key: (key[0], _place(key[1], MEASURES)))
    columns = _shown(columns, "measures", left_out)
    grid = Panels(len(rows) * len(columns), len(columns), 1.05)
    for at, ax in enumerate(grid.axes):
        row, column = divmod(at, len(columns))
        (name, curves), key = rows[row], columns[column]
        if key not in curves:
            ax.set_visible(False)
            continue
        curve = curves[key]
        draw_pcs(curve, ax).locator_params(axis="x", nbins=3)
        if curve.label != key[1]:  # the column's title has the measure, but not its options
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            ax.text(0.96, 0.06, plain(curve.label), transform=ax.transAxes, ha="right", fontsize=6, bbox=box)
        is_top = not any(key in other for _, other in rows[:row])
        grid.set_title(ax, key[1] if is_top else "")
        ax.set_ylabel(plain(f"{name}\ncaptured variance".replace(" (", "\n(")))
    grid.leave_outer_labels(same_y=True)
    return grid.with_legend(legend_handles(grid.axes), [_caption(name, curves) for name, curves in rows])


def half_capture_vs_variance(pools: Sequence[Pool], left_out: list[str]) -> Figure:
    """Draw the score at which Y half captures a PC against the PC's explained variance ratio.

    Each dataset has a panel; datasets that cannot be drawn are added to ``left_out``.
    :mod:`simopt.report.pools` defines half captures.
    """
    panels = _shown(list(_recordings(pools).items()), "datasets", left_out)
    curves = [curve for _, group in panels for curve in group]
    grid = Panels(len(panels), 3, 1.7)
    for ax, (name, group) in zip(grid.axes, panels, strict=True):
        grid.set_title(draw_half_capture(group, ax), name)
    for curve in curves:
        if count := curve.no_higher_than_noise:
            name = f"{curve.dataset}, {curve.label}"
            left_out.append(f"{name}: {count} PCs have no marker, because noise half captures them as well.")
    grid.leave_outer_labels()
    return grid.with_legend(_handles(curves, line=False))


def sensitivity(results: Sequence[Sensitivities], left_out: list[str]) -> Figure | None:
    """Draw scores after perturbing single PCs against the variance of the PC, a panel for each dataset."""
    usable = [result for result in results if result.curves and result.perturbation != "noise_all"]
    best: dict[str, Sensitivities] = {}
    for result in sorted(usable, key=_published, reverse=True):
        best.setdefault(result.dataset, result)
    if len(best) < len(usable):
        left_out.append(
            f"one sensitivity result of each dataset is shown, {len(usable) - len(best)} more are stored."
        )
    panels = sorted(best.values(), key=lambda result: _place(result.dataset, DATASETS))
    panels = _shown(panels, "datasets", left_out)
    if not panels:
        return None
    names = {curve.measure for result in panels for curve in result.curves}
    ordered = sorted(names, key=lambda name: _place(name, MEASURES))
    chosen = [name for name in ordered if name in SENSITIVE] or ordered[:MOST]
    grid = Panels(len(panels), 3, 1.5)
    for ax, result in zip(grid.axes, panels, strict=True):
        curves = [curve for curve in result.curves if curve.measure in chosen]
        strength = result.strengths.index(_ANGLE) if _ANGLE in result.strengths else 0
        draw_sensitivity(replace(result, curves=curves), ax, strength=strength, legend=False)
    grid.leave_outer_labels()
    return grid.with_legend({plain(name): Line2D([], [], **look(name)) for name in chosen})


def joint_ranges(results: Sequence[JointRange], left_out: list[str]) -> Figure:
    """Draw which scores of two measures can occur together, a panel for each pair and dataset."""
    ordered = sorted(results, key=lambda r: (_place(r.dataset, DATASETS), r.names, r.mode))
    panels = _shown(ordered, "pairs", left_out)
    grid = Panels(len(panels), 3, 1.9)
    for ax, result in zip(grid.axes, panels, strict=True):
        verdict = f": {result.verdict}" if result.verdict else ""
        grid.set_title(draw_joint(result, ax), f"{named(result)}{verdict}")
    return grid.with_legend(legend_handles(grid.axes))


def _recordings(pools: Sequence[Pool], order: Sequence[str] = MEASURES) -> dict[str, list[Pool]]:
    """Return the pools by recording, in the order of the paper.

    If recordings of the same name have different data, options of the dataset are added to their names.
    """
    groups: dict[tuple[str, str], list[Pool]] = {}
    for curve in sorted(pools, key=lambda curve: _place(curve.name, DATASETS)):
        groups.setdefault((curve.dataset, curve.data_hash), []).append(curve)
    recordings: dict[str, list[Pool]] = {}
    for key, group in groups.items():
        name, rivals = key[0], [other for other in groups if other[0] == key[0]]
        if len(rivals) > 1:
            details = differences([groups[rival][0].runs[0] for rival in rivals], "dataset.")
            name += f", data {details[rivals.index(key)]}"
        ranked = sorted(by_rank(group).items(), key=lambda one: (one[0][0], _place(one[0][1], order)))
        recordings[name] = [curve for _, curve in ranked]
    return recordings


def _published(result: Sensitivities) -> tuple[bool, bool, int, int]:
    """Return a key that is larger the closer a result is to that of the paper: PCs rotated by 90 degrees."""
    shown = sum(curve.measure in SENSITIVE for curve in result.curves)
    return result.perturbation == "rotation", _ANGLE in result.strengths, shown, result.seeds


def _caption(name: str, curves: Mapping[tuple[int, str], Pool]) -> str:
    """Return a caption with samples, units, seeds and noise floor; measures with the same share an entry."""
    by_words: dict[str, list[str]] = {}
    for curve in curves.values():
        by_words.setdefault(curve.noise_words(), []).append(curve.label)
    several = len(by_words) > 1
    entries = [f"{words} ({', '.join(of)})" if several else words for words, of in by_words.items()]
    return f"{name}: {'; '.join(entries)}"


def _handles(
    pools: Sequence[Pool], order: Sequence[str] = MEASURES, *, line: bool = True
) -> dict[str, Line2D]:
    """Return the entry of the legend for each label, in the order of the measures."""
    ranked = sorted(pools, key=lambda curve: (_place(curve.measure, order), curve.label))
    style = {} if line else {"linestyle": "none"}
    return {
        plain(curve.label): Line2D([], [], **{**look(curve.measure, curve.variant), **style})
        for curve in ranked
    }


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order)), name


def _shown(content: list[Content], what: str, left_out: list[str]) -> list[Content]:
    if len(content) > MOST:
        shown = f"{MOST} of {len(content)} {what} are shown"
        left_out.append(f"{shown}; choose by filters like dataset=majaj measure=cka.")
    return content[:MOST]
