"""The paper's figures in their published arrangement, drawn from whatever is stored (arXiv 2407.07059)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simopt.report.joint import draw_joint
from simopt.report.panels import draw_decoding, draw_half_capture, draw_pcs
from simopt.report.pools import Pool, by_rank, pool
from simopt.report.sensitivity import draw_sensitivity
from simopt.report.style import PAPER, Panels, check_suffixes, legend_handles, look, plain, save, stem
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange

MEASURES = ("cka", "cka_angular", "nbs", "procrustes_angular", "linreg", "ridge100_cv5")
"""Those of the paper, in its order; others come after, by name."""
SENSITIVE = ("cka", "nbs", "procrustes_angular")
"""The measures whose sensitivity the paper shows."""
VARIABLES = {
    "mante": "context",
    "siegel": "context",
    "hatsopoulos": "target",
    "majaj": "category",
    "freeman_ziemba": "texture_type",
}
"""The task variable of each dataset that comes first."""
DATASETS = tuple(VARIABLES)
MOST = 12
"""Of measures, of datasets and of panels a figure shows at most so many."""

_RIDGE = re.compile(r"ridge(\d+)_cv5")
_ANGLE = 90.0
_ACROSS = 5
_FILTERS = "dataset=majaj measure=cka"
_GUIDE = "#444444"
Content = TypeVar("Content")


@mpl.rc_context(PAPER)
def save_arranged(
    runs: Sequence[Run],
    sensitivities: Sequence[Sensitivities],
    joints: Sequence[JointRange],
    folder: Path,
    suffixes: Sequence[str] = (".png",),
) -> tuple[list[Path], list[str]]:
    """Draw the paper's figures, of each source ``NAME_SOURCE``; one with nothing to show is not made.

    ``decoding_vs_score`` (fig. 3), ``pcs_vs_score`` (fig. 4), ``half_capture_vs_variance`` (fig. 5),
    ``sensitivity`` (fig. 6), ``joint_ranges`` (fig. 7), ``ridge_lambda`` (fig. S2).

    Parameters
    ----------
    runs : sequence of Run
    sensitivities, joints : sequence of Result
    folder : Path
    suffixes : sequence of str
        Of ``.png``, ``.pdf`` and ``.svg``: each figure is written as all of them.

    Returns
    -------
    paths : list of Path
    left_out : list of str
        A line for whatever a figure had no room for.

    Raises
    ------
    InputError
        Another suffix, or the folder cannot be written.
    """
    check_suffixes(suffixes)
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
    for source in sorted({each.source for _, content in figures for each in content}):
        for draw, content in figures:
            name = draw.__name__
            lines: list[str] = []
            there = [entry for entry in content if entry.source == source]
            figure = draw(there, lines) if there else None
            left_out += [f"{name} ({source}): {line}" for line in lines]
            if figure is not None:
                written += [save(figure, folder / f"{stem(name, source)}{suffix}") for suffix in suffixes]
    return written, left_out


def decoding_vs_score(pools: Sequence[Pool], left_out: list[str]) -> Figure | None:
    """Return decoding accuracy against score, a panel a dataset and variable, all measures."""
    return _decoding([curve for curve in pools if curve.variables], left_out)


def ridge_lambda(pools: Sequence[Pool], left_out: list[str]) -> Figure | None:
    """Return the same of cross-validated ridge regression alone, a curve a lambda; there are several."""
    names = {curve.measure for curve in pools if _RIDGE.fullmatch(curve.measure)}
    order = sorted(names, key=lambda name: int(name.removeprefix("ridge").removesuffix("_cv5")))
    lambdas = [curve for curve in pools if curve.variables and curve.measure in order]
    several = Counter(dataset for dataset, _ in {(curve.dataset, curve.measure) for curve in lambdas})
    return _decoding([curve for curve in lambdas if several[curve.dataset] > 1], left_out, order)


def _decoding(pools: Sequence[Pool], left_out: list[str], order: Sequence[str] = MEASURES) -> Figure | None:
    if not pools:
        return None
    panels = [
        (name, group, variable)
        for name, group in _recordings(pools, left_out, order).items()
        for variable in dict.fromkeys(name for curve in group for name in curve.variables)
    ]
    panels.sort(key=lambda panel: panel[2] != VARIABLES.get(_name(panel[1][0]), panel[1][0].variables[0]))
    panels = _shown(panels, "panels", left_out)
    looks = _looks([curve for _, group, _ in panels for curve in group], order)
    grid = Panels(len(panels), _ACROSS if len(panels) >= _ACROSS else 3, 1.3)
    for ax, (name, group, variable) in zip(grid.axes, panels, strict=True):
        draw_decoding(group, variable, ax, looks).set_ylabel("decoding accuracy")
        grid.set_title(ax, f"{name}\n{variable}")
    grid.leave_outer_labels()
    guides = {
        "recording": Line2D([], [], color=_GUIDE, linewidth=0.7, linestyle="--"),
        "chance": Line2D([], [], color=_GUIDE, linewidth=0.7, linestyle=":"),
        "good score (90 %)": Line2D([], [], color=_GUIDE, marker="o", markersize=4, linestyle="none"),
    }
    return grid.with_legend({**_handles(looks), **guides})


def pcs_vs_score(pools: Sequence[Pool], left_out: list[str]) -> Figure:
    """Return captured variance of some PCs against score: a row a dataset, a column a measure."""
    recordings = _recordings(pools, left_out)
    rows = _shown([(name, by_rank(group)) for name, group in recordings.items()], "datasets", left_out)
    keys = {key for _, there in rows for key in there}
    columns = sorted(keys, key=lambda key: (key[0], _place(key[1], MEASURES)))
    columns = _shown(columns, "measures", left_out)
    grid = Panels(len(rows) * len(columns), len(columns), 1.05)
    for at, ax in enumerate(grid.axes):
        row, column = divmod(at, len(columns))
        (name, there), key = rows[row], columns[column]
        if key not in there:
            ax.set_visible(False)
            continue
        curve = there[key]
        draw_pcs(curve, ax).locator_params(axis="x", nbins=3)
        if curve.label != key[1]:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            ax.text(0.96, 0.06, plain(curve.label), transform=ax.transAxes, ha="right", fontsize=6, bbox=box)
        is_top = not any(key in other for _, other in rows[:row])
        grid.set_title(ax, key[1] if is_top else "")
        is_left = not any(other in there for other in columns[:column])
        ax.set_ylabel(plain(f"{name}\ncaptured variance".replace(" (", "\n(")) if is_left else "")
        ax.tick_params(labelleft=is_left)
        if row + 1 < len(rows) and key in rows[row + 1][1]:
            ax.set_xlabel("")
    return grid.with_legend(legend_handles(grid.axes))


def half_capture_vs_variance(pools: Sequence[Pool], left_out: list[str]) -> Figure:
    """Return the score at half capture against explained variance ratio, a panel a dataset, all measures."""
    panels = _shown(list(_recordings(pools, left_out).items()), "datasets", left_out)
    looks = _looks([curve for _, group in panels for curve in group])
    grid = Panels(len(panels), 3, 1.7)
    for ax, (name, group) in zip(grid.axes, panels, strict=True):
        grid.set_title(draw_half_capture(group, ax, looks), name)
    grid.leave_outer_labels()
    return grid.with_legend(_handles(looks, line=False))


def sensitivity(results: Sequence[Sensitivities], left_out: list[str]) -> Figure | None:
    """Return scores after perturbing single PCs against their variance, a panel a dataset."""
    usable = [result for result in results if result.curves and result.perturbation != "noise_all"]
    best: dict[str, Sensitivities] = {}
    for result in sorted(usable, key=_published, reverse=True):
        best.setdefault(result.dataset, result)
    if len(best) < len(usable):
        left_out.append(
            f"one perturbation of each dataset is shown, {len(usable) - len(best)} more are stored."
        )
    panels = sorted(best.values(), key=lambda result: _place(result.dataset, DATASETS))
    panels = _shown(panels, "datasets", left_out)
    if not panels:
        return None
    names = {curve.measure for result in panels for curve in result.curves}
    ordered = sorted(names, key=lambda name: _place(name, MEASURES))
    chosen = [name for name in ordered if name in SENSITIVE] or ordered[:MOST]
    looks = {name: at for at, name in enumerate(chosen)}
    grid = Panels(len(panels), 3, 1.5)
    for ax, result in zip(grid.axes, panels, strict=True):
        curves = [curve for curve in result.curves if curve.measure in looks]
        strength = result.strengths.index(_ANGLE) if _ANGLE in result.strengths else 0
        draw_sensitivity(replace(result, curves=curves), ax, strength=strength, looks=looks)
    grid.leave_outer_labels()
    return grid.with_legend(_handles(looks))


def joint_ranges(results: Sequence[JointRange], left_out: list[str]) -> Figure | None:
    """Return which scores of two measures can occur together, a panel a pair and dataset."""
    usable = [result for result in results if result.region is not None or result.square is not None]
    usable.sort(key=lambda result: (_place(result.dataset, DATASETS), result.names, result.mode))
    panels = _shown(usable, "pairs", left_out)
    if not panels:
        return None
    grid = Panels(len(panels), 3, 1.9)
    for ax, result in zip(grid.axes, panels, strict=True):
        verdict = f": {result.verdict}" if result.verdict else ""
        grid.set_title(draw_joint(result, ax), f"{result.dataset} ({result.source}){verdict}")
    return grid.with_legend(legend_handles(grid.axes))


def _recordings(
    pools: Sequence[Pool], left_out: list[str], order: Sequence[str] = MEASURES
) -> dict[str, list[Pool]]:
    """Return the pools by recording, in the paper's order; data that differ under one name are told apart."""
    groups: dict[tuple[str, str], list[Pool]] = {}
    for curve in sorted(pools, key=lambda curve: _place(_name(curve), DATASETS)):
        groups.setdefault((curve.dataset, curve.data_hash), []).append(curve)
    names = [dataset for dataset, _ in groups]
    recordings: dict[str, list[Pool]] = {}
    for (dataset, data), group in groups.items():
        name = dataset if names.count(dataset) == 1 else f"{dataset}, data {data[:6]}"
        columns = by_rank(group)
        ranked = sorted(columns, key=lambda key: (key[0], _place(key[1], order)))
        recordings[name] = [columns[key] for key in _shown(ranked, f"curves of {name}", left_out)]
    return recordings


def _looks(pools: Sequence[Pool], order: Sequence[str] = MEASURES) -> dict[str, int]:
    """Return the number of each label, by which it looks the same in all panels."""
    ranked = sorted(pools, key=lambda curve: (_place(curve.measure, order), curve.label != curve.measure))
    return {label: at for at, label in enumerate(dict.fromkeys(curve.label for curve in ranked))}


def _published(result: Sensitivities) -> tuple[bool, bool, int, int]:
    """Return how near a result is to what the paper shows: every PC rotated by 90 degrees."""
    shown = sum(curve.measure in SENSITIVE for curve in result.curves)
    return result.perturbation == "rotation", _ANGLE in result.strengths, shown, result.seeds


def _handles(looks: dict[str, int], *, line: bool = True) -> dict[str, Line2D]:
    styles = {label: look(at) | ({} if line else {"linestyle": "none"}) for label, at in looks.items()}
    return {plain(label): Line2D([], [], **style) for label, style in styles.items()}


def _name(curve: Pool) -> str:
    return str(curve.runs[0].attributes["dataset"])


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order)), name


def _shown(content: list[Content], what: str, left_out: list[str]) -> list[Content]:
    if len(content) > MOST:
        left_out.append(f"{MOST} of {len(content)} {what} are shown; filter them, as {_FILTERS}.")
    return content[:MOST]
