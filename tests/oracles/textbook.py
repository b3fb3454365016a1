"""The measures as a textbook writes them: numpy, float64, samples x samples where that is plainest.

Nothing here is shared with the package.
"""

from functools import partial

import numpy as np


def centered(A):
    return A - A.mean(axis=0)


def cka(X, Y):
    K, L = (centered(A) @ centered(A).T for A in (X, Y))
    return np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L))


def nbs(X, Y):
    Xc, Yc = centered(X), centered(Y)
    return np.linalg.svd(Xc.T @ Yc, compute_uv=False).sum() / np.linalg.norm(Xc) / np.linalg.norm(Yc)


def angular(score):
    return 1 - np.arccos(np.clip(score, -1, 1)) / (np.pi / 2)


def fit(X, Y, penalty):
    if penalty == 0:
        return np.linalg.pinv(Y, rcond=1e-12) @ X
    return np.linalg.solve(Y.T @ Y + penalty * np.eye(Y.shape[1]), Y.T @ X)


def statistic(target, predicted, about, kind):
    if kind == "pearson":
        norm = np.linalg.norm(target) * np.linalg.norm(predicted)
        return np.sum(target * predicted) / norm if norm > 0 else 0.0
    return 1 - np.sum((target - predicted) ** 2) / np.sum(about**2)


def regression(X, Y, penalty=0.0, folds=None, kind="r2", baseline="train"):
    """X predicted from Y; test sets of fewer than 3 samples are scored as one."""
    samples = np.arange(len(X))
    splits = [(samples, samples)]
    if folds is not None:
        splits = [(np.setdiff1d(samples, test), test) for test in np.array_split(samples, folds)]
    pairs = []
    for train, test in splits:
        x_mean, y_mean = X[train].mean(axis=0), Y[train].mean(axis=0)
        B = fit(X[train] - x_mean, Y[train] - y_mean, penalty)
        pairs.append((X[test] - x_mean, (Y[test] - y_mean) @ B))
    if min(len(target) for target, _ in pairs) < 3:
        pairs = [[np.concatenate(part) for part in zip(*pairs, strict=True)]]
    about = centered if baseline == "test" else lambda target: target
    return np.mean([statistic(target, predicted, about(target), kind) for target, predicted in pairs])


def both_ways(X, Y, **options):
    return (regression(X, Y, **options) + regression(Y, X, **options)) / 2


MEASURES = {
    "cka": cka,
    "cka_angular": lambda X, Y: angular(cka(X, Y)),
    "rsa_correlation_corr": cka,
    "nbs": nbs,
    "nbs_squared": lambda X, Y: nbs(X, Y) ** 2,
    "procrustes_angular": lambda X, Y: angular(nbs(X, Y)),
}
for _penalty in (0, 1, 10, 100, 1000, 10000):
    _name, _id = (f"ridge{_penalty}", f"ridge-lambda{_penalty}") if _penalty else ("linreg", "linreg")
    for _suffix, _cv, _folds in (("", "no_cv", None), ("_cv5", "5folds_cv", 5)):
        for _kind, _statistic in (("r2", "r2"), ("pearson", "pearsonr")):
            _options = {"penalty": _penalty, "folds": _folds, "kind": _kind}
            MEASURES[f"{_id}-{_statistic}-{_cv}"] = partial(regression, **_options)
            MEASURES[f"{_id}-{_statistic}-sym-{_cv}"] = partial(both_ways, **_options)
        MEASURES[_name + _suffix] = MEASURES[f"{_id}-r2-{_cv}"]
MEASURES["linreg-angular"] = lambda X, Y: np.arccos(np.clip(regression(X, Y), 0, 1))
MEASURES["linreg-r2-testmean-5folds_cv"] = partial(regression, folds=5, baseline="test")
for _alias, _name in (
    ("nbs-squared", "nbs_squared"),
    ("procrustes-angular-score", "procrustes_angular"),
    ("nbs-angular-score", "procrustes_angular"),
):
    MEASURES[_alias] = MEASURES[_name]


def captured_variance(X, Y):
    """R2 of the least-squares prediction of each PC of X from Y."""
    Xc, Yc = centered(X), centered(Y)
    left, values, _ = np.linalg.svd(Xc, full_matrices=False)
    pcs = left * values
    predicted = Yc @ np.linalg.lstsq(Yc, pcs, rcond=None)[0]
    return 1 - np.sum((pcs - predicted) ** 2, axis=0) / np.sum(pcs**2, axis=0)
