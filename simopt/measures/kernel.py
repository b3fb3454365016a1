"""Comparisons of linear kernels: cosine (CKA) and Bures (NBS), with their forms.

With K = X X' and L = Y Y' of the centred datasets, both are a comparison of two positive semidefinite
matrices that the small matrices F'Y and Y'Y determine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.measures import forms
from simopt.measures.base import ROTATIONAL, Facts, Measure
from simopt.measures.moments import Moments, Reference
from simopt.typing import Form

Comparison = Literal["cosine", "bures"]

_FORMULAS = {
    "cosine": "||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F)",
    "bures": "||X'Y||_* / (||X||_F ||Y||_F)",
}
_SOURCES = {
    "cosine": "Kornblith et al. 2019, Similarity of Neural Network Representations Revisited (linear CKA)",
    "bures": "Harvey et al. 2023, Duality of Bures and Shape Distances (normalised Bures similarity)",
}


def cosine(moments: Moments) -> Tensor:
    """Return the cosine of the kernels K and L, (...).

    <K, L> / (||K|| ||L||) = ||F'Y||_F^2 / (||F'F||_F ||Y'Y||_F), F the scores of X (Kornblith et al.
    2019, eq. 3). NaN where Y is constant.
    """
    cross, gram = moments.products
    own = torch.linalg.vector_norm(moments.reference.variance_ratio)
    score: Tensor = cross.square().sum(dim=(-2, -1)) / (own * torch.linalg.matrix_norm(gram))
    return score


def bures(moments: Moments) -> Tensor:
    """Return the fidelity of the kernels K and L over the square root of their traces, (...).

    tr (K^1/2 L K^1/2)^1/2 / sqrt(tr K tr L) = ||F'Y||_* / ||Y||_F, as ||F||_F = 1 (Harvey et al. 2023,
    eq. 7). NaN where Y is constant.
    """
    return linalg.nuclear_norm(moments.cross) / moments.total.sqrt()


@dataclass(frozen=True, kw_only=True)
class KernelSimilarity(Measure):
    """A comparison of the linear kernels of X and Y.

    Parameters
    ----------
    comparison : {"cosine", "bures"}
    form : {"score", "squared", "angular"}

    Raises
    ------
    InputError
        An option is none of these.
    """

    comparison: Comparison
    form: Form = "score"

    def __post_init__(self) -> None:
        checks.one_of(self.comparison, get_args(Comparison), f"comparison of {self.name}")
        forms.check(self.form, self.name)

    @property
    def facts(self) -> Facts:
        """Range [0, 1], symmetric; blind to rotation, scale and offset of either side."""
        return Facts(
            family="kernel",
            formula=forms.wording(self.form, _FORMULAS[self.comparison]),
            source=_SOURCES[self.comparison],
            invariant_x=ROTATIONAL,
            invariant_y=ROTATIONAL,
        )

    def prepare(self, reference: Reference) -> Callable[[Moments], Tensor]:
        """Return the score as a function of the moments; X's side is all in the reference."""
        compare = cosine if self.comparison == "cosine" else bures
        return lambda moments: forms.apply(self.form, compare(moments))
