"""GULP from its two samples x samples hat matrices."""

import numpy as np


def hat(A, penalty):
    A = A - A.mean(axis=0)
    A = A / np.linalg.norm(A)
    if penalty > 0:
        return A @ np.linalg.solve(A.T @ A + penalty * np.eye(A.shape[1]), A.T)
    norms = np.linalg.norm(A, axis=0)
    left, values, _ = np.linalg.svd(A[:, norms > 0] / norms[norms > 0], full_matrices=False)
    left = left[:, values > 1e-11 * values[0]]
    return left @ left.T


def gulp(X, Y, penalty=0.01):
    return np.sum((hat(X, penalty) - hat(Y, penalty)) ** 2)


MEASURES = {
    "gulp": gulp,
    "gulp-lambda0": lambda X, Y: gulp(X, Y, 0.0),
    "gulp-lambda0.01": gulp,
    "gulp-lambda1": lambda X, Y: gulp(X, Y, 1.0),
}
