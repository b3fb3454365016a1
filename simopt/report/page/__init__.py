"""One HTML page of runs and analyses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simopt.errors import InputError, StorageError
from simopt.report import Collected
from simopt.report.document import Cell, Details, Document, Link, Number, Paragraph, Part, Table, marked
from simopt.report.tables import GOOD_NOTE, PCS, Rounded, Summary, rounded
from simopt.store import analysis
from simopt.store.reader import Run

try:
    from simopt.report.page import render
    from simopt.report.page.analyses import joint_plot, sensitivity_plots
    from simopt.report.page.plots import (
        Summarized,
        captured_plot,
        decoding_plots,
        half_capture_plots,
        points_per_curve,
        score_plots,
    )
    from simopt.report.page.provenance import origin
except ModuleNotFoundError as error:
    raise InputError(
        f'a page needs {error.name}, which is not installed: pip install "simopt[html]".'
    ) from error

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange
    from simopt.report.page.plots import Plot

_OPEN = 4
"""Up to as many runs are shown unfolded."""
_NAMED = 4
"""As many datasets are named in the title."""


def save_page(collected: Collected, path: Path) -> Path:
    """Write the page, its folder made if need be, and return its path.

    Parameters
    ----------
    collected : Collected
    path : Path
        An .html file.

    Raises
    ------
    InputError
        Another suffix than .html, or the file cannot be written.
    """
    chosen = sorted(
        zip(collected.runs, collected.summaries, strict=True),
        key=lambda pair: (pair[0].dataset, pair[0].measure, pair[0].run_id, str(pair[0].path)),
    )
    runs = [run for run, _ in chosen]
    sources = [_source(run) for run in runs]
    points = points_per_curve(runs)
    document = Document(_title(collected, runs))
    broken = [Paragraph(line, alarm=True) for line in collected.broken]
    document.add("broken", "Files that could not be read", broken)
    if runs:
        document.add("runs", "Runs", [_runs_table(chosen)], sources)
        document.add("scores", "Score against step", score_plots(runs, points), sources)
        document.add("half", "Score at half capture", half_capture_plots(runs), sources)
        decoded = [_source(run) for run in runs if run.decoding]
        document.add("decoding", "Decoding against score", _decoding(chosen), decoded)
    _add_analyses(document, collected)
    single = [_run(number, *pair, points, opened=len(runs) <= _OPEN) for number, pair in enumerate(chosen, 1)]
    document.add("each", "Each run: captured variance, config, provenance", single, sources)
    return render.save(document, path)


def _source(run: Run) -> str:
    return str(run.attributes["source"])


def _runs_table(chosen: Sequence[Summarized]) -> Table:
    heads = ["dataset", "measure", "run", "status", "replicates", "steps", "final score"]
    heads += [f"half PC {pc}" for pc in PCS] + ["never captured"]
    rows: list[list[Cell]] = []
    for number, (_, summary) in enumerate(chosen, 1):
        halves = zip(summary.rounded_halves(PCS), map(summary.half_capture.get, PCS), strict=True)
        rows.append(
            [
                f"{summary.dataset} ({summary.source})",
                summary.measure,
                Link(summary.run.rpartition("-")[2], f"run-{number}"),
                summary.status,
                Number(str(summary.replicates), summary.replicates),
                Number(str(summary.steps), summary.steps),
                _number(rounded(summary.scores), summary.final_score, ""),
                *(_number(half, mean, "never") for half, mean in halves),
                Number(f"{summary.never_captured:.0%}", summary.never_captured),
            ]
        )
    note = (
        "half: the score at which a PC is half captured. Means over replicates, to the first digit of "
        "their standard error, which follows. Column heads sort."
    )
    return Table(
        "runs-table", marked("Stored runs", map(_source, (run for run, _ in chosen))), note, heads, rows
    )


def _decoding(chosen: Sequence[Summarized]) -> Iterator[Part]:
    yield from decoding_plots(
        [run for run, _ in chosen], {id(run): summary.good_scores for run, summary in chosen}
    )
    rows: list[list[Cell]] = []
    for run, summary in chosen:
        for variable, good in summary.good_scores.items():
            names = [run.dataset, run.measure, summary.run.rpartition("-")[2], variable]
            score = None if np.isnan(good.score) else good.score
            rows.append([*names, Number(f"{good.level:.3f}", good.level), Number(good.worded(), score)])
    if rows:
        heads = ["dataset", "measure", "run", "variable", "accuracy", "good score"]
        sources = [_source(run) for run, summary in chosen if summary.good_scores]
        yield Table("good-table", marked("Good scores", sources), GOOD_NOTE, heads, rows)


def _add_analyses(document: Document, collected: Collected) -> None:
    """Add the plots of analyses, and what each comes from; plots link to it."""
    boxes: list[Details] = []

    def parts(result: Sensitivities | JointRange, what: str, plots: Sequence[Plot]) -> Iterator[Part]:
        name, folder = f"{result.dataset} ({result.source})", ""
        if result.path is not None:
            folder = f", {result.path.parent.name}"
        heading, target = f"{name}, {what}{folder}", f"analysis-{len(boxes) + 1}"
        boxes.append(Details(heading, _origin(heading, result.path), target))
        if plots:
            yield from plots
            yield Paragraph(Link(f"Config and provenance: {heading}", target))

    sensitivities, joints = collected.sensitivities, collected.joints
    content = [part for r in sensitivities for part in parts(r, r.perturbation, list(sensitivity_plots(r)))]
    document.add("sensitivity", "Sensitivity to single PCs", content, [r.source for r in sensitivities])
    drawn = ((r, joint_plot(r)) for r in joints)
    content = [part for r, plot in drawn for part in parts(r, " and ".join(r.names), [plot] if plot else [])]
    document.add("joint", "Joint ranges", content, [r.source for r in joints])
    sources = [*(r.source for r in sensitivities), *(r.source for r in joints)]
    document.add("files", "Each analysis: config, provenance", boxes, sources)


def _origin(heading: str, path: Path | None) -> Sequence[Part]:
    if path is None:
        return [Paragraph("Not stored in a file.")]
    try:
        return origin(heading, path, analysis.attributes(path))
    except StorageError as error:
        return [Paragraph(str(error), alarm=True)]


def _run(number: int, run: Run, summary: Summary, points: int, *, opened: bool) -> Details:
    heading = f"{run.dataset}, {run.measure}, {summary.run}"
    note = f"{summary.steps} steps, score {summary.final_score:.4f}; {summary.status}: {summary.stop_reason}"
    plots = [captured_plot(run, summary, points)] if len(run.step) else []
    parts = [*plots, *origin(heading, run.path, run.attributes)]
    return Details(heading, parts, f"run-{number}", note, opened)


def _title(collected: Collected, runs: Sequence[Run]) -> str:
    """Return how many runs of which data, surrogates named as such."""
    analyses: list[Sensitivities | JointRange] = [*collected.sensitivities, *collected.joints]
    counts = [
        (len(runs), "run", "runs"),
        (len(collected.sensitivities), "sensitivity analysis", "sensitivity analyses"),
        (len(collected.joints), "joint range", "joint ranges"),
    ]
    counted = [f"{count} {one if count == 1 else more}" for count, one, more in counts if count]
    names = [run.dataset for run in runs] + [f"{each.dataset} ({each.source})" for each in analyses]
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    on = f" on {', '.join(names[:_NAMED])}{more}" if names else ""
    return f"simopt: {', '.join(counted) or 'no runs'}{on}"


def _number(number: Rounded | None, value: float | None, missing: str) -> Number:
    """Return a cell and what it is sorted by; of None, which is not there at all, an empty one."""
    if number is None or value is None:
        return Number("", None)
    return Number(number.worded(missing), None if np.isnan(value) else float(value))
