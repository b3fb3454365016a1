"""Small rotations: the leading loss of a score, its weight for each PC, and how many PCs have weight.

The deviation x of a closed form is smooth in the angle e of a rotation. Its Taylor coefficients come
from automatic differentiation, not from finite differences. The score is another function of x, and may begin
with another power of e: an angle goes with sqrt(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt.theory.closed_forms import ClosedForm
from simopt.theory.pairs import Tilted

# Highest power of e whose coefficient is computed. If all four coefficients of a PC are 0, the measure counts
# as not sensitive to it.
_ORDERS = 4
# Coefficients smaller than this, relative to the largest of their PC, are taken as 0. Rounding leaves about
# 1e-16 of the sums that cancel.
_NOTHING = 1e-9


@dataclass(frozen=True)
class Expansion:
    """The leading loss of a score when one PC is rotated by a small angle e, in radians: leading e^order.

    Attributes
    ----------
    order : Tensor, (K,)
        Power of e for each PC; NaN where no term up to e^4 of the deviation is left.
    leading : Tensor, (K,)
        Coefficient for each PC; NaN as ``order`` is.
    """

    order: Tensor
    leading: Tensor


def expand(form: ClosedForm, variances: Tensor, *, units: int, samples: int) -> Expansion:
    """Return the leading term of the loss score(Y = X) - score(Y); for distances, of their growth.

    Parameters
    ----------
    form : ClosedForm
    variances : Tensor of float64, (K,)
        lambda, positive.
    units, samples : int
        The shape of X.
    """
    orthogonal = torch.zeros_like(variances.outer(variances))

    def deviation(e: Tensor) -> Tensor:
        return form.deviation(Tilted(variances, torch.cos(e), torch.sin(e), orthogonal, units, samples))

    start, *derivatives = _derivatives(deviation, torch.zeros_like(variances), _ORDERS)
    terms = torch.stack([value / math.factorial(k) for k, value in enumerate(derivatives, start=1)])
    terms = torch.where(terms.abs() <= _NOTHING * terms.abs().amax(dim=0), 0.0, terms)  # (4, K)
    if form.scale is None or float(start.abs().max()) > _NOTHING:
        # The score is smooth in x, also at x = 0 or because Y = X has another x: by the chain rule its loss
        # begins with the first term of x times the slope.
        _, slope = _derivatives(form.score, start, 1)
        return _first(slope.abs() * terms)
    # x begins with c e^2, as x is smooth and nowhere negative, and scale sqrt(x) with scale sqrt(c) e.
    return _first(form.scale * terms[1:2].clamp(min=0).sqrt())


def effective_components(sensitivity: Tensor) -> float:
    """Return how many PCs share the sensitivity of a measure, (sum w)^2 / sum w^2.

    This is the participation ratio of the leading coefficients w of :func:`expand` under rotation. They are
    proportional to lambda^2 for CKA, to lambda for NBS, and to sqrt(lambda) for the angular form of NBS. For
    CCA they are all equal, and the result is the number of PCs.

    Parameters
    ----------
    sensitivity : Tensor, (K,)
        w, not negative. The result is NaN if all are 0.
    """
    return float(sensitivity.sum().square() / sensitivity.square().sum())


def exponent(sensitivity: Tensor, variances: Tensor) -> float:
    """Return the power of lambda that a sensitivity is proportional to.

    It is the least-squares slope of log sensitivity against log lambda. The sensitivities of PCs i and j then
    have the ratio (lambda_i / lambda_j)^exponent, exactly for every measure that is a power law, which all
    are but ridge regression.

    Parameters
    ----------
    sensitivity, variances : Tensor, (K,)
        PCs without sensitivity are left out.

    Returns
    -------
    float
        NaN if all the variances left are equal.
    """
    sensitive = sensitivity > 0
    x, y = variances[sensitive].log(), sensitivity[sensitive].log()
    x, y = x - x.mean(), y - y.mean()
    size = float(x.square().sum())
    return float((x * y).sum()) / size if size > _NOTHING else math.nan


def _derivatives(function: Callable[[Tensor], Tensor], at: Tensor, orders: int) -> list[Tensor]:
    """Return the value and the first derivatives of an elementwise function at numbers (m,).

    The function of number i depends on number i only, so the gradient of the sum holds all m derivatives.
    """
    at = at.detach().requires_grad_()
    values = [function(at)]
    for _ in range(orders):
        # A constant has no graph, and its derivatives are zero.
        slope = None
        if values[-1].requires_grad:
            (slope,) = torch.autograd.grad(values[-1].sum(), at, create_graph=True, allow_unused=True)
        values.append(torch.zeros_like(at) if slope is None else slope)
    return [value.detach() for value in values]


def _first(terms: Tensor) -> Expansion:
    """Return the first term that is not zero, from the coefficients (orders, K) of e, e^2 and so on."""
    nonzero = terms.abs() > _NOTHING * terms.abs().amax(dim=0)
    chosen = nonzero & (nonzero.cumsum(dim=0) == 1)
    powers = torch.arange(1, len(terms) + 1, dtype=terms.dtype)[:, None]
    order, leading = (torch.where(chosen, values, 0.0).sum(dim=0) for values in (powers, terms))
    some = chosen.any(dim=0)
    return Expansion(torch.where(some, order, math.nan), torch.where(some, leading, math.nan))
