"""Percentiles and ceilings in words."""

from dataclasses import replace

import numpy as np
import pytest

from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import Null
from simopt.analysis.remarks import above_ceiling, no_null, of_nulls, percentile_words
from simopt.analysis.standing import Standing

HUNDRED = np.linspace(0.1, 0.3, 100)
CEILING = Ceiling("cka", 0.9, 0.85, np.empty(0), np.nan, (0.86, 0.94), "given SNR")


def standing(score: float, similar: bool = True, scores: np.ndarray = HUNDRED) -> Standing:
    null = Null("unrelated", scores, similar)
    return Standing("cka", score, {"unrelated": null}, CEILING, larger_is_closer=similar)


@pytest.mark.parametrize(
    ("score", "similar", "words"),
    [
        (0.31, True, "above all 100 draws"),
        (0.09, True, "below all 100 draws"),
        (0.09, False, "closer than all 100 draws"),
        (0.31, False, "farther than all 100 draws"),
        (0.3, True, "percentile 99.0"),  # a tie with the largest draw: 99 draws below, 1 equal
        (0.201, True, "percentile 50.0"),
    ],
)
def test_the_ends_of_the_percentile_are_said_as_numbers_of_draws(
    score: float, similar: bool, words: str
) -> None:
    assert percentile_words(standing(score, similar)) == words


def test_few_draws_reach_the_ends_as_well() -> None:
    assert percentile_words(standing(0.5, scores=np.array([0.1, 0.2]))) == "above all 2 draws"
    assert percentile_words(standing(0.5, scores=np.array([0.1]))) == "above the only draw"


def test_without_a_null_the_reason_stands_in_its_place() -> None:
    bare = Standing("cka", 0.5)
    assert percentile_words(bare) == no_null(bare) == "no null holds for these rows"
    assert "nan" not in percentile_words(standing(np.nan))
    none = standing(0.5, scores=np.empty(0))
    assert no_null(none) == "no null holds for these rows"


def test_a_null_that_gives_no_percentile_is_not_said_to_be_missing() -> None:
    words = "no percentile: all unrelated data have this score: the measure is saturated"
    assert percentile_words(standing(1.0, scores=np.ones(100))) == words
    assert no_null(standing(0.5, scores=np.full(9, np.nan))) == "no percentile: a score is undefined"


def test_what_nulls_exchange_is_said_once_with_the_measures_if_they_differ() -> None:
    null = Null("unrelated", HUNDRED, True, rows="blocks", exchanged="samples within blocks exchanged")
    one = Standing("cka", 0.5, {"unrelated": replace(null, why="it is declared")}, notes=("a note",))
    none = replace(null, scores=np.empty(0), exchanged=None, why="samples drift")
    other = Standing("nbs", 0.5, {"unrelated": none}, notes=("a note",))
    line = "null: samples within blocks exchanged, as it is declared"
    assert of_nulls([one, replace(one, measure="nbs")]) == [line, "a note"]
    assert of_nulls([one, other]) == [f"cka: {line}", "a note", "nbs: no percentile: samples drift"]
    groups = replace(one, measure="nbs", null={"unrelated": replace(null, exchanged="groups exchanged")})
    assert "not comparable" in of_nulls([one, groups])[-1]


def test_the_nulls_of_a_former_version_say_nothing_but_have_percentiles() -> None:
    """They had other kinds, all of them for the score itself."""
    kinds = ("unrelated", "shuffled", "gaussian")
    former = Standing("cka", 0.2501, {kind: Null(kind, HUNDRED, True) for kind in kinds})
    assert of_nulls([former]) == []
    told = former.as_json()
    assert {facts["percentile"] for facts in told["null"].values()} == {former.percentile}
    assert 70 < former.percentile < 80
    assert "rows" not in told


def test_another_comparison_without_a_percentile_has_a_reason() -> None:
    unrelated, scores = Null("unrelated", HUNDRED, True, rows="time"), np.empty(0)
    for kind in ("innovations", "without_course"):
        null = Null(kind, scores, True, observed=0.3, rows="time", why="samples drift")
        told = Standing("cka", 0.25, {"unrelated": unrelated, kind: null}).as_json()
        assert told[f"score_{kind}"] == 0.3
        assert np.isnan(told[f"percentile_{kind}"])
        assert told[f"percentile_{kind}_reason"] == "samples drift"
        held = Standing("cka", 0.25, {"unrelated": unrelated, kind: replace(null, scores=HUNDRED)}).as_json()
        assert f"percentile_{kind}_reason" not in held


def test_a_score_above_its_ceiling_is_commented_on() -> None:
    assert above_ceiling(standing(0.89)) == above_ceiling(replace(standing(0.95), ceiling=None)) == ""
    within, beyond = above_ceiling(standing(0.93)), above_ceiling(standing(0.95))
    assert within.startswith("cka 0.930 is above its ceiling of 0.900, but within the 95 % interval")
    assert beyond.startswith("cka 0.950 is above its ceiling of 0.900 and outside its 95 % interval, 0.86")
    assert "same trials" in beyond
    assert "same trials" not in within
    unknown = replace(CEILING, interval=(np.nan, np.nan))
    assert "nan" not in above_ceiling(replace(standing(0.95), ceiling=unknown))


def test_a_distance_is_closer_than_its_ceiling_below_it() -> None:
    assert above_ceiling(standing(0.93, similar=False)) == ""
    assert "is below its ceiling of 0.900 and outside" in above_ceiling(standing(0.8, similar=False))
