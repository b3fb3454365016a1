"""Linear predictivity: how much of X's variance a linear or ridge regression from Y explains.

Fits are made from the small matrices Y'Y and Y'F where their condition allows, which costs two matrix
products for any number of folds; where it does not (wide, padded, rank-deficient Y) from the singular value
decomposition of Y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures.base import INVARIANCES, ROTATIONAL, Facts, Measure
from simopt.measures.moments import Moments, Reference


@dataclass(frozen=True, kw_only=True)
class Regression(Measure):
    """R2 of the prediction of X from Y by linear or ridge regression with an intercept.

    Parameters
    ----------
    penalty : float, >= 0
        lambda of ||X - Y B||_F^2 + lambda ||B||_F^2, in squared units of Y; 0 is least squares.
    folds : int >= 2, or None
        None fits and scores on all samples. Otherwise the mean R2 over contiguous folds of the samples:
        fitted on the others with their means, errors and total sum of squares about the train means.

    Raises
    ------
    InputError
        A negative penalty, or fewer than two folds.
    """

    penalty: float = 0.0
    folds: int | None = None

    def __post_init__(self) -> None:
        checks.at_least(self.penalty, 0, f"penalty of {self.name}")
        if self.folds is not None:
            checks.whole(self.folds, 2, f"folds of {self.name}")

    @property
    def facts(self) -> Facts:
        """Blind to rotation, scale and offset of X; to invertible maps of Y, unless penalised."""
        penalised = self.penalty > 0
        formula = "1 - ||X - Y B||_F^2 / ||X||_F^2, B = (Y'Y + lambda I)^-1 Y'X"
        if self.folds is not None:
            formula += f", on held-out folds ({self.folds}, contiguous), then averaged"
        return Facts(
            family="regression",
            formula=formula,
            source="Cloos et al. 2025, Differentiable Optimization of Similarity Scores (sec. 3)",
            low=0.0 if self.folds is None else -float("inf"),
            at_self=None if penalised else 1.0,
            invariant_x=ROTATIONAL,
            invariant_y=ROTATIONAL - {"isotropic_scaling"} if penalised else frozenset(INVARIANCES),
            symmetric=False,
            direction="y_to_x",
        )

    def degenerate(self, samples: int, units: int) -> str | None:
        """Least squares without held-out samples fits noise: it starts at units / (samples - 1)."""
        if self.penalty > 0 or self.folds is not None:
            return None
        share = units / (samples - 1)
        if share >= 1:
            return f"{units} units >= {samples} samples: R2 is 1 whatever Y is."
        if share > 0.5:
            return f"{units} units for {samples} samples: R2 is about {share:.2f} for pure noise."
        return None

    def prepare(self, reference: Reference) -> Callable[[Moments], Tensor]:
        """Return R2 as a function of the moments.

        Raises
        ------
        InputError
            More folds than samples allow, or a fold in which X does not vary.
        """
        if self.folds is None:
            return self._in_sample
        return _CrossValidated(self.name, self.penalty, _contiguous(reference, self.folds, self.name))

    def _in_sample(self, moments: Moments) -> Tensor:
        """R2 = <Y'F, B> + lambda ||B||^2, as ||F||_F = 1."""
        if self.penalty > 0 or moments.Y.shape[-1] < moments.reference.samples:
            cross, gram = moments.products
            right = cross.mT
            B, condition = linalg.solve_spd(_penalised(gram, self.penalty), right)
            if linalg.trustworthy(condition):
                return (right * B).sum(dim=(-2, -1)) + self.penalty * B.square().sum(dim=(-2, -1))
        scores = moments.reference.scores
        B = linalg.ridge_coefficients(moments.centred, scores, self.penalty)
        return 1 - (scores - moments.centred @ B).square().sum(dim=(-2, -1))


def _penalised(gram: Tensor, penalty: float) -> Tensor:
    if penalty == 0:
        return gram
    return gram + penalty * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)


@dataclass(frozen=True)
class _Folds:
    """The folds of X: f folds of contiguous samples, everything about the train means.

    Attributes
    ----------
    sizes : list of int, (f,)
    parts : tuple of Tensor, f times (n_f, K)
        The scores of X in each fold.
    test_sum, train_mean : Tensor, (f, K)
    total : Tensor, (f,)
        Sum of squares of the fold about the train mean.
    """

    sizes: list[int]
    parts: tuple[Tensor, ...]
    test_sum: Tensor
    train_mean: Tensor
    total: Tensor
    train_sizes: Tensor = field(repr=False)
    test_sizes: Tensor = field(repr=False)


def _contiguous(reference: Reference, folds: int, name: str) -> _Folds:
    scores, n = reference.scores, reference.samples
    if folds > n:
        raise InputError(
            f"{name}: {folds} folds of {n} samples; there can be at most as many folds as samples."
        )
    sizes = [n // folds + (k < n % folds) for k in range(folds)]
    parts = torch.split(scores, sizes)
    test = torch.tensor(sizes, dtype=scores.dtype, device=scores.device)
    test_sum = torch.stack([part.sum(dim=0) for part in parts])
    train_mean = (scores.sum(dim=0) - test_sum) / (n - test)[:, None]
    total = torch.stack([(part - mean).square().sum() for part, mean in zip(parts, train_mean, strict=True)])
    if not bool((total > 0).all()):
        raise InputError(f"{name}: X does not vary within one of the {folds} folds.")
    return _Folds(sizes, parts, test_sum, train_mean, total, n - test, test)


class _CrossValidated:
    """Mean R2 over folds, from the moments of each fold.

    The train moments of a fold are the sums of the other folds': each sample enters one product.
    """

    def __init__(self, name: str, penalty: float, folds: _Folds) -> None:
        self.name, self.penalty, self.folds = name, penalty, folds

    def __call__(self, moments: Moments) -> Tensor:
        parts = torch.split(moments.centred, self.folds.sizes, dim=-2)
        if self.penalty > 0 or parts[0].shape[-1] < min(self.folds.train_sizes):
            explained, condition = self._from_moments(parts)
            if linalg.trustworthy(condition):
                return explained
        return self._from_data(parts)

    def _from_moments(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        folds = self.folds
        gram = torch.stack([linalg.gram(part) for part in parts], dim=-3)  # (..., f, q, q)
        right = torch.stack([y.mT @ x for y, x in zip(parts, folds.parts, strict=True)], dim=-3)
        y_sum = torch.stack([part.sum(dim=-2) for part in parts], dim=-2)  # (..., f, q)
        y_train = y_sum.sum(dim=-2, keepdim=True) - y_sum
        y_mean = y_train / folds.train_sizes[:, None]
        train_gram = gram.sum(dim=-3, keepdim=True) - gram - _outer(y_train, y_mean)
        train_right = right.sum(dim=-3, keepdim=True) - right - _outer(y_train, folds.train_mean)
        B, condition = linalg.solve_spd(_penalised(train_gram, self.penalty), train_right)
        shift = _outer(y_sum, y_mean)
        test_gram = gram - shift - shift.mT + _outer(y_mean, y_mean) * folds.test_sizes[:, None, None]
        test_right = (
            right
            - _outer(y_sum, folds.train_mean)
            - _outer(y_mean, folds.test_sum)
            + _outer(y_mean, folds.train_mean) * folds.test_sizes[:, None, None]
        )
        explained = (B * (2 * test_right - test_gram @ B)).sum(dim=(-2, -1))  # (..., f)
        return (explained / folds.total).mean(dim=-1), condition

    def _from_data(self, parts: tuple[Tensor, ...]) -> Tensor:
        explained = []
        for k, x_mean in enumerate(self.folds.train_mean):
            train = torch.cat([part for j, part in enumerate(parts) if j != k], dim=-2)
            y_mean = train.mean(dim=-2, keepdim=True)
            target = torch.cat([x for j, x in enumerate(self.folds.parts) if j != k]) - x_mean
            B = linalg.ridge_coefficients(train - y_mean, target, self.penalty)
            residual = self.folds.parts[k] - x_mean - (parts[k] - y_mean) @ B
            explained.append(1 - residual.square().sum(dim=(-2, -1)) / self.folds.total[k])
        return torch.stack(explained, dim=-1).mean(dim=-1)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left[..., :, None] * right[..., None, :]
