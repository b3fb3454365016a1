"""Peak memory of runs, each in a separate process: in total, and above the memory after importing torch.

``mante``: the surrogate with captured variance at every step, for two numbers of steps. ``large``: 20 steps
on 100,000 samples of 1,000 units in float32, from a file in a temporary folder.

    python scripts/bench_memory.py [--only mante|large] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

STEPS = (10, 100)
LARGE_STEPS = 20
MANTE_ABOVE_TORCH_MB, LARGE_MB = 250, 4000
UNREACHED = "target=1"
PEAK = """
import resource, sys
from pathlib import Path
import torch
status = Path("/proc/self/status")  # getrusage there counts what the process was before, the parent's copy
def peak():
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak(), flush=True)
from simopt.app.config import requests
from simopt.workflows.run import carry_out
if sys.argv[1:]:
    carry_out(requests.run(sys.argv[1:]))
print(peak())
"""


def peaks(*overrides: str) -> tuple[float, float]:
    """Return the peak resident memory after the import of torch, and after the run, in MB."""
    command = [sys.executable, "-W", "ignore", "-c", PEAK, *overrides]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    before, after = (int(line) / 1e6 for line in done.stdout.split()[-2:])
    return before, after


def runs(only: str, folder: Path) -> list[tuple[str, tuple[str, ...], int]]:
    common = (UNREACHED, f"log.dir='{folder}'", "device=cpu")
    rows = []
    if only != "large":
        for measure in ("cka", "procrustes_angular"):
            rows += [
                (measure, ("dataset=mante", "dataset.source=surrogate", f"measure={measure}", *common), steps)
                for steps in STEPS
            ]
    if only != "mante":
        path = folder / "large.npy"
        large = np.lib.format.open_memmap(path, "w+", np.float32, (100_000, 1_000))
        rng = np.random.default_rng(0)
        scale = np.arange(1, 1_001) ** -0.5
        for block in np.array_split(large, 100):
            block[:] = rng.standard_normal(block.shape) * scale
        large.flush()
        del large
        final = "log.final=false"
        rows += [
            (
                measure,
                ("dataset=file", f"dataset.path='{path}'", f"measure={measure}", final, *common),
                LARGE_STEPS,
            )
            for measure in ("cka", "nbs")
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=["both", "mante", "large"], default="both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        for measure, overrides, steps in runs(options.only, Path(name)):
            before, peak = peaks(*overrides, f"max_steps={steps}")
            large = overrides[0] == "dataset=file"
            results.append(
                {
                    "dataset": "100,000 x 1,000" if large else "mante",
                    "measure": measure,
                    "steps": steps,
                    "torch_mb": round(before),
                    "peak_mb": round(peak),
                    "above_torch_mb": round(peak - before),
                    "within": peak <= LARGE_MB if large else peak - before <= MANTE_ABOVE_TORCH_MB,
                }
            )
    if options.json:
        print(json.dumps(results))
        return
    bars = f"bars: mante {MANTE_ABOVE_TORCH_MB} MB above torch, large {LARGE_MB} MB in all"
    table = Table(title="Peak memory", caption=bars)
    for key in results[0]:
        table.add_column(key, justify="right")
    for row in results:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
