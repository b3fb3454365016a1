"""How far one optimisation step is from the matrix products it cannot do without.

For each measure: the median time of a step (score, gradient, update; float32, one replicate) over that of its
floor, timed by turns in one process. cka: the four products X'Y, Y'Y, X A, Y B. nbs and procrustes_angular:
X'Y, X A and one SVD of the units x units matrix. ``logged`` includes the captured variance of every PC.

    python scripts/bench.py [--dataset majaj] [--rounds 15] [--json]
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

import simopt
from simopt import catalogue, measures
from simopt.measures import Reference
from simopt.optimization import Ascent, State, captured_variance
from simopt.optimization.init import GaussianInit

STEPS = 40  # a turn; a run of them takes one more forward pass
UNREACHED = 2.0  # a target above every score
BOUNDS = {"cka": 1.6, "nbs": 2.5, "procrustes_angular": 2.5}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def floor(measure: str, X: torch.Tensor, Y: torch.Tensor) -> Callable[[], object]:
    square = X.mT @ Y

    def products() -> None:
        for _ in range(STEPS):
            X.mT @ Y
            X @ square
            if measure == "cka":
                Y.mT @ Y
                Y @ square
            else:
                torch.linalg.svd(square, full_matrices=False)

    return products


def steps(measure: str, reference: Reference, Y0: torch.Tensor, logged: bool) -> Callable[[], object]:
    optimizer = catalogue.build(catalogue.read("optimizer", "adam"), "optimizer")
    ascent = Ascent(measures.get(measure).bind(reference), Y0, optimizer, UNREACHED, 0)

    def observe(state: State) -> None:
        if logged:
            captured_variance(state.moments)

    def turn() -> None:
        ascent.max_steps = ascent.step + STEPS
        ascent.run(observe)

    return turn


def ratios(measure: str, reference: Reference, Y0: torch.Tensor, rounds: int) -> dict[str, float]:
    X = reference.scores
    work = {
        "floor": floor(measure, X, Y0[0].to(X.dtype)),
        "step": steps(measure, reference, Y0, logged=False),
        "logged": steps(measure, reference, Y0, logged=True),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 2):
        for name, do in work.items():
            taken = seconds(do)
            if turn >= 2:  # the first turns warm up
                times[name].append(taken / STEPS)
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "floor_ms": 1e3 * median["floor"],
        "step_ms": 1e3 * median["step"],
        "step_to_floor": median["step"] / median["floor"],
        "logged_to_floor": median["logged"] / median["floor"],
        "bound": BOUNDS[measure],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", default="majaj")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    samples = simopt.load_dataset(options.dataset, source="surrogate").samples()
    reference = Reference.of(samples, dtype=torch.float32)
    Y0 = GaussianInit()([0], *samples.shape)
    rows = {measure: ratios(measure, reference, Y0, options.rounds) for measure in BOUNDS}
    if options.json:
        print(json.dumps({"dataset": options.dataset, "threads": torch.get_num_threads(), "measures": rows}))
        return
    table = Table(title=f"{options.dataset} {samples.shape}, float32, {torch.get_num_threads()} threads")
    for name in ("measure", "floor ms", "step ms", "step / floor", "logged step / floor", "bound"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for measure, row in rows.items():
        table.add_row(measure, *(f"{value:.2f}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
