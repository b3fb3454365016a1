"""Forms of a score that is 1 at Y = X: the score itself, its square, or a function of its arccos."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from simopt import linalg
from simopt.typing import Form


def apply(form: Form, score: Tensor) -> Tensor:
    """Return a form of each score s in ``score``.

    ``score`` is s; ``squared`` is s^2; ``angular`` is 1 - (2/pi) arccos s; ``angle`` is arccos s in radians;
    ``angle_normalized`` is (2/pi) arccos s. The last two are distances, which are 0 at s = 1.
    """
    if form == "score":
        return score
    if form == "squared":
        return score.square()
    # All three angles come from 1 - (2/pi) arccos s, whose gradient is finite at s = 1.
    similarity = linalg.angular(score)
    if form == "angular":
        return similarity
    return (1 - similarity) * (math.pi / 2 if form == "angle" else 1)


def wording(form: Form, formula: str) -> str:
    """Return the formula of a form of a score as text, given the formula of the score itself."""
    return {
        "score": formula,
        "squared": f"({formula})^2",
        "angular": f"1 - (2/pi) arccos({formula})",
        "angle": f"arccos({formula})",
        "angle_normalized": f"(2/pi) arccos({formula})",
    }[form]


def facts(form: Form, low: float = 0.0) -> dict[str, Any]:
    """Return the entries of Facts that depend on the form of a score with values in [low, 1]."""
    widest = math.acos(max(low, -1))  # the largest angle, of the lowest score; R2 may be below -1
    ends = {
        "score": (low, 1.0),
        "squared": (0.0, max(1.0, low**2)),
        "angular": (1 - 2 / math.pi * widest, 1.0),
        "angle": (0.0, widest),
        "angle_normalized": (0.0, 2 / math.pi * widest),
    }[form]
    distance = form in ("angle", "angle_normalized")
    return {"low": ends[0], "high": ends[1], "at_self": float(not distance), "larger_is_closer": not distance}
