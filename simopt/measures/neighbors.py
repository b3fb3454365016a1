"""Neighborhoods: whether the samples nearest to each sample are the same in X and in Y.

Neighbors are the k samples of the largest inner product or cosine with a sample, itself excluded, nothing
centered. They change by jumps as Y moves, and every score with them: none is offered for optimization.
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
from simopt.measures.base import Facts, Measure, Score, both
from simopt.measures.geometry import directions
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
        ("mutual", "cycle", "lcs", "cknna"), "Huh et al. 2024, Platonic Representation Hypothesis"
    ),
    "jaccard": "Klabunde et al. 2025, Similarity of Neural Network Models (k-NN Jaccard similarity)",
    "second_order_cosine": "Hamilton et al. 2016, Cultural Shift or Linguistic Drift?",
    "rank": "Wang et al. 2022, Towards Understanding the Instability of Network Embedding",
}
_RELATIONS = {
    "mutual": ("jaccard_knn = m / (2 - m) sample by sample, at the same metric",),
    "jaccard": ("m / (2 - m) of mutual_knn's m sample by sample, at the same metric",),
    "lcs": ("at most k times mutual_knn",),
    "cknna": ("cka_debiased, as k approaches the number of samples and up to centering",),
    "rank": ("positive where mutual_knn is, at the same metric",),
}


class Side(NamedTuple):
    """Samples as one side sees them.

    Attributes
    ----------
    rows : Tensor, (..., n, p)
        The responses, scaled to length 1 for the cosine metric; a row of zeros stays.
    kernel : Tensor, (..., n, n)
        Their inner products.
    near : Tensor, (..., n, k)
        The neighbors of each sample, nearest first; of equal ones the earlier sample first.
    """

    rows: Tensor
    kernel: Tensor
    near: Tensor

    @classmethod
    def of(cls, responses: Tensor, metric: Metric, k: int) -> Side:
        """Find the k neighbors of each sample of responses (..., n, p)."""
        rows = directions(responses) if metric == "cosine" else responses
        kernel = rows @ rows.mT
        itself = torch.eye(kernel.shape[-1], dtype=torch.bool, device=kernel.device)
        order = kernel.masked_fill(itself, -math.inf).sort(dim=-1, descending=True, stable=True)
        return cls(rows, kernel, order.indices[..., :k])

    @property
    def mask(self) -> Tensor:
        """Whether sample j is a neighbor of i, (..., n, n)."""
        return torch.zeros_like(self.kernel, dtype=torch.bool).scatter(-1, self.near, True)


def meetings(x: Side, y: Side) -> Tensor:
    """Whether the r-th neighbor in X is the s-th in Y, (..., n, k, k)."""
    return x.near[..., :, None] == y.near[..., None, :]


def mutual(x: Side, y: Side) -> Tensor:
    """Return the mean share of neighbors that X and Y have in common, (...)."""
    shared = meetings(x, y).sum(dim=(-2, -1)).to(y.kernel.dtype)
    return shared.mean(-1) / y.near.shape[-1]


def jaccard(x: Side, y: Side) -> Tensor:
    """Return the mean over samples of common over all neighbors, (...)."""
    shared = meetings(x, y).sum(dim=(-2, -1)).to(y.kernel.dtype)
    return (shared / (2 * y.near.shape[-1] - shared)).mean(-1)


def cycle(x: Side, y: Side) -> Tensor:
    """Return the fraction of samples i that are X-neighbors of one of their Y-neighbors, (...)."""
    home = (x.mask.mT & y.mask).any(-1)
    return home.to(y.kernel.dtype).mean(-1)


def lcs(x: Side, y: Side) -> Tensor:
    """Return the mean length of the longest common subsequence of the ordered neighbors, (...)."""
    same = meetings(x, y).to(y.kernel.dtype)
    k = same.shape[-1]
    above = [torch.zeros_like(same[..., 0, 0])] * (k + 1)
    for r in range(k):
        row = above[:1]
        for s in range(k):
            longest = torch.maximum(above[s + 1], row[s])
            row.append(torch.maximum(longest, above[s] + same[..., r, s]))
        above = row
    return above[k].mean(-1)


def rank(x: Side, y: Side) -> Tensor:
    """Return the mean agreement of the ranks of the common neighbors, 0 for samples with none, (...)."""
    same = meetings(x, y).to(y.kernel.dtype)
    ranks = torch.arange(1, same.shape[-1] + 1, dtype=same.dtype, device=same.device)
    r, s = ranks[:, None], ranks
    agreement = (same * (2 / ((1 + (r - s).abs()) * (r + s)))).sum(dim=(-2, -1))
    harmonic = torch.cumsum(1 / ranks, dim=0)
    shared = same.sum(dim=(-2, -1)).long()
    return (agreement / harmonic[(shared - 1).clamp_min(0)]).mean(-1)


def second_order_cosine(x: Side, y: Side) -> Tensor:
    """Return the mean cosine of the distances to all neighbors of either side, (...).

    A sample whose neighbors are all at distance 0 on one side counts 0, on both sides 1.
    """
    union = x.mask | y.mask
    a, b = (torch.where(union, _cosine_distances(side), 0.0) for side in (x, y))
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    cosine = (a * b).sum(-1) / torch.where(norms > 0, norms, 1.0)
    alike = (a == 0).all(-1) & (b == 0).all(-1)
    return torch.where(alike, 1.0, cosine).mean(-1)


def _cosine_distances(side: Side) -> Tensor:
    """1 - cosine as half the squared distance of directions: small ones stay exact."""
    rows = directions(side.rows)
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square() / 2
    zero = (rows == 0).all(-1)
    return torch.where(zero[..., :, None] | zero[..., None, :], 1.0, apart)


def cknna(x: Side, y: Side, added: float = 0.0) -> Tensor:
    """Return CKA of the kernels at common neighbors only, unbiased, (...).

    Huh et al. 2024, appendix A, whose code has a number ``added`` to the denominator. 0 where a kernel at its
    own neighbors has an unbiased HSIC with itself of 0 or less: then there is nothing to relate to.
    """
    both = x.mask & y.mask
    shared = _unbiased_hsic(both * x.kernel, both * y.kernel)
    own = [_unbiased_hsic(kernel, kernel) for kernel in (side.mask * side.kernel for side in (x, y))]
    defined = (own[0] > 0) & (own[1] > 0)
    norm = torch.where(own[0] > 0, own[0], 1.0).sqrt() * torch.where(own[1] > 0, own[1], 1.0).sqrt()
    return torch.where(defined, shared / (norm + added), 0.0)


def _unbiased_hsic(K: Tensor, L: Tensor) -> Tensor:
    """Song et al. 2012, eq. 5, of K and L of zero diagonal; neither need be symmetric."""
    n = K.shape[-1]
    trace = (K * L.mT).sum(dim=(-2, -1))
    sums = K.sum(dim=(-2, -1)) * L.sum(dim=(-2, -1)) / ((n - 1) * (n - 2))
    return (trace + sums - 2 * (K.sum(-2) * L.sum(-1)).sum(-1) / (n - 2)) / (n * (n - 3))


_COMPARISONS: dict[str, Callable[[Side, Side], Tensor]] = {
    compare.__name__: compare for compare in (mutual, cycle, lcs, cknna, jaccard, second_order_cosine, rank)
}


@dataclass(frozen=True, kw_only=True)
class Neighborhood(Measure):
    """A comparison of the k nearest neighbors of each sample in X and in Y.

    Parameters
    ----------
    comparison : {"mutual", "cycle", "lcs", "cknna", "jaccard", "second_order_cosine", "rank"}
    metric : {"inner", "cosine"}
        What is near: a large inner product of responses, or of their directions.
    k : int, >= 1
        How many neighbors; fewer than the samples.
    added : float, >= 0
        What is added to the denominator, for ``cknna`` only: 1e-6 in the code of Huh et al. 2024.

    Raises
    ------
    InputError
        An option is none of these; on binding, k is not below the number of samples, or ``cknna`` has fewer
        than 4.
    """

    comparison: Comparison
    metric: Metric
    k: int = 10
    added: float = 0.0

    def __post_init__(self) -> None:
        self._check_choices()
        checks.whole(self.k, 1, f"k of {self.name}")
        checks.at_least(self.added, 0, f"added of {self.name}")
        if self.added and self.comparison != "cknna":
            raise InputError(f"added of {self.name} is {self.added!r}; only comparison='cknna' takes it.")

    @property
    def facts(self) -> Facts:
        """Blind to rotation and positive scale, not to offsets; ``cycle`` and ``cknna`` have a direction."""
        invariant = frozenset({"permutation", "orthogonal", "isotropic_scaling"})
        if self.added and self.metric == "inner":
            invariant -= {"isotropic_scaling"}
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
        """Find the neighbors in X, and return the score as a function of the moments."""
        if self.k >= reference.samples:
            raise InputError(
                f"k of {self.name} is {self.k}, but each of {reference.samples} samples has "
                f"{reference.samples - 1} others; choose k below {reference.samples}."
            )
        x = Side.of(reference.responses, self.metric, self.k)
        if self.comparison == "cknna" and reference.samples < 4:
            raise InputError(f"{self.name} has {reference.samples} samples; its HSIC takes at least 4.")
        compare = _COMPARISONS[self.comparison]
        if self.added:
            compare = functools.partial(cknna, added=float(self.added))
        return lambda moments: compare(x, Side.of(moments.Y.detach(), self.metric, self.k))
