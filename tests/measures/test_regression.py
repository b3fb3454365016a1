"""Regressions: folds over conditions, repeatability, degenerate data, options."""

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.measures import Moments, Reference
from simopt.measures.folds import Folds
from simopt.measures.regression import _PredictX
from tests.oracles import textbook

pytestmark = pytest.mark.filterwarnings("ignore::simopt.errors.UnitsWarning")


def by_condition(X, Y, penalty: float, folds: int, time: int, conditions: int) -> float:
    """Fit on whole conditions and test on the others: X, Y of shape (time, condition, unit)."""
    scores = []
    for test in np.array_split(np.arange(conditions), folds):
        train = np.setdiff1d(np.arange(conditions), test)
        flat = [A[:, part].reshape(-1, A.shape[2]) for A in (X, Y) for part in (train, test)]
        x_train, x_test, y_train, y_test = flat
        mean = x_train.mean(axis=0)
        B = textbook.fit(x_train - mean, y_train - y_train.mean(axis=0), penalty)
        error = x_test - mean - (y_test - y_train.mean(axis=0)) @ B
        scores.append(1 - np.sum(error**2) / np.sum((x_test - mean) ** 2))
    return float(np.mean(scores))


@pytest.mark.parametrize("penalty", [0.0, 5.0])
@pytest.mark.parametrize("units", [4, 90])
def test_folds_over_conditions_keep_time_bins_together(
    rng: np.random.Generator, penalty: float, units: int
) -> None:
    X, Y = rng.standard_normal((6, 13, 5)), rng.standard_normal((6, 13, units))
    score = simopt.score(X, Y, "linreg_cv5", penalty=penalty, conditions=13)
    assert score == pytest.approx(by_condition(X, Y, penalty, 5, 6, 13), rel=1e-9)


def test_they_show_what_neighboring_time_bins_leak(rng: np.random.Generator) -> None:
    """Noise that is constant over time predicts itself across time bins, not across conditions."""
    constant = [np.tile(rng.standard_normal((1, 30, 6)), (10, 1, 1)) for _ in range(2)]
    X, Y = (A + 0.01 * rng.standard_normal(A.shape) for A in constant)
    assert simopt.score(X, Y, "linreg_cv5") > 0
    assert simopt.score(X, Y, "linreg_cv5", conditions=30) < 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"conditions": 7}, "40 samples .* 7 conditions"),
        ({"conditions": 4}, "5 folds of 4 conditions"),
        ({"folds": None, "conditions": 8}, "conditions of linreg_cv5 is 8.*folds"),
        ({"statistic": "r"}, "Unknown statistic"),
        ({"direction": "x"}, "Unknown direction"),
        ({"baseline": "none"}, "Unknown baseline"),
    ],
)
def test_options_that_cannot_be(rng: np.random.Generator, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.score(rng.standard_normal((40, 3)), rng.standard_normal((40, 3)), "linreg_cv5", **options)


def hard(kind: str) -> torch.Tensor:
    draw = torch.randn
    return {
        "padded": torch.cat([draw(30, 4), torch.zeros(30, 5)], dim=1),
        "rank-deficient": draw(30, 3) @ draw(3, 9),
        "wide": draw(30, 60),
    }[kind].double()


@pytest.mark.parametrize("kind", ["padded", "rank-deficient", "wide"])
@pytest.mark.parametrize("name", ["linreg", "linreg_cv5", "ridge1", "cca"])
def test_300_repeats_give_one_number_and_one_gradient(name: str, kind: str) -> None:
    bound = measures.get(name).bind(torch.randn(30, 5, dtype=torch.float64))
    Y = hard(kind)
    seen = set()
    for _ in range(300):
        leaf = Y.clone().requires_grad_()
        score = bound(leaf)
        (grad,) = torch.autograd.grad(score, leaf)
        seen.add((score.item(), grad.sum().item(), grad.norm().item()))
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["linreg", "linreg_cv5"])
def test_padding_with_zeros_changes_nothing(rng: np.random.Generator, name: str) -> None:
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((30, 4))
    padded = np.hstack([Y, np.zeros((30, 8))])
    assert simopt.score(X, padded, name) == pytest.approx(simopt.score(X, Y, name), rel=1e-12)


@pytest.mark.parametrize("name", ["ridge10", "ridge10_cv5", "cka"])
def test_the_small_side_gives_the_same_as_the_large_one(rng: np.random.Generator, name: str) -> None:
    """40 units in 30 samples are rotated to 30 units: the same score, by the other route."""
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((30, 40))
    left, values, _ = np.linalg.svd(Y, full_matrices=False)
    assert simopt.score(X, Y, name) == pytest.approx(simopt.score(X, (left * values)[:, :30], name), rel=1e-9)


def inner_products(X, Y, penalty: float, splits) -> np.ndarray:
    """Return <t, P>, ||P||^2 and ||t||^2 for each fold, (3, f), from fits to the samples themselves."""
    products = []
    for train, test in splits:
        x_mean, y_mean = X[train].mean(axis=0), Y[train].mean(axis=0)
        target = X[test] - x_mean
        predicted = (Y[test] - y_mean) @ textbook.fit(X[train] - x_mean, Y[train] - y_mean, penalty)
        products.append([np.sum(target * predicted), np.sum(predicted**2), np.sum(target**2)])
    return np.array(products).T


@pytest.mark.parametrize("folds", ["none", "samples", "conditions"])
@pytest.mark.parametrize("penalty", [0.0, 5.0])
@pytest.mark.parametrize("units", [3, 9, 30])
def test_every_route_of_a_fit_gives_the_same_inner_products(
    rng: np.random.Generator, units: int, penalty: float, folds: str
) -> None:
    """With 9 units a fold has fewer samples (6) than units; with 30, Y has more units than samples."""
    X, Y = rng.standard_normal((24, 5)), rng.standard_normal((24, units)) + 10
    reference = Reference.of(X)
    everything = np.arange(24)
    condition = everything % 8  # 3 time bins x 8 conditions
    divide = {
        "none": (None, None, [everything]),
        "samples": (4, None, np.array_split(everything, 4)),
        "conditions": (4, 8, [np.flatnonzero(condition // 2 == k) for k in range(4)]),
    }
    number, conditions, tests = divide[folds]
    splits = [(everything if number is None else np.setdiff1d(everything, test), test) for test in tests]
    expected = inner_products(X, Y, penalty, splits)
    groups = None if conditions is None else np.tile(np.arange(conditions), 24 // conditions)
    route = _PredictX(reference, Folds.of(24, number, groups, "test", reference.scores.device), penalty)
    moments = Moments(reference, torch.from_numpy(Y))
    fits = {"data": route._from_data(route.folds.parts(moments.centered))}
    if penalty > 0:
        fits["kernel"] = route._from_kernel(moments)[0]
    if penalty > 0 or units < 18:
        fits["moments"] = route._from_moments(moments)[0]
    for name, fit in fits.items():
        products = torch.stack([fit.overlap, fit.power, fit.total]) * reference.norm**2
        np.testing.assert_allclose(products.numpy(), expected, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("penalty", [0.0, 5.0])
def test_prediction_from_few_test_rows_is_that_from_moments(rng: np.random.Generator, penalty: float) -> None:
    """Folds of 6 samples of 10 units predict from their rows; the fits of numpy know no such routes."""
    X, Y = rng.standard_normal((1, 30, 5)), rng.standard_normal((1, 30, 10))
    score = simopt.score(X[0], Y[0], "linreg_cv5", penalty=penalty)
    assert score == pytest.approx(by_condition(X, Y, penalty, 5, 1, 30), rel=1e-9)
    bound = measures.get("linreg_cv5", penalty=penalty).bind(torch.from_numpy(X[0]))
    assert torch.autograd.gradcheck(bound, torch.from_numpy(Y[0]).requires_grad_())


def test_a_square_of_held_out_r2_has_no_upper_end(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 14))
    facts = measures.get("linreg_cv5", form="squared").facts
    assert facts.low <= 1 < simopt.score(X, Y, "linreg_cv5", form="squared") <= facts.high


def test_only_least_squares_on_all_samples_reaches_1_for_any_wide_y(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((12, 3)), rng.standard_normal((12, 20))
    fitted = ("linreg", "linreg-pearsonr-no_cv", "ridge100", "ridge-lambda100-pearsonr-no_cv")
    for name in (*fitted, "linreg_cv5"):
        said = "1 whenever units >= samples" in measures.get(name).facts.relations
        assert (simopt.score(X, Y, name) == pytest.approx(1, abs=1e-9)) == said, name
    assert "11 units of Y >= 12 samples - 1" in measures.get("linreg").degenerate(X, Y[:, :11])


def test_a_correlation_with_nan_in_the_targets_is_nan(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
    Y[3, 1] = np.nan
    assert measures.get("linreg", statistic="pearson", direction="x_to_y")(X, Y).isnan()


@pytest.mark.parametrize("direction", ["y_to_x", "x_to_y"])
@pytest.mark.parametrize("units", [6, 40])
def test_a_penalty_beyond_64_bits(rng: np.random.Generator, direction: str, units: int) -> None:
    X, Y = rng.standard_normal((25, 4)), rng.standard_normal((25, units))
    whole, real = (
        simopt.score(X, Y, "linreg_cv5", penalty=penalty, direction=direction) for penalty in (10**20, 1e20)
    )
    assert whole == real


@pytest.mark.parametrize("name", ["linreg_cv5", "linreg-r2-testmean-5folds_cv", "linreg-pearsonr-5folds_cv"])
@pytest.mark.parametrize("direction", ["y_to_x", "x_to_y"])
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_fold_of_constant_targets_is_left_out(
    name: str, direction: str, level: float, rng: np.random.Generator
) -> None:
    """The other folds have the R2 and the correlation that numpy's least squares have on them."""
    X, Y = rng.standard_normal((2, 30, 3))
    X[:6] = level
    X[6:] += level - X[6:].mean(axis=0)  # the mean of the train samples is that of the fold
    expected = []
    for test in np.array_split(np.arange(30), 5)[1:]:
        train = np.setdiff1d(np.arange(30), test)
        mean = X[train].mean(axis=0)
        A = np.c_[Y, np.ones(30)]
        t, P = X[test] - mean, A[test] @ np.linalg.lstsq(A[train], X[train])[0] - mean
        about = t - t.mean(axis=0) if "testmean" in name else t
        r2 = 1 - np.sum((t - P) ** 2) / np.sum(about**2)
        cosine = np.sum(t * P) / np.linalg.norm(t) / np.linalg.norm(P)
        expected.append(cosine if "pearson" in name else r2)
    sides = (X, Y) if direction == "y_to_x" else (Y, X)
    score = simopt.score(*sides, name, direction=direction)
    assert score == pytest.approx(np.mean(expected), rel=1e-9)
    standing = simopt.compare(*sides, measures=(name,), draws=0, direction=direction).standings[0]
    left_out = f"1 of 5 test sets left out, all units of {'XY'[direction == 'x_to_y']} being constant there"
    assert left_out in " ".join(standing.notes)


def test_x_that_is_constant_in_every_fold_has_no_score(rng: np.random.Generator) -> None:
    X = np.repeat(np.arange(5.0), 6)[:, None]
    with pytest.raises(InputError, match="X is constant within each of 5 folds"):
        simopt.score(X, rng.standard_normal((30, 3)), "linreg-r2-testmean-5folds_cv")


def test_pooled_test_sets_are_told_and_have_a_gradient(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 12, 2))
    notes = simopt.compare(X, Y, measures=("linreg_cv5",), draws=0).standings[0].notes
    assert "the smallest test set has 2 samples, fewer than 3" in " ".join(notes)
    leaf = torch.from_numpy(Y).requires_grad_()
    assert torch.autograd.gradcheck(measures.get("linreg_cv5").bind(X), leaf)
