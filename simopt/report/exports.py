"""Reports for other programs: tidy CSV files, LaTeX tables, plain values for JSON.

Numbers in CSV files have enough digits to restore the stored number exactly. A file always has all its
columns, and a field without a number is empty. LaTeX tables round a mean over replicates to the position of
the first digit of its standard error.
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
"""The largest number of rows of a LaTeX table, which fill a page; further rows are in a continued table."""

MOST_STATES, FEWEST_STATES, CAPTURED_ROWS = 300, 20, 500_000
"""The most and fewest logged states of a run in captured_variance.csv, and its largest number of rows.

A file of 500,000 rows has about 40 MB and takes a few seconds. One replicate on the largest recording has
552,520 rows with all 727 PCs in 760 states.
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
"""The characters that pdflatex can print with fonts of encoding T1 and without further packages."""


def save_csv(collected: Collected, folder: Path, every: int = 1) -> list[Path]:
    """Write seven tidy CSV files into a folder and return their paths.

    The files have one row for

    - ``runs.csv``: each replicate of a run;
    - ``trajectories.csv``: each replicate and logged state;
    - ``captured_variance.csv``: each replicate, logged state and PC that figures show. At most
      :data:`MOST_STATES` evenly spaced states are written, including the first and the last. Their number is
      reduced, but not below :data:`FEWEST_STATES`, if the file would exceed :data:`CAPTURED_ROWS` rows;
    - ``half_capture.csv``: each replicate and PC;
    - ``decoding.csv``: each replicate, task variable and decoded state;
    - ``sensitivity.csv``: each measure, strength of the perturbation and PC;
    - ``joint.csv``: each level of a region, target, or point of a proved bound; the column ``part`` says
      which of them a row is.

    If there are no results for a file, it contains the header alone.

    Parameters
    ----------
    collected : Collected
    folder : Path
        Created if it does not exist.
    every : int, >= 1
        trajectories.csv has the last logged state and every N-th, with N = ``every``.

    Raises
    ------
    InputError
        ``every`` is below 1, or a file cannot be written.
    StorageError
        The file of a thinned run could not be read again.
    """
    if every < 1:
        raise InputError(f"every is {every}; give at least 1 (1: all logged states, 2: every second state).")
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
    """Write ``published.csv`` and return its path; it has the numbers of the paper and of stored runs.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    from simopt.report.published import Comparison

    rows = (vars(row) | {"replicates": len(row.replicates) or None} for row in comparisons)
    header = [column.name for column in fields(Comparison)]
    return _written(folder / "published.csv", header, (tuple(row.values()) for row in rows))


def save_latex(summaries: Sequence[Summary], path: Path) -> Path:
    """Write a LaTeX table of runs and one of the scores at half capture, and return the path of the file.

    The tables need the LaTeX packages booktabs, graphicx and fontenc.

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
    note = r"Mean $\pm$ standard error over replicates."
    heads = ["dataset", "measure", "run"]
    lines = [
        r"% needs \usepackage{booktabs}, \usepackage{graphicx} and \usepackage[T1]{fontenc}",
        *_latex_tables(
            f"Optimized runs. Score: the score of the last state. {note}",
            [*heads, "replicates", "steps", "score", "never captured"],
            runs,
        ),
        *_latex_tables(
            f"Score at which Y half captures a principal component (PC). {note} $-$: noise does, too.",
            [*heads, *(f"PC {pc}" for pc in pcs)],
            halves,
        ),
    ]
    with writing(path):
        put(path, "\n".join(lines).encode())
    return path


def as_json(collected: Collected, compared: Sequence[Comparison] | None = None) -> dict[str, Any]:
    """Return all collected results, and their comparison with the paper, as plain values for JSON.

    Null stands for NaN and infinity.
    """
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
    """Return LaTeX source that prints as ``text``.

    Control characters become spaces. A letter that the usual LaTeX fonts lack becomes its code, for instance
    U+4E2D.
    """
    return "".join(_LATEX.get(character) or _printed(character) for character in text)


def _printed(character: str) -> str:
    if not character.isprintable():
        return " "
    return character if character in _LATEX_PRINTS else f"U+{ord(character):04X}"


def _latex_tables(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of tables with at most LATEX_ROWS rows each; tables wider than the text are shrunk."""
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
    """Yield for each replicate the values of the columns ``_REPLICATE``."""
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
    """Yield a row for each measure, strength and PC; for noise on all of Y the fields of the PC are empty."""
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
    """Return the fields of a row, with None in place of NaN and infinity."""
    return [None if isinstance(value, _FLOATS) and not math.isfinite(value) else value for value in row]
