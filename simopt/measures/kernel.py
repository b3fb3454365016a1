"""Comparisons of kernel matrices: CKA with three estimators, and the normalized Bures similarity (NBS).

Let F be the PC scores of X (:mod:`simopt.measures.moments`). With the linear kernels K = X X' and L = Y Y',
both scores are functions of the small matrices F'Y and Y'Y and of the norms of the samples, so no (n, n)
matrix is formed. Other kernels need (n, n) matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from simopt import checks, linalg, pairwise
from simopt.errors import InputError
from simopt.measures import forms
from simopt.measures.base import ROTATIONAL, Facts, Measure, Score, both
from simopt.measures.moments import Moments, Reference
from simopt.norms import matrix_norm, vector_norm
from simopt.typing import Form

Comparison = Literal["cosine", "bures"]
Kernel = Literal["linear", "rbf", "polynomial"]
Bandwidth = Literal["median", "median_nonzero", "fixed"]
Estimator = Literal["biased", "debiased", "zero_diagonal"]

_HIGHEST_DEGREE = 1000
_ROUNDING = 64
_SOURCES = {
    "biased": "Kornblith et al. 2019, Similarity of Neural Network Representations, arXiv:1905.00414",
    "debiased": "Song et al. 2012, Feature Selection via Dependence Maximization (eq. 4); "
    "Nguyen et al. 2021, arXiv:2010.15327",
    "zero_diagonal": "Lange et al. 2023, Deep Networks as Paths (debiased CKA); "
    "Smilde et al. 2009 (RV2), doi:10.1093/bioinformatics/btn634",
    "bures": "Harvey et al. 2023, Duality of Bures and Shape Distances (NBS), arXiv:2311.11436",
}


def cosine(moments: Moments) -> Tensor:
    """Return linear CKA, a tensor of shape (...): the cosine of the centered linear kernels K and L.

    <K, L> / (||K||_F ||L||_F) = ||F'Y||_F^2 / (||F'F||_F ||Y'Y||_F), where F are the PC scores of X. The
    score is NaN if Y is constant.

    References
    ----------
    Kornblith et al. 2019, Similarity of Neural Network Representations Revisited (eq. 3), arXiv:1905.00414.
    """
    cross, small = moments.cross_and_small
    # F'F = diag(p), and <F F', Y Y'> = tr(F'Y Y'F) = ||F'Y||_F^2.
    X_norm = vector_norm(moments.reference.variance_ratio)
    return cross.square().sum(dim=(-2, -1)) / (X_norm * matrix_norm(small))


def bures(moments: Moments) -> Tensor:
    """Return the normalized Bures similarity (NBS), a tensor of shape (...), of linear kernels K and L.

    With X and Y centered, K = XX' and L = YY', the score is tr[(K^1/2 L K^1/2)^1/2] / sqrt(tr K tr L). It
    equals ||F'Y||_* / ||Y||_F, where F are the PC scores of X, scaled to ||F||_F = 1. It is NaN if Y is
    constant.

    References
    ----------
    Harvey et al. 2023, Duality of Bures and Shape Distances (eq. 7), arXiv:2311.11436.
    """
    return moments.nuclear / moments.cross_and_total[1].sqrt()


class _Kernel:
    """A kernel K (..., n, n), as a matrix or as a factor A (..., n, r) with K = A A', and sums over it."""

    def __init__(self, entries: Tensor, factored: bool) -> None:
        self.entries, self.factored = entries, factored
        if factored:  # K 1 = A (A'1)
            self.diagonal = entries.square().sum(dim=-1)  # (..., n)
            row_sum = (entries @ entries.sum(dim=-2)[..., None]).squeeze(-1)
        else:
            self.diagonal = entries.diagonal(dim1=-2, dim2=-1)
            row_sum = entries.sum(dim=-1)
        self.row_sum = row_sum - self.diagonal  # (..., n), without the diagonal

    def product(self, other: _Kernel, estimator: Estimator) -> Tensor:
        """Return the inner product of two kernels, of shape (...), up to a factor that cancels in a cosine.

        ``biased`` is <K, L>, ``zero_diagonal`` leaves out the diagonals, and ``debiased`` is n (n - 3) times
        the unbiased HSIC, see :func:`debiased`.
        """
        return self._corrected(other, self._sum_of_products(other), estimator)

    def square(self, estimator: Estimator) -> Tensor:
        """Return the product with itself, of shape (...); it is NaN where it is 0 up to rounding.

        The debiased one is 0 if all samples are equally far apart, as K is then constant off its diagonal.
        """
        inner = self._sum_of_products(self)
        square = self._corrected(self, inner, estimator)
        if estimator != "debiased":
            return square
        # Sums of n equal terms are off by up to n eps; the 64 leaves room for data rounded to float32. Of
        # normal data of q units the square is about n / q of ``inner``, which is far more.
        rounding = (_ROUNDING + self.row_sum.shape[-1]) * torch.finfo(square.dtype).eps * inner.detach()
        return torch.where(square.detach() <= rounding, math.nan, square)

    def _corrected(self, other: _Kernel, inner: Tensor, estimator: Estimator) -> Tensor:
        if estimator == "biased":
            return inner
        inner = inner - (self.diagonal * other.diagonal).sum(dim=-1)
        if estimator == "zero_diagonal":
            return inner
        return debiased(inner, self.row_sum, other.row_sum)

    def _sum_of_products(self, other: _Kernel) -> Tensor:
        """Return <K, L>: <A A', B B'> = ||A'B||_F^2, or from (n, n) matrices if these are smaller."""
        one, two = self.entries, other.entries
        if self.factored and min(one.shape[-1], two.shape[-1]) <= one.shape[-2]:
            return (one.mT @ two).square().sum(dim=(-2, -1))
        if self.factored:
            one, two = linalg.gram(one.mT), linalg.gram(two.mT)
        return (one * two).sum(dim=(-2, -1))


def debiased(inner: Tensor, K_sums: Tensor, L_sums: Tensor) -> Tensor:
    """Return n (n - 3) times the unbiased HSIC, a tensor of shape (...), of two kernels K and L.

    HSIC is the Hilbert-Schmidt independence criterion. K and L, both (..., n, n), must have zero diagonals.
    The result is tr KL + (1'K1)(1'L1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K L 1.

    Parameters
    ----------
    inner : Tensor, (...)
        tr KL.
    K_sums, L_sums : Tensor, (..., n)
        The column sums K'1 of K, and the row sums L 1 of L.

    References
    ----------
    Song et al. 2012, Feature Selection via Dependence Maximization (eq. 4), JMLR 13:1393-1434.
    """
    n = K_sums.shape[-1]
    totals = K_sums.sum(dim=-1) * L_sums.sum(dim=-1)
    return inner + totals / ((n - 1) * (n - 2)) - 2 / (n - 2) * (K_sums * L_sums).sum(dim=-1)


@dataclass(frozen=True, kw_only=True)
class KernelSimilarity(Measure):
    """The similarity of two kernel matrices, K of X and L of Y.

    Parameters
    ----------
    comparison : {"cosine", "bures"}
        ``cosine`` is CKA. ``bures`` is NBS; it requires linear kernels and the biased estimator.
    estimator : {"biased", "debiased", "zero_diagonal"}
        ``biased`` centers the kernels. ``zero_diagonal`` centers them and sets their diagonals to zero.
        ``debiased`` sets the diagonals of the uncentered kernels to zero and corrects for the mean; the score
        may then be negative.
    kernel : {"linear", "rbf", "polynomial"}
        ``rbf`` is exp(-d^2 / (2 s^2)), with d the distance of two samples and s the bandwidth. ``polynomial``
        is (<x, x'> / units + offset)^degree of two centered samples x and x'.
    bandwidth : {"median", "median_nonzero", "fixed"}
        How the bandwidth s of ``rbf`` is chosen. ``fixed``: s is ``scale``. ``median``: s^2 is ``scale``^2
        times the median of all n^2 squared distances, for X and for Y separately. ``median_nonzero`` is the
        same without the distance of each sample from itself.
    scale, degree, offset : float > 0, int from 1 to 1000, float >= 0
        The numbers of these names in the formulas above.
    form : {"score", "squared", "angular", "angle", "angle_normalized"}
        The function of the score s that is returned, see :func:`simopt.measures.forms.apply`.

    Raises
    ------
    InputError
        An option is out of its range.

    References
    ----------
    Kornblith et al. 2019, arXiv:1905.00414. Nguyen et al. 2021, arXiv:2010.15327. Harvey et al. 2023,
    arXiv:2311.11436. Smilde et al. 2009, doi:10.1093/bioinformatics/btn634.
    """

    comparison: Comparison
    estimator: Estimator = "biased"
    kernel: Kernel = "linear"
    bandwidth: Bandwidth = "median"
    scale: float = 1.0
    degree: int = 2
    offset: float = 1.0
    form: Form = "score"

    def __post_init__(self) -> None:
        checks.options(self, offset=0, degree=(1, _HIGHEST_DEGREE))
        checks.at_least(self.scale, 0, f"scale of {self.name}", strict=True)
        if self.comparison == "bures" and not self._plain:
            raise InputError(f"{self.name}: set kernel=linear and estimator=biased for comparison=bures.")

    @property
    def _plain(self) -> bool:
        """Whether the score is a function of F'Y and Y'Y, without kernels."""
        return (self.kernel, self.estimator) == ("linear", "biased")

    @property
    def facts(self) -> Facts:
        """The score is invariant to rotation and offset, and to scale if the kernel has no fixed scale."""
        fixed = self.kernel == "polynomial" or (self.kernel == "rbf" and self.bandwidth == "fixed")
        invariant = ROTATIONAL - {"isotropic_scaling"} if fixed else ROTATIONAL
        return Facts(
            family="kernel",
            formula=forms.wording(self.form, self._formula()),
            source=_SOURCES["bures" if self.comparison == "bures" else self.estimator],
            **both(invariant),
            sample_rotations=self._plain,
            cost="n p^2" if self.kernel == "linear" else "n^2 p",
            relations=self._relations(),
            **forms.facts(self.form, 0.0 if self.estimator == "biased" else -1.0),
        )

    def _formula(self) -> str:
        if self.comparison == "bures":
            return "||X'Y||_* / (||X||_F ||Y||_F)"
        if self._plain:
            return "||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F)"
        matrices = {
            "biased": "<HKH, HLH> / (||HKH|| ||HLH||)",
            "zero_diagonal": "<K0, L0> / (||K0|| ||L0||), K0 = HKH with zero diagonal",
            "debiased": "HSIC_u(K, L) / sqrt(HSIC_u(K, K) HSIC_u(L, L))",
        }
        entry = {"linear": "x'y", "rbf": "exp(-|x-y|^2 / 2s^2)", "polynomial": "(x'y/p + offset)^degree"}
        return f"{matrices[self.estimator]}, k(x, y) = {entry[self.kernel]}"

    def _relations(self) -> tuple[str, ...]:
        if not self._plain:
            return ()
        if self.comparison == "bures":
            return ("cka / sqrt(r_x r_y) <= nbs^2 <= min(r_x, r_y) cka, r the ranks",)
        return (
            "equals the RV coefficient and rsa_correlation_corr",
            "equals the whitened cosine of squared Euclidean RDMs",
            "cka / sqrt(r_x r_y) <= nbs^2 <= min(r_x, r_y) cka, r the ranks",
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            The estimator is debiased, and X has fewer than 4 samples or all samples of X are equally far
            apart.
        """
        if self._plain:
            score = bures if self.comparison == "bures" else cosine
            return lambda moments: forms.apply(self.form, score(moments))
        if self.estimator == "debiased" and reference.samples < 4:
            raise InputError(f"{self.name} needs at least 4 samples; X has {reference.samples}. Give more.")
        linear = self.kernel == "linear"
        K = self._kernel_of(reference.scores if linear else linalg.center(reference.responses))
        K_square = K.square(self.estimator)
        if bool(K_square.isnan()):
            raise InputError(
                f"{self.name}: all samples of X are equally far apart, so its debiased kernel is 0. "
                "Choose estimator=biased."
            )

        def evaluate(moments: Moments) -> Tensor:
            L = self._kernel_of(moments.centered)
            squares = K_square * L.square(self.estimator)
            return forms.apply(self.form, K.product(L, self.estimator) / squares.sqrt())

        return evaluate

    def _kernel_of(self, data: Tensor) -> _Kernel:
        """Return the kernel of centered responses (..., n, p)."""
        if self.kernel == "linear":
            return _Kernel(data, factored=True)
        if self.kernel == "polynomial":
            matrix = (data @ data.mT / data.shape[-1] + float(self.offset)) ** self.degree
        else:
            squared = pairwise.squared_distances(data)  # (..., n, n)
            twice: Tensor | float = 2 * float(self.scale) ** 2  # 2 s^2
            if self.bandwidth != "fixed":
                median = median_distance(squared, diagonal=self.bandwidth == "median")
                twice = twice * median[..., None, None]
            matrix = torch.exp(-squared / twice)
        # The debiased estimator accounts for the mean itself, after the diagonal has been left out.
        if self.estimator != "debiased":
            matrix = linalg.double_center(matrix)
        return _Kernel(matrix, factored=False)


def median_distance(squared: Tensor, *, diagonal: bool) -> Tensor:
    """Return the median, a tensor of shape (...), of the squared distances between samples.

    For an even number of entries the median is the mean of the two middle entries.

    Parameters
    ----------
    squared : Tensor, (..., n, n)
        Squared distances; the matrix is symmetric, with a zero diagonal.
    diagonal : bool
        Whether the n zeros of the diagonal count as entries.
    """
    # Only the upper triangle is sorted. Among all entries the n zeros come first, then each pair (i, j)
    # twice, so the entry of rank k is the pair of rank (k - n) // 2. The values are then read off
    # ``squared``, which keeps their gradient.
    n = squared.shape[-1]
    i, j = torch.triu_indices(n, n, offset=1, device=squared.device)
    pairs = squared.detach()[..., i, j]
    zeros = n if diagonal else 0
    count = zeros + 2 * len(i)  # entries in all
    middle = [(rank - zeros) // 2 for rank in ((count - 1) // 2, count // 2)]
    # Positions of the two middle pairs in the list of pairs, (..., 2).
    places = torch.stack([torch.kthvalue(pairs, rank + 1, dim=-1).indices for rank in middle], dim=-1)
    return squared.flatten(start_dim=-2).gather(-1, i[places] * n + j[places]).mean(dim=-1)
