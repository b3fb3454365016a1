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
from simopt.theory.pairs import Pair, Tilted
from simopt.theory.perturbations import Kind, exact_pair

_ORDERS = 4
_NOTHING = 1e-9
"""Coefficients this much smaller than the largest one of a PC are rounding."""


@dataclass(frozen=True)
class Expansion:
    """The loss of a score at a small strength e: leading e^order + ...

    e is an angle in radians (``rotation``), 1 - amplitude (``scaling``), or the level of noise.

    Attributes
    ----------
    order : Tensor, (K,)
        NaN where there is no term up to fourth order of the deviation.
    leading : Tensor, (K,)
    """

    order: Tensor
    leading: Tensor


def expand(
    form: ClosedForm, variances: Tensor, kind: Kind, *, units: int, samples: int | None = None
) -> Expansion:
    """Return the first term of the loss, score(Y = X) - score(Y), of distances their growth.

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
        _, slope = _derivatives(form.score, start, 1)
        return _first(slope.abs() * terms)
    if form.power == 1:
        return _first(form.scale * terms)
    return _first(form.scale * terms[1:2].clamp(min=0).sqrt())  # the deviation begins with e^2


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
    if kind == "rotation":
        none = variances.new_zeros(len(variances), len(variances))
        return Tilted(variances, torch.cos(e), torch.sin(e), none, units, samples)
    strength = 1 - e if kind == "scaling" else e
    return exact_pair(variances, kind, strength, units=units, samples=samples)


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


def _first(terms: Tensor) -> Expansion:
    """Return the first term that is not zero, of coefficients of e, e^2 and so on, (orders, K)."""
    there = terms.abs() > _NOTHING * terms.abs().amax(dim=0)
    chosen = there & (there.cumsum(dim=0) == 1)
    powers = torch.arange(1, len(terms) + 1, dtype=terms.dtype)[:, None]
    order, leading = (torch.where(chosen, each, 0.0).sum(dim=0) for each in (powers, terms))
    some = chosen.any(dim=0)
    return Expansion(torch.where(some, order, math.nan), torch.where(some, leading, math.nan))
