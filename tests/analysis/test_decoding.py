"""Decoding against scikit-learn called by hand, its chance, its folds, its refusals."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from simopt.analysis import run_decoding
from simopt.analysis.decoding import PUBLISHED, Decoder, reference_decoding
from simopt.analysis.good_score import LEVEL
from simopt.analysis.labels import is_continuous
from simopt.datasets import Dataset
from simopt.errors import InputError


def data(rng: np.random.Generator, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """3 time bins of 60 conditions and 8 units; three classes that only the last two bins tell apart."""
    labels = np.repeat(["a", "b", "c"], [30, 20, 10])
    rng.shuffle(labels)
    responses = rng.standard_normal((3, 60, 8))
    responses[1:, :, :3] += strength * (labels[:, None] == ["a", "b", "c"])
    return responses, labels


@pytest.mark.parametrize("standardize", [True, False])
def test_accuracy_is_that_of_a_loop_by_hand(rng: np.random.Generator, standardize: bool) -> None:
    responses, labels = data(rng)
    responses *= np.exp(rng.uniform(-4, 4, 8))
    decoded = Decoder(standardize=standardize, seed=3).decode(responses, labels)
    expected = []
    for one_bin in responses:
        right = []
        for train, test in StratifiedKFold(5, shuffle=True, random_state=3).split(one_bin, labels):
            mean, scale = (one_bin[train].mean(axis=0), one_bin[train].std(axis=0)) if standardize else (0, 1)
            fitted = LogisticRegression(max_iter=1000).fit((one_bin[train] - mean) / scale, labels[train])
            right.append(np.mean(fitted.predict((one_bin[test] - mean) / scale) == labels[test]))
        expected.append(np.mean(right))
    np.testing.assert_allclose(decoded.over_time, expected)
    assert decoded.accuracy == pytest.approx(np.mean(expected))
    assert (decoded.chance, decoded.classes, decoded.folds) == (0.5, 3, 5)


def test_what_is_there_is_decoded_and_what_is_not_stays_at_chance(rng: np.random.Generator) -> None:
    responses, labels = data(rng, strength=6)
    decoded = Decoder().decode(responses, labels)
    assert decoded.over_time[0] < 0.65
    assert (decoded.over_time[1:] > 0.95).all()
    assert Decoder().decode(responses[1], labels).over_time.shape == (1,)


def test_the_p_value_is_the_binomial_tail_of_the_held_out_predictions(rng: np.random.Generator) -> None:
    responses, labels = data(rng, strength=0.5)
    for values, chance in ((labels, 0.5), (rng.standard_normal(60) + responses[1, :, 0], None)):
        right = 0
        kind = KFold if chance is None else StratifiedKFold
        for train, test in kind(5, shuffle=True, random_state=0).split(responses[1], values):
            center, scale = responses[1][train].mean(axis=0), responses[1][train].std(axis=0)
            A, B = ((responses[1][some] - center) / scale for some in (train, test))
            if chance is None:
                guess = Ridge(alpha=1).fit(A, values[train]).predict(B)
                right += np.sum((guess > values[train].mean()) == (values[test] > values[train].mean()))
            else:
                right += np.sum(
                    LogisticRegression(max_iter=1000).fit(A, values[train]).predict(B) == values[test]
                )
        decoded = Decoder().decode(responses[1], values)
        assert decoded.predictions == 60
        assert decoded.p_value == pytest.approx(binom.sf(right - 1, 60, chance or 0.5))


def test_time_bins_add_no_predictions_and_groups_count_once(rng: np.random.Generator) -> None:
    responses, labels = data(rng)
    once = Decoder().decode(responses[1], labels)
    many = Decoder().decode(np.stack([responses[1]] * 4), labels)
    assert (many.predictions, many.p_value) == (60, pytest.approx(once.p_value))
    groups = np.arange(60) % 20
    twofold = (groups % 2).astype(int)
    assert Decoder().decode(responses[1], twofold, groups).predictions == pytest.approx(20)
    # Five groups of 10 conditions and ten of 1: (60)^2 / (5 * 100 + 10).
    uneven = np.concatenate([np.arange(50) // 10, np.arange(5, 15)])
    assert Decoder().plan(rng.permutation(twofold), 60, uneven).predictions == pytest.approx(3600 / 510)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "classes", "units"),
    [
        *((21, 3, 6), (30, 3, 6), (30, 3, 60), (60, 3, 20), (60, 2, 6), (120, 4, 30), (240, 8, 20)),
        *((30, 0, 6), (60, 0, 20)),  # continuous
    ],
)
@pytest.mark.parametrize("size", [1, 3])
def test_labels_that_are_not_there_are_rarely_significant(
    samples: int, classes: int, units: int, size: int
) -> None:
    """With groups of ``size`` conditions that are alike, as many groups as there are conditions without."""
    found, sets = 0, 200
    group = np.repeat(np.arange(samples), size)
    for seed in range(sets):
        rng = np.random.default_rng([seed, samples, classes, units])
        responses = rng.standard_normal((samples, units))[group]
        labels = np.arange(samples) % classes if classes else rng.standard_normal(samples)
        if size > 1:
            responses += 0.3 * rng.standard_normal(responses.shape)
        decoded = Decoder().decode(responses, labels[group], None if size == 1 else group)
        found += decoded.p_value <= LEVEL
    assert found <= binom.ppf(0.999, sets, 0.05)


def test_standardizing_frees_it_from_the_unit_of_measurement(rng: np.random.Generator) -> None:
    responses, labels = data(rng, strength=2)
    small, large = (Decoder().decode(scale * responses, labels).accuracy for scale in (1e-4, 1e4))
    assert small == large
    assert PUBLISHED.decode(1e-4 * responses, labels).accuracy < small - 0.1


@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_a_continuous_variable_is_read_as_ridge_regression_by_hand_does(
    rng: np.random.Generator, penalty: float
) -> None:
    responses = rng.standard_normal((2, 60, 8)) * np.exp(rng.uniform(-4, 4, 8)) + 5
    labels = responses[1] @ rng.standard_normal(8) + rng.standard_normal(60)
    decoder = Decoder(penalty=penalty, seed=2)
    decoded = decoder.decode(responses, labels)
    expected = []
    for one_bin in responses:
        missed = varied = 0.0
        for train, test in KFold(5, shuffle=True, random_state=2).split(one_bin):
            scale = one_bin[train].std(axis=0)
            A, B = ((one_bin[some] - one_bin[train].mean(axis=0)) / scale for some in (train, test))
            mean = labels[train].mean()
            weights = np.linalg.solve(A.T @ A + np.eye(8) / penalty, A.T @ (labels[train] - mean))
            missed += np.sum((labels[test] - mean - B @ weights) ** 2)
            varied += np.sum((labels[test] - mean) ** 2)
        expected.append(1 - missed / varied)
    np.testing.assert_allclose(decoded.over_time, expected, rtol=1e-9)
    assert decoded.over_time[1] > 0.5 > 0.2 > decoded.over_time[0]
    assert (decoded.chance, decoded.classes, decoded.folds) == (0, 0, 5)


@pytest.mark.parametrize(
    ("labels", "continuous"),
    [
        (np.linspace(0, 1, 60), True),
        (np.linspace(0, 1, 60).astype(np.float32), True),
        (np.arange(60.0), False),
        (np.arange(60), False),
        (np.repeat(np.linspace(-0.5, 0.5, 6), 10), False),
        (np.array([f"{number}.5" for number in range(60)]), False),
    ],
)
def test_which_labels_are_continuous(labels: np.ndarray, continuous: bool) -> None:
    assert is_continuous(labels) == continuous


@pytest.mark.parametrize("kind", [np.bytes_, np.str_, object, np.float64, np.bool_])
def test_the_kind_of_labels_does_not_matter(rng: np.random.Generator, kind: type) -> None:
    responses, labels = data(rng)
    names = {np.float64: [-0.5, 0.25], np.bool_: [False, True]}.get(kind, ["other", "this"])
    twofold = (labels == "b").astype(int)
    expected = Decoder().decode(responses, twofold)
    decoded = Decoder().decode(responses, np.array(names, dtype=kind)[twofold])
    np.testing.assert_array_equal(decoded.over_time, expected.over_time)
    assert (decoded.chance, decoded.classes) == (expected.chance, 2)


def test_groups_stay_together_so_that_their_identity_does_not_help(rng: np.random.Generator) -> None:
    groups = np.repeat(np.arange(20), 6)
    responses = 5 * rng.standard_normal((20, 40))[groups] + rng.standard_normal((120, 40))
    labels = rng.permutation(np.arange(20) % 2)[groups]
    angles = rng.standard_normal(20)[groups]
    for variable in (labels, angles):
        for train, test in Decoder().plan(variable, 120, groups).splits:
            assert not set(groups[train]) & set(groups[test])
            assert len(train) + len(test) == 120
        apart, together = (
            Decoder().decode(responses, variable, split_by).accuracy for split_by in (None, groups)
        )
        assert apart > 0.9
        assert together < 0.7


def test_classes_rarer_than_the_folds_are_refused_and_fewer_folds_help(rng: np.random.Generator) -> None:
    responses = rng.standard_normal((20, 4))
    labels = np.arange(20) % 10
    with pytest.raises(InputError, match=r"5 folds .* class 0 has 2; set decoder\.folds=2"):
        Decoder().decode(responses, labels)
    assert Decoder(folds=2).decode(responses, labels).folds == 2


@pytest.mark.parametrize(
    ("labels", "groups", "says"),
    [
        (np.where(np.arange(20) == 3, 99, 0), None, "class 99 has 1; no fewer than 2 folds"),
        (np.zeros(20), None, "all 20 labels are 0.0; give at least two values"),
        (np.zeros(19), None, r"shape \(19,\); .* one value for each of the 20"),
        (np.where(np.arange(20) == 3, np.nan, 0), None, "hold 1 NaN or infinite"),
        (np.arange(20) % 2, np.zeros(3), r"groups .* shape \(3,\)"),
        (np.arange(20) % 2, np.arange(20) % 3, r"5 folds .* groups, but there are 3; set decoder\.folds=3"),
        (np.array([1] * 15 + [2] * 5), np.array([*range(15), *[15] * 5]), "only one class"),
    ],
)
def test_labels_that_cannot_be_decoded(labels: np.ndarray, groups: np.ndarray | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Decoder().decode(np.random.default_rng(0).standard_normal((20, 4)), labels, groups)


def test_too_few_conditions_for_a_regression() -> None:
    with pytest.raises(InputError, match="6 folds .*12 conditions .*there are 11"):
        Decoder(folds=6).decode(np.eye(11), np.linspace(0, 1, 11))


def test_a_dataset_is_decoded_in_as_many_folds_as_its_labels_allow(rng: np.random.Generator) -> None:
    labels = {"rare": np.arange(20) % 10, "even": np.arange(20) % 2, "all": np.zeros(20)}
    responses = rng.standard_normal((20, 4))
    decoded = reference_decoding(Dataset("x", responses, labels))
    assert [decoded["rare"]["folds"], decoded["even"]["folds"]] == [2, 5]
    assert decoded["even"]["accuracy"] == Decoder().decode(responses, labels["even"]).accuracy
    assert decoded["all"].keys() == {"reason"}


@pytest.mark.parametrize(
    "options",
    [
        {"penalty": 0},
        {"penalty": float("nan")},
        {"folds": 1},
        {"seed": -1},
        {"max_iter": 0},
        {"score_step": -1},
        {"variables": "a"},
    ],
)
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(InputError, match=r"of the decoder is|decoder\.variables=a is not a list"):
        Decoder(**options)


def test_responses_that_are_not_finite() -> None:
    responses = np.random.default_rng(0).standard_normal((20, 4))
    responses[3, 1] = np.nan
    with pytest.raises(InputError, match="responses .*NaN"):
        Decoder().decode(responses, np.arange(20) % 2)


def test_groups_of_the_dataset_stay_together_and_are_not_decoded() -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(20), 5)
    responses = rng.standard_normal((20, 40))[image] + 0.1 * rng.standard_normal((100, 40))
    labels = {"image": image, "kind": rng.integers(0, 2, 20)[image]}
    node = {"_target_": "simopt.analysis.decoding.Decoder"}
    decoded = {}
    for groups in (None, ["image"]):
        dataset = Dataset("x", responses, labels, groups=groups)
        decoded[groups is None] = run_decoding.build(node, dataset).decode(dataset.responses)
    assert list(decoded[False]) == ["kind"]
    assert list(decoded[True]) == ["image", "kind"]
    # Kinds are random: only a repeat of the same image in train tells them.
    assert decoded[True]["kind"].accuracy > 0.9
    assert decoded[False]["kind"].accuracy < 0.75
