"""Closed forms: the score of a :class:`~simopt.theory.pairs.Pair` of X and a perturbed Y.

A closed form has two parts. The first is the *deviation* x of the pair, a smooth function of the strength e
of the perturbation. If the best score of a measure is at Y = X, its x is 0 there. The second part is the
score as a function of x: 1 - x, an angle, or a distance. For small e, x grows with e^2. The score 1 - x
therefore hardly changes, while an angle or a distance grows with sqrt(x), in proportion to e.

References
----------
.. [1] Kornblith, S., Norouzi, M., Lee, H. & Hinton, G. (2019). Similarity of neural network representations
   revisited. arXiv:1905.00414
.. [2] Harvey, S. E., Larsen, B. W. & Williams, A. H. (2023). Duality of Bures and shape distances with
   implications for comparing neural representations. arXiv:2311.11436
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from simopt.measures import Measure
from simopt.measures.cca import CCA
from simopt.measures.kernel import KernelSimilarity
from simopt.measures.procrustes import Procrustes
from simopt.measures.regression import Regression
from simopt.measures.rv import AdjustedRV, SharedDimensions
from simopt.theory.pairs import Fit, Pair


@dataclass(frozen=True)
class ClosedForm:
    """The score of a pair as a function of its deviation x (:mod:`simopt.theory.closed_forms`).

    Attributes
    ----------
    deviation : callable, Pair -> Tensor (...)
        Returns the deviation x of a pair.
    score : callable, Tensor -> Tensor
        Returns the score at a deviation, elementwise.
    scale : float or None
        For small x the loss score(0) - score(x), or the distance score(x), is scale * sqrt(x). None if the
        score is smooth at x = 0.
    """

    deviation: Callable[[Pair], Tensor]
    score: Callable[[Tensor], Tensor]
    scale: float | None

    def __call__(self, pair: Pair) -> Tensor:
        """Return the score of each pair, of shape (...)."""
        return self.score(self.deviation(pair))


def angle(deviation: Tensor) -> Tensor:
    """Return arccos(1 - x), elementwise, as 2 arcsin sqrt(x / 2).

    The two expressions are equal, since cos(2 t) = 1 - 2 sin(t)^2. The second one keeps all digits at small
    x, where 1 - x would lose them.
    """
    return 2 * torch.asin((deviation / 2).clamp(0, 1).sqrt())


_Form: TypeAlias = tuple[Callable[[Tensor], Tensor], float | None]

# Forms of a cosine 1 - x: the score, and the scale of its loss. arccos(1 - x) begins with sqrt(2 x).
_FORMS: dict[str, _Form] = {
    "score": (lambda x: 1 - x, None),
    "squared": (lambda x: (1 - x).square(), None),
    "angular": (lambda x: 1 - 2 / math.pi * angle(x), 2 / math.pi * math.sqrt(2)),
    "angle": (angle, math.sqrt(2)),
    "angle_normalized": (lambda x: 2 / math.pi * angle(x), 2 / math.pi * math.sqrt(2)),
}

DISTANCES: dict[str, _Form] = {
    "distance": (lambda x: x.clamp(min=0).sqrt(), 1),
    "squared": (lambda x: x, None),
    "angle": (lambda x: angle(x / 2), 1),
    "disparity": (lambda x: x * (1 - x / 4), None),
    "similarity": (lambda x: 1 - x.clamp(min=0).sqrt() / 2, 1 / 2),
}
"""The score of each form of a distance as a function of the squared distance x, and its ``scale``.

The angle is arccos(1 - x / 2), as 1 - x / 2 is the cosine of two unit vectors.
"""


@functools.singledispatch
def closed_form(measure: Measure) -> ClosedForm | None:
    """Return the closed form of a measure, or None if the measure has no closed form.

    Measures that depend on X'X, X'Y and Y'Y only have a closed form: ``cka``, ``nbs`` and measures derived
    from them, Procrustes distances, ``ensd``, ``rv_adjusted``, regressions without held-out samples, and
    ``cca``. Measures with held-out folds, other kernels, RDMs, ranks or neighbors have none.
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
        # Between X / ||X|| and Y / ||Y|| the squared distance is 2 - 2 nbs.
        return ClosedForm(lambda pair: 2 * _bures_deviation(pair), *DISTANCES[measure.form])
    return ClosedForm(lambda pair: pair.distance_squared(), *DISTANCES[measure.form])


@closed_form.register
def _shared_dimensions(measure: SharedDimensions) -> ClosedForm:
    return ClosedForm(lambda pair: 1 - cosine(pair) * _participation(pair), *_FORMS["score"])


@closed_form.register
def _adjusted(measure: AdjustedRV) -> ClosedForm | None:
    if measure.adjustment != "ghaziri":
        return None

    def deviation(pair: Pair) -> Tensor:
        return (1 - cosine(pair)) / (1 - _participation(pair) / (pair.samples - 1))

    return ClosedForm(deviation, *_FORMS["score"])


@closed_form.register
def _regression(measure: Regression) -> ClosedForm | None:
    if measure.folds is not None:
        return None

    def deviation(pair: Pair) -> Tensor:
        # The deviation is the mean over the directions that the measure averages.
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
        return None  # how many PCs are kept then depends on the spectrum of Y

    def deviation(pair: Pair) -> Tensor:
        total, rank = pair.correlations(measure.power)
        x_rank = len(pair.variances)
        if measure.normalizer == "units":
            return 1 - total / pair.units
        if measure.normalizer == "ranks":
            return 1 - total / (x_rank * rank).to(total.dtype).sqrt()
        return 1 - total / rank.clamp(max=x_rank)

    return ClosedForm(deviation, *_FORMS[measure.form])


def cosine(pair: Pair) -> Tensor:
    """Return the CKA [1]_ of each pair, ||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F), of shape (...)."""
    return pair.cross_squared() / (pair.variances.square().sum() * pair.y_squared()).sqrt()


def _participation(pair: Pair) -> Tensor:
    """Return sqrt(PR_x PR_y), PR = (tr X'X)^2 / tr (X'X)^2 the participation ratio, of shape (...)."""
    x_ratio = pair.variances.sum().square() / pair.variances.square().sum()
    return (x_ratio * pair.y_total().square() / pair.y_squared()).sqrt()


def _bures_deviation(pair: Pair) -> Tensor:
    """Return 1 - NBS, with NBS = ||X'Y||_* / (||X|| ||Y||), of shape (...) [2]_.

    From the Procrustes distance d^2 = ||X||^2 + ||Y||^2 - 2 ||X'Y||_*, which is known without cancellation:
    1 - NBS = (d^2 - (||X|| - ||Y||)^2) / (2 ||X|| ||Y||).
    """
    x_total, y_total = pair.variances.sum(), pair.y_total()
    # (||X|| - ||Y||)^2 as ((||X||^2 - ||Y||^2) / (||X|| + ||Y||))^2.
    lengths = (x_total - y_total).square() / (x_total.sqrt() + y_total.sqrt()).square()
    return (pair.distance_squared() - lengths) / (2 * (x_total * y_total).sqrt())


def _unexplained(fit: Fit) -> Tensor:
    """Return 1 - R2 = ||T - P||^2 / ||T||^2, with ||T - P||^2 = ||T||^2 - 2 <T, P> + ||P||^2."""
    return 1 - (2 * fit.product - fit.power) / fit.total


def _uncorrelated(fit: Fit) -> Tensor:
    """Return 1 - <T, P> / (||T|| ||P||); 1 where the prediction is zero, as in the measure."""
    there = fit.power > 0
    norms = torch.where(there, fit.power * fit.total, 1.0).sqrt()
    return 1 - torch.where(there, fit.product / norms, 0.0)
