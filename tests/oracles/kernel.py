"""Kernel comparisons as a textbook writes them: whole kernel matrices, loops where a formula sums."""

import numpy as np

from tests.oracles.textbook import angular, centered, cka


def linear(A):
    return centered(A) @ centered(A).T


def squared_distances(A):
    return np.array([[np.sum((a - b) ** 2) for b in A] for a in A])


def rbf(bandwidth, scale):
    def kernel(A):
        squared = squared_distances(A)
        if bandwidth == "fixed":
            variance = scale**2
        elif bandwidth == "median":
            variance = scale**2 * np.median(squared)
        else:
            variance = scale**2 * np.median(squared[~np.eye(len(A), dtype=bool)])
        return np.exp(-squared / (2 * variance))

    return kernel


def polynomial(A):
    return (centered(A) @ centered(A).T / A.shape[1] + 1) ** 2


def biased(K, L):
    H = np.eye(len(K)) - 1 / len(K)
    return np.sum((H @ K @ H) * (H @ L @ H))


def zero_diagonal(K, L):
    H = np.eye(len(K)) - 1 / len(K)
    K, L = H @ K @ H, H @ L @ H
    return np.sum(K * L) - np.sum(np.diag(K) * np.diag(L))


def debiased(K, L):
    n = len(K)
    K, L = (M - np.diag(np.diag(M)) for M in (K, L))
    ones = np.ones(n)
    middle = (ones @ K @ ones) * (ones @ L @ ones) / ((n - 1) * (n - 2))
    return (np.trace(K @ L) + middle - 2 / (n - 2) * ones @ K @ L @ ones) / (n * (n - 3))


def similarity(kernel, product):
    def score(X, Y):
        K, L = kernel(X), kernel(Y)
        return product(K, L) / np.sqrt(product(K, K) * product(L, L))

    return score


def participation(A):
    values = np.linalg.svd(centered(A), compute_uv=False) ** 2
    return values.sum() ** 2 / np.sum(values**2)


def rv_adjusted(X, Y):
    expected = np.sqrt(participation(X) * participation(Y)) / (len(X) - 1)
    return (cka(X, Y) - expected) / (1 - expected)


def rv_adjusted_by_pairs(X, Y):
    n = len(X)

    def total(A, B):
        with np.errstate(invalid="ignore", divide="ignore"):  # a constant unit correlates with none
            r2 = np.nan_to_num(np.corrcoef(A.T, B.T)[: A.shape[1], A.shape[1] :]) ** 2
        return np.sum(1 - (n - 1) / (n - 2) * (1 - r2))

    return total(X, Y) / np.sqrt(total(X, X) * total(Y, Y))


MEASURES = {
    "cka-linear-gretton": cka,
    "rv": cka,
    "rsa-correlation-corr": cka,
    "cka-angular-score": lambda X, Y: angular(cka(X, Y)),
    "cka-angular-distance": lambda X, Y: np.arccos(np.clip(cka(X, Y), -1, 1)),
    "ensd-angular-normalised": lambda X, Y: np.arccos(np.clip(cka(X, Y), -1, 1)) / (np.pi / 2),
    "cka_debiased": similarity(linear, debiased),
    "cka-linear-song": similarity(linear, debiased),
    "cka-linear-lange": similarity(linear, zero_diagonal),
    "rv2": similarity(linear, zero_diagonal),
    "cka_polynomial": similarity(polynomial, biased),
    "cka_rbf": similarity(rbf("median", 1), biased),
    "cka-rbf-median-t1-gretton": similarity(rbf("median", 1), biased),
    "cka-rbf-median-t0.5-gretton": similarity(rbf("median", 0.5), biased),
    "cka-rbf-median-t1-song": similarity(rbf("median", 1), debiased),
    "cka-rbf-median_nonzero-gretton": similarity(rbf("median_nonzero", 1), biased),
    "cka-rbf-sigma3-gretton": similarity(rbf("fixed", 3), biased),
    "cka-rbf-sigma3-song": similarity(rbf("fixed", 3), debiased),
    "ensd": lambda X, Y: cka(X, Y) * np.sqrt(participation(X) * participation(Y)),
    "rv_adjusted": rv_adjusted,
    "rv-adjusted-ghaziri": rv_adjusted,
    "rv-adjusted-maye": rv_adjusted_by_pairs,
}
