"""Crossnobis as a textbook writes it: a loop over pairs of repeats; scikit-learn shrinks the covariance.

Nothing here is shared with the package.
"""

import itertools

import numpy as np
from sklearn.covariance import ledoit_wolf

from tests.oracles.rsa import COMPARISONS


def precision(noise, parts):
    repeats, conditions, units = parts.shape
    residuals = (parts - parts.mean(axis=0)).reshape(-1, units)
    freedom = conditions * (repeats - 1)
    covariance = residuals.T @ residuals / freedom
    if noise == "none":
        return np.eye(units)
    if noise == "diagonal":
        return np.diag(1 / np.diag(covariance))
    if noise == "ledoit_wolf":
        shrunk, _ = ledoit_wolf(residuals, assume_centered=True)
        covariance = shrunk * len(residuals) / freedom
    return np.linalg.inv(covariance)


def rdm(A, repeats, noise):
    parts = A.reshape(repeats, len(A) // repeats, -1)
    W = precision(noise, parts)
    D = []
    for one, other in itertools.permutations(range(repeats), 2):
        a, b = (parts[k][:, None] - parts[k][None] for k in (one, other))
        D.append(np.einsum("ijp,pq,ijq->ij", a, W, b) / A.shape[1])
    return np.mean(D, axis=0)


def score(X, Y, comparison, repeats, noise):
    return COMPARISONS[comparison](rdm(X, repeats, noise), rdm(Y, repeats, noise))


MEASURES = {"rsa_crossnobis": lambda X, Y, **o: score(X, Y, "cosine", o["repeats"], "ledoit_wolf")}
