"""Canonical correlations as a textbook writes them, from orthonormal bases of the column spaces."""

import numpy as np


def centered(A):
    return A - A.mean(axis=0)


def basis(A):
    """Columns of unit norm first: the span is the same, and unlike scales cost no digits."""
    A = centered(A)
    norms = np.linalg.norm(A, axis=0)
    A = A[:, norms > 0] / norms[norms > 0]
    left, values, _ = np.linalg.svd(A, full_matrices=False)
    return left[:, values > 1e-11 * values[0]]


def correlations(Qx, Qy):
    return np.linalg.svd(Qx.T @ Qy, compute_uv=False)


def cca(X, Y, power=1, by_rank=False):
    Qx, Qy = basis(X), basis(Y)
    by = np.sqrt(Qx.shape[1] * Qy.shape[1]) if by_rank else min(X.shape[1], Y.shape[1])
    return np.sum(correlations(Qx, Qy) ** power) / by


def angle(X, Y):
    return np.arccos(min(cca(X, Y, by_rank=True), 1))


def principal_components(A, share):
    left, values, _ = np.linalg.svd(centered(A), full_matrices=False)
    number = np.argmax(np.cumsum(values**2) / np.sum(values**2) > share) + 1
    return left[:, :number]


def svcca(X, Y):
    return np.mean(correlations(principal_components(X, 0.99), principal_components(Y, 0.99)))


def pwcca(X, Y):
    """Variates of correlations all 1, or all 0, are taken along the principal axes of X within them."""
    Qx, Xc = basis(X), centered(X)
    left, rho, _ = np.linalg.svd(Qx.T @ basis(Y))
    rho = np.append(rho, np.zeros(Qx.shape[1] - len(rho))) if len(rho) < Qx.shape[1] else rho[: Qx.shape[1]]
    H = Qx @ left
    for tied in (rho > 1 - 1e-12, rho < 1e-12):
        if tied.any():
            within = H[:, tied]
            H[:, tied] = np.linalg.svd(within @ (within.T @ Xc), full_matrices=False)[0][:, : tied.sum()]
    weights = np.abs(H.T @ Xc).sum(axis=1)
    return np.sum(weights * rho) / np.sum(weights)


def pls_mean_singular_value(X, Y):
    return np.mean(np.linalg.svd(centered(X).T @ centered(Y) / (len(X) - 1), compute_uv=False))


MEASURES = {
    "cca": cca,
    "cca-mean": cca,
    "cca-mean-squared": lambda X, Y: cca(X, Y, power=2),
    "cca-bures-score": lambda X, Y: cca(X, Y, by_rank=True),
    "cca-cosine-squared-score": lambda X, Y: cca(X, Y, power=2, by_rank=True),
    "cca_angle": angle,
    "cca-angular": angle,
    "svcca": svcca,
    "svcca-0.99": svcca,
    "pwcca": pwcca,
    "pls_singular_value": pls_mean_singular_value,
    "pls-mean-singular-value": pls_mean_singular_value,
}
