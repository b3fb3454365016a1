"""Comparisons of two RDMs: cosines and correlations, Bures similarities, and rank correlations.

The kernel of an RDM D (n, n) is K = -H D H / 2, with H = I - 11'/n. Cosines and correlations of two RDMs
depend only on the diagonals and traces of their kernels and on the products of kernels. Bures similarities
depend on the kernels. For few units these are computed from small matrices, and no (n, n) matrix is formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt import linalg
from simopt.components import principal_components
from simopt.gradients import Saved, with_gradient
from simopt.measures.rdm import Embedding
from simopt.norms import vector_norm

Comparison = Literal[
    "cosine", "pearson", "spearman", "tau_a", "tau_b", "cosine_cov", "corr_cov",
    "bures", "bures_sq_distance", "euclidean_norm",
]  # fmt: skip

Compare: TypeAlias = "Callable[[Embedding], Tensor]"
"""A function from the embedded samples of Y to the score, a tensor of shape (...)."""

BURES = frozenset({"bures", "bures_sq_distance"})


def compare_with(comparison: Comparison, X: Embedding, like: Tensor) -> Compare:
    """Return a function that compares the RDM of X with the RDM of Y, given the embedded samples of Y.

    Parameters
    ----------
    comparison : str
        Any comparison that is not in :data:`RANKED`.
    X : Embedding of (n, k), float64
        The embedded samples of X.
    like : Tensor
        A tensor with the dtype and device of the scores.
    """
    if comparison in BURES:
        return BuresComparison(comparison == "bures_sq_distance", X, like)
    if comparison == "euclidean_norm":
        fixed = X.dissimilarities().to(like)
        return lambda Y: vector_norm(Y.dissimilarities() - fixed, dim=-1)
    return LinearComparison(comparison, X, like)


class LinearComparison:
    """The cosine of the RDMs of X and Y for one of four inner products of RDMs.

    Let v and w be the upper triangles of the RDMs of X and Y. Their kernels K and L have the traces t and s,
    and a and b are the diagonals of K and L less their means. As d_ij = K_ii + K_jj - 2 K_ij and K 1 = 0, the
    inner products are

    - cosine: v'w / 2 = <K, L> + (n/2) a'b + t s;
    - pearson: v'w / 2 = <K, L> + (n/2) a'b - t s / (n - 1), where the means of v and w are subtracted first;
    - cosine_cov: <K, L>;
    - corr_cov: <K, L> - t s / (n - 1), <K, L> after the mean of each RDM is subtracted.

    All have the form <K, L> + ``spread`` a'b + ``traces`` t s.

    Parameters
    ----------
    comparison : {"cosine", "pearson", "cosine_cov", "corr_cov"}
    X : Embedding of (n, k), float64
        The embedded samples of X.
    like : Tensor
        A tensor with the dtype and device of the scores.
    """

    def __init__(self, comparison: Comparison, X: Embedding, like: Tensor) -> None:
        n = X.points.shape[0]
        self.X, self.like = X, like
        # K = Z Z' then, so a product of kernels is one of small matrices.
        self.squared = X.kind != "euclidean" and not X.negative
        self.spread = n / 2 if comparison in ("cosine", "pearson") else 0.0
        self.traces = {"cosine": 1.0, "cosine_cov": 0.0}.get(comparison, -1 / (n - 1))

    @cached_property
    def dense(self) -> list[Tensor]:
        """The kernel of X, (n, n), its centered diagonal and its trace, scaled so that X with X scores 1."""
        matrix, diagonal, trace = _dense(self.X, self.traces < 0)
        size = self._norm(matrix.square().sum(), diagonal, trace)
        return [part.to(self.like) for part in (matrix / size, diagonal / size, trace / size)]

    @cached_property
    def small(self) -> list[Tensor]:
        """The same as :attr:`dense`, but with a factor F (n, r) of the kernel F F' in place of the kernel."""
        diagonal, trace = _less_mean(self.X.points.square().sum(dim=-1))  # of K_ii (n,)
        factor = _unit_factor(self.X.points)  # K = trace * factor factor'
        square = linalg.gram(factor).square().sum() * trace.square()
        size = self._norm(square, diagonal, trace)
        factor = factor * (trace / size).sqrt()
        return [part.to(self.like) for part in (factor, diagonal / size, trace / size)]

    def __call__(self, Y: Embedding) -> Tensor:
        """Return the score, of shape (...), of the embedded samples of Y, (..., n, k)."""
        points = Y.points
        widest = max(points.shape[-1], self.X.points.shape[-1])
        # Products of factors (n, k) cost less than kernels (n, n) only while k is clearly smaller than n.
        if not self.squared or 2 * widest > points.shape[-2]:
            fixed, x_diagonal, x_trace = self.dense
            matrix, diagonal, trace = _dense(Y, self.traces < 0)
            cross, square = (fixed * matrix).sum(dim=(-2, -1)), matrix.square().sum(dim=(-2, -1))
        else:
            factor, x_diagonal, x_trace = self.small
            diagonal, trace = _less_mean(points.square().sum(dim=-1))
            product, gram = linalg.products(points, factor)  # F'Z (..., r, k), Z'Z (..., k, k)
            # <F F', Z Z'> = ||F'Z||_F^2 and ||Z Z'||_F = ||Z'Z||_F.
            cross, square = product.square().sum(dim=(-2, -1)), gram.square().sum(dim=(-2, -1))
        product = self._inner(cross, x_diagonal, x_trace, diagonal, trace)
        return product / self._norm(square, diagonal, trace)

    def _inner(self, product: Tensor, a: Tensor, t: Tensor, b: Tensor, s: Tensor) -> Tensor:
        """Return the inner product, from <K, L>, the diagonals less their means and the traces."""
        return product + self.spread * (a * b).sum(dim=-1) + self.traces * t * s

    def _norm(self, square: Tensor, diagonal: Tensor, trace: Tensor) -> Tensor:
        return self._inner(square, diagonal, trace, diagonal, trace).sqrt()


def _less_mean(diagonal: Tensor) -> tuple[Tensor, Tensor]:
    """Return the diagonal of a kernel less its mean, (..., n), and the trace, of shape (...)."""
    return diagonal - diagonal.mean(dim=-1, keepdim=True), diagonal.sum(dim=-1)


def _dense(embedding: Embedding, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the kernel, (..., n, n), its diagonal less the mean, (..., n), and its trace, of shape (...).

    ``centered`` is for the comparisons that subtract t s / (n - 1). As <H, H> = n - 1, the kernels
    K - t H / (n - 1) and L - s H / (n - 1), of trace 0, have exactly this inner product. For many units K is
    almost t H / (n - 1), and subtracting the products of the traces afterwards would cancel.
    """
    matrix = embedding.kernel()
    n = matrix.shape[-1]
    if centered:
        centering = torch.eye(n, dtype=matrix.dtype, device=matrix.device) - 1 / n
        trace = torch.diagonal(matrix, dim1=-2, dim2=-1).sum(dim=-1)
        matrix = matrix - (trace / (n - 1))[..., None, None] * centering
        # If all dissimilarities are equal only rounding is left; as zeros it gives NaN instead of a random
        # score.
        spread = matrix.detach().abs().amax(dim=(-2, -1))
        varies = spread > 8 * torch.finfo(matrix.dtype).eps * trace.detach().abs()
        matrix = torch.where(varies[..., None, None], matrix, 0.0)
    return matrix, *_less_mean(torch.diagonal(matrix, dim1=-2, dim2=-1))


def _unit_factor(points: Tensor) -> Tensor:
    """Return F of full rank, (n, r), with F F' = Z Z' / ||Z||_F^2 for centered Z (n, k)."""
    return torch.from_numpy(principal_components(points.cpu().numpy()).scores).to(points)


def _root(matrix: Tensor) -> Tensor:
    """Return B with B B' = A, (..., n, n), of symmetric A, where negative eigenvalues count as 0."""
    values, vectors = linalg.eigh(matrix)
    floor = matrix.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]  # rounding of the eigenvalues
    return vectors * torch.where(values > floor, values, 0.0).sqrt()[..., None, :]


def _fidelity_gradient(grad: Tensor, axes: Tensor, inverse: Tensor) -> Tensor:
    # A (A'L A)^-1/2 A' / 2, with A'L A = U S^2 U' and axes = A U.
    return grad[..., None, None] / 2 * (axes * inverse[..., None, :]) @ axes.mT


@with_gradient(_fidelity_gradient)
def fidelity(matrix: Tensor, factor: Tensor) -> tuple[Tensor, Saved]:
    """Return the fidelity tr[(K^1/2 L K^1/2)^1/2], (...), of the semidefinite matrices K = A A' and L.

    With L = B B' the fidelity is the nuclear norm of A'B. Its gradient with respect to L is
    A (A'L A)^-1/2 A' / 2, even if eigenvalues are equal. The gradient leaves out directions of zero
    eigenvalues, where the root has infinite slope.

    Parameters
    ----------
    matrix : Tensor, (..., n, n), L
    factor : Tensor, (n, r), A
        A constant.

    Raises
    ------
    NumericalError
        L holds NaN or infinite values.
    """
    left, values, _ = linalg.svd(factor.mT @ _root(matrix))  # A'B = U S V'
    keep = values > linalg.rank_tolerance(values, matrix)
    inverse = torch.where(keep, 1 / torch.where(keep, values, 1.0), 0.0)
    return values.sum(dim=-1), (factor @ left, inverse)


class BuresComparison:
    """The normalized Bures similarity, or the squared Bures distance, of the kernels of X and Y.

    Parameters
    ----------
    squared_distance : bool
        Whether the score is the squared distance instead of the similarity.
    X : Embedding of (n, k), float64
        The embedded samples of X, without negative coordinates.
    like : Tensor
        A tensor with the dtype and device of the scores.
    """

    def __init__(self, squared_distance: bool, X: Embedding, like: Tensor) -> None:
        self.squared_distance = squared_distance
        points = X.points
        if X.kind == "euclidean":
            # Always in float64: the gradient has inverse roots of eigenvalues, which amplify the rounding of
            # small ones.
            matrix = X.kernel()
            self.trace = torch.trace(matrix).to(like)
            root = _root(matrix / torch.trace(matrix))
            self.factor = root[:, root.any(dim=0)]
        else:
            # K = Z Z': the fidelity of Z Z' and W W' is ||Z'W||_*, without a matrix (n, n).
            self.trace = points.square().sum().to(like)
            self.factor = _unit_factor(points).to(like)

    def __call__(self, Y: Embedding) -> Tensor:
        """Return the score, of shape (...), of the embedded samples of Y, (..., n, k)."""
        points = Y.points
        if Y.kind == "euclidean":
            matrix = Y.kernel()
            trace = torch.diagonal(matrix, dim1=-2, dim2=-1).sum(dim=-1)
            common = fidelity(matrix.double(), self.factor).to(trace)
        else:
            trace = points.square().sum(dim=(-2, -1))
            common = linalg.nuclear_norm(self.factor.mT @ points)
        if self.squared_distance:
            return self.trace + trace - 2 * self.trace.sqrt() * common
        return common / trace.sqrt()


Levels = npt.NDArray[np.int64]
"""The rank of each value among the distinct values, numbered from 0 without gaps."""


def spearman(v: Levels, w: Levels) -> float:
    """Return Spearman's rho, in [-1, 1], with average ranks of ties; NaN if v or w is constant."""
    ranks = []
    for values in (v, w):
        counts = np.bincount(values)
        rank = (np.cumsum(counts) - (counts - 1) / 2)[values]  # the last rank of a tie less half its width
        ranks.append(rank - rank.mean())
    size = math.sqrt(float(ranks[0] @ ranks[0]) * float(ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1]) / size if size > 0 else math.nan


def tau_a(v: Levels, w: Levels) -> float:
    """Return Kendall's tau-a, (concordant - discordant) / all pairs; 0 if v or w is constant."""
    # tau-a = tau-b sqrt(share of pairs untied in v * share of pairs untied in w).
    untied = _untied(v) * _untied(w)
    return tau_b(v, w) * math.sqrt(untied) if untied > 0 else 0.0


def tau_b(v: Levels, w: Levels) -> float:
    """Return Kendall's tau-b, in [-1, 1], which is corrected for ties; NaN if v or w is constant."""
    from scipy import stats

    if _untied(v) * _untied(w) == 0:
        return math.nan
    # ``method`` concerns the p-value only, which "asymptotic" makes cheap.
    return float(stats.kendalltau(v, w, method="asymptotic").statistic)


def _untied(values: Levels) -> float:
    """Return the share of pairs of entries that differ."""
    counts, m = np.bincount(values).astype(float), len(values)
    return 1 - float(counts @ (counts - 1)) / (m * (m - 1))


RANKED = {"spearman": spearman, "tau_a": tau_a, "tau_b": tau_b}
"""Rank correlations of two RDMs, as functions of their :attr:`Embedding.levels`. They have no gradient."""
