"""Commands of simopt as processes that can be killed.

All are forks of this process, which has imported everything. So a start takes milliseconds, and a signal at a
random time hits the work rather than the imports. ``fresh`` starts a new interpreter, as a user does.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simopt.app import cli

PATIENCE = 120.0  # seconds after which a command counts as hanging
_POLL = 0.001
_OUTPUTS = {1: "out", 2: "err"}


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal that killed it), stdout and stderr."""

    code: int
    printed: str
    said: str
    hung: bool

    def wrong(self, *allowed: int) -> str:
        """Return what is wrong: a hang, a traceback, or another exit code than ``allowed``; else nothing."""
        if self.hung:
            return f"no end after {PATIENCE:.0f} s"
        end = " ".join(self.said.split())[-300:]
        if "Traceback" in self.said or "unexpected " in self.said:
            return f"an unexpected error: {end}"
        return "" if self.code in allowed else f"exit code {self.code}: {end}"


class Process:
    """A fork of this process that does some work; its outputs go into a temporary folder."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.place = Path(tempfile.mkdtemp())
        for name in _OUTPUTS.values():
            (self.place / name).touch()  # a signal may end the process before it opens them
        self.process = os.fork()
        if not self.process:
            _carry_out(work, self.place)

    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def send(self, number: int) -> None:
        """Send a signal; if the process has ended, nothing happens."""
        os.kill(self.process, number)

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for the end of the process, and kill it if it hangs."""
        late = time.monotonic() + patience
        while self.running() and time.monotonic() < late:
            time.sleep(_POLL)
        hung = self.running()
        if hung:
            self.send(signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        printed, said = ((self.place / name).read_text(errors="replace") for name in _OUTPUTS.values())
        shutil.rmtree(self.place)
        return Ended(os.waitstatus_to_exitcode(status), printed, said, hung)

    def after(self, seconds: float, number: int) -> Ended:
        """Send a signal after some seconds, or as soon as the process has ended, and wait for its end."""
        self.wait(lambda: False, seconds)
        self.send(number)
        return self.end()

    def wait(self, until: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until a condition holds, at most some seconds or until the process ends."""
        late = time.monotonic() + seconds
        while self.running() and time.monotonic() < late and not until():
            time.sleep(min(_POLL, seconds))


class Command(Process):
    """A command of simopt, run in a fork of this process.

    Parameters
    ----------
    arguments : sequence of str
    before : callable
        Called in the process before the command.
    """

    def __init__(self, arguments: Sequence[str], before: Callable[[], object] = lambda: None) -> None:
        def work() -> None:
            sys.argv = ["simopt", *arguments]
            before()
            cli.main()

        super().__init__(work)


def call(arguments: Sequence[str], before: Callable[[], object] = lambda: None) -> Ended:
    """Run a command to its end."""
    return Command(arguments, before).end()


def fresh(arguments: Sequence[str], seconds: float, number: int) -> Ended:
    """Run a command in a new interpreter, and send it a signal after some seconds."""
    command = [sys.executable, "-m", "simopt.app.cli", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(number)
    printed, said = process.communicate()
    return Ended(process.returncode, printed, said, hung=False)


def warm(arguments: Sequence[str], before: Callable[[], object] = lambda: None) -> Ended:
    """Run a command in a fork, and import into this process every module that it imported."""
    with tempfile.TemporaryDirectory() as name:
        names = Path(name) / "modules"

        def note() -> None:
            before()
            leave = os._exit
            os._exit = lambda code: (names.write_text("\n".join(sys.modules)), leave(code))  # type: ignore

        ended = call(arguments, note)
        for module in names.read_text().split():
            with contextlib.suppress(Exception):
                importlib.import_module(module)
    return ended


@contextlib.contextmanager
def alone(work: Callable[[Path], None], patience: float = PATIENCE / 4) -> Iterator[tuple[int, str]]:
    """Run a function in a separate process, and yield its exit code and what it wrote into its file.

    The process is killed if it takes longer than ``patience`` seconds.
    """
    with tempfile.TemporaryDirectory() as name:
        result = Path(name) / "result"
        process = os.fork()
        if not process:
            with contextlib.suppress(BaseException):
                work(result)
                os._exit(0)
            os._exit(1)
        late = time.monotonic() + patience
        while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(_POLL)
            if time.monotonic() > late:
                os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        yield code, result.read_text() if result.exists() else ""


def _carry_out(work: Callable[[], object], place: Path) -> None:
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor, name in _OUTPUTS.items():
            os.dup2(os.open(place / name, os.O_WRONLY), descriptor)
        work()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
