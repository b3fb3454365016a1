"""One published number beside the one found here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

STEPS = "steps to 0.99"
NEVER = "PCs never captured"
GOOD = "good score"
MEDIAN = "half capture, PCs of 80 % of the variance: median |difference|"
LARGEST = "half capture, PCs of 80 % of the variance: largest difference"
COUNTS = (STEPS, NEVER)
"""What is counted; all else is a score or an accuracy."""

HEADER = (
    "dataset", "source", "measure", "what", "published", "here", "difference", "origin", "replicates", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One published number beside the one found here.

    Attributes
    ----------
    dataset, source : str
    measure : str
        Empty for what is a matter of the recording alone.
    what : str
    published, here : float or None
        Scores, accuracies, numbers of steps or PCs. ``here`` is the mean over the replicates that have a
        number; of good scores their median. NaN: never reached; None: no single number.
    difference : float or None
        here - published, or what ``what`` says; NaN where one of the two was never reached.
    origin : str
        Of the published number: ``data`` (computed from published data), ``rounded data``, or ``by eye``.
    note : str
    replicates : tuple of float
        The numbers of the single replicates, where there are such.
    """

    dataset: str
    source: str
    measure: str
    what: str
    published: float | None
    here: float | None
    difference: float | None
    origin: str
    note: str = ""
    replicates: tuple[float, ...] = ()


def csv_rows(comparisons: Sequence[Comparison]) -> Iterator[tuple[Any, ...]]:
    """Give a row for each comparison, in the order of :data:`HEADER`."""
    for each in comparisons:
        fields = vars(each) | {"replicates": len(each.replicates) or None}
        yield tuple(fields[name] for name in HEADER)
