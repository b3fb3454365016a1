"""Percentiles and ceilings in words."""

from dataclasses import replace

import numpy as np
import pytest

from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import Null
from simopt.analysis.remarks import above_ceiling, no_null, percentile_words
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
