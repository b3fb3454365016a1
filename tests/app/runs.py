"""Runs within this process, from overrides, what their files hold, and interrupts."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from simopt.app.config import requests
from simopt.app.terminal.signals import stop_signals
from simopt.optimization.state import State
from simopt.workflows.run import RunResult, carry_out


class PowerCutError(BaseException):
    """Ends a run as a kill does: nothing is said in the file."""


def execute(overrides: list[str], progress: Callable[[State], None] = lambda state: None) -> RunResult:
    """Find, resume or make a run as ``simopt run`` does."""
    request = requests.run(overrides)
    with stop_signals() as stopped:
        return carry_out(request, progress, should_stop=stopped)


@contextlib.contextmanager
def interrupted_once(there: Callable[[], object]) -> Iterator[None]:
    """Send SIGINT to this process as soon as a condition holds, while the body runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if there():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.002)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def content(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of a file by their paths."""
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda n, o: arrays.update({n: o[()]}) if isinstance(o, h5py.Dataset) else None)
    return arrays


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Require the same arrays, bit by bit."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
