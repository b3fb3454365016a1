"""Around long work: a folder held by one process, and signals that are asked about rather than obeyed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock

from simopt.errors import InterruptedRunError, RunBusyError
from simopt.store import layout
from simopt.store.whole import UNFINISHED


@contextlib.contextmanager
def alone(folder: Path, stop_waiting: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold the lock of a folder; where it is taken, wait until told to stop, or refuse at once.

    What a killed process left unfinished there goes.
    """
    lock = filelock.FileLock(folder / layout.LOCK_FILE)
    while True:
        try:
            lock.acquire(timeout=0 if stop_waiting is None else 0.5)
            break
        except filelock.Timeout as error:
            if stop_waiting is None:
                raise RunBusyError(f"{folder}: another process is at work on this run.") from error
            if stop_waiting():
                raise InterruptedRunError(
                    f"{folder}: interrupted while another process was at work."
                ) from error
    try:
        for left_by_a_kill in _left(folder):
            left_by_a_kill.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def tidy(folder: Path) -> None:
    """Take away what a kill left beside a result that is finished, unless a process is at work there."""
    checkpoint = folder / layout.CHECKPOINT_FILE
    if checkpoint.exists() or _left(folder):
        with contextlib.suppress(OSError), alone(folder):
            checkpoint.unlink(missing_ok=True)


def _left(folder: Path) -> list[Path]:
    return [*folder.glob("*.new"), *folder.glob(f"{UNFINISHED}*")]


@contextlib.contextmanager
def stop_signals(tell: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Give a question that SIGINT and SIGTERM answer with yes, and tell of it; a second one acts at once."""
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        restore()
        tell()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before: dict[int, Any] = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        restore()
