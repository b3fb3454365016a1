"""Time of one score and its gradient, compared with a direct implementation of the formula with autograd.

Float32, median over repeats, both timed alternately in one process, with X bound beforehand. The direct
implementation forms whole kernel matrices and differentiates through svd and pinv.

    python scripts/bench_measures.py [--repeats 5] [--json] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from simopt import measures

SHAPES = [(3200, 168), (200, 2000)]


def centered(A: Tensor) -> Tensor:
    return A - A.mean(dim=0)


def gram(A: Tensor) -> Tensor:
    return centered(A) @ centered(A).T


def cosine(K: Tensor, L: Tensor) -> Tensor:
    return (K * L).sum() / (K.norm() * L.norm())


def rbf(A: Tensor) -> Tensor:
    squared = torch.cdist(A, A, compute_mode="use_mm_for_euclid_dist").square()
    K = torch.exp(-squared / (2 * squared.detach().flatten().median()))
    return centered(centered(K).T)


def nbs(X: Tensor, Y: Tensor) -> Tensor:
    X, Y = centered(X), centered(Y)
    return torch.linalg.svdvals(X.T @ Y).sum() / (X.norm() * Y.norm())


def regression(X: Tensor, Y: Tensor, penalty: float = 0.0) -> Tensor:
    X, Y = centered(X), centered(Y)
    if penalty == 0:
        predicted = Y @ (torch.linalg.pinv(Y) @ X)
    else:
        A = Y.T @ Y + penalty * torch.eye(Y.shape[1])
        predicted = Y @ torch.linalg.solve(A, Y.T @ X)
    return 1 - (X - predicted).square().sum() / X.square().sum()


def cca(X: Tensor, Y: Tensor) -> Tensor:
    bases = [torch.linalg.svd(centered(A), full_matrices=False)[0] for A in (X, Y)]
    rank = min(X.shape[1], len(X) - 1)
    return torch.linalg.svdvals(bases[0][:, :rank].T @ bases[1][:, :rank]).sum() / min(X.shape[1], Y.shape[1])


def rsa(X: Tensor, Y: Tensor) -> Tensor:
    upper = torch.triu_indices(len(X), len(X), offset=1)
    rdms = [1 - torch.corrcoef(A)[upper[0], upper[1]] for A in (X, Y)]
    return torch.corrcoef(torch.stack(rdms))[0, 1]


def distance_correlation(X: Tensor, Y: Tensor) -> Tensor:
    A, B = (centered(centered(torch.cdist(Z, Z)).T) for Z in (X, Y))
    return ((A * B).mean() / ((A * A).mean() * (B * B).mean()).sqrt()).sqrt()


OBVIOUS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cka": lambda X, Y: cosine(gram(X), gram(Y)),
    "cka_rbf": lambda X, Y: cosine(rbf(X), rbf(Y)),
    "nbs": nbs,
    "procrustes_angular": lambda X, Y: 1 - torch.arccos(nbs(X, Y)) / (torch.pi / 2),
    "linreg": regression,
    "ridge100": lambda X, Y: regression(X, Y, 100.0),
    "cca": cca,
    "rsa": rsa,
    "distance_correlation": distance_correlation,
}


def seconds(score: Callable[[Tensor], Tensor], Y: Tensor) -> float:
    """Return the median of three calls in a row: the first finds the caches as the other one left them."""
    times = []
    for _ in range(3):
        leaf = Y.clone().requires_grad_()
        start = time.perf_counter()
        torch.autograd.grad(score(leaf), leaf)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(name: str, shape: tuple[int, int], repeats: int) -> dict[str, float]:
    torch.manual_seed(0)
    X, Y = torch.randn(*shape), torch.randn(*shape)
    bound = measures.get(name).bind(X)
    ours, obvious = [], []
    for turn in range(repeats + 1):
        pair = seconds(bound, Y), seconds(lambda leaf: OBVIOUS[name](X, leaf), Y)
        if turn:  # the first warms up
            ours.append(pair[0])
            obvious.append(pair[1])
    fast, slow = statistics.median(ours), statistics.median(obvious)
    return {"ours_ms": 1e3 * fast, "obvious_ms": 1e3 * slow, "times_faster": slow / fast}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(OBVIOUS), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = Table(title=f"score and gradient, float32, {torch.get_num_threads()} threads")
    for heading in ("measure", "samples x units", "ours ms", "obvious ms", "times faster"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    results = {}
    for name in options.names:
        for shape in SHAPES:
            times = row(name, shape, options.repeats)
            results[f"{name} {shape[0]}x{shape[1]}"] = times
            table.add_row(name, f"{shape[0]} x {shape[1]}", *(f"{value:.1f}" for value in times.values()))
    if options.json:
        print(json.dumps(results))
    else:
        Console().print(table)


if __name__ == "__main__":
    main()
