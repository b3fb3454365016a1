"""Reports for other programs: tidy CSV files, LaTeX tables, plain values for JSON.

CSV files have every number as it was stored: read back in its own precision it is the same. A file always has
all its columns, and a field without a number is empty. LaTeX tables round means over replicates to the first
digit of their standard error.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simopt.checks import as_plain
from simopt.errors import InputError
from simopt.report import Collected, spread
from simopt.report.panels import SHOWN_PCS, shown_pcs
from simopt.report.pools import named
from simopt.report.tables import Rounded, Summary, rounded, standard_error
from simopt.store.errors import writing
from simopt.store.reader import Run
from simopt.store.whole import put, whole

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange
    from simopt.report.published import Comparison

Rows = Iterable[Sequence[Any]]

LATEX_ROWS = 45
"""The rows of a LaTeX table that fit on a page; more are continued in the next table."""

MOST_STATES, FEWEST_STATES, CAPTURED_ROWS = 300, 20, 500_000
"""The most and the fewest logged states of a run in captured_variance.csv, and the most rows of the file.

So many rows are some 40 MB and take a few seconds. All 727 PCs in 760 states of a run on the largest
recording would be 552,520 rows a replicate.
"""

_FLOATS = (float, np.floating)
_REPLICATE = "dataset source measure run replicate seed "
_PROVENANCE = "simopt_version created finished wall_seconds device dtype config_hash data_hash git"
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$",
    "[": "{[}", "*": "{*}",  # at the head of a row, the \\ before it would read them as its arguments
}  # fmt: skip
_LATEX_PRINTS = {*map(chr, range(0x180)), *"–—‘’“”…"} - set("ĦħĸĿŀŉŦŧſ")
"""The characters that pdflatex finds in fonts of encoding T1 without further packages."""


def save_csv(collected: Collected, folder: Path, every: int = 1) -> list[Path]:
    """Write seven tidy CSV files into a folder and return their paths.

    Their rows are:

    - ``runs``: a run and replicate;
    - ``trajectories``: a replicate and logged state;
    - ``captured_variance``: a replicate, logged state and PC, of the PCs that figures show and of at most
      :data:`MOST_STATES` states, evenly spaced, first and last among them; fewer where the file would have
      more than :data:`CAPTURED_ROWS` rows, but at least :data:`FEWEST_STATES`;
    - ``half_capture``: a replicate and PC;
    - ``decoding``: a replicate, task variable and decoded state;
    - ``sensitivity``: a measure, strength and PC;
    - ``joint``: a level, target or point of a proved bound, as ``part`` says.

    A file without rows has its header.

    Parameters
    ----------
    collected : Collected
    folder : Path
        Created if it does not exist.
    every : int, >= 1
        Trajectories have only every so many logged states, and the last one.

    Raises
    ------
    InputError
        ``every`` is below 1, or a file cannot be written.
    StorageError
        A run could not be read a second time.
    """
    if every < 1:
        raise InputError(f"every is {every}; give 1 for all logged states, 2 for every second one ...")
    runs, summaries = collected.runs, collected.summaries
    rows_of_state = max(1, len(SHOWN_PCS) * sum(run.score.shape[1] for run in runs))
    states = max(FEWEST_STATES, min(MOST_STATES, CAPTURED_ROWS // rows_of_state))
    tracked = sorted({name for run in runs for name in run.tracked})

    def write(name: str, header: str, rows: Iterable[Rows], more: Iterable[str] = ()) -> Path:
        header_cells = [*header.split(), *more]
        return _written(folder / f"{name}.csv", header_cells, itertools.chain.from_iterable(rows))

    return [
        write(
            "runs",
            f"{_REPLICATE} status stop_reason steps score never_captured {_PROVENANCE} path",
            map(_run_rows, runs, summaries),
        ),
        write(
            "trajectories",
            f"{_REPLICATE} step score",
            (_trajectory_rows(run, tracked, every) for run in collected.whole()),
            [f"tracked_{name}" for name in tracked],
        ),
        write(
            "captured_variance",
            f"{_REPLICATE} step score pc captured_variance",
            (_captured_rows(run, states) for run in collected.whole()),
        ),
        write(
            "half_capture", f"{_REPLICATE} pc variance_ratio half_capture", map(_half_rows, runs, summaries)
        ),
        write(
            "decoding",
            f"{_REPLICATE} variable step score accuracy chance recording good_score",
            map(_decoding_rows, collected.whole(), summaries),
        ),
        write(
            "sensitivity",
            "dataset source perturbation strength measure pc variance_ratio theory expected band seeds "
            "experiment standard_error",
            map(_sensitivity_rows, collected.sensitivities),
        ),
        write(
            "joint",
            "dataset source mode a b verdict area part of at_a at_b least largest distance_least "
            "distance_largest spread_least spread_largest closest_a closest_b state steps",
            map(_joint_rows, collected.joints),
        ),
    ]


def save_published(comparisons: Sequence[Comparison], folder: Path) -> Path:
    """Write ``published.csv``, the paper's numbers beside those of stored runs, and return its path.

    Raises
    ------
    InputError
        It cannot be written.
    """
    from simopt.report.published import Comparison

    rows = (vars(row) | {"replicates": len(row.replicates) or None} for row in comparisons)
    header = [column.name for column in fields(Comparison)]
    return _written(folder / "published.csv", header, (tuple(row.values()) for row in rows))


def save_latex(summaries: Sequence[Summary], path: Path) -> Path:
    """Write a LaTeX table of runs and one of half captures, with booktabs, and return the path.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    pcs = shown_pcs(max((summary.halves.shape[1] for summary in summaries), default=0))
    runs, halves = [], []
    for summary in summaries:
        about = named(summary), summary.measure, summary.run.rpartition("-")[2]
        name = [*map(escape_latex, about)]
        score = _latex_number(rounded(summary.scores), "--")
        never = escape_latex(f"{summary.never_captured:.0%}")
        runs.append([*name, str(summary.replicates), str(summary.steps), score, never])
        rounded_halves = summary.rounded_halves(pcs)
        halves.append([*name, *("" if h is None else _latex_number(h, "never") for h in rounded_halves)])
    note = "Mean and standard error over replicates."
    heads = ["dataset", "measure", "run"]
    lines = [
        r"% needs \usepackage{booktabs}, \usepackage{graphicx} and \usepackage[T1]{fontenc}",
        *_latex_tables(
            f"Optimized runs. Score: the last one. {note}",
            [*heads, "replicates", "steps", "score", "never captured"],
            runs,
        ),
        *_latex_tables(
            f"Score at which a principal component (PC) is half captured. {note} $-$: as noise.",
            [*heads, *(f"PC {pc}" for pc in pcs)],
            halves,
        ),
    ]
    with writing(path):
        put(path, "\n".join(lines).encode())
    return path


def as_json(collected: Collected, compared: Sequence[Comparison] | None = None) -> dict[str, Any]:
    """Return what was collected, and how it compares with the paper, as plain values; null is not finite."""
    content: dict[str, Any] = {
        "runs": [summary.as_json() for summary in collected.summaries],
        "sensitivities": [result.as_json() for result in collected.sensitivities],
        "joints": [result.as_json() for result in collected.joints],
        "broken": collected.broken,
    }
    if compared is not None:
        content["published"] = compared
    return dict(as_plain(content))


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is.

    Control characters become spaces. Letters that its usual fonts lack become their code, such as U+4E2D.
    """
    return "".join(_LATEX.get(character) or _printed(character) for character in text)


def _printed(character: str) -> str:
    if not character.isprintable():
        return " "
    return character if character in _LATEX_PRINTS else f"U+{ord(character):04X}"


def _latex_tables(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return tables of at most LATEX_ROWS rows, shrunk to the width of the text if they are wider."""
    columns = "lll" + "r" * (len(header) - 3)
    lines: list[str] = []
    for first in range(0, max(len(rows), 1), LATEX_ROWS):
        lines += [
            r"\begin{table}", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{caption}{' Continued.' if first else ''}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
            " & ".join(header) + r" \\", r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows[first : first + LATEX_ROWS]),
            r"\bottomrule", r"\end{tabular}}", r"\end{table}", "",
        ]  # fmt: skip
    return lines


def _latex_number(number: Rounded, none: str) -> str:
    value, _, share = number.worded(none, r" \pm ").partition(" in ")
    return f"${value}$" + (f" in {share}" if share else "") if number.count else none


def _labels(run: Run) -> Iterator[tuple[Any, ...]]:
    """Yield the first columns of every replicate."""
    name = (run.attributes["dataset"], run.attributes["source"], run.measure, run.run_id)
    for r, seed in enumerate(run.attributes["seeds"].tolist()):
        yield (*name, r, seed)


def _run_rows(run: Run, summary: Summary) -> Rows:
    about = [run.attributes.get(name) for name in _PROVENANCE.split()]
    never = np.isnan(summary.halves).mean(axis=1)
    for labels, score, missing in zip(_labels(run), summary.scores, never, strict=True):
        facts = (run.status, summary.stop_reason, summary.steps, score, missing)
        yield (*labels, *facts, *about, str(run.path))


def _trajectory_rows(run: Run, tracked: Sequence[str], every: int) -> Rows:
    states = sorted({*range(0, len(run.step), every), *range(len(run.step))[-1:]})
    steps = run.step[states].tolist()
    none = [None] * len(states)
    for r, labels in enumerate(_labels(run)):
        scores = [run.tracked[name][states, r].tolist() if name in run.tracked else none for name in tracked]
        for numbers in zip(steps, run.score[states, r].tolist(), *scores, strict=True):
            yield labels + numbers


def _captured_rows(run: Run, most: int) -> Rows:
    states = spread(len(run.step), most)
    pcs = shown_pcs(len(run.pc_variance))
    captured = run.captured_variance[:, :, [pc - 1 for pc in pcs]]
    for r, labels in enumerate(_labels(run)):
        for state in states:
            at = (int(run.step[state]), float(run.score[state, r]))
            # As float32, which prints with as few digits as it needs.
            yield from ((*labels, *at, pc, value) for pc, value in zip(pcs, captured[state, r], strict=True))


def _half_rows(run: Run, summary: Summary) -> Rows:
    variance = run.pc_variance.tolist()
    for labels, halves in zip(_labels(run), summary.halves.tolist(), strict=True):
        for pc, numbers in enumerate(zip(variance, halves, strict=True), start=1):
            yield (*labels, pc, *numbers)


def _decoding_rows(run: Run, summary: Summary) -> Rows:
    steps = run.decoding_step.tolist()
    for variable, accuracy in run.decoding.items():
        facts = run.reference_decoding[variable]
        good = summary.good_scores.get(variable)
        for r, labels in enumerate(_labels(run)):
            ends = (facts["chance"], facts["accuracy"], None if good is None else good.per_seed[r])
            scores, accuracies = run.decoding_score[:, r].tolist(), accuracy[:, r].tolist()
            for state in zip(steps, scores, accuracies, strict=True):
                yield (*labels, variable, *state, *ends)


def _sensitivity_rows(result: Sensitivities) -> Rows:
    """Yield a row for each measure, strength and PC; noise on all of Y has empty fields for the PC."""
    on_all = result.perturbation == "noise_all"
    pcs = [(None, None)] if on_all else list(enumerate(result.variance_ratio, start=1))
    for curve in result.curves:
        curves = (curve.theory, curve.expected, curve.band)
        for (s, strength), (k, pc) in itertools.product(enumerate(result.strengths), enumerate(pcs)):
            scores = None if curve.experiment is None else curve.experiment[s, k]
            yield (
                result.dataset, result.source, result.perturbation, strength, curve.measure, *pc,
                *(None if values is None else values[s, k] for values in curves), result.seeds,
                *((None, None) if scores is None else (scores.mean(), standard_error(scores))),
            )  # fmt: skip


def _joint_rows(result: JointRange) -> Rows:
    a, b = result.names
    region, across, square = result.region, result.across, result.square
    area = None if region is None else region.area
    about = (result.dataset, result.source, result.mode, a, b, result.verdict, area)
    unknown = [None] * 4
    if region is not None:
        ends = np.column_stack([region.b_min, region.b_max, region.feasibility, region.spread])
        for level, numbers in zip(region.levels, ends, strict=True):
            yield (*about, "boundary", b, level, None, *numbers, *unknown)
    if across is not None:
        ends = np.column_stack([across.value, across.feasibility, across.spread])
        for level, numbers in zip(across.levels.ravel(), ends, strict=True):
            yield (*about, "across", a, None, level, *numbers, *unknown)
    for level, *limits in () if result.proved is None else result.proved:
        yield (*about, "proved", b, level, None, *limits, *unknown, *unknown)
    if square is not None:
        for t, target in enumerate(square.targets):
            state = square.settled[t].name.lower()
            yield (*about, "square", None, *target, *[None] * 6, *square.closest[t], state, square.steps[t])


def _written(path: Path, header: Sequence[str], rows: Rows) -> Path:
    with (
        writing(path),
        whole(path) as unfinished,  # an older file is replaced only by a whole one
        # The path of a run and the text in its file may contain bytes that are not UTF-8.
        unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(_fields, rows))
    return path


def _fields(row: Sequence[Any]) -> list[Any]:
    """Return the fields of a row, None for what is not finite."""
    return [None if isinstance(value, _FLOATS) and not math.isfinite(value) else value for value in row]
