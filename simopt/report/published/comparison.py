"""The comparison of one published number with that of stored runs."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = "steps to 0.99"
NEVER = "PCs never captured"
GOOD = "good score"
MEDIAN = "half capture, PCs of 80 % of the variance: median |difference|"
LARGEST = "half capture, PCs of 80 % of the variance: largest difference"
COUNTS = (STEPS, NEVER)
"""The compared quantities that are counts; all others are scores or accuracies."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of one published number with that of stored runs.

    Attributes
    ----------
    dataset, source : str
    measure : str
        Empty if the number is about the recording alone.
    what : str
        The quantity that is compared.
    published, here : float or None
        A score, an accuracy, a number of steps or a number of PCs. ``here`` is the mean over the replicates
        that have a number, or for good scores the median. NaN: the score was never reached. None:
        ``difference`` summarizes several numbers.
    difference : float or None
        ``here`` - ``published``, or the difference that ``what`` names. NaN if a score was never reached.
    origin : str
        The origin of the published number: ``data`` (computed from published data), ``rounded data``, or
        ``by eye`` (read from a figure).
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
