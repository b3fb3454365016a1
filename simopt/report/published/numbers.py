"""The published numbers, read from the CSV tables in this folder. The first line of a table names its origin.

Runs, half captures and decoding along runs are data from the project site of the paper, arXiv 2407.07059
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
"""The chance level in the published rule for good scores; on recordings not listed here it is 1/2."""


@dataclass(frozen=True)
class Number:
    """One published number.

    Attributes
    ----------
    value : float
        NaN for a score that was never reached.
    origin : str
        ``data`` (computed from published data), ``rounded data``, or ``by eye`` (read from a figure).
    note : str
        A remark, for instance that the accuracy is good from the start of the curve on; may be empty.
    """

    value: float
    origin: Origin
    note: str = ""


@functools.cache
def table(name: Table) -> tuple[dict[str, str], ...]:
    """Return the rows of a table, each as a dict with the names of the columns as keys.

    An empty field means that the number is unknown, or that a score was never reached.
    """
    text = (resources.files(__name__.rpartition(".")[0]) / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _rows(name: Table, **columns: str) -> list[dict[str, str]]:
    """Return the rows of a table in which each of ``columns`` has the given value."""
    return [row for row in table(name) if columns.items() <= row.items()]


def datasets() -> set[str]:
    """Return the names of the recordings for which numbers are published."""
    return {row["dataset"] for name in ("runs", "figures") for row in table(name)}


def runs(dataset: str) -> dict[str, dict[str, float]]:
    """Return the known numbers of the published run of each measure: first_score, steps, never_captured.

    Returns
    -------
    dict of dict
        The numbers by name, for each measure.
    """
    about = ("dataset", "measure")
    return {
        row["measure"]: {key: float(value) for key, value in row.items() if value and key not in about}
        for row in _rows("runs", dataset=dataset)
    }


def half_capture(dataset: str, measure: str) -> FloatArray:
    """Return the score at half capture of each of the K PCs that hold 80 % of the variance, an array (K,).

    A score that was never reached is NaN. The array is empty if no half captures are published.
    """
    rows = _rows("half_capture", dataset=dataset, measure=measure)
    return np.array([float(row["score"] or "nan") for row in rows])


def decoding(dataset: str, measure: str, variable: str) -> tuple[FloatArray, FloatArray]:
    """Return scores and accuracies at T states along a published run, two arrays (T,).

    The first state occurs twice. The arrays are empty if the curve is not published.
    """
    rows = _rows("decoding", dataset=dataset, measure=measure, variable=variable)
    score, accuracy = (np.array([float(row[key]) for row in rows]) for key in ("score", "accuracy"))
    return score, accuracy


def figure(dataset: str, what: str, of: str) -> Number | None:
    """Return a number from the table ``figures``; None if the table does not contain it.

    Parameters
    ----------
    dataset : str
    what : {"sensitivity", "accuracy", "lowest"}
        The quantity.
    of : str
        The measure or, for an accuracy, the task variable.
    """
    for row in _rows("figures", dataset=dataset, what=what, of=of):
        return Number(float(row["value"]), "by eye" if row["origin"] == "by eye" else "rounded data")
    return None


@functools.cache
def good_score(dataset: str, measure: str, variable: str) -> Number | None:
    """Return the good score of a published run; its value is NaN if the accuracy never reaches the level.

    :func:`simopt.analysis.good_score.good_score` computes the good score from the published curve and the
    published accuracy of decoding from the recording. The origin is that of this accuracy. Return None if the
    curve or the accuracy is not published.
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
        note = f"published accuracy reaches {accuracy.max():.3f} at most, good is {level:.3f}"
    elif accuracy[0, 0] >= level:
        note = f"published accuracy begins at {accuracy[0, 0]:.3f}, good is {level:.3f}"
    return Number(value, reference.origin, note)
