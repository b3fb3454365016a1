"""Verdicts on measures, each rule at work."""

import numpy as np
import pytest

from simopt.analysis.advice import BLIND, DISCRIMINATES, SATURATED, UNJUDGED, advise, judge
from simopt.analysis.good_score import GoodScore


def good(*scores: float) -> dict[str, GoodScore]:
    return {f"v{i}": GoodScore(f"v{i}", 0.8, np.array([score])) for i, score in enumerate(scores)}


def test_the_gap_is_the_share_of_the_way_from_the_null_to_the_best() -> None:
    verdict = judge("cka", 0.2, 1.0, 0.0, good(0.6, 0.9), 0.99)
    assert (verdict.kind, round(verdict.gap, 12)) == (DISCRIMINATES, 0.5)
    distance = judge("procrustes_euclidean", 8.0, 0.0, 10.0, good(2.0), 0.1)
    assert (distance.kind, round(distance.gap, 12)) == (DISCRIMINATES, 0.75)


def test_a_measure_is_blind_to_what_is_never_decodable_or_decodable_by_chance() -> None:
    assert judge("cka", 0.2, 1.0, 0.0, good(0.6, np.nan), 0.99).kind == BLIND
    assert judge("cka", 0.7, 1.0, 0.0, good(0.6), 0.99).kind == BLIND


def test_a_measure_is_blind_to_what_is_decodable_only_at_the_top() -> None:
    assert judge("cka", 0.0, 1.0, 0.0, good(0.5, 0.94), 0.99).kind == DISCRIMINATES
    verdict = judge("cka", 0.0, 1.0, 0.0, good(0.5, 0.96), 0.99)
    assert (verdict.kind, verdict.reason) == (BLIND, "v1 is decodable only from 0.960 on")
    assert judge("cka", 0.0, 1.0, 0.0, good(0.8), 0.99, ceiling=0.85).kind == DISCRIMINATES
    assert judge("cka", 0.0, 1.0, 0.0, good(0.8), 0.99, ceiling=0.75).kind == BLIND
    assert judge("distance", 10.0, 0.0, 20.0, good(3.0), 0.1, ceiling=2.0).kind == DISCRIMINATES
    assert judge("distance", 10.0, 0.0, 20.0, good(3.0), 0.1, ceiling=4.0).kind == BLIND


def test_a_measure_is_saturated_by_its_null_or_by_shape() -> None:
    assert judge("linreg", 0.95, 1.0, 0.0, good(0.99), 0.99).kind == SATURATED
    assert judge("linreg", 0.1, 1.0, 0.0, good(0.5), 0.99, "units >= samples").reason == "units >= samples"


def test_a_range_without_an_end_has_no_share_of_the_way_to_it() -> None:
    for worst in (0.0, -np.inf):
        verdict = judge("ensd", 2.0, np.inf, worst, good(5.0), 30.0)
        assert (verdict.kind, np.isnan(verdict.gap)) == (DISCRIMINATES, True)
        assert judge("ensd", 2.0, np.inf, worst, good(5.0, 1.5), 30.0).kind == BLIND
        assert judge("ensd", 2.0, np.inf, worst, good(5.0), 30.0, ceiling=4.0).kind == BLIND
    assert judge("procrustes_euclidean", 0.0, 0.0, np.inf, good(0.0), 0.1).kind == SATURATED


def test_advice_names_the_best_measure_first_and_every_measure_once() -> None:
    verdicts = [
        judge("a", 0.2, 1.0, 0.0, good(0.5), 0.99),
        judge("b", 0.2, 1.0, 0.0, good(0.9), 0.99),
        judge("c", 0.2, 1.0, 0.0, good(np.nan), 0.99),
        judge("d", 0.99, 1.0, 0.0, {}, 0.99),
        judge("e", 0.3, np.inf, 0.0, good(0.6), 0.99),
    ]
    lines = advise(verdicts)
    assert lines[0].startswith("Use b: unrelated data score up to 0.200, v0 is decodable from 0.900")
    assert [line.split()[0] for line in lines[1:3]] == ["a", "e"]
    assert all(f" {name} " in line for name, line in zip("cd", lines[3:5], strict=True))


def recommends(lines: list[str]) -> bool:
    return any(line.startswith("Use ") or "can be used" in line for line in lines)


def test_without_a_label_nothing_is_recommended() -> None:
    verdicts = [judge(name, end, 1.0, 0.0, {}, 0.99) for name, end in (("a", 0.2), ("b", 0.1))]
    for given in (verdicts, verdicts[::-1], verdicts[:1], [judge("c", 2.0, np.inf, 0.0, {}, 30.0)]):
        lines = advise(given)
        assert lines[0].startswith("No measure is recommended")
        assert not recommends(lines)
        assert {verdict.kind for verdict in given} == {UNJUDGED}
    assert advise(verdicts)[1] == (
        "a is not judged: no label is decoded from the recording above chance, and unrelated data score up "
        "to 0.200."
    )


def test_measures_without_a_best_score_are_not_ranked() -> None:
    verdicts = [judge(name, 2.0, np.inf, 0.0, good(5.0), 30.0) for name in "ab"]
    lines = advise(verdicts)
    assert [line[:14] for line in lines[:2]] == ["a can be used:", "b can be used:"]
    assert lines[2].startswith("a, b cannot be ranked")
    assert len(advise(verdicts[:1])) == 1


@pytest.mark.parametrize(("best", "worst"), [(1.0, 0.0), (0.0, 1.0), (np.inf, -np.inf), (0.0, np.inf)])
def test_without_a_null_nothing_is_recommended_and_the_reason_is_said(best: float, worst: float) -> None:
    reason = "no null holds for these rows: both sides drift"

    def verdict(goal: dict[str, GoodScore], **options: float) -> tuple[str, str]:
        made = judge("a", np.nan, best, worst, goal, 0.5, no_null=reason, **options)
        lines = advise([made])
        assert not recommends(lines)
        assert "nan" not in " ".join(lines)
        assert np.isnan(made.gap)
        return made.kind, made.reason

    assert verdict(good(0.5)) == (UNJUDGED, f"{reason}, v0 is decodable from 0.500 on")
    assert verdict({})[0] == UNJUDGED
    assert reason in verdict({})[1]
    # What a null has no part in still holds.
    assert verdict(good(0.4, np.nan))[0] == BLIND
    similar = best > worst
    assert verdict(good(0.5), ceiling=0.4)[0] == (BLIND if similar else UNJUDGED)
    assert verdict(good(0.5), ceiling=0.6)[0] == (UNJUDGED if similar else BLIND)
    assert judge("a", np.nan, best, worst, {}, 0.5, "units >= samples").kind == SATURATED


def test_good_scores_stand_with_their_interval() -> None:
    spread = {"v": GoodScore("v", 0.8, np.array([0.62, 0.6, 0.64]))}
    words = "0.620 (0.600 to 0.640)"
    assert words in judge("a", 0.2, 1.0, 0.0, spread, 0.99).reason
    assert words in judge("a", 0.7, 1.0, 0.0, spread, 0.99).reason
    assert words in judge("a", 0.2, 1.0, 0.0, spread, 0.99, ceiling=0.5).reason
