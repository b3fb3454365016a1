"""Verdicts on measures, each rule at work."""

import numpy as np

from simopt.analysis.advice import BLIND, DISCRIMINATES, SATURATED, advise, judge
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
        judge("e", 0.3, 1.0, 0.0, {}, 0.99),
    ]
    lines = advise(verdicts)
    assert lines[0].startswith("Use b: unrelated data score up to 0.200, v0 is decodable from 0.900")
    assert [line.split()[0] for line in lines[1:3]] == ["a", "e"]
    assert all(f" {name} " in line for name, line in zip("cd", lines[3:5], strict=True))


def test_without_a_label_the_order_of_the_measures_decides_nothing() -> None:
    verdicts = [judge(name, end, 1.0, 0.0, {}, 0.99) for name, end in (("a", 0.2), ("b", 0.1))]
    lines = advise(verdicts)
    assert not any(line.startswith("Use ") for line in lines)
    assert lines[:2] == [
        "a can be used: unrelated data score up to 0.200.",
        "b can be used: unrelated data score up to 0.100.",
    ]
    assert "a, b cannot be ranked" in lines[2]
    assert sorted(advise(verdicts[::-1])[:2]) == lines[:2]
    assert advise(verdicts[:1]) == lines[:1]
