"""Predictivity by unit: one correlation or R2 for each predicted unit, then the mean or median over units.

The regressions come from scikit-learn or from :mod:`simopt.measures.fits`. These scores have no gradient: a
penalty chosen by cross-validation jumps, and a median switches from one unit to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import fits, folds
from simopt.measures.base import (
    AFFINE,
    ROTATIONAL,
    UNITWISE,
    Facts,
    Measure,
    Score,
    absolute_penalty,
    over_batch,
)  # fmt: skip
from simopt.measures.folds import Split
from simopt.measures.moments import Reference
from simopt.typing import LabelArray

Array = npt.NDArray[np.float64]
Model = Literal["linear", "ridge", "ridge_cv", "pls"]
Splits = Literal["contiguous", "shuffled", "random"]
Statistic = Literal["pearson", "pearson_squared", "r2"]
Aggregate = Literal["mean", "median"]
Direction = Literal["y_to_x", "x_to_y"]
Standardize = Literal["none", "train", "each"]
Grid = Literal["relative", "absolute"]

PENALTIES: Array = np.asarray(10.0 ** np.arange(-8, 9), np.float64)
"""Penalties from which ``ridge_cv`` chooses (see :class:`simopt.measures.fits.RidgeCV`)."""


_ROUNDING = 100
"""A prediction varies by rounding if it deviates from its mean by at most this many eps times the largest
target or prediction. It is a sum of products that cancel, so the bound is wider than that of
:func:`simopt.measures.folds.constant` for data."""


@dataclass(frozen=True, kw_only=True)
class Predictivity(Measure):
    """The correlation or R2 of held-out predictions of each unit, combined by mean or median over units.

    A predicted unit that is constant in a test set, up to rounding, is left out of that test set. If a test
    set has fewer than 3 samples, the predictions for all test sets are scored together. The mean of its train
    samples is first subtracted from each unit: in a pool of test sets, a prediction that is this mean would
    correlate negatively with what it predicts.

    Parameters
    ----------
    model : {"linear", "ridge", "ridge_cv", "pls"}
        The regression: least squares, ridge, ridge with a penalty chosen on the train samples, or partial
        least squares.
    penalty : float, >= 0
        The penalty of ``ridge``, in squared units of the predictors.
    per_unit : bool
        Whether ``ridge_cv`` chooses one penalty for each predicted unit instead of one for all units.
    grid : {"relative", "absolute"}
        The penalties from which ``ridge_cv`` chooses: 10^-8, 10^-7, ..., 10^8. ``relative``: in units of the
        mean of the eigenvalues of A'A that are not 0, A the centered predictors of the train samples.
        ``absolute``: in squared units of the predictors.
    components : int, >= 1
        The number of components of ``pls``.
    fewer_components : bool
        Whether ``pls`` may use fewer components if the data do not have as many. If false, this is an error.
    scale : bool
        Whether ``pls`` scales each unit to variance 1.
    splits : {"contiguous", "shuffled", "random"}
        Folds of contiguous samples, folds of shuffled samples, or random test sets of a tenth of the samples.
        If X has groups, they are divided in this way instead of samples.
    folds : int, >= 2
        The number of folds or test sets.
    seed : int, 0 to 2^32 - 1
        The seed of the ``shuffled`` and ``random`` splits.
    standardize : {"none", "train", "each"}
        The samples whose means and standard deviations standardize the predictors. ``train``: the train
        samples, for train and test samples. ``each``: the train samples and the test samples separately.
    statistic : {"pearson", "pearson_squared", "r2"}
        The score of one unit.
    aggregate : {"mean", "median"}
        How the scores of the units are combined. Scores of several splits are averaged.
    pooled : bool
        Whether the held-out predictions of all folds are concatenated before they are scored.
    direction : {"y_to_x", "x_to_y"}
        ``y_to_x`` predicts X from Y, ``x_to_y`` Y from X.

    Raises
    ------
    InputError
        An option is out of its range.

    References
    ----------
    Schrimpf et al. 2018, Brain-Score, doi:10.1101/407007.
    Conwell et al. 2024, doi:10.1038/s41467-024-53147-y.
    """

    model: Model = "pls"
    penalty: float = 1.0
    per_unit: bool = False
    grid: Grid = "relative"
    components: int = 25
    fewer_components: bool = False
    scale: bool = False
    splits: Splits = "random"
    folds: int = 10
    seed: int = 1
    standardize: Standardize = "none"
    statistic: Statistic = "pearson"
    aggregate: Aggregate = "median"
    pooled: bool = False
    direction: Direction = "y_to_x"

    def __post_init__(self) -> None:
        seeds = (0, checks.LARGEST_SHUFFLE_SEED)
        checks.options(self, penalty=0, components=1, folds=2, seed=seeds)
        if self.pooled and self.splits == "random":
            raise InputError(f"{self.name}: pooled=true needs splits=contiguous or splits=shuffled.")

    @property
    def facts(self) -> Facts:
        """The score is invariant to offsets of predicted units; other invariances depend on the model."""
        predicting, predicted = self._invariances()
        x, y = (predicted, predicting) if self.direction == "y_to_x" else (predicting, predicted)
        return Facts(
            family="regression",
            formula=f"{self.aggregate} over units of {self.statistic} of held-out {self.model} predictions",
            source="Schrimpf et al. 2018, Brain-Score, doi:10.1101/407007; Conwell et al. 2024 (DeepDive)",
            invariant_x=x,
            invariant_y=y,
            low={"pearson": -1.0, "pearson_squared": 0.0, "r2": -float("inf")}[self.statistic],
            at_self=1.0 if self.model == "linear" else None,
            symmetric=False,
            differentiable=False,
            direction=self.direction,
            cost="folds n p^2",
        )

    def _invariances(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the invariances to transformations of the predictors and of the targets."""
        pls = self.model == "pls"
        # One set of components, or one penalty, for all targets weighs them by their variance.
        coupled = (pls and not self.scale) or (self.model == "ridge_cv" and not self.per_unit)
        predicted = UNITWISE - {"column_scaling"} if coupled else UNITWISE
        if self.model == "linear" and self.standardize != "each":
            return AFFINE, predicted
        if self.standardize != "none" or (pls and self.scale):
            return UNITWISE, predicted
        scaled = pls or (self.model == "ridge_cv" and self.grid == "relative")
        return ROTATIONAL if scaled else ROTATIONAL - {"isotropic_scaling"}, predicted

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            There are more folds than samples or groups, ``ridge_cv`` has a fold with a single train group, or
            ``standardize=each`` a test set of fewer than 3 samples. The returned function raises this error
            if there are fewer units or samples than components, or if no unit varies in any test set.
        """
        X = _on_cpu(reference)
        groups = self.groups_to_keep(reference)
        splits = self._splits(len(X), groups)

        small = _smallest(splits) < folds.FEWEST

        def score(Y: Tensor) -> Tensor:
            predictors, targets = self._sides(X, Y)
            pairs = []  # held-out targets and their prediction, (n_test, units), for each split
            for train, test in splits:
                predicted, _ = self._predict(predictors, targets, train, test, groups)
                mean = targets[train].mean(axis=0) if small else 0.0
                pairs.append((targets[test] - mean, predicted - mean))
            if self.pooled or small:
                all_targets, all_predicted = zip(*pairs, strict=True)
                pairs = [(np.concatenate(all_targets), np.concatenate(all_predicted))]
            size, kept = np.abs(targets).max(axis=0), ~self._left_out(targets, splits, Y.dtype)
            if not kept.any():
                raise InputError(f"{self.name}: every predicted unit is constant in every test set.")
            over_units = np.median if self.aggregate == "median" else np.mean
            of_splits = [
                over_units(self._statistics(targets[:, unit], predicted[:, unit], size[unit]))
                for (targets, predicted), unit in zip(pairs, kept, strict=True)
                if unit.any()
            ]
            return Y.new_tensor(np.mean(of_splits))

        return over_batch(score)

    def remarks(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return what is left out, and what is to know of the penalty."""
        lines = self.left_out(reference, Y)
        if self.model == "ridge" and self.standardize == "none":
            lines.append(absolute_penalty(self.name, self.penalty))
        if self.model == "ridge_cv":
            predictors, targets = self._sides(_on_cpu(reference), Y)
            groups = self.groups_to_keep(reference)
            splits = self._splits(len(predictors), groups)
            models = [self._predict(predictors, targets, *split, groups)[1] for split in splits]
            lines += self._about_penalties(np.concatenate([np.atleast_1d(model.chosen) for model in models]))
        return lines

    def left_out(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return which units are left out, and whether test sets are pooled."""
        _, targets = self._sides(_on_cpu(reference), Y)
        splits = self._splits(len(targets), self.groups_to_keep(reference))
        side = "X" if self.direction == "y_to_x" else "Y"
        lines = folds.left_out(self.name, side, self._left_out(targets, splits, Y.dtype))
        return lines if self.pooled else [*lines, *folds.pools(self.name, _smallest(splits))]

    def _about_penalties(self, chosen: LabelArray) -> list[str]:
        """Return which penalties ``ridge_cv`` chooses, given their positions among the penalties."""
        low, high = PENALTIES[chosen.min()], PENALTIES[chosen.max()]
        unit = "times the mean eigenvalue of A'A" if self.grid == "relative" else "in squared units"
        lines = [f"{self.name}: the chosen penalties are {low:g} to {high:g}, {unit} of the predictors"]
        for end, means in (
            (0, "least squares would do as well"),
            (len(PENALTIES) - 1, "nothing is predicted"),
        ):
            at_end = int((chosen == end).sum())
            if at_end:
                lines.append(
                    f"{self.name}: {at_end} of {len(chosen)} chosen penalties are {PENALTIES[end]:g}, "
                    f"the {'largest' if end else 'smallest'} of the grid: {means}"
                )
        return lines

    def _sides(self, X: Array, Y: Tensor) -> tuple[Array, Array]:
        """Return predictors and targets."""
        Y_array = Y.detach().cpu().double().numpy()
        return (Y_array, X) if self.direction == "y_to_x" else (X, Y_array)

    def _splits(self, samples: int, groups: LabelArray | None) -> list[Split]:
        from sklearn.model_selection import KFold, ShuffleSplit

        splitter = {
            # 90 % train samples, as in Brain-Score.
            "random": ShuffleSplit(self.folds, train_size=0.9, random_state=self.seed),
            "shuffled": KFold(self.folds, shuffle=True, random_state=self.seed),
            "contiguous": KFold(self.folds),
        }[self.splits]
        divided = folds.splits(splitter, samples, groups, self.name)
        fewest = 2 if groups is None else min(len(np.unique(groups[train])) for train, _ in divided)
        if self.model == "ridge_cv" and fewest < 2:
            raise InputError(
                f"{self.name}: a fold leaves one group for training, but the choice of a penalty needs two; "
                "choose more folds or groups."
            )
        smallest = _smallest(divided)
        if self.standardize == "each" and smallest < folds.FEWEST:
            folds.refuse_small(self.name, smallest, samples, groups)
        return divided

    def _left_out(self, targets: Array, splits: list[Split], dtype: torch.dtype) -> LabelArray:
        """Return whether each unit is constant, (test sets, units); test sets that are pooled are one.

        ``dtype`` is that in which the data were passed.
        """
        whole = torch.from_numpy(targets).to(dtype)
        tests = [test for _, test in splits]
        if self.pooled or _smallest(splits) < folds.FEWEST:
            tests = [np.concatenate(tests)]
        return np.stack([folds.constant(whole[test], whole).numpy() for test in tests])

    def _predict(
        self,
        predictors: Array,
        targets: Array,
        train: LabelArray,
        test: LabelArray,
        groups: LabelArray | None,
    ) -> tuple[Array, Any]:
        """Return the predicted targets of the test samples, and the fitted model."""
        inputs, held_out = predictors[train], predictors[test]
        if self.standardize != "none":
            scale_by = held_out if self.standardize == "each" else inputs
            inputs, held_out = _standardized(inputs, inputs), _standardized(held_out, scale_by)
        model = self._model(inputs)
        if isinstance(model, fits.RidgeCV):
            model.fit(inputs, targets[train], None if groups is None else groups[train])
        else:
            model.fit(inputs, targets[train])
        return np.asarray(model.predict(held_out)).reshape(len(test), -1), model

    def _model(self, inputs: Array) -> Any:
        from sklearn.linear_model import LinearRegression, Ridge

        if self.model == "linear":
            return LinearRegression()
        if self.model == "ridge":
            return Ridge(self.penalty)
        if self.model == "ridge_cv":
            return fits.RidgeCV(PENALTIES, relative=self.grid == "relative", per_unit=self.per_unit)
        most = min(inputs.shape)
        if self.components > most and not self.fewer_components:
            raise InputError(
                f"{self.name}: {self.components} components need as many units and train samples; the data "
                f"have {inputs.shape[1]} units and {inputs.shape[0]} train samples. Set "
                f"fewer_components=true to use {most}."
            )
        return fits.PLS(min(self.components, most), self.scale)

    def _statistics(self, targets: Array, predicted: Array, size: Array) -> Array:
        """Return the statistic of each unit; ``size``, (units,), is the largest value of the targets."""
        t = targets - targets.mean(axis=0)
        if self.statistic == "r2":
            r2: Array = 1 - np.square(targets - predicted).sum(axis=0) / np.square(t).sum(axis=0)
            return r2
        p = _varying(predicted, np.maximum(size, np.abs(predicted).max(axis=0)))
        # A unit that is predicted as constant has correlation 0.
        norms = np.linalg.norm(t, axis=0) * np.linalg.norm(p, axis=0)
        correlation: Array = np.divide((t * p).sum(axis=0), norms, out=np.zeros(len(norms)), where=norms > 0)
        return correlation if self.statistic == "pearson" else correlation**2


def _on_cpu(reference: Reference) -> Array:
    """Return X, (n, p), in float64, so that scores do not depend on its dtype, for fits on the CPU."""
    return reference.responses.detach().cpu().double().numpy()


def _smallest(splits: list[Split]) -> int:
    """Return the number of samples of the smallest test set."""
    return min(len(test) for _, test in splits)


def _varying(data: Array, size: Array) -> Array:
    """Return data (n, p) less the mean of each column; a column that varies by rounding becomes zero.

    ``size``, (p,), sets the scale of rounding errors.
    """
    centered = data - data.mean(axis=0)
    # Held-out samples whose predictors carry no weight, such as the one-hot codes of images left out, get
    # one prediction, computed with other rounding for each sample.
    rounding = _ROUNDING * np.finfo(np.float64).eps * size
    return np.where(np.abs(centered).max(axis=0) > rounding, centered, 0.0)


def _standardized(data: Array, by: Array) -> Array:
    """Return data (n, p), standardized by the mean and standard deviation of each column of ``by``."""
    rows = torch.from_numpy(by)
    # A constant column is only centered: its deviation is rounding.
    deviation = np.where(folds.constant(rows, rows).numpy(), 1.0, by.std(axis=0))
    return (data - by.mean(axis=0)) / deviation
