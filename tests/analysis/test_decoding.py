"""Decoding against scikit-learn called by hand, its chance, its folds, its refusals."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from simopt.analysis.decoding import PUBLISHED, Decoder
from simopt.errors import InputError


def data(rng: np.random.Generator, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """3 time bins of 60 conditions and 8 units; three classes that only the last two bins tell apart."""
    labels = np.repeat(["a", "b", "c"], [30, 20, 10])
    rng.shuffle(labels)
    responses = rng.standard_normal((3, 60, 8))
    responses[1:, :, :3] += strength * (labels[:, None] == ["a", "b", "c"])
    return responses, labels


@pytest.mark.parametrize("standardise", [True, False])
def test_accuracy_is_that_of_a_loop_by_hand(rng: np.random.Generator, standardise: bool) -> None:
    responses, labels = data(rng)
    responses *= np.exp(rng.uniform(-4, 4, 8))
    found = Decoder(standardise=standardise, seed=3).decode(responses, labels)
    expected = []
    for each in responses:
        right = []
        for train, test in StratifiedKFold(5, shuffle=True, random_state=3).split(each, labels):
            mean, scale = (each[train].mean(axis=0), each[train].std(axis=0)) if standardise else (0, 1)
            fitted = LogisticRegression(max_iter=1000).fit((each[train] - mean) / scale, labels[train])
            right.append(np.mean(fitted.predict((each[test] - mean) / scale) == labels[test]))
        expected.append(np.mean(right))
    np.testing.assert_allclose(found.over_time, expected)
    assert found.accuracy == pytest.approx(np.mean(expected))
    assert (found.chance, found.classes, found.folds) == (0.5, 3, 5)


def test_what_is_there_is_decoded_and_what_is_not_stays_at_chance(rng: np.random.Generator) -> None:
    responses, labels = data(rng, strength=6)
    found = Decoder().decode(responses, labels)
    assert found.over_time[0] < 0.65
    assert (found.over_time[1:] > 0.95).all()
    assert Decoder().decode(responses[1], labels).over_time.shape == (1,)


def test_standardising_frees_it_from_the_unit_of_measurement(rng: np.random.Generator) -> None:
    responses, labels = data(rng, strength=2)
    small, large = (Decoder().decode(scale * responses, labels).accuracy for scale in (1e-4, 1e4))
    assert small == large
    assert PUBLISHED.decode(1e-4 * responses, labels).accuracy < small - 0.1


def test_rare_classes_take_fewer_folds_and_rarer_ones_are_refused(rng: np.random.Generator) -> None:
    responses = rng.standard_normal((20, 4))
    labels = np.arange(20) % 10
    assert Decoder().decode(responses, labels).folds == 2
    with pytest.raises(InputError, match="class 99 has one condition only"):
        Decoder().decode(responses, np.where(np.arange(20) == 3, 99, 0))
    with pytest.raises(InputError, match="all 20 labels are"):
        Decoder().decode(responses, np.zeros(20))
    with pytest.raises(InputError, match=r"shape \(19,\); expected one for each of the 20"):
        Decoder().decode(responses, np.zeros(19))


@pytest.mark.parametrize(
    "options", [{"penalty": 0}, {"penalty": float("nan")}, {"folds": 1}, {"seed": -1}, {"max_iter": 0}]
)
def test_options_that_cannot_be(options: dict) -> None:
    with pytest.raises(InputError, match="of the decoder is"):
        Decoder(**options)
