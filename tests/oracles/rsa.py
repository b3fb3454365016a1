"""RSA as a textbook writes it: whole samples x samples RDMs, float64 or better.

Nothing here is shared with the package.
"""

import numpy as np
from scipy import stats


def directions(A):
    """1 - cosine of rows in extended precision, as rows far from zero have cosines next to 1."""
    A = A.astype(np.longdouble)
    norms = np.sqrt(np.sum(A**2, axis=1))
    cosine = A @ A.T / np.outer(norms, norms)
    np.fill_diagonal(cosine, 1)
    return (1 - cosine).astype(float)


def rdm(kind, A):
    if kind == "cosine":
        return directions(A)
    if kind == "correlation":
        return directions(A.astype(np.longdouble) - A.astype(np.longdouble).mean(axis=1, keepdims=True))
    difference = A[:, None, :] - A[None, :, :]
    if kind == "mahalanobis":
        solved = np.linalg.solve(np.atleast_2d(np.cov(A.T)), difference.reshape(-1, A.shape[1]).T).T
        return np.sum(difference * solved.reshape(difference.shape), axis=2) / A.shape[1]
    squared = np.sum(difference**2, axis=2)
    return np.sqrt(squared) if kind == "euclidean" else squared / A.shape[1]


def upper(D):
    return D[np.triu_indices(len(D), 1)]


def kernel(D):
    H = np.eye(len(D)) - 1 / len(D)
    return -H @ D @ H / 2


def less_mean(D):
    return (D - upper(D).mean()) * (1 - np.eye(len(D)))


def cosine(v, w):
    return np.sum(v * w) / np.sqrt(np.sum(v * v) * np.sum(w * w))


def root(K):
    """The symmetric root; eigenvalues of the size of rounding, whose roots would not be small, are zero."""
    values, vectors = np.linalg.eigh(K)
    values[values < 1e-13 * values[-1]] = 0
    return vectors * np.sqrt(values) @ vectors.T


def fidelity(K, L):
    return np.linalg.svd(root(K) @ root(L), compute_uv=False).sum()


def rounded(v):
    """Distances that differ by rounding only are ties."""
    return np.round(v / v.max(), 11)


def tau_a(v, w):
    v, w = rounded(v), rounded(w)
    agree = np.sign(v[:, None] - v) * np.sign(w[:, None] - w)
    return agree.sum() / (len(v) * (len(v) - 1))


COMPARISONS = {
    "cosine": lambda D, E: cosine(upper(D), upper(E)),
    "pearson": lambda D, E: np.corrcoef(upper(D), upper(E))[0, 1],
    "spearman": lambda D, E: stats.spearmanr(rounded(upper(D)), rounded(upper(E))).statistic,
    "tau_a": lambda D, E: tau_a(upper(D), upper(E)),
    "tau_b": lambda D, E: stats.kendalltau(rounded(upper(D)), rounded(upper(E))).statistic,
    "cosine_cov": lambda D, E: cosine(kernel(D), kernel(E)),
    "corr_cov": lambda D, E: cosine(kernel(less_mean(D)), kernel(less_mean(E))),
    "bures": lambda D, E: fidelity(kernel(D), kernel(E)) / np.sqrt(np.trace(kernel(D)) * np.trace(kernel(E))),
    "bures_sq_distance": lambda D, E: (
        np.trace(kernel(D)) + np.trace(kernel(E)) - 2 * fidelity(kernel(D), kernel(E))
    ),
    "euclidean_norm": lambda D, E: np.linalg.norm(upper(D) - upper(E)),
}
KINDS = ("sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis")


def rsa(kind, comparison, X, Y):
    return COMPARISONS[comparison](rdm(kind, X), rdm(kind, Y))


def of(kind, comparison):
    return lambda X, Y: rsa(kind, comparison, X, Y)


MEASURES = {
    f"rsa-{kind}-{comparison}": of(kind, comparison)
    for kind in KINDS
    for comparison in COMPARISONS
    if comparison not in ("bures_sq_distance", "euclidean_norm")
} | {
    "rsa-sqeuclidean-bures_sq_distance": of("sqeuclidean", "bures_sq_distance"),
    "rsa-correlation-euclidean_norm": of("correlation", "euclidean_norm"),
    "rsa-mahalanobis-default": of("sqeuclidean", "cosine"),
    "rsa-correlation-spearman-colcentred": lambda X, Y: rsa(
        "correlation", "spearman", X - X.mean(axis=0), Y - Y.mean(axis=0)
    ),
    "rsa": of("correlation", "pearson"),
    "rsa_euclidean": of("euclidean", "pearson"),
    "rsa_mahalanobis": of("mahalanobis", "pearson"),
    "rsa_spearman": of("correlation", "spearman"),
    "rsa_kendall": of("correlation", "tau_a"),
    "rsa_cosine": of("correlation", "cosine"),
    "rsa_cosine_cov": of("correlation", "cosine_cov"),
    "rsa_corr_cov": of("correlation", "corr_cov"),
    "rsa_bures": of("correlation", "bures"),
    "rsa_distance": of("correlation", "euclidean_norm"),
}
