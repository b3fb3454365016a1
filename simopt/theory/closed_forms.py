"""Closed forms: a measure as a function of the few numbers of a :class:`~simopt.theory.pairs.Pair`.

Every closed form is a smooth *deviation* of the pair, 0 at Y = X wherever the measure is at its best there,
and a *form* of it: the score itself, an angle, a distance. The powers of lambda come from there: a deviation
of second order gives a score that is blind to small perturbations, its square root (an angle, a distance) one
that is not.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.measures import Measure
from simopt.measures.cca import CCA
from simopt.measures.kernel import KernelSimilarity
from simopt.measures.procrustes import Procrustes
from simopt.measures.regression import Regression
from simopt.measures.rv import AdjustedRV, SharedDimensions
from simopt.theory.pairs import Fit, Pair


@dataclass(frozen=True)
class ClosedForm:
    """The score of a pair.

    Attributes
    ----------
    deviation : callable, Pair -> Tensor (...)
        x, smooth in the perturbation.
    score : callable, Tensor -> Tensor
        The score of a deviation.
    power, scale : float
        score(0) - score(x), or of distances score(x), begins with scale x^power.
    """

    deviation: Callable[[Pair], Tensor]
    score: Callable[[Tensor], Tensor]
    power: float
    scale: float

    def __call__(self, pair: Pair) -> Tensor:
        """Return the score of a pair, (...)."""
        return self.score(self.deviation(pair))


def angle(deviation: Tensor) -> Tensor:
    """Return arccos(1 - x), elementwise, without loss of digits at small x: 2 arcsin sqrt(x / 2)."""
    return 2 * torch.asin((deviation / 2).clamp(0, 1).sqrt())


_FORMS: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "score": (lambda x: 1 - x, 1, 1),
    "squared": (lambda x: (1 - x).square(), 1, 2),
    "angular": (lambda x: 1 - 2 / math.pi * angle(x), 1 / 2, 2 / math.pi * math.sqrt(2)),
    "angle": (angle, 1 / 2, math.sqrt(2)),
    "angle_normalized": (lambda x: 2 / math.pi * angle(x), 1 / 2, 2 / math.pi * math.sqrt(2)),
}
"""Of a cosine 1 - x; arccos(1 - x) = sqrt(2 x) + ..."""

DISTANCES: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "distance": (lambda x: x.clamp(min=0).sqrt(), 1 / 2, 1),
    "squared": (lambda x: x, 1, 1),
    "angle": (lambda x: angle(x / 2), 1 / 2, 1),
    "disparity": (lambda x: x * (1 - x / 4), 1, 1),
    "similarity": (lambda x: 1 - x.clamp(min=0).sqrt() / 2, 1 / 2, 1 / 2),
}
"""Of a squared distance x; between unit vectors the cosine is 1 - x / 2."""


@functools.singledispatch
def closed_form(measure: Measure) -> ClosedForm | None:
    """Return the closed form of a measure; None where there is none.

    There is one where the score is a function of X'X, X'Y and Y'Y that does not need their eigenvectors:
    ``cka``, ``nbs`` and their forms, Procrustes distances, ``ensd``, ``rv_adjusted``, regressions without
    held-out samples, ``cca``. Not so for held-out folds, other kernels, RDMs, ranks and neighbors.
    """
    return None


@closed_form.register
def _kernel(measure: KernelSimilarity) -> ClosedForm | None:
    if measure.kernel != "linear" or measure.estimator != "biased":
        return None
    if measure.comparison == "cosine":
        return ClosedForm(lambda pair: 1 - cosine(pair), *_FORMS[measure.form])
    return ClosedForm(_bures_deviation, *_FORMS[measure.form])


@closed_form.register
def _procrustes(measure: Procrustes) -> ClosedForm | None:
    if measure.folds is not None or not measure.centered:
        return None
    if measure.normalized:
        return ClosedForm(lambda pair: 2 * _bures_deviation(pair), *DISTANCES[measure.form])
    return ClosedForm(lambda pair: pair.apart_squared(), *DISTANCES[measure.form])


@closed_form.register
def _shared_dimensions(measure: SharedDimensions) -> ClosedForm:
    return ClosedForm(lambda pair: 1 - cosine(pair) * _participation(pair), *_FORMS["score"])


@closed_form.register
def _adjusted(measure: AdjustedRV) -> ClosedForm | None:
    if measure.adjustment != "ghaziri":
        return None

    def deviation(pair: Pair) -> Tensor:
        if pair.samples is None:
            raise InputError(f"{measure.name} depends on the number of samples; give samples.")
        return (1 - cosine(pair)) / (1 - _participation(pair) / (pair.samples - 1))

    return ClosedForm(deviation, *_FORMS["score"])


@closed_form.register
def _regression(measure: Regression) -> ClosedForm | None:
    if measure.folds is not None:
        return None

    def deviation(pair: Pair) -> Tensor:
        fits = []
        if measure.direction != "x_to_y":
            fits.append(pair.fit(measure.penalty))
        if measure.direction != "y_to_x":
            fits.append(pair.fit_reverse(measure.penalty))
        missing = _unexplained if measure.statistic == "r2" else _uncorrelated
        return torch.stack([missing(fit) for fit in fits]).mean(dim=0)

    return ClosedForm(deviation, *_FORMS[measure.form])


@closed_form.register
def _cca(measure: CCA) -> ClosedForm | None:
    if measure.variance < 1:
        return None

    def deviation(pair: Pair) -> Tensor:
        total, rank = pair.correlations(measure.power)
        own = len(pair.variances)
        if measure.normalizer == "units":
            return 1 - total / pair.units
        if measure.normalizer == "ranks":
            return 1 - total / (own * rank).to(total.dtype).sqrt()
        return 1 - total / rank.clamp(max=own)

    return ClosedForm(deviation, *_FORMS[measure.form])


def cosine(pair: Pair) -> Tensor:
    """Return CKA, ||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F), (...)."""
    return pair.shared_squared() / (pair.variances.square().sum() * pair.other_squared()).sqrt()


def _participation(pair: Pair) -> Tensor:
    """Return sqrt(PR_x PR_y), the mean of the participation ratios, (...)."""
    own = pair.variances.sum().square() / pair.variances.square().sum()
    return (own * pair.other_total().square() / pair.other_squared()).sqrt()


def _bures_deviation(pair: Pair) -> Tensor:
    """1 - NBS without loss of digits, of the distance d: (d^2 - (||X|| - ||Y||)^2) / (2 ||X|| ||Y||)."""
    own, other = pair.variances.sum(), pair.other_total()
    lengths = (own - other).square() / (own.sqrt() + other.sqrt()).square()
    return (pair.apart_squared() - lengths) / (2 * (own * other).sqrt())


def _unexplained(fit: Fit) -> Tensor:
    return 1 - (2 * fit.product - fit.power) / fit.total


def _uncorrelated(fit: Fit) -> Tensor:
    """1 where nothing is predicted, as the measure has it."""
    there = fit.power > 0
    norms = torch.where(there, fit.power * fit.total, 1.0).sqrt()
    return 1 - torch.where(there, fit.product / norms, 0.0)
