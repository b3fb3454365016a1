"""What becomes of damaged files: run files, finished and with the state to resume from, and stored results.

Bits are turned, files cut, pieces lost, overwritten, and zeroed: each whole block of 512 and of 4,096 bytes
once, then blocks at random places. Every damaged file is read in a process of its own by all that reads it.
Right is to refuse it with a StorageError. Wrong is to read it as if nothing had happened, to end in an error
of another kind, to crash, and to hang. What leaves all bytes as they were is harmless.

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
"""So many damages are judged in one process; one that crashes or hangs ends it, and the next goes on."""
_PATIENCE = 20.0
READERS: dict[str, list[Callable[[Path], object]]] = {
    "run": [reader.read, reader.final, reader.finished, simopt.load_result],
    "running": [reader.read, reader.final, reader.unfinished],
}
"""What reads a run file; of the other results :func:`simopt.load_result` does."""


@dataclass
class Sample:
    """A whole file."""

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
    (found,) = [path] if path.is_file() else path.rglob("*.h5")
    return found.read_bytes()


def _running(run: RunRequest) -> bytes:
    """Return the file of a run that ended in the middle, as a kill leaves it."""

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
    """Say what reading a file came to: refused by all that reads it, read by some, or another error."""
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
    """Give the damages of a file, so many in all."""
    chance = random.Random(f"{seed} {sample.name}")
    for whole in zeroed_blocks(sample.whole):
        yield "a whole block zeroed", whole
        count -= 1
    kinds = list(DAMAGES)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield kind, DAMAGES[kind](chance, sample.whole)


def campaign(count: int, seed: int) -> Counter[tuple[str, str, str]]:
    """Damage files, and count what was seen by file and kind of damage."""
    seen: Counter[tuple[str, str, str]] = Counter()
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        found = samples(folder)
        for sample in found:
            path = folder / f"{sample.name}.h5"
            path.write_bytes(sample.whole)
            if not judged(path, sample.name).startswith("read"):
                raise SystemExit(f"{sample.name} cannot be read undamaged.")
            todo = list(changes(sample, -(-count // len(found)), seed))
            for kind, verdict in _verdicts(path, sample, todo):
                seen[sample.name, kind, verdict] += 1
    return seen


def _verdicts(path: Path, sample: Sample, todo: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(todo):
        some = todo[at : at + _TOGETHER]

        def work(result: Path, some: list[tuple[str, bytes]] = some) -> None:
            with result.open("w") as said:
                for _, content in some:
                    path.write_bytes(content)
                    harmless = content == sample.whole
                    told = "harmless" if harmless else judged(path, sample.name)
                    print(" ".join(told.split()), file=said, flush=True)

        with alone(work, _PATIENCE) as (code, said):
            verdicts = said.splitlines()
        if code and len(verdicts) < len(some):
            verdicts.append("wrong: hangs" if code == -9 else f"wrong: ends the process by {code}")
        for (kind, _), verdict in zip(some, verdicts, strict=False):
            yield kind, f"wrong: {verdict}" if verdict.startswith("read") else verdict
        at += len(verdicts)


def main() -> int:
    """Damage files, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--damages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seen = campaign(options.damages, options.seed)
    if options.json:
        print(json.dumps([[*what, count] for what, count in seen.items()]))
    else:
        table = Table("file", "damage", "what came of it", "times", title=f"{seen.total()} damages")
        for what, count in sorted(seen.items()):
            table.add_row(*what, str(count))
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(any(verdict.startswith("wrong") for *_, verdict in seen))


if __name__ == "__main__":
    sys.exit(main())
