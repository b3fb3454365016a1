"""Geometric differences as a textbook writes them."""

import numpy as np
from scipy.spatial.distance import cdist, pdist


def centering(n):
    return np.eye(n) - np.ones((n, n)) / n


def spectral(X, Y):
    return np.linalg.svd(cdist(X, X) - cdist(Y, Y), compute_uv=False)[0]


def pairs(X, Y):
    return np.linalg.norm(pdist(X) - pdist(Y))


def distance_correlation(X, Y):
    H = centering(len(X))
    A, B = H @ cdist(X, X) @ H, H @ cdist(Y, Y) @ H
    return np.sqrt(np.mean(A * B) / np.sqrt(np.mean(A * A) * np.mean(B * B)))


def difference(statistic):
    return lambda X, Y: abs(statistic(X) - statistic(Y))


def uniformity(A):
    return np.log(np.mean(np.exp(-2 * cdist(A, A, "sqeuclidean"))))


def magnitude(A):
    return np.linalg.norm(A.mean(axis=0))


def cosines(A, B):
    return [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(A, B, strict=True)]


def concentricity(A):
    return np.mean(cosines(A, [A.mean(axis=0)] * len(A)))


def projector(A):
    U, s, _ = np.linalg.svd(A, full_matrices=False)
    U = U[:, s > 1e-12 * s[0]]
    return U @ U.T


def eigenspace_overlap(X, Y):
    return np.trace(projector(X) @ projector(Y)) / max(X.shape[1], Y.shape[1])


def aligned_cosine(X, Y):
    width = max(X.shape[1], Y.shape[1])
    X, Y = (np.pad(A, [(0, 0), (0, width - A.shape[1])]) for A in (X, Y))
    U, _, Vt = np.linalg.svd(X.T @ Y)
    return np.mean(cosines(X @ U @ Vt, Y))


MEASURES = {
    "rsm_norm_difference": pairs,
    "rsm-norm-difference-llm": pairs,
    "rsm-norm-difference-spectral": spectral,
    "distance_correlation": distance_correlation,
    "distance-correlation": distance_correlation,
    "uniformity_difference": difference(uniformity),
    "uniformity-difference": difference(uniformity),
    "magnitude_difference": difference(magnitude),
    "magnitude-difference": difference(magnitude),
    "concentricity_difference": difference(concentricity),
    "concentricity-difference": difference(concentricity),
    "eigenspace_overlap": eigenspace_overlap,
    "eigenspace-overlap": eigenspace_overlap,
    "aligned_cosine": aligned_cosine,
    "aligned-cosine": aligned_cosine,
}
