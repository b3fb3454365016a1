"""Reports for other programs: tidy CSV files, LaTeX tables, plain values for JSON.

CSV files hold every number as it was stored; LaTeX tables round means over replicates to the first digit of
their standard error. All columns of one file are always there, and a field is empty where there is no number.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simopt.errors import InputError
from simopt.report import Collected
from simopt.report.tables import Rounded, Summary, rounded, standard_error
from simopt.store.reader import Run
from simopt.store.whole import put, whole
from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange
    from simopt.report.published import Comparison

Rows = Iterable[Sequence[Any]]

LATEX_ROWS = 45
"""Rows of a LaTeX table that fit on a page; more are continued in the next table."""

LATEX_PCS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""The principal components in the LaTeX table of half captures, from 1."""

_RUN = ("dataset", "source", "measure", "run")
_REPLICATE = (*_RUN, "replicate", "seed")
_PROVENANCE = (
    "simopt_version", "created", "finished", "wall_seconds", "device", "dtype", "config_hash", "data_hash",
    "git",
)  # fmt: skip
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$",
    "[": "{[}", "*": "{*}",  # at the head of a row, the \\ before it would take them for its own
}  # fmt: skip
_LATEX_PRINTS = {*map(chr, range(0x180)), *"–—‘’“”…"} - set("ĦħĸĿŀŉŦŧſ")
"""What pdflatex finds in fonts of encoding T1 without more packages."""


def save_csv(collected: Collected, folder: Path, every: int = 1) -> list[Path]:
    """Write six tidy CSV files into a folder and return their paths.

    ``runs`` (a row a run and replicate), ``trajectories`` (and logged step), ``half_capture`` (and PC),
    ``decoding`` (and variable and decoded step), ``sensitivity`` (a row a measure, strength and PC) and
    ``joint`` (a row a level, target or point of a proved bound, by its ``part``). A file without rows has
    its header.

    Parameters
    ----------
    collected : Collected
    folder : Path
        Made if need be.
    every : int, >= 1
        Of trajectories, so many logged states to a row; the last one is always there.

    Raises
    ------
    InputError
        ``every`` is below 1, or a file cannot be written.
    StorageError
        A run could not be read a second time.
    """
    if every < 1:
        raise InputError(f"every is {every}; a trajectory is thinned to every 1st, 2nd ... state.")
    runs, summaries = collected.runs, collected.summaries
    tracked = sorted({name for run in runs for name in run.tracked})
    files = {
        "runs": (
            (*_REPLICATE, "status", "stop_reason", "steps", "score", "never_captured", *_PROVENANCE, "path"),
            itertools.chain.from_iterable(map(_run_rows, runs, summaries)),
        ),
        "trajectories": (
            (*_REPLICATE, "step", "score", *(f"tracked_{name}" for name in tracked)),
            (row for run in collected.whole() for row in _trajectory_rows(run, tracked, every)),
        ),
        "half_capture": (
            (*_REPLICATE, "pc", "variance_ratio", "half_capture"),
            itertools.chain.from_iterable(map(_half_rows, runs, summaries)),
        ),
        "decoding": (
            (*_REPLICATE, "variable", "step", "score", "accuracy", "chance", "recording", "good_score"),
            itertools.chain.from_iterable(map(_decoding_rows, collected.whole(), summaries)),
        ),
        "sensitivity": (
            (
                "dataset", "source", "perturbation", "strength", "measure", "pc", "variance_ratio", "theory",
                "expected", "band", "seeds", "experiment", "standard_error",
            ),
            itertools.chain.from_iterable(map(_sensitivity_rows, collected.sensitivities)),
        ),
        "joint": (
            (
                "dataset", "source", "mode", "a", "b", "verdict", "area", "part", "of", "at_a", "at_b",
                "least", "largest", "distance_least", "distance_largest", "spread_least", "spread_largest",
                "closest_a", "closest_b", "state", "steps",
            ),
            itertools.chain.from_iterable(map(_joint_rows, collected.joints)),
        ),
    }  # fmt: skip
    return [_written(folder / f"{name}.csv", header, rows) for name, (header, rows) in files.items()]


def save_published(comparisons: Sequence[Comparison], folder: Path) -> Path:
    """Write ``published.csv``, the paper's numbers beside those found, into a folder and return its path.

    Raises
    ------
    InputError
        It cannot be written.
    """
    from simopt.report.published import HEADER, csv_rows

    return _written(folder / "published.csv", HEADER, csv_rows(comparisons))


def save_latex(summaries: Sequence[Summary], path: Path) -> Path:
    """Write a table of runs and one of half captures, for LaTeX with booktabs, and return the path.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    pcs = [pc for pc in LATEX_PCS if any(pc <= each.halves.shape[1] for each in summaries)]
    runs = [
        [
            *_named(each), str(each.replicates), str(each.steps), _number(rounded(each.scores), "--"),
            f"{each.never_captured:.0%}".replace("%", r"\%"),
        ]
        for each in summaries
    ]  # fmt: skip
    halves = [
        [
            *_named(each),
            *("" if half is None else _number(half, "never") for half in each.rounded_halves(pcs)),
        ]
        for each in summaries
    ]
    told = "Mean and standard error over replicates."
    text = "\n".join(
        [
            r"% needs \usepackage{booktabs}, \usepackage{graphicx} and \usepackage[T1]{fontenc}",
            *_latex_table(
                f"Optimised runs. Score: the last one. {told}",
                ["dataset", "measure", "run", "replicates", "steps", "score", "never captured"],
                runs,
            ),
            "",
            *_latex_table(
                f"Score at which a principal component (PC) is half captured. {told}",
                ["dataset", "measure", "run", *(f"PC {pc}" for pc in pcs)],
                halves,
            ),
            "",
        ]
    )
    try:
        put(path, text.encode())
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def as_json(collected: Collected, compared: Sequence[Comparison] | None = None) -> dict[str, Any]:
    """Return what was collected, and how it compares with the paper, as plain values; null: not finite."""
    told: dict[str, Any] = {
        "runs": [summary.as_json() for summary in collected.summaries],
        "sensitivities": [found.as_json() for found in collected.sensitivities],
        "joints": [found.as_json() for found in collected.joints],
        "broken": collected.broken,
    }
    if compared is not None:
        told["published"] = [asdict(each) for each in compared]
    plain: dict[str, Any] = _plain(told)
    return plain


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it stands.

    Control characters become spaces, and letters that its usual fonts lack their code, as in U+4E2D.
    """
    return "".join(_LATEX.get(each) or _printed(each) for each in text)


def _printed(character: str) -> str:
    if not character.isprintable():
        return " "
    return character if character in _LATEX_PRINTS else f"U+{ord(character):04X}"


def _latex_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table, shrunk to the width of the text if need be; beyond a page of rows, several of them."""
    columns = "lll" + "r" * (len(header) - 3)
    lines = [" & ".join(row) + r" \\" for row in rows]
    text: list[str] = []
    for first in range(0, max(len(lines), 1), LATEX_ROWS):
        told = f"{caption} Continued." if first else caption
        text += [
            *([""] if first else []), r"\begin{table}", r"\centering", r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}", rf"\caption{{{told}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
            " & ".join(header) + r" \\", r"\midrule", *lines[first : first + LATEX_ROWS],
            r"\bottomrule", r"\end{tabular}}", r"\end{table}",
        ]  # fmt: skip
    return text


def _named(summary: Summary) -> list[str]:
    name = f"{summary.dataset} ({summary.source})"
    return [escape_latex(cell) for cell in (name, summary.measure, summary.run.rpartition("-")[2])]


def _number(number: Rounded, none: str) -> str:
    value, _, share = number.worded(none, r" \pm ").partition(" in ")
    return f"${value}$" + (f" in {share}" if share else "") if number.count else none


def _labels(run: Run) -> Iterator[tuple[Any, ...]]:
    """Give the first columns of every replicate."""
    name = (run.attributes["dataset"], run.attributes["source"], run.measure, run.run_id)
    for r, seed in enumerate(run.attributes["seeds"].tolist()):
        yield (*name, r, seed)


def _run_rows(run: Run, summary: Summary) -> Rows:
    about = [run.attributes.get(name) for name in _PROVENANCE]
    never = np.isnan(summary.halves).mean(axis=1)
    for labels, score, missing in zip(_labels(run), summary.scores, never, strict=True):
        facts = (run.status, summary.stop_reason, summary.steps, score, missing)
        yield (*labels, *facts, *about, str(run.path))


def _trajectory_rows(run: Run, tracked: Sequence[str], every: int) -> Rows:
    kept = sorted({*range(0, len(run.step), every), *range(len(run.step))[-1:]})
    steps = run.step[kept].tolist()
    none = [None] * len(kept)
    for r, labels in enumerate(_labels(run)):
        watched = [run.tracked[name][kept, r].tolist() if name in run.tracked else none for name in tracked]
        for numbers in zip(steps, run.score[kept, r].tolist(), *watched, strict=True):
            yield labels + numbers


def _half_rows(run: Run, summary: Summary) -> Rows:
    variance = run.pc_variance.tolist()
    for labels, halves in zip(_labels(run), summary.halves.tolist(), strict=True):
        for pc, numbers in enumerate(zip(variance, halves, strict=True), start=1):
            yield (*labels, pc, *numbers)


def _decoding_rows(run: Run, summary: Summary) -> Rows:
    for variable, accuracy in run.decoding.items():
        facts = run.reference_decoding[variable]
        good = summary.good_scores.get(variable)
        for r, labels in enumerate(_labels(run)):
            ends = (facts["chance"], facts["accuracy"], None if good is None else good.per_seed[r])
            states = zip(
                run.decoding_step.tolist(),
                run.decoding_score[:, r].tolist(),
                accuracy[:, r].tolist(),
                strict=True,
            )
            for state in states:
                yield (*labels, variable, *state, *ends)


def _sensitivity_rows(found: Sensitivities) -> Rows:
    """Give a row for each measure, strength and PC; under noise on all of Y, one without a PC."""
    whole = found.perturbation == "noise_all"
    for curve in found.curves:
        curves = (curve.theory, curve.expected, curve.band)
        for s, strength in enumerate(found.strengths):
            for k in range(1 if whole else len(found.variance_ratio)):
                place = (None, None) if whole else (k + 1, found.variance_ratio[k])
                scores = None if curve.experiment is None else curve.experiment[s, k]
                told = (None, None) if scores is None else (scores.mean(), standard_error(scores))
                yield (
                    found.dataset, found.source, found.perturbation, strength, curve.measure, *place,
                    *(None if values is None else values[s, k] for values in curves), found.seeds, *told,
                )  # fmt: skip


def _joint_rows(found: JointRange) -> Rows:
    a, b = found.names
    area = None if found.region is None else found.region.area
    about = (found.dataset, found.source, found.mode, a, b, found.verdict, area)
    unknown = [None] * 4
    if found.region is not None:
        region = found.region
        ends = _ends(np.column_stack([region.b_min, region.b_max]), region.feasibility, region.spread)
        for level, numbers in zip(region.levels, ends, strict=True):
            yield (*about, "boundary", b, level, None, *numbers, *unknown)
    if found.across is not None:
        across = found.across
        ends = _ends(across.value, across.feasibility, across.spread)
        for levels, numbers in zip(across.levels, ends, strict=True):
            yield (*about, "across", a, None, levels[0], *numbers, *unknown)
    if found.third_range is not None:
        third = found.third_range
        ends = _ends(third.value, third.feasibility, third.spread)
        for levels, numbers in zip(third.levels, ends, strict=True):
            yield (*about, "third", found.third, *levels, *numbers, *unknown)
    if found.proved is not None:
        for level, *limits in found.proved:
            yield (*about, "proved", b, level, None, *limits, *unknown, *unknown)
    if found.square is not None:
        square = found.square
        for t, target in enumerate(square.targets):
            state = square.settled[t].name.lower()
            yield (*about, "square", None, *target, *[None] * 6, *square.closest[t], state, square.steps[t])


def _ends(*pairs: FloatArray) -> list[list[float]]:
    """Return the values, distances and spreads of both ends of each level in a row."""
    rows: list[list[float]] = np.column_stack(pairs).tolist()
    return rows


def _written(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    try:
        with (
            whole(path) as unfinished,
            # The path of a run, and text in its file, may hold bytes that are no UTF-8.
            unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(map(_fields, rows))
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _fields(row: Sequence[Any]) -> list[Any]:
    """Leave a field empty where there is no number; others are written so that they read back the same."""
    return [
        None if isinstance(value, float | np.floating) and not np.isfinite(value) else value for value in row
    ]


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()}).")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
