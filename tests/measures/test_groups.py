"""Samples that belong together: folds keep groups whole, whatever their sizes and order."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, LeaveOneGroupOut, ShuffleSplit

import simopt
from simopt import measures
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures import Reference, fits
from simopt.measures.predictivity import PENALTIES
from simopt.rows import Rows

pytestmark = pytest.mark.filterwarnings("ignore::simopt.errors.UnitsWarning")

CROSS_VALIDATED = [
    "linreg_cv5", "ridge10_cv5", "linreg-r2-sym-5folds_cv", "ridge_cv", "pls25", "brainscore-linear",
    "neuroai-pls25", "deepdive-ridge1-r2-5fold-pooled", "pairwise_matching", "procrustes-euclidean-5fold",
]  # fmt: skip


def grouped(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X (66, 5), Y (66, 4), and 11 interleaved groups of 1 to 11 samples that share a signal."""
    groups = rng.permutation(np.repeat(np.arange(11), np.arange(1, 12)))
    X, Y = rng.standard_normal((66, 5)), rng.standard_normal((66, 4))
    X[:, :4] += Y
    return X + rng.standard_normal((11, 5))[groups], Y, groups


def divided(splitter, groups: np.ndarray):
    """Return the train and test samples of a division of the groups in the order of first appearance."""
    order = list(dict.fromkeys(groups.tolist()))
    for train, test in splitter.split(order):
        yield [np.flatnonzero(np.isin(groups, np.take(order, part))) for part in (train, test)]


@pytest.mark.parametrize("name", ["linreg_cv5", "ridge10_cv5"])
def test_folds_are_those_of_scikit_learn_over_groups(name: str, rng: np.random.Generator) -> None:
    X, Y, groups = grouped(rng)
    scores = []
    for train, test in divided(KFold(5), groups):
        model = (LinearRegression() if name == "linreg_cv5" else Ridge(10)).fit(Y[train], X[train])
        total = np.sum((X[test] - X[train].mean(axis=0)) ** 2)
        scores.append(1 - np.sum((X[test] - model.predict(Y[test])) ** 2) / total)
    assert simopt.score(X, Y, name, groups=groups) == pytest.approx(np.mean(scores), rel=1e-10)
    assert simopt.score(X, Y, name) != pytest.approx(np.mean(scores), abs=1e-3)


def test_random_test_sets_are_of_groups(rng: np.random.Generator) -> None:
    X, Y, groups = grouped(rng)
    medians = []
    for train, test in divided(ShuffleSplit(10, train_size=0.9, random_state=1), groups):
        predicted = LinearRegression().fit(Y[train], X[train]).predict(Y[test])
        medians.append(
            np.median([np.corrcoef(x, p)[0, 1] for x, p in zip(X[test].T, predicted.T, strict=True)])
        )
    score = simopt.score(X, Y, "brainscore-linear", groups=groups)
    assert score == pytest.approx(np.mean(medians), rel=1e-9)


def left_out_errors(Y: np.ndarray, X: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    left, values, _ = np.linalg.svd(Y - Y.mean(axis=0), full_matrices=False)
    return fits.left_out_errors(left, values, X, PENALTIES, groups)


def test_a_penalty_is_judged_by_groups_that_are_left_out(rng: np.random.Generator) -> None:
    X, Y, groups = grouped(rng)
    errors = []
    for penalty in PENALTIES:
        squared = np.empty_like(X)
        for train, test in LeaveOneGroupOut().split(Y, groups=groups):
            squared[test] = np.square(X[test] - Ridge(penalty).fit(Y[train], X[train]).predict(Y[test]))
        errors.append(squared.mean(axis=0))
    np.testing.assert_allclose(left_out_errors(Y, X, groups), errors, rtol=1e-7)


@pytest.mark.parametrize("options", [{}, {"per_unit": True}])
def test_a_penalty_that_repeats_would_choose_is_not_chosen(options: dict, rng: np.random.Generator) -> None:
    """20 images ten times each, 15 predictors that tell them apart but say nothing of a new image."""
    image = np.repeat(np.arange(20), 10)
    X, Y = (rng.standard_normal((20, units))[image] for units in (8, 15))
    X = X + 0.1 * rng.standard_normal(X.shape)
    without = left_out_errors(Y, X, None).mean(axis=1)
    whole = left_out_errors(Y, X, image).mean(axis=1)
    assert PENALTIES[without.argmin()] < 1
    assert PENALTIES[whole.argmin()] > 10
    # Folds of 40 samples are 4 whole images either way: the penalty alone differs.
    single, kept = (
        simopt.score(X, Y, "ridge_cv", statistic="r2", groups=g, **options) for g in ("none", image)
    )
    assert kept > single + 0.3


@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_groups_of_single_samples_change_nothing(name: str, rng: np.random.Generator) -> None:
    X, Y, _ = grouped(rng)
    single = simopt.score(X, Y, name, groups=rng.permutation(66))
    # ridge_cv judges its penalties in another way, and chooses the same.
    assert single == simopt.score(X, Y, name)


@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_one_repeat_after_the_other_scores_as_image_after_image(name: str, rng: np.random.Generator) -> None:
    """Y knows each image and nothing else, so what it predicts of new images is nothing."""
    image = np.repeat(np.arange(50), 4)
    X = rng.standard_normal((50, 30))[image] + rng.standard_normal((200, 30))
    Y = np.eye(50)[image]
    order = np.argsort(np.tile(np.arange(4), 50), kind="stable")
    sorted_, repeated = (simopt.score(X[o], Y[o], name, groups=image[o]) for o in (np.arange(200), order))
    assert repeated == pytest.approx(sorted_, abs=1e-10)
    if not measures.get(name).facts.larger_is_closer:
        return  # a distance of held-out samples has no value of its own for nothing
    assert sorted_ < 0.05


@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_too_few_groups_are_refused(name: str, rng: np.random.Generator) -> None:
    X, Y, _ = grouped(rng)
    with pytest.raises(InputError, match=f"{name}: .* folds of 3 groups leave .* most 3 folds, or other gro"):
        simopt.score(X, Y, name, groups=np.arange(66) % 3)


def test_ridge_cv_needs_two_groups_to_train_on(rng: np.random.Generator) -> None:
    X, Y, _ = grouped(rng)
    for groups in (2, 3):
        with pytest.raises(InputError, match="ridge_cv: a fold leaves one group .* choose more folds"):
            simopt.score(X, Y, "ridge_cv", folds=2, groups=np.arange(66) % groups)
    assert np.isfinite(simopt.score(X, Y, "ridge_cv", folds=3, groups=np.arange(66) % 3))


def test_a_fold_of_one_sample_has_no_correlation(rng: np.random.Generator) -> None:
    X, Y, _ = grouped(rng)
    groups = np.minimum(np.arange(66), 4)  # four groups of one sample
    with pytest.raises(InputError, match="pairwise_matching: a fold of one sample.* or other groups"):
        simopt.score(X, Y, "pairwise_matching", groups=groups)


def test_conditions_of_the_measure_go_before_groups(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((60, 4)), rng.standard_normal((60, 3))
    measure = measures.get("linreg_cv5", conditions=12)
    assert measure.groups_of(60).tolist() == list(range(12)) * 5
    assert measure(X, Y, groups=np.arange(60)).item() == measure(X, Y).item()
    assert simopt.score(X, Y, "linreg_cv5", groups=np.tile(np.arange(12), 5)) == measure(X, Y).item()
    assert measures.get("linreg_cv5").groups_of(60) is None


def test_repeats_of_a_measure_are_groups_of_conditions() -> None:
    measure = measures.get("rsa_crossnobis", repeats=4)
    assert measure.groups_of(20).tolist() == [0, 1, 2, 3, 4] * 4
    assert measures.get("rsa").groups_of(20) is None
    with pytest.raises(InputError, match="rsa_crossnobis has 18 samples, but repeats=4"):
        measure.groups_of(18)


def test_groups_are_named_by_labels_or_by_the_condition(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((4, 30, 5)), rng.standard_normal((4, 30, 3))
    image = np.arange(30) // 2
    expected = simopt.score(X, Y, "linreg_cv5", groups=np.tile(image, 4))
    recording = Dataset("recording", X, labels={"image": image})
    assert simopt.score(recording, Y, "linreg_cv5", groups=["image"]) == expected
    assert simopt.score(X, Y, "linreg_cv5", groups=image) == expected
    assert measures.get("linreg_cv5")(recording, Y.reshape(120, 3), groups="image").item() == expected
    whole = simopt.score(X, Y, "linreg_cv5", conditions=30)
    assert simopt.score(X, Y, "linreg_cv5", groups="condition") == whole
    assert simopt.score(recording, Y, "linreg_cv5", groups="condition") == whole
    with pytest.raises(InputError, match="label of recording for groups 'imag'"):
        simopt.score(recording, Y, groups="imag")
    with pytest.raises(InputError, match="one value for each of the 120 samples"):
        simopt.score(X, Y, groups="image")
    with pytest.raises(InputError, match="blocks has shape .7,.; give one value for each of the 120"):
        simopt.score(X, Y, blocks=np.arange(7))


def test_a_reference_carries_its_rows(rng: np.random.Generator) -> None:
    X, Y, groups = grouped(rng)
    measure = measures.get("linreg_cv5")
    expected = measure(X, Y, groups=groups)
    bound = measure.bind(Reference.of(X, rows=Rows.of(66, groups, np.arange(66) // 33)))
    assert bound(Y) == expected
    assert pickle.loads(pickle.dumps(bound)).to(dtype=bound.reference.scores.dtype)(Y) == expected
    assert bound.reference.rows.blocks.tolist() == [0] * 33 + [1] * 33
    assert measure.bind(bound.reference, groups=np.arange(66))(Y) == measure(X, Y)
    with pytest.raises(InputError, match="X has 66 samples, but rows .* 65"):
        Reference.of(X, rows=Rows.of(65, np.arange(65)))
