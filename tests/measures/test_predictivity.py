"""Predictivity unit by unit: splits, pooling, hard data, options. Its numbers: the published packages."""

import warnings

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, ShuffleSplit

import simopt
from simopt import measures
from simopt.errors import InputError, UnitsWarning
from simopt.measures import fits
from tests.measures.test_textbook import DATA, ORACLES

pytestmark = pytest.mark.filterwarnings("ignore::simopt.errors.UnitsWarning")


def test_all_components_of_pls_are_least_squares(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((60, 5)), rng.standard_normal((60, 4))
    X[:, :4] += Y
    linear = simopt.score(X, Y, "pls25", model="linear")
    assert simopt.score(X, Y, "pls25") == pytest.approx(linear, rel=1e-9)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("components", [1, 5, 25])
@pytest.mark.parametrize(("p", "q"), [(40, 30), (30, 40), (40, 1)])
def test_pls_is_the_limit_of_the_iteration_of_scikit_learn(
    p: int, q: int, components: int, scale: bool, rng: np.random.Generator
) -> None:
    shared = rng.standard_normal((100, 12)) * np.linspace(3, 1, 12)
    A, T = (
        shared @ rng.standard_normal((12, units)) + rng.standard_normal((100, units)) + 5 for units in (p, q)
    )
    converged = PLSRegression(components, scale=scale, tol=1e-26, max_iter=1_000_000).fit(A[:80], T[:80])
    ours = fits.PLS(components, scale).fit(A[:80], T[:80])
    expected = converged.predict(A[80:]).reshape(20, q)
    np.testing.assert_allclose(ours.predict(A[80:]), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["brainscore-pls25", "neuroai-pls25"])
def test_recorded_values_are_as_accurate_as_the_iteration_they_come_from(name: str) -> None:
    fixtures = np.load(DATA / "oracle_fixtures.npz")
    score = simopt.score(fixtures["X_i"], fixtures["Y_i"], name)
    assert score == pytest.approx(ORACLES[name]["values"]["i"], abs=1e-5)


def test_the_order_of_units_moves_no_score(rng: np.random.Generator) -> None:
    shared = rng.standard_normal((120, 1))
    X, Y = (shared @ rng.standard_normal((1, k)) + rng.standard_normal((120, k)) for k in (30, 40))
    score = simopt.score(X, Y, "pls25")
    for _ in range(4):
        moved = simopt.score(X[:, rng.permutation(30)], Y[:, rng.permutation(40)], "pls25")
        assert moved == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("kind", ["dead", "constant", "dependent", "one-hot"])
def test_components_end_at_the_rank_of_the_predictors(
    kind: str, scale: bool, rng: np.random.Generator
) -> None:
    """scikit-learn's fit to a basis of the centered predictors, with as many components as it has columns."""
    A = rng.standard_normal((90, 10))
    if kind == "dead":
        A = np.hstack([A, np.zeros((90, 30))])
    elif kind == "constant":
        A = np.hstack([A, np.full((90, 30), 0.1)])
    elif kind == "dependent":
        A = A @ rng.standard_normal((10, 40))
    else:
        A = np.eye(8)[rng.permutation(np.arange(90) % 8)]
    T = A[:, :5] @ rng.standard_normal((5, 6)) + rng.standard_normal((90, 6))
    train, test = A[:70], A[70:]
    left, values, right = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
    rank = np.linalg.matrix_rank(train - train.mean(axis=0))
    assert rank == (7 if kind == "one-hot" else 10)
    # All components of full rank are least squares, whatever the basis and the scale.
    theirs = PLSRegression(rank, scale=False, tol=1e-26, max_iter=1_000_000)
    theirs.fit(left[:, :rank] * values[:rank], T[:70])
    expected = theirs.predict((test - train.mean(axis=0)) @ right[:rank].T)
    for noise in (0.0, 1e-15):
        ours = fits.PLS(25, scale).fit(train * (1 + noise * rng.standard_normal(train.shape)), T[:70])
        np.testing.assert_allclose(ours.predict(test), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("level", [0.0, 1.81])
@pytest.mark.parametrize("statistic", ["pearson", "r2"])
@pytest.mark.parametrize("aggregate", ["mean", "median"])
def test_a_unit_is_left_out_of_the_folds_where_it_is_constant(
    level: float, statistic: str, aggregate: str, rng: np.random.Generator
) -> None:
    """Unit 3 is silent in the first fold and unit 5 always; scikit-learn fits and scores what varies."""
    Y = rng.standard_normal((100, 4))
    X = Y @ rng.standard_normal((4, 6)) + rng.standard_normal((100, 6))
    X[:20, 3] = X[:, 5] = level
    expected = []
    for k, (train, test) in enumerate(KFold(5).split(X)):
        P = LinearRegression().fit(Y[train], X[train]).predict(Y[test])
        units = [0, 1, 2, 4] if k == 0 else [0, 1, 2, 3, 4]
        of_units = [
            r2_score(X[test, j], P[:, j]) if statistic == "r2" else np.corrcoef(X[test, j], P[:, j])[0, 1]
            for j in units
        ]
        expected.append(np.mean(of_units) if aggregate == "mean" else np.median(of_units))
    options = {"model": "linear", "statistic": statistic, "aggregate": aggregate}
    assert simopt.score(X, Y, "ridge_cv", **options) == pytest.approx(np.mean(expected), rel=1e-9)
    found = simopt.compare(X, Y, measures=("ridge_cv",), draws=10, **options).standings[0]
    assert found.notes == (
        "ridge_cv: units 3, 5 of X left out of 1 to 5 of 5 test sets, being constant there",
    )
    assert found.percentile > 90
    assert simopt.score(X, X, "ridge_cv", **options) == pytest.approx(1, abs=1e-9)


def test_units_that_are_constant_in_single_precision_are_left_out(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 60, 3)).astype(np.float32)
    near = (0.1 * (1 + 1e-7 * rng.standard_normal((60, 1)))).astype(np.float32)
    measure = measures.get("ridge_cv")
    assert np.ptp(near) > 0
    assert measure(np.hstack([X, near]), Y).item() == pytest.approx(measure(X, Y).item(), rel=1e-5)


@pytest.mark.parametrize("statistic", ["pearson", "r2"])
@pytest.mark.parametrize(("name", "samples"), [("ridge_cv", 12), ("pls25", 15)])
def test_small_test_sets_are_pooled_less_the_train_means(
    name: str, samples: int, statistic: str, rng: np.random.Generator
) -> None:
    X, Y = rng.standard_normal((2, samples, 3))
    X += Y
    splitter = KFold(5) if name == "ridge_cv" else ShuffleSplit(10, train_size=0.9, random_state=1)
    targets, predicted = [], []
    for train, test in splitter.split(X):
        mean = X[train].mean(axis=0)
        targets.append(X[test] - mean)
        predicted.append(LinearRegression().fit(Y[train], X[train]).predict(Y[test]) - mean)
    t, p = np.concatenate(targets), np.concatenate(predicted)
    if statistic == "r2":
        of_units = r2_score(t, p, multioutput="raw_values")
    else:
        of_units = [np.corrcoef(t[:, j], p[:, j])[0, 1] for j in range(3)]
    expected = np.mean(of_units) if name == "ridge_cv" else np.median(of_units)
    options = {"model": "linear", "statistic": statistic}
    assert simopt.score(X, Y, name, **options) == pytest.approx(expected, rel=1e-9)
    notes = simopt.compare(X, Y, measures=(name,), draws=0, **options).standings[0].notes
    assert "the smallest test set has 2 samples, fewer than 3" in " ".join(notes)


def test_pooled_scores_of_unrelated_data_are_about_zero() -> None:
    """Less no mean, the mean of other samples predicts each: scores of 10 unrelated samples were -0.5."""
    draws = np.random.default_rng(0).standard_normal((60, 2, 10, 6))
    assert abs(np.mean([simopt.score(X, Y, "ridge_cv") for X, Y in draws])) < 0.2


def test_test_sets_that_cannot_be_standardized_are_refused(rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 2))
    with pytest.raises(InputError, match="neuroai-pls25: a fold of 2 samples .* choose at most 3 folds"):
        simopt.score(X, X, "neuroai-pls25")


def test_no_score_of_units_that_are_constant_in_each_test_set(rng: np.random.Generator) -> None:
    folds = np.repeat(np.arange(5.0), 6)
    with pytest.raises(InputError, match="every predicted unit is constant in every test set"):
        simopt.score(folds[:, None], rng.standard_normal((30, 3)), "ridge_cv")


@pytest.mark.parametrize("kind", ["dead", "constant", "dependent", "copies"])
def test_units_that_add_nothing_change_nothing(kind: str, rng: np.random.Generator) -> None:
    """Ten units predict as well as the same ten with others that are functions of them."""
    Y = rng.standard_normal((200, 10))
    X = Y @ rng.standard_normal((10, 8)) + 2 * rng.standard_normal((200, 8))
    padded = {
        "dead": np.hstack([Y, np.zeros((200, 30))]),
        "constant": np.hstack([Y, np.full((200, 30), 0.5)]),
        "dependent": Y @ np.linalg.qr(rng.standard_normal((40, 10)))[0].T,
        "copies": np.hstack([Y] * 4) / 2,
    }[kind]
    assert simopt.score(X, padded, "pls25") == pytest.approx(simopt.score(X, Y, "pls25"), abs=1e-9)


def test_a_penalty_is_chosen_that_suits_the_noise(rng: np.random.Generator) -> None:
    """30 noisy predictors for 60 samples: a chosen penalty beats both none and one far too strong."""
    signal = rng.standard_normal((60, 2))
    X = signal @ rng.standard_normal((2, 8)) + 0.5 * rng.standard_normal((60, 8))
    Y = signal @ rng.standard_normal((2, 30)) + 2 * rng.standard_normal((60, 30))
    chosen = simopt.score(X, Y, "ridge_cv")
    assert chosen > simopt.score(X, Y, "ridge_cv", model="linear") + 0.05
    assert chosen > simopt.score(X, Y, "ridge_cv", model="ridge", penalty=1e-6) + 0.05
    assert simopt.score(X, Y, "ridge_cv", per_unit=True) == pytest.approx(chosen, abs=0.05)


@pytest.mark.parametrize("per_unit", [False, True])
@pytest.mark.parametrize(("n", "p"), [(60, 10), (30, 60)])
def test_ridge_cv_is_that_of_scikit_learn(n: int, p: int, per_unit: bool, rng: np.random.Generator) -> None:
    A = rng.standard_normal((n, p)) * np.geomspace(1, 0.01, p) + 3
    T = A @ rng.standard_normal((p, 4)) + rng.standard_normal((n, 4)) * [0.1, 1, 3, 10]
    centered = A - A.mean(axis=0)
    mean = np.square(centered).sum() / min(n - 1, p)  # of the eigenvalues of A'A that are not 0
    penalties = np.geomspace(1e-4, 1e4, 9)
    for relative, unit in ((True, mean), (False, 1.0)):
        theirs = RidgeCV(penalties * unit, alpha_per_target=per_unit).fit(A, T)
        ours = fits.RidgeCV(penalties, relative=relative, per_unit=per_unit).fit(A, T, None)
        np.testing.assert_allclose(penalties[ours.chosen] * unit, theirs.alpha_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict(A + 1), theirs.predict(A + 1), rtol=1e-7)


@pytest.mark.parametrize("statistic", ["pearson", "r2"])
def test_neither_units_of_measurement_nor_dead_units_change_a_relative_grid(
    statistic: str, rng: np.random.Generator
) -> None:
    Y = rng.standard_normal((120, 10)) * np.geomspace(1, 0.03, 10)
    X = Y @ rng.standard_normal((10, 8)) + 0.5 * rng.standard_normal((120, 8))
    score = simopt.score(X, Y, "ridge_cv", statistic=statistic)
    dead = np.hstack([Y, np.zeros((120, 30))])
    for same in (1e-9 * Y, 1e9 * Y, dead, np.hstack([Y, Y]) / np.sqrt(2)):
        assert simopt.score(X, same, "ridge_cv", statistic=statistic) == pytest.approx(score, rel=1e-6)
    volts = simopt.score(X, 1e-6 * Y, "ridge_cv", statistic=statistic, grid="absolute")
    assert abs(volts - score) > 0.01


def test_penalties_are_told(rng: np.random.Generator) -> None:
    Y = rng.standard_normal((100, 5))
    exact = Y @ rng.standard_normal((5, 4))
    told = {
        name: " ".join(simopt.compare(X, Y, measures=(name,), draws=0).standings[0].notes)
        for name, X in (("ridge_cv", exact), ("ridge1_cv5", exact), ("linreg_cv5", exact))
    }
    assert "chosen penalties are 1e-08 to 1e-08" in told["ridge_cv"]
    assert "5 of 5 chosen penalties are 1e-08, the smallest" in told["ridge_cv"]
    assert "ridge1_cv5: the penalty 1 is in squared units" in told["ridge1_cv5"]
    assert told["linreg_cv5"] == ""
    # Orthogonal in every train set, so that any prediction makes the error larger.
    one, other = np.tile([[1.0], [1.0], [-1.0], [-1.0]], (25, 1)), np.tile([[1.0], [-1.0]], (50, 1))
    unrelated = simopt.compare(one, other, measures=("ridge_cv",), draws=0).standings[0]
    assert "5 of 5 chosen penalties are 1e+08, the largest" in " ".join(unrelated.notes)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["pls25", "ridge_cv", "neuroai-pls25", "deepdive-ridge1-r2-5fold-pooled"])
def test_wide_and_padded_data_neither_warn_nor_mislead(rng: np.random.Generator, name: str) -> None:
    wide = rng.standard_normal((15, 30))
    scores = simopt.score(rng.standard_normal((15, 20)), wide, [name])
    assert np.isfinite(scores[name])
    padded = np.hstack([wide[:, :4], np.zeros((15, 3))])
    assert list(simopt.score(wide[:, 5:9], padded, [name])) == [name]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "lasso"}, "Unknown model"),
        ({"folds": 1}, "folds of pls25 is 1"),
        ({"folds": 50}, "50 folds of 40 samples"),
        ({"components": 0}, "components of pls25 is 0"),
        ({"fewer_components": False}, "25 components need"),
        ({"pooled": True}, "pooled=true .*splits=contiguous"),
    ],
)
def test_options_that_cannot_be(rng: np.random.Generator, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.score(rng.standard_normal((40, 3)), rng.standard_normal((40, 3)), "pls25", **options)


def test_several_measures_have_the_scores_they_have_alone(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 20, 4))
    nbs = simopt.measures.get("nbs")
    several = simopt.score(X, Y, ["cka", nbs, "linreg"])
    assert several == {name: simopt.score(X, Y, name) for name in ("cka", "nbs", "linreg")}


def test_a_score_without_a_table_warns_of_what_is_left_out(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 40, 4))
    X[:8, 2] = 0.0
    with pytest.warns(UnitsWarning, match=r"^ridge_cv: unit 2 of X left out of 1 of 5 test sets"):
        simopt.score(X, Y, "ridge_cv")
    with pytest.warns(UnitsWarning, match="^linreg_cv5: the smallest test set has 2 samples"):
        simopt.score(X[:12], Y[:12], "linreg_cv5")
    Y[:, 1] = 3.0
    with pytest.warns(UnitsWarning, match="^soft_correlation_match: unit 1 of Y left out, being constant"):
        simopt.score(X, Y, "soft_correlation_match")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simopt.score(rng.standard_normal((40, 4)), Y, ["ridge_cv", "cka"])
