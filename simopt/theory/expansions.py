"""Small perturbations: how a score begins to fall, which PCs weigh how much, and how many a measure sees.

The deviation of a closed form is smooth in the strength e of a perturbation; its Taylor coefficients come
from exact derivatives, none from finite differences. A form of it, say an angle, may begin with another power
of e.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt.theory.closed_forms import ClosedForm
from simopt.theory.pairs import Noisy, Pair, Tilted
from simopt.theory.perturbations import Kind, noise_variance

_ORDERS = 4
_NOTHING = 1e-9
"""Coefficients this much smaller than the largest one of a PC are rounding."""


@dataclass(frozen=True)
class Expansion:
    """The loss of a score at a small strength e: leading e^order + following e^next_order + ...

    e is an angle in radians (``rotation``), 1 - amplitude (``scaling``), or the level of noise.

    Attributes
    ----------
    order, next_order : Tensor, (K,)
        NaN where there is no such term up to fourth order of the deviation.
    leading, following : Tensor, (K,)
    """

    order: Tensor
    leading: Tensor
    next_order: Tensor
    following: Tensor

    def loss(self, e: float) -> Tensor:
        """Return the two terms at a strength, (K,)."""
        second = self.following * e**self.next_order
        return (self.leading * e**self.order).nan_to_num() + second.nan_to_num()


def expand(
    form: ClosedForm, variances: Tensor, kind: Kind, *, units: int, samples: int | None = None
) -> Expansion:
    """Return the first two terms of the loss, score(Y = X) - score(Y), of distances their growth.

    Parameters
    ----------
    form : ClosedForm
    variances : Tensor of float64, (K,)
    kind : {"rotation", "scaling", "noise", "noise_all"}
        Of ``noise_all`` there is one entry, not K.
    units : int
    samples : int, optional

    Returns
    -------
    Expansion
    """
    zero = variances.new_zeros(1 if kind == "noise_all" else len(variances))
    start, *derivatives = _derivatives(
        lambda e: form.deviation(_pair(variances, kind, e, units, samples)), zero, _ORDERS
    )
    terms = torch.stack([each / math.factorial(k + 1) for k, each in enumerate(derivatives)])
    terms = torch.where(terms.abs() <= _NOTHING * terms.abs().amax(dim=0), 0.0, terms)  # (4, K)
    if float(start.abs().max()) > _NOTHING:
        # The score of X itself is not at the end of its range, where a form may have a tip: it is smooth.
        _, slope, curve = _derivatives(form.score, start, 2)
        return _first_two(_composed(terms, slope.abs(), slope.sign() * curve / 2))
    shape = form.shape
    if shape.power == 1:
        scale = variances.new_tensor(shape.scale)
        return _first_two(_composed(terms, scale, scale * shape.slope))
    return _first_two(_rooted(terms, shape.scale, shape.slope))


def effective_components(sensitivity: Tensor) -> float:
    """Return how many PCs share the sensitivity of a measure, (sum w)^2 / sum w^2.

    The participation ratio of the leading coefficients w of :func:`expand` under rotation. Of CKA they go
    with lambda^2, of NBS with lambda, of an angular NBS with sqrt(lambda), of CCA they are all alike: then it
    is the number of PCs.

    Parameters
    ----------
    sensitivity : Tensor, (K,), not negative
    """
    return float(sensitivity.sum().square() / sensitivity.square().sum())


def exponent(sensitivity: Tensor, variances: Tensor) -> float:
    """Return the power of lambda with which a sensitivity grows: the slope through their logarithms.

    NaN where fewer than two PCs differ. The ratio of the sensitivities of PCs i and j is then
    (lambda_i / lambda_j)^exponent, exactly where the measure is a power law (all but ridge regression).
    """
    there = sensitivity > 0
    x, y = variances[there].log(), sensitivity[there].log()
    x, y = x - x.mean(), y - y.mean()
    size = float(x.square().sum())
    return float((x * y).sum()) / size if size > _NOTHING else math.nan


def _pair(variances: Tensor, kind: Kind, e: Tensor, units: int, samples: int | None) -> Pair:
    """The perturbation of strength e, (K,), one for each PC; differentiable in e."""
    if kind == "noise_all":
        return Noisy(variances, noise_variance(variances, units, e), units, samples)
    none = variances.new_zeros(len(variances), len(variances))
    along, across = {
        "rotation": (torch.cos(e), torch.sin(e)),
        "scaling": (1 - e, 0 * e),
        "noise": (1 + 0 * e, e),
    }[kind]
    return Tilted(variances, along, across, none, units, samples)


def _derivatives(function: Callable[[Tensor], Tensor], at: Tensor, orders: int) -> list[Tensor]:
    """Return the value and the first derivatives of a function that acts on each number of (m,) by itself."""
    at = at.detach().requires_grad_()
    values = [function(at)]
    for _ in range(orders):
        slope = None
        if values[-1].requires_grad:
            (slope,) = torch.autograd.grad(values[-1].sum(), at, create_graph=True, allow_unused=True)
        values.append(torch.zeros_like(at) if slope is None else slope)
    return [value.detach() for value in values]


def _composed(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the coefficients of first x + second x^2, of a series x (4, K) without a constant."""
    square = torch.stack([0 * x[0], x[0].square(), 2 * x[0] * x[1], 2 * x[0] * x[2] + x[1].square()])
    return first * x + second * square


def _rooted(x: Tensor, scale: float, slope: float) -> Tensor:
    """Return the coefficients of scale sqrt(x) (1 + slope x), of a series x (4, K) that begins with e^2."""
    there = x[1] > 0
    a, b, c = torch.where(there, x[1], 1.0), x[2], x[3]
    root = scale * a.sqrt()
    third = c / (2 * a) - b.square() / (8 * a.square()) + slope * a
    return torch.where(
        there, torch.stack([root, root * b / (2 * a), root * third, torch.full_like(a, math.nan)]), 0.0
    )


def _first_two(terms: Tensor) -> Expansion:
    """Return the first two terms that are not zero, of coefficients (4, K); what is NaN is not known."""
    orders = torch.arange(1, len(terms) + 1, dtype=terms.dtype)[:, None].expand_as(terms)
    there = terms.nan_to_num().abs() > _NOTHING * terms.nan_to_num().abs().amax(dim=0)
    rank = there.cumsum(dim=0)

    def pick(which: int) -> tuple[Tensor, Tensor]:
        chosen = there & (rank == which)
        some = chosen.any(dim=0)
        order = torch.where(chosen, orders, 0.0).sum(dim=0)
        coefficient = torch.where(chosen, terms.nan_to_num(), 0.0).sum(dim=0)
        return torch.where(some, order, math.nan), torch.where(some, coefficient, math.nan)

    return Expansion(*pick(1), *pick(2))
