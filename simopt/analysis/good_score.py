"""What a good score is: where along a run a task variable becomes decodable."""

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
"""Of the way from chance to the accuracy of the recording, from which on a variable counts as decodable."""


@dataclass(frozen=True)
class GoodScore:
    """The score at which a variable can be decoded nearly as well as from the recording.

    Attributes
    ----------
    variable : str
    level : float
        The accuracy that counts as decodable.
    per_seed : array, (R,)
        NaN where a replicate never reached the level.
    """

    variable: str
    level: float
    per_seed: FloatArray

    @property
    def never(self) -> int:
        """How many replicates never reached the level."""
        return int(np.isnan(self.per_seed).sum())

    @property
    def score(self) -> float:
        """The median over replicates; one that never reached the level counts as beyond all, NaN."""
        ordered = np.sort(self.per_seed)  # NaN last
        middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
        return float(middle.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The least and the largest over replicates; NaN where one never reached the level."""
        return float(np.fmin.reduce(self.per_seed)), float(np.max(self.per_seed))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values: null for never."""
        shown = {"level": self.level, "score": self.score, "per_seed": self.per_seed}
        plain: dict[str, Any] = checks.as_plain(shown)
        return plain

    def worded(self) -> str:
        """Return it in a few words."""
        count, (low, high) = len(self.per_seed), self.interval
        if np.isnan(self.score):
            return "never" if self.never == count else f"never in {self.never} of {count}"
        end = "never" if np.isnan(high) else f"{high:.3f}"
        return f"{self.score:.3f}" if count == 1 else f"{self.score:.3f} ({low:.3f} to {end})"


def decodable(chance: float, reference: float, share: float = SHARE) -> float:
    """Return the accuracy that counts as decodable, chance + share (reference - chance)."""
    return chance + share * (reference - chance)


def good_score(
    score: FloatArray, accuracy: FloatArray, chance: float, reference: float, share: float = SHARE
) -> FloatArray:
    """Return the score at which accuracy is :func:`decodable`, (R,); NaN if never.

    The first passage along the run, by linear interpolation between decoded states.

    Parameters
    ----------
    score : array, (D, R)
    accuracy : array, (D, R)
        At the same states.
    chance, reference : float
        Accuracy of guessing, and from the recording itself.
    share : float, > 0

    Raises
    ------
    InputError
        The recording itself is not decoded above chance, or a share that is not positive.
    """
    checks.at_least(share, 0, "share", strict=True)
    if reference <= chance:
        raise InputError(
            f"the recording itself is decoded at {reference:.3f}, chance is {chance:.3f}: no score is good."
        )
    level = np.full((score.shape[1], 1), decodable(chance, reference, share))
    return first_passage(score, accuracy[..., None], level)[:, 0]


def good_scores(run: Run) -> dict[str, GoodScore]:
    """Return the good score of every variable that was decoded along a run and from its recording."""
    found = {}
    for variable, accuracy in run.decoding.items():
        facts = run.reference_decoding[variable]
        chance, reference = float(facts["chance"]), float(facts["accuracy"])
        if reference > chance:
            passage = good_score(run.decoding_score, accuracy, chance, reference)
            found[variable] = GoodScore(variable, decodable(chance, reference), passage)
    return found
