"""Utilization of a device in float32: replicate-steps per second by batch size, and their share of its peak.

Logged steps are counted (with score and captured variance of every state). The peak is the best rate of a
large matrix product, measured on the same device just before. The share counts only the products over samples
that the gradient needs: X'Y, Y'Y, X A and Y B for cka, linreg and ridge100_cv5, and X'Y and X A for nbs and
procrustes_angular.

    python scripts/bench_device.py [--device auto] [--datasets ultrametric majaj] [--measures ...]
                                   [--replicates 1 4 16 64] [--seconds 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import simopt
from simopt import catalogue, measures
from simopt.measures import Reference
from simopt.optimization import device as devices
from simopt.optimization.captured import captured_variance
from simopt.optimization.init import GaussianInit
from simopt.optimization.loop import Ascent
from simopt.optimization.state import State

UNREACHED = 2.0  # a target above every score
WARM_UP = 40  # steps that are not counted
SOURCES = {"majaj": {"source": "surrogate"}, "mante": {"source": "surrogate"}}
PRODUCTS = {"cka": 4, "linreg": 4, "ridge100_cv5": 4, "nbs": 2, "procrustes_angular": 2}


def synchronize(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def peak(where: torch.device) -> float:
    """Return the best rate of a matrix product, in operations a second."""
    size = 8192 if where.type == "cuda" else 2048
    A, B = torch.randn(2, size, size, device=where)
    best = 0.0
    for _ in range(5):
        synchronize(where)
        began = time.perf_counter()
        A @ B
        synchronize(where)
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


class Clock:
    """An observer that reads each state as a log would, and takes the time from the end of the warm-up on."""

    def __init__(self, where: torch.device, seconds: float) -> None:
        self.where, self.seconds = where, seconds
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)

    def __call__(self, state: State) -> None:
        captured_variance(state.moments).cpu()
        if state.settled:
            self.last = state.step, time.perf_counter()
            if self.first is None and state.step >= WARM_UP:
                self.first = self.last

    def enough(self) -> bool:
        return self.first is not None and self.last[1] - self.first[1] > self.seconds

    def rate(self) -> float:
        """Return steps a second."""
        if self.first is None or self.last[0] == self.first[0]:
            return float("nan")
        return (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])


def row(measure: str, reference: Reference, Y0: torch.Tensor, seconds: float) -> dict[str, Any]:
    where = reference.scores.device
    optimizer = catalogue.build(catalogue.read("optimizer", "adam"), "optimizer", partial=True)
    bound = measures.get(measure).bind(reference)
    ascent = Ascent(bound, Y0, optimizer, UNREACHED, 10**9)
    clock = Clock(where, seconds)
    ascent.run(clock, should_stop=clock.enough)
    (samples, pcs), units = reference.scores.shape, Y0.shape[-1]
    widths = (pcs, units, pcs, units) if PRODUCTS[measure] == 4 else (pcs, pcs)
    operations = sum(2 * samples * units * width for width in widths)
    return {
        "measure": measure,
        "replicates": len(Y0),
        "replicate_steps_per_second": clock.rate() * len(Y0),
        "operations_per_second": clock.rate() * len(Y0) * operations,
    }


def rows(options: argparse.Namespace, where: torch.device) -> Iterator[dict[str, Any]]:
    for dataset in options.datasets:
        samples = simopt.load_dataset(dataset, **SOURCES.get(dataset, {})).samples()
        reference = Reference.of(samples, dtype=torch.float32, device=where)
        for measure in options.measures:
            for replicates in options.replicates:
                Y0 = GaussianInit()(range(replicates), *samples.shape)
                highest = peak(where)
                result = row(measure, reference, Y0, options.seconds)
                share = result["operations_per_second"] / highest
                result = {"dataset": dataset, **result, "peak": highest, "share_of_peak": share}
                print(json.dumps(result), file=sys.stderr, flush=True)
                yield result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--datasets", nargs="+", choices=["ultrametric", *SOURCES], default=["ultrametric", "majaj"]
    )
    parser.add_argument("--measures", nargs="+", choices=PRODUCTS, default=list(PRODUCTS))
    parser.add_argument("--replicates", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", simopt.errors.SurrogateWarning)
    where, _ = devices.choose(options.device, "float32")
    with devices.matrix_products(tf32=False):
        results = list(rows(options, where))
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else str(where)
    if options.json:
        print(json.dumps({"device": name, "threads": torch.get_num_threads(), "rows": results}))
        return
    table = Table(title=f"{name}, float32, TF32 off, as logged")
    for title in ("dataset", "measure"):
        table.add_column(title)
    for title in ("replicates", "replicate-steps / s", "Gflop/s", "% of peak"):
        table.add_column(title, justify="right")
    for line in results:
        table.add_row(
            line["dataset"],
            line["measure"],
            str(line["replicates"]),
            f"{line['replicate_steps_per_second']:.0f}",
            f"{line['operations_per_second'] / 1e9:.1f}",
            f"{100 * line['share_of_peak']:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
