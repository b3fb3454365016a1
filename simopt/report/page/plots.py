"""The plots of the page. Each consists of a figure, a sentence on what it shows, and tables of its numbers.

A pool is a group of runs that differ only in their seeds (:class:`simopt.report.pools.Pool`).
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import plotly.graph_objects as go

from simopt.analysis.good_score import GoodScore
from simopt.report.document import Part
from simopt.report.panels import NOISE_LABEL, shown_pcs
from simopt.report.pools import Pool, band, by_dataset, pool
from simopt.report.style import COLORS, INK, MARKERS, STYLES, look
from simopt.report.tables import Summary
from simopt.store.reader import Run
from simopt.typing import FloatArray

DASHES = ("solid", "dash", "dashdot", "dot")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "triangle-left",
           "triangle-right")  # fmt: skip
"""Plotly's names for the line styles STYLES and markers MARKERS of figures, in the same order."""
MOST_CURVES = 20
"""The largest number of curves in a plot; further curves are in another plot."""
MOST_REPLICATES = 5
"""The largest number of replicates that are drawn as separate curves."""
MOST_POINTS, FEWEST_POINTS, ALL_POINTS = 300, 30, 400_000
"""The largest and smallest number of points of a curve, and the largest number on a page (20 MB)."""

THEME = {"ink": "#1b1b1b", "quiet": "#565656", "paper": "#ffffff", "line": "#d4d7dc"}
"""The colors of text, secondary text, background and grid, in this order, on a light page."""
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
    """Return the color of an area as ``rgba(...)``, given the color of its outline as ``#rrggbb``."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"


DARK = dict(zip([*THEME.values(), *COLORS, *PC_COLORS], _DARK, strict=True))
"""The color on a dark page for each color on a light page; ``page.js`` replaces colors by this table."""
DARK |= {faint(light): faint(dark) for light, dark in DARK.items()}


def trace_look(measure: str, variant: int = 0) -> tuple[str, str, str]:
    """Return :func:`simopt.report.style.look` of a measure as plotly's names of color, dash and symbol."""
    style = look(measure, variant)
    dash, symbol = DASHES[STYLES.index(style["linestyle"])], SYMBOLS[MARKERS.index(style["marker"])]
    return style["color"], dash, symbol


class Plot(Part):
    """A plot of the page.

    Parameters
    ----------
    title, xlabel, ylabel : str
        The title names the dataset with its source.
    log_x : array, optional
        All values on the x axis. If given, the axis is logarithmic.

    Attributes
    ----------
    figure : plotly.graph_objects.Figure
    sentence : str
        A caption that says what the plot shows, in words and numbers.
    tables : list of (caption, names, columns)
        Tables of the numbers that are drawn, with the names of their columns.
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
                self.figure.update_xaxes(dtick=1)  # labels at powers of ten only, over two of them or more

    def table(self, caption: str, columns: Mapping[str, FloatArray]) -> None:
        """Add a table; ``columns`` maps the name of each column to its numbers."""
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
        """Add a curve, markers or an area to the figure.

        Parameters
        ----------
        name : str
            The entry in the legend.
        x, y : array, (N,)
        color : str
            As ``#rrggbb``.
        mode : {"lines", "markers", "lines+markers"}
        dash, symbol : str
            Plotly's names of a line style and a marker.
        legend : bool
            Whether the legend has an entry.
        group : str, optional
            A click on one entry of the legend shows or hides all traces of the same group.
        **style
            Further options of :class:`plotly.graph_objects.Scatter`.
        """
        if "lines" in mode:
            style["line"] = {"color": color, "dash": dash}
        if "markers" in mode:
            style["marker"] = {"color": color, "symbol": symbol}
        # Single precision halves the page, and is finer than any dot.
        self.figure.add_scatter(
            name=label(name), x=np.asarray(x, np.float32), y=np.asarray(y, np.float32), mode=mode,
            showlegend=legend, legendgroup=group, **style,
        )  # fmt: skip

    def band(self, name: str, x: FloatArray, low: FloatArray, high: FloatArray, color: str) -> None:
        """Add the area between two curves; the legend entry of the curve ``name`` shows or hides the area."""
        outline = np.column_stack([np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])])
        self.area(name, outline, color)
        self.figure.data[-1].update(showlegend=False, hoverinfo="skip", line_width=0)

    def area(self, name: str, outline: FloatArray, color: str) -> None:
        """Add an outline, given by N corners as an array (N, 2), and fill the area inside."""
        x, y = outline.T
        self.trace(name, x, y, color, group=name, fill="toself", fillcolor=faint(color))

    def as_json(self) -> dict[str, Any]:
        """Return figure and tables as plain values, from which the script of the page draws them."""
        return {"figure": self.figure.to_plotly_json(), "tables": self.tables}


def error_bars(color: str, above: FloatArray, below: FloatArray | None = None) -> dict[str, Any]:
    """Return plotly's error bars with lengths ``above`` and ``below``; by default both lengths are equal."""
    bars = {"array": np.asarray(above, np.float32), "color": color}
    return bars if below is None else {**bars, "arrayminus": np.asarray(below, np.float32)}


def label(text: str) -> str:
    """Return a label that plotly shows exactly as ``text``, even if it contains HTML tags or entities."""
    return html.escape(text, quote=False)


def numbers(values: FloatArray) -> list[Any]:
    """Return numbers for a table: integers in full, others with five significant digits, NaN as None."""
    if np.issubdtype(values.dtype, np.integer):
        return list(values.tolist())
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]


def points_per_curve(runs: Sequence[Run]) -> int:
    """Return the number of points that each curve of these runs may have.

    It is from FEWEST_POINTS to MOST_POINTS and, if possible, gives at most ALL_POINTS points in all.
    """
    curves = 0
    for run in runs:
        replicates = min(run.score.shape[1], MOST_REPLICATES)
        # The mean with the two sides of its band, and of each replicate the score and all PCs shown.
        curves += 3 + replicates * (1 + len(shown_pcs(len(run.pc_variance))))
    return max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // max(curves, 1)))


def thin(columns: FloatArray, most: int) -> np.ndarray:
    """Choose at most ``most`` rows of a table of curves, so that plots of these rows look like plots of all.

    The first and the last row are chosen, and rows between them at equal distances. The distance of two
    neighboring rows is the largest change of a column divided by the range of that column, and at least 1 /
    T. Steep parts of a curve therefore keep more rows than flat parts.

    Parameters
    ----------
    columns : array, (T, C)
        The values of C curves in T rows.
    most : int, at least 2

    Returns
    -------
    array of int
        The indices of the chosen rows.
    """
    rows = len(columns)
    if rows <= most:
        return np.arange(rows)
    finite = np.where(np.isfinite(columns), columns, 0.0)
    span = np.ptp(finite, axis=0)  # (C,)
    change = np.abs(np.diff(finite, axis=0)) / np.where(span > 0, span, 1.0)  # (T - 1, C)
    length = np.concatenate([[0.0], np.cumsum(np.maximum(change.max(axis=1), 1 / rows))])  # (T,)
    return np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(0, rows - 1))


def score_plots(runs: Sequence[Run], points: int) -> Iterator[Plot]:
    """Yield a plot of score against step for each dataset and source: mean and range over replicates."""
    for dataset, pools, part in _parts(pool(runs)):
        plot = Plot(f"{dataset}: score against step{part}", "step", "score")
        curves = []
        for curve in pools:
            mean = _add_pool(plot, curve, *curve.over_steps(), points)
            curves.append((curve.label, mean[0], curve.final_score, max(run.step[-1] for run in curve.runs)))
        plot.sentence = _scores_sentence(curves)
        yield plot


def captured_plot(run: Run, summary: Summary, label: str, points: int) -> Plot:
    """Return a plot of the captured variance of some PCs against score, with a line for each replicate.

    A horizontal line shows the captured variance of noise.

    Parameters
    ----------
    run : Run
        A run with at least one logged state.
    summary : Summary
        The summary of the run.
    label : str
        The label of the run's curve in all plots.
    points : int
        The largest number of points of a line.
    """
    shown = shown_pcs(len(run.pc_variance))
    replicates = min(run.score.shape[1], MOST_REPLICATES)
    seeds = run.attributes["seeds"].tolist()
    of_seeds = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    plot = Plot(f"{run.dataset}, {label}, {of_seeds}: captured variance", "score", "captured variance")
    plot.figure.update_yaxes(range=(-0.02, 1.02))
    for r in range(replicates):
        captured = run.captured_variance[:, r, [pc - 1 for pc in shown]].astype(np.float64)
        columns = np.column_stack([run.score[:, r], captured])
        score, *curves = columns[thin(columns, points)].T
        names = [f"PC {pc}" for pc in shown]
        caption = f"{run.dataset}, {label}, seed {seeds[r]}"
        plot.table(caption, {"score": score, **dict(zip(names, curves, strict=True))})
        for index, (pc, curve) in enumerate(zip(shown, curves, strict=True)):
            name = f"PC {pc} ({run.pc_variance[pc - 1]:.1%})"
            dash = DASHES[index % len(DASHES)]
            plot.trace(name, score, curve, PC_COLORS[index], dash=dash, legend=r == 0, group=str(pc))
    (alone,) = pool([run])
    plot.trace(NOISE_LABEL, _ends(run.score[:, :replicates]), np.full(2, alone.noise_floor), INK, dash="dot")
    plot.sentence = _captured_sentence(alone, summary, replicates)
    return plot


def half_capture_plots(runs: Sequence[Run]) -> Iterator[Plot]:
    """Yield a plot of the score at half capture against explained variance for each dataset and source.

    :mod:`simopt.report.pools` defines half captures, and the criterion for noise. A marker shows the mean
    score over the replicates that half captured the PC. A bar shows the range of these scores. A PC has no
    marker if no replicate half captured it, or if noise half captures it as well. The sentence below the plot
    counts the PCs without a marker.
    """
    for dataset, pools, part in _parts(pool(runs)):
        title = f"{dataset}: score at half capture of each PC{part}"
        ratios = np.concatenate([curve.pc_variance for curve in pools])
        plot = Plot(title, "explained variance ratio of the PC", "score at half capture", ratios)
        sentences, by_noise = [], []
        for curve in pools:
            color, _, symbol = trace_look(curve.measure, curve.variant)
            spread = curve.half_capture_range
            mean = spread.mean
            at = thin(np.column_stack([np.arange(len(mean)), mean]), MOST_POINTS)  # PCs, from 0
            ratio, half, low, high = (v[at] for v in (curve.pc_variance, mean, spread.low, spread.high))
            missing = (~np.isfinite(curve.half_capture)).sum(axis=0)
            table = {"PC": at + 1, plot.xlabel: ratio, plot.ylabel: half, "least": low, "largest": high}
            table[f"replicates of {curve.replicates} that never did"] = missing[at]
            plot.table(f"{dataset}, {curve.label}", table)
            bars = error_bars(color, np.nan_to_num(high - half), np.nan_to_num(half - low))
            plot.trace(
                curve.label, ratio, half, color, mode="markers", symbol=symbol,
                error_y=bars if curve.replicates > 1 else None,
            )  # fmt: skip
            as_noise = curve.no_higher_than_noise
            never = int(np.isnan(mean).sum()) - as_noise
            drawn = f" (the plot shows {len(at)})" if len(at) < len(mean) else ""
            sentences.append(
                f"{curve.label}: {never} of {len(mean)} PCs{drawn}, up to score {curve.final_score:.3f}"
            )
            if as_noise:
                by_noise.append(f"{curve.label}: {as_noise} PCs")
        plot.sentence = f"PCs without a marker because Y never half captured them: {'; '.join(sentences)}."
        if by_noise:
            plot.sentence += f" PCs without one because noise half captures them, too: {'; '.join(by_noise)}."
        yield plot


def decoding_plots(runs: Sequence[Run], good_scores: GoodScores) -> Iterator[Plot]:
    """Yield a plot of decoding accuracy against score for each task variable of each dataset and source.

    Parameters
    ----------
    runs : sequence of Run
    good_scores : mapping
        The good scores of each run by variable, keyed by the ``id()`` of the run.
    """
    # All runs are pooled, so that a curve has the label and the look that it has in the other plots.
    curves = pool(runs)
    for variable in sorted({name for curve in curves for name in curve.variables}):
        for dataset, pools, part in _parts([curve for curve in curves if variable in curve.variables]):
            members = [run for curve in pools for run in curve.runs if variable in run.decoding]
            kinds = {int(run.reference_decoding[variable]["classes"]) for run in members}
            what = "R2" if kinds == {0} else "accuracy"
            plot = Plot(f"{dataset}: decoding of {variable}{part}", "score", what)
            sentences = []
            for curve in pools:
                mean = _add_pool(plot, curve, *curve.decoding(variable), MOST_POINTS)
                good = curve.good_score(variable, good_scores)
                sentences.append(_decoding_sentence(curve, variable, mean, good))
            _add_references(plot, members, variable)
            plot.sentence = f"{what[0].upper()}{what[1:]}: {'; '.join(sentences)}."
            yield plot


def _add_pool(plot: Plot, curve: Pool, at: FloatArray, values: FloatArray, points: int) -> FloatArray:
    """Draw mean and range over replicates of ``values``, (T, R), against ``at``, (T,); return the mean."""
    color, dash, _ = trace_look(curve.measure, curve.variant)
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
    """Add a horizontal line at each accuracy from the recording, and at each chance level, of the runs."""
    ends = _ends(np.concatenate([run.decoding_score.ravel() for run in runs]))
    for key, name, dash in (("accuracy", "recording", "dash"), ("chance", "chance", "dot")):
        for value in sorted({float(run.reference_decoding[variable][key]) for run in runs}):
            level = np.full(2, value)
            plot.table(f"{plot.title}: {name}", {"score": ends, plot.ylabel: level})
            plot.trace(f"{name} {value:.2f}", ends, level, INK, dash=dash)


def _ends(scores: FloatArray) -> FloatArray:
    """Return the least and the largest score, ignoring NaN."""
    return np.array([np.fmin.reduce(scores, axis=None), np.fmax.reduce(scores, axis=None)])


def pages(content: Sequence[Content], most: int, what: str = "") -> Iterator[tuple[list[Content], str]]:
    """Yield pages of at most ``most`` entries, each page with a text such as ``, measures 1 to 10 of 12``.

    ``what`` is the word before the numbers. A single page has no text. No entries give one empty page.
    """
    count = len(content)
    for first in range(0, max(count, 1), most):
        some = list(content[first : first + most])
        yield some, f", {what}{first + 1} to {first + len(some)} of {count}" if count > most else ""


def _parts(curves: Sequence[Pool]) -> Iterator[tuple[str, list[Pool], str]]:
    """Yield dataset, curves and the text of :func:`pages`, with at most MOST_CURVES curves at a time."""
    for dataset, group in by_dataset(curves):
        for some, part in pages(group, MOST_CURVES):
            yield dataset, some, part


def _scores_sentence(curves: Sequence[tuple[str, float, float, int]]) -> str:
    """Return a sentence with the mean scores at start and end of each curve, and its number of steps."""
    if len(curves) <= 4:
        text = "; ".join(f"{name} goes from {a:.3f} to {b:.3f} in {n} steps" for name, a, b, n in curves)
    else:
        _, _, ends, steps = zip(*curves, strict=True)
        text = f"{len(curves)} curves end at scores from {min(ends):.3f} to {max(ends):.3f} after "
        text += f"{min(steps)} to {max(steps)} steps"
    return f"{text}. A band is the range over replicates."


def _captured_sentence(curve: Pool, summary: Summary, replicates: int) -> str:
    above = curve.half_capture_range.mean
    halves = []
    for pc, score in summary.half_capture.items():
        when = "never" if np.isnan(score) else f"at {score:.3f}"
        if np.isfinite(score) and np.isnan(above[pc - 1]):
            when = "by noise as well"
        halves.append(f"PC {pc} ({curve.pc_variance[pc - 1]:.1%} of variance) {when}")
    count = summary.replicates
    left = f" The first {replicates} of {count} replicates are drawn." if count > replicates else ""
    return (
        f"{curve.noise_words()}. Half captured: {', '.join(halves)}. {summary.never_captured:.0%} of all "
        f"{len(curve.pc_variance)} PCs were never half captured, up to score {summary.final_score:.3f}.{left}"
    )


def _decoding_sentence(curve: Pool, variable: str, mean: FloatArray, good: GoodScore | None) -> str:
    ends = mean[np.isfinite(mean)]
    goes = f" goes from {ends[0]:.2f} to {ends[-1]:.2f}" if len(ends) else ""
    accuracy, chance = curve.reference(variable) or (np.nan, np.nan)
    levels = f"recording {accuracy:.2f}, chance {chance:.2f}"
    return f"{curve.label}{goes} ({levels}), good score {'not defined' if good is None else good.worded()}"
