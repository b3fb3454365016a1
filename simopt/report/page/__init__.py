"""One HTML page of runs and analyses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simopt.report.page.analyses import joint_plot, sensitivity_plots, third_plot
from simopt.report.page.document import Document
from simopt.report.page.markup import Cell, Link, details, facts, marked, table, text
from simopt.report.page.plots import (
    Plot,
    Summarised,
    captured_plot,
    decoding_plots,
    points_each,
    score_plots,
)
from simopt.report.tables import PCS, Summary, summarise
from simopt.store.layout import ATTRIBUTES
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Result as Sensitivities
    from simopt.joint.result import Result as Joint

_OPEN = 4
"""Up to as many runs are shown unfolded."""
_NAMED = 4
"""As many datasets are named in the title."""


def save_page(
    runs: Sequence[Run],
    sensitivities: Sequence[Sensitivities],
    joints: Sequence[Joint],
    broken: Sequence[str],
    path: Path,
) -> Path:
    """Write the page, its folder made if need be, and return its path.

    Parameters
    ----------
    runs : sequence of Run
    sensitivities : sequence of simopt.analysis.sensitivity.Result
    joints : sequence of simopt.joint.result.Result
    broken : sequence of str
        A line for each file that could not be read.
    path : Path
        An .html file.

    Raises
    ------
    InputError
        Another suffix, or the file cannot be written.
    """
    return _Page(runs, sensitivities, joints, broken).save(path)


class _Page:
    def __init__(
        self,
        runs: Sequence[Run],
        sensitivities: Sequence[Sensitivities],
        joints: Sequence[Joint],
        broken: Sequence[str],
    ) -> None:
        ordered = sorted(runs, key=lambda run: (run.dataset, run.measure, run.run_id, str(run.path)))
        self.runs: list[Summarised] = [(run, summarise(run)) for run in ordered]
        self.sensitivities, self.joints, self.broken = sensitivities, joints, broken
        self.analysed: list[tuple[str, str, str, Path | None]] = [
            *((f"{r.dataset} ({r.source})", r.source, r.perturbation, r.path) for r in sensitivities),
            *((f"{r.dataset} ({r.source})", r.source, " and ".join(r.names), r.path) for r in joints),
        ]
        self.points = points_each(ordered)
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
            halves = [summary.half_capture.get(pc) for pc in PCS]
            rows.append(
                [
                    f"{summary.dataset} ({summary.source})",
                    summary.measure,
                    Link(summary.run.rpartition("-")[2], f"run-{number}"),
                    summary.status,
                    (str(summary.replicates), summary.replicates),
                    (str(summary.steps), summary.steps),
                    _number(summary.final_score, ".4f", ""),
                    *(("", None) if half is None else _number(half, ".3f", "never") for half in halves),
                    _number(summary.never_captured, ".0%", ""),
                ]
            )
        note = "half: the score at which a PC is half captured; means over replicates. Column heads sort."
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
        found = [plot for result in self.sensitivities for plot in sensitivity_plots(result)]
        heading = marked("Sensitivity to single PCs", [result.source for result in self.sensitivities])
        self.document.drawn("sensitivity", heading, found)
        regions: list[Plot] = []
        for result in self.joints:
            region = joint_plot(result)
            regions += [] if region is None else [region]
            regions += [] if result.third_range is None else [third_plot(result, result.third_range)]
        heading = marked("Joint ranges", [result.source for result in self.joints])
        self.document.drawn("joint", heading, regions)
        if self.analysed:
            pairs = [
                (f"{of}, {what}", "not stored" if path is None else path)
                for of, _, what, path in self.analysed
            ]
            heading = marked("Files of analyses", [source for _, source, _, _ in self.analysed])
            self.document.section("files", heading, facts(heading, pairs))

    def _run(self, number: int, run: Run, summary: Summary) -> str:
        opened = " open" if len(self.runs) <= _OPEN else ""
        drawn = self.document.figure(captured_plot(run, summary, self.points), 4) if len(run.step) else ""
        config = f"<pre>{text(run.attributes.get('config', ''))}</pre>"
        heading = f"{run.dataset}, {run.measure}, {summary.run}"
        told = (
            f"{summary.steps} steps, score {summary.final_score:.4f}; {summary.status}: {summary.stop_reason}"
        )
        return (
            f'<details class="run" id="run-{number}"{opened}><summary><h3>{text(heading)}</h3>'
            f" {text(told)}</summary>{drawn}{details('Config (YAML)', config)}"
            f"{details('Provenance', facts(f'Provenance of {heading}', _provenance(run)))}</details>"
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


def _number(value: float, digits: str, missing: str) -> tuple[str, float | None]:
    return (missing, None) if np.isnan(value) else (format(value, digits), float(value))


def _plural(name: str, count: int) -> str:
    if count == 1:
        return name
    return f"{name[:-2]}es" if name.endswith("sis") else f"{name}s"


def _provenance(run: Run) -> Iterator[tuple[str, object]]:
    yield "file", run.path
    for name in ATTRIBUTES:
        if name in run.attributes and name != "config":
            value = run.attributes[name]
            yield from (
                _versions(str(value)) if name == "versions" else [(name.replace("_", " "), _said(value))]
            )


def _versions(stored: str) -> Iterator[tuple[str, object]]:
    """Yield the versions of each package, or what is stored where it is none of ours."""
    try:
        known = json.loads(stored)
    except ValueError:
        known = None
    if isinstance(known, dict):
        yield from ((f"version of {name}", number) for name, number in known.items())
    else:
        yield "versions", stored


def _said(value: object) -> object:
    if isinstance(value, np.ndarray):
        return ", ".join(map(str, value.tolist()))
    return "none" if value == "" else value
