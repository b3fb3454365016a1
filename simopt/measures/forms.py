"""Forms: increasing functions of a cosine-like score that keep 1 at Y = X."""

from __future__ import annotations

from typing import get_args

from torch import Tensor

from simopt import checks, linalg
from simopt.typing import Form

FORMS: tuple[Form, ...] = get_args(Form)


def check(form: str, what: str) -> None:
    """Refuse a form that does not exist."""
    checks.one_of(form, FORMS, f"form of {what}")


def apply(form: Form, score: Tensor) -> Tensor:
    """Return the score s itself, its square, or 1 - (2/pi) arccos(s)."""
    if form == "angular":
        return linalg.angular(score)
    return score.square() if form == "squared" else score


def wording(form: Form, formula: str) -> str:
    """Write the form around a formula."""
    return {"score": formula, "squared": f"({formula})^2", "angular": f"1 - (2/pi) arccos({formula})"}[form]
