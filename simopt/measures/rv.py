"""CKA corrected for dimension: adjusted RV coefficients and the effective number of shared dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures.base import ROTATIONAL, UNITWISE, Facts, Measure, Score, both
from simopt.measures.kernel import cosine
from simopt.measures.matching import unit_columns
from simopt.measures.moments import Moments, Reference

Adjustment = Literal["ghaziri", "maye"]


def mean_participation(moments: Moments) -> Tensor:
    """Return the geometric mean of the participation ratios of X and Y, of shape (...).

    The participation ratio of Y, its effective number of PCs, is (tr G)^2 / tr G^2 with G = Y'Y. The
    participation ratio of X is 1 / sum p_i^2, where p_i are the explained variance ratios of its PCs.
    """
    small = moments.cross_and_small[1]  # Y'Y (..., q, q) or YY' (..., n, n)
    trace = small.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    X_ratio = 1 / moments.reference.variance_ratio.square().sum()
    return (X_ratio * (trace.square() / small.square().sum(dim=(-2, -1)))).sqrt()


@dataclass(frozen=True, kw_only=True)
class SharedDimensions(Measure):
    """The effective number of shared dimensions: CKA times the geometric mean of the participation ratios.

    References
    ----------
    Giaffar et al. 2024, doi:10.1101/2023.07.27.550815.
    """

    @property
    def facts(self) -> Facts:
        """The score at Y = X is the participation ratio of X; other Y may score higher."""
        return Facts(
            family="kernel",
            formula="tr(Y'X X'Y) tr(X'X) tr(Y'Y) / (tr (X'X)^2 tr (Y'Y)^2)",
            source="Giaffar et al. 2024, Number of Shared Dimensions, doi:10.1101/2023.07.27.550815",
            **both(ROTATIONAL),
            high=float("inf"),
            at_self=None,
            sample_rotations=True,
            relations=("cka sqrt(PR_x PR_y), PR the participation ratios",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score."""
        return lambda moments: cosine(moments) * mean_participation(moments)


@dataclass(frozen=True, kw_only=True)
class AdjustedRV(Measure):
    """The RV coefficient, corrected to be 0 on average for unrelated data.

    Parameters
    ----------
    adjustment : {"ghaziri", "maye"}
        ``ghaziri`` is (RV - m) / (1 - m), where m is the mean of RV over permutations of the samples.
        ``maye`` adjusts the squared correlation of every pair of units like the adjusted R2, and needs units
        that are not constant.

    Raises
    ------
    InputError
        The adjustment has another name.

    References
    ----------
    El Ghaziri & Qannari 2015, Measures of association between two datasets; Application to sensory data, Food
    Quality and Preference 40:116-124.
    Mayer, Lorent & Horgan 2011, Exploratory Analysis of Multiple Omics Datasets Using the Adjusted RV
    Coefficient, doi:10.2202/1544-6115.1540.
    """

    adjustment: Adjustment = "ghaziri"

    def __post_init__(self) -> None:
        checks.options(self)

    @property
    def facts(self) -> Facts:
        """``ghaziri`` is invariant to rotation; ``maye`` is invariant to the scale of each unit instead."""
        invariant = ROTATIONAL
        formula = "(RV - m) / (1 - m), m = sqrt(PR_x PR_y) / (n - 1)"
        source = "El Ghaziri & Qannari 2015, Measures of association between two datasets"
        if self.adjustment == "maye":
            invariant = UNITWISE
            formula = "A_xy / sqrt(A_xx A_yy), A the sum over unit pairs of 1 - (n-1)/(n-2) (1 - r^2)"
            source = "Mayer, Lorent & Horgan 2011, Adjusted RV Coefficient, doi:10.2202/1544-6115.1540"
        return Facts(
            family="kernel",
            formula=formula,
            source=source,
            **both(invariant),
            low=-float("inf"),
            high=1.0 if self.adjustment == "ghaziri" else float("inf"),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            The adjustment is ``maye``, and a unit of X is constant.
        """
        n = reference.samples
        if self.adjustment == "ghaziri":

            def ghaziri(moments: Moments) -> Tensor:
                expected = mean_participation(moments) / (n - 1)
                return (cosine(moments) - expected) / (1 - expected)

            return ghaziri
        # Products of centered columns of norm 1 are correlations.
        X = unit_columns(reference.responses)
        constant = (~X.any(dim=0)).nonzero()
        if len(constant):
            raise InputError(f"{self.name}: unit {int(constant[0])} of X is constant; remove constant units.")
        X_sum = _adjusted(X.mT @ X, n)

        def maye(moments: Moments) -> Tensor:
            Y = unit_columns(moments.Y)
            return _adjusted(X.mT @ Y, n) / (X_sum * _adjusted(linalg.gram(Y), n)).sqrt()

        return maye


def _adjusted(correlations: Tensor, n: int) -> Tensor:
    """Return the sum of 1 - (n - 1) / (n - 2) (1 - r^2) over all entries, of shape (...)."""
    return (1 - (n - 1) / (n - 2) * (1 - correlations.square())).sum(dim=(-2, -1))
