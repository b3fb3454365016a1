"""How much rounding changes a run: compare the same run in float32 and in float64, step by step.

For each measure on each surrogate, with the same seed (Y0 is the same up to float32's rounding):

largest, median      absolute difference of the two scores at the same step, over the steps of both runs
half captures        largest and median absolute difference of the score at which a PC was half captured, over
                     the PCs that both runs half captured; ``apart``: PCs that only one run half captured
steps                to the target in float32 and in float64; "-" if the step limit was reached first
Y                    relative difference of the two final Y, if both runs made equally many steps

By default runs on mante make a few steps only, and runs on majaj go on to the target; ``--steps`` changes
both. A line on stderr follows every run.

    python scripts/drift.py [--datasets majaj mante] [--measures ...] [--steps 1000] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import simopt
from simopt.errors import DegenerateWarning
from simopt.optimization.trajectory import Trajectory

MEASURES = (
    "cka",
    "cka_angular",
    "nbs",
    "procrustes_angular",
    "linreg",
    "ridge100_cv5",
    "rsa_correlation_corr",
)
STEPS = {"majaj": 1000, "mante": 20}
TARGET = 0.99


def differences(single: Trajectory, double: Trajectory) -> dict[str, Any]:
    """Compare two runs of one replicate."""
    both = min(len(single.step), len(double.step))
    score = np.abs(single.score[:both, 0] - double.score[:both, 0])
    one, other = single.half_capture()[0], double.half_capture()[0]
    captured = np.abs(one - other)[np.isfinite(one) & np.isfinite(other)]
    steps = [float(run.steps_to(TARGET)[0]) for run in (single, double)]
    equally_long = len(single.step) == len(double.step)
    apart = np.linalg.norm(single.Y - double.Y) / np.linalg.norm(double.Y) if equally_long else math.nan
    return {
        "steps": both - 1,
        "score_largest": float(score.max()),
        "score_median": float(np.median(score)),
        "half_captured": len(captured),
        "half_capture_largest": float(captured.max()) if len(captured) else None,
        "half_capture_median": float(np.median(captured)) if len(captured) else None,
        "half_captured_by_one": int((np.isfinite(one) != np.isfinite(other)).sum()),
        "steps_to_target": [None if math.isnan(step) else int(step) for step in steps],
        "Y": None if math.isnan(apart) else float(apart),
    }


def compare(dataset: str, measure: str, steps: int, seed: int) -> dict[str, Any]:
    X = simopt.load_dataset(dataset, source="surrogate").responses
    began = time.perf_counter()
    single, double = (
        simopt.optimize(X, measure, target=TARGET, max_steps=steps, seeds=(seed,), device="cpu", dtype=dtype)
        for dtype in ("float32", "float64")
    )
    seconds = time.perf_counter() - began
    return {"dataset": dataset, "measure": measure, **differences(single, double), "seconds": seconds}


def shown(row: dict[str, Any]) -> list[str]:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.1e}"

    return [
        row["dataset"],
        row["measure"],
        str(row["steps"]),
        number(row["score_largest"]),
        number(row["score_median"]),
        str(row["half_captured"]),
        number(row["half_capture_largest"]),
        number(row["half_capture_median"]),
        str(row["half_captured_by_one"]),
        " ".join("-" if step is None else str(step) for step in row["steps_to_target"]),
        number(row["Y"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", default=list(STEPS))
    parser.add_argument("--measures", nargs="+", default=list(MEASURES))
    parser.add_argument("--steps", type=int, help="step limit; default: 1000, for mante 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DegenerateWarning)
    rows = []
    for dataset in arguments.datasets:
        for measure in arguments.measures:
            steps = arguments.steps or STEPS.get(dataset, 1000)
            row = compare(dataset, measure, steps, arguments.seed)
            rows.append(row)
            print(f"{dataset} {measure}: {row['seconds']:.0f} s", file=sys.stderr)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("dataset", "measure", "steps", "score, largest", "median", "half captures", "largest",
                  "median", "apart", "to target", "Y")  # fmt: skip
    for row in rows:
        table.add_row(*shown(row))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
