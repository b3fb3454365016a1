"""Attribution: every change against the score of the data without that part."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import simopt
from simopt import datasets, measures
from simopt.analysis.attribution import leave_one_pc, leave_one_sample, leave_one_unit
from simopt.analysis.attribution.nuclear import nuclear_norms_without
from simopt.errors import InputError
from simopt.rows import Rows

SHAPES = {  # samples, units of X, units of Y
    "tall": (40, 6, 5),
    "wide": (12, 30, 25),
    "wide_x": (12, 30, 4),
    "wide_y": (12, 4, 30),
    "square": (9, 8, 8),
}
DOWNDATED: dict[str, dict] = {
    "cka": {},
    "cka_angular": {},
    "cka_debiased": {},
    "nbs": {},
    "nbs_squared": {},
    "procrustes_angular": {},
    "procrustes_angle": {},
    "procrustes_euclidean": {},
    "procrustes_normalized": {},
    "rsa_correlation_corr": {},
    "rv_adjusted": {},
    "ensd": {},
    "linreg": {},
    "ridge1": {},
    "ridge100": {},
}
OPTIONS = [
    ("cka", {"estimator": "zero_diagonal"}),
    ("linreg", {"direction": "both"}),
    ("linreg", {"direction": "x_to_y", "form": "angle"}),
    ("ridge1", {"statistic": "pearson"}),
    ("ridge100", {"direction": "both", "statistic": "pearson", "form": "squared"}),
    ("procrustes_euclidean", {"form": "squared"}),
    ("procrustes_normalized", {"form": "disparity"}),
    ("procrustes_normalized", {"form": "similarity"}),
]
CASES = [*DOWNDATED.items(), *OPTIONS]
BY_FORMULA = {"cka", "cka_angular", "nbs", "nbs_squared", "procrustes_angular", "rsa_correlation_corr"}
REFITTED = ["cka_rbf", "linreg_cv5", "rsa", "mutual_knn", "svcca", "pwcca", "procrustes_euclidean"]

ids = [f"{name}{'-' if options else ''}{'-'.join(map(str, options.values()))}" for name, options in CASES]
every_downdate = pytest.mark.parametrize(("name", "options"), CASES, ids=ids)


def pair(shape: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, p, q = SHAPES[shape]
    X = rng.standard_normal((n, p))
    return X, X @ rng.standard_normal((p, q)) / 2 + rng.standard_normal((n, q))


def by_refit(X: np.ndarray, Y: np.ndarray, measure: measures.Measure) -> np.ndarray:
    rows = range(len(X))
    return np.array([simopt.score(np.delete(X, j, 0), np.delete(Y, j, 0), measure) for j in rows])


def equal(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@every_downdate
def test_a_downdate_is_the_refit(shape: str, name: str, options: dict) -> None:
    X, Y = pair(shape)
    measure = measures.get(name, **options)
    result = leave_one_sample(X, Y, measure)
    assert result.route == "downdate"
    assert result.score == simopt.score(X, Y, measure)
    equal(result.score + result.change, by_refit(X, Y, measure))


@pytest.mark.parametrize("kind", ["offset", "rank_deficient", "one_unit", "float32"])
@every_downdate
def test_a_downdate_is_the_refit_of_awkward_data(kind: str, name: str, options: dict) -> None:
    X, Y = pair("tall", seed=1)
    if kind == "offset":
        X, Y = X + 1e4, 1e-2 * Y - 3e2
    if kind == "rank_deficient":
        Y = Y[:, :2] @ np.random.default_rng(0).standard_normal((2, 7))
    if kind == "one_unit":
        Y = Y[:, :1]
    if kind == "float32":
        X, Y = X.astype("float32"), Y.astype("float32")
    measure = measures.get(name, **options)
    result = leave_one_sample(X, Y, measure)
    assert result.refitted == 0
    equal(result.score + result.change, by_refit(X, Y, measure))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(6, 14),
    p=st.integers(1, 16),
    q=st.integers(1, 16),
    decay=st.floats(0, 6),
    seed=st.integers(0, 2**16),
    name=st.sampled_from(["cka", "cka_debiased", "nbs", "procrustes_euclidean", "linreg", "ridge1"]),
)
def test_any_shape_and_spectrum(n: int, p: int, q: int, decay: float, seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((n, p)), rng.standard_normal((n, q))
    X, Y = X * np.logspace(0, -decay, p), Y * np.logspace(-decay, 0, q)
    result = leave_one_sample(X, Y, name)
    equal(result.score + result.change, by_refit(X, Y, measures.get(name)))


@pytest.mark.parametrize("name", ["cka", "nbs", "linreg", "procrustes_euclidean", "cka_debiased"])
def test_where_a_sample_holds_nearly_everything_it_is_scored_anew(name: str) -> None:
    X, Y = pair("tall")
    X[3] *= 1e5
    Y[3] *= 1e4
    result = leave_one_sample(X, Y, name)
    assert 1 <= result.refitted <= len(X)
    assert result.share[3] > 0.97
    equal(result.score + result.change, by_refit(X, Y, measures.get(name)))


@pytest.mark.parametrize("name", REFITTED)
def test_every_route_of_a_sample_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = pair("tall")
    auto = leave_one_sample(X, Y, name)
    monkeypatch.setattr("simopt.analysis.attribution.scores_without_each", lambda *_: None)
    refit = leave_one_sample(X, Y, name)
    assert (refit.route, refit.refitted) == ("refit", 40)
    assert auto.route == ("downdate" if name == "procrustes_euclidean" else "refit")
    equal(auto.change, refit.change)
    equal(refit.change + refit.score, by_refit(X, Y, measures.get(name)))


def test_what_is_scored_anew_is_told() -> None:
    calls: list[tuple[int, int]] = []
    leave_one_sample(*pair("square"), "rsa", observe=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 9) for done in range(1, 10)]


def without_pc(X: np.ndarray, pc: int) -> np.ndarray:
    """Return the PC scores of X but those of one PC, and the responses less that PC."""
    left, values, axes = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    keep = (np.arange(len(values)) != pc) & (values > 1e-9 * values[0])
    return (left[:, keep] * values[keep]) @ axes[keep] + X.mean(axis=0)


@pytest.mark.parametrize("shape", SHAPES)
@every_downdate
def test_a_score_without_a_pc(shape: str, name: str, options: dict) -> None:
    X, Y = pair(shape)
    measure = measures.get(name, **options)
    result = leave_one_pc(X, Y, measure)
    assert len(result.change) == min(X.shape[1], len(X) - 1)
    by_formula = (name in BY_FORMULA and not options) or "ridge" in name or "linreg" in name
    assert result.route == ("closed form" if by_formula else "refit")
    wanted = [simopt.score(without_pc(X, i), Y, measure) for i in range(len(result.change))]
    equal(result.score + result.change, np.array(wanted))


@pytest.mark.parametrize(
    "name", ["rsa", "rsa_cosine", "cca", "svcca", "linreg_cv5", "soft_matching_distance"]
)
def test_a_score_without_a_pc_of_measures_that_see_more_than_moments(name: str) -> None:
    X, Y = pair("tall")
    X = X + 3
    result = leave_one_pc(X, Y, name)
    assert result.route == "refit"
    equal(result.score + result.change, np.array([simopt.score(without_pc(X, i), Y, name) for i in range(6)]))


def test_the_change_of_cka_without_a_pc_as_the_textbook_has_it() -> None:
    """CKA = sum_i lambda_i |u_i'Y|^2 / (||lambda|| ||Y'Y||)."""
    X, Y = pair("tall")
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    left, values, _ = np.linalg.svd(X, full_matrices=False)
    terms = values**2 * ((left.T @ Y) ** 2).sum(axis=1)
    for i, change in enumerate(leave_one_pc(X, Y, "cka").change):
        others = np.arange(6) != i
        left_out = terms[others].sum() / (np.linalg.norm(values[others] ** 2) * np.linalg.norm(Y.T @ Y))
        assert change == pytest.approx(left_out - simopt.score(X, Y), abs=1e-12)


def test_a_pc_that_holds_nearly_everything() -> None:
    X, Y = pair("tall")
    X[:, 0] *= 1e6
    wanted = simopt.score(without_pc(X, 0), Y, "nbs")
    result = leave_one_pc(X, Y, "nbs")
    assert result.refitted >= 1
    assert result.score + result.change[0] == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("shape", ["tall", "wide", "wide_x"])
@pytest.mark.parametrize("side", ["X", "Y"])
@pytest.mark.parametrize("name", ["cka", "nbs", "procrustes_angular", "cka_debiased", "linreg", "ridge1"])
def test_a_score_without_a_unit(name: str, side: str, shape: str) -> None:
    X, Y = pair(shape)
    result = leave_one_unit(X, Y, name, side=side)
    assert result.part == f"unit of {side}"
    assert result.route == ("closed form" if name in BY_FORMULA else "refit")

    def without(u: int) -> float:
        kept = (np.delete(X, u, 1), Y) if side == "X" else (X, np.delete(Y, u, 1))
        return simopt.score(*kept, name)

    equal(result.score + result.change, np.array([without(u) for u in range(len(result.change))]))
    variances = np.var(X if side == "X" else Y, axis=0)
    np.testing.assert_allclose(result.share, variances / variances.sum())


@pytest.mark.parametrize("name", ["cka", "procrustes_angular", "ridge1", "rsa_cosine", "gulp"])
def test_the_first_order_change_is_the_slope_towards_absence(name: str) -> None:
    X, Y = pair("tall")
    Y = Y + 2
    first_order = leave_one_unit(X, Y, name).first_order
    step = 1e-5
    for u in range(5):
        shrunk, grown = Y.copy(), Y.copy()
        shrunk[:, u] *= 1 - step
        grown[:, u] *= 1 + step
        slope = (simopt.score(X, shrunk, name) - simopt.score(X, grown, name)) / (2 * step)
        assert first_order[u] == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_where_there_is_no_slope() -> None:
    X, Y = pair("tall")
    assert leave_one_unit(X, Y, "mutual_knn").first_order is None
    assert leave_one_unit(X, Y, "cka", side="X").first_order is None
    function = measures.FunctionMeasure(name="own", function=lambda X, Y: float((Y.detach() ** 2).sum()))
    result = leave_one_unit(X, Y, function)
    assert result.first_order is None
    np.testing.assert_allclose(result.change, -np.square(Y).sum(axis=0))
    np.testing.assert_allclose(leave_one_unit(X, Y, "linreg").first_order, 0, atol=1e-10)


@pytest.mark.parametrize("shape", [(7, 7), (7, 4), (4, 7), (1, 1), (1, 5)])
@pytest.mark.parametrize("kind", ["plain", "steep", "rank_one", "zero", "vanishing"])
def test_nuclear_norms_after_a_change_of_rank_one(shape: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal(shape)
    left, right, weight = rng.standard_normal((9, shape[0])), rng.standard_normal((9, shape[1])), 1.3
    if kind == "steep":
        A = np.diag(np.logspace(0, -9, shape[0])) @ A
    if kind == "rank_one":
        A = np.outer(A[:, 0], A[0])
    if kind == "zero":
        A = 0 * A
    if kind == "vanishing":  # rows of A are taken away: its rank falls
        left, right, weight = np.eye(shape[0]), A, 1.0
    norms = nuclear_norms_without(*map(torch.from_numpy, (A, left, right)), weight).numpy()
    wanted = [
        np.linalg.svd(A - weight * np.outer(u, v), compute_uv=False).sum()
        for u, v in zip(left, right, strict=True)
    ]
    np.testing.assert_allclose(norms, wanted, rtol=0, atol=1e-12 * max(1.0, *wanted))


def test_nothing_to_change_in_nothing() -> None:
    zero = torch.zeros(3, 2, dtype=torch.float64)
    assert nuclear_norms_without(zero, zero.mT, torch.zeros(2, 2, dtype=torch.float64)).tolist() == [0, 0]


def test_a_condition_is_left_out_with_all_its_times() -> None:
    X, Y = (side.reshape(4, 10, -1) for side in pair("tall"))
    result = leave_one_sample(X, Y)
    assert (result.part, len(result.change)) == ("condition", 10)
    kept = np.delete(X, 3, axis=1), np.delete(Y, 3, axis=1)
    assert result.change[3] == pytest.approx(simopt.score(*kept) - simopt.score(X, Y), abs=1e-12)
    np.testing.assert_allclose(result.share.sum(), 1)


def test_folds_keep_groups_together_whatever_is_left_out() -> None:
    X, Y = pair("tall")
    group = np.arange(40) % 8
    whole = simopt.score(X, Y, "linreg_cv5", groups=group)
    for leave_one in (leave_one_pc, leave_one_sample, leave_one_unit):
        result = leave_one(X, Y, "linreg_cv5", rows=Rows(group))
        assert result.score == whole
    expected = simopt.score(X, Y[:, 1:], "linreg_cv5", groups=group)
    assert result.score + result.change[0] == pytest.approx(expected, abs=1e-12)


def test_a_group_is_left_out_whole() -> None:
    X, Y = pair("tall")
    group = np.arange(40) % 8
    result = leave_one_sample(X, Y, "nbs", rows=Rows(group))
    kept = group != 5
    expected = simopt.score(X[kept], Y[kept], "nbs") - simopt.score(X, Y, "nbs")
    assert (result.part, result.route) == ("group", "refit")
    assert result.change[5] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(result.share.sum(), 1)
    with pytest.raises(InputError, match="without group 0 there are 2"):
        leave_one_sample(X, Y, rows=Rows(np.repeat([0, 1], [38, 2])))


def test_a_sample_that_only_brings_x_and_y_closer_comes_first() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((50, 5)), rng.standard_normal((50, 5))
    X[7] = Y[7] = 6 * rng.standard_normal(5)
    result = leave_one_sample(X, Y)
    assert result.ranking()[0] == 7
    assert result.change[7] < -0.1
    far = leave_one_sample(X, Y, "procrustes_normalized")
    assert (far.larger_is_closer, far.ranking()[0]) == (False, 7)
    assert far.change[7] > 0.1


def test_undefined_changes_come_last_with_a_reason() -> None:
    X, Y = pair("tall")
    X = np.zeros_like(X)
    X[5] = 1
    result = leave_one_sample(X, Y)
    assert np.isnan(result.change).tolist() == [j == 5 for j in range(40)]
    assert result.ranking()[-1] == 5
    assert result.reason == "sample 5: X is the same in all 39 samples; give data that vary."


X3 = np.random.default_rng(0).standard_normal((3, 2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda X, Y: leave_one_sample(X3, X3), "X has 3 samples; without sample 0 there are 2"),
        (lambda X, Y: leave_one_sample(X, Y[1:]), "X has 40 samples and Y has 39"),
        (lambda X, Y: leave_one_sample(X[:4], Y[:4], "cka_debiased"), "undefined whichever sample is left"),
        (lambda X, Y: leave_one_sample(X, Y, "linreg_cv5", conditions=10), "multiple of 10 conditions"),
        (lambda X, Y: leave_one_pc(X[:, :1], Y), "X has only one principal component"),
        (lambda X, Y: leave_one_unit(X, Y[:, :1]), "Y has only one unit"),
        (lambda X, Y: leave_one_unit(X[:, :1], Y, side="X"), "X has only one unit"),
        (lambda X, Y: leave_one_pc(X, np.ones_like(Y)), "Y is the same in all 40 samples"),
        (lambda X, Y: leave_one_pc(X, Y, "ckaa"), "the nearest: cka"),
    ],
)
def test_what_cannot_be_attributed(call: Callable, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call(*pair("tall"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cka", "cka_debiased", "nbs", "procrustes_euclidean", "linreg", "ridge100"])
def test_downdates_are_20_times_faster_than_refits(name: str) -> None:
    """Of 3,200 x 168; the time of 3,200 refits is extrapolated from six of them."""
    X = datasets.load("majaj", source="surrogate").responses
    Y = X @ np.random.default_rng(0).standard_normal((168, 168)) / 13
    Y += np.random.default_rng(1).standard_normal(X.shape)
    fast, slow = [], []
    for chosen in ((0, 1599), (77, 2048), (801, 3199)):
        start = time.perf_counter()
        result = leave_one_sample(X, Y, name)
        middle = time.perf_counter()
        for j in chosen:
            refit = simopt.score(np.delete(X, j, 0), np.delete(Y, j, 0), name)
            assert result.score + result.change[j] == pytest.approx(refit, rel=1e-8)
        slow.append((time.perf_counter() - middle) / len(chosen) * len(X))
        fast.append(middle - start)
    assert result.refitted == 0
    assert statistics.median(slow) > 20 * statistics.median(fast)
