"""Damage stored files, and count how reading them ends.

The files are run files, finished and with the state to resume from, and results of other commands. Each block
of 512 and of 4,096 bytes is zeroed once. Then damages at random positions follow: bits are flipped, files cut
off, and pieces lost, overwritten or zeroed. Every damaged file is read in a separate process by every
function that reads such files. The right outcome is a StorageError. Wrong is to read the file as if it were
whole, another kind of error, a crash, or a hang. A damage that leaves all bytes as they were is harmless.

    python scripts/damages.py [--damages 20000] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from faults.bench import memory
from faults.damage import DAMAGES, zeroed_blocks
from faults.process import alone
from rich.console import Console
from rich.table import Table

import simopt
from simopt.errors import StorageError
from simopt.optimization.state import State
from simopt.store import reader
from simopt.workflows.data import Data
from simopt.workflows.run import find_or_make
from simopt.workflows.run_request import RunRequest

_TOGETHER = 100
"""Damages read in one process; if one of them crashes or hangs it, another process does the rest."""
_PATIENCE = 20.0  # seconds after which a process counts as hanging
READERS: dict[str, list[Callable[[Path], object]]] = {
    "run": [reader.read, reader.final, reader.finished, simopt.load_result],
    "running": [reader.read, reader.final, reader.unfinished],
}
"""Functions that read a run file; all other results are read by :func:`simopt.load_result`."""


@dataclass
class Sample:
    """A file that is not damaged."""

    name: str
    whole: bytes


def samples(folder: Path) -> list[Sample]:
    """Make one file of each kind."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 6)) * np.arange(6, 0, -1)
    Y = X + rng.standard_normal((30, 6))
    run = RunRequest(
        dataset=Data.of(X),
        measure="nbs",
        target=1.0,
        max_steps=30,
        track=("cka",),
        log={"dir": str(folder / "a"), "checkpoint_seconds": 0},
    )
    assert run.path is not None
    running = _running(run)
    find_or_make(run)
    store = str(folder / "b")
    made = {
        "run": run.path.read_bytes(),
        "running": running,
        "sensitivity": _one(simopt.sensitivity(X, ("cka", "nbs"), seeds=(0, 1), store=store).path),
        "joint": _one(
            simopt.joint(X, ("cka", "nbs"), levels=[0.5, 0.9], starts=2, rounds=1, steps=5, store=store).path
        ),
        "score": _one(simopt.compare(X, Y, "cka", draws=10, store=store).path),
        "attribution": _one(simopt.attribute(X, Y, "cka", store=store).path),
    }
    return [Sample(name, whole) for name, whole in made.items()]


def _one(path: Path | None) -> bytes:
    assert path is not None
    (file,) = [path] if path.is_file() else path.rglob("*.h5")
    return file.read_bytes()


def _running(run: RunRequest) -> bytes:
    """Return the file of a run that stopped in the middle, as if it had been killed."""

    def end(state: State) -> None:
        if state.step == 15:
            raise KeyboardInterrupt

    try:
        find_or_make(run, end)
    except KeyboardInterrupt:
        assert run.path is not None
        return run.path.read_bytes()
    raise SystemExit("The run was not ended in the middle.")


def judged(path: Path, name: str) -> str:
    """Return how reading a file ended: refused by all readers, read by some, or another error."""
    refusals = []
    readers = READERS.get(name, [simopt.load_result])
    for read in readers:
        try:
            read(path)
        except StorageError as error:
            refusals.append(error)
        except Exception as error:
            return f"wrong: {type(error).__name__}: {error}"
    return "refused" if len(refusals) == len(readers) else f"read by {len(readers) - len(refusals)}"


def changes(sample: Sample, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield ``count`` damaged copies of a file, each with its kind of damage."""
    chance = random.Random(f"{seed} {sample.name}")
    for whole in zeroed_blocks(sample.whole):
        yield "a whole block zeroed", whole
        count -= 1
    kinds = list(DAMAGES)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield kind, DAMAGES[kind](chance, sample.whole)


def campaign(count: int, seed: int) -> Counter[tuple[str, str, str]]:
    """Damage files, and count outcomes by file and kind of damage."""
    seen: Counter[tuple[str, str, str]] = Counter()
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        files = samples(folder)
        for sample in files:
            path = folder / f"{sample.name}.h5"
            path.write_bytes(sample.whole)
            if not judged(path, sample.name).startswith("read"):
                raise SystemExit(f"{sample.name} cannot be read undamaged.")
            todo = list(changes(sample, -(-count // len(files)), seed))
            for kind, verdict in _verdicts(path, sample, todo):
                seen[sample.name, kind, verdict] += 1
    return seen


def _verdicts(path: Path, sample: Sample, todo: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    done = 0
    while done < len(todo):
        batch = todo[done : done + _TOGETHER]

        def work(result: Path, batch: list[tuple[str, bytes]] = batch) -> None:
            with result.open("w") as said:
                for _, content in batch:
                    path.write_bytes(content)
                    harmless = content == sample.whole
                    outcome = "harmless" if harmless else judged(path, sample.name)
                    print(" ".join(outcome.split()), file=said, flush=True)

        with alone(work, _PATIENCE) as (code, said):
            verdicts = said.splitlines()
        if code and len(verdicts) < len(batch):
            verdicts.append("wrong: hangs" if code == -9 else f"wrong: ends the process by {code}")
        for (kind, _), verdict in zip(batch, verdicts, strict=False):
            yield kind, f"wrong: {verdict}" if verdict.startswith("read") else verdict
        done += len(verdicts)


def main() -> int:
    """Damage files, and print a table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--damages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seen = campaign(options.damages, options.seed)
    if options.json:
        print(json.dumps([[*what, count] for what, count in seen.items()]))
    else:
        table = Table("file", "damage", "outcome", "times", title=f"{seen.total()} damages")
        for what, count in sorted(seen.items()):
            table.add_row(*what, str(count))
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(any(verdict.startswith("wrong") for *_, verdict in seen))


if __name__ == "__main__":
    sys.exit(main())
