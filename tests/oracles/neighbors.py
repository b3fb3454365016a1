"""Nearest neighbors as a textbook writes them: Python lists and sets, sample by sample."""

import functools

import numpy as np
from scipy.spatial.distance import cosine


def unit(A):
    norms = np.linalg.norm(A, axis=1, keepdims=True)
    return A / np.where(norms > 0, norms, 1)


def neighbors(A, k=10):
    near = []
    for i, row in enumerate(A):
        others = [j for j in range(len(A)) if j != i]
        near.append(sorted(others, key=lambda j: -(A[j] @ row))[:k])
    return near


def per_sample(compare):
    def measure(X, Y):
        return np.mean([compare(a, b) for a, b in zip(neighbors(X), neighbors(Y), strict=True)])

    measure.compare = compare
    return measure


@per_sample
def mutual(a, b):
    return len(set(a) & set(b)) / len(a)


@per_sample
def jaccard(a, b):
    return len(set(a) & set(b)) / len(set(a) | set(b))


@per_sample
def lcs(a, b):
    @functools.cache
    def longest(r, s):
        if r == 0 or s == 0:
            return 0
        if a[r - 1] == b[s - 1]:
            return longest(r - 1, s - 1) + 1
        return max(longest(r - 1, s), longest(r, s - 1))

    return longest(len(a), len(b))


@per_sample
def rank(a, b):
    shared = set(a) & set(b)
    if not shared:
        return 0
    total = 0
    for j in shared:
        r, s = a.index(j) + 1, b.index(j) + 1
        total += 2 / ((1 + abs(r - s)) * (r + s))
    return total / sum(1 / t for t in range(1, len(shared) + 1))


def cycle(X, Y):
    near_x, near_y = neighbors(X), neighbors(Y)
    return np.mean([any(i in near_x[j] for j in near_y[i]) for i in range(len(X))])


def second_order(X, Y):
    scores = []
    for i, (a, b) in enumerate(zip(neighbors(unit(X)), neighbors(unit(Y)), strict=True)):
        union = sorted(set(a) | set(b))
        scores.append(1 - cosine(*([cosine(A[i], A[j]) for j in union] for A in (X, Y))))
    return np.mean(scores)


def mask(A):
    M = np.zeros((len(A), len(A)))
    for i, near in enumerate(neighbors(A)):
        M[i, near] = 1
    return M


def hsic(K, L):
    n = len(K)
    one = np.ones(n)
    middle = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (np.trace(K @ L) + middle - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


def cknna(X, Y, added=0.0):
    K, L, M_X, M_Y = X @ X.T, Y @ Y.T, mask(X), mask(Y)
    M = M_X * M_Y
    norm = np.sqrt(hsic(M_X * K, M_X * K) * hsic(M_Y * L, M_Y * L))
    return hsic(M * K, M * L) / (norm + added)


def cosines(measure):
    return lambda X, Y: measure(unit(X), unit(Y))


MEASURES = {
    "mutual_knn": mutual,
    "mutual-knn10": mutual,
    "mutual-knn10-l2": cosines(mutual),
    "cycle_knn": cycle,
    "cycle-knn10": cycle,
    "cycle-knn10-l2": cosines(cycle),
    "lcs_knn": lcs,
    "lcs-knn10": lcs,
    "lcs-knn10-l2": cosines(lcs),
    "cknna": cknna,
    "cknna10": lambda X, Y: cknna(X, Y, 1e-6),
    "cknna10-l2": lambda X, Y: cknna(unit(X), unit(Y), 1e-6),
    "jaccard_knn": cosines(jaccard),
    "jaccard-knn10": cosines(jaccard),
    "second_order_cosine": second_order,
    "second-order-cosine10": second_order,
    "rank_similarity": cosines(rank),
    "rank-similarity10": cosines(rank),
}
