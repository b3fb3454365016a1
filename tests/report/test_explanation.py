"""The sentences of an explanation, from values set by hand."""

from dataclasses import replace

import numpy as np

from simopt.analysis.advice import judge
from simopt.analysis.ceilings import Ceiling
from simopt.analysis.explanation import Explained, Explanation, Own
from simopt.analysis.nulls import Null
from simopt.analysis.reading import Reading
from simopt.analysis.standing import Standing
from simopt.report.explanation import label_sentences, own_sentence, sentences

NULL = {"unrelated": Null("unrelated", np.linspace(0.1, 0.3, 100), True)}
FACTS = {"accuracy": 0.85, "chance": 0.25, "classes": 4, "folds": 5, "predictions": 60.0, "p_value": 1e-9}
CAPTURED, MASK = np.array([0.9, 0.2]), np.array([True, False])


def explanation(standing: Standing, own: float = 0.8, unused: dict[str, str] | None = None) -> Explanation:
    decoding = {"category": own, "session": 0.3}
    reading = Reading(standing.score, 0.1, 0.9, 7.0, CAPTURED, MASK, {"category": 0.2, "session": 0.3})
    return Explanation(
        dataset="x",
        source="real",
        shape=(60, 4),
        units=4,
        variance_ratio=np.array([0.8, 0.2]),
        reference={"category": FACTS, "session": FACTS},
        own=Own(CAPTURED, MASK, decoding),
        explained=[Explained(standing, 4, reading, {}, None, judge("cka", 0.2, 1.0, 0.0, {}, 0.9))],
        no_ceiling="",
        unused_labels={"session": "it is not decoded"} if unused is None else unused,
        defects=[],
        advice=[],
    )


def test_what_a_score_means() -> None:
    (sentence,) = sentences(explanation(Standing("cka", 0.5, NULL)))
    assert sentence == (
        "cka 0.500: optimized noise reaches this score after 7 steps and then captures PCs 1 of 2 (80% of "
        "variance) and decodes category at 0.20, below chance (recording 0.85, chance 0.25); unrelated data "
        "score 0.200, 95 % of them below 0.290 (above all 100 draws)."
    )


def test_without_a_null_no_number_of_unrelated_data_is_said() -> None:
    cases = (
        (np.empty(0), "; no null holds for these rows."),
        (np.full(100, np.nan), "; no percentile: a score is undefined."),
    )
    for scores, words in cases:
        null = {"unrelated": replace(NULL["unrelated"], scores=scores, why="samples drift")}
        (sentence,) = sentences(explanation(Standing("cka", 0.5, null)))
        assert sentence.endswith(words)
        assert "nan" not in sentence
        assert "not known whether unrelated data" in own_sentence(explanation(Standing("cka", 0.5, null)))


def test_other_comparisons_are_said_where_they_have_a_percentile() -> None:
    unrelated = replace(NULL["unrelated"], scores=np.empty(0), why="samples drift")
    other = replace(NULL["unrelated"], kind="innovations", observed=0.2)
    (sentence,) = sentences(explanation(Standing("cka", 0.5, {"unrelated": unrelated, "innovations": other})))
    assert sentence.endswith("; no null holds for these rows; innovations score 0.200, percentile 50.0.")
    other = replace(other, scores=np.empty(0), why="samples drift")
    (sentence,) = sentences(explanation(Standing("cka", 0.5, {"unrelated": unrelated, "innovations": other})))
    assert sentence.endswith("; no null holds for these rows.")


def test_of_a_saturated_measure_the_numbers_of_unrelated_data_are_said() -> None:
    shown = explanation(Standing("cka", 1.0, {"unrelated": replace(NULL["unrelated"], scores=np.ones(100))}))
    (sentence,) = sentences(shown)
    assert sentence.endswith(
        "unrelated data score 1.000, 95 % of them below 1.000 (no percentile: all unrelated data have this "
        "score: the measure is saturated)."
    )
    assert "not known whether unrelated data" not in own_sentence(shown)


def test_a_score_above_its_ceiling_has_a_sentence_more() -> None:
    ceiling = Ceiling("cka", 0.4, 0.4, np.empty(0), np.nan, (0.38, 0.42), "given SNR")
    (sentence,) = sentences(explanation(Standing("cka", 0.5, NULL, ceiling)))
    assert "; the ceiling is 0.400; unrelated" in sentence
    assert "draws). cka 0.500 is above its ceiling of 0.400 and outside its 95 % interval" in sentence


def test_accuracy_below_chance_is_said_and_labels_that_judge_nothing_are_named_once() -> None:
    shown = explanation(Standing("cka", 0.5, NULL), own=0.1)
    assert own_sentence(shown) == (
        "Your Y captures PCs 1 of 2 (80% of variance) and decodes category at 0.10, below chance."
    )
    assert list(label_sentences(shown)) == ["Label session is not used: it is not decoded."]
    assert "session" not in " ".join([*sentences(shown), own_sentence(shown)])
    assert "decodes category at 0.25." in own_sentence(
        explanation(Standing("cka", 0.5, NULL), own=0.25, unused={"session": "it is not decoded"})
    )
