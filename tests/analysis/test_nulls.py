"""Nulls against closed forms of random geometry, and their percentiles against the uniform distribution."""

import numpy as np
import pytest
from scipy.stats import kstest, ortho_group

from simopt import measures
from simopt.analysis import nulls as module
from simopt.analysis.nulls import KINDS, Null, deconvolve, haar, nulls
from simopt.errors import InputError

NAMES = ("cka", "nbs", "procrustes_angular", "linreg", "rsa_correlation_corr", "ridge100_cv5")


def get(*names: str) -> list[measures.Measure]:
    return [measures.get(name) for name in names]


def decaying(rng: np.random.Generator, samples: int, units: int) -> np.ndarray:
    return 10 * rng.standard_normal((samples, units)) / np.sqrt(np.arange(1, units + 1))


def spectrum(Y: np.ndarray) -> np.ndarray:
    return np.linalg.svd(Y - Y.mean(axis=0), compute_uv=False)


def participation(Y: np.ndarray) -> float:
    variances = spectrum(Y) ** 2
    return float(variances.sum() ** 2 / (variances**2).sum())


def drawn(kind: str, Y: np.ndarray, count: int, conditions: int | None = None) -> np.ndarray:
    return module._drawing(kind, Y, np.random.default_rng(1), conditions)(count)


def least_uniform(samples: int, units: int, kind: str, pairs: int, draws: int) -> float:
    """The smallest p-value, over measures, of the Kolmogorov test on percentiles of unrelated pairs.

    Ranks are spread within their step, (rank + u) / (draws + 1), which is continuous; the p-value is
    multiplied by the number of measures that it is the smallest of (Bonferroni).
    """
    rng = np.random.default_rng(2024)
    chosen = get(*NAMES)
    percentiles: dict[str, list[float]] = {name: [] for name in NAMES}
    for pair in range(pairs):
        X, Y = (decaying(rng, samples, units) for _ in range(2))
        by_measure = nulls(X, Y, chosen, kinds=[kind], draws=draws, seed=pair)
        for measure in chosen:
            percentile = by_measure[measure.name][kind].percentile(measures.score(X, Y, measure))
            spread = rng.uniform(-0.5, 0.5) / (draws + 1)
            percentiles[measure.name].append(percentile / 100 + spread)
    return len(NAMES) * min(float(kstest(values, "uniform").pvalue) for values in percentiles.values())


@pytest.mark.parametrize("kind", KINDS)
def test_percentiles_of_unrelated_pairs_are_uniform(kind: str) -> None:
    assert least_uniform(40, 5, kind, pairs=100, draws=49) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_percentiles_are_uniform_for_half_as_many_units_as_samples(kind: str) -> None:
    assert least_uniform(60, 30, kind, pairs=400, draws=49) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_related_pair_is_beyond_the_null_for_scores_and_distances(
    rng: np.random.Generator, kind: str
) -> None:
    X = decaying(rng, 60, 6)
    Y = X @ ortho_group.rvs(6, random_state=1) + 2 * rng.standard_normal((60, 6))
    for measure in get(*NAMES, "procrustes_euclidean", "shape_angular"):
        null = nulls(X, Y, [measure], kinds=[kind], draws=50)[measure.name][kind]
        score = measures.score(X, Y, measure)
        assert null.percentile(score) == pytest.approx(100 * 50.5 / 51)
        assert null.p_value(score) == pytest.approx(1 / 51)
        assert null.larger_is_closer == measure.facts.larger_is_closer


def test_least_squares_explains_units_over_samples(rng: np.random.Generator) -> None:
    X, Y = decaying(rng, 50, 7), decaying(rng, 50, 12)
    for null in nulls(X, Y, get("linreg"), draws=400)["linreg"].values():
        error = null.scores.std() / np.sqrt(400)
        assert null.mean == pytest.approx(12 / 49, abs=4 * error)


def test_cka_of_unrelated_data_follows_from_the_participation_ratios(rng: np.random.Generator) -> None:
    # E ||F'U S||^2 = ||F||^2 ||S||^2 / (n - 1) for U of random directions orthogonal to the constant one.
    X, Y = decaying(rng, 50, 7), decaying(rng, 50, 12)
    expected = np.sqrt(participation(X) * participation(Y)) / 49
    by_kind = nulls(X, Y, get("cka"), kinds=["unrelated", "shuffled"], draws=400)["cka"]
    for null in by_kind.values():
        assert null.mean == pytest.approx(expected, abs=4 * null.scores.std() / np.sqrt(400))


def test_unrelated_data_keep_spectrum_mean_and_unit_covariance(rng: np.random.Generator) -> None:
    for samples, units in ((30, 5), (8, 20)):
        Y = decaying(rng, samples, units) + 100
        for Z in drawn("unrelated", Y, 3):
            np.testing.assert_allclose(spectrum(Z), spectrum(Y), atol=1e-11)
            np.testing.assert_allclose(Z.mean(axis=0), Y.mean(axis=0), atol=1e-11)
            np.testing.assert_allclose(np.cov(Z.T), np.cov(Y.T), atol=1e-10)
            assert not np.allclose(Z, Y)


def test_sample_directions_are_haar_distributed() -> None:
    # Entries of a random unit vector orthogonal to the constant one: mean square 1 / n, of either sign.
    columns = haar(np.random.default_rng(0).standard_normal((4000, 6, 3)))
    np.testing.assert_allclose(columns.mT @ columns, np.broadcast_to(np.eye(3), (4000, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(columns.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=4 / np.sqrt(6 * 4000))
    np.testing.assert_allclose((columns**2).mean(axis=0), 1 / 6, atol=4 * np.sqrt(0.05 / 4000))


def test_gaussian_samples_have_the_spectrum_on_average_and_not_each(rng: np.random.Generator) -> None:
    ratios, naive = [], []
    for _ in range(60):
        Y = decaying(rng, 60, 30)
        ratios.append(np.mean([participation(Z) for Z in drawn("gaussian", Y, 5)]) / participation(Y))
        again = rng.multivariate_normal(Y.mean(axis=0), np.cov(Y.T), size=(2, 60))
        naive.append(np.mean([participation(Z) for Z in again]) / participation(Y))
    assert np.mean(ratios) == pytest.approx(1, abs=0.04)
    assert np.mean(naive) < 0.9
    one, other = drawn("gaussian", Y, 2)
    assert not np.allclose(spectrum(one), spectrum(other), rtol=1e-3)


def test_conditions_are_shuffled_with_all_their_time_bins(rng: np.random.Generator) -> None:
    Y = np.arange(4)[:, None, None] * 100 + np.arange(5)[:, None] + np.zeros((4, 5, 2))
    for Z in drawn("shuffled", Y.reshape(20, 2), 10, conditions=5).reshape(10, 4, 5, 2):
        np.testing.assert_array_equal(np.sort(Z, axis=1), Y)
        np.testing.assert_array_equal(Z - Z[0], Y - Y[0])
    X = rng.standard_normal((4, 5, 3))
    by_shape = nulls(X, X, get("cka"), kinds=["shuffled"], draws=5)["cka"]["shuffled"]
    flat = X.reshape(20, 3)
    by_number = nulls(flat, flat, get("cka"), kinds=["shuffled"], draws=5, conditions=5)["cka"]["shuffled"]
    np.testing.assert_array_equal(by_shape.scores, by_number.scores)


def test_a_recording_made_with_the_same_seed_is_as_unrelated(rng: np.random.Generator) -> None:
    # default_rng([0, 0]) draws what default_rng(0) draws, and the null would be the recording.
    for seed in range(3):
        X = np.random.default_rng(seed).standard_normal((30, 4))
        for null in nulls(X, rng.standard_normal((30, 4)), get("cka"), draws=20, seed=seed)["cka"].values():
            assert null.scores.max() < 0.6


def test_draws_do_not_depend_on_batches_other_kinds_or_other_measures(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = decaying(rng, 20, 4), decaying(rng, 20, 5)
    together = nulls(X, Y, get("cka", "linreg"), draws=7, seed=3)
    monkeypatch.setattr(module, "_BATCH", 3 * 4 * 20 * 20)
    for kind in KINDS:
        alone = nulls(X, Y, get("cka"), kinds=[kind], draws=7, seed=3)["cka"][kind]
        np.testing.assert_allclose(alone.scores, together["cka"][kind].scores, rtol=1e-12)
    other = nulls(X, Y, get("cka"), draws=7, seed=4)["cka"]["unrelated"]
    assert not np.allclose(other.scores, together["cka"]["unrelated"].scores)


def test_deconvolved_variances_simulate_to_the_observed() -> None:
    # A blur that is linear and known: the answer is exact.
    blur = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    truth = np.array([5.0, 2.0, 1.0])
    restored = deconvolve(blur @ truth, lambda variances: blur @ variances, truth.sum(), steps=60)
    np.testing.assert_allclose(restored, truth, rtol=1e-6)


def test_percentiles_count_ranks_and_ties() -> None:
    null = Null("unrelated", np.array([0.1, 0.2, 0.2, 0.4]), larger_is_closer=True)
    assert null.percentile(0.05) == pytest.approx(10)
    assert null.percentile(0.2) == pytest.approx(50)
    assert null.percentile(0.5) == pytest.approx(90)
    assert (null.p_value(0.05), null.p_value(0.2), null.p_value(0.5)) == (1, 0.8, 0.2)
    distance = Null("unrelated", null.scores, larger_is_closer=False)
    assert distance.percentile(0.05) == pytest.approx(90)
    assert distance.p_value(0.05) == 0.2
    assert (null.mean, null.end, distance.end) == pytest.approx((0.225, 0.37, 0.115))
    assert np.isnan(null.percentile(np.nan))
    assert np.isnan(Null("unrelated", np.array([0.1, np.nan]), larger_is_closer=True).p_value(0.5))


def test_what_cannot_be_drawn_or_scored_is_refused(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3))
    cka = get("cka")
    with pytest.raises(InputError, match="20 samples are not 6 conditions"):
        nulls(X, X, cka, conditions=6)
    with pytest.raises(InputError, match="samples"):
        nulls(X, X[:10], cka)
    with pytest.raises(InputError, match="rsa_crossnobis"):
        nulls(X, X, [*cka, *get("rsa_crossnobis")])
