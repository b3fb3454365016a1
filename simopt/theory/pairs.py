"""Two datasets as theory sees them: the few numbers of X'X, X'Y and Y'Y that the linear measures read.

X = U S V', centered, with lambda_k = s_k^2. Where noise is added to all of Y, X'X, X'Y and Y'Y are diagonal
in V (:class:`Noisy`). Where one PC of Y is turned into a direction that is not exactly orthogonal to the other
PCs, one column of X'Y and of Y'Y fills up (:class:`Tilted`): still everything is known in closed form. All
tensors are float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

_NODES = 400
_MARGIN = 36.0
"""Nodes of the quadrature over log x, and how far it goes beyond all lambda, where the rest is rounding."""


class Fit(NamedTuple):
    """A regression: targets T, prediction P; each (...)."""

    product: Tensor  # <T, P>
    power: Tensor  # ||P||^2
    total: Tensor  # ||T||^2


@dataclass(frozen=True)
class Noisy:
    """Y = X + N, the noise of the same variance in every direction and orthogonal to X: Y'Y = X'X + nu I.

    Parameters
    ----------
    variances : Tensor, (K,)
        lambda, positive.
    noise : Tensor, (...)
        nu.
    units : int
    samples : int or None
        None where the score does not depend on it.
    """

    variances: Tensor
    noise: Tensor
    units: int
    samples: int | None = None

    @property
    def _own(self) -> Tensor:
        """The variances of X along all units, (units,), which are those of X'Y as well."""
        return torch.cat([self.variances, self.variances.new_zeros(self.units - len(self.variances))])

    @property
    def _other(self) -> Tensor:
        """The variances of Y along all units, (..., units)."""
        return self._own + self.noise[..., None]

    def shared_squared(self) -> Tensor:
        """||X'Y||_F^2, sum lambda^2."""
        return self.variances.square().sum().expand_as(self.noise)

    def other_squared(self) -> Tensor:
        """||Y'Y||_F^2, sum (lambda + nu)^2."""
        return self._other.square().sum(dim=-1)

    def other_total(self) -> Tensor:
        """Total sum of squares of Y, tr Y'Y."""
        return self._other.sum(dim=-1)

    def apart_squared(self) -> Tensor:
        """Least squared distance, min over orthogonal Q of ||X - Y Q||_F^2: that of the noise."""
        return self.units * self.noise

    def fit(self, penalty: float) -> Fit:
        """The ridge regression of X on Y: every PC from its own part of Y."""
        return self._fit(self._own, self._other, penalty)

    def fit_reverse(self, penalty: float) -> Fit:
        """The ridge regression of Y on X: every part from its own PC of X."""
        return self._fit(self._other, self._own, penalty)

    def _fit(self, targets: Tensor, predictors: Tensor, penalty: float) -> Fit:
        size = predictors + penalty
        there = size > 0
        slope = torch.where(there, self._own / torch.where(there, size, 1.0), 0.0)
        power = (slope.square() * predictors).sum(dim=-1)
        return Fit((slope * self._own).sum(dim=-1), power, targets.sum(dim=-1))

    def correlations(self, power: int) -> tuple[Tensor, Tensor]:
        """Sum rho^power of the canonical correlations sqrt(lambda / (lambda + nu)), and the rank of Y."""
        rho = (self.variances / (self.variances + self.noise[..., None])).sqrt()
        return (rho**power).sum(dim=-1), (self._other > 0).sum(dim=-1)


@dataclass(frozen=True)
class Tilted:
    """Y with PC i replaced, for each i: its score s_i u_i by s_i (a u_i + b w), w a unit vector.

    w is orthogonal to u_i and to the constant, and may overlap with the other PCs. Only the squares of the
    overlaps count: a sign of u_k'w turns with that of u_k and v_k.

    Parameters
    ----------
    variances : Tensor, (K,)
    along, across : float or Tensor (K,)
        a and b, the same for all PCs or one for each.
    overlap : Tensor, (K, K)
        Row i: (u_k'w)^2 for each k; the diagonal is not read. Zero: w is orthogonal to all PCs.
    units : int
    samples : int or None
    """

    variances: Tensor
    along: float | Tensor
    across: float | Tensor
    overlap: Tensor
    units: int
    samples: int | None = None

    @property
    def _kept(self) -> Tensor:
        """|a|."""
        return torch.as_tensor(self.along, dtype=self.variances.dtype).abs()

    @property
    def _others(self) -> Tensor:
        """Squared overlaps with the other PCs, b^2 (u_k'w)^2, (K, K) with zero diagonal."""
        across = torch.as_tensor(self.across, dtype=self.overlap.dtype)[..., None]
        return across**2 * (self.overlap - torch.diag(self.overlap.diagonal()))

    @property
    def _size(self) -> Tensor:
        """lambda_i (a^2 + b^2), the variance of the part that was replaced, (K,)."""
        return self.variances * (self.along**2 + self.across**2)

    @property
    def _own_squared(self) -> Tensor:
        """(a lambda_i)^2, (K,)."""
        return (self.along * self.variances).square()

    def _column(self) -> Tensor:
        """m_k^2 = lambda_k lambda_i b^2 (u_k'w)^2, the squares of the column that fills up, (K, K)."""
        return self.variances[:, None] * self._others * self.variances

    def shared_squared(self) -> Tensor:
        """Sum over k != i of lambda_k^2 and m_k^2, and (a lambda_i)^2."""
        rest = self.variances.square().sum() - self.variances.square()
        return rest + self._own_squared + self._column().sum(dim=-1)

    def other_squared(self) -> Tensor:
        """Sum over k != i of lambda_k^2 and 2 m_k^2, and the square of the replaced part."""
        rest = self.variances.square().sum() - self.variances.square()
        return rest + self._size.square() + 2 * self._column().sum(dim=-1)

    def other_total(self) -> Tensor:
        """Sum over k != i of lambda_k, and the replaced part."""
        return self.variances.sum() - self.variances + self._size

    def _excess(self) -> Tensor:
        """||X'Y||_* less that of its diagonal.

        With d_k = lambda_k, d_i = |a| lambda_i, the matrix M = diag(d) + (m in column i) has
        det(M'M + x^2) / det(diag(d)^2 + x^2) = 1 + x^2 / (d_i^2 + x^2) sum_k m_k^2 / (lambda_k^2 + x^2), and
        ||M||_* - sum d is 1/pi times the integral of its logarithm over x > 0.
        """
        column, logs = self._column(), self.variances.log()
        start, end = float(logs.min()) - _MARGIN, float(logs.max()) + _MARGIN
        # The trapezoid rule over log x converges geometrically.
        nodes = torch.linspace(start, end, _NODES, dtype=logs.dtype, device=logs.device)
        x = nodes.exp()
        kernel = 1 / (self.variances.square()[:, None] + x.square())  # (K, nodes)
        kept = self._own_squared[:, None]
        ratio = (column @ kernel) * (x.square() / (kept + x.square()))
        return torch.log1p(ratio) @ x * (nodes[1] - nodes[0]) / math.pi

    def apart_squared(self) -> Tensor:
        """lambda_i ((1 - |a|)^2 + b^2), less twice what the overlaps add to ||X'Y||_*."""
        plain = self.variances * ((1 - self._kept) ** 2 + self.across**2)
        return plain - 2 * self._excess()

    def fit(self, penalty: float) -> Fit:
        """X from Y: Y'Y + penalty is diagonal but for row and column i, and so inverted in closed form."""
        size = self.variances + penalty  # of the parts that stayed
        column = self._column()
        by_one, by_two, by_three = ((column / size**k).sum(dim=-1) for k in (1, 2, 3))
        # Unpenalised and in the span of the others, the replaced part predicts nothing more.
        left = self._size + penalty - by_one
        there = left > 1e-12 * self._size.clamp(min=torch.finfo(left.dtype).tiny)
        left = torch.where(there, left, 1.0)
        own = penalty**2 * by_two + self._own_squared
        own_slope = 2 * penalty * by_two - 2 * penalty**2 * by_three
        plain = self.variances.square() / size
        rest, rest_slope = plain.sum() - plain, -((plain / size).sum() - plain / size)
        product = rest + torch.where(there, own / left, 0.0)
        slope = rest_slope + torch.where(there, own_slope / left - own * (1 + by_two) / left.square(), 0.0)
        total = self.variances.sum().expand_as(product)
        return Fit(product, product + penalty * slope, total)

    def fit_reverse(self, penalty: float) -> Fit:
        """Y from X: row k of X'Y has squared length lambda_k^2 + m_k^2, row i (a lambda_i)^2."""
        squares = self.variances.square()
        length = squares + self._column()
        length = length - torch.diag(length.diagonal()) + torch.diag(self._own_squared)
        size = self.variances + penalty
        power = (length * self.variances / size.square()).sum(dim=-1)
        return Fit((length / size).sum(dim=-1), power, self.other_total())

    def correlations(self, power: int) -> tuple[Tensor, Tensor]:
        """K - 1 ones, and |a| / sqrt(a^2 + b^2 (1 - sum_k (u_k'w)^2)): what the other PCs leave of w."""
        size = self.along**2 + self.across**2
        left = size - self._others.sum(dim=-1)
        there = left > 1e-12 * size
        one = torch.where(there, self._kept / torch.where(there, left, 1.0).sqrt(), 0.0)
        return len(self.variances) - 1 + one**power, len(self.variances) - 1 + there.long()


Pair: TypeAlias = Noisy | Tilted
"""What the measures of :mod:`simopt.theory.closed_forms` read."""
