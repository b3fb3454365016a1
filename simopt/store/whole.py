"""Files that are whole or not there: written under another name, and renamed when they are complete."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished-"
"""How the names begin that such files have before, followed by the id of the process."""


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a name to write to, of the same suffix and in the same folder, that becomes ``path`` at the end.

    What a block that fails has written goes, and a file of that name stays as it was; what a kill left goes
    the next time.

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


def put(path: Path, content: bytes) -> None:
    """Write bytes and have them reach the disk, under the name of the file when all are there.

    Raises
    ------
    OSError
        They cannot be written; nothing is left of them.
    """
    with whole(path) as unfinished:
        write(unfinished, content)


def write(path: Path, content: bytes) -> None:
    """Write bytes and have them reach the disk, under this name from the start.

    Raises
    ------
    OSError
        They cannot be written.
    """
    with path.open("wb") as handle:
        handle.write(content)
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
