"""One published number beside that of stored runs."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = "steps to 0.99"
NEVER = "PCs never captured"
GOOD = "good score"
MEDIAN = "half capture, PCs of 80 % of the variance: median |difference|"
LARGEST = "half capture, PCs of 80 % of the variance: largest difference"
COUNTS = (STEPS, NEVER)
"""The numbers that are counts; all others are scores or accuracies."""


@dataclass(frozen=True)
class Comparison:
    """One published number beside that of stored runs.

    Attributes
    ----------
    dataset, source : str
    measure : str
        Empty for a number of the recording alone.
    what : str
    published, here : float or None
        Scores, accuracies, numbers of steps or PCs. ``here`` is the mean over the replicates that have a
        number, or for good scores their median. NaN where never reached, None where no single number is.
    difference : float or None
        here - published, or as ``what`` says; NaN where one of the two was never reached.
    origin : str
        The origin of the published number: ``data`` (computed from published data), ``rounded data``, or
        ``by eye``.
    replicates : tuple of float
        The numbers of the single replicates, if there are any.
    note : str
    """

    dataset: str
    source: str
    measure: str
    what: str = ""
    published: float | None = None
    here: float | None = None
    difference: float | None = None
    origin: str = "data"
    replicates: tuple[float, ...] = ()
    note: str = ""
