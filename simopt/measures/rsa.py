"""Representational similarity analysis: every comparison of every kind of RDM of X and Y."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import rdm
from simopt.measures.base import INVARIANCES, ROTATIONAL, Facts, Measure
from simopt.measures.moments import Moments, Reference
from simopt.measures.rdm import DIRECTIONAL, RDM
from simopt.measures.rdm_comparison import (
    BuresComparison,
    Compare,
    Comparison,
    LinearComparison,
    RankComparison,
)

RANKED = frozenset({"spearman", "tau_a", "tau_b"})
DISTANCES = frozenset({"bures_sq_distance", "euclidean_norm"})
CENTRED = RANKED | {"pearson", "corr_cov"}
"""The comparisons that see nothing in an RDM whose entries are all equal."""

_FORMULAS: dict[Comparison, str] = {
    "cosine": "v'w / (||v|| ||w||), v and w the upper triangles",
    "pearson": "r(v, w), v and w the upper triangles",
    "spearman": "r(rank v, rank w), average ranks",
    "tau_a": "(concordant - discordant) / all pairs of entries of v and w",
    "tau_b": "(concordant - discordant) / sqrt(pairs untied in v * pairs untied in w)",
    "cosine_cov": "<K, L> / (||K|| ||L||), K = -H D H / 2",
    "corr_cov": "<K, L> / (||K|| ||L||), K = -H D H / 2 after subtracting the mean of the upper triangle",
    "bures": "tr (K^1/2 L K^1/2)^1/2 / sqrt(tr K tr L), K = -H D H / 2",
    "bures_sq_distance": "tr K + tr L - 2 tr (K^1/2 L K^1/2)^1/2, K = -H D H / 2",
    "euclidean_norm": "||v - w||, v and w the upper triangles",
}
_WHITENED = "Diedrichsen et al. 2021, Comparing Representational Geometries (whitened similarity of RDMs)"
_BURES = "Harvey et al. 2023, Duality of Bures and Shape Distances"
_SOURCES: dict[Comparison, str] = {
    "cosine_cov": _WHITENED,
    "corr_cov": _WHITENED,
    "bures": _BURES,
    "bures_sq_distance": _BURES,
    "tau_a": "Nili et al. 2014, A Toolbox for Representational Similarity Analysis",
}
_RSA = "Kriegeskorte et al. 2008, Representational Similarity Analysis"

_INVARIANT: dict[RDM, frozenset[str]] = {
    "sqeuclidean": ROTATIONAL,
    "euclidean": ROTATIONAL,
    "correlation": frozenset({"permutation", "isotropic_scaling"}),
    "cosine": ROTATIONAL - {"translation"},
    "mahalanobis": frozenset(INVARIANCES),
}


@dataclass(frozen=True, kw_only=True)
class RSA(Measure):
    """A comparison of the representational dissimilarity matrices of X and Y.

    Parameters
    ----------
    rdm : {"sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis"}
        What each two samples are compared by; see :data:`simopt.measures.rdm.FORMULAS`.
    comparison : {"cosine", "pearson", "spearman", "tau_a", "tau_b", "cosine_cov", "corr_cov", "bures",
        "bures_sq_distance", "euclidean_norm"}
        See the formula in :attr:`facts`.
    centre_units : bool
        Subtract the mean over samples of each unit first; only the correlation and cosine RDMs can tell.

    Raises
    ------
    InputError
        An option is none of these.
    """

    rdm: RDM
    comparison: Comparison
    centre_units: bool = False

    def __post_init__(self) -> None:
        checks.one_of(self.rdm, get_args(RDM), f"rdm of {self.name}")
        checks.one_of(self.comparison, get_args(Comparison), f"comparison of {self.name}")
        if not isinstance(self.centre_units, bool):
            raise InputError(f"centre_units of {self.name} is {self.centre_units!r}; it is true or false.")

    @property
    def facts(self) -> Facts:
        """The RDM decides what is ignored, the comparison the range."""
        distance = self.comparison in DISTANCES
        signed = self.comparison in CENTRED
        return Facts(
            family="rsa",
            formula=f"{_FORMULAS[self.comparison]}; {rdm.FORMULAS[self.rdm]}"
            + (" of centred units" if self.centre_units and self.rdm in DIRECTIONAL else ""),
            source=_SOURCES.get(self.comparison, _RSA),
            low=-1.0 if signed else 0.0,
            high=math.inf if distance else 1.0,
            at_self=None if self.comparison == "tau_a" else 0.0 if distance else 1.0,
            larger_is_closer=not distance,
            invariant_x=self._invariant(),
            invariant_y=self._invariant(),
            differentiable=self.comparison not in RANKED,
            cost=self._cost(),
            relations=self._relations(),
        )

    def _invariant(self) -> frozenset[str]:
        ignored = _INVARIANT[self.rdm]
        if self.rdm in DIRECTIONAL:
            return ignored | {"translation"} if self.centre_units else ignored
        if self.comparison in DISTANCES and self.rdm != "mahalanobis":
            return ignored - {"isotropic_scaling"}
        return ignored

    def _cost(self) -> str:
        if self.comparison in RANKED:
            return "n^2 p + n^2 log n"
        if self.rdm == "euclidean":
            return "n^3 + n^2 p" if self.comparison.startswith("bures") else "n^2 p"
        return "n^2 p" if self.comparison == "euclidean_norm" else "n p^2, n^2 p where 2 p > n"

    def _relations(self) -> tuple[str, ...]:
        return _RELATIONS.get((self.rdm, self.comparison), ()) + _RELATIONS.get(("any", self.comparison), ())

    def degenerate(self, samples: int, units: int) -> str | None:
        """Too few units for a direction to vary, or too many for a covariance to be inverted."""
        fewest = {"correlation": 3, "cosine": 2}.get(self.rdm, 1)
        if units < fewest:
            return f"{units} unit(s): every entry of a {self.rdm} RDM is 0 or 2, and no gradient moves it."
        if self.rdm == "mahalanobis" and units >= samples - 1:
            return f"{units} units in {samples} samples: the covariance of a Mahalanobis RDM is singular."
        return None

    def prepare(self, reference: Reference) -> Callable[[Moments], Tensor]:
        """Return the score as a function of the moments; NaN where a comparison sees nothing in Y's RDM.

        Raises
        ------
        InputError
            X's RDM is zero, or all its entries are equal and the comparison is relative to their mean; a
            correlation over a single unit or a singular covariance, of X and later of Y.
        """
        points = self._embed(reference.responses.double(), "X")
        self._check(points)
        compare = self._comparison(points, reference.scores)
        if self.comparison in RANKED:
            return lambda moments: compare(self._embed(moments.Y.detach().double(), "Y")).to(moments.Y.dtype)
        return lambda moments: compare(self._embed(moments.Y, "Y"))

    def _embed(self, responses: Tensor, side: str) -> Tensor:
        return rdm.embed(self.rdm, responses, f"{self.name}: {side}", centre_units=self.centre_units)

    def _comparison(self, points: Tensor, like: Tensor) -> Compare:
        if self.comparison in RANKED:
            return RankComparison(self.rdm, self.comparison, points)
        if self.comparison in ("bures", "bures_sq_distance"):
            return BuresComparison(self.rdm, self.comparison == "bures_sq_distance", points, like)
        if self.comparison == "euclidean_norm":
            fixed = rdm.dissimilarities(self.rdm, points).to(like)
            return lambda other: torch.linalg.vector_norm(
                rdm.dissimilarities(self.rdm, other) - fixed, dim=-1
            )
        return LinearComparison(self.rdm, self.comparison, points, like)

    def _check(self, points: Tensor) -> None:
        places = rdm.levels(self.rdm, points)
        if places.max() > 0:
            return
        zero = self.rdm in DIRECTIONAL and bool(points.square().sum() < 1e-24)
        if self.comparison in CENTRED or (zero and self.comparison != "euclidean_norm"):
            raise InputError(
                f"{self.name}: every two samples of X are equally unlike by the {self.rdm} RDM, so nothing "
                "can be compared with it. Take another RDM (euclidean, sqeuclidean)."
            )


def _norm(differences: Tensor) -> Tensor:
    """Return ||d||, (...); its gradient at d = 0 is 0, a subgradient."""
    norm: Tensor = torch.linalg.vector_norm(differences, dim=-1)
    return norm


_RELATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("sqeuclidean", "cosine_cov"): ("equals linear CKA",),
    ("sqeuclidean", "corr_cov"): ("linear CKA of the kernels less their mean eigenvalue",),
    ("sqeuclidean", "bures"): ("equals NBS",),
    ("sqeuclidean", "bures_sq_distance"): (
        "equals the squared Procrustes distance of the centred X / sqrt p and Y / sqrt q",
    ),
    ("correlation", "cosine_cov"): ("equals linear CKA of samples z-scored over units",),
    ("correlation", "bures"): ("equals NBS of samples z-scored over units",),
    ("cosine", "cosine_cov"): ("equals linear CKA of samples scaled to unit norm",),
    ("cosine", "bures"): ("equals NBS of samples scaled to unit norm",),
    ("mahalanobis", "cosine_cov"): ("equals the sum of squared canonical correlations over sqrt(p q)",),
    ("mahalanobis", "bures"): ("equals the sum of canonical correlations over sqrt(p q)",),
    ("sqeuclidean", "spearman"): ("equals that of the euclidean RDM, which has the same ranks",),
    ("euclidean", "spearman"): ("equals that of the sqeuclidean RDM, which has the same ranks",),
    ("any", "tau_a"): ("equals tau-b where no two entries of an RDM tie, else it is nearer 0",),
    ("any", "tau_b"): ("equals tau-a where no two entries of an RDM tie, else it is further from 0",),
}
