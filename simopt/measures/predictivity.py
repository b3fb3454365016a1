"""Predictivity unit by unit: one correlation or R2 for each predicted unit, then their mean or median.

These are the habits of the benchmark packages, and their fits are those of scikit-learn. They are exact and
have no gradient here: partial least squares is an iteration, a chosen penalty jumps, a median switches units.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures.base import AFFINE, ROTATIONAL, UNITWISE, Facts, Measure, Score, over_batch
from simopt.measures.moments import Reference

Array = npt.NDArray[np.float64]
Model = Literal["linear", "ridge", "ridge_cv", "pls"]
Splits = Literal["contiguous", "shuffled", "random"]
Statistic = Literal["pearson", "pearson_squared", "r2"]
Aggregate = Literal["mean", "median"]
Direction = Literal["y_to_x", "x_to_y"]
Standardize = Literal["none", "train", "each"]

PENALTIES = 10.0 ** np.arange(-8, 9)
"""What ``ridge_cv`` chooses from, by the leave-one-out error within the train samples."""


@dataclass(frozen=True, kw_only=True)
class Predictivity(Measure):
    """How well a regression predicts each unit, over splits of the samples.

    Parameters
    ----------
    model : {"linear", "ridge", "ridge_cv", "pls"}
    penalty : float, >= 0
        Of ``ridge``, in squared units of the predictors.
    per_unit : bool
        Whether ``ridge_cv`` chooses a penalty for each predicted unit, not one for all.
    components : int
        Of ``pls``.
    fewer_components : bool
        Whether ``pls`` may take as many as there are, where there are fewer; otherwise that is an error.
    tolerance : float, >= 2.2e-16
        Where the iteration of ``pls`` stops; at scikit-learn's 1e-6, which the benchmark packages take,
        scores are good to about 1e-5.
    scale : bool
        Whether ``pls`` scales each unit to variance 1.
    splits : {"contiguous", "shuffled", "random"}
        Folds in order, folds of shuffled samples, or independent random test sets of a tenth.
    folds : int
    seed : int
        Of the shuffling.
    standardize : {"none", "train", "each"}
        Scale the predictors by the train samples' mean and deviation, or train and test each by their own.
    statistic : {"pearson", "pearson_squared", "r2"}
    aggregate : {"mean", "median"}
        Over units; splits are averaged.
    pooled : bool
        Whether held-out predictions of all folds are put together before they are scored.
    direction : {"y_to_x", "x_to_y"}
        ``y_to_x`` predicts X from Y.

    Raises
    ------
    InputError
        A value out of its range.
    """

    model: Model = "pls"
    penalty: float = 1.0
    per_unit: bool = False
    components: int = 25
    fewer_components: bool = False
    tolerance: float = 1e-6
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
        self._check_choices()
        checks.at_least(self.penalty, 0, f"penalty of {self.name}")
        checks.at_least(self.tolerance, np.finfo(float).eps, f"tolerance of {self.name}")
        checks.whole(self.components, 1, f"components of {self.name}")
        checks.whole(self.folds, 2, f"folds of {self.name}")
        checks.whole(self.seed, 0, f"seed of {self.name}", checks.LARGEST_SHUFFLE_SEED)
        if self.pooled and self.splits == "random":
            raise InputError(f"{self.name}: pooled needs folds, which splits=random does not make.")

    @property
    def facts(self) -> Facts:
        """What it ignores depends on the model; predicted units may be shifted, and scaled one by one."""
        predicting, predicted = self._invariances()
        x, y = (predicted, predicting) if self.direction == "y_to_x" else (predicting, predicted)
        return Facts(
            family="regression",
            formula=f"{self.aggregate} over units of {self.statistic} of held-out {self.model} predictions",
            source="Schrimpf et al. 2018, Brain-Score; Conwell et al. 2024 (DeepDive)",
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
        pls = self.model == "pls"
        coupled = (pls and not self.scale) or (self.model == "ridge_cv" and not self.per_unit)
        predicted = UNITWISE - {"column_scaling"} if coupled else UNITWISE
        if self.model == "linear" and self.standardize != "each":
            return AFFINE, predicted
        if self.standardize != "none" or (pls and self.scale):
            return UNITWISE, predicted
        return ROTATIONAL if pls else ROTATIONAL - {"isotropic_scaling"}, predicted

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments.

        Raises
        ------
        InputError
            More folds than samples, or, when it is called, more components than there are.
        """
        X = reference.responses.detach().cpu().double().numpy()
        if self.folds > len(X):
            raise InputError(
                f"{self.name}: {self.folds} folds of {len(X)} samples; at most as many as samples."
            )
        splits = self._splits(len(X))

        def score(Y: Tensor) -> Tensor:
            other = Y.detach().cpu().double().numpy()
            predictors, targets = (other, X) if self.direction == "y_to_x" else (X, other)
            pairs = [self._predict(predictors, targets, train, test) for train, test in splits]
            if self.pooled:
                targets, predicted = (np.concatenate(part) for part in zip(*pairs, strict=True))
                pairs = [(targets, predicted)]
            over_units = np.median if self.aggregate == "median" else np.mean
            return Y.new_tensor(np.mean([over_units(self._statistics(*pair)) for pair in pairs]))

        return over_batch(score)

    def _splits(self, samples: int) -> list[tuple[Any, Any]]:
        from sklearn.model_selection import KFold, ShuffleSplit

        splitter = {
            "random": ShuffleSplit(self.folds, train_size=0.9, random_state=self.seed),
            "shuffled": KFold(self.folds, shuffle=True, random_state=self.seed),
            "contiguous": KFold(self.folds),
        }[self.splits]
        return list(splitter.split(np.empty((samples, 1))))

    def _predict(self, predictors: Array, targets: Array, train: Any, test: Any) -> tuple[Array, Array]:
        inputs, held_out = predictors[train], predictors[test]
        if self.standardize != "none":
            own = held_out if self.standardize == "each" else inputs
            inputs, held_out = _standardized(inputs, inputs), _standardized(held_out, own)
        model = self._model(inputs)
        with warnings.catch_warnings():
            # PLS says so when fewer components leave nothing to fit: the prediction is complete by then.
            warnings.filterwarnings("ignore", message=".*residual is constant")
            predicted = model.fit(inputs, targets[train]).predict(held_out)
        return targets[test], np.asarray(predicted).reshape(len(test), -1)

    def _model(self, inputs: Array) -> Any:
        from sklearn.cross_decomposition import PLSRegression
        from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

        if self.model == "linear":
            return LinearRegression()
        if self.model == "ridge":
            return Ridge(self.penalty)
        if self.model == "ridge_cv":
            return RidgeCV(PENALTIES, alpha_per_target=self.per_unit)
        most = min(inputs.shape)
        if self.components > most and not self.fewer_components:
            raise InputError(
                f"{self.name}: {self.components} components need as many units and train samples; there are "
                f"{inputs.shape[1]} and {inputs.shape[0]}. fewer_components=true takes what there is."
            )
        return PLSRegression(
            min(self.components, most), scale=self.scale, tol=self.tolerance, max_iter=20_000
        )

    def _statistics(self, targets: Array, predicted: Array) -> Array:
        if self.statistic == "r2":
            error = np.square(targets - predicted).sum(axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):  # undefined for a unit that does not vary
                return 1 - error / np.square(targets - targets.mean(axis=0)).sum(axis=0)
        t, p = targets - targets.mean(axis=0), predicted - predicted.mean(axis=0)
        norms = np.linalg.norm(t, axis=0) * np.linalg.norm(p, axis=0)
        correlation: Array = np.divide((t * p).sum(axis=0), norms, out=np.zeros(len(norms)), where=norms > 0)
        return correlation if self.statistic == "pearson" else correlation**2


def _standardized(data: Array, by: Array) -> Array:
    """Return data (n, p) less the mean, and over the deviation where there is one, of each column."""
    deviation = by.std(axis=0)
    return (data - by.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
