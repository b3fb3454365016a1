"""Comparisons of neighbors if samples are equally near: scores are means over all orders of tied samples.

Samples are tied if their products with another sample are equal up to rounding
(:func:`simopt.measures.nearest.close`). This happens with class codes, counts and equal rows. If ties were
broken by the order of the rows, X and Y would share neighbors because of this order. So the order of tied
samples is random, independently for each sample and for X and Y:

- ``mutual``, ``jaccard``, ``rank`` and ``cycle`` are the means over all orders, in closed form;
- ``cknna`` and ``second_order_cosine`` divide the mean of a product by the root of the means of two squares;
- ``lcs``, whose mean has no closed form, is a mean over orders that are drawn with a fixed seed.

No score depends on the order of the rows. The score of X with itself is below 1 if ties affect it.

Let the k-th neighbor of sample i be one of t tied samples, and let s samples be nearer than these. Then each
of the t samples is a neighbor of i in the share (k - s) / t of all orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from simopt.measures import nearest
from simopt.measures.nearest import Neighbors
from simopt.norms import vector_norm

_DRAWS = 2048
"""The smallest number of orders that are drawn for a score; each sample gets at least one. The lengths of the
subsequences have a standard deviation of about 1, so that the mean length is accurate to about 0.02."""
_SEED = 20250923
"""The seed is arbitrary. It is fixed so that a score is the same each time."""


@dataclass(frozen=True)
class Ranking:
    """The ranks of all samples as neighbors of each sample of one dataset (n, p), with ties.

    Attributes
    ----------
    rows : Tensor of float64, (n, p)
        The samples.
    kernel : Tensor, (n, n)
        The products of the rows; 0 where they are 0 up to rounding.
    k : int
        The number of neighbors.
    before : Tensor of int64, (n, n)
        The number of samples that are nearer to sample i than sample j. It is n - 1 for j = i.
    tied : Tensor of int64, (n, n)
        The number of samples that are as near to sample i as sample j, including sample j.
    """

    rows: Tensor
    kernel: Tensor
    k: int
    before: Tensor
    tied: Tensor

    @classmethod
    def of(cls, neighbors: Neighbors) -> Ranking:
        """Return the ranking of the samples of one dataset in float64."""
        values, indices = nearest.descending(neighbors.kernel)
        starts = torch.ones_like(indices, dtype=torch.bool)  # where the next class of tied samples starts
        starts[:, 1:] = ~nearest.close(values, indices, neighbors.rows)
        first = torch.where(starts, torch.arange(len(indices), device=indices.device), 0).cummax(-1).values
        number = starts.cumsum(-1) - 1  # of the class
        size = torch.zeros_like(number).scatter_add(-1, number, torch.ones_like(number)).gather(-1, number)
        before, tied = (torch.empty_like(first).scatter(-1, indices, part) for part in (first, size))
        # Products of orthogonal samples are rounding errors, which cknna would take for a kernel.
        length = vector_norm(neighbors.rows, dim=-1)
        rounding = nearest.tolerance(neighbors.rows) * length[:, None] * length
        kernel = torch.where(neighbors.kernel.abs() <= rounding, 0.0, neighbors.kernel)
        return cls(neighbors.rows, kernel, neighbors.near.shape[-1], before, tied)

    @cached_property
    def has_ties(self) -> bool:
        """Whether a neighbor of some sample is as near as another sample."""
        return bool(((self.tied > 1) & (self.before < self.k)).any())

    @cached_property
    def inside(self) -> Tensor:
        """The share of orders in which sample j is a neighbor of sample i, (n, n)."""
        return ((self.k - self.before) / self.tied.to(self.kernel.dtype)).clamp(0, 1)

    @cached_property
    def sure(self) -> Tensor:
        """Whether sample j is a neighbor of sample i in all orders, (n, n)."""
        return self.inside == 1

    @cached_property
    def open(self) -> Tensor:
        """Whether sample j is a neighbor of sample i in some orders and not in others, (n, n)."""
        return (self.inside > 0) & ~self.sure

    @cached_property
    def drawn(self) -> Tensor:
        """The number of neighbors of each sample that are drawn from its ``open`` samples, (n,)."""
        return torch.where(self.open.any(-1), self.k - self.sure.sum(-1), 0)


def mutual(x: Ranking, y: Ranking) -> Tensor:
    """Return the mean share of common neighbors, where X and Y have independent orders of tied samples."""
    return (x.inside * y.inside).sum(-1).mean() / x.k


def jaccard(x: Ranking, y: Ranking) -> Tensor:
    """Return the mean Jaccard index, computed from the distribution of the number of common neighbors."""
    both = (x.sure & y.sure).sum(-1)
    shared = (both[:, None] + torch.arange(x.k + 1, device=both.device)).to(x.kernel)  # (n, k + 1)
    # Where more than k would be shared the probability is 0; the clamp keeps 0 / 0 away.
    return (_also_shared(x, y) * shared / (2 * x.k - shared).clamp_min(1)).sum(-1).mean()


def rank(x: Ranking, y: Ranking) -> Tensor:
    """Return the mean agreement of ranks (:func:`simopt.measures.nearest.rank`).

    The agreement of a sample is a sum over its c common neighbors j, divided by 1 + 1/2 + ... + 1/c. If j is
    a common neighbor, its rank among tied samples is uniform, and one draw fewer is left for other samples.
    """
    weights, harmonic = nearest.rank_weights(x.k, x.kernel)
    # Sums of weights over the first r ranks in X and s in Y give the sum over any block of ranks.
    sums = torch.nn.functional.pad(weights.cumsum(0).cumsum(1), (1, 0, 1, 0))  # (k + 1, k + 1)
    (r0, r1), (s0, s1) = (
        (side.before.clamp(max=x.k), (side.before + side.tied).clamp(max=x.k)) for side in (x, y)
    )
    block = sums[r1, s1] - sums[r0, s1] - sums[r1, s0] + sums[r0, s0]
    each = x.inside * y.inside * block / ((r1 - r0) * (s1 - s0)).clamp_min(1)  # (n, n)
    both = (x.sure & y.sure).sum(-1)
    inverse = torch.cat([1 / harmonic, harmonic.new_zeros(x.k + 2)])  # beyond k the probability is 0
    total = torch.zeros_like(each[:, 0])
    for x_open in (False, True):
        for y_open in (False, True):
            those = (x.open if x_open else x.sure) & (y.open if y_open else y.sure)
            some = those.any(-1)
            if not bool(some.any()):
                continue
            probability = _also_shared(x, y, some, x_open, y_open)  # (m, k + 1)
            known = both[some] + int(x_open or y_open)  # those among ``both`` include j itself
            count = known[:, None] + torch.arange(x.k + 1, device=known.device)
            mean = (probability * inverse[(count - 1).clamp_min(0)]).sum(-1)  # of 1 / harmonic number
            total[some] += (each * those).sum(-1)[some] * mean
    return total.mean()


def cycle(x: Ranking, y: Ranking) -> Tensor:
    """Return the share of samples i that are an X-neighbor of one of their Y-neighbors j.

    For a given set of Y-neighbors, the probability that i is an X-neighbor of none is a product over j, as
    the orders of different j are independent. It is averaged over the sets of Y-neighbors of i.
    """
    missing = 1 - x.inside.mT  # (n, n): i is no neighbor of j
    product = torch.where(y.sure, missing, 1.0).prod(-1)
    size = y.open.sum(-1)
    most = int(size.max())
    first = y.open.to(torch.int8).sort(dim=-1, descending=True, stable=True).indices[:, :most]
    factors = missing.gather(-1, first)  # of the open samples of each row, then of others
    drawn = torch.arange(x.k + 1, device=missing.device, dtype=missing.dtype)
    means = torch.zeros(len(missing), x.k + 1, dtype=missing.dtype, device=missing.device)
    means[:, 0] = 1
    for seen in range(1, most + 1):
        # The mean product over subsets of m of the first ``seen`` samples: the last one is in m / seen of
        # them.
        without = means * ((seen - drawn) / seen).clamp_min(0)
        with_last = means[:, :-1] * factors[:, seen - 1, None] * drawn[1:] / seen
        step = without + torch.nn.functional.pad(with_last, (1, 0))
        means = torch.where((seen <= size)[:, None], step, means)
    return (1 - product * means.gather(-1, y.drawn[:, None])[:, 0]).mean()


def lcs(x: Ranking, y: Ranking) -> Tensor:
    """Return the length of the longest common subsequence, averaged over random orders of tied samples."""
    # Both ways, as the draws depend on which side comes first, and the score does not.
    return (_drawn_lcs(x, y) + _drawn_lcs(y, x)) / 2


def _drawn_lcs(first: Ranking, second: Ranking) -> Tensor:
    k, n = first.k, len(first.before)
    # The distribution depends on how many samples have which ranks in X and in Y, not on which they are. In
    # the order of these pairs of ranks, and rows in that of their lists of pairs, a draw does not see the
    # order of the samples. Ranks beyond k are all alike.
    pairs = first.before.clamp(max=k) * (k + 1) + second.before.clamp(max=k)
    pairs = pairs.sort(dim=-1).values.cpu()
    near = (pairs < k * (k + 2)).sum(-1)  # on one side at least
    draws = -(-_DRAWS // n)
    generator = torch.Generator().manual_seed(_SEED)
    found = []
    for width in near.unique().tolist():
        rows, counts = pairs[near == width, :width].unique(dim=0, return_counts=True)
        rows = rows.repeat_interleave(counts * draws, dim=0)
        orders = [
            (ranks + torch.rand(ranks.shape, generator=generator, dtype=torch.float64)).argsort(-1)[:, :k]
            for ranks in (rows // (k + 1), rows % (k + 1))
        ]
        found.append(orders[0][:, :, None] == orders[1][:, None, :])
    return nearest.longest_common(torch.cat(found).double()).mean().to(first.kernel.device)


def second_order_cosine(x: Ranking, y: Ranking) -> Tensor:
    """Return the mean cosine of distances to X- or Y-neighbors, each weighted by its share of orders."""
    share = 1 - (1 - x.inside) * (1 - y.inside)
    a, b = (share.sqrt() * nearest.cosine_distances(side.rows) for side in (x, y))
    return nearest.mean_cosine(a, b)


def cknna(x: Ranking, y: Ranking, added: float = 0.0) -> Tensor:
    """Return CKNNA (:func:`simopt.measures.nearest.cknna`), where HSIC are replaced by means over orders.

    HSIC is a sum of products of two mask entries. Entries of different rows are independent, so the mean of
    their product is the product of their shares of orders. For entries of one row a covariance is added.
    """
    n = len(x.kernel)
    both = x.inside * y.inside
    shared = nearest.unbiased_hsic(both * x.kernel, both * y.kernel)
    # Of the HSIC, the product of the sums of both kernels alone has two entries of one row.
    shared = shared + _covariance(x, y).sum() / ((n - 1) * (n - 2) * n * (n - 3))
    # With its own mask, all open entries of a row of a kernel are equal: its sum is the same in all orders.
    x_square, y_square = (_square(side.inside * side.kernel) for side in (x, y))
    return nearest.normalized(shared, x_square, y_square, added)


def _square(K: Tensor) -> Tensor:
    """Return the unbiased HSIC of K (n, n) with itself, or 0 where it is 0 up to rounding.

    It is 0 if all entries off the diagonal are equal, as they are if all samples are equally near.
    """
    n = len(K)
    square = nearest.unbiased_hsic(K, K)
    # Sums of n equal terms are off by up to n eps of their size.
    rounding = (16 + n) * torch.finfo(K.dtype).eps * (K * K.mT).abs().sum() / (n * (n - 3))
    return torch.where(square.abs() <= rounding, 0.0, square)


def _covariance(x: Ranking, y: Ranking) -> Tensor:
    """Return the covariance over orders of sum_j M_ij K_ij and sum_j M_ij L_ij, (n,), of the common mask M.

    For two samples j, l that are both open in X, E[M_ij M_il] exceeds the product of their shares a_j a_l by
    c = m (m - 1) / (t (t - 1)) - (m / t)^2; likewise d in Y. With both masks independent, the covariance of
    j != l is (a_j a_l + c)(b_j b_l + d) - a_j a_l b_j b_l, c and d only where both are open.
    """
    (c, x_open), (d, y_open) = ((_excess(side), side.open.to(x.kernel)) for side in (x, y))
    K, L = x.kernel, y.kernel
    both = x.inside * y.inside
    total = ((both - both.square()) * K * L).sum(-1)
    for factor, weights in ((c, x_open * y.inside), (d, y_open * x.inside), (c * d, x_open * y_open)):
        pairs = (weights * K).sum(-1) * (weights * L).sum(-1) - (weights.square() * K * L).sum(-1)
        total = total + factor * pairs
    return total


def _excess(side: Ranking) -> Tensor:
    t, m = side.open.sum(-1).to(side.kernel), side.drawn
    return m * (m - 1) / (t * (t - 1)).clamp_min(1) - (m / t.clamp_min(1)).square()


def _also_shared(
    x: Ranking, y: Ranking, rows: Tensor | None = None, x_open: bool = False, y_open: bool = False
) -> Tensor:
    """Return the distribution of the number of common neighbors beside those that are sure, (n, k + 1).

    m of t open samples are drawn in X, and of those in Y. Of the t open ones in X, c_1 are sure in Y and c_2
    open in Y; d_1 that are sure in X are open in Y. If h of the c_1 and u of the c_2 are drawn in X, then
    d_1 + u of the open ones in Y are neighbors in X. Both draws are hypergeometric.

    Parameters
    ----------
    x, y : Ranking
    rows : Tensor of bool, (n,), optional
        The samples to be computed.
    x_open, y_open : bool
        Whether the distribution is that of the others, given that one sample is a common neighbor that is
        open in X, or in Y.
    """
    both = x_open and y_open
    masks = (x.open, y.open, x.open & y.sure, x.sure & y.open, x.open & y.open)
    counts = torch.stack([mask.sum(-1) for mask in masks] + [x.drawn, y.drawn], dim=-1)
    known = [x_open, y_open, x_open and not both, y_open and not both, both, x_open, y_open]
    counts = counts - counts.new_tensor(known, dtype=counts.dtype)
    # Few samples differ in these counts if there are classes.
    distinct, which = (counts if rows is None else counts[rows]).unique(dim=0, return_inverse=True)
    t_x, t_y, c_1, d_1, c_2, m_x, m_y = (part[:, None, None] for part in distinct.unbind(-1))
    number = torch.arange(x.k + 1, device=counts.device)
    h, u = number[:, None], number
    in_x = _choose(c_1, h) + _choose(c_2, u) + _choose(t_x - c_1 - c_2, m_x - h - u) - _choose(t_x, m_x)
    u, v = number[:, None], number
    in_y = _choose(d_1 + u, v) + _choose(t_y - d_1 - u, m_y - v) - _choose(t_y, m_y)
    joint = in_x.exp() @ in_y.exp()  # of h and v, (distinct, k + 1, k + 1)
    result = torch.zeros_like(joint[:, 0])
    for drawn in range(x.k + 1):  # h + v is at most k
        result[:, drawn:] += joint[:, drawn, : x.k + 1 - drawn]
    return result[which]


def _choose(n: Tensor, r: Tensor) -> Tensor:
    """Return the logarithm of n over r in float64; -inf if it is 0."""
    possible = (r >= 0) & (r <= n)
    factorials = (torch.lgamma(torch.where(possible, part, 0).double() + 1) for part in (n, r, n - r))
    of_n, of_r, of_rest = factorials
    return torch.where(possible, of_n - of_r - of_rest, -torch.inf)
