"""The plots of the page as data: columns of numbers, traces that name them, and a sentence that says it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from simopt.report.panels import SHOWN_PCS
from simopt.report.pools import Pool, band, pool
from simopt.report.tables import Summary, mean_reached
from simopt.store.reader import Run
from simopt.typing import FloatArray

COLORS, DASHES = 7, ("solid", "dash", "dashdot", "dot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon")
MOST_CURVES = 20
"""In one plot; more are continued in the next one."""
MOST_REPLICATES = 5
"""As many replicates are drawn one by one."""
MOST_POINTS, FEWEST_POINTS, ALL_POINTS = 300, 30, 400_000
"""Of a curve at most and at least, and of all curves of a page together."""

Place = tuple[int, int]
Summarised = tuple[Run, Summary]


@dataclass
class Plot:
    """One plot.

    Attributes
    ----------
    title, xlabel, ylabel : str
        The title names the dataset with its source.
    sentence : str
        What the plot shows, in words and numbers.
    blocks : list of (caption, names, columns)
        The numbers drawn, as tables.
    traces : list of dict
        Columns by block and number, colours by the names that the style sheet gives them.
    ranges : dict of pair of float
        Of the axes ``x`` and ``y``, where they are not left to the data.
    guides : dict of list of float
        Straight lines at values of ``x`` and ``y``.
    xlog : bool
    """

    title: str
    xlabel: str
    ylabel: str
    sentence: str = ""
    blocks: list[tuple[str, list[str], list[list[Any]]]] = field(default_factory=list)
    traces: list[dict[str, Any]] = field(default_factory=list)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    guides: dict[str, list[float]] = field(default_factory=dict)
    xlog: bool = False

    def add(self, caption: str, columns: dict[str, FloatArray]) -> list[Place]:
        """Add a table of columns and return their places."""
        self.blocks.append((caption, list(columns), [numbers(values) for values in columns.values()]))
        return [(len(self.blocks) - 1, at) for at in range(len(columns))]

    def trace(self, name: str, x: Place, y: Place, color: str, **style: Any) -> None:
        """Add a trace: a line, or what ``mode``, ``fill``, ``band`` (its upper column), ``error`` say."""
        self.traces.append({"name": label(name), "x": x, "y": y, "color": color, **style})

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the script of the page."""
        return {
            "title": label(self.title),
            "xlabel": label(self.xlabel),
            "ylabel": label(self.ylabel),
            "blocks": self.blocks,
            "traces": self.traces,
            "ranges": self.ranges,
            "guides": self.guides,
            "xlog": self.xlog,
        }


def label(text: str) -> str:
    """Return text for plotly, which takes tags and entities in labels as such."""
    return html.escape(text, quote=False)


def numbers(values: FloatArray) -> list[Any]:
    """Return five digits of each number, integers whole, and null for what is not finite."""
    if np.issubdtype(values.dtype, np.integer):
        return list(values.tolist())
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]


def points_each(runs: Sequence[Run]) -> int:
    """Return how many points a curve of these runs may have for the page to stay small."""
    curves = 0
    for run in runs:
        replicates = min(run.score.shape[1], MOST_REPLICATES)
        curves += 3 + replicates * (1 + sum(pc <= len(run.pc_variance) for pc in SHOWN_PCS))
    return max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // max(curves, 1)))


def thin(columns: FloatArray, most: int) -> np.ndarray:
    """Return indices of at most so many rows, ends included, at even distances along the curves.

    The distance of two neighbouring rows is the largest change of any column, as a share of its range, or the
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


def score_plots(chosen: Sequence[Summarised], points: int) -> Iterator[Plot]:
    """Yield score against step, for each dataset and source: means over replicates and their range."""
    known = {id(run): summary for run, summary in chosen}
    for dataset, pools, part in _parts([run for run, _ in chosen]):
        plot = Plot(f"{dataset}: score against step{part}", "step", "score")
        said = []
        for index, each in enumerate(pools):
            steps, scores = each.over_steps()
            mean = _add_pool(plot, each, index, steps, scores, points)
            final = np.mean([known[id(run)].scores[column] for run, column in each.places])
            last = max(known[id(run)].steps for run in each.runs)
            said.append((each.label, float(mean[0]), float(final), last))
        plot.sentence = _scores_said(said)
        yield plot


def captured_plot(run: Run, summary: Summary, points: int) -> Plot:
    """Return captured variance of some PCs against score, a line for each replicate."""
    shown = [pc for pc in SHOWN_PCS if pc <= len(run.pc_variance)]
    replicates = min(run.score.shape[1], MOST_REPLICATES)
    title = f"{run.dataset}, {run.measure} {short(run)}: captured variance"
    plot = Plot(title, "score", "captured variance", ranges={"y": (-0.02, 1.02)})
    for r in range(replicates):
        captured = run.captured_variance[:, r, [pc - 1 for pc in shown]].astype(np.float64)
        columns = np.column_stack([run.score[:, r], captured])
        columns = columns[thin(columns, points)]
        names = ["score", *(f"PC {pc}" for pc in shown)]
        score, *places = plot.add(
            f"{run.dataset}, {run.measure}, {_seed(run, r)}", dict(zip(names, columns.T, strict=True))
        )
        for index, (pc, place) in enumerate(zip(shown, places, strict=True)):
            share = f"PC {pc} ({run.pc_variance[pc - 1]:.1%})"
            dash = DASHES[index % len(DASHES)]
            plot.trace(share, score, place, f"r{index}", dash=dash, legend=r == 0, group=str(pc))
    plot.sentence = _captured_said(run, summary, replicates)
    return plot


def half_capture_plots(chosen: Sequence[Summarised]) -> Iterator[Plot]:
    """Yield the score at half capture against explained variance, for each dataset and source.

    Means over the replicates that half captured a PC, and their range. A PC that none did has no mark; the
    sentence and the table count it.
    """
    known = {id(run): summary for run, summary in chosen}
    for dataset, pools, part in _parts([run for run, _ in chosen]):
        plot = Plot(
            f"{dataset}: score at half capture of each PC{part}",
            "explained variance ratio of the PC",
            "score at half capture",
            xlog=True,
        )
        said = []
        for index, each in enumerate(pools):
            halves = np.stack([known[id(run)].halves[column] for run, column in each.places])
            spread = band(halves, axis=0)
            missing = (~np.isfinite(halves)).sum(axis=0)
            mean = mean_reached(halves)
            at = thin(np.column_stack([np.arange(len(mean)), mean]), MOST_POINTS)
            table = {
                "PC": at + 1,
                plot.xlabel: each.pc_variance[at],
                plot.ylabel: mean[at],
                "least": spread.low[at],
                "largest": spread.high[at],
                f"replicates of {len(halves)} that never did": missing[at],
            }
            _, x, y, *ends, _ = plot.add(f"{dataset}, {each.label}", table)
            style = {"mode": "markers", "symbol": SYMBOLS[index % len(SYMBOLS)], "legend": True}
            if each.replicates > 1:
                style["range"] = ends
            plot.trace(each.label, x, y, f"c{index % COLORS}", **style)
            final = np.mean([known[id(run)].scores[column] for run, column in each.places])
            never = int(np.isnan(mean).sum())
            drawn = f", {len(at)} of them in the plot" if len(at) < len(mean) else ""
            said.append(f"{each.label}: {never} of {len(mean)} PCs{drawn}, up to score {final:.3f}")
        plot.sentence = f"Never half captured, so without a mark: {'; '.join(said)}."
        yield plot


def decoding_plots(chosen: Sequence[Summarised]) -> Iterator[Plot]:
    """Yield decoding against score, for each dataset and source, and each task variable."""
    known = {id(run): summary for run, summary in chosen}
    decoded = [run for run, _ in chosen if run.decoding and len(run.decoding_step)]
    for variable in sorted({name for run in decoded for name in run.decoding}):
        for dataset, pools, part in _parts([run for run in decoded if variable in run.decoding]):
            runs = [run for each in pools for run in each.runs]
            kinds = {int(run.reference_decoding[variable]["classes"]) for run in runs}
            what = "R2" if kinds == {0} else "accuracy"
            plot = Plot(f"{dataset}: decoding of {variable}{part}", "score", what)
            said = []
            for index, each in enumerate(pools):
                levels, values = each.decoding(variable)
                mean = _add_pool(plot, each, index, levels, values, MOST_POINTS)
                said.append(_decoding_said(each, variable, mean, _good(each, variable, known)))
            _add_references(plot, runs, variable)
            plot.sentence = f"{what[0].upper()}{what[1:]}: {'; '.join(said)}."
            yield plot


def short(run: Run) -> str:
    """Return the first letters of a run's hash."""
    return run.run_id.rpartition("-")[2][:6]


def _add_pool(
    plot: Plot, each: Pool, index: int, at: FloatArray, values: FloatArray, points: int
) -> FloatArray:
    """Add what replicates (T, R) have along an axis (T,): their mean, which is returned, and their range."""
    color, dash = f"c{index % COLORS}", DASHES[index % len(DASHES)]
    spread = band(values)
    columns = {plot.xlabel: at, plot.ylabel: spread.mean}
    if each.replicates > 1:
        columns |= {"least": spread.low, "largest": spread.high}
    rows = thin(np.column_stack(list(columns.values())), points)
    table = {name: column[rows] for name, column in columns.items()}
    x, y, *ends = plot.add(f"{each.dataset}, {each.label}", table)
    if ends:
        plot.trace(each.label, x, ends[0], color, band=ends[1], group=each.label)
    style = {"mode": "lines+markers"} if plot.xlabel == "score" and not ends else {}
    plot.trace(each.label, x, y, color, dash=dash, legend=True, group=each.label, **style)
    return spread.mean


def _good(each: Pool, variable: str, known: Mapping[int, Summary]) -> str:
    """Say the good score over the replicates of a curve, from what was found in each whole run."""
    found = [(known[id(run)].good_scores.get(variable), column) for run, column in each.places]
    goods = [(good, good.per_seed[column]) for good, column in found if good is not None]
    if not goods:
        return "not defined"
    return replace(goods[0][0], per_seed=np.array([score for _, score in goods])).worded()


def _add_references(plot: Plot, runs: Sequence[Run], variable: str) -> None:
    """Add level lines of what is decoded from the recording, and by guessing: one for each value."""
    scores = np.concatenate([run.decoding_score.ravel() for run in runs])
    ends = np.array([np.fmin.reduce(scores), np.fmax.reduce(scores)])  # NaN aside
    for key, name, dash in (("accuracy", "recording", "dash"), ("chance", "chance", "dot")):
        for value in sorted({float(run.reference_decoding[variable][key]) for run in runs}):
            x, y = plot.add(f"{plot.title}: {name}", {"score": ends, plot.ylabel: np.full(2, value)})
            plot.trace(f"{name} {value:.2f}", x, y, "ink", dash=dash, legend=True)


def _parts(runs: Sequence[Run]) -> Iterator[tuple[str, list[Pool], str]]:
    """Yield the curves of each dataset and source, so many at a time, and which of how many these are."""
    pools = sorted(pool(runs), key=lambda each: (each.dataset, each.measure))
    for dataset, group in groupby(pools, key=lambda each: each.dataset):
        same = list(group)
        for first in range(0, len(same), MOST_CURVES):
            some = same[first : first + MOST_CURVES]
            part = f", {first + 1} to {first + len(some)} of {len(same)}" if len(same) > MOST_CURVES else ""
            yield dataset, some, part


def _seed(run: Run, r: int) -> str:
    seeds = np.atleast_1d(run.attributes.get("seeds", np.arange(run.score.shape[1])))
    return f"seed {seeds[r]}" if r < len(seeds) else f"replicate {r + 1}"


def _scores_said(said: Sequence[tuple[str, float, float, int]]) -> str:
    """Say from which mean score to which the replicates of each curve go, in how many steps."""
    if len(said) <= 4:
        told = [
            f"{name} goes from {start:.3f} to {end:.3f} in {steps} steps" for name, start, end, steps in said
        ]
        return f"{'; '.join(told)}. A band is the range over replicates."
    _, _, ends, steps = zip(*said, strict=True)
    return (
        f"{len(said)} curves end at scores from {min(ends):.3f} to {max(ends):.3f} after {min(steps)} to "
        f"{max(steps)} steps. A band is the range over replicates."
    )


def _captured_said(run: Run, summary: Summary, replicates: int) -> str:
    halves = [
        f"PC {pc} ({run.pc_variance[pc - 1]:.1%} of variance) "
        + ("never" if np.isnan(score) else f"at {score:.3f}")
        for pc, score in summary.half_capture.items()
    ]
    more = run.score.shape[1] - replicates
    left = f" The first {replicates} of {run.score.shape[1]} replicates are drawn." if more else ""
    return (
        f"Half captured: {', '.join(halves)}. {summary.never_captured:.0%} of all {len(run.pc_variance)} PCs "
        f"never were, up to score {summary.final_score:.3f}.{left}"
    )


def _decoding_said(each: Pool, variable: str, mean: FloatArray, good: str) -> str:
    ends = mean[np.isfinite(mean)]
    goes = f" goes from {ends[0]:.2f} to {ends[-1]:.2f}" if len(ends) else ""
    accuracy, chance = each.reference(variable) or (np.nan, np.nan)
    known = f"recording {accuracy:.2f}, chance {chance:.2f}"
    return f"{each.label}{goes} ({known}), good score {good}"
