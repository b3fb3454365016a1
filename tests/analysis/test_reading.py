"""Reading a run at a score, and good scores, against values worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from simopt.analysis.good_score import LEVEL, GoodScore, decoding_words, good_score, good_scores
from simopt.analysis.reading import read_at
from simopt.errors import InputError
from simopt.store.reader import Run

SCORE = np.array([[0.0, 0.2], [0.4, 0.6], [0.8, 0.8], [0.9, 1.0]])
CAPTURED = np.stack([SCORE, SCORE**2], axis=-1)  # (T, R, K)
ACCURACY = np.array([[0.25, 0.25], [0.85, 0.45]])  # at steps 0 and 30


def run(**changes: object) -> Run:
    fields = {
        "path": Path("outputs/x/cka/surrogate-1/run.h5"),
        "attributes": {"dataset": "x", "source": "surrogate", "measure": "cka"},
        "status": "finished",
        "pc_variance": np.array([0.7, 0.3]),
        "step": np.array([0, 10, 20, 30]),
        "score": SCORE,
        "captured_variance": CAPTURED,
        "tracked": {},
        "half_capture": None,
        "decoding_step": np.array([0, 30]),
        "decoding": {"category": ACCURACY},
        "reference_decoding": {"category": {"accuracy": 0.85, "chance": 0.25}},
    }
    return Run(**{**fields, **changes})  # type: ignore[arg-type]


def test_between_states_linearly_replicate_by_replicate() -> None:
    reading = read_at(run(), 0.5)
    # replicate 0: a quarter of the way from 0.4 to 0.8; 1: three quarters from 0.2 to 0.6
    assert reading.captured[0] == pytest.approx(0.5)
    assert reading.captured[1] == pytest.approx(np.mean([0.16 + 0.25 * 0.48, 0.04 + 0.75 * 0.32]))
    assert reading.steps == 15
    assert (reading.start, reading.end) == (pytest.approx(0.1), pytest.approx(0.95))
    # decoded at scores 0 and 0.9, and at 0.2 and 1
    assert reading.decoding["category"] == pytest.approx(np.mean([0.25 + 5 / 9 * 0.6, 0.25 + 0.375 * 0.2]))


def test_a_pc_counts_as_half_captured_from_its_midpoint_on() -> None:
    # midpoints: 0.5 and 0.6 of PC 1, 0.5 and 0.52 of PC 2
    assert read_at(run(), 0.59).half.tolist() == [False, False]
    assert read_at(run(), 0.61).half.tolist() == [True, False]
    assert read_at(run(), 0.8).half.tolist() == [True, True]


def test_beyond_the_run_and_below_its_start() -> None:
    beyond = read_at(run(), 0.95)
    assert not beyond.reached  # replicate 0 ended at 0.9
    assert beyond.captured[0] == pytest.approx(np.mean([0.9, 0.95]))
    below = read_at(run(), -0.5)
    assert below.below_noise
    assert below.captured[0] == pytest.approx(0.1)


def test_a_distance_is_passed_from_above() -> None:
    reading = read_at(run(score=1 - SCORE), 0.5, sign=-1)
    assert reading.steps == 15
    assert reading.captured[0] == pytest.approx(0.5)


def test_the_good_score_is_where_accuracy_passes_nine_tenths_of_the_way() -> None:
    good = good_scores(run())["category"]
    assert good.level == pytest.approx(0.79)
    # replicate 0: 0.9 of the way from 0.25 to 0.85, so 0.9 of the way from score 0 to 0.9
    np.testing.assert_allclose(good.per_seed, [0.81, np.nan])
    assert good.never == 1
    assert good.worded() == "never in 1 of 2"


def test_a_label_that_the_recording_does_not_decode_above_chance_has_no_good_score() -> None:
    def found(accuracy: float, **facts: float) -> bool:
        decoded = {"category": {"accuracy": accuracy, "chance": 0.25, **facts}}
        return bool(good_scores(run(reference_decoding=decoded)))

    assert found(0.85, p_value=1e-9)
    assert found(0.85, p_value=LEVEL)
    assert not found(0.3, p_value=0.3)
    assert not found(0.2, p_value=1e-9)
    assert found(0.3)  # a file of an earlier version: the accuracy alone decides


def test_how_the_recording_decodes_is_said_with_the_numbers_of_the_test() -> None:
    facts = {"accuracy": 9 / 21, "chance": 1 / 3, "classes": 3, "predictions": 21.0, "p_value": 0.2399}
    assert decoding_words(facts) == "accuracy 0.43 in 21 independent predictions, chance 0.33, p = 0.24"
    below = {**facts, "accuracy": 0.2}
    assert decoding_words(below).startswith(
        "accuracy 0.20 in 21 independent predictions, below chance 0.33, p = "
    )
    continuous = {"accuracy": -0.1, "chance": 0.0, "classes": 0}
    assert decoding_words(continuous) == "R2 -0.10, below chance 0.00"


def test_medians_and_intervals_over_seeds() -> None:
    of = lambda *scores: GoodScore("v", 0.5, np.array(scores))  # noqa: E731
    assert of(0.3, 0.1, 0.2).score == pytest.approx(0.2)
    assert of(0.3, 0.1, 0.2).worded() == "0.200 (0.100 to 0.300)"
    assert of(np.nan, 0.1, 0.2).worded() == "0.200 (0.100 to never)"
    assert of(0.4).worded() == "0.400"
    assert of(np.nan).worded() == "never"
    assert np.isnan(of(np.nan, np.nan, 0.1).score)
    assert of(0.3, 0.1, 0.2).as_json()["interval"] == [0.1, 0.3]
    assert of(np.nan, 0.1, 0.2).as_json()["interval"] == [0.1, None]


def test_what_the_recording_does_not_hold_has_no_good_score() -> None:
    with pytest.raises(InputError, match="0.200 .* chance, 0.250"):
        good_score(SCORE[[0, 3]], ACCURACY, 0.25, 0.2)
