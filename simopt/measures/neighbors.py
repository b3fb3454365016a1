"""Neighborhoods: whether each sample has the same nearest samples in X and in Y.

The neighbors of a sample are the k other samples with the largest inner product or cosine with it. X and Y
are not centered. The scores have no gradient: when Y changes continuously, neighbors and scores jump. If
samples are equally near, the score is a mean over all their orders (:mod:`simopt.measures.ties`).

The X-neighbors N_X(i) and Y-neighbors N_Y(i) of sample i are its neighbors in X and in Y.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import nearest, ties
from simopt.measures.base import ROTATIONAL, Facts, Measure, Score, both
from simopt.measures.moments import Moments, Reference
from simopt.measures.nearest import Metric, Neighbors
from simopt.measures.ties import Ranking

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


@dataclass(frozen=True, kw_only=True)
class Neighborhood(Measure):
    """A comparison of the k nearest neighbors of each sample in X and in Y.

    If samples are equally near, the score is a mean over all their orders, which are independent in X and in
    Y. The score of X with itself is then lower than it is without ties.

    Parameters
    ----------
    comparison : {"mutual", "cycle", "lcs", "cknna", "jaccard", "second_order_cosine", "rank"}
        The function that computes the score: one of this name in :mod:`simopt.measures.nearest`, or in
        :mod:`simopt.measures.ties` if samples are equally near.
    metric : {"inner", "cosine"}
        Whether the nearest samples are those with the largest inner product or the largest cosine.
    k : int, >= 1
        The number of neighbors. It must be less than the number of samples.
    added : float, >= 0
        A number added to the denominator of ``cknna``; it is 1e-6 in the code of Huh et al. 2024.

    Raises
    ------
    InputError
        An option is out of range.

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
            raise InputError(f"added of {self.name} is {self.added!r}; set 0, or use comparison=cknna.")

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation and positive scale. Cycle and cknna are not symmetric."""
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
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            There are at most k samples, or ``cknna`` gets fewer than 4 samples.
        """
        if self.k >= reference.samples:
            raise InputError(
                f"k of {self.name} is {self.k}, but each of the {reference.samples} samples has only "
                f"{reference.samples - 1} others; choose k below {reference.samples}."
            )
        X = reference.responses
        x = Neighbors.of(X, self.metric, self.k)
        if self.comparison == "cknna" and reference.samples < 4:
            raise InputError(f"{self.name} needs at least 4 samples; X has {reference.samples}. Give more.")
        compare, among_ties = (getattr(module, self.comparison) for module in (nearest, ties))
        if self.added:
            options = {"added": float(self.added)}
            compare, among_ties = (functools.partial(part, **options) for part in (compare, among_ties))
        ranked_x = functools.cache(lambda: self._ranked(X))

        def score(moments: Moments) -> Tensor:
            Y = moments.Y.detach()
            y = Neighbors.of(Y, self.metric, self.k)
            scores = compare(x, y)
            for index in (x.tied | y.tied).nonzero():  # of the batch dimensions; one empty index without
                member = tuple(index)
                sides = ranked_x(), self._ranked(Y[member])
                if any(side.has_ties for side in sides):
                    scores[member] = among_ties(*sides).to(scores)
            return scores

        return score

    def _ranked(self, responses: Tensor) -> Ranking:
        """Return the ranks of neighbors in float64, as in float32 many products differ by rounding alone."""
        # Apple's devices have no float64.
        somewhere = responses.cpu() if responses.device.type == "mps" else responses
        return Ranking.of(Neighbors.of(somewhere.double(), self.metric, self.k))
