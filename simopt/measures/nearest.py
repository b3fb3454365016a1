"""Nearest neighbors in X and in Y, and comparisons of these neighbors if no two are equally near.

The X-neighbors N_X(i) and Y-neighbors N_Y(i) of sample i are its neighbors in X and in Y.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from simopt.measures.geometry import directions
from simopt.measures.kernel import debiased
from simopt.norms import vector_norm

Metric = Literal["inner", "cosine"]


def tolerance(rows: Tensor) -> float:
    """Return the rounding error of the inner product of two rows (..., n, q), relative to their lengths.

    A sum of q products is off by up to q eps of their size. The 16 leaves room for the rounding of the rows
    themselves. Products of data without ties differ by far more.
    """
    return (16 + rows.shape[-1]) * torch.finfo(rows.dtype).eps


def close(values: Tensor, indices: Tensor, rows: Tensor) -> Tensor:
    """Return whether each product in ``values`` equals the next one up to rounding, (..., n, m - 1).

    The difference may be at most :func:`tolerance` times the lengths of both rows.

    Parameters
    ----------
    values : Tensor, (..., n, m)
        The products of each sample with m other samples, in descending order.
    indices : Tensor of int, (..., n, m)
        The indices of the other samples.
    rows : Tensor, (..., n, q)
        The samples.
    """
    length = vector_norm(rows, dim=-1)  # (..., n)
    others = length[..., None, :].expand(*indices.shape[:-1], -1).gather(-1, indices)
    longer = torch.maximum(others[..., :-1], others[..., 1:])
    return values[..., :-1] - values[..., 1:] <= tolerance(rows) * length[..., :, None] * longer


def descending(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the products of each sample with all samples, in descending order, and the samples' indices.

    Both results are (..., n, n). A sample is not its own neighbor: it comes last, with the product -inf.
    Samples with equal products keep their order.
    """
    itself = torch.eye(kernel.shape[-1], dtype=torch.bool, device=kernel.device)
    values, indices = kernel.masked_fill(itself, -math.inf).sort(dim=-1, descending=True, stable=True)
    return values, indices


class Neighbors(NamedTuple):
    """The samples of X or of Y with their inner products and nearest neighbors.

    Attributes
    ----------
    rows : Tensor, (..., n, p)
        The responses. For the cosine metric each row is scaled to length 1; a row of zeros stays zero.
    kernel : Tensor, (..., n, n)
        The inner products of the rows.
    near : Tensor, (..., n, k)
        The indices of the neighbors of each sample, nearest first. Equally near neighbors keep the order of
        the samples.
    tied : Tensor of bool, (...)
        Whether a neighbor of some sample is as near as another sample, up to rounding. The data then do not
        decide which one is a neighbor or comes first (see :mod:`simopt.measures.ties`).
    """

    rows: Tensor
    kernel: Tensor
    near: Tensor
    tied: Tensor

    @classmethod
    def of(cls, responses: Tensor, metric: Metric, k: int) -> Neighbors:
        """Find the k nearest neighbors of each sample of responses (..., n, p)."""
        rows = directions(responses) if metric == "cosine" else responses
        kernel = rows @ rows.mT
        values, indices = descending(kernel)
        # The first sample that is no neighbor is looked at, too: the last neighbor may be tied with it.
        tied = close(values[..., : k + 1], indices[..., : k + 1], rows).any(-1).any(-1)
        return cls(rows, kernel, indices[..., :k], tied)

    @property
    def mask(self) -> Tensor:
        """Whether sample j is a neighbor of sample i, (..., n, n)."""
        return torch.zeros_like(self.kernel, dtype=torch.bool).scatter(-1, self.near, True)


def matches(x: Neighbors, y: Neighbors) -> Tensor:
    """Return whether the r-th X-neighbor of a sample is its s-th Y-neighbor, (..., n, k, k)."""
    return x.near[..., :, None] == y.near[..., None, :]


def common(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the number of common X- and Y-neighbors of each sample, (..., n)."""
    return matches(x, y).sum(dim=(-2, -1)).to(y.kernel.dtype)


def mutual(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the share of the k Y-neighbors that are also X-neighbors, averaged over samples, (...)."""
    return common(x, y).mean(-1) / y.near.shape[-1]


def jaccard(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the mean over samples of the Jaccard index, |N_X(i) & N_Y(i)| / |N_X(i) u N_Y(i)|, (...)."""
    shared = common(x, y)
    return (shared / (2 * y.near.shape[-1] - shared)).mean(-1)  # |A u B| = 2 k - |A & B|


def cycle(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the share of samples i that are an X-neighbor of one of their Y-neighbors, of shape (...)."""
    returns = (x.mask.mT & y.mask).any(-1)  # i in N_X(j) and j in N_Y(i) for some j
    return returns.to(y.kernel.dtype).mean(-1)


def lcs(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the mean length of the longest common subsequence of N_X(i) and N_Y(i), nearest first, (...)."""
    return longest_common(matches(x, y).to(y.kernel.dtype)).mean(-1)


def longest_common(same: Tensor) -> Tensor:
    """Return the length of the longest common subsequence, (...), of two sequences.

    Parameters
    ----------
    same : Tensor, (..., k, k)
        Entry (r, s) is 1 if element r of the first sequence equals element s of the second, else 0.
    """
    # Dynamic programming for all pairs at once: row r, entry s is the length for the first r and s elements.
    k = same.shape[-1]
    above = [torch.zeros_like(same[..., 0, 0])] * (k + 1)
    for r in range(k):
        row = above[:1]
        for s in range(k):
            longest = torch.maximum(above[s + 1], row[s])
            row.append(torch.maximum(longest, above[s] + same[..., r, s]))
        above = row
    return above[k]


def rank(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the agreement of the ranks of common neighbors, averaged over samples, of shape (...).

    Let r and s be the ranks of a common neighbor in X and in Y, and t the number of common neighbors of a
    sample. The agreement of the sample is the sum of 2 / ((1 + |r - s|) (r + s)) over its common neighbors,
    divided by the largest possible sum, 1 + 1/2 + ... + 1/t. It is 0 if there is no common neighbor.
    """
    same = matches(x, y).to(y.kernel.dtype)
    weights, harmonic = rank_weights(same.shape[-1], same)
    agreement = (same * weights).sum(dim=(-2, -1))
    shared = same.sum(dim=(-2, -1)).long()  # t (..., n); the clamp is for t = 0, where the agreement is 0
    return (agreement / harmonic[(shared - 1).clamp_min(0)]).mean(-1)


def rank_weights(k: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights 2 / ((1 + |r - s|) (r + s)) of ranks r and s, (k, k), and harmonic numbers, (k,).

    Entry t - 1 of the latter is 1 + 1/2 + ... + 1/t. Both have the dtype and device of ``like``.
    """
    ranks = torch.arange(1, k + 1, dtype=like.dtype, device=like.device)
    r, s = ranks[:, None], ranks
    return 2 / ((1 + (r - s).abs()) * (r + s)), torch.cumsum(1 / ranks, dim=0)


def second_order_cosine(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the mean over samples of the cosine between neighbor distances in X and in Y, of shape (...).

    The distances are from the sample to all its X-neighbors and Y-neighbors. If all distances are 0 in X and
    in Y, the cosine is set to 1. If they are all 0 in only one of X and Y, it is set to 0.
    """
    union = x.mask | y.mask
    a, b = (torch.where(union, cosine_distances(neighbors.rows), 0.0) for neighbors in (x, y))
    return mean_cosine(a, b)


def mean_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean cosine, (...), of row i of A and row i of B, both (..., n, n), over all i."""
    norms = vector_norm(a, dim=-1) * vector_norm(b, dim=-1)
    cosine = (a * b).sum(-1) / torch.where(norms > 0, norms, 1.0)
    # Neighbors in X and Y that all coincide with the sample agree perfectly, though the cosine is 0 / 0.
    alike = (a == 0).all(-1) & (b == 0).all(-1)
    return torch.where(alike, 1.0, cosine).mean(-1)


def cosine_distances(rows: Tensor) -> Tensor:
    """Return the cosine distances 1 - cos of all pairs of rows, (..., n, n), accurate also near 0."""
    rows = directions(rows)
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square() / 2
    # Unit vectors that are equal up to rounding are at distance 0: a cosine of rounding errors says nothing.
    apart = torch.where(apart <= (tolerance(rows) ** 2), 0.0, apart)
    zero = (rows == 0).all(-1)  # no direction: cosine 0 with every other
    return torch.where(zero[..., :, None] | zero[..., None, :], 1.0, apart)


def cknna(x: Neighbors, y: Neighbors, added: float = 0.0) -> Tensor:
    """Return the unbiased CKA of kernels restricted to pairs that are neighbors in X and in Y, (...).

    ``added`` is added to the denominator, as in the code of the authors. The denominator is the root of the
    product of two HSIC: of the X-kernel with itself, restricted to X-neighbors, and of the Y-kernel likewise.
    If one of the two is not positive, the score is set to 0.

    References
    ----------
    Huh et al. 2024, Platonic Representation Hypothesis (appendix A), arXiv:2405.07987.
    """
    both = x.mask & y.mask  # (..., n, n)
    shared = unbiased_hsic(both * x.kernel, both * y.kernel)
    x_square, y_square = (unbiased_hsic(K, K) for K in (x.mask * x.kernel, y.mask * y.kernel))
    return normalized(shared, x_square, y_square, added)


def normalized(shared: Tensor, x_square: Tensor, y_square: Tensor, added: float) -> Tensor:
    """Return shared / (sqrt(x_square y_square) + added), or 0 where a square is not positive."""
    defined = (x_square > 0) & (y_square > 0)
    norm = torch.where(x_square > 0, x_square, 1.0).sqrt() * torch.where(y_square > 0, y_square, 1.0).sqrt()
    return torch.where(defined, shared / (norm + added), 0.0)


def unbiased_hsic(K: Tensor, L: Tensor) -> Tensor:
    """Return the unbiased HSIC, (...), of K and L (..., n, n), which have zero diagonals."""
    n = K.shape[-1]
    return debiased((K * L.mT).sum(dim=(-2, -1)), K.sum(-2), L.sum(-1)) / (n * (n - 3))
