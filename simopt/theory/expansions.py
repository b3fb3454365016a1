"""The loss of a score if one PC is rotated by a small angle, and how the PCs share this sensitivity.

The deviation x of a closed form (:mod:`simopt.theory.closed_forms`) is smooth in the angle e of a rotation.
Its Taylor coefficients are computed by automatic differentiation. The score is a function of x and may have
another leading power of e than x. For example, an angle grows with sqrt(x).
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
    """The loss of a score when one PC is rotated by a small angle.

    For an angle of e radians the loss is leading * e^order, up to terms of higher order.

    Attributes
    ----------
    order : Tensor, (K,)
        Power of e for each PC; NaN if all terms of the deviation up to e^4 are 0.
    leading : Tensor, (K,)
        Coefficient of this power for each PC; NaN where ``order`` is NaN.
    """

    order: Tensor
    leading: Tensor


def expand(form: ClosedForm, variances: Tensor, *, units: int, samples: int) -> Expansion:
    """Return the leading term of the loss score(X) - score(Y), or of score(Y) - score(X) for a distance.

    Parameters
    ----------
    form : ClosedForm
        The closed form of the measure.
    variances : Tensor of float64, (K,)
        The variances lambda of the PCs, all positive.
    units, samples : int
        Number of units and of samples of X.
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
    """Return the effective number of PCs that a measure is sensitive to, (sum w)^2 / sum w^2.

    This is the participation ratio of the leading coefficients w that :func:`expand` returns. The
    coefficients are proportional to lambda^2 for CKA, to lambda for NBS, and to sqrt(lambda) for the angular
    form of NBS. For CCA they are all equal, so that the result is the number of PCs.

    Parameters
    ----------
    sensitivity : Tensor, (K,)
        The coefficients w >= 0. If all are 0, the result is NaN.
    """
    return float(sensitivity.sum().square() / sensitivity.square().sum())


def exponent(sensitivity: Tensor, variances: Tensor) -> float:
    """Return the exponent of the power law of lambda that best describes the sensitivity of a measure.

    The exponent is the least-squares slope of log sensitivity against log lambda. The sensitivities of PCs i
    and j then have the ratio (lambda_i / lambda_j)^exponent. For ridge regression this is an approximation,
    for all other measures it is exact.

    Parameters
    ----------
    sensitivity, variances : Tensor, (K,)
        Sensitivity and variance of each PC. PCs whose sensitivity is 0 are left out.

    Returns
    -------
    float
        The exponent; NaN if the variances of the remaining PCs are all equal.
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
