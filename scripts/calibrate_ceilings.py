"""Coverage and bias of noise ceilings on simulated recordings whose noise-free signal is known.

The truth is the score of the average of all repeats against the signal of the same data set. Each cell of
the grid is a kind of noise, a kind of signal, a number of units and of repeats, a size of noise, and a family
of measures. For each measure the table holds the number of data sets, the share that get a ceiling, and among
these the share whose 95 % interval holds the truth, the mean error, and the mean width of the interval.
``share`` is the mean share of the signal in the sum of squares of the average.

Cells that are in the table with as many data sets are not run again, so that an interrupted run goes on. A
cell that covers less than 92 % is run once more with ``--again`` other data sets; both are kept.

    python scripts/calibrate_ceilings.py [--sets 300] [--again 1000] [--kinds gaussian counts ...]
                                         [--families kernels regressions] [--processes 1]
                                         [--minutes M] [--table]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from simopt import measures
from simopt.analysis.ceilings import from_trials
from simopt.datasets import Trials

TABLE = Path(__file__).parents[1] / "tests" / "data" / "measured" / "ceilings.json"
CONDITIONS = 100
FAMILIES = {
    "kernels": ("cka", "cka_debiased", "nbs", "procrustes_angular"),
    "regressions": ("ridge_cv", "linreg_cv5"),
}
UNITS = {"kernels": (1, 10, 100), "regressions": (1, 10, 20)}
SIGNALS = ("rank 3", "rank 10", "1/k", "flat")
KINDS = ("gaussian", "offsets", "counts", "unequal units", "unequal conditions", "unequal repeats")
# Offsets move nothing, which a test shows to rounding; the other kinds stand beside the grid.
SHOWN = {"offsets": ("1/k",), **dict.fromkeys(KINDS[2:], ("rank 3", "1/k"))}
NOISES, REPEATS = (0.5, 5.0, 25.0), (2, 4, 8)
BAR = 0.92
Cell = tuple[str, str, int, float, int, str]  # kind, signal, units, noise, repeats, family of measures


def signal_of(name: str, units: int, rng: np.random.Generator) -> np.ndarray:
    """Return a signal (conditions, units) of mean square 1."""
    if name.startswith("rank"):
        rank = int(name.split()[1])
        S = rng.standard_normal((CONDITIONS, rank)) @ rng.standard_normal((rank, units))
    elif name == "1/k":
        axes = np.linalg.qr(rng.standard_normal((units, units)))[0]
        S = (rng.standard_normal((CONDITIONS, units)) / np.sqrt(np.arange(1, units + 1))) @ axes
    else:
        S = rng.standard_normal((CONDITIONS, units))
    return S / np.sqrt(np.mean(S**2))


def recording_of(cell: Cell, seed: int) -> tuple[Trials, np.ndarray]:
    """Return the trials of a data set, and its signal."""
    kind, name, units, noise, repeats, _ = cell
    key = [KINDS.index(kind), SIGNALS.index(name), units, int(10 * noise), repeats, seed]
    rng = np.random.default_rng(key)
    S = signal_of(name, units, rng)
    condition = np.repeat(np.arange(CONDITIONS), repeats)
    repeat = np.tile(np.arange(repeats), CONDITIONS)
    if kind == "unequal repeats":  # 2 to 2 M - 2 of each condition, M on average
        counts = rng.integers(2, 2 * repeats - 1, CONDITIONS)
        condition = np.repeat(np.arange(CONDITIONS), counts)
        repeat = np.concatenate([np.arange(count) for count in counts])
    if kind == "counts":
        # The log of the rate is the signal; the mean count makes the noise as large as asked for.
        rate = np.exp(0.5 * S)
        rate *= np.mean(rate) / (noise * np.mean((rate - rate.mean(axis=0)) ** 2))
        return Trials(rng.poisson(rate[condition]).astype(float), condition, repeat), rate
    N = np.sqrt(noise) * rng.standard_normal((len(condition), units))
    if kind == "unequal units":  # powers of 0.2 to 5, mean 1
        powers = np.exp(rng.uniform(-1.6, 1.6, units))
        N *= np.sqrt(powers / powers.mean())
    if kind == "unequal conditions":
        powers = np.exp(rng.uniform(-1.6, 1.6, CONDITIONS))
        N *= np.sqrt(powers / powers.mean())[condition][:, None]
    if kind == "offsets":
        N += 3 * rng.standard_normal((repeats, units))[repeat]
    return Trials(S[condition] + N, condition, repeat), S


def cells(kinds: list[str], families: list[str]) -> list[Cell]:
    return [
        (*cell, family)
        for family in families
        for kind in kinds
        for cell in itertools.product([kind], SHOWN.get(kind, SIGNALS), UNITS[family], NOISES, REPEATS)
        if not (kind == "unequal repeats" and cell[4] == 2)  # none would be unequal
    ]


def run(cell: Cell, first: int, sets: int) -> dict[str, Any]:
    """Return the entry of a cell in the table."""
    chosen = [measures.get(name) for name in FAMILIES[cell[5]]]
    rows, shares = [], []
    for seed in range(first, first + sets):
        trials, S = recording_of(cell, seed)
        A = trials.average()
        ceilings = from_trials(trials, chosen, splits=0)
        row = []
        for measure in chosen:
            ceiling, true = ceilings[measure.name], measures.score(A, S, measure)
            row.append((ceiling.value, *ceiling.interval, true))
        rows.append(row)
        centered, clean = A - A.mean(axis=0), S - S.mean(axis=0)
        shares.append(np.sum(clean**2) / np.sum(centered**2))
    found = {}
    for measure, (value, low, high, true) in zip(chosen, np.array(rows).transpose(1, 2, 0), strict=True):
        given = ~np.isnan(value)
        entry: dict[str, Any] = {"given": float(given.mean())}
        if given.any():
            inside = (low <= true + 1e-9) & (true <= high + 1e-9)
            entry |= {
                "covered": float(inside[given].mean()),
                "bias": float((value - true)[given].mean()),
                "width": float((high - low)[given].mean()),
                "truth": float(true[given].mean()),
            }
        bare = ~given & ~np.isnan(low)  # intervals without a value
        if bare.any():
            entry["covered without a value"] = float(((low <= true) & (true <= high))[bare].mean())
        found[measure.name] = entry
    return {"sets": sets, "first": first, "share": float(np.mean(shares)), "measures": found}


def key_of(cell: Cell) -> str:
    kind, name, units, noise, repeats, family = cell
    return f"{kind}; {name}; {units} units; noise {noise:g}; {repeats} repeats; {family}"


def low(entry: dict[str, Any]) -> bool:
    return any(of.get("covered", 1.0) < BAR for of in entry["measures"].values())


def stored() -> dict[str, Any]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def store(table: dict[str, Any]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


def work(cell: Cell, sets: int, again: int, before: dict[str, Any] | None) -> tuple[Cell, dict[str, Any]]:
    entry = before if before is not None and before["sets"] >= sets else run(cell, 0, sets)
    if low(entry) and again > entry.get("again", {}).get("sets", 0):
        entry = {**entry, "again": run(cell, 1_000_000, again)}
    return cell, entry


def shown(table: dict[str, Any]) -> str:
    lines = [f"{'cell':72} sets share  measure              given covered    bias  width"]
    for key, entry in table.items():
        for part in (entry, entry.get("again")):
            for name, of in part["measures"].items() if part else ():
                numbers = (
                    f"{of['covered']:7.3f} {of['bias']:+7.3f} {of['width']:6.3f}" if "covered" in of else ""
                )
                lines.append(
                    f"{key:72} {part['sets']:4} {part['share']:5.2f}  {name:20} {of['given']:5.2f} {numbers}"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--again", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no cell after so long")
    parser.add_argument("--table", action="store_true", help="print the stored table and run nothing")
    options = parser.parse_args()
    table = stored()
    if options.table:
        print(shown(table))
        return
    end = time.monotonic() + 60 * options.minutes
    todo = cells(options.kinds, options.families)

    def keep(cell: Cell, entry: dict[str, Any]) -> None:
        table[key_of(cell)] = entry
        store(table)
        print(shown({key_of(cell): entry}).split("\n", 1)[1], flush=True)

    if options.processes == 1:
        for cell in todo:
            if time.monotonic() < end:
                keep(*work(cell, options.sets, options.again, table.get(key_of(cell))))
    else:
        with ProcessPoolExecutor(options.processes) as pool:
            jobs = [
                pool.submit(work, cell, options.sets, options.again, table.get(key_of(cell))) for cell in todo
            ]
            for job in as_completed(jobs):
                keep(*job.result())
    sys.stdout.write(f"{len(table)} cells in {TABLE}\n")


if __name__ == "__main__":
    main()
