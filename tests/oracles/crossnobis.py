"""Crossnobis as a textbook writes it: a loop over pairs of repeats; scikit-learn shrinks the covariance.

Nothing here is shared with the package.
"""

import itertools

import numpy as np
from sklearn.covariance import ledoit_wolf

from tests.oracles.rsa import COMPARISONS


def errors(parts, of):
    """Return the residuals of a regression on condition, or on condition and repeat, and their freedom."""
    repeats, conditions, units = parts.shape
    design = np.tile(np.eye(conditions), (repeats, 1))
    if of == "two_way":
        design = np.hstack([design, np.repeat(np.eye(repeats), conditions, axis=0)])
    samples = parts.reshape(-1, units)
    fit, _, rank, _ = np.linalg.lstsq(design, samples, rcond=None)
    return samples - design @ fit, len(samples) - rank


def precision(noise, parts, of):
    units = parts.shape[-1]
    residuals, freedom = errors(parts, of)
    covariance = residuals.T @ residuals / freedom
    if noise == "none":
        return np.eye(units)
    if noise == "diagonal":
        return np.diag(1 / np.diag(covariance))
    if noise == "ledoit_wolf":
        shrunk, _ = ledoit_wolf(residuals, assume_centered=True)
        covariance = shrunk * len(residuals) / freedom
    return np.linalg.inv(covariance)


def rdm(A, repeats, noise, of):
    parts = A.reshape(repeats, len(A) // repeats, -1)
    W = precision(noise, parts, of)
    D = []
    for one, other in itertools.permutations(range(repeats), 2):
        a, b = (parts[k][:, None] - parts[k][None] for k in (one, other))
        D.append(np.einsum("ijp,pq,ijq->ij", a, W, b) / A.shape[1])
    return np.mean(D, axis=0)


def score(X, Y, comparison, repeats, noise, of="two_way"):
    return COMPARISONS[comparison](rdm(X, repeats, noise, of), rdm(Y, repeats, noise, of))


MEASURES = {"rsa_crossnobis": lambda X, Y, **o: score(X, Y, "cosine", o["repeats"], "ledoit_wolf")}
