"""The plots of the page: each is a figure, a sentence on what it shows, and its numbers as tables."""

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
"""Plotly's names of the line styles and markers of figures, in their order."""
MOST_CURVES = 20
"""The most curves of one plot; more are continued in the next one."""
MOST_REPLICATES = 5
"""The most replicates that are drawn one by one."""
MOST_POINTS, FEWEST_POINTS, ALL_POINTS = 300, 30, 400_000
"""The most and the fewest points of a curve, and the most of a page, which 400,000 keep below 20 MB."""

THEME = {"ink": "#1b1b1b", "quiet": "#565656", "paper": "#ffffff", "line": "#d4d7dc"}
"""The colors of text, secondary text, background and grid on a light page."""
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
    """Return the color of an area, as rgba, from that of its outline, ``#rrggbb``."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"


DARK = dict(zip([*THEME.values(), *COLORS, *PC_COLORS], _DARK, strict=True))
"""The color on a dark page for each color on a light page; ``page.js`` replaces every color by this table."""
DARK |= {faint(light): faint(dark) for light, dark in DARK.items()}


def trace_look(measure: str, variant: int = 0) -> tuple[str, str, str]:
    """Return the color, dash and symbol of a measure, which :func:`simopt.report.style.look` gives."""
    style = look(measure, variant)
    dash, symbol = DASHES[STYLES.index(style["linestyle"])], SYMBOLS[MARKERS.index(style["marker"])]
    return style["color"], dash, symbol


class Plot(Part):
    """One plot.

    Parameters
    ----------
    title, xlabel, ylabel : str
        The title names the dataset with its source.
    log_x : array, optional
        The values on the x axis, where it is logarithmic.

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
                self.figure.update_xaxes(dtick=1)  # labels at powers of ten only, over two of them or more

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
        """Add a curve, markers or an area; ``style`` goes to :class:`plotly.graph_objects.Scatter`."""
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
        """Add the area between two curves, which the legend shows and hides with the curve of its name."""
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
    """Return error bars with lengths ``above`` and ``below``, which are equal by default."""
    bars = {"array": np.asarray(above, np.float32), "color": color}
    return bars if below is None else {**bars, "arrayminus": np.asarray(below, np.float32)}


def label(text: str) -> str:
    """Return text that plotly shows as it is; it would read tags and entities in labels."""
    return html.escape(text, quote=False)


def numbers(values: FloatArray) -> list[Any]:
    """Return numbers for a table: five significant digits, integers in full, null for what is not finite."""
    if np.issubdtype(values.dtype, np.integer):
        return list(values.tolist())
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]


def points_per_curve(runs: Sequence[Run]) -> int:
    """Return how many points a curve of these runs may have, so that the page has at most ALL_POINTS."""
    curves = 0
    for run in runs:
        replicates = min(run.score.shape[1], MOST_REPLICATES)
        # The mean with the two sides of its band, and of each replicate the score and all PCs shown.
        curves += 3 + replicates * (1 + len(shown_pcs(len(run.pc_variance))))
    return max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // max(curves, 1)))


def thin(columns: FloatArray, most: int) -> np.ndarray:
    """Return the indices of at most ``most`` rows, first and last among them, evenly spaced along the curves.

    The distance of two neighboring rows is the largest change of any column as a share of the column's range,
    and at least 1 / T. So steep parts keep more rows than flat ones, and flat ones keep some.

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
    finite = np.where(np.isfinite(columns), columns, 0.0)
    span = np.ptp(finite, axis=0)  # (C,)
    change = np.abs(np.diff(finite, axis=0)) / np.where(span > 0, span, 1.0)  # (T - 1, C)
    length = np.concatenate([[0.0], np.cumsum(np.maximum(change.max(axis=1), 1 / rows))])  # (T,)
    return np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(0, rows - 1))


def score_plots(runs: Sequence[Run], points: int) -> Iterator[Plot]:
    """Yield score against step, for each dataset and source: means over replicates and their range."""
    for dataset, pools, part in _parts(pool(runs)):
        plot = Plot(f"{dataset}: score against step{part}", "step", "score")
        curves = []
        for curve in pools:
            mean = _add_pool(plot, curve, *curve.over_steps(), points)
            curves.append((curve.label, mean[0], curve.final_score, max(run.step[-1] for run in curve.runs)))
        plot.sentence = _scores_sentence(curves)
        yield plot


def captured_plot(run: Run, summary: Summary, label: str, points: int) -> Plot:
    """Return captured variance of some PCs against score, a line for each replicate, and that of noise.

    Parameters
    ----------
    run : Run
        With one logged state at least.
    summary : Summary
    label : str
        The label of the run's curve in the other plots.
    points : int
        The most points of a line.
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
    """Yield the score at half capture against explained variance, for each dataset and source.

    A marker is the mean over the replicates that half captured the PC, a bar their range. A PC that none half
    captured has no marker, nor has a half capture that is not above noise; the sentence counts both.
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
            drawn = f", {len(at)} of them in the plot" if len(at) < len(mean) else ""
            sentences.append(
                f"{curve.label}: {never} of {len(mean)} PCs{drawn}, up to score {curve.final_score:.3f}"
            )
            if as_noise:
                by_noise.append(f"{curve.label}: {as_noise} PCs")
        plot.sentence = f"Never half captured, so without a mark: {'; '.join(sentences)}."
        if by_noise:
            plot.sentence += f" Half captured by noise as well, so without a mark: {'; '.join(by_noise)}."
        yield plot


def decoding_plots(runs: Sequence[Run], good_scores: GoodScores) -> Iterator[Plot]:
    """Yield decoding against score, for each dataset and source, and each task variable.

    Parameters
    ----------
    runs : sequence of Run
    good_scores : mapping
        By the id() of a run and by variable, from all rows of its file.
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
    """Add values of replicates (T, R) along an axis (T,): their mean, which is returned, and their range."""
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
    """Add horizontal lines at the accuracy from the recording and at chance, one for each value."""
    ends = _ends(np.concatenate([run.decoding_score.ravel() for run in runs]))
    for key, name, dash in (("accuracy", "recording", "dash"), ("chance", "chance", "dot")):
        for value in sorted({float(run.reference_decoding[variable][key]) for run in runs}):
            level = np.full(2, value)
            plot.table(f"{plot.title}: {name}", {"score": ends, plot.ylabel: level})
            plot.trace(f"{name} {value:.2f}", ends, level, INK, dash=dash)


def _ends(scores: FloatArray) -> FloatArray:
    """Return the least and the largest score; NaN do not count."""
    return np.array([np.fmin.reduce(scores, axis=None), np.fmax.reduce(scores, axis=None)])


def pages(content: Sequence[Content], most: int, what: str = "") -> Iterator[tuple[list[Content], str]]:
    """Yield at most ``most`` entries at a time, at least once, and in words which of how many these are."""
    count = len(content)
    for first in range(0, max(count, 1), most):
        some = list(content[first : first + most])
        yield some, f", {what}{first + 1} to {first + len(some)} of {count}" if count > most else ""


def _parts(curves: Sequence[Pool]) -> Iterator[tuple[str, list[Pool], str]]:
    """Yield the curves of each dataset and source, MOST_CURVES at a time, and which of how many these are."""
    for dataset, group in by_dataset(curves):
        for some, part in pages(group, MOST_CURVES):
            yield dataset, some, part


def _scores_sentence(curves: Sequence[tuple[str, float, float, int]]) -> str:
    """Say from which mean score to which the replicates of each curve go, in how many steps."""
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
        f"{len(curve.pc_variance)} PCs never were, up to score {summary.final_score:.3f}.{left}"
    )


def _decoding_sentence(curve: Pool, variable: str, mean: FloatArray, good: GoodScore | None) -> str:
    ends = mean[np.isfinite(mean)]
    goes = f" goes from {ends[0]:.2f} to {ends[-1]:.2f}" if len(ends) else ""
    accuracy, chance = curve.reference(variable) or (np.nan, np.nan)
    levels = f"recording {accuracy:.2f}, chance {chance:.2f}"
    return f"{curve.label}{goes} ({levels}), good score {'not defined' if good is None else good.worded()}"
