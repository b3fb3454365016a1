"""The plots of the page as data: columns of numbers, traces that name them, and a sentence that says it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from simopt.report.figures import SHOWN_PCS
from simopt.report.tables import Summary
from simopt.store.reader import Run
from simopt.typing import FloatArray

COLORS, DASHES = 7, ("solid", "dash", "dashdot", "dot")
MOST_RUNS = 20
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
    for dataset, runs, part in _parts([each for each in chosen if len(each[0].step)]):
        plot = Plot(f"{dataset}: score against step{part}", "step", "score")
        for index, ((run, _), name) in enumerate(zip(runs, _names(runs), strict=True)):
            color, dash = f"c{index % COLORS}", DASHES[index // COLORS % len(DASHES)]
            mean = run.score.mean(axis=1)
            columns = np.column_stack([run.step, mean])
            at = thin(columns, points)
            table = {"step": run.step[at], "score": mean[at]}
            if run.score.shape[1] > 1:
                table |= {"least": run.score.min(axis=1)[at], "largest": run.score.max(axis=1)[at]}
            places = plot.add(f"{dataset}, {name}", table)
            if len(places) > 2:
                plot.trace(name, places[0], places[2], color, band=places[3])
            plot.trace(name, places[0], places[1], color, dash=dash, legend=True)
        plot.sentence = _scores_said(runs)
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


def decoding_plots(chosen: Sequence[Summarised]) -> Iterator[Plot]:
    """Yield decoding against score, for each dataset and source, and each task variable."""
    decoded = [each for each in chosen if each[0].decoding and len(each[0].decoding_step)]
    for variable in sorted({name for run, _ in decoded for name in run.decoding}):
        for dataset, runs, part in _parts([each for each in decoded if variable in each[0].decoding]):
            kinds = {int(run.reference_decoding[variable]["classes"]) for run, _ in runs}
            what = "R2" if kinds == {0} else "accuracy"
            plot = Plot(f"{dataset}: decoding of {variable}{part}", "score", what)
            for index, ((run, _), name) in enumerate(zip(runs, _names(runs), strict=True)):
                _add_decoding(plot, run, variable, name, index)
            _add_references(plot, [run for run, _ in runs], variable)
            plot.sentence = _decoding_said(runs, variable, what)
            yield plot


def short(run: Run) -> str:
    """Return the first letters of a run's hash."""
    return run.run_id.rpartition("-")[2][:6]


def _add_decoding(plot: Plot, run: Run, variable: str, name: str, index: int) -> None:
    color, dash = f"c{index % COLORS}", DASHES[index // COLORS % len(DASHES)]
    for r in range(min(run.score.shape[1], MOST_REPLICATES)):
        columns = np.column_stack([run.decoding_score[:, r], run.decoding[variable][:, r]])
        columns = columns[thin(columns, MOST_POINTS)]
        table = {"score": columns[:, 0], plot.ylabel: columns[:, 1]}
        x, y = plot.add(f"{run.dataset}, {name}, {_seed(run, r)}", table)
        style = {"dash": dash, "mode": "lines+markers", "legend": r == 0, "group": name}
        plot.trace(name, x, y, color, **style)


def _add_references(plot: Plot, runs: Sequence[Run], variable: str) -> None:
    """Add level lines of what is decoded from the recording, and by guessing: one for each value."""
    scores = np.concatenate([run.decoding_score.ravel() for run in runs])
    ends = np.array([scores.min(), scores.max()])
    for key, name, dash in (("accuracy", "recording", "dash"), ("chance", "chance", "dot")):
        for value in sorted({float(run.reference_decoding[variable][key]) for run in runs}):
            x, y = plot.add(f"{plot.title}: {name}", {"score": ends, plot.ylabel: np.full(2, value)})
            plot.trace(f"{name} {value:.2f}", x, y, "ink", dash=dash, legend=True)


def _parts(chosen: Sequence[Summarised]) -> Iterator[tuple[str, list[Summarised], str]]:
    """Yield the runs of each dataset and source, so many at a time, and which of how many these are."""
    ordered = sorted(chosen, key=lambda each: (each[0].dataset, each[0].measure))
    for dataset, group in groupby(ordered, key=lambda each: each[0].dataset):
        same = list(group)
        for first in range(0, len(same), MOST_RUNS):
            runs = same[first : first + MOST_RUNS]
            part = (
                f", runs {first + 1} to {first + len(runs)} of {len(same)}" if len(same) > MOST_RUNS else ""
            )
            yield dataset, runs, part


def _names(runs: Sequence[Summarised]) -> list[str]:
    measures = [run.measure for run, _ in runs]
    return [
        run.measure if measures.count(run.measure) == 1 else f"{run.measure} {short(run)}" for run, _ in runs
    ]


def _seed(run: Run, r: int) -> str:
    seeds = np.atleast_1d(run.attributes.get("seeds", np.arange(run.score.shape[1])))
    return f"seed {seeds[r]}" if r < len(seeds) else f"replicate {r + 1}"


def _scores_said(runs: Sequence[Summarised]) -> str:
    said = [
        f"{name} goes from {run.score[0].mean():.3f} to {summary.final_score:.3f} in {summary.steps} steps"
        for (run, summary), name in zip(runs, _names(runs), strict=True)
    ]
    if len(said) <= 4:
        return "; ".join(said) + ". A band is the range over replicates."
    last = [summary.final_score for _, summary in runs]
    steps = [summary.steps for _, summary in runs]
    return (
        f"{len(said)} runs end at scores from {min(last):.3f} to {max(last):.3f} after {min(steps)} to "
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


def _decoding_said(runs: Sequence[Summarised], variable: str, what: str) -> str:
    said = []
    for (run, summary), name in zip(runs, _names(runs), strict=True):
        values, facts = run.decoding[variable], run.reference_decoding[variable]
        good = summary.good_scores.get(variable)
        goes = f"{name}: {what} goes from {values[0].mean():.2f} to {values[-1].mean():.2f}"
        known = f"recording {float(facts['accuracy']):.2f}, chance {float(facts['chance']):.2f}"
        said.append(f"{goes} ({known}), good score {good.worded() if good else 'not defined'}")
    return "; ".join(said) + "."
