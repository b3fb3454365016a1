"""Good scores: the score along a run from which on a task variable is decodable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt import checks
from simopt.errors import InputError
from simopt.optimization.trajectory import first_passage
from simopt.store.reader import Run
from simopt.typing import FloatArray

SHARE = 0.9
"""A variable counts as decodable once accuracy has gained this share of the recording's gain over chance."""


@dataclass(frozen=True)
class GoodScore:
    """The score from which on a variable can be decoded nearly as well as from the recording.

    Attributes
    ----------
    variable : str
    level : float
        The accuracy that counts as decodable.
    per_seed : array, (R,)
        The good score of each replicate; NaN if it never reached the level.
    """

    variable: str
    level: float
    per_seed: FloatArray

    @property
    def never(self) -> int:
        """Number of replicates that never reached the level."""
        return int(np.isnan(self.per_seed).sum())

    @property
    def score(self) -> float:
        """The median over replicates; NaN if it falls on a replicate that never reached the level."""
        # np.median would be NaN for any NaN. Sorted to the end, as larger than every score, NaN counts as one
        # value among others.
        ordered = np.sort(self.per_seed)
        middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
        return float(middle.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The smallest and the largest over replicates; the largest is NaN if one never reached the level."""
        return float(np.fmin.reduce(self.per_seed)), float(np.max(self.per_seed))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; null for never."""
        shown = {"level": self.level, "score": self.score, "per_seed": self.per_seed}
        plain: dict[str, Any] = checks.as_plain(shown)
        return plain

    def worded(self) -> str:
        """Return it as a short text, for instance ``0.812 (0.790 to 0.840)``."""
        count, (low, high) = len(self.per_seed), self.interval
        if np.isnan(self.score):
            return "never" if self.never == count else f"never in {self.never} of {count}"
        end = "never" if np.isnan(high) else f"{high:.3f}"
        return f"{self.score:.3f}" if count == 1 else f"{self.score:.3f} ({low:.3f} to {end})"


def decodable(chance: float, reference: float) -> float:
    """Return the accuracy that counts as decodable, chance + SHARE * (reference - chance)."""
    return chance + SHARE * (reference - chance)


def good_score(score: FloatArray, accuracy: FloatArray, chance: float, reference: float) -> FloatArray:
    """Return the score at which accuracy first reaches :func:`decodable`, (R,); NaN if never.

    Scores between decoded states are interpolated linearly.

    Parameters
    ----------
    score, accuracy : array, (D, R)
        At D decoded states of R replicates.
    chance, reference : float
        Accuracy of guessing, and of decoding from the recording itself.

    Raises
    ------
    InputError
        The recording itself is not decoded above chance.
    """
    if reference <= chance:
        raise InputError(
            f"the recording itself is decoded at {reference:.3f}, chance is {chance:.3f}: no score is good."
        )
    # first_passage expects values (D, R, K): one level for each replicate, K = 1.
    level = np.full((score.shape[1], 1), decodable(chance, reference))
    return first_passage(score, accuracy[..., None], level)[:, 0]


def good_scores(run: Run) -> dict[str, GoodScore]:
    """Return the good scores of all variables that are decoded from the recording above chance."""
    scores = {}
    for variable, accuracy in run.decoding.items():
        facts = run.reference_decoding[variable]
        chance, reference = float(facts["chance"]), float(facts["accuracy"])
        if reference > chance:
            passage = good_score(run.decoding_score, accuracy, chance, reference)
            scores[variable] = GoodScore(variable, decodable(chance, reference), passage)
    return scores
