"""Linear predictivity: how well a linear or ridge regression from one dataset predicts the other.

For one fold, A and T are the train samples of the predictors and of the targets, and a and t are their test
samples. The mean of the TRAIN samples is subtracted from all four. The coefficients are
B = (A'A + lambda I)^-1 A'T and the prediction is P = a B. Without folds a = A and t = T. Every score is a
function of <t, P>, ||P||^2 and ||t||^2, because

    R2 = 1 - ||t - P||^2 / ||t||^2 = (2 <t, P> - ||P||^2) / ||t||^2.

If X is predicted from Y, :class:`_PredictX` chooses the fastest accurate way to compute these three numbers.
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
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score, absolute_penalty
from simopt.measures.extent import Extent, Side
from simopt.measures.folds import Folds, pools, rounding_power
from simopt.measures.moments import Moments, Reference
from simopt.rows import condition_of
from simopt.typing import Form, LabelArray

Direction = Literal["y_to_x", "x_to_y", "both"]
Statistic = Literal["r2", "pearson"]
Baseline = Literal["train", "test"]

_FORMULAS = {
    "r2": "1 - ||T - P||_F^2 / ||T||_F^2",
    "pearson": "<T, P> / (||T||_F ||P||_F)",
}


@dataclass(frozen=True, kw_only=True)
class Regression(Measure):
    """The R2 or Pearson correlation, over all entries, of a linear or ridge regression with an intercept.

    The coefficients are B = argmin ||T - A B||_F^2 + lambda ||B||_F^2. A are the predictors and T the
    targets, both less their means over the train samples.

    A test set in which all targets are constant, so that the score has a denominator of 0 up to rounding, is
    left out. If a test set has fewer than 3 samples, the entries of all test sets are scored together.

    Parameters
    ----------
    penalty : float, >= 0
        lambda, in the square of the unit in which the predictors are measured. 0 means least squares, with
        the B of least norm.
    folds : int >= 2, or None
        The number of folds of contiguous samples, or of contiguous groups if X has groups. Each fold is
        predicted by a fit to the other folds, and the score is the mean over folds. If it is None, the fit
        and the score both use all samples.
    conditions : int >= 2, or None
        The number of conditions. Each condition is then a group, and the samples must be all conditions of
        the first time bin, then of the second, and so on. If it is None, the groups of X are used.
    statistic : {"r2", "pearson"}
        ``pearson`` is the cosine of targets and prediction, both less the train mean of the targets.
    direction : {"y_to_x", "x_to_y", "both"}
        ``y_to_x`` predicts X from Y, ``x_to_y`` Y from X, and ``both`` is the mean of these two scores.
    baseline : {"train", "test"}
        The samples whose mean is the baseline of R2: the squared error is divided by the sum of squares of
        the test targets about this mean.
    form : {"score", "squared", "angular", "angle", "angle_normalized"}
        The function of the score s that is returned, see :func:`simopt.measures.forms.apply`.

    Raises
    ------
    InputError
        An option is out of its range.

    References
    ----------
    Cloos et al. 2025, Differentiable Optimization of Similarity Scores Between Models and Brains,
    arXiv:2407.07059.
    """

    penalty: float = 0.0
    folds: int | None = None
    conditions: int | None = None
    statistic: Statistic = "r2"
    direction: Direction = "y_to_x"
    baseline: Baseline = "train"
    form: Form = "score"

    def __post_init__(self) -> None:
        checks.options(self, penalty=0, folds=2, conditions=2)
        if self.conditions is not None and self.folds is None:
            raise InputError(f"conditions of {self.name} is {self.conditions}, but folds is null; set folds.")

    @property
    def facts(self) -> Facts:
        """The score ignores rotation and scale of targets, and without penalty affine maps of predictors."""
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
            source="Cloos et al. 2025, Optimization of Similarity Scores, arXiv:2407.07059 (sec. 3)",
            invariant_x=x,
            invariant_y=y,
            symmetric=self.direction == "both",
            sample_rotations=self.folds is None,
            direction="symmetric" if self.direction == "both" else self.direction,
            relations=("1 whenever units >= samples",) if self.penalty == 0 and self.folds is None else (),
            **ends,
        )

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if the R2 of least squares without folds is above 0.5 for noise, else None."""
        if self.penalty > 0 or self.folds is not None:
            return None
        of: dict[Direction, tuple[Side, ...]] = {"y_to_x": ("Y",), "x_to_y": ("X",), "both": ("Y", "X")}
        sides = of[self.direction]  # the predictors
        r2 = "R2" if len(sides) == 1 else "R2 in one of the two directions"
        saturated = extent.spanned(sides, f"{r2} is 1 whatever Y is.")
        if saturated is not None:
            return saturated
        for side in sides:
            share = extent.share(side)
            if share > 0.5:
                units = f"{extent.units[side]} units of {side} for {extent.samples} samples"
                return f"{units}: {r2} is about {share:.2f} for pure noise."
        return None

    def remarks(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return that a penalty is absolute, and what is left out."""
        absolute = [absolute_penalty(self.name, self.penalty)] if self.penalty > 0 else []
        return [*absolute, *self.left_out(reference, Y)]

    def left_out(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return which test sets are left out or pooled."""
        if self.folds is None:
            return []
        folds, fits = self._fits(reference)
        moments, lines = Moments(reference, Y), []
        for fit in () if folds.pooled else fits:
            targets = fit if isinstance(fit, _PredictX) else fit(moments)
            undefined = int((~self._defined(targets)).sum())
            if undefined:
                side = "X" if isinstance(fit, _PredictX) else "Y"
                lines.append(
                    f"{self.name}: {undefined} of {len(folds.sizes)} test sets left out, all units of {side} "
                    "being constant there"
                )
        return [*lines, *pools(self.name, min(folds.sizes))]

    def groups_of(self, samples: int) -> LabelArray | None:
        """Return the condition of each sample, (n,), if ``conditions`` is set, else None."""
        if self.conditions is None:
            return None
        if samples % self.conditions:
            raise InputError(
                f"{self.name}: {samples} samples are not a multiple of {self.conditions} conditions; "
                "choose a number that divides them."
            )
        return condition_of(samples, self.conditions)

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            There are more folds than samples or groups, the number of samples is not a multiple of the
            number of conditions, or X is constant in every fold.
        """
        _, fits = self._fits(reference)

        def evaluate(moments: Moments) -> Tensor:
            scores = [self._score(fit(moments)) for fit in fits]  # 1 or 2 times (...)
            return forms.apply(self.form, torch.stack(scores).mean(dim=0))

        return evaluate

    def _fits(self, reference: Reference) -> tuple[Folds, list[_PredictX | _PredictY]]:
        """Return the folds, and the fit of each direction."""
        what = "groups" if self.conditions is None else "conditions"
        groups = self.groups_to_keep(reference)
        device = reference.scores.device
        folds = Folds.of(reference.samples, self.folds, groups, self.name, device, what=what)
        penalty = float(self.penalty)  # torch overflows on integers of more than 64 bits
        fits: list[_PredictX | _PredictY] = []
        if self.direction != "x_to_y":
            predict_x = _PredictX(reference, folds, penalty)
            fits.append(predict_x)
            if not bool((self._total(predict_x) > predict_x.rounding).any()):
                raise InputError(f"{self.name}: X is constant within each of {len(folds.sizes)} folds.")
        if self.direction != "y_to_x":
            fits.append(_PredictY(reference, folds, penalty))
        return folds, fits

    def _total(self, of: _PredictX | _Fit) -> Tensor:
        """Return the sum of squares of the targets that the score divides by, (..., f)."""
        return of.about_test_mean if (self.statistic, self.baseline) == ("r2", "test") else of.total

    def _defined(self, fit: _PredictX | _Fit) -> Tensor:
        """Return in which test sets the targets vary, (..., f)."""
        return self._total(fit) > fit.rounding

    def _score(self, fit: _Fit) -> Tensor:
        """Return the mean of the statistic over the test sets where it is defined; NaN if there are none."""
        defined = self._defined(fit)
        # Denominators of 0 are replaced before the division, as the gradient of both branches of torch.where
        # is computed and 0 times an infinite slope is NaN.
        total = torch.where(defined, self._total(fit), 1.0)
        if self.statistic == "pearson":
            zero = fit.power <= 0  # a prediction of 0 has no correlation
            power = torch.where(zero, 1.0, fit.power)
            statistic = torch.where(zero, 0.0, fit.overlap / (total * power).sqrt())
        elif self.baseline == "train":
            statistic = (2 * fit.overlap - fit.power) / total  # ||t||^2 - ||t - P||^2
        else:
            statistic = 1 - (fit.total - 2 * fit.overlap + fit.power) / total
        return torch.where(defined, statistic, 0.0).sum(dim=-1) / defined.sum(dim=-1)


@dataclass(frozen=True)
class _Fit:
    """The inner products of test targets t and their prediction P, for each fold, (..., f)."""

    overlap: Tensor  # <t, P>
    power: Tensor  # ||P||^2
    total: Tensor  # ||t||^2, t less the train mean
    about_test_mean: Tensor  # the same, but less the mean of the test samples
    rounding: Tensor  # sums of squares up to which targets do not vary, (..., 1)

    def pooled(self, folds: Folds) -> _Fit:
        """Return the fit of all test sets as one, (..., 1), if one of them is too small by itself."""
        if not folds.pooled:
            return self
        overlap, power, total = (
            part.sum(dim=-1, keepdim=True) for part in (self.overlap, self.power, self.total)
        )
        return _Fit(overlap, power, total, self.about_test_mean, self.rounding)


class _PredictX:
    """The fit of X from Y, by the cheapest route that is accurate for this Y (..., n, q).

    ==================  =====================================================  ============================
    route               formula                                                used
    ==================  =====================================================  ============================
    ``_without_folds``  P = Y (Y'Y + lambda I)^-1 Y'T                          q <= n, no folds
    ``_from_moments``   <t, P> = <a't, B>, ||P||^2 = <B, a'a B>, by sums over  q <= n, folds
                        each fold; by P = a B if a fold has fewer samples
                        than Y has units
    ``_from_kernel``    P = a A' (A A' + lambda I)^-1 T                        q > n
    ``_from_data``      P = a B, with B from the SVD of A                      no other route is accurate
    ==================  =====================================================  ============================

    The first three invert a matrix whose condition number is the square of that of A. If it is too large
    (padded, nearly collinear or rank-deficient Y), the SVD of A itself is used, which is slower.
    """

    def __init__(self, reference: Reference, folds: Folds, penalty: float) -> None:
        self.folds, self.penalty = folds, penalty
        self.rounding = rounding_power(reference.responses) / reference.norm**2  # in the scale of the scores
        # R2 is invariant to rotation and scale of the targets, so the K PC scores stand for the units of X.
        self.parts = folds.parts(reference.scores)  # f times (n_k, K)
        self.test_sum = torch.stack([part.sum(dim=0) for part in self.parts])  # (f, K)
        self.test_sizes = reference.scores.new_tensor(folds.sizes)[:, None, None]  # n_k (f, 1, 1)
        self.train_sizes = reference.scores.new_tensor(folds.train_sizes)[:, None]  # N_k (f, 1)
        self.train_mean = folds.train_sum(self.test_sum) / self.train_sizes  # (f, K)
        self.total = _sums(self._targets(k).square() for k in range(len(self.parts)))  # (f,)
        self.about_test_mean = _about_test_mean(folds, [self._targets(k) for k in range(len(self.parts))])

    def __call__(self, moments: Moments) -> _Fit:
        return self._fit(moments).pooled(self.folds)

    def _fit(self, moments: Moments) -> _Fit:
        units = moments.Y.shape[-1]
        # Without a penalty A'A is singular unless A has more samples than units.
        if self.penalty > 0 or units < min(self.folds.train_sizes):
            wide = units > sum(self.folds.sizes)
            fit, condition = self._from_kernel(moments) if wide else self._from_moments(moments)
            if linalg.trustworthy(condition):
                return fit
        return self._from_data(self.folds.parts(moments.centered))

    def _without_folds(self, moments: Moments) -> tuple[_Fit, Tensor]:
        """Fit and score on all samples: B = (Y'Y + lambda I)^-1 Y'T, with T the scores of X."""
        if self.penalty == 0:
            explained, condition = (part.unsqueeze(-1) for part in moments.explained)  # (..., K, 1), (..., 1)
            # P = H T with the projection H = Y (Y'Y)^-1 Y' = H'H, so <T, P> = T'HT = ||P||^2.
            overlap = explained.sum(dim=-2)  # (..., 1)
            return self._of_products(overlap, overlap), condition
        cross, gram = moments.products
        gram, right = gram.unsqueeze(-3), cross.mT.unsqueeze(-3)  # (..., 1, q, q), (..., 1, q, K)
        B, condition = linalg.solve_spd(self._penalized(gram), right)
        return self._from_coefficients(B, gram, right), condition

    def _from_moments(self, moments: Moments) -> tuple[_Fit, Tensor]:
        """Fit each fold from sums over the samples of the folds, which need one pass over Y.

        With y, x one sample of Y and of the scores of X, fold k has the sums

            G_k = sum y y' (q, q),  R_k = sum y x' (q, K),  s_k = sum y (q,),  u_k = sum x (K,)

        over its n_k samples. The train samples of fold k are all others, N_k in number, with the sums
        G - G_k, R - R_k, S = s - s_k and U = u - u_k (G, R, s, u over all samples) and the means m = S / N_k,
        c = U / N_k. Expanding the products, and with N_k m = S,

            A'A = sum_train (y - m)(y - m)' = (G - G_k) - S m'
            A'T = sum_train (y - m)(x - c)' = (R - R_k) - S c'
            a'a = sum_test  (y - m)(y - m)' = G_k - s_k m' - m s_k' + n_k m m'
            a't = sum_test  (y - m)(x - c)' = R_k - s_k c' - m u_k' + n_k m c'

        Y is centered over all samples first. That changes none of these matrices, but keeps the differences
        from cancelling where the mean of Y is large.
        """
        if self.folds.whole:
            return self._without_folds(moments)
        parts = self.folds.parts(moments.centered)  # f times (..., n_k, q)
        gram = torch.stack([linalg.gram(part) for part in parts], dim=-3)  # G_k (..., f, q, q)
        right = torch.stack([y.mT @ x for y, x in zip(parts, self.parts, strict=True)], dim=-3)  # R_k
        y_sum = torch.stack([part.sum(dim=-2) for part in parts], dim=-2)  # s_k (..., f, q)
        y_train = self.folds.train_sum(y_sum)  # S (..., f, q)
        y_mean = y_train / self.train_sizes  # m (..., f, q)
        train_gram = self._penalized(gram.sum(dim=-3, keepdim=True) - gram - _outer(y_train, y_mean))
        train_right = right.sum(dim=-3, keepdim=True) - right - _outer(y_train, self.train_mean)
        if max(self.folds.sizes) < moments.Y.shape[-1]:
            # P = a B itself, (n_k, K), costs less than a'a (q, q) if a fold has fewer samples than Y has
            # units.
            rows = [part - y_mean[..., k, None, :] for k, part in enumerate(parts)]  # f times (..., n_k, q)
            folds = zip(rows, train_gram.unbind(-3), train_right.unbind(-3), strict=True)
            return self._from_fits([linalg.predict(*fold) for fold in folds])
        shift = _outer(y_sum, y_mean)  # s_k m' (..., f, q, q)
        test_gram = gram - shift - shift.mT + _outer(y_mean, y_mean) * self.test_sizes  # a'a
        test_right = (  # a't (..., f, q, K)
            right
            - _outer(y_sum, self.train_mean)
            - _outer(y_mean, self.test_sum)
            + _outer(y_mean, self.train_mean) * self.test_sizes
        )
        B, condition = linalg.solve_spd(train_gram, train_right)  # (..., f, q, K), (..., f)
        return self._from_coefficients(B, test_gram, test_right), condition

    def _from_kernel(self, moments: Moments) -> tuple[_Fit, Tensor]:
        """Fit each fold from YY' (n, n), for Y with more units than samples.

        As (A'A + lambda I)^-1 A' = A' (A A' + lambda I)^-1, the prediction is P = a A' (A A' + lambda I)^-1
        T. With w = 1/N_k at train samples and 0 elsewhere, w'Y is the train mean, and (I - 1 w') Y holds all
        samples less that mean. So A A' and a A' are blocks of (I - 1 w') YY' (I - 1 w')'.
        """
        kernel, order = moments.kernel, self.folds.order
        if order is not None:
            kernel = kernel[..., order, :][..., order]
        fold_of = torch.repeat_interleave(torch.tensor(self.folds.sizes)).to(kernel.device)  # (n,)
        identity = torch.eye(len(fold_of), dtype=kernel.dtype, device=kernel.device)
        fits = []
        for k, mean in enumerate(self.train_mean):
            test = fold_of == k
            train = torch.ones_like(test) if self.folds.whole else ~test
            centering = identity - train.to(kernel.dtype) / train.sum()  # I - 1 w'
            columns = (centering @ kernel @ centering.mT)[..., train]  # (..., n, N_k)
            train_kernel = columns[..., train, :]  # A A' (..., N_k, N_k)
            target = (self.folds.train(self.parts, k) - mean).expand(*train_kernel.shape[:-2], -1, -1)
            weights, condition = linalg.solve_spd(self._penalized(train_kernel), target)  # (..., N_k, K)
            fits.append((columns[..., test, :] @ weights, condition))
        return self._from_fits(fits)

    def _from_data(self, parts: tuple[Tensor, ...]) -> _Fit:
        """Fit each fold from the SVD of A, for any shape and rank; B has the least norm."""
        predicted = []
        for k, mean in enumerate(self.train_mean):
            train = self.folds.train(parts, k)
            y_mean = train.mean(dim=-2, keepdim=True)
            target = self.folds.train(self.parts, k) - mean
            B = linalg.ridge_coefficients(train - y_mean, target, self.penalty)  # (..., q, K)
            predicted.append((parts[k] - y_mean) @ B)  # (..., n_k, K)
        return self._from_predictions(predicted)

    def _targets(self, k: int) -> Tensor:
        """Return t: the test samples of X less the mean of the train samples, (n_k, K)."""
        return self.parts[k] - self.train_mean[k]

    def _penalized(self, gram: Tensor) -> Tensor:
        if self.penalty == 0:
            return gram
        return gram + self.penalty * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)

    def _from_coefficients(self, B: Tensor, test_gram: Tensor, test_right: Tensor) -> _Fit:
        """Return the fit of P = a B from a'a and a't: <t, P> = <a't, B> and ||P||^2 = <B, a'a B>."""
        overlap = (test_right * B).sum(dim=(-2, -1))  # (..., f)
        power = (B * (test_gram @ B)).sum(dim=(-2, -1))
        return self._of_products(overlap, power)

    def _from_fits(self, fits: Sequence[tuple[Tensor, Tensor]]) -> tuple[_Fit, Tensor]:
        """Return the fit, and the condition numbers (..., f), of a prediction and condition for each fold."""
        predicted, conditions = zip(*fits, strict=True)
        return self._from_predictions(predicted), torch.stack(conditions, dim=-1)

    def _from_predictions(self, predicted: Sequence[Tensor]) -> _Fit:
        overlap = _sums(self._targets(k) * P for k, P in enumerate(predicted))
        return self._of_products(overlap, _sums(P.square() for P in predicted))

    def _of_products(self, overlap: Tensor, power: Tensor) -> _Fit:
        return _Fit(overlap, power, self.total, self.about_test_mean, self.rounding)


class _PredictY:
    """The fit of Y from X. The prediction is linear in Y, with coefficients that depend on X alone.

    With the SVD A = U S V' of the train samples of X, (A'A + lambda I)^-1 A' = V S (S^2 + lambda)^-1 U'.
    """

    def __init__(self, reference: Reference, folds: Folds, penalty: float) -> None:
        self.folds = folds
        parts = folds.parts(reference.factor)
        self.predictors, self.solvers = [], []  # a, f times (n_k, K); (A'A + lambda I)^-1 A', (K, N_k)
        for k, test in enumerate(parts):
            train = folds.train(parts, k)
            mean = train.mean(dim=0)
            left, values, right = torch.linalg.svd(train - mean, full_matrices=False)
            # Directions that the train samples of X do not span get no weight, as in least squares of least
            # norm.
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
            about_test_mean=_about_test_mean(self.folds, targets),
            rounding=rounding_power(moments.Y.detach())[..., None],
        ).pooled(self.folds)


def _about_test_mean(folds: Folds, targets: Sequence[Tensor]) -> Tensor:
    """Return the sum of squares of the targets less their mean over each test set, (..., f)."""
    sets = [torch.cat(list(targets), dim=-2)] if folds.pooled else targets
    return _sums(linalg.center(targets).square() for targets in sets)


def _sums(folds: Iterable[Tensor]) -> Tensor:
    """Return the sum of all entries of each matrix, (..., f), of f matrices (..., n_k, r)."""
    return torch.stack([matrix.sum(dim=(-2, -1)) for matrix in folds], dim=-1)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """Return l r', (..., q, r), of vectors l (..., q) and r (..., r)."""
    return left[..., :, None] * right[..., None, :]
