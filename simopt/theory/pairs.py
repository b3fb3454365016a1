"""X and a perturbed Y, reduced to the few numbers of X'X, X'Y and Y'Y that linear measures depend on.

X = U S V' is the singular value decomposition of the centered X, and lambda_k = s_k^2 is the variance of
PC k. If noise is added to all of Y (:class:`Noisy`), X'X, X'Y and Y'Y are diagonal in the basis V. If one PC
of Y is replaced by a direction that overlaps with the other PCs (:class:`Tilted`), V'X'YV has one column, and
V'Y'YV one row and one column, that are not zero off the diagonal. All quantities have a closed form in both
cases. All tensors are float64. (...) is the shape of a batch of pairs.

References
----------
.. [1] Trefethen, L. N. & Weideman, J. A. C. (2014). The exponentially convergent trapezoidal rule. SIAM
   Review 56, 385-458. doi:10.1137/130932132
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

# Nodes of the quadrature over log x in Tilted._excess, and its margin beyond the smallest and the largest
# log lambda. Beyond the margin the integrand is below exp(-36) = 2e-16 of its largest values. Against an SVD,
# with 5 to 30 PCs over up to 8 decades, the error is at most 1e-15 of the sum of lambda; 200 nodes leave
# 2e-11, a margin of 18 leaves 1e-10.
_NODES = 400
_MARGIN = 36.0


class Fit(NamedTuple):
    """The inner products of the targets T and the prediction P of a regression, each of shape (...)."""

    product: Tensor  # <T, P>
    power: Tensor  # ||P||^2
    total: Tensor  # ||T||^2


@dataclass(frozen=True)
class Noisy:
    """The pair of X and Y = X + N, where N is noise orthogonal to X.

    The noise has equal variance in every direction, so that Y'Y = X'X + nu I.

    Parameters
    ----------
    variances : Tensor, (K,)
        The variances lambda of the PCs, all positive.
    noise : Tensor, (...)
        The sum of squares nu of the noise in one unit.
    units, samples : int
        Number of units and of samples of X, and of Y.
    """

    variances: Tensor
    noise: Tensor
    units: int
    samples: int

    @property
    def _x_variances(self) -> Tensor:
        """The eigenvalues of X'X, (units,), which are also those of X'Y as X'N = 0."""
        return torch.cat([self.variances, self.variances.new_zeros(self.units - len(self.variances))])

    @property
    def _y_variances(self) -> Tensor:
        """The eigenvalues of Y'Y, lambda + nu, (..., units)."""
        return self._x_variances + self.noise[..., None]

    def cross_squared(self) -> Tensor:
        """Return ||X'Y||_F^2 = sum lambda^2, of shape (...)."""
        return self.variances.square().sum().expand_as(self.noise)

    def y_squared(self) -> Tensor:
        """Return ||Y'Y||_F^2, the sum of (lambda_k + nu)^2 over all units, lambda_k = 0 for k > K; (...)."""
        return self._y_variances.square().sum(dim=-1)

    def y_total(self) -> Tensor:
        """Return the total sum of squares of Y, tr Y'Y, of shape (...)."""
        return self._y_variances.sum(dim=-1)

    def distance_squared(self) -> Tensor:
        """Return the least ||X - Y Q||_F^2 over orthogonal Q, of shape (...).

        It is ||X||_F^2 + ||Y||_F^2 - 2 ||X'Y||_*. As X'Y = X'X has the nuclear norm ||X||_F^2, the result is
        the sum of squares of the noise, units * nu.
        """
        return self.units * self.noise

    def fit(self, penalty: float) -> Fit:
        """Return the ridge regression of X on Y; as all products are diagonal, PCs are fitted separately."""
        return self._fit(self._x_variances, self._y_variances, penalty)

    def fit_reverse(self, penalty: float) -> Fit:
        """Return the ridge regression of Y on X; as all products are diagonal, PCs are fitted separately."""
        return self._fit(self._y_variances, self._x_variances, penalty)

    def _fit(self, targets: Tensor, predictors: Tensor, penalty: float) -> Fit:
        size = predictors + penalty
        # A direction without variance and penalty predicts nothing: its slope is 0, not 0 / 0.
        there = size > 0
        slope = torch.where(there, self._x_variances / torch.where(there, size, 1.0), 0.0)
        power = (slope.square() * predictors).sum(dim=-1)
        return Fit((slope * self._x_variances).sum(dim=-1), power, targets.sum(dim=-1))

    def correlations(self, power: int) -> tuple[Tensor, Tensor]:
        """Return the sum of rho^power over the canonical correlations rho, and the rank of Y, both (...).

        Here rho_k = lambda_k / sqrt(lambda_k (lambda_k + nu)) = sqrt(lambda_k / (lambda_k + nu)).
        """
        rho = (self.variances / (self.variances + self.noise[..., None])).sqrt()
        return (rho**power).sum(dim=-1), (self._y_variances > 0).sum(dim=-1)


@dataclass(frozen=True)
class Tilted:
    """The pairs of X and a Y in which one PC i is replaced, for each i: s_i u_i becomes s_i (a u_i + b w).

    The unit vector w is orthogonal to u_i and to the constant, and may overlap with the other PCs. In the
    basis V of the PCs, V'X'YV is diagonal with the entries lambda_k, except for column i. There the diagonal
    entry is a lambda_i, and the other entries are m_k = s_k s_i b u_k'w. Only m_k^2 matters: if u_k and v_k
    both change their sign, u_k'w changes its sign, but X and the score do not change.

    Parameters
    ----------
    variances : Tensor, (K,)
        The variances lambda of the PCs, all positive.
    along, across : float or Tensor (K,)
        The coefficients a and b, as one number for all PCs or one for each PC.
    overlap : Tensor, (K, K)
        Row i holds (u_k'w)^2 for each k. The diagonal is not used. If all entries are 0, w is orthogonal to
        all PCs.
    units, samples : int
        Number of units and of samples of X, and of Y.
    """

    variances: Tensor
    along: float | Tensor
    across: float | Tensor
    overlap: Tensor
    units: int
    samples: int

    @property
    def _kept(self) -> Tensor:
        """|a|."""
        return torch.as_tensor(self.along, dtype=self.variances.dtype).abs()

    @property
    def _others(self) -> Tensor:
        """b^2 (u_k'w)^2, (K, K): one row for each replaced PC i, with zero diagonal."""
        across = torch.as_tensor(self.across, dtype=self.overlap.dtype)[..., None]
        return across**2 * (self.overlap - torch.diag(self.overlap.diagonal()))

    @property
    def _size(self) -> Tensor:
        """lambda_i (a^2 + b^2), the sum of squares of the replaced PC, (K,)."""
        return self.variances * (self.along**2 + self.across**2)

    @property
    def _kept_squared(self) -> Tensor:
        """(a lambda_i)^2, (K,): the diagonal entry of V'X'YV at i, squared."""
        return (self.along * self.variances).square()

    def _column(self) -> Tensor:
        """m_k^2 = lambda_k lambda_i b^2 (u_k'w)^2, (K, K): row i holds column i of V'X'YV, squared."""
        return self.variances[:, None] * self._others * self.variances

    def cross_squared(self) -> Tensor:
        """Return ||X'Y||_F^2, the sum over k != i of (lambda_k^2 + m_k^2), plus (a lambda_i)^2; (K,)."""
        rest = _others(self.variances.square())
        return rest + self._kept_squared + self._column().sum(dim=-1)

    def y_squared(self) -> Tensor:
        """Return ||Y'Y||_F^2, (K,).

        It is the sum over k != i of (lambda_k^2 + 2 m_k^2), plus (lambda_i (a^2 + b^2))^2, as m_k occurs
        twice in the symmetric Y'Y, in row i and in column i.
        """
        rest = _others(self.variances.square())
        return rest + self._size.square() + 2 * self._column().sum(dim=-1)

    def y_total(self) -> Tensor:
        """Return ||Y||_F^2, the sum over k != i of lambda_k, plus lambda_i (a^2 + b^2); (K,)."""
        return _others(self.variances) + self._size

    def _excess(self) -> Tensor:
        """||X'Y||_* minus the nuclear norm of its diagonal, (K,).

        With d_k = lambda_k for k != i and d_i = |a| lambda_i, M = diag(d) + (m in column i) has

            det(M'M + x^2) / det(diag(d)^2 + x^2) = 1 + x^2 / (d_i^2 + x^2) sum_k m_k^2 / (lambda_k^2 + x^2)

        and since the integral of log((s^2 + x^2) / (d^2 + x^2)) over x > 0 is pi (s - d), ||M||_* - sum d is
        1 / pi times the integral of the logarithm of this ratio. No SVD is needed, and its derivatives exist
        also where singular values coincide. With x = exp(y) the integrand falls off exponentially on both
        sides and is analytic, so that the trapezoid rule over y converges geometrically [1]_.
        """
        column, logs = self._column(), self.variances.log()
        start, end = float(logs.min()) - _MARGIN, float(logs.max()) + _MARGIN
        nodes = torch.linspace(start, end, _NODES, dtype=logs.dtype, device=logs.device)
        x = nodes.exp()
        kernel = 1 / (self.variances.square()[:, None] + x.square())  # (K, nodes)
        kept = self._kept_squared[:, None]
        ratio = (column @ kernel) * (x.square() / (kept + x.square()))  # (K, nodes)
        # dx = x dy
        return torch.log1p(ratio) @ x * (nodes[1] - nodes[0]) / math.pi

    def distance_squared(self) -> Tensor:
        """Return the least ||X - Y Q||_F^2 over orthogonal Q, (K,).

        In ||X||_F^2 + ||Y||_F^2 - 2 ||X'Y||_* the terms of all k != i cancel. Without overlaps this leaves
        lambda_i ((1 - |a|)^2 + b^2). Overlaps increase the nuclear norm, and twice this increase is
        subtracted.
        """
        plain = self.variances * ((1 - self._kept) ** 2 + self.across**2)
        return plain - 2 * self._excess()

    def fit(self, penalty: float) -> Fit:
        """Return the ridge regression of X on Y, with entries (K,).

        Let r be the penalty. A = V'Y'YV + r I is diagonal except for row and column i. Its inverse follows
        from the Schur complement of the other PCs,

            c = lambda_i (a^2 + b^2) + r - sum_k m_k^2 / (lambda_k + r),

        where the sum is over k != i. With T_j = sum_k m_k^2 / (lambda_k + r)^j

            <X, P> = tr X'Y A^-1 Y'X = sum over k != i of lambda_k^2 / (lambda_k + r)
                                       + (r^2 T_2 + (a lambda_i)^2) / c.

        As d(A^-1)/dr = -A^-2 and V'Y'YV = A - r I, ||P||^2 = <X, P> + r d<X, P>/dr.
        """
        size = self.variances + penalty
        column = self._column()
        by_one, by_two, by_three = ((column / size**k).sum(dim=-1) for k in (1, 2, 3))  # T_1, T_2, T_3
        # c is 0 where there is no penalty and the replaced PC lies in the span of the others: it predicts
        # nothing more than they do. Rounding leaves about 1e-16 of its size; 1e-12 is well above that.
        left = self._size + penalty - by_one
        there = left > 1e-12 * self._size.clamp(min=torch.finfo(left.dtype).tiny)
        left = torch.where(there, left, 1.0)
        response = penalty**2 * by_two + self._kept_squared
        # d/dr of T_j is -j T_(j+1), and of c is 1 + T_2.
        response_slope = 2 * penalty * by_two - 2 * penalty**2 * by_three
        plain = self.variances.square() / size
        rest, rest_slope = _others(plain), -_others(plain / size)
        product = rest + torch.where(there, response / left, 0.0)
        own_slope = response_slope / left - response * (1 + by_two) / left.square()
        slope = rest_slope + torch.where(there, own_slope, 0.0)
        total = self.variances.sum().expand_as(product)
        return Fit(product, product + penalty * slope, total)

    def fit_reverse(self, penalty: float) -> Fit:
        """Return the ridge regression of Y on X, with entries (K,).

        Let r be the penalty and l_k the squared length of row k of V'X'YV. As V'X'XV is diagonal,
        <Y, P> = sum l_k / (lambda_k + r) and ||P||^2 = sum l_k lambda_k / (lambda_k + r)^2. Row k != i has
        l_k = lambda_k^2 + m_k^2, and row i has l_i = (a lambda_i)^2.
        """
        squares = self.variances.square()
        length = squares + self._column()  # (K, K): row i for replaced PC i
        length = length - torch.diag(length.diagonal()) + torch.diag(self._kept_squared)
        size = self.variances + penalty
        power = (length * self.variances / size.square()).sum(dim=-1)
        return Fit((length / size).sum(dim=-1), power, self.y_total())

    def correlations(self, power: int) -> tuple[Tensor, Tensor]:
        """Return the sum of rho^power over the canonical correlations rho, and the rank of Y, both (K,).

        The other K - 1 PCs are in the span of Y, so K - 1 canonical correlations are 1. The last one is the
        correlation of u_i with the part of a u_i + b w that is orthogonal to the other PCs,
        |a| / sqrt(a^2 + b^2 (1 - sum_k (u_k'w)^2)).
        """
        size = self.along**2 + self.across**2
        left = size - self._others.sum(dim=-1)
        there = left > 1e-12 * size  # as in fit: otherwise Y has one dimension less
        one = torch.where(there, self._kept / torch.where(there, left, 1.0).sqrt(), 0.0)
        return len(self.variances) - 1 + one**power, len(self.variances) - 1 + there.long()


def _others(values: Tensor) -> Tensor:
    """Return for each of K values the sum of the others, (K,).

    The sum of all less the value itself would lose the others beside a value that is much larger.
    """
    return (values.expand(len(values), len(values)) - torch.diag(values)).sum(dim=-1)


Pair: TypeAlias = Noisy | Tilted
"""X and a perturbed Y: the argument of a closed form (:mod:`simopt.theory.closed_forms`)."""
