"""Time and memory of loading a file with the size and layout of FreemanZiemba2013.

Writes random spikes of 205 units x 300 ms x 2700 presentations in float64 (1.33 GB) into a temporary folder,
and loads them in a new process, once for each layout:

contiguous    netCDF's default without compression: to judge by its size, the layout of the published file
compressed    gzip level 1 in chunks of about 4 MB, as Brain-Score's packaging writes now
transposed    as compressed, with presentations as the first dimension

    python scripts/bench_loading.py [--layouts contiguous compressed transposed] [--keep] [--json]
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
STIMULI, REPETITIONS, UNITS, TIMES = 135, 20, (102, 103), 300
SIZES = {"neuroid": sum(UNITS), "time_bin": TIMES, "presentation": STIMULI * REPETITIONS}
TRANSPOSED = ("presentation", "neuroid", "time_bin")
LAYOUTS = {
    "contiguous": (tuple(SIZES), {}),
    "compressed": (tuple(SIZES), {"chunks": (30, 43, 386), "compression": 1, "shuffle": True}),
    "transposed": (TRANSPOSED, {"chunks": (386, 30, 43), "compression": 1, "shuffle": True}),
}
LOAD = """
import resource, sys, time
from pathlib import Path
import numpy, h5py
from simopt.datasets.freeman_ziemba import FreemanZiemba
status = Path("/proc/self/status")  # getrusage there counts what the process was before, the parent's copy
def peak():
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
before, start = peak(), time.perf_counter()
dataset = FreemanZiemba(name="freeman_ziemba", repetitions=sys.argv[2]).read(Path(sys.argv[1]))
print(dataset.responses.shape, time.perf_counter() - start, before, peak(), sep="|")
"""


def write(folder: Path, order: tuple[str, ...], storage: dict) -> float:
    """Write a recording block by block and return the size of its file in GB."""
    from tests.datasets.assembly_files import create

    rng = np.random.default_rng(0)
    identities = [f"{k * 2654435761 % 2**32:040x}" for k in range(STIMULI)]
    shown = np.repeat(np.arange(STIMULI), REPETITIONS)
    coordinates = {
        "neuroid_id": ("neuroid", np.arange(1, sum(UNITS) + 1)),
        "region": ("neuroid", np.repeat(["V1", "V2"], UNITS)),
        "time_bin_start": ("time_bin", np.arange(TIMES)),
        "time_bin_end": ("time_bin", np.arange(1, TIMES + 1)),
        "image_id": ("presentation", np.array(identities)[shown]),
        "repetition": ("presentation", np.tile(np.arange(REPETITIONS), STIMULI)),
    }
    path = folder / "assy_movshon_FreemanZiemba2013_public.nc"
    with h5py.File(path, "w") as file:
        data = create(file, {name: SIZES[name] for name in order}, coordinates, **storage)
        step = storage.get("chunks", (10,))[0]
        for start in range(0, data.shape[0], step):
            shape = (min(step, data.shape[0] - start), *data.shape[1:])
            data[start : start + step] = rng.random(shape, dtype=np.float32) < 0.02
    with (folder / "stimulus_FreemanZiemba2013_aperture-public.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image_id", "texture_type", "texture_family"])
        writer.writerows([name, ("noise", "texture")[k % 2], k // 9] for k, name in enumerate(identities))
    return path.stat().st_size / 1e9


def load(folder: Path, repetitions: str) -> dict[str, float]:
    run = [sys.executable, "-c", LOAD, str(folder), repetitions]
    shape, seconds, before, peak = subprocess.check_output(run, text=True, cwd=ROOT).strip().split("|")
    if shape != "(2, 135, 205)":
        raise SystemExit(f"loaded {shape}")
    return {"seconds": float(seconds), "imports_mb": float(before), "peak_mb": float(peak)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--keep", action="store_true", help="keep single trials")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    results = {}
    for layout in arguments.layouts:
        with tempfile.TemporaryDirectory() as folder:
            size = write(Path(folder), *LAYOUTS[layout])
            results[layout] = {"file_gb": size, **load(Path(folder), "keep" if arguments.keep else "average")}
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    table = Table("layout", "file GB", "load s", "imports MB", "peak MB", "over imports MB")
    for layout, result in results.items():
        over = result["peak_mb"] - result["imports_mb"]
        table.add_row(
            layout,
            f"{result['file_gb']:.2f}",
            *(f"{v:.1f}" for v in list(result.values())[1:]),
            f"{over:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
