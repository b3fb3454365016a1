"""Atomic writes: a temporary name in the same folder, fsync, rename."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished-"
"""Start of temporary names; the id of the writing process follows."""


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; at the end of the block it is renamed to ``path``.

    If the block fails, the temporary file is removed and an older file at ``path`` is left unchanged. A
    temporary file that a killed process left is removed by the next write to the same path.

    Parameters
    ----------
    path : Path
        The final path. Its folder is created if it does not exist.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{UNFINISHED}*-{glob.escape(path.name)}"):
        if not _at_work(left.name.removeprefix(UNFINISHED).partition("-")[0]):
            left.unlink(missing_ok=True)
    # The same folder, because a rename is atomic only within one file system; the name ends like the final
    # one, because matplotlib and others choose a format by the suffix.
    unfinished = path.with_name(f"{UNFINISHED}{os.getpid()}-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def put(path: Path, *parts: bytes) -> None:
    """Write pieces of bytes to a file, which appears under its name only when it is complete.

    Raises
    ------
    OSError
        The file cannot be written; an older file is left unchanged.
    """
    with whole(path) as unfinished, unfinished.open("wb") as handle:
        for part in parts:
            handle.write(part)
        # The data must be on disk before the rename: after a power failure a file system may have kept the
        # rename but not the data, which would leave an empty file under the final name.
        handle.flush()
        os.fsync(handle.fileno())


def _at_work(process: str) -> bool:
    """Return whether a process is alive; True in case of doubt."""
    try:
        os.kill(int(process), 0)  # signal 0 only checks whether the process exists
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        pass
    return True
