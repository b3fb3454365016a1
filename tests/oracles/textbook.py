"""The measures as a textbook writes them: numpy, float64, samples x samples where that is plainest.

Nothing here is shared with the package.
"""

import numpy as np


def centred(A):
    return A - A.mean(axis=0)


def cka(X, Y):
    K, L = (centred(A) @ centred(A).T for A in (X, Y))
    return np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L))


def nbs(X, Y):
    Xc, Yc = centred(X), centred(Y)
    return np.linalg.svd(Xc.T @ Yc, compute_uv=False).sum() / np.linalg.norm(Xc) / np.linalg.norm(Yc)


def angular(score):
    return 1 - np.arccos(np.clip(score, -1, 1)) / (np.pi / 2)


def fit(X, Y, penalty):
    if penalty == 0:
        return np.linalg.pinv(Y, rcond=1e-12) @ X
    return np.linalg.solve(Y.T @ Y + penalty * np.eye(Y.shape[1]), Y.T @ X)


def regression(X, Y, penalty=0.0, folds=None):
    if folds is None:
        Xc, Yc = centred(X), centred(Y)
        return 1 - np.sum((Xc - Yc @ fit(Xc, Yc, penalty)) ** 2) / np.sum(Xc**2)
    scores = []
    for test in np.array_split(np.arange(len(X)), folds):
        train = np.setdiff1d(np.arange(len(X)), test)
        x_mean, y_mean = X[train].mean(axis=0), Y[train].mean(axis=0)
        B = fit(X[train] - x_mean, Y[train] - y_mean, penalty)
        error = X[test] - x_mean - (Y[test] - y_mean) @ B
        scores.append(1 - np.sum(error**2) / np.sum((X[test] - x_mean) ** 2))
    return np.mean(scores)


MEASURES = {
    "cka": cka,
    "cka_angular": lambda X, Y: angular(cka(X, Y)),
    "rsa_correlation_corr": cka,
    "nbs": nbs,
    "nbs_squared": lambda X, Y: nbs(X, Y) ** 2,
    "procrustes_angular": lambda X, Y: angular(nbs(X, Y)),
}
for _penalty in (0, 1, 10, 100, 1000, 10000):
    _name = f"ridge{_penalty}" if _penalty else "linreg"
    MEASURES[_name] = lambda X, Y, p=_penalty: regression(X, Y, p)
    MEASURES[f"{_name}_cv5"] = lambda X, Y, p=_penalty: regression(X, Y, p, folds=5)


def captured_variance(X, Y):
    """R2 of the least-squares prediction of each PC of X from Y."""
    Xc, Yc = centred(X), centred(Y)
    left, values, _ = np.linalg.svd(Xc, full_matrices=False)
    pcs = left * values
    predicted = Yc @ np.linalg.lstsq(Yc, pcs, rcond=None)[0]
    return 1 - np.sum((pcs - predicted) ** 2, axis=0) / np.sum(pcs**2, axis=0)
