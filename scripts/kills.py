"""What becomes of killed runs: SIGKILL at random instants, then the same command again until it finishes.

Half of the instants are uniform over the life of the process, start-up and finish included, half over its
part from the run file on; rows and checkpoints are written at every step, so that many fall into a write.
After every kill the run file, where there is one, must be readable and hold the first rows of an undisturbed
run; at the end all arrays must equal that run's, bit for bit. Exits with 1 where one does not.

    python scripts/kills.py [--kills 100] [--signal KILL] [--jobs 2] [--seed 0] [--json] [KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

from simopt.errors import StorageError
from simopt.store import layout, reader

RUN = (
    "measure=nbs",
    "dataset=gaussian",
    "target=1",
    "max_steps=150",
    "seeds=[0,1]",
    "track=[cka]",
    "device=cpu",
)
WRITES = ("log.flush_seconds=0", "log.checkpoint_seconds=0")
MOST_KILLS = 3  # of one run


def start(folder: Path, overrides: list[str]) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "simopt.app.cli",
        "run",
        *RUN,
        *WRITES,
        *overrides,
        f"log.dir='{folder}'",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def stamp(folder: Path) -> int:
    """Tell one run file from the next that takes its place; 0 where there is none."""
    path = next(folder.rglob(layout.RUN_FILE), None)
    return 0 if path is None else path.stat().st_ino


def wait_for_file(process: subprocess.Popen[str], folder: Path, before: int) -> None:
    while process.poll() is None and stamp(folder) in (0, before):
        time.sleep(0.002)


def arrays(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda n, o: found.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
    return found


def state_after_kill(folder: Path, whole: dict[str, np.ndarray]) -> str:
    """Say what the kill left: no file, a status, unreadable, or rows that are not the undisturbed run's."""
    path = next(folder.rglob(layout.RUN_FILE), None)
    if path is None:
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
        if not np.array_equal(rows, whole[entry.path][: len(rows)]):
            return f"wrong rows ({entry.path})"
    return run.status


def trial(
    number: int, life: float, work: float, whole: dict[str, np.ndarray], options: argparse.Namespace
) -> Counter[str]:
    """Kill one run up to three times, let it finish, and count what was seen."""
    seen: Counter[str] = Counter()
    chance = random.Random(f"{options.seed} {number}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(chance.randint(1, MOST_KILLS)):
            before = stamp(folder)
            process = start(folder, options.overrides)
            whole_life = chance.random() < 0.5
            if not whole_life:
                wait_for_file(process, folder, before)
            try:
                process.communicate(timeout=chance.uniform(0, life if whole_life else work))
            except subprocess.TimeoutExpired:
                process.send_signal(getattr(signal, f"SIG{options.signal}"))
                process.communicate()
                seen[f"exit code {process.returncode}"] += 1
                seen[f"after a kill: {state_after_kill(folder, whole)}"] += 1
        process = start(folder, options.overrides)
        _, said = process.communicate()
        (path,) = folder.rglob(layout.RUN_FILE)
        left = sorted(file.name for file in path.parent.iterdir())
        if process.returncode != 0:
            seen[f"at the end: exit code {process.returncode} {said.strip()}"] += 1
        elif left != [layout.LOCK_FILE, layout.RUN_FILE]:
            seen[f"at the end: left {left}"] += 1
        else:
            last = arrays(path)
            same = last.keys() == whole.keys() and all(
                last[n].shape == whole[n].shape and last[n].tobytes() == whole[n].tobytes() for n in whole
            )
            seen["at the end: equal" if same else "at the end: different"] += 1
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signal", choices=["KILL", "INT", "TERM"], default="KILL")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        process = start(Path(name), options.overrides)
        wait_for_file(process, Path(name), 0)
        ready = time.perf_counter()
        if process.wait() != 0:
            raise SystemExit("The undisturbed run failed.")
        life, work = time.perf_counter() - begun, time.perf_counter() - ready
        whole = arrays(next(Path(name).rglob(layout.RUN_FILE)))
    seen: Counter[str] = Counter()
    runs = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        while (killed := sum(n for what, n in seen.items() if what.startswith("exit code"))) < options.kills:
            missing = range(runs, runs + max(1, (options.kills - killed + 1) // 2))
            runs += len(missing)
            for counted in pool.map(lambda number: trial(number, life, work, whole, options), missing):
                seen.update(counted)
    bad = ("unreadable", "wrong", "different", "left", "end: exit code")
    failed = sum(count for what, count in seen.items() if any(sign in what for sign in bad))
    result = {
        "signal": options.signal,
        "life_seconds": life,
        "work_seconds": work,
        "kills": killed,
        "runs": runs,
        "failed": failed,
    }
    if options.json:
        print(json.dumps({**result, "seen": dict(sorted(seen.items()))}))
        return int(failed > 0)
    table = Table(title=", ".join(f"{key} {value}" for key, value in result.items()))
    table.add_column("what")
    table.add_column("times", justify="right")
    for what, count in sorted(seen.items()):
        table.add_row(what, str(count))
    Console().print(table)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
