"""Geometric differences: distances between samples, where they lie, and the space they span.

Distances are computed from differences of responses, not from inner products, so an offset costs no digits;
at distance 0 (the tip of a cone) their gradient is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from simopt import linalg, pairwise
from simopt.gradients import Saved, with_gradient
from simopt.measures.base import ROTATIONAL, Facts, Measure, Score, both, distance_facts
from simopt.measures.moments import Moments, Reference

DistanceComparison = Literal["spectral", "pairs", "correlation"]
Statistic = Literal["uniformity", "magnitude", "concentricity"]

_ROTATION = frozenset({"permutation", "orthogonal"})


def directions(rows: Tensor) -> Tensor:
    """Scale every row of A (..., n, p) to length 1; a row of zeros stays, with gradient 0."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    zero = length == 0
    return torch.where(zero, 0.0, rows / torch.where(zero, 1.0, length))


def spectral_norm(matrix: Tensor) -> Tensor:
    """Return the largest absolute eigenvalue, (...), of symmetric A (..., n, n).

    With v the unit eigenvector it is |v'Av|, whose gradient at fixed v is +- vv', that of the norm wherever
    the eigenvalue is simple.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    values, vectors = linalg.eigh(matrix.detach())
    largest = values.abs().argmax(dim=-1)[..., None, None]
    v = vectors.take_along_dim(largest, dim=-1)
    return (v.mT @ matrix @ v)[..., 0, 0].abs()


def distance_correlation(x: Tensor, distances_y: Tensor) -> Tensor:
    """Return sqrt(<A, B> / (||A|| ||B||)), (...), of double-centered distances.

    Parameters
    ----------
    x : Tensor, (n, n)
        The double-centered distances of X, divided by their norm.
    distances_y : Tensor, (..., n, n)

    Returns
    -------
    Tensor, (...)
        In [0, 1] (Székely et al. 2007, eq. 2.8, biased). At 0 the gradient is 0; NaN where Y is constant.
    """
    y = linalg.double_center(distances_y)
    squared = (x * y).sum(dim=(-2, -1)) / torch.linalg.matrix_norm(y)
    return linalg.root(squared)


def uniformity(responses: Tensor) -> Tensor:
    """Return log mean_ij exp(-2 ||a_i - a_j||^2), i = j included, (...) (Wang & Isola 2020, t = 2)."""
    potential = -2 * pairwise.squared_distances(responses)
    return torch.logsumexp(potential, dim=(-2, -1)) - 2 * math.log(responses.shape[-2])


def mean_sample(responses: Tensor) -> Tensor:
    """Return the mean over samples, (..., 1, p); 0, with gradient 0, where it is 0 to rounding."""
    mean = responses.mean(dim=-2, keepdim=True)
    rounding = 8 * torch.finfo(mean.dtype).eps * responses.detach().abs().amax(dim=(-2, -1), keepdim=True)
    return torch.where((mean.abs() <= rounding).all(dim=-1, keepdim=True), 0.0, mean)


def magnitude(responses: Tensor) -> Tensor:
    """Return the length of the mean sample, (...); its gradient is 0 at length 0."""
    return torch.linalg.vector_norm(mean_sample(responses), dim=(-2, -1))


def concentricity(responses: Tensor) -> Tensor:
    """Return the mean cosine of the samples with their mean, (...).

    At a mean of 0 it has no limit; there it and its gradient are 0.
    """
    cosines = (directions(responses) * directions(mean_sample(responses))).sum(dim=-1)
    return cosines.mean(dim=-1)


_STATISTICS = {statistic.__name__: statistic for statistic in (uniformity, magnitude, concentricity)}
_FORMULAS = {
    "uniformity": "u = log mean_ij exp(-2 ||a_i - a_j||^2)",
    "magnitude": "u = || mean_i a_i ||",
    "concentricity": "u = mean_i cos(a_i, mean_j a_j)",
}


def _polar_gradient(grad: Tensor, left: Tensor, values: Tensor, right: Tensor) -> Tensor:
    inner = left.mT @ grad @ right
    turned = (inner - inner.mT) / (values[..., :, None] + values[..., None, :])
    from_left = (grad @ right - left @ inner) / values[..., None, :]
    from_right = (left.mT @ grad - inner @ right.mT) / values[..., :, None]
    return left @ (turned @ right.mT + from_right) + from_left @ right.mT


@with_gradient(_polar_gradient)
def polar(matrix: Tensor) -> tuple[Tensor, Saved]:
    """Return UV', (..., p, q), of A = U S V' (..., p, q), over the nonzero singular values.

    Its gradient is exact at constant rank and divides by sums s_i + s_j of nonzero singular values only, so
    repeated ones do no harm.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    left, values, right = linalg.svd(matrix)
    keep = values > linalg.rank_tolerance(values, matrix)
    left, right = left * keep[..., None, :], right.mT * keep[..., None, :]
    return left @ right.mT, (left, torch.where(keep, values, 1.0), right)


@dataclass(frozen=True, kw_only=True)
class DistanceMatrices(Measure):
    """A comparison of the Euclidean distances between samples in X and in Y.

    Parameters
    ----------
    comparison : {"spectral", "pairs", "correlation"}
        The spectral norm of the difference of the two n x n matrices; the Euclidean norm of the difference
        over pairs of samples; or the distance correlation.

    Raises
    ------
    InputError
        The comparison is none of these.
    """

    comparison: DistanceComparison

    def __post_init__(self) -> None:
        self._check_choices()

    @property
    def facts(self) -> Facts:
        """Symmetric, blind to rotation and offset; the correlation also to scale."""
        if self.comparison == "correlation":
            return Facts(
                family="geometry",
                formula="sqrt(<A, B> / (||A||_F ||B||_F)), A and B double-centered distance matrices",
                source="Székely, Rizzo & Bakirov 2007, Measuring and Testing Dependence by Correlation",
                **both(ROTATIONAL),
                cost="n^2 p",
                relations=("its square is CKA with the kernel -||x_i - x_j||",),
            )
        spectral = self.comparison == "spectral"
        return Facts(
            family="geometry",
            formula="||D_X - D_Y||_2" if spectral else "||D_X - D_Y||_F / sqrt 2",
            source="Yin & Shen 2018, On the Dimensionality of Word Embedding; Klabunde et al. 2025",
            **both(_ROTATION | {"translation"}),
            **distance_facts(math.inf),
            cost="n^2 p + n^3" if spectral else "n^2 p",
            relations=("spectral <= sqrt 2 pairs",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Compute the distances of X, and return the score as a function of the moments."""
        x = pairwise.distances(reference.responses)
        if self.comparison == "correlation":
            own = linalg.double_center(x)
            own = own / torch.linalg.matrix_norm(own)
            return lambda moments: distance_correlation(own, pairwise.distances(moments.Y))
        if self.comparison == "spectral":
            return lambda moments: spectral_norm(x - pairwise.distances(moments.Y))
        return lambda moments: torch.linalg.matrix_norm(x - pairwise.distances(moments.Y)) / math.sqrt(2)


@dataclass(frozen=True, kw_only=True)
class StatisticDifference(Measure):
    """How far apart a statistic of X and that of Y are.

    Parameters
    ----------
    statistic : {"uniformity", "magnitude", "concentricity"}
        How evenly the samples spread; the length of their mean; their mean cosine with it.

    Raises
    ------
    InputError
        The statistic is none of these.
    """

    statistic: Statistic

    def __post_init__(self) -> None:
        self._check_choices()

    @property
    def facts(self) -> Facts:
        """A distance of two numbers: 0 for many Y other than X."""
        ignored = {"uniformity": {"translation"}, "magnitude": (), "concentricity": {"isotropic_scaling"}}
        pairs = self.statistic == "uniformity"
        return Facts(
            family="geometry",
            formula=f"|u(X) - u(Y)|, {_FORMULAS[self.statistic]}",
            source="Wang & Isola 2020, Alignment and Uniformity on the Hypersphere"
            if pairs
            else "Wang et al. 2022, Towards Understanding the Instability of Network Embedding",
            **both(_ROTATION.union(ignored[self.statistic])),
            **distance_facts(2.0 if self.statistic == "concentricity" else math.inf),
            cost="n^2 p" if pairs else "n p",
        )

    def prepare(self, reference: Reference) -> Score:
        """Compute the statistic of X, and return the score as a function of the moments."""
        statistic = _STATISTICS[self.statistic]
        x = statistic(reference.responses)
        return lambda moments: (x - statistic(moments.Y)).abs()


@dataclass(frozen=True, kw_only=True)
class EigenspaceOverlap(Measure):
    """How much of the spaces that the columns of X and of Y span, uncentered, is common."""

    @property
    def facts(self) -> Facts:
        """Range [0, 1], symmetric; blind to any invertible linear map of either side, not to offsets."""
        invariant = ROTATIONAL - {"translation"} | {"column_scaling", "invertible_linear"}
        return Facts(
            family="geometry",
            formula="||U'V||_F^2 / max(p, q), U and V orthonormal bases of the column spaces of X and Y",
            source="May et al. 2019, On the Downstream Performance of Compressed Word Embeddings",
            **both(invariant),
            at_self=None,
            relations=("cca-mean-squared without centering, times min(p, q) / max(p, q)",),
        )

    def degenerate(self, samples: int, units: int) -> str | None:
        """Y of as many units as samples spans everything."""
        if units >= samples:
            return (
                f"{units} units span all {samples} samples, so the overlap is the rank of X over the larger "
                "number of units, whatever Y is. Use fewer units."
            )
        return None

    def prepare(self, reference: Reference) -> Score:
        """Find a basis of X, and return the score as a function of the moments.

        ||U'V||^2 = ||U||^2 - ||U - YB||^2 with B the least squares fit; as B is optimal, its gradient is that
        at fixed B: exact at constant rank of Y.
        """
        basis = linalg.column_space(reference.responses)
        rank, width = basis.square().sum(), reference.responses.shape[-1]

        def score(moments: Moments) -> Tensor:
            coefficients = linalg.ridge_coefficients(moments.Y.detach(), basis)
            residual = (basis - moments.Y @ coefficients).square().sum(dim=(-2, -1))
            return (rank - residual) / max(width, moments.Y.shape[-1])

        return score


@dataclass(frozen=True, kw_only=True)
class AlignedCosine(Measure):
    """The mean cosine of the samples of X and Y after the best rotation of X onto Y, uncentered."""

    @property
    def facts(self) -> Facts:
        """Symmetric; blind to rotation and scale of either side, not to offsets."""
        return Facts(
            family="geometry",
            formula="mean_i cos(Q'x_i, y_i), Q = argmin over orthogonal Q of ||XQ - Y||_F",
            source="Hamilton et al. 2016, Diachronic Word Embeddings; Klabunde et al. 2025",
            **both(ROTATIONAL - {"translation"}),
            low=-1.0,
            relations=("with rows of equal length, the uncentered nbs",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments.

        Q, zero-padded to the wider side, keeps the length of x_i, so only UV' of X'Y is needed.
        """
        x = reference.responses
        rows = directions(x)
        return lambda moments: (
            (rows @ polar(x.mT @ moments.Y) * directions(moments.Y)).sum(dim=-1).mean(dim=-1)
        )
