"""SIGINT and SIGTERM handlers that set a flag, which the work polls."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


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
