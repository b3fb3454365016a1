"""Files that were cut, in which something was overwritten, or of another schema."""

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
    at = chance.randrange(8 * len(whole))
    return _over(whole, at // 8, bytes([whole[at // 8] ^ 1 << at % 8]))


def _cut(chance: random.Random, whole: bytes) -> bytes:
    return whole[: chance.randrange(len(whole))]


def _lost(chance: random.Random, whole: bytes) -> bytes:
    at = chance.randrange(len(whole))
    return whole[:at] + whole[at + chance.randint(1, 4096) :]


def _garbage(chance: random.Random, whole: bytes) -> bytes:
    return _over(whole, chance.randrange(len(whole)), chance.randbytes(chance.choice((1, 8, 64, 512, 4096))))


def _zeros(chance: random.Random, whole: bytes) -> bytes:
    return _over(whole, chance.randrange(len(whole)), bytes(chance.choice(BLOCKS)))


def _over(whole: bytes, at: int, data: bytes) -> bytes:
    """Return bytes of the same length, some of them overwritten."""
    return whole[:at] + data[: len(whole) - at] + whole[at + len(data) :]


DAMAGES: dict[str, Damage] = {
    "a bit turned": _bit,
    "cut off": _cut,
    "a piece lost": _lost,
    "overwritten": _garbage,
    "a block of zeros": _zeros,
}


def zeroed_blocks(whole: bytes) -> Iterator[bytes]:
    """Give a file once with each whole block of zeros, as a disk that lost it leaves it."""
    for size in BLOCKS:
        for at in range(0, len(whole), size):
            yield _over(whole, at, bytes(size))


def damaged(work: str) -> Callable[[int], Fault]:
    """Return, by number, the fault: a file damaged; then the same command, which makes it again."""

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
            verdict.told(call(arguments(work, folder)).wrong(0))
            if arrays(path) != arrays(bench.path(work)):
                verdict.lost.append(f"{kind}: made again, to other numbers")
            return verdict

        return fault

    return of_kind


def other_schema(work: str) -> Fault:
    """Return the fault: a file of a later schema, which neither command nor report may touch or trust."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        path = _copied(work, bench, folder)
        with image.opened(path) as file:
            stored = image.content(file)
        later = {"schema": chance.randint(layout.SCHEMA + 1, 100), "status": chance.choice(layout.STATUSES)}
        image.write(path, replace(stored, attributes={**stored.attributes, **later}))
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
    """Copy the file of a command to its place below another folder."""
    path = folder / bench.path(work).relative_to(bench.folder / work)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bench.path(work), path)
    return path
