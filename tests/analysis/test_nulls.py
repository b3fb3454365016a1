"""Nulls against closed forms of random orders, and their percentiles against the uniform distribution."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import kstest, ortho_group

from simopt import measures
from simopt.analysis import nulls as module
from simopt.analysis.nulls import INNOVATIONS, UNRELATED, WITHOUT_COURSE, Null, nulls
from simopt.errors import InputError
from simopt.rows import Rows

NAMES = ("cka", "nbs", "procrustes_angular", "linreg", "rsa_correlation_corr", "ridge100_cv5")


def get(*names: str) -> list[measures.Measure]:
    return [measures.get(name) for name in names]


def decaying(rng: np.random.Generator, samples: int, units: int) -> np.ndarray:
    return 10 * rng.standard_normal((samples, units)) / np.sqrt(np.arange(1, units + 1))


def autoregressive(rng: np.random.Generator, samples: int, units: int, a: float = 0.9) -> np.ndarray:
    return lfilter([1], [1, -a], rng.standard_normal((samples + 100, units)), axis=0)[100:]


def participation(Y: np.ndarray) -> float:
    variances = np.linalg.svd(Y - Y.mean(axis=0), compute_uv=False) ** 2
    return float(variances.sum() ** 2 / (variances**2).sum())


def test_percentiles_of_unrelated_pairs_are_uniform() -> None:
    """Ranks are spread within their step, which is continuous, and p-values multiplied by the measures."""
    rng = np.random.default_rng(2024)
    chosen = get(*NAMES)
    percentiles: dict[str, list[float]] = {name: [] for name in NAMES}
    for pair in range(100):
        X, Y = (decaying(rng, 40, 5) for _ in range(2))
        by_measure = nulls(X, Y, chosen, draws=49, seed=pair)
        for measure in chosen:
            percentile = by_measure[measure.name][UNRELATED].percentile(measures.score(X, Y, measure))
            percentiles[measure.name].append(percentile / 100 + rng.uniform(-0.5, 0.5) / 50)
    least = min(float(kstest(values, "uniform").pvalue) for values in percentiles.values())
    assert len(NAMES) * least > 0.01


def test_a_related_pair_is_beyond_the_null_for_scores_and_distances(rng: np.random.Generator) -> None:
    X = decaying(rng, 60, 6)
    Y = X @ ortho_group.rvs(6, random_state=1) + 2 * rng.standard_normal((60, 6))
    for measure in get(*NAMES, "procrustes_euclidean", "shape_angular"):
        null = nulls(X, Y, [measure], draws=50)[measure.name][UNRELATED]
        score = measures.score(X, Y, measure)
        assert null.percentile(score) == pytest.approx(100 * 50.5 / 51)
        assert null.p_value(score) == pytest.approx(1 / 51)
        assert null.larger_is_closer == measure.facts.larger_is_closer


def test_least_squares_explains_units_over_samples(rng: np.random.Generator) -> None:
    X, Y = decaying(rng, 50, 7), decaying(rng, 50, 12)
    null = nulls(X, Y, get("linreg"), draws=400)["linreg"][UNRELATED]
    assert null.mean == pytest.approx(12 / 49, abs=4 * null.scores.std() / np.sqrt(400))


def test_cka_of_unrelated_data_follows_from_the_participation_ratios(rng: np.random.Generator) -> None:
    # Over all orders of the rows of Y, the mean of ||X'Y||^2 is ||X||^2 ||Y||^2 / (n - 1).
    X, Y = decaying(rng, 50, 7), decaying(rng, 50, 12)
    expected = np.sqrt(participation(X) * participation(Y)) / 49
    null = nulls(X, Y, get("cka"), draws=400)["cka"][UNRELATED]
    assert null.mean == pytest.approx(expected, abs=4 * null.scores.std() / np.sqrt(400))


def test_what_the_samples_are_is_told(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 60, 4))
    (null,) = nulls(X, Y, get("cka"), draws=5)["cka"].values()
    assert (null.kind, null.rows, null.exchanged) == (UNRELATED, "independent", "samples exchanged")
    assert (null.asked, len(null.scores)) == (5, 5)
    grouped = nulls(X, Y, get("cka"), rows=Rows.of(60, np.arange(60) // 3), draws=5)["cka"][UNRELATED]
    assert (grouped.rows, grouped.exchanged) == ("groups", "groups exchanged")


def test_dependent_samples_have_a_null_of_innovations_with_its_own_score(rng: np.random.Generator) -> None:
    X, Y = (autoregressive(rng, 200, 5) for _ in range(2))
    drawn = nulls(X, Y, get("cka"), draws=40)["cka"]
    assert list(drawn) == [UNRELATED, INNOVATIONS]
    assert {null.rows for null in drawn.values()} == {"time"}
    # The innovations of AR(1) series with the same coefficient are independent rows.
    filtered = X[1:] - 0.9 * X[:-1], Y[1:] - 0.9 * Y[:-1]
    assert drawn[INNOVATIONS].observed == pytest.approx(measures.score(*filtered), abs=0.02)
    related = X @ rng.standard_normal((5, 5)) + 2 * autoregressive(rng, 200, 5)
    of_related = nulls(X, related, get("cka"), draws=40)["cka"][INNOVATIONS]
    assert of_related.percentile(of_related.observed) == pytest.approx(100 * 40.5 / 41)


def test_walks_have_no_null_but_that_of_their_innovations(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 200, 20)).cumsum(axis=1)
    drawn = nulls(X, Y, get("cka"), draws=40)["cka"]
    score = measures.score(X, Y)
    assert score > 0.5
    assert np.isnan(drawn[UNRELATED].percentile(score))
    assert "independent comparisons; 4 are needed" in drawn[UNRELATED].reason(score)
    assert np.isfinite(drawn[INNOVATIONS].percentile(drawn[INNOVATIONS].observed))


def test_conditions_are_exchanged_with_their_times_and_compared_without_their_course(
    rng: np.random.Generator,
) -> None:
    course = 5 * rng.standard_normal((6, 1, 4))
    X, Y = (course + rng.standard_normal((6, 10, 4)) for _ in range(2))
    drawn = nulls(X, Y, get("cka"), draws=30)["cka"]
    assert list(drawn) == [UNRELATED, WITHOUT_COURSE]
    flat = nulls(X.reshape(60, 4), Y.reshape(60, 4), get("cka"), draws=30, conditions=10)["cka"]
    np.testing.assert_array_equal(drawn[UNRELATED].scores, flat[UNRELATED].scores)
    assert drawn[UNRELATED].scores.min() > 0.5  # the course stays aligned
    without = [side - side.mean(axis=1, keepdims=True) for side in (X, Y)]
    assert drawn[WITHOUT_COURSE].observed == pytest.approx(measures.score(*without), abs=1e-12)
    assert drawn[WITHOUT_COURSE].scores.max() < 0.5


def test_the_common_course_is_taken_out_within_blocks(rng: np.random.Generator) -> None:
    session = np.repeat(np.arange(4), 10)
    offset = 30 * rng.standard_normal((4, 3))[session]
    X, Y = (offset + rng.standard_normal((5, 40, 3)) for _ in range(2))
    rows = Rows.of(200, blocks=np.tile(session, 5))
    drawn = nulls(X, Y, get("cka"), rows=rows, draws=20)["cka"]
    for null in drawn.values():
        assert null.scores.min() > 0.9  # sessions stay where they are, and their offsets are all there is
    assert list(drawn) == [UNRELATED, WITHOUT_COURSE]


def test_folds_keep_conditions_together_without_their_course_too(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 10, 4))
    Y = X[..., :3] + rng.standard_normal((8, 10, 3))
    rows = Rows.of(80, np.tile(np.arange(10), 8))
    null = nulls(X, Y, get("linreg_cv5"), rows=rows, draws=3)["linreg_cv5"][WITHOUT_COURSE]
    without = [side - side.mean(axis=1, keepdims=True) for side in (X, Y)]
    assert null.observed == measures.score(*without, "linreg_cv5", groups=rows.groups)
    assert null.observed != measures.score(*without, "linreg_cv5")


def test_a_comparison_that_cannot_be_made_costs_no_other(rng: np.random.Generator) -> None:
    X = np.arange(200.0)[:, None] * [1, 2]  # without innovations
    drawn = nulls(X, rng.standard_normal((200, 2)).cumsum(axis=0), get("cka"), draws=5)["cka"]
    assert "cka cannot be computed" in drawn[INNOVATIONS].reason(drawn[INNOVATIONS].observed)
    assert len(nulls(X[:, None], X[:, None], get("cka"), draws=5)["cka"]) == 2  # one condition is a series


def test_few_exchanges_are_all_made_once_whatever_was_asked_for(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 3, 5, 4))
    null = nulls(X, Y, get("cka"), draws=7)["cka"][UNRELATED]
    assert (len(null.scores), null.asked) == (119, 7)
    assert len(np.unique(null.scores.round(12))) == 119
    assert len(null.first(3).scores) == 119
    flat = X.reshape(15, 4), Y.reshape(15, 4)
    random = nulls(*flat, get("cka"), draws=7, rows=Rows(order="independent"))["cka"][UNRELATED]
    assert len(random.first(3).scores) == 3
    four = nulls(X[:, :3], Y[:, :3], get("cka"), draws=7)["cka"][UNRELATED]
    assert len(four.scores) == 0
    assert "6 orders are possible for" in four.reason(0.5)


def test_a_recording_made_with_the_same_seed_is_as_unrelated(rng: np.random.Generator) -> None:
    for seed in range(3):
        X = np.random.default_rng(seed).standard_normal((30, 4))
        for null in nulls(X, rng.standard_normal((30, 4)), get("cka"), draws=20, seed=seed)["cka"].values():
            assert null.scores.max() < 0.6


def test_draws_do_not_depend_on_batches_their_number_or_other_measures(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = (autoregressive(rng, 60, 4, 0.5) for _ in range(2))
    together = nulls(X, Y, get("cka", "linreg"), draws=7, seed=3)
    monkeypatch.setattr(module, "_BATCH", 3 * 4 * 60 * 60)
    for kind, null in together["cka"].items():
        alone = nulls(X, Y, get("cka"), draws=9, seed=3)["cka"][kind]
        np.testing.assert_allclose(alone.scores[:7], null.scores, rtol=1e-12)
    other = nulls(X, Y, get("cka"), draws=7, seed=4)["cka"][UNRELATED]
    assert not np.allclose(other.scores, together["cka"][UNRELATED].scores)


def test_percentiles_count_ranks_and_ties() -> None:
    null = Null(UNRELATED, np.array([0.1, 0.2, 0.2, 0.4]), larger_is_closer=True)
    assert null.percentile(0.05) == pytest.approx(10)
    assert null.percentile(0.2) == pytest.approx(50)
    assert null.percentile(0.5) == pytest.approx(90)
    assert (null.p_value(0.05), null.p_value(0.2), null.p_value(0.5)) == (1, 0.8, 0.2)
    distance = Null(UNRELATED, null.scores, larger_is_closer=False)
    assert distance.percentile(0.05) == pytest.approx(90)
    assert distance.p_value(0.05) == 0.2
    assert (null.mean, null.end, distance.end) == pytest.approx((0.225, 0.37, 0.115))
    assert np.isnan(null.percentile(np.nan))
    assert np.isnan(null.percentile(-np.inf))
    assert np.isnan(Null(UNRELATED, np.array([0.1, np.nan]), larger_is_closer=True).p_value(0.5))


def test_scores_that_differ_by_rounding_are_ties() -> None:
    null = Null(UNRELATED, np.array([0.5, 0.5 + 1e-9, 0.7]), larger_is_closer=True, rounding=1e-8)
    assert null.percentile(0.5 - 1e-9) == pytest.approx(100 * (0 + 1 + 0.5) / 4)
    assert null.p_value(0.7 + 1e-9) == pytest.approx(0.5)


@pytest.mark.parametrize(("x_units", "y_units"), [(50, 60), (3, 60)])
@pytest.mark.parametrize("name", ["cca_angle", "linreg"])
def test_a_measure_that_is_the_same_for_all_data_has_no_percentile(
    name: str, x_units: int, y_units: int, rng: np.random.Generator
) -> None:
    X, Y = rng.standard_normal((20, x_units)), rng.standard_normal((20, y_units))
    score = measures.score(X, Y, name)
    null = nulls(X, Y, get(name), draws=30)[name][UNRELATED]
    assert np.isnan(null.percentile(score))
    assert "saturated" in null.reason(score)


def test_what_cannot_be_drawn_or_scored_is_refused(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3))
    cka = get("cka")
    with pytest.raises(InputError, match="20 samples cannot be 6 conditions"):
        nulls(X, X, cka, conditions=6)
    with pytest.raises(InputError, match="samples"):
        nulls(X, X[:10], cka)
    with pytest.raises(InputError, match="rsa_crossnobis"):
        nulls(X, X, [*cka, *get("rsa_crossnobis")])
