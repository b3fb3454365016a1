"""Adjusted RV coefficients and the effective number of shared dimensions: CKA corrected for dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from simopt import linalg
from simopt.errors import InputError
from simopt.measures.base import ROTATIONAL, UNITWISE, Facts, Measure, Score, both
from simopt.measures.kernel import cosine
from simopt.measures.matching import unit_columns
from simopt.measures.moments import Moments, Reference

Adjustment = Literal["ghaziri", "maye"]


def mean_participation(moments: Moments) -> Tensor:
    """Return the geometric mean of the participation ratios of X and Y, (...).

    The ratio (tr G)^2 / tr G^2, with G = Y'Y or YY', is the effective number of PCs.
    """
    small = moments.cross_and_small[1]
    trace = small.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    own = 1 / moments.reference.variance_ratio.square().sum()
    return (own * (trace.square() / small.square().sum(dim=(-2, -1)))).sqrt()


@dataclass(frozen=True, kw_only=True)
class SharedDimensions(Measure):
    """The effective number of shared dimensions: CKA times the geometric mean of participation ratios."""

    @property
    def facts(self) -> Facts:
        """At Y = X it is the participation ratio of X; it may rise further."""
        return Facts(
            family="kernel",
            formula="tr(Y'X X'Y) tr(X'X) tr(Y'Y) / (tr (X'X)^2 tr (Y'Y)^2)",
            source="Giaffar et al. 2024, The Effective Number of Shared Dimensions Between Paired Datasets",
            **both(ROTATIONAL),
            high=float("inf"),
            at_self=None,
            sample_rotations=True,
            relations=("cka sqrt(PR_x PR_y), PR the participation ratios",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments."""
        return lambda moments: cosine(moments) * mean_participation(moments)


@dataclass(frozen=True, kw_only=True)
class AdjustedRV(Measure):
    """The RV coefficient, corrected to be 0 on average for unrelated data.

    Parameters
    ----------
    adjustment : {"ghaziri", "maye"}
        ``ghaziri`` takes off the expectation of RV under permutation of samples; ``maye`` adjusts the squared
        correlation of every pair of units, as R2 is adjusted for degrees of freedom.

    Raises
    ------
    InputError
        Another adjustment.
    """

    adjustment: Adjustment = "ghaziri"

    def __post_init__(self) -> None:
        self._check_choices()

    @property
    def facts(self) -> Facts:
        """Ghaziri's is blind to what RV is blind to, Maye's to the scale of single units, not to rotation."""
        invariant = ROTATIONAL
        formula = "(RV - m) / (1 - m), m = sqrt(PR_x PR_y) / (n - 1)"
        source = "El Ghaziri & Qannari 2015, Measures of association between two datasets"
        if self.adjustment == "maye":
            invariant = UNITWISE
            formula = "A_xy / sqrt(A_xx A_yy), A the sum over unit pairs of 1 - (n-1)/(n-2) (1 - r^2)"
            source = "Mayer, Lorent & Horgan 2011, Exploratory data analysis for multiple omics datasets"
        return Facts(
            family="kernel",
            formula=formula,
            source=source,
            **both(invariant),
            low=-float("inf"),
            high=1.0 if self.adjustment == "ghaziri" else float("inf"),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments.

        Raises
        ------
        InputError
            A unit of X that does not vary, for ``maye``.
        """
        n = reference.samples
        if self.adjustment == "ghaziri":

            def ghaziri(moments: Moments) -> Tensor:
                expected = mean_participation(moments) / (n - 1)
                return (cosine(moments) - expected) / (1 - expected)

            return ghaziri
        own = unit_columns(reference.responses)
        if not bool(own.any(dim=0).all()):
            raise InputError(f"{self.name}: a unit of X does not vary, so it has no correlation.")
        own_sum = _adjusted(own.mT @ own, n)

        def maye(moments: Moments) -> Tensor:
            other = unit_columns(moments.Y)
            return _adjusted(own.mT @ other, n) / (own_sum * _adjusted(linalg.gram(other), n)).sqrt()

        return maye


def _adjusted(correlations: Tensor, n: int) -> Tensor:
    """Return the sum of 1 - (n - 1) / (n - 2) (1 - r^2) over all entries, (...)."""
    return (1 - (n - 1) / (n - 2) * (1 - correlations.square())).sum(dim=(-2, -1))
