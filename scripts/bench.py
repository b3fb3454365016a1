"""Time of one optimization step, relative to the matrix products that it needs at least (its floor).

For each measure: the median time of a step (score, gradient, update; float32) divided by the median time of
its floor. Both are timed alternately in one process; ``logged`` adds the captured variance of every PC.
Floors, for X (n, p) and Y (n, q):

    cka                      X'Y, Y'Y, X A, Y B
    nbs, procrustes_angular  X'Y, X A; without the polar factor of a p x q matrix, which ``svd ms`` gives: the
                             time of its singular value decomposition
    linreg                   X'Y, Y'Y, X A, Y B and a Cholesky factor
    ridge100_cv5             X'Y, Y'Y, X A, Y B, and for each of the five folds the inverse of a q x q matrix
                             from its Cholesky factor and six products of min(n / 5, q) rows with q x q: two
                             from fit to prediction, four back

Times are for one replicate: the time of a batch of R replicates is divided by R. ``--textbook`` also times
one step of the plain formulas with autograd: kernels by singular value decomposition of n x n Gram matrices,
regressions by solvers on the samples. Every row is also printed to stderr as it is finished.

    python scripts/bench.py [--datasets majaj mante] [--measures ...] [--replicates 1 16] [--seconds 5]
                            [--textbook] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import simopt
from simopt import catalogue, measures
from simopt.measures import Reference
from simopt.optimization.captured import captured_variance
from simopt.optimization.init import GaussianInit
from simopt.optimization.loop import Ascent
from simopt.optimization.state import State

UNREACHED = 2.0  # a target above every score
WARM_UP, FEWEST = 1, 3  # steps that are not counted; that are
FOLDS, PENALTY = 5, 100.0
MEASURES = ("cka", "nbs", "procrustes_angular", "linreg", "ridge100_cv5")
BARS = {
    ("majaj", "cka"): 1.35,
    ("majaj", "nbs"): 2.0,
    ("majaj", "procrustes_angular"): 2.0,
    ("majaj", "linreg"): 2.0,
    ("majaj", "ridge100_cv5"): 2.5,
    ("mante", "cka"): 1.35,
    ("mante", "procrustes_angular"): 6.0,
    ("mante", "linreg"): 2.5,
}


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def floor(measure: str, X: Tensor, Y: Tensor) -> Callable[[], object]:
    cross, units = X.mT @ Y, Y.shape[-1]
    square = torch.eye(units) + Y.mT @ Y / len(X)
    rows = Y[..., : min(len(X) // FOLDS, units), :].contiguous()

    def products() -> None:
        X.mT @ Y
        X @ cross
        if measure in ("nbs", "procrustes_angular"):
            return
        Y.mT @ Y
        Y @ square
        if measure == "linreg":
            torch.linalg.cholesky_ex(square)
        if measure == "ridge100_cv5":
            for _ in range(FOLDS):
                torch.cholesky_inverse(torch.linalg.cholesky_ex(square)[0])
                for _ in range(4):
                    rows @ square
                for _ in range(2):
                    rows.mT @ rows

    return products


def row(dataset: str, measure: str, reference: Reference, Y0: Tensor, seconds: float) -> dict[str, Any]:
    optimizer = catalogue.build(catalogue.read("optimizer", "adam"), "optimizer", partial=True)
    ascent = Ascent(measures.get(measure).bind(reference), Y0, optimizer, UNREACHED, 10**9, read_every=1)
    work = floor(measure, reference.scores, ascent.Y.clone())
    square = reference.scores.mT @ ascent.Y
    times: dict[str, list[float]] = {"floor": [], "step": [], "captured": []}
    began, end = time.perf_counter(), time.perf_counter() + seconds

    def observe(state: State) -> None:
        nonlocal began
        times["step"].append(1e3 * (time.perf_counter() - began))
        times["captured"].append(milliseconds(lambda: captured_variance(state.moments)))
        times["floor"].append(milliseconds(work))
        began = time.perf_counter()

    def enough() -> bool:
        return ascent.step >= WARM_UP + FEWEST and time.perf_counter() > end

    ascent.run(observe, should_stop=enough)
    # The last state is observed without the gradient and the update that end a step.
    median = {name: statistics.median(taken[WARM_UP:-1]) / len(Y0) for name, taken in times.items()}
    polar = None
    if measure in ("nbs", "procrustes_angular"):
        svd = [milliseconds(lambda: torch.linalg.svd(square, full_matrices=False)) for _ in range(FEWEST)]
        polar = statistics.median(svd) / len(Y0)
    return {
        "dataset": dataset,
        "measure": measure,
        "replicates": len(Y0),
        "steps": ascent.step - WARM_UP,
        "floor_ms": median["floor"],
        "svd_ms": polar,
        "step_ms": median["step"],
        "step_to_floor": median["step"] / median["floor"],
        "logged_to_floor": (median["step"] + median["captured"]) / median["floor"],
        "bar": BARS.get((dataset, measure)) if len(Y0) == 1 else None,
    }


def centered(A: Tensor) -> Tensor:
    return A - A.mean(dim=0)


def root(A: Tensor) -> Tensor:
    """Return the square root of the Gram matrix A A', (n, n)."""
    left, values, right = torch.linalg.svd(A @ A.T)
    return left * values.sqrt() @ right


def textbook(measure: str, X: Tensor, Y: Tensor) -> Tensor:
    """Return the score by its formula."""
    X, Y = centered(X), centered(Y)
    if measure == "cka":
        (U, s, _), (V, t, _) = torch.linalg.svd(X @ X.T), torch.linalg.svd(Y @ Y.T)
        return s @ (U.T @ V).square() @ t / (s.norm() * t.norm())
    if measure in ("nbs", "procrustes_angular"):
        nbs = torch.linalg.svdvals(root(X) @ root(Y)).sum() / (X.norm() * Y.norm())
        return nbs if measure == "nbs" else 1 - 2 / math.pi * torch.arccos(nbs)
    if measure == "linreg":
        return 1 - (X - Y @ torch.linalg.lstsq(Y, X).solution).square().sum() / X.square().sum()
    scores = []
    for test in torch.arange(len(X)).tensor_split(FOLDS):
        train = torch.ones(len(X), dtype=torch.bool)
        train[test] = False
        x_mean, y_mean = X[train].mean(dim=0), Y[train].mean(dim=0)
        A = Y[train] - y_mean
        B = torch.linalg.solve(A.T @ A + PENALTY * torch.eye(A.shape[1]), A.T @ (X[train] - x_mean))
        error = X[test] - x_mean - (Y[test] - y_mean) @ B
        scores.append(1 - error.square().sum() / (X[test] - x_mean).square().sum())
    return torch.stack(scores).mean()


def textbook_step(measure: str, X: Tensor, Y0: Tensor) -> float:
    Y = Y0.clone().requires_grad_()
    optimizer = torch.optim.Adam([Y], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (-textbook(measure, X, Y)).backward()
        optimizer.step()

    return milliseconds(step)


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for dataset in options.datasets:
        samples = simopt.load_dataset(dataset, source="surrogate").samples()
        reference = Reference.of(samples, dtype=torch.float32)
        for measure in options.measures:
            for replicates in options.replicates:
                Y0 = GaussianInit()(range(replicates), *samples.shape)
                result = row(dataset, measure, reference, Y0, options.seconds)
                if options.textbook and replicates == 1:
                    result["textbook_ms"] = textbook_step(measure, reference.scores, Y0[0].float())
                print(json.dumps(result), file=sys.stderr, flush=True)
                yield result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["majaj", "mante"])
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--replicates", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--textbook", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = list(rows(options))
    if options.json:
        print(json.dumps({"threads": torch.get_num_threads(), "dtype": "float32", "rows": results}))
        return
    table = Table(title=f"float32, {torch.get_num_threads()} threads, ms of one replicate")
    columns = (
        ("floor ms", "floor_ms"),
        ("svd ms", "svd_ms"),
        ("step ms", "step_ms"),
        ("step / floor", "step_to_floor"),
        ("bar", "bar"),
        ("logged / floor", "logged_to_floor"),
        ("textbook ms", "textbook_ms"),
    )
    for name in ("dataset", "measure"):
        table.add_column(name)
    for name in ("replicates", *(title for title, _ in columns)):
        table.add_column(name, justify="right")
    for line in results:
        values = (line.get(key) for _, key in columns)
        cells = ("" if value is None else f"{value:.2f}" for value in values)
        table.add_row(line["dataset"], line["measure"], str(line["replicates"]), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
