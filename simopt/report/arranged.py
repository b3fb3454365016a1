"""The paper's figures in their published arrangement, drawn from whatever is stored (arXiv 2407.07059)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simopt.report.grid import Grid
from simopt.report.joint import draw_region, draw_square, legend_of
from simopt.report.panels import SHOWN_PCS, draw_decoding, draw_half_capture, draw_pcs, pc_handles
from simopt.report.pools import Pool, pool
from simopt.report.sensitivity import draw_sensitivity
from simopt.report.style import PAPER, check_suffixes, look, plain, save, stem
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange

DATASETS = ("mante", "siegel", "hatsopoulos", "majaj", "freeman_ziemba")
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
MOST = 12
"""Of measures, of datasets and of panels a figure shows at most so many."""

_RIDGE = re.compile(r"ridge(\d+)_cv5")
_ANGLE = 90.0
_GUIDE = "#444444"
_PC_HEIGHT = 1.05
_ACROSS = 5

Told = list[str]
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
    every = pool(runs)
    sources = {
        *(each.source for each in every),
        *(found.source for found in sensitivities),
        *(found.source for found in joints),
    }
    written: list[Path] = []
    told: Told = []
    for source in sorted(sources):
        pools = [each for each in every if each.source == source]
        curves = [found for found in sensitivities if found.source == source]
        pairs = [found for found in joints if found.source == source]
        left_out: defaultdict[str, Told] = defaultdict(list)
        figures = {
            "decoding_vs_score": decoding_vs_score(pools, left_out["decoding_vs_score"]),
            "pcs_vs_score": pcs_vs_score(pools, left_out["pcs_vs_score"]),
            "half_capture_vs_variance": half_capture_vs_variance(pools, left_out["half_capture_vs_variance"]),
            "sensitivity": sensitivity(curves, left_out["sensitivity"]),
            "joint_ranges": joint_ranges(pairs, left_out["joint_ranges"]),
            "ridge_lambda": ridge_lambda(pools, left_out["ridge_lambda"]),
        }
        for name, figure in figures.items():
            told += [f"{name} ({source}): {line}" for line in left_out[name]]
            if figure is not None:
                written += [save(figure, folder / f"{stem(name, source)}{suffix}") for suffix in suffixes]
    return written, told


def decoding_vs_score(pools: Sequence[Pool], told: Told) -> Figure | None:
    """Return decoding accuracy against score, a panel a dataset and variable, all measures."""
    return _decoding([each for each in pools if each.variables], told)


def ridge_lambda(pools: Sequence[Pool], told: Told) -> Figure | None:
    """Return the same of cross-validated ridge regression alone, a curve a lambda; there are several."""
    lambdas = sorted(
        (each for each in pools if each.variables and _RIDGE.fullmatch(each.measure)),
        key=lambda each: int(each.measure.removeprefix("ridge").removesuffix("_cv5")),
    )
    of = {
        each.dataset: {other.measure for other in lambdas if other.dataset == each.dataset}
        for each in lambdas
    }
    return _decoding([each for each in lambdas if len(of[each.dataset]) > 1], told, in_order=True)


def _decoding(pools: Sequence[Pool], told: Told, *, in_order: bool = False) -> Figure | None:
    if not pools:
        return None
    recordings = _recordings(pools, told, in_order=in_order)
    panels = [
        (name, group, variable)
        for name, group in recordings.items()
        for variable in dict.fromkeys(name for each in group for name in each.variables)
    ]
    panels = _shown(sorted(panels, key=lambda panel: not _is_first(panel[1][0], panel[2])), "panels", told)
    shown = [each for _, group, _ in panels for each in group]
    looks = _looks(pools if in_order else shown, in_order=in_order)
    grid = Grid(len(panels), columns=_ACROSS if len(panels) >= _ACROSS else 3, height=1.3)
    for ax, (name, group, variable) in zip(grid.axes, panels, strict=True):
        draw_decoding(ax, group, variable, looks)
        ax.set(title=plain(f"{name}\n{variable}"), ylabel="decoding accuracy")
    guides = {
        "recording": Line2D([], [], color=_GUIDE, linewidth=0.7, linestyle="--"),
        "chance": Line2D([], [], color=_GUIDE, linewidth=0.7, linestyle=":"),
        "good score (90 %)": Line2D([], [], color=_GUIDE, marker="o", markersize=4, linestyle="none"),
    }
    return grid.finish({**_handles(looks), **guides})


def pcs_vs_score(pools: Sequence[Pool], told: Told) -> Figure | None:
    """Return captured variance of some PCs against score: a row a dataset, a column a measure."""
    if not pools:
        return None
    recordings = _recordings(pools, told)
    rows = _shown([(name, _columns(group)) for name, group in recordings.items()], "datasets", told)
    columns = sorted(
        {key for _, there in rows for key in there}, key=lambda key: (key[0], _place(key[1], MEASURES))
    )
    columns = _shown(columns, "measures", told)
    grid = Grid(len(rows) * len(columns), columns=len(columns), height=_PC_HEIGHT, apart=False)
    for at, ax in enumerate(grid.axes):
        row, column = divmod(at, len(columns))
        (name, there), key = rows[row], columns[column]
        ax.set_visible(key in there)
        if key in there:
            draw_pcs(ax, there[key])
            ax.locator_params(axis="x", nbins=3)
            if there[key].label != key[1]:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
                more = plain(there[key].label)
                ax.text(0.96, 0.06, more, transform=ax.transAxes, ha="right", fontsize=6, bbox=box)
        top = min(i for i, (_, other) in enumerate(rows) if key in other)
        ax.set_title(plain(key[1]) if row == top else "")
        first = min(j for j, other in enumerate(columns) if other in there)
        ax.set_ylabel(plain(f"{name}\ncaptured variance".replace(" (", "\n(")) if column == first else "")
    largest = max(len(each.pc_variance) for _, there in rows for each in there.values())
    return grid.finish(pc_handles([pc for pc in SHOWN_PCS if pc <= largest]))


def half_capture_vs_variance(pools: Sequence[Pool], told: Told) -> Figure | None:
    """Return the score at half capture against explained variance ratio, a panel a dataset, all measures."""
    if not pools:
        return None
    panels = _shown(list(_recordings(pools, told).items()), "datasets", told)
    looks = _looks([each for _, group in panels for each in group])
    grid = Grid(len(panels), columns=3, height=1.7)
    for ax, (name, group) in zip(grid.axes, panels, strict=True):
        draw_half_capture(ax, group, looks)
        ax.set_title(plain(name))
    return grid.finish(_handles(looks, line=False))


def sensitivity(found: Sequence[Sensitivities], told: Told) -> Figure | None:
    """Return scores after perturbing single PCs against their variance, a panel a dataset."""
    usable = [each for each in found if each.curves and each.perturbation != "noise_all"]
    best: dict[str, Sensitivities] = {}
    for each in sorted(usable, key=_published, reverse=True):
        best.setdefault(each.dataset, each)
    if len(best) < len(usable):
        told.append(f"one perturbation of each dataset is shown, {len(usable) - len(best)} more are stored.")
    panels = _shown(sorted(best.values(), key=lambda each: _place(each.dataset, DATASETS)), "datasets", told)
    if not panels:
        return None
    names = sorted(
        {curve.measure for each in panels for curve in each.curves}, key=lambda name: _place(name, MEASURES)
    )
    looks = {
        name: at for at, name in enumerate([name for name in names if name in SENSITIVE] or names[:MOST])
    }
    grid = Grid(len(panels), columns=3, height=1.5)
    for ax, each in zip(grid.axes, panels, strict=True):
        at = each.strengths.index(_ANGLE) if _ANGLE in each.strengths else 0
        curves = [curve for curve in each.curves if curve.measure in looks]
        xlabel = "explained variance ratio of the perturbed PC"
        draw_sensitivity(ax, curves, each.variance_ratio, at, xlabel=xlabel, log=True, looks=looks)
        unit = "°" if each.perturbation == "rotation" else ""
        how = f"{each.perturbation} {each.strengths[at]:g}{unit}"
        ax.set_title(plain(f"{each.dataset} ({each.source})\n{how}"))
    return grid.finish(_handles(looks))


def joint_ranges(found: Sequence[JointRange], told: Told) -> Figure | None:
    """Return which scores of two measures can occur together, a panel a pair and dataset."""
    usable = [each for each in found if each.region is not None or each.square is not None]
    ordered = sorted(usable, key=lambda each: (_place(each.dataset, DATASETS), each.names, each.mode))
    panels = _shown(ordered, "pairs", told)
    if not panels:
        return None
    grid = Grid(len(panels), columns=3, height=1.9, labels=True)
    for ax, each in zip(grid.axes, panels, strict=True):
        if each.region is not None:
            draw_region(ax, each.region, bounds=each.proved_range(), square=each.square)
        elif each.square is not None:
            draw_square(ax, each.square, each.names)
        verdict = f": {each.verdict}" if each.verdict else ""
        ax.set_title(plain(f"{each.dataset} ({each.source}){verdict}"))
    return grid.finish(legend_of(grid.axes))


def _recordings(pools: Sequence[Pool], told: Told, *, in_order: bool = False) -> dict[str, list[Pool]]:
    """Return the pools by recording, in the paper's order; data that differ under one name are told apart."""
    groups: dict[tuple[str, str], list[Pool]] = {}
    for each in sorted(pools, key=lambda each: _place(_name(each), DATASETS)):
        groups.setdefault((each.dataset, each.data_hash), []).append(each)
    names = [dataset for dataset, _ in groups]
    found: dict[str, list[Pool]] = {}
    for (dataset, data), group in groups.items():
        name = dataset if names.count(dataset) == 1 else f"{dataset}, data {data[:6]}"
        ranked = group if in_order else _ranked(group)
        if len(ranked) > MOST:
            told.append(f"{MOST} of {len(ranked)} curves of {name} are shown; filter them, as measure=cka.")
        found[name] = ranked[:MOST]
    return found


def _ranked(pools: Sequence[Pool]) -> list[Pool]:
    """Return the first pool of every measure, in the paper's order, then the second of every measure."""
    by_column = _columns(pools)
    return [by_column[key] for key in sorted(by_column, key=lambda key: (key[0], _place(key[1], MEASURES)))]


def _columns(pools: Sequence[Pool]) -> dict[tuple[int, str], Pool]:
    """Return pools by measure, and by which pool of this measure they are."""
    found: dict[tuple[int, str], Pool] = {}
    for each in pools:
        rank = sum(measure == each.measure for _, measure in found)
        found[rank, each.measure] = each
    return found


def _looks(pools: Sequence[Pool], *, in_order: bool = False) -> dict[str, int]:
    ranked = list(pools) if in_order else _ranked_over_recordings(pools)
    return {label: at for at, label in enumerate(dict.fromkeys(each.label for each in ranked))}


def _ranked_over_recordings(pools: Sequence[Pool]) -> list[Pool]:
    return sorted(pools, key=lambda each: (_place(each.measure, MEASURES), each.label != each.measure))


def _published(each: Sensitivities) -> tuple[bool, bool, int, int]:
    """Return how near a result is to what the paper shows: every PC rotated by 90 degrees."""
    shown = sum(curve.measure in SENSITIVE for curve in each.curves)
    return each.perturbation == "rotation", _ANGLE in each.strengths, shown, each.seeds


def _handles(looks: dict[str, int], *, line: bool = True) -> dict[str, Line2D]:
    styles = {label: look(at) | ({} if line else {"linestyle": "none"}) for label, at in looks.items()}
    return {plain(label): Line2D([], [], **style) for label, style in styles.items()}


def _is_first(each: Pool, variable: str) -> bool:
    name = _name(each)
    return VARIABLES.get(name, each.variables[0] if each.variables else "") == variable


def _name(each: Pool) -> str:
    return str(each.runs[0].attributes["dataset"])


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order)), name


def _shown(every: list[Content], what: str, told: Told) -> list[Content]:
    if len(every) > MOST:
        told.append(f"{MOST} of {len(every)} {what} are shown; filter them, as dataset=majaj measure=cka.")
    return every[:MOST]
