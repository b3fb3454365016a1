"""Neighborhoods: whether each sample has the same nearest samples in X and in Y.

The neighbors of a sample are the k other samples with the largest inner product or cosine with it. X and Y
are not centered. The scores have no gradient: when Y changes continuously, neighbors and scores jump.

N_X(i) and N_Y(i) are the neighbors of sample i in X and in Y, or its X-neighbors and Y-neighbors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures.base import ROTATIONAL, Facts, Measure, Score, both
from simopt.measures.geometry import directions
from simopt.measures.kernel import debiased
from simopt.measures.moments import Reference

Metric = Literal["inner", "cosine"]
Comparison = Literal["mutual", "cycle", "lcs", "cknna", "jaccard", "second_order_cosine", "rank"]

_FORMULAS = {
    "mutual": "mean_i |N_X(i) & N_Y(i)| / k",
    "cycle": "fraction of i that are in N_X(j) for some j in N_Y(i)",
    "lcs": "mean_i of the longest common subsequence of N_X(i) and N_Y(i), nearest first; 0..k",
    "cknna": "h(M K, M L) / sqrt(h(M_X K, M_X K) h(M_Y L, M_Y L)), h the unbiased HSIC, M = M_X M_Y",
    "jaccard": "mean_i |N_X(i) & N_Y(i)| / |N_X(i) u N_Y(i)|",
    "second_order_cosine": "mean_i of the cosine of the cosine distances in X and in Y, i to N_X(i) u N_Y(i)",
    "rank": "mean_i sum_J 2 / ((1 + |r - s|)(r + s)) / sum_{t <= |J|} 1/t, J = N_X(i) & N_Y(i) of ranks r, s",
}
_SOURCES = {
    **dict.fromkeys(
        ("mutual", "cycle", "lcs", "cknna"),
        "Huh et al. 2024, Platonic Representation Hypothesis, arXiv:2405.07987",
    ),
    "jaccard": "Klabunde et al. 2025, Similarity of Neural Network Models (k-NN Jaccard), arXiv:2305.06329",
    "second_order_cosine": "Hamilton et al. 2016, Cultural Shift or Linguistic Drift?, arXiv:1606.02821",
    "rank": "Wang et al. 2022, Towards Understanding the Instability of Network Embedding",
}
_RELATIONS = {
    "mutual": ("jaccard_knn = m / (2 - m) sample by sample, at the same metric",),
    "jaccard": ("m / (2 - m) of mutual_knn's m sample by sample, at the same metric",),
    "lcs": ("at most k times mutual_knn",),
    "cknna": ("cka_debiased, as k approaches the number of samples and up to centering",),
    "rank": ("positive where mutual_knn is, at the same metric",),
}


class Neighbors(NamedTuple):
    """The samples of X or of Y with their inner products and nearest neighbors.

    Attributes
    ----------
    rows : Tensor, (..., n, p)
        The responses. For the cosine metric each row is scaled to length 1; a row of zeros stays zero.
    kernel : Tensor, (..., n, n)
        The inner products of the rows.
    near : Tensor, (..., n, k)
        The indices of the neighbors of each sample, nearest first. Equally near neighbors have the order of
        the samples.
    """

    rows: Tensor
    kernel: Tensor
    near: Tensor

    @classmethod
    def of(cls, responses: Tensor, metric: Metric, k: int) -> Neighbors:
        """Find the k nearest neighbors of each sample of responses (..., n, p)."""
        rows = directions(responses) if metric == "cosine" else responses
        kernel = rows @ rows.mT
        # A sample is not its own neighbor: it sorts last.
        itself = torch.eye(kernel.shape[-1], dtype=torch.bool, device=kernel.device)
        # A stable sort, so that ties are broken in the same way in X and in Y on every machine.
        order = kernel.masked_fill(itself, -math.inf).sort(dim=-1, descending=True, stable=True)
        return cls(rows, kernel, order.indices[..., :k])

    @property
    def mask(self) -> Tensor:
        """Whether sample j is a neighbor of sample i, (..., n, n)."""
        return torch.zeros_like(self.kernel, dtype=torch.bool).scatter(-1, self.near, True)


def matches(x: Neighbors, y: Neighbors) -> Tensor:
    """Return whether neighbor r of a sample in X is its neighbor s in Y, for all r and s, (..., n, k, k)."""
    return x.near[..., :, None] == y.near[..., None, :]


def common(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the number of common neighbors of each sample, (..., n)."""
    return matches(x, y).sum(dim=(-2, -1)).to(y.kernel.dtype)


def mutual(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the share of the k neighbors in Y that are also neighbors in X, averaged over samples."""
    return common(x, y).mean(-1) / y.near.shape[-1]


def jaccard(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the mean over samples of the Jaccard index: common neighbors / neighbors in X or Y."""
    shared = common(x, y)
    return (shared / (2 * y.near.shape[-1] - shared)).mean(-1)  # |A u B| = 2 k - |A & B|


def cycle(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the fraction of samples i that are X-neighbors of one of their Y-neighbors, of shape (...)."""
    returns = (x.mask.mT & y.mask).any(-1)  # i in N_X(j) and j in N_Y(i) for some j
    return returns.to(y.kernel.dtype).mean(-1)


def lcs(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the mean length of the longest common subsequence of the ordered neighbors, of shape (...)."""
    # Dynamic programming for all samples at once: row r, entry s is the length for the first r and s
    # neighbors.
    same = matches(x, y).to(y.kernel.dtype)
    k = same.shape[-1]
    above = [torch.zeros_like(same[..., 0, 0])] * (k + 1)
    for r in range(k):
        row = above[:1]
        for s in range(k):
            longest = torch.maximum(above[s + 1], row[s])
            row.append(torch.maximum(longest, above[s] + same[..., r, s]))
        above = row
    return above[k].mean(-1)


def rank(x: Neighbors, y: Neighbors) -> Tensor:
    """Return how well the ranks of common neighbors agree, averaged over samples, of shape (...).

    Let r and s be the ranks of a common neighbor in X and in Y, and t the number of common neighbors of a
    sample. The agreement of the sample is the sum of 2 / ((1 + |r - s|) (r + s)) over its common neighbors,
    divided by the largest possible sum, 1 + 1/2 + ... + 1/t. It is 0 if there is no common neighbor.
    """
    same = matches(x, y).to(y.kernel.dtype)
    ranks = torch.arange(1, same.shape[-1] + 1, dtype=same.dtype, device=same.device)
    r, s = ranks[:, None], ranks
    agreement = (same * (2 / ((1 + (r - s).abs()) * (r + s)))).sum(dim=(-2, -1))
    harmonic = torch.cumsum(1 / ranks, dim=0)  # 1 + 1/2 + ... + 1/t at index t - 1
    shared = same.sum(dim=(-2, -1)).long()  # t (..., n); the clamp is for t = 0, where the agreement is 0
    return (agreement / harmonic[(shared - 1).clamp_min(0)]).mean(-1)


def second_order_cosine(x: Neighbors, y: Neighbors) -> Tensor:
    """Return the mean over samples of the cosine between neighbor distances in X and in Y, of shape (...).

    The distances are from the sample to all samples that are its neighbors in X or in Y. If they are all 0 in
    X and in Y, the cosine is set to 1; if they are all 0 in only one of X and Y, it is set to 0.
    """
    union = x.mask | y.mask
    a, b = (torch.where(union, _cosine_distances(neighbors), 0.0) for neighbors in (x, y))
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    cosine = (a * b).sum(-1) / torch.where(norms > 0, norms, 1.0)
    # Neighbors in X and Y that all coincide with the sample agree perfectly, though the cosine is 0 / 0.
    alike = (a == 0).all(-1) & (b == 0).all(-1)
    return torch.where(alike, 1.0, cosine).mean(-1)


def _cosine_distances(neighbors: Neighbors) -> Tensor:
    """Return 1 - cosine, (..., n, n), as ||u - v||^2 / 2 of unit vectors, which is accurate also near 0."""
    rows = directions(neighbors.rows)
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square() / 2
    zero = (rows == 0).all(-1)  # no direction: cosine 0 with every other
    return torch.where(zero[..., :, None] | zero[..., None, :], 1.0, apart)


def cknna(x: Neighbors, y: Neighbors, added: float = 0.0) -> Tensor:
    """Return the unbiased CKA of kernels restricted to pairs that are neighbors in X and in Y.

    ``added`` is added to the denominator, as in the code of the authors. The denominator is undefined if the
    unbiased HSIC of a kernel with itself, restricted to its own neighbors, is not positive. The score is then
    set to 0.

    References
    ----------
    Huh et al. 2024, Platonic Representation Hypothesis (appendix A), arXiv:2405.07987.
    """
    both = x.mask & y.mask  # (..., n, n)
    shared = _unbiased_hsic(both * x.kernel, both * y.kernel)
    x_square, y_square = (_unbiased_hsic(K, K) for K in (x.mask * x.kernel, y.mask * y.kernel))
    defined = (x_square > 0) & (y_square > 0)
    norm = torch.where(x_square > 0, x_square, 1.0).sqrt() * torch.where(y_square > 0, y_square, 1.0).sqrt()
    return torch.where(defined, shared / (norm + added), 0.0)


def _unbiased_hsic(K: Tensor, L: Tensor) -> Tensor:
    """Return the unbiased HSIC, of K and L (..., n, n) with zero diagonals, symmetric or not."""
    n = K.shape[-1]
    return debiased((K * L.mT).sum(dim=(-2, -1)), K.sum(-2), L.sum(-1)) / (n * (n - 3))


_COMPARISONS: dict[str, Callable[[Neighbors, Neighbors], Tensor]] = {
    compare.__name__: compare for compare in (mutual, cycle, lcs, cknna, jaccard, second_order_cosine, rank)
}


@dataclass(frozen=True, kw_only=True)
class Neighborhood(Measure):
    """A comparison of the k nearest neighbors of each sample in X and in Y.

    Parameters
    ----------
    comparison : {"mutual", "cycle", "lcs", "cknna", "jaccard", "second_order_cosine", "rank"}
        The score, which is computed by the function of this name.
    metric : {"inner", "cosine"}
        Whether the nearest samples are those with the largest inner product or the largest cosine.
    k : int, >= 1
        The number of neighbors. It must be less than the number of samples.
    added : float, >= 0
        A number added to the denominator of ``cknna``; it is 1e-6 in the code of Huh et al. 2024.

    Raises
    ------
    InputError
        An option is out of range. :meth:`bind` raises it if k is not below the number of samples, or if
        ``cknna`` is given fewer than 4 samples.

    References
    ----------
    Huh et al. 2024, arXiv:2405.07987. Klabunde et al. 2025, arXiv:2305.06329. Hamilton et al. 2016,
    arXiv:1606.02821. Wang et al. 2022, Towards Understanding the Instability of Network Embedding.
    """

    comparison: Comparison
    metric: Metric
    k: int = 10
    added: float = 0.0

    def __post_init__(self) -> None:
        checks.options(self, k=1, added=0)
        if self.added and self.comparison != "cknna":
            raise InputError(f"added of {self.name} is {self.added!r}, but only comparison=cknna uses it.")

    @property
    def facts(self) -> Facts:
        """Invariant to rotation and positive scale, not to offsets. All but cycle and cknna are symmetric."""
        invariant = ROTATIONAL - {"translation"}
        if self.added and self.metric == "inner":
            invariant -= {"isotropic_scaling"}  # the numerator scales, the added number does not
        directed = self.comparison in ("cycle", "cknna")
        ends: dict[str, dict[str, Any]] = {
            "cycle": {"at_self": None},
            "lcs": {"high": float(self.k), "at_self": float(self.k)},
            "cknna": {"low": -math.inf, "high": math.inf, "at_self": None},
        }
        return Facts(
            family="neighbors",
            formula=f"{_FORMULAS[self.comparison]}; N the {self.k} nearest by {self.metric} product",
            source=_SOURCES[self.comparison],
            **both(invariant),
            symmetric=not directed,
            differentiable=False,
            direction="y_to_x" if directed else "symmetric",
            cost="n^2 p",
            relations=_RELATIONS.get(self.comparison, ()),
            **ends.get(self.comparison, {}),
        )

    def prepare(self, reference: Reference) -> Score:
        """Find the neighbors in X, and return the score as a function of the moments.

        Raises
        ------
        InputError
            k is not below the number of samples, or ``cknna`` is given fewer than 4 samples.
        """
        if self.k >= reference.samples:
            raise InputError(
                f"k of {self.name} is {self.k}, but each of {reference.samples} samples has only "
                f"{reference.samples - 1} others; choose k below {reference.samples}."
            )
        x = Neighbors.of(reference.responses, self.metric, self.k)
        if self.comparison == "cknna" and reference.samples < 4:
            raise InputError(f"{self.name} needs at least 4 samples; X has {reference.samples}.")
        compare = _COMPARISONS[self.comparison]
        if self.added:
            compare = functools.partial(cknna, added=float(self.added))
        return lambda moments: compare(x, Neighbors.of(moments.Y.detach(), self.metric, self.k))
