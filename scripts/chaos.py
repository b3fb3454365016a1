"""A fault-injection campaign against simopt: signals, full disks, damaged files, concurrent processes.

Each fault is checked for two kinds of failure. Lost: stored results or logged states are missing, or
repeating the command does not give the numbers of an undisturbed run, bit for bit. Misreported: an exit code,
a status or a message is wrong, a damaged file is read as if it were intact, a partial file has the final
name, or a temporary file is never removed. The exit code is 1 if there is any failure.

    python scripts/chaos.py [--faults 1000] [--seed 0] [--jobs 2] [--only KIND,...] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from faults import crowds, damage, disks, signals
from faults.bench import WORK, Bench, Fault, Verdict, memory, prepare
from rich.console import Console
from rich.table import Table

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its number in 1000 faults, how to make one, and whether it must mount file systems."""

    name: str
    share: int
    make: Callable[[int], Fault]
    mounts: bool = False


@dataclass
class Row:
    """The outcomes of all faults of one kind."""

    faults: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    misreported: list[str] = field(default_factory=list)
    skipped: str = ""


def kinds(port: int) -> list[Kind]:
    """Return all kinds of faults; their shares add up to about 1000."""

    def always(fault: Fault) -> Callable[[int], Fault]:
        return lambda number: fault

    every: list[Kind] = []
    for work, share in (("run", 40), ("sweep", 16), ("joint", 16), ("sensitivity", 12)):
        every += [Kind(f"{work} {n.name}", share, always(signals.during(work, n))) for n in SIGNALS]
    every += [Kind(f"report {n.name}", 12, always(signals.during_report(n))) for n in SIGNALS]
    every += [Kind(f"start {n.name}", 5, always(signals.at_start(n))) for n in SIGNALS]
    for what in (*(n.name for n in SIGNALS), "cut", "stall", "wiped"):
        every.append(
            Kind(f"download {what}", 3 if what == "stall" else 8, always(crowds.download(port, what)))
        )
    for work, share in (("run", 20), ("sweep", 6), ("joint", 10), ("sensitivity", 6)):
        every.append(Kind(f"disk full {work}", share, disks.full(work), mounts=True))
        every.append(Kind(f"file limit {work}", share // 2, always(disks.limited(work))))
    every.append(Kind("disk full report", 12, always(disks.full_report), mounts=True))
    every.append(Kind("read-only", 12, always(disks.not_writable), mounts=True))
    every += [Kind(f"damaged {work}", 20, damage.damaged(work)) for work in WORK if work != "sweep"]
    every += [
        Kind(f"schema {work}", 4, always(damage.other_schema(work))) for work in WORK if work != "sweep"
    ]
    every += [Kind(f"clock {work}", 4, always(crowds.clock(work))) for work in WORK]
    every += [Kind(f"crowd {work}", 6, always(crowds.crowd(work))) for work in WORK]
    every += [Kind(f"removed {work}", 8, always(disks.removed(work))) for work in WORK]
    return every


_bench: Bench
_kinds: dict[str, Kind]


def trial(name: str, number: int, seed: int) -> tuple[str, Verdict]:
    """Make one fault in a separate folder."""
    folder = Path(tempfile.mkdtemp(dir=memory()))
    try:
        return name, _kinds[name].make(number)(random.Random(f"{seed} {name} {number}"), _bench, folder / "o")
    except Exception:
        return name, Verdict(misreported=[f"the campaign itself failed: {traceback.format_exc()}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def campaign(faults: int | None, seed: int, jobs: int, only: list[str]) -> dict[str, Row]:
    """Make faults of all kinds, or of those whose names start with one of ``only``, and count the
    outcomes."""
    global _bench, _kinds
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(dir=memory()) as name, crowds.served() as port:
        _bench = prepare(Path(name) / "whole")
        chosen = [
            kind for kind in kinds(port) if not only or any(kind.name.startswith(start) for start in only)
        ]
        _kinds = {kind.name: kind for kind in chosen}
        shares = sum(kind.share for kind in chosen)
        todo = []
        for kind in chosen:
            rows[kind.name] = Row()
            if kind.mounts and not _bench.mounts:
                rows[kind.name].skipped = "needs the right to mount a file system"
                continue
            count = kind.share if faults is None else max(1, round(faults * kind.share / shares))
            step = max(1, kind.share // count)
            todo += [(kind.name, number * step, seed) for number in range(count)]
        random.Random(seed).shuffle(todo)
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
            for done in as_completed([pool.submit(trial, *arguments) for arguments in todo]):
                kind, verdict = done.result()
                row = rows[kind]
                row.faults += 1
                row.seen.update(verdict.seen)
                row.lost += verdict.lost
                row.misreported += verdict.misreported
    return rows


def shown(rows: dict[str, Row], seconds: float) -> Table:
    """Return the rows as a table."""
    totals = [
        sum(column)
        for column in zip(*((r.faults, len(r.lost), len(r.misreported)) for r in rows.values()), strict=True)
    ]
    table = Table(title=f"{totals[0]} faults in {seconds:.0f} s: {totals[1]} lost, {totals[2]} misreported")
    table.add_column("fault")
    for column in ("times", "lost", "misreported"):
        table.add_column(column, justify="right")
    table.add_column("seen")
    for name, row in rows.items():
        seen = row.skipped or ", ".join(f"{what} ({count})" for what, count in sorted(row.seen.items()))
        table.add_row(name, str(row.faults), str(len(row.lost)), str(len(row.misreported)), seen)
    return table


def main() -> int:
    """Carry out a campaign and print its outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--faults", type=int, default=None, help="approximate number of faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="only kinds whose names start like one of these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    begun = time.perf_counter()
    rows = campaign(
        options.faults, options.seed, options.jobs, [name for name in options.only.split(",") if name]
    )
    problems = [
        f"{name}: {problem}" for name, row in rows.items() for problem in (*row.lost, *row.misreported)
    ]
    if options.json:
        print(json.dumps({name: {**vars(row), "seen": dict(row.seen)} for name, row in rows.items()}))
    else:
        console = Console(width=None if sys.stdout.isatty() else 180)
        console.print(shown(rows, time.perf_counter() - begun))
        for text, count in Counter(problems).most_common():
            console.print(f"{count} x {text}", markup=False, soft_wrap=True)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
