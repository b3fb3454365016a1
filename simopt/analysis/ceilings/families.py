"""Which measures are functions of CKA, debiased CKA or NBS, and what limits the ceilings of regressions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from simopt.measures import Measure, forms
from simopt.measures.kernel import KernelSimilarity
from simopt.measures.procrustes import Procrustes

Form = Callable[[Tensor], Tensor]

_LEAST_SQUARES, _PENALIZED = 0.25, 0.4
"""The largest number of units, as a share of the samples, at which cross-validated regressions get a ceiling.
With as many units as training samples the score of predicted noise was anything between .65 and -.9."""
_REGRESSION = 0.45
"""Cross-validated regressions get a ceiling if the share of the signal in the variance is at least this."""
_SKEWED = 0.35
"""Scores of cross-validated regressions may be below simulated scores by this share of their distance from 1.
For spike counts least squares were lower by .19 on average: PCs of skewed responses that are too small to be
seen have a few strong conditions, which a fit to all other conditions does not predict."""


def core(measure: Measure) -> tuple[str, Form] | None:
    """Return the core of a measure, and the form of the measure as a monotone function of its core.

    The core is ``cka``, ``cka_debiased`` or ``nbs``. For a measure without a core the result is None.
    """
    if isinstance(measure, KernelSimilarity) and measure.kernel == "linear":
        names = {"biased": "cka", "debiased": "cka_debiased"}
        name = "nbs" if measure.comparison == "bures" else names.get(measure.estimator)
        return None if name is None else (name, lambda score: forms.apply(measure.form, score))
    if isinstance(measure, Procrustes) and measure.centered and measure.normalized and measure.folds is None:
        # Of unit norm, X and Y have the squared distance 2 - 2 nbs.
        return "nbs", lambda score: measure.apply_form((2 - 2 * score).clamp(min=0).sqrt())
    return None


def applied(form: Form, value: float, low: float, high: float) -> tuple[float, float, float]:
    """Apply a form to a score and to the ends of its interval; return the smaller end first."""
    clipped = torch.tensor([value, low, high], dtype=torch.float64).clamp(0, 1)
    formed = form(clipped).tolist()
    return formed[0], min(formed[1:]), max(formed[1:])


def within(measure: Measure, value: float, low: float, high: float) -> tuple[float, float, float]:
    """Return a value and the ends of its interval, clipped to the range of the measure."""
    least, most = measure.facts.low, measure.facts.high
    value, low, high = (math.nan if math.isnan(x) else min(max(x, least), most) for x in (value, low, high))
    return value, low, high


def counts_directions(measure: Measure) -> bool:
    """Return whether directions of the signal count in a measure however little variance they have.

    This is so for least squares and canonical correlations, which invertible maps leave unchanged.
    """
    return "invertible_linear" in measure.facts.invariant_x | measure.facts.invariant_y


def _cross_validated(measure: Measure) -> bool:
    return measure.facts.family == "regression" and measure.cross_validated


def lowered(measure: Measure, value: float, low: float) -> float:
    """Return the lower end of an interval, moved down if the measure is a cross-validated regression."""
    return low - _SKEWED * (1 - value) if _cross_validated(measure) else low


def limit(measure: Measure, share: float, shape: tuple[int, ...]) -> str:
    """Return why the ceiling of a cross-validated regression is not known; empty if nothing limits it.

    Parameters
    ----------
    measure : Measure
    share : float
        The share of the signal in the sum of squares of the average.
    shape : tuple of int, (T, C, units)
    """
    if not _cross_validated(measure):
        return ""
    *samples, units = shape
    most = _LEAST_SQUARES if counts_directions(measure) else _PENALIZED
    if units > most * math.prod(samples):
        return (
            f"{units} units are more than {most:.0%} of the {math.prod(samples)} samples, so that "
            f"{measure.name} depends on PCs of the signal that are too small to be seen"
        )
    if share < _REGRESSION:
        return (
            f"the signal holds {share:.0%} of the variance of the average; {measure.name} needs at least "
            f"{_REGRESSION:.0%}"
        )
    return ""
