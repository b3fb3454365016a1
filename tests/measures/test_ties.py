"""Neighbors among ties: against all orders that tied samples can have, and against chance."""

import itertools

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.measures import ties
from simopt.measures.nearest import Neighbors
from tests.oracles import neighbors as oracle
from tests.oracles.neighbors import MEASURES

BY_SAMPLE = ["mutual_knn", "jaccard_knn", "rank_similarity", "lcs_knn", "second_order_cosine"]
NAMES = [*BY_SAMPLE, "cycle_knn", "cknna"]
SIZES = [(4, 1), (4, 2), (5, 1), (5, 2)]


def pair(kind: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    classes = np.eye(2)[np.arange(n) % 2], np.eye(3)[np.arange(n) // 2]
    return {
        "classes": classes,
        "one side": (classes[0], rng.standard_normal((n, 3))),
        "other side": (rng.standard_normal((n, 3)), classes[1]),
        "counts": (rng.integers(0, 3, (n, 3)), rng.integers(0, 4, (n, 2))),
        "equal rows": tuple(
            rng.standard_normal((n, 3))[rows] for rows in ([0, 0, *range(2, n)], [*range(n - 1), 0])
        ),
    }[kind]


KINDS = ["classes", "one side", "other side", "counts", "equal rows"]


def orders(A: np.ndarray, i: int, k: int) -> list[tuple[int, ...]]:
    """Return all lists of k neighbors that sample i can have, one as likely as the other."""
    products = (A @ A[i]).round(9)
    classes = [
        [j for j in range(len(A)) if j != i and products[j] == value]
        for value in sorted({products[j] for j in range(len(A)) if j != i}, reverse=True)
    ]
    chosen = itertools.product(*(itertools.permutations(members) for members in classes))
    return sorted({tuple(itertools.chain.from_iterable(parts))[:k] for parts in chosen})


def mean_over_orders(compare, X: np.ndarray, Y: np.ndarray, k: int) -> float:
    """Return the mean of a comparison of two lists of neighbors over all orders of each sample."""
    return np.mean([
        np.mean([compare(a, b) for a in orders(X, i, k) for b in orders(Y, i, k)]) for i in range(len(X))
    ])  # fmt: skip


def masks(A: np.ndarray, k: int) -> list[np.ndarray]:
    """Return the masks of neighbors for all combinations of orders of all samples."""
    distinct = [{frozenset(near) for near in orders(A, i, k)} for i in range(len(A))]
    return [
        np.array([[j in near for j in range(len(A))] for near in combination]).astype(float)
        for combination in itertools.product(*distinct)
    ]


def mean_cycle(X: np.ndarray, Y: np.ndarray, k: int) -> float:
    x, y = (np.array(masks(A, k)) for A in (X, Y))
    return np.mean([[(a.T * b).any(axis=1).mean() for a in x] for b in y])


def mean_cknna(X: np.ndarray, Y: np.ndarray, k: int) -> float:
    K, L, x, y = X @ X.T, Y @ Y.T, masks(X, k), masks(Y, k)
    shared = np.mean([oracle.hsic(a * b * K, a * b * L) for a in x for b in y])
    squares = [np.mean([oracle.hsic(a * K, a * K) for a in side]) for side, K in ((x, K), (y, L))]
    return shared / np.sqrt(np.prod(squares)) if min(squares) > 1e-12 else 0.0


def mean_second_order(X: np.ndarray, Y: np.ndarray, k: int) -> float:
    scores = []
    for i in range(len(X)):
        near_x, near_y = (orders(A, i, k) for A in (X, Y))
        dx, dy = (1 - oracle.unit(A) @ oracle.unit(A)[i] for A in (X, Y))
        weight = np.mean([[j in a + b for j in range(len(X))] for a in near_x for b in near_y], axis=0)
        ab, aa, bb = (np.sum(weight * part).round(12) for part in (dx * dy, dx**2, dy**2))
        scores.append(1.0 if aa == bb == 0 else 0.0 if aa * bb == 0 else ab / np.sqrt(aa * bb))
    return np.mean(scores)


EXPECTED = {
    "mutual_knn": lambda *a: mean_over_orders(oracle.mutual.compare, *a),
    "jaccard_knn": lambda *a: mean_over_orders(oracle.jaccard.compare, *a),
    "rank_similarity": lambda *a: mean_over_orders(oracle.rank.compare, *a),
    "lcs_knn": lambda *a: mean_over_orders(oracle.lcs.compare, *a),
    "cycle_knn": mean_cycle,
    "cknna": mean_cknna,
    "second_order_cosine": mean_second_order,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "n", "k"),
    [(name, *size) for name in NAMES for size in SIZES] + [(name, 6, 3) for name in BY_SAMPLE],
)
def test_the_score_is_the_mean_over_all_orders(name: str, kind: str, n: int, k: int) -> None:
    X, Y = pair(kind, n)
    if measures.get(name).metric == "cosine":
        X, Y = oracle.unit(X), oracle.unit(Y)
    measure = measures.get(name, k=k)
    # Orders for the longest common subsequence are drawn: 4096 in all.
    exact = 0.06 if name == "lcs_knn" else 1e-9
    assert measure(X, Y).item() == pytest.approx(EXPECTED[name](X, Y, k), abs=exact)


def classes(rng: np.random.Generator, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.eye(4)[rng.integers(0, 4, n)] for _ in "XY")


@pytest.mark.parametrize("name", NAMES)
def test_neither_the_order_of_rows_nor_rounding_moves_the_score(name: str, rng: np.random.Generator) -> None:
    X, Y = classes(rng)
    order = rng.permutation(len(X))
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    score = simopt.score(X, Y, name)
    assert simopt.score(X[order], Y[order], name) == pytest.approx(score, abs=1e-12)
    assert simopt.score(X @ turn, 2.3 * Y, name) == pytest.approx(score, abs=1e-12)
    batch = torch.from_numpy(np.stack([Y, rng.standard_normal(Y.shape), Y[order]]))
    several = measures.get(name).bind(X)(batch)
    assert several[0].item() == pytest.approx(score, abs=1e-12)
    for member, value in zip(batch, several, strict=True):
        assert measures.get(name)(X, member) == value
    if measures.get(name).facts.symmetric:
        assert simopt.score(Y, X, name) == pytest.approx(score, abs=1e-12)
    single = measures.get(name)(torch.from_numpy(X).float(), torch.from_numpy(Y).float())
    assert single.item() == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "chance"), [("mutual_knn", 10 / 119), ("jaccard_knn", None), ("rank_similarity", None),
                         ("lcs_knn", None), ("cycle_knn", None)],
)  # fmt: skip
def test_independent_classes_share_as_many_neighbors_as_independent_data(
    name: str, chance: float | None, rng: np.random.Generator
) -> None:
    """That of two normal data sets is chance; of mutual_knn it is k / (n - 1)."""
    ours = [simopt.score(*classes(rng), name) for _ in range(40)]
    if chance is None:
        normal = [simopt.score(classes(rng)[0], rng.standard_normal((120, 4)), name) for _ in range(40)]
        chance = np.mean(normal)
        ours = np.array(ours) - np.array(normal) + chance
    assert abs(np.mean(ours) - chance) < 4 * np.std(ours) / np.sqrt(40)


@pytest.mark.parametrize("name", MEASURES)
def test_data_without_ties_have_none(name: str, rng: np.random.Generator) -> None:
    """Large offsets, unlike scales and float32 leave the products of most samples nearly equal, not equal."""
    for A in (rng.standard_normal((200, 6)) + 1e4, rng.standard_normal((200, 4)) * [1e-6, 0.1, 1, 1e3]):
        for dtype in (torch.float64, torch.float32):
            responses = torch.from_numpy(A).to(dtype).double()
            ranking = ties.Ranking.of(Neighbors.of(responses, measures.get(name).metric, 10))
            assert not ranking.has_ties


@pytest.mark.parametrize("name", [*BY_SAMPLE[:-1], "cycle_knn"])
def test_one_tie_among_many_samples_is_the_mean_of_its_two_orders(
    name: str, rng: np.random.Generator
) -> None:
    """Two equal rows of Y: moving one of them by a little decides their order, once each way."""
    X, Y = rng.standard_normal((40, 4)), rng.standard_normal((40, 3))
    Y[7] = Y[3]
    moved = []
    for sign in (1, -1):
        nudged = Y.copy()
        nudged[7] *= 1 + sign * 1e-9
        moved.append(simopt.score(X, nudged, name))
    low, high = sorted(moved)
    draws = 0.01 if name == "lcs_knn" else 1e-9
    assert low - draws <= simopt.score(X, Y, name) <= high + draws
