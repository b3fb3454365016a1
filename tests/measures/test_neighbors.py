"""Neighborhood measures: against the textbook, their options, and samples without a direction."""

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.errors import InputError
from tests.measures.test_textbook import KINDS, ORACLES, pair
from tests.oracles.neighbors import MEASURES

COSINE = [name for name in MEASURES if measures.get(name).metric == "cosine"]
# Five samples have no ten neighbors. With one unit every cosine is 1 or -1: neighbors are all ties.
UNDEFINED = {(name, "few samples") for name in MEASURES} | {(name, "one unit") for name in COSINE}


def test_every_yaml_and_every_oracle_of_the_family_has_a_textbook_version() -> None:
    mine = {n for n in measures.names(aliases=True) if measures.get(n).facts.family == "neighbors"}
    assert mine == set(MEASURES)
    assert {name for name in ORACLES if "knn" in name or name.endswith(("cosine10", "similarity10"))} <= mine


@pytest.mark.parametrize(
    ("name", "kind"), [(n, kind) for n in MEASURES for kind in KINDS if (n, kind) not in UNDEFINED]
)
def test_score_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_k_must_leave_a_sample_out(name: str, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 8, 3))
    with pytest.raises(InputError, match=f"k of {name} is 10, .* 8 samples .* 7 .* below 8"):
        simopt.score(X, Y, name)
    with pytest.raises(InputError, match="is 8, but each of the 8"):
        simopt.score(X, Y, name, k=8)
    assert np.isfinite(simopt.score(X, Y, name, k=7))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k of mutual_knn is 0"),
        ({"k": 2.5}, "k of mutual_knn is 2.5"),
        ({"metric": "euclid"}, "Unknown metric of mutual_knn"),
        ({"added": -1}, "added of mutual_knn is -1"),
        ({"added": 1e-6}, "added of mutual_knn is .*comparison=cknna"),
        ({"comparison": "some"}, "Unknown comparison of mutual_knn"),
    ],
)
def test_options_are_checked(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        measures.get("mutual_knn", **options)


@pytest.mark.parametrize("name", ["mutual_knn", "jaccard_knn", "rank_similarity", "lcs_knn"])
def test_with_all_others_as_neighbors_sets_agree(name: str, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 8, 3))
    score = simopt.score(X, Y, name, k=7)
    assert score == 1 if name in ("mutual_knn", "jaccard_knn") else score < measures.get(name, k=7).facts.high


@pytest.mark.parametrize("name", MEASURES)
def test_samples_without_a_direction_leave_the_score_finite(name: str, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 20, 3))
    Y[[2, 5]] = 0
    Y[7:12] = Y[6]
    assert np.isfinite(simopt.score(X, Y, name))
    assert np.isfinite(simopt.score(Y, Y, name))


def test_cknna_needs_four_samples() -> None:
    with pytest.raises(InputError, match="cknna .*at least 4 samples; X has 3"):
        simopt.score(np.eye(3), np.eye(3), "cknna", k=1)


def test_cknna_of_orthogonal_samples_is_zero() -> None:
    # Every kernel entry off the diagonal is 0, so the norm of X's kernel is 0 too.
    assert measures.get("cknna", k=2)(torch.eye(9), torch.randn(9, 2)) == 0
    turn = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64))[0]
    for equally_near in (turn, turn + 2 * turn.sum(dim=0)):  # orthogonal, and with equal products
        for sides in ((equally_near, torch.randn(9, 2).double()), (torch.randn(9, 2).double(), equally_near)):
            assert measures.get("cknna", k=2)(*sides) == 0


@pytest.mark.parametrize("name", MEASURES)
def test_scores_carry_no_gradient(name: str) -> None:
    Y = torch.randn(20, 3, requires_grad=True)
    assert not measures.get(name)(torch.randn(20, 3), Y).requires_grad
