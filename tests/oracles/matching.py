"""Matching of units as a textbook writes it: loops over columns, and a dense linear program."""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment, linprog


def centered(A):
    return A - A.mean(axis=0)


def correlation(x, y):
    x, y = x - x.mean(), y - y.mean()
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    return x @ y / norms if norms > 0 else 0.0


def correlations(X, Y):
    return np.array([[correlation(x, y) for y in Y.T] for x in X.T])


def correlations_of_varying(X, Y):
    return correlations(*(A[:, np.ptp(A, axis=0) > 0] for A in (X, Y)))


def padded(X, Y):
    width = max(X.shape[1], Y.shape[1])
    return [np.pad(A, [(0, 0), (0, width - A.shape[1])]) for A in (X, Y)]


def permuted(X, Y):
    X, Y = padded(X, Y)
    rows, columns = linear_sum_assignment(-(X.T @ Y))
    return X[:, rows], Y[:, columns]


def permutation_angular(X, Y):
    X, Y = permuted(centered(X), centered(Y))
    return np.arccos(np.clip(np.sum(X * Y) / np.linalg.norm(X) / np.linalg.norm(Y), -1, 1))


def permutation_euclidean(X, Y):
    X, Y = permuted(X, Y)
    return np.linalg.norm(X - Y)


def hard(X, Y):
    C = correlations_of_varying(X, Y)
    return C[linear_sum_assignment(-C)].mean()


def soft(X, Y):
    C = correlations_of_varying(X, Y)
    return (C.max(axis=1).mean() + C.max(axis=0).mean()) / 2


def cheapest(cost):
    p, q = cost.shape
    # What is the same for a whole row or column changes no plan, but would set the solver's scale.
    own = cost - cost.mean(axis=0) - cost.mean(axis=1, keepdims=True) + cost.mean()
    own /= np.abs(own).max() or 1
    strict = {f"{side}_feasibility_tolerance": 1e-10 for side in ("primal", "dual")}
    A = np.zeros((p + q, p, q))
    for i, j in itertools.product(range(p), range(q)):
        A[i, i, j] = A[p + j, i, j] = 1
    sums = np.r_[np.full(p, q), np.full(q, p)].astype(float)
    plan = linprog(own.ravel(), A_eq=A.reshape(p + q, -1), b_eq=sums, method="highs-ds", options=strict).x
    return np.sum(plan.reshape(p, q) * cost) / (p * q)


def unit(A):
    A = centered(A)
    norms = np.linalg.norm(A, axis=0)
    return A / np.where(norms > 0, norms, 1)


def soft_distance(X, Y):
    return np.sqrt(cheapest(np.array([[np.sum((x - y) ** 2) for y in Y.T] for x in X.T])))


def pairwise(X, Y):
    order = np.arange(len(X))
    np.random.RandomState(42).shuffle(order)  # as KFold(5, shuffle=True, random_state=42) does
    scores = []
    for test in np.array_split(order, 5):
        train = np.setdiff1d(order, test)
        best = correlations(X[train], Y[train]).argmax(axis=0)
        varying = [(i, j) for j, i in enumerate(best) if np.ptp(Y[test, j]) > 0]
        scores.append(np.mean([correlation(X[test, i], Y[test, j]) for i, j in varying]))
    return np.mean(scores)


def centered_euclidean(X, Y):
    return permutation_euclidean(centered(X), centered(Y))


def centered_soft_distance(X, Y):
    return soft_distance(centered(X), centered(Y))


def soft_matching_correlation(X, Y):
    return -cheapest(-correlations_of_varying(X, Y))


MEASURES = {
    "permutation_angular": permutation_angular,
    "permutation-angular": permutation_angular,
    "permutation_euclidean": centered_euclidean,
    "permutation-euclidean": centered_euclidean,
    "permutation-euclidean-uncentred": permutation_euclidean,
    "hard_correlation_match": hard,
    "hard-correlation-match": hard,
    "soft_correlation_match": soft,
    "soft-correlation-match": soft,
    "soft_matching_distance": centered_soft_distance,
    "soft-matching-distance": centered_soft_distance,
    "soft-matching-distance-unit": lambda X, Y: soft_distance(unit(X), unit(Y)),
    "soft_matching_correlation": soft_matching_correlation,
    "soft-matching-correlation": soft_matching_correlation,
    "pairwise_matching": pairwise,
    "neuroai-pairwise-matching": pairwise,
}
