"""One HTML page of runs and analyses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simopt.errors import StorageError
from simopt.report import Collected
from simopt.report.page.analyses import joint_plot, sensitivity_plots, third_plot
from simopt.report.page.document import Document
from simopt.report.page.markup import Cell, Link, link, marked, table, text
from simopt.report.page.plots import (
    Plot,
    Summarised,
    captured_plot,
    decoding_plots,
    half_capture_plots,
    points_each,
    score_plots,
)
from simopt.report.page.provenance import origin
from simopt.report.tables import PCS, Rounded, Summary, rounded
from simopt.store import analysis
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange

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
        Another suffix than .html, plotly is not installed, or the file cannot be written.
    """
    return _Page(collected).save(path)


class _Page:
    def __init__(self, collected: Collected) -> None:
        self.runs: list[Summarised] = sorted(
            zip(collected.runs, collected.summaries, strict=True),
            key=lambda each: (each[0].dataset, each[0].measure, each[0].run_id, str(each[0].path)),
        )
        self.sensitivities, self.joints = collected.sensitivities, collected.joints
        self.broken = collected.broken
        self.analysed: list[tuple[str, str, str, Path | None]] = [
            *(_about(r, r.perturbation) for r in self.sensitivities),
            *(_about(r, " and ".join(r.names)) for r in self.joints),
        ]
        self.points = points_each([run for run, _ in self.runs])
        self.document = Document()

    def save(self, path: Path) -> Path:
        sources = [str(run.attributes["source"]) for run, _ in self.runs]
        if self.broken:
            lines = "".join(f'<p class="broken">{text(line)}</p>' for line in self.broken)
            self.document.section("broken", "Files that could not be read", lines)
        if self.runs:
            self.document.section("runs", marked("Runs", sources), self._runs_table(sources))
            self.document.drawn(
                "scores", marked("Score against step", sources), score_plots(self.runs, self.points)
            )
            self.document.drawn(
                "half", marked("Score at half capture", sources), half_capture_plots(self.runs)
            )
            self._decoding()
        self._analyses()
        if self.runs:
            single = "".join(self._run(number, *each) for number, each in enumerate(self.runs, 1))
            self.document.section(
                "each", marked("Each run: captured variance, config, provenance", sources), single
            )
        return self.document.save(self._title(), path)

    def _runs_table(self, sources: Sequence[str]) -> str:
        heads = ["dataset", "measure", "run", "status", "replicates", "steps", "final score"]
        heads += [f"half PC {pc}" for pc in PCS] + ["never captured"]
        rows: list[list[Cell]] = []
        for number, (_, summary) in enumerate(self.runs, 1):
            halves = zip(summary.rounded_halves(PCS), map(summary.half_capture.get, PCS), strict=True)
            rows.append(
                [
                    f"{summary.dataset} ({summary.source})",
                    summary.measure,
                    Link(summary.run.rpartition("-")[2], f"run-{number}"),
                    summary.status,
                    (str(summary.replicates), summary.replicates),
                    (str(summary.steps), summary.steps),
                    _number(rounded(summary.scores), summary.final_score, ""),
                    *(_number(half, mean, "never") for half, mean in halves),
                    (f"{summary.never_captured:.0%}", summary.never_captured),
                ]
            )
        note = (
            "half: the score at which a PC is half captured. Means over replicates, to the first digit of "
            "their standard error, which follows. Column heads sort."
        )
        return table("runs-table", marked("Stored runs", sources), note, heads, rows)

    def _decoding(self) -> None:
        content = "".join(map(self.document.figure, decoding_plots(self.runs)))
        rows: list[list[Cell]] = []
        for run, summary in self.runs:
            for variable, good in summary.good_scores.items():
                names = [run.dataset, run.measure, summary.run.rpartition("-")[2], variable]
                score = None if np.isnan(good.score) else good.score
                rows.append([*names, (f"{good.level:.3f}", good.level), (good.worded(), score)])
        sources = [str(run.attributes["source"]) for run, summary in self.runs if summary.good_scores]
        if rows:
            note = "where accuracy has risen from chance by nine tenths of the recording's rise"
            heads = ["dataset", "measure", "run", "variable", "accuracy", "good score"]
            content += table("good-table", marked("Good scores", sources), note, heads, rows)
        if content:
            decoded = [str(run.attributes["source"]) for run, _ in self.runs if run.decoding]
            self.document.section("decoding", marked("Decoding against score", decoded), content)

    def _analyses(self) -> None:
        first = len(self.sensitivities) + 1
        found = [
            self._leading(number, sensitivity_plots(result))
            for number, result in enumerate(self.sensitivities, 1)
        ]
        heading = marked("Sensitivity to single PCs", [result.source for result in self.sensitivities])
        if any(found):
            self.document.section("sensitivity", heading, "".join(found))
        found = [
            self._leading(number, _joint_plots(result)) for number, result in enumerate(self.joints, first)
        ]
        heading = marked("Joint ranges", [result.source for result in self.joints])
        if any(found):
            self.document.section("joint", heading, "".join(found))
        if self.analysed:
            heading = marked(
                "Each analysis: config, provenance", [source for _, source, _, _ in self.analysed]
            )
            content = "".join(_analysis(number, *each) for number, each in enumerate(self.analysed, 1))
            self.document.section("files", heading, content)

    def _leading(self, number: int, plots: Iterable[Plot]) -> str:
        """Return the plots of an analysis, with a link to what it comes from."""
        drawn = "".join(map(self.document.figure, plots))
        if not drawn:
            return ""
        of, _, what, _ = self.analysed[number - 1]
        return f"{drawn}<p>{link(f'Config and provenance: {of}, {what}', f'analysis-{number}')}</p>"

    def _run(self, number: int, run: Run, summary: Summary) -> str:
        opened = " open" if len(self.runs) <= _OPEN else ""
        drawn = self.document.figure(captured_plot(run, summary, self.points), 4) if len(run.step) else ""
        heading = f"{run.dataset}, {run.measure}, {summary.run}"
        told = (
            f"{summary.steps} steps, score {summary.final_score:.4f}; {summary.status}: {summary.stop_reason}"
        )
        return (
            f'<details class="run" id="run-{number}"{opened}><summary><h3>{text(heading)}</h3>'
            f" {text(told)}</summary>{drawn}{origin(heading, run.path, run.attributes)}</details>"
        )

    def _title(self) -> str:
        """Return how many runs of which data, surrogates named as such."""
        counts = [
            (len(self.runs), "run"),
            (len(self.sensitivities), "sensitivity analysis"),
            (len(self.joints), "joint range"),
        ]
        told = ", ".join(f"{count} {_plural(name, count)}" for count, name in counts if count) or "no runs"
        names = list(dict.fromkeys([run.dataset for run, _ in self.runs] + [of for of, *_ in self.analysed]))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"simopt: {told}" + (f" on {', '.join(names[:_NAMED])}{more}" if names else "")


def _number(number: Rounded | None, value: float | None, missing: str) -> tuple[str, float | None]:
    """Return a cell and what it is sorted by; of None, which is not there at all, an empty one."""
    if number is None or value is None:
        return "", None
    return number.worded(missing), None if np.isnan(value) else float(value)


def _joint_plots(result: JointRange) -> Iterator[Plot]:
    region = joint_plot(result)
    if region is not None:
        yield region
    if result.third_range is not None:
        yield third_plot(result, result.third_range)


def _about(result: Sensitivities | JointRange, what: str) -> tuple[str, str, str, Path | None]:
    """Return the data, their source, what was done with its folder's name, and the file of an analysis."""
    folder = "" if result.path is None else f", {result.path.parent.name}"
    return f"{result.dataset} ({result.source})", result.source, f"{what}{folder}", result.path


def _analysis(number: int, of: str, source: str, what: str, path: Path | None) -> str:
    """Return what an analysis comes from, by its file."""
    heading = f"{of}, {what}"
    told = "<p>Not stored in a file.</p>"
    if path is not None:
        try:
            told = origin(heading, path, analysis.attributes(path))
        except StorageError as error:
            told = f'<p class="broken">{text(error)}</p>'
    summary = f"<summary><h3>{text(heading)}</h3></summary>"
    return f'<details class="run" id="analysis-{number}">{summary}{told}</details>'


def _plural(name: str, count: int) -> str:
    if count == 1:
        return name
    return f"{name[:-2]}es" if name.endswith("sis") else f"{name}s"
