"""SIGKILL at random instants of runs, which are then repeated until they finish.

A third of the instants are uniform over the life of the process, a third over the time after the first write
of the file, and a third fall into a write (there is one at every step). The processes are forks of this one,
which has imported everything. With ``--fresh`` they are new interpreters running the command line, killed
between half and one and a half times their usual duration.

After every kill the run file, if there is one, must be readable and hold the first states of an undisturbed
run. At the end all arrays must equal those of that run, bit for bit. The exit code is 1 if any check fails.

    python scripts/kills.py [--kills 1000] [--fresh 50] [--jobs 1] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from faults.bench import Arrays, arrays, memory
from faults.process import Ended, Process, call, fresh
from rich.console import Console
from rich.table import Table

from simopt.app.config import requests
from simopt.errors import StorageError
from simopt.store import layout, reader
from simopt.store.whole import UNFINISHED
from simopt.workflows import session
from simopt.workflows.run import find_or_make
from simopt.workflows.run_request import RunRequest

_COMMON = ("target=1", "device=cpu", "log.checkpoint_seconds=0")
_SMALL = ("dataset=gaussian", "dataset.samples=40", "dataset.units=8", *_COMMON)
RUNS = {
    "adam": ("measure=nbs", "seeds=[0,1]", "track=[cka]", "max_steps=20", *_SMALL),
    "lbfgs": ("measure=cka", "optimizer=lbfgs", "max_steps=8", *_SMALL),
    "thinned": ("measure=cka", "log.score_step=0.02", "nulls=3", "attribute=[pcs]", "max_steps=20", *_SMALL),
    "decoded": ("measure=cka", "decoder=standard", "dataset=ultrametric", "max_steps=4", *_COMMON),
}
MOST_KILLS = 3  # of one run


@dataclass
class Undisturbed:
    """A run that was not killed: its request, its arrays, and how long it takes."""

    arguments: tuple[str, ...]
    request: RunRequest
    arrays: Arrays
    seconds: float
    fresh_seconds: float = 0.0

    def within(self, folder: Path) -> RunRequest:
        """Return the request of the same run in a folder."""
        return replace(self.request, log=replace(self.request.log, dir=str(folder)))


_runs: list[Undisturbed]


def undisturbed(arguments: tuple[str, ...], folder: Path, *, new: bool) -> Undisturbed:
    """Carry out a run, then repeat it to measure its time; with ``new`` also in a new interpreter."""
    request = requests.run(arguments)
    request = replace(request, log=replace(request.log, dir=str(folder)))
    find_or_make(request)
    begun = time.perf_counter()
    find_or_make(replace(request, force=True))
    assert request.path is not None
    run = Undisturbed(arguments, request, arrays(request.path), time.perf_counter() - begun)
    if new:
        begun = time.perf_counter()
        fresh(["run", *arguments, f"log.dir='{folder / 'fresh'}'"], 600, 0)
        run.fresh_seconds = time.perf_counter() - begun
    return run


def killed(chance: random.Random, run: Undisturbed, folder: Path) -> Ended:
    """Carry out a run in a fork, and kill it at a random instant."""
    request = run.within(folder)
    process = Process(lambda: find_or_make(request))
    path = request.path
    assert path is not None
    kind = chance.randrange(3)
    before = _stamp(path)
    if kind == 1:
        process.wait(lambda: _stamp(path) != before)
    elif kind == 2:
        process.wait(lambda: False, chance.uniform(0, run.seconds))
        process.wait(lambda: any(path.parent.glob(f"{UNFINISHED}*")))
        return process.after(0, signal.SIGKILL)
    return process.after(chance.uniform(0, run.seconds), signal.SIGKILL)


def _stamp(path: Path) -> int:
    """Return the time of change of a run file, which every replacement changes; 0 if there is no file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def state_after_kill(path: Path, whole: Arrays) -> str:
    """Return what the kill left: no file, a status, an unreadable file, or rows that differ."""
    if not path.exists():
        return "no file"
    try:
        run = reader.read(path)
    except StorageError as error:
        return f"unreadable ({error})"
    for entry, rows in (
        (layout.STEP, run.step),
        (layout.SCORE, run.score),
        (layout.CAPTURED_VARIANCE, run.captured_variance),
        *((layout.tracked(name), rows) for name, rows in run.tracked.items()),
    ):
        if not whole[entry.path].partition(b")")[2].startswith(rows.tobytes()):
            return f"wrong rows ({entry.path})"
    resumable = "with" if reader.unfinished(path) is not None else "without"
    return f"{run.status} {resumable} a state"


def trial(number: int, seed: int, new: bool) -> Counter[str]:
    """Kill one run up to three times, let it finish, and count the outcomes."""
    seen: Counter[str] = Counter()
    chance = random.Random(f"{seed} {number} {new}")
    run = _runs[number % len(_runs)]
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        path = run.within(folder).path
        assert path is not None
        command = ["run", *run.arguments, f"log.dir='{folder}'"]
        for _ in range(1 if new else chance.randint(1, MOST_KILLS)):
            if new:
                ended = fresh(command, chance.uniform(0.5, 1.5) * run.fresh_seconds, signal.SIGKILL)
            else:
                ended = killed(chance, run, folder)
            if ended.code == -signal.SIGKILL:
                seen["kills"] += 1
                seen["in a write"] += any(path.parent.glob(f"{UNFINISHED}*"))
                seen[f"after a kill: {state_after_kill(path, run.arrays)}"] += 1
            elif ended.code != 0:
                seen[f"wrong: exit code {ended.code} {ended.said.strip()}"] += 1
        ended = call(command) if new else Process(lambda: find_or_make(run.within(folder))).end()
        left = sorted(file.name for file in path.parent.glob("*"))
        if ended.code != 0 or ended.hung:
            seen[f"wrong: at the end exit code {ended.code} {ended.said.strip()}"] += 1
        elif left != [layout.LOCK_FILE, layout.RUN_FILE]:
            seen[f"wrong: at the end there are {left}"] += 1
        else:
            equal = arrays(path) == run.arrays and reader.read(path).status == layout.FINISHED
            seen["at the end: equal" if equal else "wrong: at the end different"] += 1
    return seen


def campaign(kills: int, fresh_kills: int, seed: int, jobs: int) -> Counter[str]:
    """Kill this many processes, and count the outcomes."""
    global _runs
    session._WRITING_SHARE = 0  # a checkpoint at every step, however long it takes
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        new = fresh_kills > 0
        _runs = [undisturbed(arguments, Path(name), new=new) for arguments in RUNS.values()]
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
            for of_this_kind, wanted in ((False, kills), (True, fresh_kills)):
                for counted in _until(wanted, of_this_kind, seed, pool):
                    seen.update(counted)
    return seen


def _until(kills: int, new: bool, seed: int, pool: ProcessPoolExecutor) -> Iterator[Counter[str]]:
    number = came = 0
    while came < kills:
        count = max(1, (kills - came + 1) // (1 if new else 2))
        for counted in pool.map(trial, range(number, number + count), [seed] * count, [new] * count):
            came += counted["kills"]
            yield counted
        number += count


def main() -> int:
    """Carry out a campaign and print its outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--fresh", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seen = campaign(options.kills, options.fresh, options.seed, options.jobs)
    if options.json:
        print(json.dumps(seen))
    else:
        table = Table(title=f"{seen['kills']} kills")
        table.add_column("what")
        table.add_column("times", justify="right")
        for what, count in sorted(seen.items()):
            table.add_row(what, str(count))
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(any("wrong" in what or "unreadable" in what for what in seen))


if __name__ == "__main__":
    sys.exit(main())
