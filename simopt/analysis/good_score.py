"""Good scores: the score along a run from which on a task variable is decodable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt import checks
from simopt.errors import InputError
from simopt.optimization.trajectory import first_passage
from simopt.store.reader import Run
from simopt.typing import FloatArray

SHARE = 0.9
"""A variable counts as decodable from Y once (accuracy from Y - chance) / (accuracy from the recording -
chance) reaches this."""
LEVEL = 0.02
"""A variable can be decoded from the recording if the p-value of its held-out predictions is at most this.

Predictions of a cross-validation share training samples, so the number of correct predictions varies more
than the binomial distribution says. In 200 simulations of each of nine kinds of data without information, 2
to 4.5 % of the p-values were at most 0.02, and 3.5 to 10 % at most 0.05.
"""


@dataclass(frozen=True)
class GoodScore:
    """The good score of a variable: from it on, the variable can be decoded from Y nearly as well as from X.

    Attributes
    ----------
    variable : str
        Name of the task variable.
    level : float
        The smallest accuracy at which the variable counts as decodable; see :func:`decodable`.
    per_seed : array, (R,)
        The score at which the accuracy of each replicate first reached ``level``; NaN for a replicate whose
        accuracy never reached it.
    """

    variable: str
    level: float
    per_seed: FloatArray

    @property
    def never(self) -> int:
        """Number of replicates whose accuracy never reached ``level``."""
        return int(np.isnan(self.per_seed).sum())

    @property
    def score(self) -> float:
        """The median over replicates. A replicate that never reached ``level`` counts as the largest value.

        If the median falls on such a replicate, it is NaN.
        """
        # np.median would be NaN for any NaN. Sorted to the end, as larger than every score, NaN counts as one
        # value among others.
        ordered = np.sort(self.per_seed)
        middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
        return float(middle.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The smallest and the largest score over replicates.

        The largest is NaN if the accuracy of any replicate never reached ``level``.
        """
        return float(np.fmin.reduce(self.per_seed)), float(np.max(self.per_seed))

    def as_json(self) -> dict[str, Any]:
        """Return the good score as JSON values. Scores that were never reached are null."""
        shown = {
            "level": self.level,
            "score": self.score,
            "interval": self.interval,
            "per_seed": self.per_seed,
        }
        plain: dict[str, Any] = checks.as_plain(shown)
        return plain

    def worded(self) -> str:
        """Return the good score as a short text: the median and the interval, ``0.812 (0.790 to 0.840)``."""
        count, (low, high) = len(self.per_seed), self.interval
        if np.isnan(self.score):
            return "never" if self.never == count else f"never in {self.never} of {count}"
        end = "never" if np.isnan(high) else f"{high:.3f}"
        return f"{self.score:.3f}" if count == 1 else f"{self.score:.3f} ({low:.3f} to {end})"


def above_chance(facts: Mapping[str, Any]) -> bool:
    """Return whether a variable is decoded from the recording above chance.

    It is if the accuracy exceeds chance and the p-value is at most :data:`LEVEL`. For files of earlier
    versions, which hold no p-value, the accuracy alone decides.

    Parameters
    ----------
    facts : mapping
        ``accuracy``, ``chance`` and ``p_value`` of decoding from the recording (see
        :class:`simopt.analysis.decoding.Decoding`).
    """
    return float(facts["accuracy"]) > float(facts["chance"]) and not facts.get("p_value", math.nan) > LEVEL


def decoding_words(facts: Mapping[str, Any]) -> str:
    """Return a text on how well a variable is decoded from the recording, with the numbers of the test."""
    accuracy, chance = float(facts["accuracy"]), float(facts["chance"])
    name = "accuracy" if facts["classes"] else "R2"
    guess = f"{'below ' if accuracy < chance else ''}chance {chance:.2f}"
    if "p_value" not in facts:
        return f"{name} {accuracy:.2f}, {guess}"
    predictions, p_value = float(facts["predictions"]), float(facts["p_value"])
    return f"{name} {accuracy:.2f} in {predictions:.0f} independent predictions, {guess}, p = {p_value:.2g}"


def decodable(chance: float, reference: float) -> float:
    """Return the accuracy from which on a variable counts as decodable.

    It is chance + SHARE * (reference - chance), where ``reference`` is the accuracy of decoding from X.
    """
    return chance + SHARE * (reference - chance)


def good_score(score: FloatArray, accuracy: FloatArray, chance: float, reference: float) -> FloatArray:
    """Return the score at which the accuracy of each replicate first reaches :func:`decodable`, (R,).

    The score is interpolated linearly between decoded states. It is NaN for a replicate whose accuracy never
    reaches the level.

    Parameters
    ----------
    score, accuracy : array, (D, R)
        Score and accuracy at D decoded states of R replicates.
    chance, reference : float
        Chance accuracy, and accuracy of decoding from the recording.

    Raises
    ------
    InputError
        The accuracy of decoding from the recording does not exceed chance.
    """
    if reference <= chance:
        raise InputError(
            f"accuracy {reference:.3f} of the recording is not above chance, {chance:.3f}; omit the label."
        )
    # first_passage expects values (D, R, K): one level for each replicate, K = 1.
    level = np.full((score.shape[1], 1), decodable(chance, reference))
    return first_passage(score, accuracy[..., None], level)[:, 0]


def good_scores(run: Run) -> dict[str, GoodScore]:
    """Return the good score of each variable that is decoded from the recording above chance, by name."""
    scores = {}
    for variable, accuracy in run.decoding.items():
        facts = run.reference_decoding[variable]
        if above_chance(facts):
            chance, reference = float(facts["chance"]), float(facts["accuracy"])
            passage = good_score(run.decoding_score, accuracy, chance, reference)
            scores[variable] = GoodScore(variable, decodable(chance, reference), passage)
    return scores
