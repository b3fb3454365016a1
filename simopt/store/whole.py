"""Atomic writes: a temporary name in the same folder, fsync, rename."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished-"
"""How temporary names begin; the id of the process follows."""


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name of the same suffix and in the same folder, that becomes ``path`` at the end.

    What a block that fails has written is removed, and a file of that name stays as it was. What a killed
    process left is removed the next time.

    Parameters
    ----------
    path : Path
        In a folder that is there, or can be made.

    Raises
    ------
    OSError
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{UNFINISHED}*-{glob.escape(path.name)}"):
        if not _at_work(left.name.removeprefix(UNFINISHED).partition("-")[0]):
            left.unlink(missing_ok=True)
    unfinished = path.with_name(f"{UNFINISHED}{os.getpid()}-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def put(path: Path, *parts: bytes) -> None:
    """Write bytes, one part after the other, and have them reach the disk before they get their name.

    Raises
    ------
    OSError
        They cannot be written; nothing is left of them.
    """
    with whole(path) as unfinished, unfinished.open("wb") as handle:
        for part in parts:
            handle.write(part)
        handle.flush()
        os.fsync(handle.fileno())


def _at_work(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True
