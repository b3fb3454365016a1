"""Figures of stored runs. Each shows one dataset and source: real and surrogate data are not mixed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from simopt.report import style
from simopt.report.panels import draw_pcs, draw_score, shown_pcs
from simopt.report.pools import Pool, by_dataset, pool
from simopt.report.style import INK, PAPER
from simopt.store.reader import Run
from simopt.typing import FloatArray


@mpl.rc_context(PAPER)
def save_spectrum(spectrum: FloatArray, title: str, path: Path) -> Path:
    """Draw the explained variance ratio of each PC on logarithmic axes into a file, and return its path.

    Parameters
    ----------
    spectrum : array, (K,)
        The explained variance ratio of each of K PCs.
    title : str
    path : Path
        A .png, .pdf or .svg file.

    Raises
    ------
    InputError
        The path has another suffix, or the file cannot be written.
    """
    grid = style.Panels(1, 1, 2.15)
    (ax,) = grid.axes
    ax.loglog(np.arange(1, len(spectrum) + 1), spectrum, ".-", color=INK, markersize=3, linewidth=0.8)
    ax.set(xlabel="principal component", ylabel="explained variance ratio", title=style.plain(title))
    return style.save(grid.figure, path)


@mpl.rc_context(PAPER)
def save_figures(runs: Sequence[Run], folder: Path, suffixes: Sequence[str] = (".png",)) -> list[Path]:
    """Draw two figures for each dataset and source, and return the paths of the files.

    ``DATASET_SOURCE_score`` shows score against step, ``DATASET_SOURCE_captured`` the captured variance of
    some PCs against score.

    Parameters
    ----------
    runs : sequence of Run
    folder : Path
    suffixes : sequence of str
        The types in which each figure is written: any of ``.png``, ``.pdf`` and ``.svg``.

    Raises
    ------
    InputError
        A suffix is unknown, or a file cannot be written.
    """
    written = []
    for _, pools in by_dataset(pool(runs)):
        name = style.stem(pools[0].name, pools[0].source)
        for kind, figure in (("score", _scores(pools)), ("captured", _captured(pools))):
            written += [style.save(figure, folder / f"{name}_{kind}{suffix}") for suffix in suffixes]
    return written


def _scores(pools: Sequence[Pool]) -> Figure:
    grid = style.Panels(1, 1, 1.85)
    draw_score(pools, grid.axes[0])
    return grid.with_legend(style.legend_handles(grid.axes))


def _captured(pools: Sequence[Pool]) -> Figure:
    grid = style.Panels(len(pools), 3, 2.0)
    shares: dict[str, set[str]] = {}
    for ax, curve in zip(grid.axes, pools, strict=True):
        draw_pcs(curve, ax)
        facts = curve.noise_words().replace(", noise", "\nnoise")
        grid.set_title(ax, f"{curve.dataset}, {curve.label}\n{facts}")
        for pc in shown_pcs(len(curve.pc_variance)):
            shares.setdefault(f"PC {pc}", set()).add(f"PC {pc} ({100 * curve.pc_variance[pc - 1]:.2g}%)")
    grid.leave_outer_labels()
    # Data of one name may differ, and with them the explained variance; the legend then names the PC alone.
    names = {name: "".join(longer) for name, longer in shares.items() if len(longer) == 1}
    handles = style.legend_handles(grid.axes)
    return grid.with_legend({names.get(name, name): handle for name, handle in handles.items()})
