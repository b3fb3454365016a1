"""A campaign of faults against simopt: what is lost, and what is reported wrongly.

Lost: results or rows that were promised are not there, or the same command does not come to the numbers of an
undisturbed run, bit for bit. Misreported: an exit code, a status or a message does not say what happened, a
broken file is read as if it were whole, a half-written one carries its name, or a temporary one is left for
good. Exits with 1 where there is one of these.

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
    """A kind of fault: its share of all, how one is made, and whether it needs to mount file systems."""

    name: str
    share: int
    make: Callable[[int], Fault]
    mounts: bool = False


@dataclass
class Row:
    """What was seen of the faults of a kind."""

    faults: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    misreported: list[str] = field(default_factory=list)
    skipped: str = ""


def kinds(port: int) -> list[Kind]:
    """Return all kinds; the shares of a campaign of 1000 faults, about."""

    def always(fault: Fault) -> Callable[[int], Fault]:
        return lambda number: fault

    found: list[Kind] = []
    for work, share in (("run", 40), ("sweep", 16), ("joint", 16), ("sensitivity", 12)):
        found += [Kind(f"{work} {n.name}", share, always(signals.during(work, n))) for n in SIGNALS]
    found += [Kind(f"report {n.name}", 12, always(signals.during_report(n))) for n in SIGNALS]
    found += [Kind(f"start {n.name}", 5, always(signals.at_start(n))) for n in SIGNALS]
    for what in (*(n.name for n in SIGNALS), "cut", "stall", "wiped"):
        found.append(
            Kind(f"download {what}", 3 if what == "stall" else 8, always(crowds.download(port, what)))
        )
    for work, share in (("run", 20), ("sweep", 6), ("joint", 10), ("sensitivity", 6)):
        found.append(Kind(f"disk full {work}", share, disks.full(work), mounts=True))
        found.append(Kind(f"file limit {work}", share // 2, always(disks.limited(work))))
    found.append(Kind("disk full report", 12, always(disks.full_report), mounts=True))
    found.append(Kind("read-only", 12, always(disks.not_writable), mounts=True))
    found += [Kind(f"damaged {work}", 20, damage.damaged(work)) for work in WORK if work != "sweep"]
    found += [
        Kind(f"schema {work}", 4, always(damage.other_schema(work))) for work in WORK if work != "sweep"
    ]
    found += [Kind(f"clock {work}", 4, always(crowds.clock(work))) for work in WORK]
    found += [Kind(f"crowd {work}", 6, always(crowds.crowd(work))) for work in WORK]
    found += [Kind(f"removed {work}", 8, always(disks.removed(work))) for work in WORK]
    return found


_bench: Bench
_kinds: dict[str, Kind]


def trial(name: str, number: int, seed: int) -> tuple[str, Verdict]:
    """Make one fault, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(dir=memory()))
    try:
        return name, _kinds[name].make(number)(random.Random(f"{seed} {name} {number}"), _bench, folder / "o")
    except Exception:
        return name, Verdict(misreported=[f"the campaign itself failed: {traceback.format_exc()}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def campaign(faults: int | None, seed: int, jobs: int, only: list[str]) -> dict[str, Row]:
    """Make faults of all kinds, or of those whose names begin with one of ``only``; count what was seen."""
    global _bench, _kinds
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(dir=memory()) as name, crowds.served() as port:
        _bench = prepare(Path(name) / "whole")
        chosen = [
            kind for kind in kinds(port) if not only or any(kind.name.startswith(each) for each in only)
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
            for done in as_completed([pool.submit(trial, *each) for each in todo]):
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
        sum(each)
        for each in zip(*((r.faults, len(r.lost), len(r.misreported)) for r in rows.values()), strict=True)
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
    """Carry out a campaign and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--faults", type=int, default=None, help="so many in all, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="kinds, by the beginnings of their names")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    begun = time.perf_counter()
    rows = campaign(
        options.faults, options.seed, options.jobs, [each for each in options.only.split(",") if each]
    )
    problems = [f"{name}: {each}" for name, row in rows.items() for each in (*row.lost, *row.misreported)]
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
