"""Decoding of task variables by linear classifiers and ridge regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from simopt import checks
from simopt.analysis.labels import is_continuous, not_tasks
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

_MOST_ITERATIONS = 2**31 - 1
"""scikit-learn's L-BFGS counts iterations in a 32-bit integer."""


@dataclass(frozen=True)
class Decoding:
    """How well one variable was decoded.

    Attributes
    ----------
    accuracy : float
        Share of correct predictions in [0, 1], the mean over time bins and folds. For a continuous variable
        it is R2, which may be negative.
    over_time : array, (time,)
        Accuracy in each time bin. Responses without a time axis have a single bin.
    chance : float
        Share of the most frequent class among the conditions; 0 for a continuous variable.
    classes : int
        Number of classes; 0 for a continuous variable.
    folds : int
        Number of folds of the cross-validation.
    predictions : float
        Number of independent held-out predictions; see :class:`Plan`.
    p_value : float
        Probability of at least as many correct held-out predictions if the responses hold no information on
        the variable, from the binomial distribution of ``predictions`` trials. A class is predicted correctly
        with probability ``chance``. A predicted value counts as correct if it and the true value lie on the
        same side of the mean of the training conditions, which has probability 1/2.
    """

    accuracy: float
    over_time: FloatArray
    chance: float
    classes: int
    folds: int
    predictions: float
    p_value: float


@dataclass(frozen=True)
class Plan:
    """The labels of one variable and the folds in which they are decoded.

    A plan depends on the conditions only, so one plan serves all datasets with the same conditions.

    Attributes
    ----------
    labels : array, (conditions,)
        For classes the index of each condition's class among the sorted classes; for a continuous variable
        its values.
    splits : tuple of pairs of array
        For each fold the indices of its training conditions and of its test conditions.
    chance, classes : float, int
        The same as in :class:`Decoding`.
    predictions : float
        Effective number of independent held-out predictions. It is the number of conditions; with groups of
        n_g conditions it is (sum n_g)^2 / sum n_g^2, the number of groups if their sizes are equal.
    """

    labels: LabelArray
    splits: tuple[tuple[LabelArray, LabelArray], ...]
    chance: float
    classes: int
    predictions: float


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A linear decoder, cross-validated over conditions, separately in each time bin.

    Classes are decoded by multinomial logistic regression with an L2 penalty in stratified folds. A variable
    is continuous if its labels are floating-point numbers with more than 10 distinct values, not all of them
    integers. It is decoded by ridge regression and scored by R2 over the conditions of all folds,
    1 - sum (y - prediction)^2 / sum (y - mean y of the training folds)^2.

    Parameters
    ----------
    standardize : bool
        Scale every unit to mean 0 and variance 1 on the training folds, so that the effect of the penalty
        does not depend on the unit of measurement.
    penalty : float, > 0
        Inverse strength C of the penalty. The loss is ||w||^2 / 2 + C * summed log loss for classes, and
        ||w||^2 / 2 + C / 2 * summed squared errors for continuous variables.
    folds : int, >= 2
        Number of folds. It must not exceed the number of conditions of the rarest class, nor the number of
        groups if ``groups`` is given.
    seed : int
        Seed of the shuffle that assigns conditions to folds.
    max_iter : int, >= 1
        Largest number of iterations of L-BFGS. A fit that has not converged after them is used nevertheless.
    variables : sequence of str, optional
        Names of the labels to decode along a run. None: all labels except those of :meth:`left_out`.
    groups : str, optional
        Name of a label. Along a run, conditions with the same value of this label stay in one fold.
    score_step : float, >= 0
        Along a run, the first and the last state are decoded, and each state in which the score of a
        replicate differs by at least this much from the last decoded state. 0: every logged state is decoded.
    """

    standardize: bool = True
    penalty: float = 1.0
    folds: int = 5
    seed: int = 0
    max_iter: int = 1000
    variables: Sequence[str] | None = None
    groups: str | None = None
    score_step: float = 0.02

    def __post_init__(self) -> None:
        checks.at_least(self.penalty, 0, "penalty of the decoder", strict=True)
        checks.whole(self.folds, 2, "folds of the decoder")
        checks.whole(self.seed, 0, "seed of the decoder", checks.LARGEST_SHUFFLE_SEED)
        checks.whole(self.max_iter, 1, "max_iter of the decoder", _MOST_ITERATIONS)
        checks.at_least(self.score_step, 0, "score_step of the decoder")
        if isinstance(self.variables, str):
            raise InputError(
                f"decoder.variables={self.variables} is not a list of labels; write "
                f"decoder.variables=[{self.variables}]."
            )

    def decode(self, responses: FloatArray, labels: LabelArray, groups: LabelArray | None = None) -> Decoding:
        """Decode labels from responses, cross-validated over conditions.

        Parameters
        ----------
        responses : array, (conditions, units) or (time, condition, unit)
        labels : array, (conditions,)
            The class or the value of each condition.
        groups : array, (conditions,), optional
            Conditions with the same value stay together in a fold.

        Raises
        ------
        InputError
            The labels or the groups cannot be decoded in these folds (see :meth:`plan`), or the responses
            are not finite.
        """
        return self.carry_out(self.plan(labels, responses.shape[-2], groups), responses)

    def plan(self, labels: LabelArray, conditions: int, groups: LabelArray | None = None) -> Plan:
        """Check the labels of a variable and return the plan of its decoding.

        Parameters
        ----------
        labels : array, (conditions,)
        conditions : int
            Number of conditions of the responses to decode from.
        groups : array, (conditions,), optional
            Conditions with the same value stay together in a fold.

        Raises
        ------
        InputError
            The number of labels or groups is not the number of conditions; labels or groups are not finite;
            all labels are equal; a class has fewer conditions than there are folds; there are fewer groups
            than folds; or the training conditions of a fold have one class only.
        """
        labels, groups = self._checked(labels, conditions, groups)
        sizes = np.unique(np.arange(conditions) if groups is None else groups, return_counts=True)[1]
        # Kish's effective sample size of groups whose conditions are right or wrong together.
        predictions = float(conditions**2 / np.sum(sizes**2))
        if is_continuous(labels):
            return Plan(labels, self._splits(labels, groups, continuous=True), 0.0, 0, predictions)
        values, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        splits = self._splits(codes, groups, continuous=False)
        # With groups a fold may hold all conditions of a class, although each class has enough of them.
        if any(len(np.unique(codes[train])) < 2 for train, _ in splits):
            raise InputError("with these groups a fold has only one class to train on; choose other groups.")
        return Plan(codes, splits, float(counts.max() / counts.sum()), len(values), predictions)

    def left_out(self, dataset: Dataset) -> dict[str, str]:
        """Return the reason for each label, by name, that is decoded only if ``variables`` names it.

        A label is left out if it is no task variable (see :func:`simopt.analysis.labels.not_tasks`), or if it
        cannot be decoded in these folds.
        """
        grouping = dataset.named_groups if self.groups is None else {self.groups}
        groups = self.groups_of(dataset)
        reasons = not_tasks(dataset.labels, grouping, dataset.named_blocks)
        for name in dataset.labels.keys() - reasons.keys():
            if not storable(name):
                reasons[name] = "a run file cannot store its name; rename the label"
                continue
            try:
                self._checked(dataset.labels[name], dataset.responses.shape[-2], groups)
            except InputError as error:
                reasons[name] = str(error).rstrip(".")
        return reasons

    def groups_of(self, dataset: Dataset) -> LabelArray | None:
        """Return the group of each condition, (conditions,), by ``groups`` or else by the dataset.

        Raises
        ------
        InputError
            The dataset has no label ``groups``.
        """
        if self.groups is None:
            return dataset.groups_of_conditions()
        checks.one_of(self.groups, dataset.labels, f"label of {dataset.name}")
        return np.asarray(dataset.labels[self.groups])

    def _checked(
        self, labels: LabelArray, conditions: int, groups: LabelArray | None
    ) -> tuple[LabelArray, LabelArray | None]:
        """Return labels and groups as arrays, after the checks of :meth:`plan` that need no folds."""
        labels = _per_condition(labels, conditions, "labels to decode")
        if groups is not None:
            groups = _per_condition(groups, conditions, "groups of the decoder")
            count = len(np.unique(groups))
            if count < self.folds:
                raise InputError(
                    f"{self.folds} folds need as many groups, but there are {count}; {_fewer_folds(count)}"
                )
        values, counts = np.unique(labels, return_counts=True)
        if len(values) < 2:
            raise InputError(f"all {len(labels)} labels are {values[0]}; give at least two values.")
        if is_continuous(labels) and conditions < 2 * self.folds:
            raise InputError(
                f"{self.folds} folds need at least {2 * self.folds} conditions (2 per fold), but there "
                f"are {conditions}; {_fewer_folds(conditions // 2)}"
            )
        if not is_continuous(labels) and counts.min() < self.folds:
            raise InputError(
                f"{self.folds} folds need at least {self.folds} conditions of each class, but class "
                f"{values[counts.argmin()]} has {counts.min()}; {_fewer_folds(int(counts.min()))}"
            )
        return labels, groups

    def carry_out(self, plan: Plan, responses: FloatArray) -> Decoding:
        """Decode the variable of a plan from responses.

        Parameters
        ----------
        plan : Plan
            A plan that :meth:`plan` returned for the conditions of these responses.
        responses : array, (conditions, units) or (time, condition, unit)

        Raises
        ------
        InputError
            The responses are not finite.
        """
        # scikit-learn is slow to import: only commands that decode load it.
        from sklearn import config_context
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        if not np.isfinite(responses).all():
            raise InputError("the responses to decode hold NaN or infinite values; remove them first.")
        # (time, condition, unit); responses without time are one bin.
        bins = responses if responses.ndim == 3 else responses[None]
        score = self._accuracy if plan.classes else self._r2
        # The matrix products of a fit are so small that several threads make it up to ten times slower. The
        # checks of data and options that scikit-learn repeats in every fit take up to a tenth of the time.
        unchecked = config_context(assume_finite=True, skip_parameter_validation=True)
        with warnings.catch_warnings(), threadpool_limits(1), unchecked:
            warnings.simplefilter("ignore", ConvergenceWarning)
            over_time, right = np.array([score(plan, one_bin) for one_bin in bins]).T
        share = float(right.mean()) / len(plan.labels)
        return Decoding(
            accuracy=float(over_time.mean()),
            over_time=over_time,
            chance=plan.chance,
            classes=plan.classes,
            folds=len(plan.splits),
            predictions=plan.predictions,
            p_value=_p_value(share, plan.predictions, plan.chance if plan.classes else 0.5),
        )

    def _accuracy(self, plan: Plan, responses: FloatArray) -> tuple[float, int]:
        """Return the accuracy in one time bin, the mean over folds, and the number of right predictions."""
        from sklearn.linear_model import LogisticRegression

        accuracies, correct = [], 0
        for train, test, labels, expected in self._folds(plan, responses):
            model = LogisticRegression(C=self.penalty, max_iter=self.max_iter).fit(train, labels)
            right = model.predict(test) == expected
            accuracies.append(np.mean(right))
            correct += int(right.sum())
        return float(np.mean(accuracies)), correct

    def _r2(self, plan: Plan, responses: FloatArray) -> tuple[float, int]:
        """Return R2 in one time bin, over the conditions of all folds, and the number of right predictions.

        A prediction is right if it lies on the same side of the mean of the training conditions as the truth.
        """
        from sklearn.linear_model import Ridge

        residual, total, correct = 0.0, 0.0, 0
        for train, test, labels, expected in self._folds(plan, responses.astype(np.float64)):
            # Ridge minimizes squared errors + alpha ||w||^2; with alpha = 1 / C that is the loss of the
            # class.
            model = Ridge(alpha=1 / self.penalty).fit(train, labels)
            predicted = model.predict(test)
            residual += float(np.sum((expected - predicted) ** 2))
            total += float(np.sum((expected - labels.mean()) ** 2))
            correct += int(np.sum((expected - labels.mean()) * (predicted - labels.mean()) > 0))
        return 1 - residual / total, correct

    def _folds(
        self, plan: Plan, responses: FloatArray
    ) -> Iterator[tuple[FloatArray, FloatArray, LabelArray, LabelArray]]:
        """Yield the training and test responses (conditions, units) of each fold, and the labels of both."""
        from sklearn.preprocessing import StandardScaler

        for train, test in plan.splits:
            training, held_out = responses[train], responses[test]
            if self.standardize:
                scaler = StandardScaler().fit(training)
                training, held_out = scaler.transform(training), scaler.transform(held_out)
            yield training, held_out, plan.labels[train], plan.labels[test]

    def _splits(
        self, labels: LabelArray, groups: LabelArray | None, *, continuous: bool
    ) -> tuple[tuple[LabelArray, LabelArray], ...]:
        from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

        # Shuffled, because conditions are often sorted by label. GroupKFold places whole groups by their
        # sizes; its folds do not depend on the seed.
        shuffled = {"shuffle": True, "random_state": self.seed}
        if continuous:
            kind = KFold(self.folds, **shuffled) if groups is None else GroupKFold(self.folds)
        else:
            kind = (StratifiedKFold if groups is None else StratifiedGroupKFold)(self.folds, **shuffled)
        return tuple(kind.split(np.zeros((len(labels), 1)), labels, groups))


def _p_value(share: float, predictions: float, chance: float) -> float:
    """Return P(k or more of n are right), k = ``share`` n, each with probability ``chance``.

    The regularized incomplete beta function I_chance(k, n - k + 1) is this probability for whole k and n, and
    continues it to the fractional ones of time bins and groups.
    """
    from scipy.special import betainc

    right = share * predictions
    return float(betainc(right, predictions - right + 1, chance)) if right > 0 else 1.0


def _per_condition(values: LabelArray, conditions: int, what: str) -> LabelArray:
    array = np.asarray(values)
    if array.dtype == object:
        array = array.astype(str)
    if array.shape != (conditions,):
        raise InputError(
            f"{what} have shape {array.shape}; give one value for each of the {conditions} conditions."
        )
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise InputError(
            f"{what} hold {int((~np.isfinite(array)).sum())} NaN or infinite value(s); remove them first."
        )
    return array


def storable(name: str) -> bool:
    """Return whether a run file can store a label of this name: labels stand beside ``step`` in a group."""
    return name != "step" and "/" not in name and name.strip(".") != ""


def _fewer_folds(most: int) -> str:
    return f"set decoder.folds={most}." if most >= 2 else "no fewer than 2 folds are possible."


PUBLISHED = Decoder(standardize=False, max_iter=200)
"""The decoder of the published runs (arXiv 2407.07059): C is 1, with 200 iterations and 5 folds. It does not
standardize the responses, so its accuracy depends on their scale."""


def reference_decoding(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return how well each label of a dataset is decoded from its own responses.

    Returns
    -------
    dict of dict
        One dict for each label. The dict holds ``accuracy`` and ``over_time`` (a list over time bins) of the
        standard decoder, ``accuracy_published`` of the decoder :data:`PUBLISHED`, ``chance``, ``classes``,
        ``folds``, ``predictions`` and ``p_value`` (see :class:`Decoding`). If the label cannot be decoded, or
        is no task variable (see :func:`simopt.analysis.labels.not_tasks`), it holds only the ``reason``.
    """
    plans, reasons = standard_plans(dataset)
    results: dict[str, dict[str, Any]] = {}
    for variable in dataset.labels:
        if variable in reasons:
            results[variable] = {"reason": reasons[variable]}
            continue
        standard = Decoder().carry_out(plans[variable], dataset.responses)
        published = PUBLISHED.carry_out(plans[variable], dataset.responses).accuracy
        over_time = standard.over_time.tolist()
        results[variable] = asdict(standard) | {"over_time": over_time, "accuracy_published": published}
    return results


def standard_plans(dataset: Dataset) -> tuple[dict[str, Plan], dict[str, str]]:
    """Return plans of the standard decoder, by label, and the reason for each label without a plan.

    A plan has 5 folds, or fewer if a class has fewer than 5 conditions, a continuous variable fewer than 10,
    or the dataset fewer than 5 groups. A label has no plan if it is no task variable, or if it cannot be
    decoded in 2 or more folds.
    """
    groups, conditions = dataset.groups_of_conditions(), dataset.responses.shape[-2]
    count = conditions if groups is None else len(np.unique(groups))
    plans: dict[str, Plan] = {}
    reasons = not_tasks(dataset.labels, dataset.named_groups, dataset.named_blocks)
    for name in dataset.labels.keys() - reasons.keys():
        labels = dataset.labels[name]
        rarest = np.unique(labels, return_counts=True)[1].min()
        fewest = min(count, conditions // 2 if is_continuous(labels) else int(rarest))
        decoder = replace(Decoder(), folds=int(np.clip(fewest, 2, Decoder.folds)))
        try:
            plans[name] = decoder.plan(labels, conditions, groups)
        except InputError as error:
            reasons[name] = str(error).rstrip(".")
    return plans, reasons
