"""Generalised shape metrics in the two published conventions, on zero-padded matrices."""

import numpy as np


def whitened(A, width, alpha, convention):
    A = A - A.mean(axis=0)
    A = np.hstack([A, np.zeros((len(A), width - A.shape[1]))])
    _, values, right = np.linalg.svd(A, full_matrices=True)
    eigenvalues = np.zeros(width)
    eigenvalues[: len(values)] = values**2
    if convention == "repsim":
        eigenvalues = np.maximum(eigenvalues / len(A), 1e-9)
        factors = alpha + (1 - alpha) / np.sqrt(eigenvalues)
    else:
        eigenvalues = np.maximum(eigenvalues, 1e-7)
        factors = alpha + (1 - alpha) / np.sqrt(eigenvalues)
        after = np.sum((alpha * np.sqrt(eigenvalues) + 1 - alpha) ** 2)
        factors *= np.sqrt(eigenvalues.sum() / after)
    return A @ (right.T * factors) @ right


def metric(X, Y, alpha, convention, angular):
    width = max(X.shape[1], Y.shape[1])
    A, B = (whitened(side, width, alpha, convention) for side in (X, Y))
    if angular:
        A, B = A / np.linalg.norm(A), B / np.linalg.norm(B)
    left, _, right = np.linalg.svd(B.T @ A)
    distance = np.linalg.norm(A - B @ (left @ right))
    return 2 * np.arcsin(distance / 2) if angular else distance


MEASURES = {}
for _kind in ("angular", "euclidean"):
    MEASURES[f"shape_{_kind}"] = lambda X, Y, k=_kind: metric(X, Y, 0.5, "netrep", k == "angular")
    for _convention, _alphas in {"netrep": (0, 0.5, 1), "repsim": (0, 0.5)}.items():
        for _alpha in _alphas:
            MEASURES[f"shape-{_convention}-alpha{_alpha}-{_kind}"] = (
                lambda X, Y, a=_alpha, c=_convention, k=_kind: metric(X, Y, a, c, k == "angular")
            )
