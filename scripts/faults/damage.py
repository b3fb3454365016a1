"""Faults of files: damaged, or of another schema."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from faults.bench import Bench, Fault, Verdict, arguments, arrays, read
from faults.process import call
from simopt.errors import StorageError
from simopt.store import image, layout

Damage = Callable[[random.Random, bytes], bytes]
BLOCKS = (512, 4096)


def _bit(chance: random.Random, whole: bytes) -> bytes:
    position = chance.randrange(8 * len(whole))
    return _over(whole, position // 8, bytes([whole[position // 8] ^ 1 << position % 8]))


def _cut(chance: random.Random, whole: bytes) -> bytes:
    return whole[: chance.randrange(len(whole))]


def _lost(chance: random.Random, whole: bytes) -> bytes:
    position = chance.randrange(len(whole))
    return whole[:position] + whole[position + chance.randint(1, 4096) :]


def _garbage(chance: random.Random, whole: bytes) -> bytes:
    return _over(whole, chance.randrange(len(whole)), chance.randbytes(chance.choice((1, 8, 64, 512, 4096))))


def _zeros(chance: random.Random, whole: bytes) -> bytes:
    return _over(whole, chance.randrange(len(whole)), bytes(chance.choice(BLOCKS)))


def _over(whole: bytes, position: int, data: bytes) -> bytes:
    """Return ``whole`` with ``data`` written over it at a position; the length stays the same."""
    return whole[:position] + data[: len(whole) - position] + whole[position + len(data) :]


DAMAGES: dict[str, Damage] = {
    "a bit turned": _bit,
    "cut off": _cut,
    "a piece lost": _lost,
    "overwritten": _garbage,
    "a block of zeros": _zeros,
}


def zeroed_blocks(whole: bytes) -> Iterator[bytes]:
    """Yield a file once for each of its blocks, with that block zeroed, as after a lost block of a disk."""
    for size in BLOCKS:
        for position in range(0, len(whole), size):
            yield _over(whole, position, bytes(size))


def damaged(work: str) -> Callable[[int], Fault]:
    """Return faults by number: a file is damaged, then the same command runs and must make it again."""

    def of_kind(number: int) -> Fault:
        kind = list(DAMAGES)[number % len(DAMAGES)]

        def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
            verdict = Verdict()
            path = _copied(work, bench, folder)
            whole = path.read_bytes()
            path.write_bytes(DAMAGES[kind](chance, whole))
            if path.read_bytes() == whole:
                return verdict
            try:
                read(path)
                verdict.misreported.append(f"{kind}: a damaged file is read")
            except StorageError:
                verdict.seen.append("refused")
            verdict.misreport(call(arguments(work, folder)).wrong(0))
            if arrays(path) != arrays(bench.path(work)):
                verdict.lost.append(f"{kind}: made again, to other numbers")
            return verdict

        return fault

    return of_kind


def other_schema(work: str) -> Fault:
    """Return the fault: a file has a later schema, and neither command nor report may change or use it."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        path = _copied(work, bench, folder)
        with image.opened(path) as file:
            stored = image.content(file)
        later = {"schema": chance.randint(layout.SCHEMA + 1, 100), "status": chance.choice(layout.STATUSES)}
        image.write(path, replace(stored, attributes={**stored.attributes, **later}))
        before = path.read_bytes()
        for command in (arguments(work, folder), ["report", str(folder), "--figures", str(folder / "f")]):
            ended = call(command)
            verdict.misreport(ended.wrong(1))
            if "schema" not in ended.said:
                verdict.misreported.append(f"{command[0]} does not name the schema: {ended.said.strip()}")
        if path.read_bytes() != before:
            verdict.lost.append("a file of a later schema was written over")
        return verdict

    return fault


def _copied(work: str, bench: Bench, folder: Path) -> Path:
    """Copy the file of a command to the same relative path in another folder."""
    path = folder / bench.path(work).relative_to(bench.folder / work)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bench.path(work), path)
    return path
