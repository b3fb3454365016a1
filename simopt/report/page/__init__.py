"""One HTML page that shows runs and analyses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simopt.errors import InputError, StorageError
from simopt.report import Collected
from simopt.report.document import Details, Document, Link, Paragraph, Part, Table, marked
from simopt.report.pools import named, pool
from simopt.report.tables import Summary, good_scores_table, runs_table
from simopt.store import analysis
from simopt.store.reader import Run

try:
    from simopt.report.page import plots, render
    from simopt.report.page.analyses import joint_plot, sensitivity_plots
    from simopt.report.page.provenance import origin
except ModuleNotFoundError as error:
    missing = str(error.name).partition(".")[0]
    raise InputError(
        f'a page needs {missing}, which is not installed: pip install "simopt[html]".'
    ) from error

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange

_OPEN = 4
"""The boxes of runs are open at first if there are at most this many runs."""
_NAMED = 4
"""The largest number of datasets that the title names."""


def save_page(collected: Collected, path: Path) -> Path:
    """Write the page of all collected results, create its folder if needed, and return its path.

    Parameters
    ----------
    collected : Collected
        The results, as :func:`simopt.report.collect` returns them.
    path : Path
        An .html file.

    Raises
    ------
    InputError
        The path does not end in .html, or the file cannot be written.
    """
    chosen = sorted(
        zip(collected.runs, collected.summaries, strict=True),
        key=lambda pair: (pair[0].dataset, pair[0].measure, pair[0].run_id, str(pair[0].path)),
    )
    runs, summaries = [run for run, _ in chosen], [summary for _, summary in chosen]
    sources = [summary.source for summary in summaries]
    points = plots.points_per_curve(runs)
    document = Document(_title(collected, runs))
    broken = [Paragraph(line, alarm=True) for line in collected.broken]
    document.add("broken", "Files that could not be read", broken)
    if runs:
        document.add("runs", "Runs", [_runs_table(summaries, sources)], sources)
        document.add("scores", "Score against step", plots.score_plots(runs, points), sources)
        document.add("half", "Score at half capture", plots.half_capture_plots(runs), sources)
        decoded = [source for run, source in zip(runs, sources, strict=True) if run.decoding]
        document.add("decoding", "Decoding against score", _decoding(runs, summaries), decoded)
    _add_analyses(document, collected)
    labels = {id(run): curve.label for curve in pool(runs) for run in curve.runs}
    single = [
        _run(number, run, summary, labels.get(id(run), run.measure), points, opened=len(runs) <= _OPEN)
        for number, (run, summary) in enumerate(chosen, 1)
    ]
    document.add("each", "Each run: captured variance, config, provenance", single, sources)
    return render.save(document, path)


def _runs_table(summaries: Sequence[Summary], sources: Sequence[str]) -> Table:
    table = runs_table(summaries)
    rows = [[*row[:2], Link(row[2], f"run-{number}"), *row[3:]] for number, row in enumerate(table.rows, 1)]
    caption, note = marked(table.caption, sources), f"{table.note} Click a column head to sort."
    return replace(table, caption=caption, note=note, rows=rows)


def _decoding(runs: Sequence[Run], summaries: Sequence[Summary]) -> Iterator[Part]:
    good_scores = {id(run): summary.good_scores for run, summary in zip(runs, summaries, strict=True)}
    yield from plots.decoding_plots(runs, good_scores)
    table = good_scores_table(summaries)
    if table.rows:
        sources = [summary.source for summary in summaries if summary.good_scores]
        yield replace(table, caption=marked(table.caption, sources))


def _add_analyses(document: Document, collected: Collected) -> None:
    """Add the plots of analyses, and for each analysis a box with its configuration and provenance.

    A link below the plots of an analysis leads to its box.
    """
    boxes: list[Details] = []

    def parts(result: Sensitivities | JointRange, what: str, drawn: Iterable[plots.Plot]) -> Iterator[Part]:
        folder = "" if result.path is None else f", {result.path.parent.name}"
        heading, target = f"{named(result)}, {what}{folder}", f"analysis-{len(boxes) + 1}"
        boxes.append(Details(heading, _origin(heading, result.path), target))
        yield from drawn
        yield Paragraph(Link(f"Config and provenance: {heading}", target))

    sensitivities, joints = collected.sensitivities, collected.joints
    content = [part for r in sensitivities for part in parts(r, r.perturbation, sensitivity_plots(r))]
    document.add("sensitivity", "Sensitivity to single PCs", content, [r.source for r in sensitivities])
    content = [part for r in joints for part in parts(r, " and ".join(r.names), [joint_plot(r)])]
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


def _run(number: int, run: Run, summary: Summary, label: str, points: int, *, opened: bool) -> Details:
    heading = f"{run.dataset}, {run.measure}, {summary.run}"
    note = f"{summary.steps} steps, score {summary.final_score:.4f}; {summary.status}: {summary.stop_reason}"
    drawn = [plots.captured_plot(run, summary, label, points)] if len(run.step) else []
    assert run.path is not None  # it was read from a file
    parts = [*drawn, *origin(heading, run.path, run.attributes)]
    return Details(heading, parts, f"run-{number}", note, opened)


def _title(collected: Collected, runs: Sequence[Run]) -> str:
    """Return the title: the numbers of runs and analyses, and their datasets with sources."""
    sensitivities, joints = collected.sensitivities, collected.joints
    counts = [
        (len(runs), "run", "runs"),
        (len(sensitivities), "sensitivity analysis", "sensitivity analyses"),
        (len(joints), "joint range", "joint ranges"),
    ]
    counted = [f"{count} {one if count == 1 else more}" for count, one, more in counts if count]
    datasets = [*(run.dataset for run in runs), *map(named, sensitivities), *map(named, joints)]
    names = list(dict.fromkeys(datasets))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    on = f" on {', '.join(names[:_NAMED])}{more}" if names else ""
    return f"simopt: {', '.join(counted) or 'no runs'}{on}"
