"""Matching measures: against the textbook, their plans, their options and their relations."""

import math

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.errors import InputError, NumericalError
from simopt.measures import matching
from tests.measures.test_textbook import KINDS, ORACLES, pair
from tests.oracles.matching import MEASURES

pytestmark = pytest.mark.filterwarnings("ignore::simopt.errors.UnitsWarning")

# A fold of fewer than three samples has no correlation that means anything.
UNDEFINED = {(name, "few samples") for name in ("pairwise_matching", "neuroai-pairwise-matching")}


def test_every_yaml_and_every_oracle_of_the_family_has_a_textbook_version() -> None:
    mine = {n for n in measures.names(aliases=True) if measures.get(n).facts.family == "matching"}
    assert mine == set(MEASURES)
    assert {name for name in ORACLES if "match" in name or "permutation" in name} <= mine


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_score_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    if (name, kind) in UNDEFINED:
        with pytest.raises(InputError, match="fold of one sample has too few .* two folds need 6 samples"):
            simopt.score(X, Y, name)
        return
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("p", "q"), [(6, 6), (8, 4), (10, 9), (4, 10), (23, 17)])
def test_both_ways_to_the_transport_plan_agree(p: int, q: int, rng: np.random.Generator) -> None:
    gain = rng.standard_normal((p, q))
    multiple = math.lcm(p, q)
    program = matching._transport_program(gain, multiple // p, multiple // q) / multiple
    for plan in (program, matching.transport(gain)):
        np.testing.assert_allclose(plan.sum(axis=1), 1 / p, rtol=1e-12)
        np.testing.assert_allclose(plan.sum(axis=0), 1 / q, rtol=1e-12)
        assert (plan >= 0).all()
    assert np.sum(program * gain) == pytest.approx(np.sum(matching.transport(gain) * gain), rel=1e-12)


@pytest.mark.parametrize("columns", ["centered", "unit"])
def test_at_equal_widths_transport_is_the_assignment(columns: str, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 30, 6))
    hard = simopt.score(X, Y, "permutation_euclidean", columns=columns)
    assert simopt.score(X, Y, "soft_matching_distance", columns=columns) == pytest.approx(hard / math.sqrt(6))
    soft = simopt.score(X, Y, "permutation_angular", plan="transport", columns=columns)
    assert soft == pytest.approx(simopt.score(X, Y, "permutation_angular", columns=columns))


@pytest.mark.parametrize("plan", ["transport", "many_to_one"])
def test_distance_and_angle_of_unit_columns_say_what_the_correlation_says(
    plan: str, rng: np.random.Generator
) -> None:
    X, Y = rng.standard_normal((30, 6)), rng.standard_normal((30, 4))
    options = {"plan": plan, "columns": "unit"}
    correlation = simopt.score(X, Y, "hard_correlation_match", **options)
    distance = simopt.score(X, Y, "permutation_euclidean", **options)
    assert distance**2 == pytest.approx(2 - 2 * correlation)
    assert simopt.score(X, Y, "permutation_angular", **options) == pytest.approx(math.acos(correlation))


def test_a_permuted_recording_is_at_distance_zero(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 6))
    Y = X[:, rng.permutation(6)] + 3
    assert simopt.score(X, Y, "permutation_euclidean") == pytest.approx(0, abs=1e-13)
    assert simopt.score(X, Y, "soft_matching_distance") == pytest.approx(0, abs=1e-13)
    # Every unit of X twice: half of each, so the soft distance is still zero.
    assert simopt.score(X, np.hstack([Y, Y]), "soft_matching_distance") == pytest.approx(0, abs=1e-13)


CORRELATIONS = ["hard_correlation_match", "soft_correlation_match", "soft_matching_correlation"]


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("name", [*CORRELATIONS, "pairwise_matching"])
def test_a_constant_unit_is_left_out(name: str, level: float, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 33, 4))
    Y[:, 1] = level
    rest = np.delete(Y, 1, axis=1)
    assert simopt.score(X, Y, name) == pytest.approx(simopt.score(X, rest, name), rel=1e-12)
    assert simopt.score(Y, X, name) == pytest.approx(simopt.score(rest, X, name), rel=1e-12)
    assert simopt.score(Y, Y, name) == pytest.approx(1, rel=1e-12)
    batch = measures.get(name).bind(X)(torch.from_numpy(np.stack([X, Y])))
    assert batch.tolist() == pytest.approx([1, simopt.score(X, rest, name)], rel=1e-12)
    notes = simopt.compare(X, Y, measures=(name,), draws=0).standings[0].notes
    assert any("unit 1 of Y left out" in note for note in notes)


def test_a_unit_of_y_is_left_out_only_of_the_folds_where_it_is_constant(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 40, 3))
    order = np.arange(40)
    np.random.RandomState(42).shuffle(order)  # as KFold(5, shuffle=True, random_state=42) does
    Y[order[:8], 2] = 0.1  # the first fold
    expected = []
    for k, test in enumerate(np.array_split(order, 5)):
        train = np.setdiff1d(order, test)
        fold = []
        for j in range(2 if k == 0 else 3):
            match = np.argmax([np.corrcoef(x[train], Y[train, j])[0, 1] for x in X.T])
            fold.append(np.corrcoef(X[test, match], Y[test, j])[0, 1])
        expected.append(np.mean(fold))
    assert simopt.score(X, Y, "pairwise_matching") == pytest.approx(np.mean(expected), rel=1e-12)
    assert simopt.score(Y, Y, "pairwise_matching") == pytest.approx(1, rel=1e-12)


def test_folds_in_which_no_unit_varies_have_no_score(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 3))
    folds = np.repeat([0.0, 1.0, 2.0], 10)
    with pytest.raises(InputError, match="every unit of Y is constant in every fold"):
        simopt.score(X, folds[:, None], "pairwise_matching", folds=3, groups=folds)


@pytest.mark.parametrize("name", ["permutation_euclidean", "soft_matching_distance", "permutation_angular"])
def test_gradient_at_the_recording_itself_is_zero(name: str) -> None:
    X = torch.eye(6, dtype=torch.float64)[:, :4]
    Y = X.clone().requires_grad_()
    (grad,) = torch.autograd.grad(measures.get(name)(X, Y), Y)
    assert torch.equal(grad, torch.zeros_like(grad))


def test_an_empty_batch_has_no_scores() -> None:
    assert measures.get("hard_correlation_match").bind(torch.eye(5))(torch.zeros(0, 5, 3)).shape == (0,)


def test_infinite_responses_are_refused() -> None:
    with pytest.raises(NumericalError, match="NaN or infinite"):
        measures.get("permutation_euclidean")(torch.eye(5), torch.full((5, 2), torch.inf))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("permutation_angular", {"plan": "some"}, "Unknown plan of permutation_angular"),
        ("permutation_angular", {"columns": "z"}, "Unknown columns of permutation_angular"),
        ("permutation_angular", {"comparison": "cosine"}, "Unknown comparison of permutation_angular"),
        (
            "soft_matching_correlation",
            {"columns": "raw"},
            "columns of soft_matching_correlation is 'raw', .* columns=unit",
        ),
        (
            "permutation_euclidean",
            {"plan": "many_to_one"},
            "columns of permutation_euclidean is .* many_to_one .* columns=unit",
        ),
        ("pairwise_matching", {"folds": 1}, "folds of pairwise_matching is 1"),
        ("pairwise_matching", {"seed": -1}, "seed of pairwise_matching is -1"),
    ],
)
def test_options_are_checked(name: str, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        measures.get(name, **options)
