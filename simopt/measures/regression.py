"""Linear predictivity: how well a linear or ridge regression from one side predicts the other.

Fits are made from the small matrices Y'Y and Y'F where their condition allows, which costs two matrix
products for any number of folds; where it does not (wide, padded, rank-deficient Y) from the singular value
decomposition of Y. Every score follows from three numbers a fold: T the targets about their train mean and P
their prediction, <T, P>, ||P||^2 and ||T||^2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures import forms
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score
from simopt.measures.folds import Folds
from simopt.measures.moments import Moments, Reference
from simopt.typing import Form

Direction = Literal["y_to_x", "x_to_y", "both"]
Statistic = Literal["r2", "pearson"]
Baseline = Literal["train", "test"]

_FORMULAS = {
    "r2": "1 - ||T - P||_F^2 / ||T||_F^2",
    "pearson": "<T, P> / (||T||_F ||P||_F)",
}


@dataclass(frozen=True, kw_only=True)
class Regression(Measure):
    """R2 or Pearson correlation of a linear or ridge regression with an intercept, over all entries.

    Parameters
    ----------
    penalty : float, >= 0
        lambda of ||T - A B||_F^2 + lambda ||B||_F^2, in squared units of the predictors A; 0 is least
        squares, of least norm.
    folds : int >= 2, or None
        None fits and scores on all samples. Otherwise the mean score over folds: fitted on the other folds
        with their means, errors and total sum of squares about the train means.
    conditions : int or None
        None folds contiguous samples. A number of conditions folds contiguous conditions, all their time
        bins together (samples are time x condition, time outermost).
    statistic : {"r2", "pearson"}
        ``pearson`` is the cosine of targets and prediction, both about the train mean.
    direction : {"y_to_x", "x_to_y", "both"}
        ``y_to_x`` predicts X from Y; ``both`` is the mean of the two.
    baseline : {"train", "test"}
        The mean about which the total sum of squares of R2 is taken.
    form : {"score", "squared", "angular", "angle", "angle_normalized"}

    Raises
    ------
    InputError
        A value out of its range.
    """

    penalty: float = 0.0
    folds: int | None = None
    conditions: int | None = None
    statistic: Statistic = "r2"
    direction: Direction = "y_to_x"
    baseline: Baseline = "train"
    form: Form = "score"

    def __post_init__(self) -> None:
        self._check_choices()
        checks.at_least(self.penalty, 0, f"penalty of {self.name}")
        if self.folds is not None:
            checks.whole(self.folds, 2, f"folds of {self.name}")
        if self.conditions is not None:
            checks.whole(self.conditions, 2, f"conditions of {self.name}")
            if self.folds is None:
                raise InputError(f"conditions of {self.name} is {self.conditions}, but folds is not given.")

    @property
    def facts(self) -> Facts:
        """The predicted side may be rotated and scaled; the predicting one mapped, unless penalised."""
        predicting = ROTATIONAL - {"isotropic_scaling"} if self.penalty > 0 else AFFINE
        both = predicting & ROTATIONAL
        x, y = {
            "y_to_x": (ROTATIONAL, predicting),
            "x_to_y": (predicting, ROTATIONAL),
            "both": (both, both),
        }[self.direction]
        low = 0.0 if self.folds is None else -float("inf") if self.statistic == "r2" else -1.0
        ends = forms.facts(self.form, low)
        if self.penalty > 0:
            ends["at_self"] = None
        formula = _FORMULAS[self.statistic] + ", P = A (A'A + lambda I)^-1 A'T"
        if self.folds is not None:
            formula += f", on held-out folds ({self.folds}), then averaged"
        predicts = {"y_to_x": "T of X, A of Y", "x_to_y": "T of Y, A of X", "both": "mean of both directions"}
        return Facts(
            family="regression",
            formula=f"{forms.wording(self.form, formula)}; {predicts[self.direction]}",
            source="Cloos et al. 2025, Differentiable Optimization of Similarity Scores (sec. 3)",
            invariant_x=x,
            invariant_y=y,
            symmetric=self.direction == "both",
            sample_rotations=self.folds is None,
            direction="symmetric" if self.direction == "both" else self.direction,
            relations=("1 whenever units >= samples",) if self.penalty == 0 and self.folds is None else (),
            **ends,
        )

    def degenerate(self, samples: int, units: int) -> str | None:
        """Least squares without held-out samples fits noise: it starts at units / (samples - 1)."""
        if self.penalty > 0 or self.folds is not None or self.direction == "x_to_y":
            return None
        share = units / (samples - 1)
        if share >= 1:
            return f"{units} units >= {samples} samples - 1: R2 is 1 whatever Y is."
        if share > 0.5:
            return f"{units} units for {samples} samples: R2 is about {share:.2f} for pure noise."
        return None

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments.

        Raises
        ------
        InputError
            More folds than samples allow, or a fold in which X does not vary.
        """
        folds = Folds.of(reference.samples, self.folds, self.conditions, self.name, reference.scores)
        if self.baseline == "test" and min(folds.sizes) < 2:
            raise InputError(f"{self.name}: a fold of one sample does not vary about its own mean.")
        penalty = float(self.penalty)  # torch takes no int beyond 64 bits
        sides: list[_FromY | _FromX] = []
        if self.direction != "x_to_y":
            sides.append(_FromY(reference, folds, penalty, self.name))
        if self.direction != "y_to_x":
            sides.append(_FromX(reference, folds, penalty))

        def evaluate(moments: Moments) -> Tensor:
            scores = [self._score(side(moments)).mean(dim=-1) for side in sides]
            return forms.apply(self.form, torch.stack(scores).mean(dim=0))

        return evaluate

    def _score(self, fit: _Fit) -> Tensor:
        if self.statistic == "pearson":
            nothing = fit.power <= 0
            power = torch.where(nothing, 1.0, fit.power)
            return torch.where(nothing, 0.0, fit.overlap / (fit.total * power).sqrt())
        gained = 2 * fit.overlap - fit.power
        if self.baseline == "train":
            return gained / fit.total
        return 1 - (fit.total - gained) / fit.about_test_mean


@dataclass(frozen=True)
class _Fit:
    """What each fold says of a prediction P of targets T, (..., f)."""

    overlap: Tensor  # <T, P>
    power: Tensor  # ||P||^2
    total: Tensor  # ||T||^2, T about the train mean
    about_test_mean: Tensor  # the same about the mean of the fold itself


class _FromY:
    """X predicted from Y.

    P = a (A'A + lambda I)^-1 A'T, with T and A the train rows of X and Y and a the test rows of Y, all about
    the means of the train rows. The cheapest way is taken (:meth:`_from_all`, :meth:`_from_moments`,
    :meth:`_from_kernel`), and :meth:`_from_data` where the matrix that it inverts is not well enough
    conditioned.
    """

    def __init__(self, reference: Reference, folds: Folds, penalty: float, name: str) -> None:
        self.folds, self.penalty = folds, penalty
        self.parts = folds.parts(reference.scores)
        self.test_sum = torch.stack([part.sum(dim=0) for part in self.parts])  # (f, K)
        self.train_mean = folds.train_sum(self.test_sum) / folds.train_sizes[:, None]
        self.total = torch.stack([self._targets(k).square().sum() for k in range(len(self.parts))])
        self.about_test_mean = torch.stack([linalg.center(part).square().sum() for part in self.parts])
        if not bool((self.total > 0).all()):
            raise InputError(f"{name}: X does not vary within one of the {len(self.parts)} folds.")

    def __call__(self, moments: Moments) -> _Fit:
        units = moments.Y.shape[-1]
        if self.penalty > 0 or units < self.folds.smallest_train:
            wide = units > sum(self.folds.sizes)
            fit, condition = self._from_kernel(moments) if wide else self._from_moments(moments)
            if linalg.trustworthy(condition):
                return fit
        return self._from_data(self.folds.parts(moments.centered))

    def _from_all(self, moments: Moments) -> tuple[_Fit, Tensor]:
        """All samples are train and test: P = Y B, B = (Y'Y + lambda I)^-1 Y'T."""
        if self.penalty == 0:
            explained, condition = (part.unsqueeze(-1) for part in moments.explained)
            overlap = explained.sum(dim=-2)  # <T, P> = ||P||^2 for a projection
            return _Fit(overlap, overlap, self.total, self.about_test_mean), condition
        cross, gram = moments.products
        gram, right = gram.unsqueeze(-3), cross.mT.unsqueeze(-3)
        B, condition = linalg.solve_spd(self._penalised(gram), right)
        return self._from_coefficients(B, gram, right), condition

    def _from_moments(self, moments: Moments) -> tuple[_Fit, Tensor]:
        """From the sums over each fold: G = sum y y', R = sum y x', s = sum y, t = sum x, of n rows.

        Over the other folds, of means m and k, sum (y - m)(y - m)' = G_train - s_train m', and
        sum (y - m)(x - k)' = R_train - s_train k'. Over the fold itself, about these means,
        sum (y - m)(y - m)' = G - s m' - m s' + n m m', and sum (y - m)(x - k)' = R - s k' - m t' + n m k'.
        """
        if self.folds.whole:
            return self._from_all(moments)
        parts = self.folds.parts(moments.centered)
        gram = torch.stack([linalg.gram(part) for part in parts], dim=-3)  # (..., f, q, q)
        right = torch.stack([y.mT @ x for y, x in zip(parts, self.parts, strict=True)], dim=-3)
        y_sum = torch.stack([part.sum(dim=-2) for part in parts], dim=-2)  # (..., f, q)
        y_train = self.folds.train_sum(y_sum)
        y_mean = y_train / self.folds.train_sizes[:, None]
        train_gram = self._penalised(gram.sum(dim=-3, keepdim=True) - gram - _outer(y_train, y_mean))
        train_right = right.sum(dim=-3, keepdim=True) - right - _outer(y_train, self.train_mean)
        if max(self.folds.sizes) < moments.Y.shape[-1]:  # row by row, as there are fewer rows than units
            rows = [part - y_mean[..., k, None, :] for k, part in enumerate(parts)]
            folds = zip(rows, train_gram.unbind(-3), train_right.unbind(-3), strict=True)
            return self._from_fits([linalg.predict(*fold) for fold in folds])
        sizes = self.folds.test_sizes[:, None, None]
        shift = _outer(y_sum, y_mean)
        test_gram = gram - shift - shift.mT + _outer(y_mean, y_mean) * sizes
        test_right = (
            right
            - _outer(y_sum, self.train_mean)
            - _outer(y_mean, self.test_sum)
            + _outer(y_mean, self.train_mean) * sizes
        )
        B, condition = linalg.solve_spd(train_gram, train_right)
        return self._from_coefficients(B, test_gram, test_right), condition

    def _from_kernel(self, moments: Moments) -> tuple[_Fit, Tensor]:
        """P = a A' (A A' + lambda I)^-1 T, where there are more units than samples.

        Both are blocks of (I - 1 w') YY' (I - 1 w')', with w'Y the mean of the train rows.
        """
        kernel, order = moments.kernel, self.folds.order
        if order is not None:
            kernel = kernel[..., order, :][..., order]
        fold_of = torch.repeat_interleave(torch.tensor(self.folds.sizes)).to(kernel.device)
        identity = torch.eye(len(fold_of), dtype=kernel.dtype, device=kernel.device)
        fits = []
        for k, mean in enumerate(self.train_mean):
            inside = fold_of == k
            train = torch.ones_like(inside) if self.folds.whole else ~inside
            centering = identity - train.to(kernel.dtype) / train.sum()
            rows = (centering @ kernel @ centering.mT)[..., train]
            own = rows[..., train, :]
            target = (self.folds.train(self.parts, k) - mean).expand(*own.shape[:-2], -1, -1)
            weights, condition = linalg.solve_spd(self._penalised(own), target)
            fits.append((rows[..., inside, :] @ weights, condition))
        return self._from_fits(fits)

    def _from_data(self, parts: tuple[Tensor, ...]) -> _Fit:
        """P = a B, B of least norm from the singular value decomposition of A, for any shape and rank."""
        predicted = []
        for k, mean in enumerate(self.train_mean):
            train = self.folds.train(parts, k)
            y_mean = train.mean(dim=-2, keepdim=True)
            target = self.folds.train(self.parts, k) - mean
            B = linalg.ridge_coefficients(train - y_mean, target, self.penalty)
            predicted.append((parts[k] - y_mean) @ B)
        return self._from_predictions(predicted)

    def _targets(self, k: int) -> Tensor:
        """Return the test rows of X about the mean of the train rows, (n_f, K)."""
        return self.parts[k] - self.train_mean[k]

    def _penalised(self, gram: Tensor) -> Tensor:
        if self.penalty == 0:
            return gram
        return gram + self.penalty * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)

    def _from_coefficients(self, B: Tensor, test_gram: Tensor, test_right: Tensor) -> _Fit:
        """Of P = a B: <T, P> = <a'T, B> and ||P||^2 = <B, a'a B>, summed over the test rows a."""
        overlap = (test_right * B).sum(dim=(-2, -1))
        power = (B * (test_gram @ B)).sum(dim=(-2, -1))
        return _Fit(overlap, power, self.total, self.about_test_mean)

    def _from_fits(self, fits: Sequence[tuple[Tensor, Tensor]]) -> tuple[_Fit, Tensor]:
        """Of a prediction and the condition of its normal equations for each fold."""
        predicted, conditions = zip(*fits, strict=True)
        return self._from_predictions(predicted), torch.stack(conditions, dim=-1)

    def _from_predictions(self, predicted: Sequence[Tensor]) -> _Fit:
        overlap = _sums(self._targets(k) * P for k, P in enumerate(predicted))
        return _Fit(overlap, _sums(P.square() for P in predicted), self.total, self.about_test_mean)


class _FromX:
    """Y predicted from X: linear in Y, with coefficients that depend on X alone."""

    def __init__(self, reference: Reference, folds: Folds, penalty: float) -> None:
        self.folds = folds
        parts = folds.parts(reference.factor)
        self.predictors, self.solvers = [], []  # f times (n_f, K) and (K, n_train)
        for k, test in enumerate(parts):
            train = folds.train(parts, k)
            mean = train.mean(dim=0)
            left, values, right = torch.linalg.svd(train - mean, full_matrices=False)
            keep = values > linalg.rank_tolerance(values, train)
            shrunk = torch.where(keep, values / (values.square() + penalty), 0.0)
            self.predictors.append(test - mean)
            self.solvers.append(right.mT @ (shrunk[:, None] * left.mT))

    def __call__(self, moments: Moments) -> _Fit:
        parts = self.folds.parts(moments.centered)
        targets, predicted = [], []
        for k, test in enumerate(parts):
            train = self.folds.train(parts, k)
            mean = train.mean(dim=-2, keepdim=True)
            targets.append(test - mean)
            predicted.append(self.predictors[k] @ (self.solvers[k] @ (train - mean)))
        return _Fit(
            overlap=_sums(T * P for T, P in zip(targets, predicted, strict=True)),
            power=_sums(P.square() for P in predicted),
            total=_sums(T.square() for T in targets),
            about_test_mean=_sums(linalg.center(test).square() for test in parts),
        )


def _sums(folds: Iterable[Tensor]) -> Tensor:
    """Return the sum of the entries of each matrix, (..., f), of f times (..., n_f, r)."""
    return torch.stack([matrix.sum(dim=(-2, -1)) for matrix in folds], dim=-1)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left[..., :, None] * right[..., None, :]
