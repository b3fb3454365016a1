"""Geometric comparisons: distances between samples, statistics of their location, and the space they span.

Distances between samples are accurate even if the responses have a large mean (:mod:`simopt.pairwise`). A
norm or distance of 0 has no derivative. Its gradient is set to 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg, pairwise
from simopt.gradients import Saved, with_gradient
from simopt.measures.base import ROTATIONAL, Facts, Measure, Score, both, distance_facts
from simopt.measures.extent import Extent
from simopt.measures.moments import Moments, Reference
from simopt.norms import matrix_norm, root, vector_norm

DistanceComparison = Literal["spectral", "pairs", "correlation"]
Statistic = Literal["uniformity", "magnitude", "concentricity"]

_ROTATION = frozenset({"permutation", "orthogonal"})


def directions(rows: Tensor) -> Tensor:
    """Return A (..., n, p) with rows scaled to length 1; a row of zeros stays zero and has gradient 0."""
    length = vector_norm(rows, dim=-1, keepdim=True)
    # Both torch.where are needed: 0 / 0 in the branch that is not taken would still make the gradient NaN.
    zero = length == 0
    return torch.where(zero, 0.0, rows / torch.where(zero, 1.0, length))


def spectral_norm(matrix: Tensor) -> Tensor:
    """Return the spectral norm of a symmetric matrix A (..., n, n), its largest absolute eigenvalue.

    If this eigenvalue is simple, with unit eigenvector v, the gradient is sign(v'Av) vv'.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    values, _ = linalg.eigh(matrix)
    return values.abs().amax(dim=-1)


def distance_correlation(x: Tensor, distances_y: Tensor) -> Tensor:
    """Return the distance correlation sqrt(<A, B> / (||A|| ||B||)) of X and Y.

    A and B are the double-centered distance matrices of X and of Y.

    Parameters
    ----------
    x : Tensor, (n, n)
        A / ||A||.
    distances_y : Tensor, (..., n, n)
        The distances between the samples of Y, before they are double-centered.

    Returns
    -------
    Tensor, (...)
        The distance correlation, in [0, 1], not corrected for bias. Where it is 0 its gradient is set to 0.
        It is NaN if Y is constant.

    References
    ----------
    Székely, Rizzo & Bakirov 2007, Measuring and Testing Dependence by Correlation of Distances (eq. 2.8),
    doi:10.1214/009053607000000505.
    """
    y = linalg.double_center(distances_y)  # B (..., n, n)
    squared = (x * y).sum(dim=(-2, -1)) / matrix_norm(y)
    return root(squared)


def uniformity(responses: Tensor) -> Tensor:
    """Return log mean_ij exp(-2 ||a_i - a_j||^2) over all n^2 pairs of samples a_i, a_j, i = j included.

    References
    ----------
    Wang & Isola 2020, arXiv:2005.10242 (t = 2).
    """
    potential = -2 * pairwise.squared_distances(responses)
    # In one step, as exp(-2 d^2) underflows where samples are far apart.
    return torch.logsumexp(potential, dim=(-2, -1)) - 2 * math.log(responses.shape[-2])


def mean_sample(responses: Tensor) -> Tensor:
    """Return the mean over samples, (..., 1, p).

    A mean that is 0 up to rounding errors is set to exactly 0, and so is its gradient.
    """
    # The mean of centered responses is rounding, so its length and direction would be arbitrary.
    mean = responses.mean(dim=-2, keepdim=True)
    rounding = 8 * torch.finfo(mean.dtype).eps * responses.detach().abs().amax(dim=(-2, -1), keepdim=True)
    return torch.where((mean.abs() <= rounding).all(dim=-1, keepdim=True), 0.0, mean)


def magnitude(responses: Tensor) -> Tensor:
    """Return the length of the mean over samples, of shape (...); at length 0 the gradient is set to 0."""
    return vector_norm(mean_sample(responses), dim=(-2, -1))


def concentricity(responses: Tensor) -> Tensor:
    """Return the mean cosine between the samples and their mean, of shape (...).

    If the mean of the samples is 0 the cosine is undefined; the result and its gradient are then set to 0.
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
    # Of P = U V', with M = U'GV: U (M - M')/(s_i + s_j) V' within both spans, and (I - U U') G V S^-1 V' and
    # U S^-1 U' G (I - V V') out of each. All divisors are sums of singular values.
    inner = left.mT @ grad @ right  # M (..., k, k)
    turned = (inner - inner.mT) / (values[..., :, None] + values[..., None, :])
    from_left = (grad @ right - left @ inner) / values[..., None, :]
    from_right = (left.mT @ grad - inner @ right.mT) / values[..., :, None]
    return left @ (turned @ right.mT + from_right) + from_left @ right.mT


@with_gradient(_polar_gradient)
def polar(matrix: Tensor) -> tuple[Tensor, Saved]:
    """Return the polar factor U V', (..., p, q), of A = U S V', where S holds the nonzero singular values.

    The gradient is exact as long as the rank does not change. It divides only by sums s_i + s_j of nonzero
    singular values, so equal singular values need no special case.

    Raises
    ------
    NumericalError
        A holds NaN or infinite values.
    """
    left, values, right = linalg.svd(matrix)
    keep = values > linalg.rank_tolerance(values, matrix)
    # Directions that are left out become zero columns; 1 in place of their values is a harmless divisor.
    left, right = left * keep[..., None, :], right.mT * keep[..., None, :]
    return left @ right.mT, (left, torch.where(keep, values, 1.0), right)


@dataclass(frozen=True, kw_only=True)
class DistanceMatrices(Measure):
    """A comparison of the Euclidean distances between samples in X and in Y.

    Parameters
    ----------
    comparison : {"spectral", "pairs", "correlation"}
        ``spectral``: the spectral norm of the difference of the two (n, n) distance matrices. ``pairs``: the
        Euclidean norm of this difference over all pairs of samples. ``correlation``: the distance
        correlation.

    Raises
    ------
    InputError
        The comparison has another name.

    References
    ----------
    Yin & Shen 2018, On the Dimensionality of Word Embedding, arXiv:1812.04224.
    Klabunde et al. 2025, Similarity of Neural Network Models, arXiv:2305.06329.
    Székely, Rizzo & Bakirov 2007, doi:10.1214/009053607000000505.
    """

    comparison: DistanceComparison

    def __post_init__(self) -> None:
        checks.options(self)

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation and offset, and with ``correlation`` also to scale."""
        if self.comparison == "correlation":
            return Facts(
                family="geometry",
                formula="sqrt(<A, B> / (||A||_F ||B||_F)), A and B double-centered distance matrices",
                source="Székely et al. 2007, Correlation of Distances, doi:10.1214/009053607000000505",
                **both(ROTATIONAL),
                cost="n^2 p",
                relations=("its square is CKA with the kernel -||x_i - x_j||",),
            )
        spectral = self.comparison == "spectral"
        return Facts(
            family="geometry",
            formula="||D_X - D_Y||_2" if spectral else "||D_X - D_Y||_F / sqrt 2",
            source="Yin & Shen 2018, arXiv:1812.04224; Klabunde et al. 2025, arXiv:2305.06329",
            **both(_ROTATION | {"translation"}),
            **distance_facts(math.inf),
            cost="n^2 p + n^3" if spectral else "n^2 p",
            relations=("spectral <= sqrt 2 pairs",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score."""
        x = pairwise.distances(reference.responses)  # (n, n)
        if self.comparison == "correlation":
            centered = linalg.double_center(x)
            unit = centered / matrix_norm(centered)
            return lambda moments: distance_correlation(unit, pairwise.distances(moments.Y))
        if self.comparison == "spectral":
            return lambda moments: spectral_norm(x - pairwise.distances(moments.Y))
        # The matrix has each pair of samples twice.
        return lambda moments: matrix_norm(x - pairwise.distances(moments.Y)) / math.sqrt(2)


@dataclass(frozen=True, kw_only=True)
class StatisticDifference(Measure):
    """The absolute difference between a statistic of X and the same statistic of Y.

    Parameters
    ----------
    statistic : {"uniformity", "magnitude", "concentricity"}
        :func:`uniformity`, how evenly the samples are spread; :func:`magnitude`, the length of their mean;
        or :func:`concentricity`, the mean cosine between the samples and their mean.

    Raises
    ------
    InputError
        The statistic has another name.

    References
    ----------
    Wang & Isola 2020, arXiv:2005.10242.
    Wang et al. 2022, Towards Understanding the Instability of Network Embedding.
    """

    statistic: Statistic

    def __post_init__(self) -> None:
        checks.options(self)

    @property
    def facts(self) -> Facts:
        """The score is a difference of two numbers, which is 0 for many Y other than X."""
        invariant = {"uniformity": {"translation"}, "magnitude": (), "concentricity": {"isotropic_scaling"}}
        pairs = self.statistic == "uniformity"
        return Facts(
            family="geometry",
            formula=f"|u(X) - u(Y)|, {_FORMULAS[self.statistic]}",
            source="Wang & Isola 2020, Alignment and Uniformity on the Hypersphere, arXiv:2005.10242"
            if pairs
            else "Wang et al. 2022, Towards Understanding the Instability of Network Embedding",
            **both(_ROTATION.union(invariant[self.statistic])),
            **distance_facts(2.0 if self.statistic == "concentricity" else math.inf),
            cost="n^2 p" if pairs else "n p",
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score."""
        statistic = _STATISTICS[self.statistic]
        x = statistic(reference.responses)
        return lambda moments: (x - statistic(moments.Y)).abs()


@dataclass(frozen=True, kw_only=True)
class EigenspaceOverlap(Measure):
    """The overlap of the column spaces of X and of Y, neither of which is centered.

    References
    ----------
    May et al. 2019, arXiv:1909.01264.
    """

    @property
    def facts(self) -> Facts:
        """The score is invariant to invertible linear maps of X and of Y, but not to offsets."""
        invariant = ROTATIONAL - {"translation"} | {"column_scaling", "invertible_linear"}
        return Facts(
            family="geometry",
            formula="||U'V||_F^2 / max(p, q), U and V orthonormal bases of the column spaces of X and Y",
            source="May et al. 2019, Downstream Performance of Compressed Word Embeddings, arXiv:1909.01264",
            **both(invariant),
            at_self=None,
            relations=("cca-mean-squared without centering, times min(p, q) / max(p, q)",),
        )

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if X or Y, which are not centered, has the rank n, else None."""
        for side, responses in extent.responses.items():
            if extent.units[side] >= extent.samples and np.linalg.matrix_rank(responses) >= extent.samples:
                return (
                    f"{extent.units[side]} units of {side} span all {extent.samples} samples, so the overlap "
                    "is the smaller rank divided by the larger number of units, whatever Y is."
                )
        return None

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Let U and V be orthonormal bases of X and Y, and B the least-squares fit of U from Y. The score uses
        ||U'V||_F^2 = ||U||_F^2 - ||U - Y B||_F^2. As B minimizes the residual, the gradient is the gradient
        at fixed B. It is exact as long as the rank of Y does not change.
        """
        basis = linalg.column_space(reference.responses)  # U (n, min(n, p)), zero columns beyond the rank
        rank, width = basis.square().sum(), reference.responses.shape[-1]

        def score(moments: Moments) -> Tensor:
            coefficients = linalg.ridge_coefficients(moments.Y.detach(), basis)  # B (..., q, min(n, p))
            residual = (basis - moments.Y @ coefficients).square().sum(dim=(-2, -1))
            return (rank - residual) / max(width, moments.Y.shape[-1])

        return score


@dataclass(frozen=True, kw_only=True)
class AlignedCosine(Measure):
    """The mean cosine between a sample of X and that of Y, after the best rotation, without centering.

    References
    ----------
    Hamilton et al. 2016, arXiv:1605.09096.
    Klabunde et al. 2025, arXiv:2305.06329.
    """

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation and scale of X and of Y, but not to offsets."""
        return Facts(
            family="geometry",
            formula="mean_i cos(Q'x_i, y_i), Q = argmin over orthogonal Q of ||XQ - Y||_F",
            source="Hamilton et al. 2016, Diachronic Word Embeddings, arXiv:1605.09096; Klabunde et al. 2025",
            **both(ROTATIONAL - {"translation"}),
            low=-1.0,
            relations=("with rows of equal length, the uncentered nbs",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        The best rotation is Q = U V', where X'Y = U S V'. The dataset with fewer units is padded with zero
        columns. Then Q keeps the length of x_i, so the cosine depends on the direction of x_i only.
        """
        x = reference.responses
        rows = directions(x)
        return lambda moments: (
            (rows @ polar(x.mT @ moments.Y) * directions(moments.Y)).sum(dim=-1).mean(dim=-1)
        )
