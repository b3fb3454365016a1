"""What has to hold of whatever simopt is given: no traceback, no hang, little memory, no code run."""

import contextlib
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from typer.testing import CliRunner

from simopt.app.cli import app
from simopt.errors import SimoptError

SECONDS = 5
BYTES = 500 * 2**20
_NO_MORE = 4 * 2**30  # of address space beyond the start: what a blow-up gets before it is a MemoryError
_PATIENCE = 60  # seconds of a wall clock on a machine shared with others


class Hang(BaseException):
    """An example did not end."""


def size(many: bool, quick: int, long: int) -> settings:
    """How many examples of a property: a few, the same each time, or a campaign of new ones."""
    return settings(
        max_examples=long if many else quick,
        derandomize=not many,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),  # examples are small; finding smaller ones takes minutes
        suppress_health_check=list(HealthCheck),
    )


both = pytest.mark.parametrize(
    "many", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["few", "many"]
)


@dataclass
class Yard:
    """A folder that holds all that may be written to: home, temporary files, cache, and where one works."""

    root: Path
    may_change: tuple[str, ...] = ()

    @property
    def marker(self) -> Path:
        """The file that code of a payload would make."""
        return self.root / "marker"

    def tree(self) -> dict[str, tuple[int, int]]:
        """Everything there is, with what changes when it is written."""
        found = {}
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = Path(folder, name)
                relative = str(path.relative_to(self.root))
                if not relative.startswith(self.may_change or ("\0",)):
                    about = path.lstat()
                    found[relative] = (about.st_size if name in files else 0, about.st_mtime_ns)
        return found

    @contextlib.contextmanager
    def watched(
        self, *, writes: bool = False, seconds: float = SECONDS, room: float = BYTES
    ) -> Iterator[None]:
        """Do one example, and hold it against the properties."""
        before = None if writes else self.tree()
        started, base = time.process_time(), _peak()
        with _limits():
            yield
        took, grown = time.process_time() - started, _peak(reset=False) - base
        assert took < seconds, f"{took:.1f} s"
        assert grown < room, f"{grown / 2**20:.0f} MB"
        assert not self.marker.exists(), "code of the input was run"
        if before is not None:
            assert self.tree() == before


@contextlib.contextmanager
def yard(root: Path, may_change: tuple[str, ...] = ()) -> Iterator[Yard]:
    """Work in a folder where home, cache and temporary files lie as well."""
    with pytest.MonkeyPatch.context() as patch:
        for name, variable in (("home", "HOME"), ("tmp", "TMPDIR"), ("data", "SIMOPT_DATA")):
            (root / name).mkdir(parents=True)
            patch.setenv(variable, str(root / name))
        patch.setenv("NO_COLOR", "1")
        (root / "work").mkdir()
        patch.chdir(root / "work")
        patch.setattr(sys, "path", list(sys.path))
        yield Yard(root, may_change)


def _peak(*, reset: bool = True) -> int:
    """Return the largest resident size since the last reset, in bytes; after a reset the present one."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Hang

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    resource.setrlimit(resource.RLIMIT_AS, (taken + _NO_MORE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def as_outside_of_tests() -> Iterator[None]:
    """Let warnings be lines on standard error again: for a user they are no exceptions."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for ignored in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", ignored)
        yield


def call(arguments: Sequence[str]) -> int:
    """Run the command line in this process; hold what it says against the rules, and return its exit code."""
    with as_outside_of_tests():
        done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in (0, 1, 2), done.exit_code
    assert "Traceback" not in done.output
    assert "--debug" not in done.output, done.stderr
    said = [line for line in done.stderr.strip().splitlines() if not line.startswith("warning: ")]
    assert len(said) <= 2, done.stderr
    assert done.exit_code == 0 or said
    assert not any(ord(c) < 32 and c not in "\n\t" for c in done.stderr), repr(done.stderr)
    return done.exit_code


def refused(work: Callable[[], Any]) -> SimoptError | None:
    """Do something that may end in one of our errors, one or two lines long, and in no other."""
    with as_outside_of_tests(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            work()
        except SimoptError as error:
            assert len(str(error).splitlines()) <= 2, str(error)  # noqa: PT017, it need not be raised
            return error
        foreign = [w for w in told if not w.category.__module__.startswith("simopt")]
        assert not foreign, str(foreign[0])
    return None
