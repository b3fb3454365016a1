"""Decoding of task variables: how well a linear classifier reads a label from responses."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray


@dataclass(frozen=True)
class Decoding:
    """How well one variable was decoded.

    Attributes
    ----------
    accuracy : float
        Mean over time bins and folds.
    over_time : array, (time,)
        Mean over folds in each time bin; one value where there is no time.
    chance : float
        The share of the most frequent class.
    classes : int
    folds : int
    """

    accuracy: float
    over_time: FloatArray
    chance: float
    classes: int
    folds: int


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Multinomial logistic regression with an L2 penalty, in stratified folds, in each time bin by itself.

    Parameters
    ----------
    standardise : bool
        Scale every unit to mean 0 and variance 1 by the training folds, so that the penalty means the same
        whatever the responses are measured in. The published decoder did not.
    penalty : float
        Inverse strength C of the penalty: the loss is ||w||^2 / 2 + C times the summed log loss.
    folds : int
        Fewer where a class has fewer conditions.
    seed : int
        Of the shuffle that makes the folds.
    max_iter : int
        Of L-BFGS; a fit that has not converged by then is used as it is.
    """

    standardise: bool = True
    penalty: float = 1.0
    folds: int = 5
    seed: int = 0
    max_iter: int = 1000

    def __post_init__(self) -> None:
        checks.at_least(self.penalty, 0, "penalty of the decoder", strict=True)
        checks.whole(self.folds, 2, "folds of the decoder")
        checks.whole(self.seed, 0, "seed of the decoder")
        checks.whole(self.max_iter, 1, "max_iter of the decoder")

    def decode(self, responses: FloatArray, labels: LabelArray) -> Decoding:
        """Return how well the labels are read from the responses, cross-validated over conditions.

        Parameters
        ----------
        responses : array, (conditions, units) or (time, condition, unit)
        labels : array, (conditions,)

        Raises
        ------
        InputError
            Labels of another length, of one class only, or with a class of a single condition.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits

        folds, counts = self._folds(responses, labels)
        classifier = LogisticRegression(C=self.penalty, max_iter=self.max_iter)
        model = make_pipeline(StandardScaler(), classifier) if self.standardise else classifier
        splits = StratifiedKFold(folds, shuffle=True, random_state=self.seed)
        bins = responses if responses.ndim == 3 else responses[None]
        # The matrix products of a fit are so small that several threads make it up to ten times slower.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            over_time = np.array([cross_val_score(model, each, labels, cv=splits).mean() for each in bins])
        return Decoding(
            accuracy=float(over_time.mean()),
            over_time=over_time,
            chance=float(counts.max() / counts.sum()),
            classes=len(counts),
            folds=folds,
        )

    def _folds(self, responses: FloatArray, labels: LabelArray) -> tuple[int, LabelArray]:
        if np.shape(labels) != (responses.shape[-2],):
            raise InputError(
                f"labels to decode have shape {np.shape(labels)}; expected one for each of the "
                f"{responses.shape[-2]} conditions."
            )
        values, counts = np.unique(labels, return_counts=True)
        if len(values) < 2:
            raise InputError(f"all {len(labels)} labels are {values[0]}: there is nothing to decode.")
        if counts.min() < 2:
            raise InputError(
                f"class {values[counts.argmin()]} has one condition only; decoding in folds needs at least "
                "2 of each class."
            )
        return min(self.folds, int(counts.min())), counts


PUBLISHED = Decoder(standardise=False, max_iter=200)
"""The decoder of the published runs: no scaling, C = 1, 200 iterations, 5 folds."""


def reference_decoding(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return for each label of a dataset how well it is decoded from the responses themselves.

    Returns
    -------
    dict of dict
        ``accuracy`` (standardised), ``accuracy_published`` (:data:`PUBLISHED`), ``chance``, ``classes``,
        ``folds``, ``over_time`` (standardised, one value a time bin); or the ``reason`` why a label cannot
        be decoded.
    """
    found: dict[str, dict[str, Any]] = {}
    for variable, labels in dataset.labels.items():
        try:
            own = Decoder().decode(dataset.responses, labels)
            published = PUBLISHED.decode(dataset.responses, labels)
        except InputError as error:
            found[variable] = {"reason": str(error)}
            continue
        found[variable] = {
            "accuracy": own.accuracy,
            "accuracy_published": published.accuracy,
            "chance": own.chance,
            "classes": own.classes,
            "folds": own.folds,
            "over_time": own.over_time.tolist(),
        }
    return found
