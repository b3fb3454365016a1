"""Comparisons of two RDMs: linear ones, Bures, and rank correlations.

The linear ones and Bures need of an RDM D only its kernel K = -H D H / 2: its diagonal, its trace and its
product with the other kernel. For few units these come from small matrices, and no RDM exists.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
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

Comparison = Literal[
    "cosine", "pearson", "spearman", "tau_a", "tau_b", "cosine_cov", "corr_cov",
    "bures", "bures_sq_distance", "euclidean_norm",
]  # fmt: skip

Compare: TypeAlias = "Callable[[Embedding], Tensor]"
"""The score, (...), as a function of the embedded samples of Y."""


RANKED = frozenset({"spearman", "tau_a", "tau_b"})
BURES = frozenset({"bures", "bures_sq_distance"})


def compare_with(comparison: Comparison, own: Embedding, like: Tensor) -> Compare:
    """Return the comparison of the RDM of Y with that of X.

    Parameters
    ----------
    comparison : str
    own : Embedding of (n, k), float64
        The embedded samples of X.
    like : Tensor
        Of the dtype and device to compute in.
    """
    if comparison in RANKED:
        return rank_comparison(comparison, own)
    if comparison in BURES:
        return BuresComparison(comparison == "bures_sq_distance", own, like)
    if comparison == "euclidean_norm":
        fixed = own.dissimilarities().to(like)
        return lambda other: torch.linalg.vector_norm(other.dissimilarities() - fixed, dim=-1)
    return LinearComparison(comparison, own, like)


class LinearComparison:
    """The cosine of X and Y in one of four inner products of RDMs.

    With the upper triangles v, w and the kernels K, L of two RDMs, their diagonals a, b less the means, and
    their traces t, s:

    - cosine: v'w / 2 = <K, L> + (n/2) a'b + t s;
    - pearson, v and w less their means: <K, L> + (n/2) a'b - t s / (n - 1);
    - cosine_cov: <K, L>;
    - corr_cov, the kernels of the RDMs less their means: <K, L> - t s / (n - 1).

    Parameters
    ----------
    comparison : {"cosine", "pearson", "cosine_cov", "corr_cov"}
    own : Embedding of (n, k), float64
        The embedded samples of X.
    like : Tensor
        Of the dtype and device to compute in.
    """

    def __init__(self, comparison: Comparison, own: Embedding, like: Tensor) -> None:
        n = own.points.shape[0]
        self.own, self.like = own, like
        self.squared = own.kind != "euclidean" and not own.negative
        self.spread = n / 2 if comparison in ("cosine", "pearson") else 0.0
        self.traces = {"cosine": 1.0, "cosine_cov": 0.0}.get(comparison, -1 / (n - 1))

    @cached_property
    def dense(self) -> list[Tensor]:
        """X's kernel, (n, n), its diagonal less the mean, its trace; scaled so that X with X gives 1."""
        matrix, diagonal, trace = _dense(self.own, self.traces < 0)
        size = self._inner(matrix.square().sum(), diagonal, trace, diagonal, trace).sqrt()
        return [part.to(self.like) for part in (matrix / size, diagonal / size, trace / size)]

    @cached_property
    def small(self) -> list[Tensor]:
        """A factor of X's kernel, (n, r), and its diagonal less the mean and trace, scaled likewise."""
        lengths = self.own.points.square().sum(dim=-1)
        diagonal, trace = lengths - lengths.mean(), lengths.sum()
        factor = _unit_factor(self.own.points)
        square = linalg.gram(factor).square().sum() * trace.square()
        size = self._inner(square, diagonal, trace, diagonal, trace).sqrt()
        factor = factor * (trace / size).sqrt()
        return [part.to(self.like) for part in (factor, diagonal / size, trace / size)]

    def __call__(self, other: Embedding) -> Tensor:
        """Return the score, (...), of the embedded samples of Y, (..., n, k)."""
        points = other.points
        widest = max(points.shape[-1], self.own.points.shape[-1])
        if not self.squared or 2 * widest > points.shape[-2]:
            fixed, x_diagonal, x_trace = self.dense
            matrix, diagonal, trace = _dense(other, self.traces < 0)
            cross, square = (fixed * matrix).sum(dim=(-2, -1)), matrix.square().sum(dim=(-2, -1))
        else:
            factor, x_diagonal, x_trace = self.small
            lengths = points.square().sum(dim=-1)
            diagonal, trace = lengths - lengths.mean(dim=-1, keepdim=True), lengths.sum(dim=-1)
            product, own = linalg.products(points, factor)
            cross, square = product.square().sum(dim=(-2, -1)), own.square().sum(dim=(-2, -1))
        size = self._inner(square, diagonal, trace, diagonal, trace).sqrt()
        return self._inner(cross, x_diagonal, x_trace, diagonal, trace) / size

    def _inner(self, product: Tensor, a: Tensor, t: Tensor, b: Tensor, s: Tensor) -> Tensor:
        return product + self.spread * (a * b).sum(dim=-1) + self.traces * t * s


def _dense(embedding: Embedding, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the kernel, (..., n, n), its diagonal less the mean, (..., n), and its trace, (...).

    ``centered`` is for comparisons that subtract the product of the traces: it frees the kernel of its trace,
    t H / (n - 1), instead. For many units the kernel is little else, and the difference would cancel.
    """
    matrix = embedding.kernel()
    n = matrix.shape[-1]
    if centered:
        centering = torch.eye(n, dtype=matrix.dtype, device=matrix.device) - 1 / n
        trace = torch.diagonal(matrix, dim1=-2, dim2=-1).sum(dim=-1)
        matrix = matrix - (trace / (n - 1))[..., None, None] * centering
        # Equal dissimilarities leave the rounding of the trace, which is not to be scored.
        spread = matrix.detach().abs().amax(dim=(-2, -1))
        varies = spread > 8 * torch.finfo(matrix.dtype).eps * trace.detach().abs()
        matrix = torch.where(varies[..., None, None], matrix, 0.0)
    diagonal = torch.diagonal(matrix, dim1=-2, dim2=-1)
    return matrix, diagonal - diagonal.mean(dim=-1, keepdim=True), diagonal.sum(dim=-1)


def _unit_factor(points: Tensor) -> Tensor:
    """Columns of full rank whose products are those of Z (n, k) scaled to unit sum of squares, (n, r)."""
    return torch.from_numpy(principal_components(points.cpu().numpy()).scores).to(points)


def _root(matrix: Tensor) -> Tensor:
    """Return B with B B' = A, (..., n, n), of symmetric A without its negative eigenvalues."""
    values, vectors = linalg.eigh(matrix)
    floor = matrix.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]
    return vectors * torch.where(values > floor, values, 0.0).sqrt()[..., None, :]


def _fidelity_gradient(grad: Tensor, axes: Tensor, inverse: Tensor) -> Tensor:
    return grad[..., None, None] / 2 * (axes * inverse[..., None, :]) @ axes.mT


@with_gradient(_fidelity_gradient)
def fidelity(matrix: Tensor, factor: Tensor) -> tuple[Tensor, Saved]:
    """Return tr (K^1/2 L K^1/2)^1/2, (...), of K = A A' and L, symmetric positive semidefinite.

    The gradient A (A'L A)^-1/2 A' / 2 is the same whatever eigenvalues repeat; where some are zero the root
    has infinite slope and they give none.

    Parameters
    ----------
    matrix : Tensor, (..., n, n), L
    factor : Tensor, (n, r), A
        Taken as constant by the gradient.

    Raises
    ------
    NumericalError
        L holds NaN or infinite values.
    """
    left, values, _ = linalg.svd(factor.mT @ _root(matrix))
    keep = values > matrix.shape[-1] * torch.finfo(values.dtype).eps * values[..., :1]
    inverse = torch.where(keep, 1 / torch.where(keep, values, 1.0), 0.0)
    return values.sum(dim=-1), (factor @ left, inverse)


class BuresComparison:
    """The normalized Bures similarity, or the squared Bures distance, of the kernels of X and Y.

    Parameters
    ----------
    squared_distance : bool
    own : Embedding of (n, k), float64
        The embedded samples of X, no coordinate negative.
    like : Tensor
        Of the dtype and device to compute in.
    """

    def __init__(self, squared_distance: bool, own: Embedding, like: Tensor) -> None:
        self.squared_distance = squared_distance
        points = own.points
        if own.kind == "euclidean":
            # In float64 throughout: the inverse roots of small eigenvalues need the digits.
            matrix = own.kernel()
            self.trace = torch.trace(matrix).to(like)
            root = _root(matrix / torch.trace(matrix))
            self.factor = root[:, root.any(dim=0)]
        else:
            self.trace = points.square().sum().to(like)
            self.factor = _unit_factor(points).to(like)

    def __call__(self, other: Embedding) -> Tensor:
        """Return the score, (...), of the embedded samples of Y, (..., n, k)."""
        points = other.points
        if other.kind == "euclidean":
            matrix = other.kernel()
            trace = torch.diagonal(matrix, dim1=-2, dim2=-1).sum(dim=-1)
            common = fidelity(matrix.double(), self.factor).to(trace)
        else:
            trace = points.square().sum(dim=(-2, -1))
            common = linalg.nuclear_norm(self.factor.mT @ points)
        if self.squared_distance:
            return self.trace + trace - 2 * self.trace.sqrt() * common
        return common / trace.sqrt()


def rank_comparison(comparison: Comparison, own: Embedding) -> Compare:
    """Return a rank correlation of the dissimilarities of X and Y: exact, one Y at a time, no gradient.

    Parameters
    ----------
    comparison : {"spearman", "tau_a", "tau_b"}
    own : Embedding of (n, k), float64
        The embedded samples of X.
    """
    correlate = {"spearman": spearman, "tau_a": tau_a, "tau_b": tau_b}[comparison]

    def compare(other: Embedding) -> Tensor:
        points = other.points
        members = (replace(other, points=one) for one in points.reshape(-1, *points.shape[-2:]))
        scores = [correlate(own.levels, member.levels) for member in members]
        return points.new_tensor(scores).reshape(points.shape[:-2])

    return compare


Levels = npt.NDArray[np.int64]
"""Places among distinct values, 0 to the largest, each of them taken."""


def spearman(v: Levels, w: Levels) -> float:
    """Return the correlation of average ranks, in [-1, 1]; NaN where all values of one tie."""
    ranks = []
    for values in (v, w):
        counts = np.bincount(values)
        rank = (np.cumsum(counts) - (counts - 1) / 2)[values]
        ranks.append(rank - rank.mean())
    size = math.sqrt(float(ranks[0] @ ranks[0]) * float(ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1]) / size if size > 0 else math.nan


def tau_a(v: Levels, w: Levels) -> float:
    """Return (concordant - discordant) / all pairs, in [-1, 1]; 0 where all values of one tie."""
    untied = _untied(v) * _untied(w)
    return tau_b(v, w) * math.sqrt(untied) if untied > 0 else 0.0


def tau_b(v: Levels, w: Levels) -> float:
    """Return tau-a over the root of the untied shares of pairs; NaN where all values of one tie."""
    from scipy import stats

    if _untied(v) * _untied(w) == 0:
        return math.nan
    return float(stats.kendalltau(v, w, method="asymptotic").statistic)


def _untied(values: Levels) -> float:
    """Return the share of pairs of entries that differ."""
    counts, m = np.bincount(values).astype(float), len(values)
    return 1 - float(counts @ (counts - 1)) / (m * (m - 1))
