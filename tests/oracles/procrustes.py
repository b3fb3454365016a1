"""Procrustes distances as a textbook writes them: zero padding, one SVD, the residual."""

import numpy as np


def prepared(X, Y, center=True, scale=False):
    width = max(X.shape[1], Y.shape[1])
    sides = []
    for A in (X, Y):
        A = A - A.mean(axis=0) if center else A
        A = np.hstack([A, np.zeros((len(A), width - A.shape[1]))])
        sides.append(A / np.linalg.norm(A) if scale else A)
    return sides


def rotation(X, Y):
    left, _, right = np.linalg.svd(Y.T @ X)
    return left @ right


def distance(X, Y, **options):
    A, B = prepared(X, Y, **options)
    return np.linalg.norm(A - B @ rotation(A, B))


def cosine(X, Y, **options):
    A, B = prepared(X, Y, scale=True, **options)
    return np.sum(A * (B @ rotation(A, B)))


def folded(X, Y, compare, folds=5):
    X, Y = prepared(X, Y, center=False)
    scores = []
    for test in np.array_split(np.arange(len(X)), folds):
        train = np.setdiff1d(np.arange(len(X)), test)
        x_mean, y_mean = X[train].mean(axis=0), Y[train].mean(axis=0)
        Q = rotation(X[train] - x_mean, Y[train] - y_mean)
        scores.append(compare(X[test] - x_mean, (Y[test] - y_mean) @ Q))
    return np.mean(scores)


def angle(A, B):
    return np.arccos(np.sum(A * B) / np.linalg.norm(A) / np.linalg.norm(B))


def arccos_of_cosine(X, Y):
    return np.arccos(np.clip(cosine(X, Y), -1, 1))


def normalized_distance(X, Y):
    return distance(X, Y, scale=True)


MEASURES = {
    "procrustes_euclidean": distance,
    "procrustes-euclidean": distance,
    "bures-distance": distance,
    "procrustes-squared-euclidean": lambda X, Y: distance(X, Y) ** 2,
    "procrustes-euclidean-uncentred": lambda X, Y: distance(X, Y, center=False),
    "procrustes-euclidean-5fold": lambda X, Y: folded(X, Y, lambda A, B: np.linalg.norm(A - B)),
    "procrustes_normalized": normalized_distance,
    "procrustes-normalised-distance": normalized_distance,
    "procrustes-normalised-squared": lambda X, Y: 2 - 2 * cosine(X, Y),
    "procrustes-disparity": lambda X, Y: 1 - cosine(X, Y) ** 2,
    "procrustes-modelsym-score": lambda X, Y: 1 - distance(X, Y, center=False, scale=True) / 2,
    "procrustes_angle": arccos_of_cosine,
    "procrustes-angular": arccos_of_cosine,
    "nbs-angular": arccos_of_cosine,
    "procrustes-angular-5fold": lambda X, Y: folded(X, Y, angle),
}
