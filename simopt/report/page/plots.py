"""The plots of the page: a figure, a sentence that says what it shows, and its numbers as tables."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import plotly.graph_objects as go

from simopt.analysis.good_score import GoodScore
from simopt.report.document import Part
from simopt.report.panels import shown_pcs
from simopt.report.pools import Pool, band, pool
from simopt.report.tables import Summary, mean_reached
from simopt.store.reader import Run
from simopt.typing import FloatArray

DASHES = ("solid", "dash", "dashdot", "dot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon")
MOST_CURVES = 20
"""In one plot; more are continued in the next one."""
MOST_REPLICATES = 5
"""As many replicates are drawn one by one."""
MOST_POINTS, FEWEST_POINTS, ALL_POINTS = 300, 30, 400_000
"""Of a curve at most and at least, and of all curves of a page together."""

INK = "#1b1b1b"
THEME = {"ink": INK, "quiet": "#565656", "paper": "#ffffff", "line": "#d4d7dc"}
"""The colors of text, secondary text, background and grid on a light page."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#b8568f", "#b77e00", "#3a96cf", "#000000")
"""Of measures: those of Okabe and Ito (2008), some of them darker, so that they stand out on white."""
PC_COLORS = (
    "#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#4fb85a", "#7aad27", "#a79a00",
)  # fmt: skip

_DARK = (
    "#ececec", "#b0b0b0", "#15181c", "#3b424b",
    "#5aa9ff", "#ff8a3d", "#2ecc9b", "#eda6cf", "#ffc247", "#a6dcff", "#ffffff",
    "#fde725", "#c8e020", "#90d743", "#5ec962", "#35b779", "#2fb3a0", "#45a3c0", "#6d95d6", "#9a8ae0",
)  # fmt: skip

Content = TypeVar("Content")
GoodScores = Mapping[int, Mapping[str, GoodScore]]


def faint(color: str) -> str:
    """Return the color of an area whose outline has a color, ``#rrggbb``."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"


DARK = dict(zip([*THEME.values(), *COLORS, *PC_COLORS], _DARK, strict=True))
"""The color on a dark page for each color on a light one."""
DARK |= {faint(light): faint(dark) for light, dark in DARK.items()}


class Plot(Part):
    """One plot.

    Parameters
    ----------
    title, xlabel, ylabel : str
        The title names the dataset with its source.
    log_x : array, optional
        What stands on the x axis, where it is logarithmic.

    Attributes
    ----------
    figure : plotly.graph_objects.Figure
    sentence : str
        What the plot shows, in words and numbers.
    tables : list of (caption, names, columns)
        The numbers drawn.
    """

    def __init__(self, title: str, xlabel: str, ylabel: str, log_x: FloatArray | None = None) -> None:
        self.title, self.xlabel, self.ylabel = title, xlabel, ylabel
        self.sentence = ""
        self.tables: list[tuple[str, list[str], list[list[Any]]]] = []
        self.figure = go.Figure(
            layout={
                "template": "none",
                "title": {"text": label(title)},
                "xaxis": {"title": {"text": label(xlabel)}},
                "yaxis": {"title": {"text": label(ylabel)}},
            }
        )
        if log_x is not None:
            self.figure.update_xaxes(type="log")
            positive = log_x[log_x > 0]
            if len(positive) and positive.max() >= 100 * positive.min():
                self.figure.update_xaxes(dtick=1)

    def table(self, caption: str, columns: Mapping[str, FloatArray]) -> None:
        """Add a table of columns by name."""
        self.tables.append((caption, list(columns), [numbers(values) for values in columns.values()]))

    def trace(
        self,
        name: str,
        x: FloatArray,
        y: FloatArray,
        color: str,
        *,
        mode: str = "lines",
        dash: str = "solid",
        symbol: str = "circle",
        legend: bool = True,
        group: str | None = None,
        **style: Any,
    ) -> None:
        """Add a curve, a row of marks or an area; ``style`` goes to :class:`plotly.graph_objects.Scatter`."""
        if "lines" in mode:
            style["line"] = {"color": color, "dash": dash}
        if "markers" in mode:
            style["marker"] = {"color": color, "symbol": symbol}
        self.figure.add_scatter(
            name=label(name), x=np.asarray(x, np.float32), y=np.asarray(y, np.float32), mode=mode,
            showlegend=legend, legendgroup=group, **style,
        )  # fmt: skip

    def band(self, name: str, x: FloatArray, low: FloatArray, high: FloatArray, color: str) -> None:
        """Add the area between two curves, in the legend's group of its name."""
        outline = np.column_stack([np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])])
        self.area(name, outline, color)
        self.figure.data[-1].update(showlegend=False, hoverinfo="skip", line_width=0)

    def area(self, name: str, outline: FloatArray, color: str) -> None:
        """Add an outline, (N, 2), and the area within it."""
        x, y = outline.T
        self.trace(name, x, y, color, group=name, fill="toself", fillcolor=faint(color))

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the script of the page."""
        return {"figure": self.figure.to_plotly_json(), "tables": self.tables}


def error_bars(color: str, above: FloatArray, below: FloatArray | None = None) -> dict[str, Any]:
    """Return how far error bars go, up and down; without ``below`` as far down as up."""
    bars = {"array": np.asarray(above, np.float32), "color": color}
    return bars if below is None else {**bars, "arrayminus": np.asarray(below, np.float32)}


def label(text: str) -> str:
    """Return text for plotly, which takes tags and entities in labels as such."""
    return html.escape(text, quote=False)


def numbers(values: FloatArray) -> list[Any]:
    """Return five digits of each number, integers whole, and null for what is not finite."""
    if np.issubdtype(values.dtype, np.integer):
        return list(values.tolist())
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]


def points_per_curve(runs: Sequence[Run]) -> int:
    """Return how many points a curve of these runs may have for the page to stay small."""
    curves = 0
    for run in runs:
        replicates = min(run.score.shape[1], MOST_REPLICATES)
        curves += 3 + replicates * (1 + len(shown_pcs(len(run.pc_variance))))
    return max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // max(curves, 1)))


def thin(columns: FloatArray, most: int) -> np.ndarray:
    """Return indices of at most so many rows, ends included, at even distances along the curves.

    The distance of two neighboring rows is the largest change of any column, as a share of its range, or the
    share of one row: so steep parts keep more rows than flat ones.

    Parameters
    ----------
    columns : array, (T, C)
    most : int, at least 2

    Returns
    -------
    array of int, (at most ``most``,)
    """
    rows = len(columns)
    if rows <= most:
        return np.arange(rows)
    known = np.where(np.isfinite(columns), columns, 0.0)
    span = np.ptp(known, axis=0)
    change = np.abs(np.diff(known, axis=0)) / np.where(span > 0, span, 1.0)
    way = np.concatenate([[0.0], np.cumsum(np.maximum(change.max(axis=1), 1 / rows))])
    return np.unique(np.searchsorted(way, np.linspace(0, way[-1], most)).clip(0, rows - 1))


def score_plots(runs: Sequence[Run], points: int) -> Iterator[Plot]:
    """Yield score against step, for each dataset and source: means over replicates and their range."""
    for dataset, pools, part in _parts(runs):
        plot = Plot(f"{dataset}: score against step{part}", "step", "score")
        curves = []
        for index, curve in enumerate(pools):
            mean = _add_pool(plot, curve, index, *curve.over_steps(), points)
            curves.append((curve.label, mean[0], curve.final_score, max(run.step[-1] for run in curve.runs)))
        plot.sentence = _scores_sentence(curves)
        yield plot


def captured_plot(run: Run, summary: Summary, points: int) -> Plot:
    """Return captured variance of some PCs against score, a line for each replicate."""
    shown = shown_pcs(len(run.pc_variance))
    replicates = min(run.score.shape[1], MOST_REPLICATES)
    name = f"{run.dataset}, {run.measure} {run.run_id.rpartition('-')[2][:6]}"
    plot = Plot(f"{name}: captured variance", "score", "captured variance")
    plot.figure.update_yaxes(range=(-0.02, 1.02))
    for r in range(replicates):
        captured = run.captured_variance[:, r, [pc - 1 for pc in shown]].astype(np.float64)
        columns = np.column_stack([run.score[:, r], captured])
        score, *curves = columns[thin(columns, points)].T
        names = [f"PC {pc}" for pc in shown]
        caption = f"{run.dataset}, {run.measure}, seed {run.attributes['seeds'][r]}"
        plot.table(caption, {"score": score, **dict(zip(names, curves, strict=True))})
        for index, (pc, curve) in enumerate(zip(shown, curves, strict=True)):
            name = f"PC {pc} ({run.pc_variance[pc - 1]:.1%})"
            dash = DASHES[index % len(DASHES)]
            plot.trace(name, score, curve, PC_COLORS[index], dash=dash, legend=r == 0, group=str(pc))
    plot.sentence = _captured_sentence(run, summary, replicates)
    return plot


def half_capture_plots(runs: Sequence[Run]) -> Iterator[Plot]:
    """Yield the score at half capture against explained variance, for each dataset and source.

    Means over the replicates that half captured a PC, and their range. A PC that none did has no mark; the
    sentence and the table count it.
    """
    for dataset, pools, part in _parts(runs):
        title = f"{dataset}: score at half capture of each PC{part}"
        ratios = np.concatenate([curve.pc_variance for curve in pools])
        plot = Plot(title, "explained variance ratio of the PC", "score at half capture", ratios)
        sentences = []
        for index, curve in enumerate(pools):
            halves, color = curve.half_capture, COLORS[index % len(COLORS)]
            mean, spread = mean_reached(halves), band(halves, axis=0)
            at = thin(np.column_stack([np.arange(len(mean)), mean]), MOST_POINTS)
            ratio, half, low, high = (v[at] for v in (curve.pc_variance, mean, spread.low, spread.high))
            missing = (~np.isfinite(halves)).sum(axis=0)
            table = {"PC": at + 1, plot.xlabel: ratio, plot.ylabel: half, "least": low, "largest": high}
            table[f"replicates of {len(halves)} that never did"] = missing[at]
            plot.table(f"{dataset}, {curve.label}", table)
            bars = error_bars(color, np.nan_to_num(high - half), np.nan_to_num(half - low))
            plot.trace(
                curve.label, ratio, half, color, mode="markers", symbol=SYMBOLS[index % len(SYMBOLS)],
                error_y=bars if curve.replicates > 1 else None,
            )  # fmt: skip
            never = int(np.isnan(mean).sum())
            drawn = f", {len(at)} of them in the plot" if len(at) < len(mean) else ""
            sentences.append(
                f"{curve.label}: {never} of {len(mean)} PCs{drawn}, up to score {curve.final_score:.3f}"
            )
        plot.sentence = f"Never half captured, so without a mark: {'; '.join(sentences)}."
        yield plot


def decoding_plots(runs: Sequence[Run], good_scores: GoodScores) -> Iterator[Plot]:
    """Yield decoding against score, for each dataset and source, and each task variable.

    Parameters
    ----------
    runs : sequence of Run
    good_scores : mapping
        Of each run, by its id(), and each variable, from all rows of its file.
    """
    decoded = [run for run in runs if run.decoding and len(run.decoding_step)]
    for variable in sorted({name for run in decoded for name in run.decoding}):
        for dataset, pools, part in _parts([run for run in decoded if variable in run.decoding]):
            members = [run for curve in pools for run in curve.runs]
            kinds = {int(run.reference_decoding[variable]["classes"]) for run in members}
            what = "R2" if kinds == {0} else "accuracy"
            plot = Plot(f"{dataset}: decoding of {variable}{part}", "score", what)
            sentences = []
            for index, curve in enumerate(pools):
                mean = _add_pool(plot, curve, index, *curve.decoding(variable), MOST_POINTS)
                good = curve.good_score(variable, good_scores)
                sentences.append(_decoding_sentence(curve, variable, mean, good))
            _add_references(plot, members, variable)
            plot.sentence = f"{what[0].upper()}{what[1:]}: {'; '.join(sentences)}."
            yield plot


def _add_pool(
    plot: Plot, curve: Pool, index: int, at: FloatArray, values: FloatArray, points: int
) -> FloatArray:
    """Add what replicates (T, R) have along an axis (T,): their mean, which is returned, and their range."""
    color, dash = COLORS[index % len(COLORS)], DASHES[index % len(DASHES)]
    spread = band(values)
    columns = {plot.xlabel: at, plot.ylabel: spread.mean}
    several = curve.replicates > 1
    if several:
        columns |= {"least": spread.low, "largest": spread.high}
    rows = thin(np.column_stack(list(columns.values())), points)
    plot.table(f"{curve.dataset}, {curve.label}", {name: column[rows] for name, column in columns.items()})
    if several:
        plot.band(curve.label, at[rows], spread.low[rows], spread.high[rows], color)
    mode = "lines+markers" if plot.xlabel == "score" and not several else "lines"
    plot.trace(curve.label, at[rows], spread.mean[rows], color, mode=mode, dash=dash, group=curve.label)
    return spread.mean


def _add_references(plot: Plot, runs: Sequence[Run], variable: str) -> None:
    """Add level lines of what is decoded from the recording, and by guessing: one for each value."""
    scores = np.concatenate([run.decoding_score.ravel() for run in runs])
    ends = np.array([np.fmin.reduce(scores), np.fmax.reduce(scores)])  # NaN aside
    for key, name, dash in (("accuracy", "recording", "dash"), ("chance", "chance", "dot")):
        for value in sorted({float(run.reference_decoding[variable][key]) for run in runs}):
            level = np.full(2, value)
            plot.table(f"{plot.title}: {name}", {"score": ends, plot.ylabel: level})
            plot.trace(f"{name} {value:.2f}", ends, level, INK, dash=dash)


def pages(content: Sequence[Content], most: int, what: str = "") -> Iterator[tuple[list[Content], str]]:
    """Yield so many at a time, one page at least, and which of how many these are."""
    count = len(content)
    for first in range(0, max(count, 1), most):
        some = list(content[first : first + most])
        yield some, f", {what}{first + 1} to {first + len(some)} of {count}" if count > most else ""


def _parts(runs: Sequence[Run]) -> Iterator[tuple[str, list[Pool], str]]:
    """Yield the curves of each dataset and source, so many at a time, and which of how many these are."""
    pools = sorted(pool(runs), key=lambda curve: (curve.dataset, curve.measure))
    for dataset, group in groupby(pools, key=lambda curve: curve.dataset):
        for some, part in pages(list(group), MOST_CURVES):
            yield dataset, some, part


def _scores_sentence(curves: Sequence[tuple[str, float, float, int]]) -> str:
    """Say from which mean score to which the replicates of each curve go, in how many steps."""
    if len(curves) <= 4:
        ways = [f"{name} goes from {start:.3f} to {end:.3f} in {n} steps" for name, start, end, n in curves]
        told = "; ".join(ways)
    else:
        _, _, ends, steps = zip(*curves, strict=True)
        told = f"{len(curves)} curves end at scores from {min(ends):.3f} to {max(ends):.3f} after "
        told += f"{min(steps)} to {max(steps)} steps"
    return f"{told}. A band is the range over replicates."


def _captured_sentence(run: Run, summary: Summary, replicates: int) -> str:
    halves = [
        f"PC {pc} ({run.pc_variance[pc - 1]:.1%} of variance) "
        + ("never" if np.isnan(score) else f"at {score:.3f}")
        for pc, score in summary.half_capture.items()
    ]
    count = run.score.shape[1]
    left = f" The first {replicates} of {count} replicates are drawn." if count > replicates else ""
    return (
        f"Half captured: {', '.join(halves)}. {summary.never_captured:.0%} of all {len(run.pc_variance)} PCs "
        f"never were, up to score {summary.final_score:.3f}.{left}"
    )


def _decoding_sentence(curve: Pool, variable: str, mean: FloatArray, good: GoodScore | None) -> str:
    ends = mean[np.isfinite(mean)]
    goes = f" goes from {ends[0]:.2f} to {ends[-1]:.2f}" if len(ends) else ""
    accuracy, chance = curve.reference(variable) or (np.nan, np.nan)
    known = f"recording {accuracy:.2f}, chance {chance:.2f}"
    return f"{curve.label}{goes} ({known}), good score {'not defined' if good is None else good.worded()}"
