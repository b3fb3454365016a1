"""SIGINT and SIGTERM handlers that set a flag, which the work polls."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stop_signals(tell: Callable[[], object] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM arrived; a signal also calls ``tell``.

    A second signal ends the process at once. So does the first signal if the yielded function was not yet
    called, because nothing calls it while data are loaded.
    """
    came: list[int] = []
    polled: list[bool] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        restore()
        tell()
        if not polled and callable(before[number]):
            before[number](number, frame)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stopped() -> bool:
        if not polled:
            polled.append(True)
        return bool(came)

    before: dict[int, Any] = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        restore()
