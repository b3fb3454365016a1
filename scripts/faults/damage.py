"""Files that were cut, in which a bit was turned, or of another schema."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from faults.bench import Bench, Fault, Verdict, arguments, arrays, read
from faults.process import alone, call
from simopt.errors import StorageError
from simopt.store import checkpoint, layout

PARTS = 100


def truncated(work: str) -> Callable[[int], Fault]:
    """Return, by the percent that is left of it, the fault: a file cut there."""

    def at(percent: int) -> Fault:
        def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
            verdict = Verdict()
            path = _copied(work, bench, folder)
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) * (percent % PARTS) // PARTS])
            _judge(path, bench, work, verdict, missing=True)
            return verdict

        return fault

    return at


def flipped(work: str) -> Fault:
    """Return the fault: a bit of a file turned; then the same command."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        path = _copied(work, bench, folder)
        whole = bytearray(path.read_bytes())
        at = chance.randrange(8 * len(whole))
        whole[at // 8] ^= 1 << at % 8
        path.write_bytes(whole)
        _judge(path, bench, work, verdict, missing=False)
        return verdict

    return fault


def other_schema(work: str) -> Fault:
    """Return the fault: a file of a later schema, which neither command nor report may touch or trust."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        path = _copied(work, bench, folder)
        with h5py.File(path, "r+") as file:
            file.attrs["schema"] = chance.randint(2, 100)
            if work == "run":
                file.attrs["status"] = chance.choice(layout.STATUSES)
        before = path.read_bytes()
        for asked in (arguments(work, folder), ["report", str(folder), "--figures", str(folder / "f")]):
            ended = call(asked)
            verdict.told(ended.wrong(1))
            if "schema" not in ended.said:
                verdict.misreported.append(f"{asked[0]} does not name the schema: {ended.said.strip()}")
        if path.read_bytes() != before:
            verdict.lost.append("a file of a later schema was written over")
        return verdict

    return fault


def _copied(work: str, bench: Bench, folder: Path) -> Path:
    """Copy the file of a command, or the checkpoint of a run, to its place below another folder."""
    name = "run" if work == "checkpoint" else work
    path = folder / bench.path(name).relative_to(bench.folder / name)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bench.path(name), path)
    if work != "checkpoint":
        return path
    path = path.with_name(layout.CHECKPOINT_FILE)
    shutil.copy(bench.folder / layout.CHECKPOINT_FILE, path)
    return path


def _judge(path: Path, bench: Bench, work: str, verdict: Verdict, *, missing: bool) -> None:
    """Read a damaged file in a process of its own, since HDF5 may take it down."""
    if work == "checkpoint":
        whole: Any = str(checkpoint.load(bench.folder / layout.CHECKPOINT_FILE))
        with alone(lambda result: result.write_text(_loaded(path))) as (code, found):
            _sort(code, found, whole, verdict)
        return
    with h5py.File(bench.path(work)) as file:
        names = set(file.attrs)
    whole = told(bench.path(work), names)
    with alone(lambda result: result.write_text(told(path, names))) as (code, found):
        _sort(code, found, whole, verdict)
    if missing and not found.startswith("refused"):
        verdict.misreported.append("a file that was cut is read")
    if found.startswith("refused") and hash(path.name + found) % 8 == 0:
        ended = call(arguments(work, path.parents[3]))
        verdict.told(ended.wrong(0, 1))
        if ended.code == 0 and arrays(path) != arrays(bench.path(work)):
            verdict.misreported.append("done again over a broken file, to other numbers")
        if ended.code == 1 and not (path.name in ended.said or str(path.parent) in ended.said):
            verdict.misreported.append(f"does not name the file: {ended.said.strip()}")


def _sort(code: int, found: str, whole: str, verdict: Verdict) -> None:
    if code != 0:
        verdict.misreported.append(f"reading ended by {code}")
    elif found.startswith("refused"):
        verdict.seen.append("refused")
    elif found == whole:
        verdict.seen.append("of no account")
    else:
        verdict.misreported.append("other content is read as if it were whole")


def told(path: Path, names: set[str]) -> str:
    """Return all that reading a file gives, as text, of its attributes those that are named."""
    try:
        status = read(path)
        with h5py.File(path, "r") as file:
            about = {name: str(value) for name, value in file.attrs.items() if name in names}
            stored = {name: data.hex() for name, data in sorted(arrays(path).items())}
    except StorageError as error:
        return f"refused: {error}"
    return json.dumps([status, about, stored])


def _loaded(path: Path) -> str:
    try:
        return str(checkpoint.load(path))
    except StorageError as error:
        return f"refused: {error}"
