"""The published numbers: tables in this folder, whose first lines say where they are from.

Runs, half captures and decoding along runs are data of the project site of arXiv 2407.07059
(nacloos/diffscore-site, MIT license). Numbers that are rounded, or read by eye from a figure, are marked.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np

from simopt.analysis import good_score as rule
from simopt.typing import FloatArray

Origin = Literal["data", "rounded data", "by eye"]
Table = Literal["runs", "half_capture", "decoding", "figures"]

TARGET = 0.99
"""The score at which the published runs stop."""

_CHANCE = {"majaj": 1 / 8, "hatsopoulos": 1 / 8}
"""Chance in the published rule for good scores; on the other recordings it is 1/2."""


@dataclass(frozen=True)
class Number:
    """One published number; NaN for a score that was never reached.

    Attributes
    ----------
    value : float
    origin : str
        ``data``: computed from published data; ``rounded data``; ``by eye``: read from a figure.
    note : str
        A remark, for instance that the curve begins above the level; may be empty.
    """

    value: float
    origin: Origin
    note: str = ""


@functools.cache
def table(name: Table) -> tuple[dict[str, str], ...]:
    """Return the rows of a table by the names of its columns; an empty field is unknown, or never reached."""
    text = (resources.files(__name__.rpartition(".")[0]) / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _rows(name: Table, **columns: str) -> list[dict[str, str]]:
    """Return the rows of a table that have these values in these columns."""
    return [row for row in table(name) if columns.items() <= row.items()]


def datasets() -> set[str]:
    """Return the names of the recordings of which something is published."""
    return {row["dataset"] for name in ("runs", "figures") for row in table(name)}


def runs(dataset: str) -> dict[str, dict[str, float]]:
    """Return by measure the known numbers of each run: first_score, steps, never_captured."""
    about = ("dataset", "measure")
    return {
        row["measure"]: {key: float(value) for key, value in row.items() if value and key not in about}
        for row in _rows("runs", dataset=dataset)
    }


def half_capture(dataset: str, measure: str) -> FloatArray:
    """Return the score at half capture of the PCs that hold 80 % of the variance, (K,); NaN if never reached.

    Empty where nothing is published.
    """
    rows = _rows("half_capture", dataset=dataset, measure=measure)
    return np.array([float(row["score"] or "nan") for row in rows])


def decoding(dataset: str, measure: str, variable: str) -> tuple[FloatArray, FloatArray]:
    """Return score and accuracy along a run, (T,) each; the first two entries are the same state."""
    rows = _rows("decoding", dataset=dataset, measure=measure, variable=variable)
    score, accuracy = (np.array([float(row[key]) for row in rows]) for key in ("score", "accuracy"))
    return score, accuracy


def figure(dataset: str, what: str, of: str) -> Number | None:
    """Return a number from the table ``figures``; None where it has none.

    Parameters
    ----------
    dataset : str
    what : {"sensitivity", "accuracy", "lowest"}
    of : str
        A measure or a task variable.
    """
    for row in _rows("figures", dataset=dataset, what=what, of=of):
        return Number(float(row["value"]), "by eye" if row["origin"] == "by eye" else "rounded data")
    return None


@functools.cache
def good_score(dataset: str, measure: str, variable: str) -> Number | None:
    """Return the good score of a published run, NaN where it is never reached.

    It is computed by :func:`simopt.analysis.good_score.good_score` and has the origin of the recording's
    accuracy. None where that accuracy or the curve is not published.
    """
    # Without the first entry, which is the start once more.
    score, accuracy = (values[1:, None] for values in decoding(dataset, measure, variable))
    reference = figure(dataset, "accuracy", variable)
    if reference is None or not len(score):
        return None
    chance = _CHANCE.get(dataset, 1 / 2)
    level = rule.decodable(chance, reference.value)
    value = float(rule.good_score(score, accuracy, chance, reference.value)[0])
    note = ""
    if np.isnan(value):
        note = f"published: at most {accuracy.max():.3f}, good is {level:.3f}"
    elif accuracy[0, 0] >= level:
        note = f"published: begins at {accuracy[0, 0]:.3f}, good is {level:.3f}"
    return Number(value, reference.origin, note)
