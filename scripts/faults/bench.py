"""The commands of the campaign, their undisturbed results, and comparisons of disturbed results with them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from faults.process import call, warm
from simopt.analysis import sensitivity as sensitivities
from simopt.errors import StorageError
from simopt.ranges import result as joints
from simopt.store import analysis, layout, reader
from simopt.workflows import session

RESULTS = "[!.]*.h5"
"""The files of results, without the hidden ones that a process left when it was killed while it wrote."""
_DATA = ("dataset=gaussian", "dataset.samples=60", "dataset.units=12")
_RUN = (*_DATA, "target=1", "device=cpu", "log.checkpoint_seconds=0")
WORK = {
    "run": ("run", "measure=nbs", "seeds=[0,1]", "track=[cka]", "max_steps=60", *_RUN),
    "sweep": ("sweep", "measure=cka,nbs", "seeds=[0],[1]", "max_steps=20", *_RUN),
    "joint": (
        "joint", "measure=cka,nbs", "starts=2", "rounds=2", "steps=20", "levels=[0.5,0.9]",
        "checkpoint_seconds=0", "device=cpu", *_DATA,
    ),
    "sensitivity": ("sensitivity", "measure=cka,nbs", "seeds=[0,1,2,3]", *_DATA),
}  # fmt: skip
"""The commands that store results; :func:`arguments` adds the folder."""
_MEMORY = Path("/dev/shm")
LASTING = {layout.LOCK_FILE, layout.RUN_FILE, "joint.h5", "sensitivity.h5"}

Arrays = dict[str, bytes]


@dataclass
class Verdict:
    """The outcome of one fault: what was seen, which results were lost, and what was reported wrongly."""

    seen: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    misreported: list[str] = field(default_factory=list)

    def misreport(self, problem: str) -> None:
        """Record a problem with what the command reported; empty: there is none."""
        if problem:
            self.misreported.append(problem)


@dataclass
class Bench:
    """The undisturbed commands: their files by path, and how long they take."""

    folder: Path
    results: dict[str, dict[str, Arrays]]
    seconds: dict[str, float]
    reported: dict[str, bytes]
    mounts: bool

    def path(self, work: str) -> Path:
        """Return the first file that a command writes."""
        return self.folder / work / next(iter(self.results[work]))


Fault = Callable[[random.Random, Bench, Path], Verdict]
"""Causes a fault in a folder, and returns its outcome."""


def arguments(work: str, folder: Path) -> list[str]:
    """Return the command line of a command that writes its results into a folder."""
    return [*WORK[work], f"log.dir='{folder}'"]


def report_arguments(stored: Path, folder: Path) -> list[str]:
    """Return the command line of a report on all results in ``stored``, written into a folder."""
    files = ["--csv", str(folder / "csv"), "--latex", str(folder / "t.tex"), "--html", str(folder / "p.html")]
    return ["report", str(stored), *files, "--figures", str(folder / "figures"), "--format", "png"]


def prepare(folder: Path) -> Bench:
    """Run every command once, undisturbed."""
    results, seconds = {}, {}
    session._WRITING_SHARE = 0  # a checkpoint at every step, however long it takes
    for work in WORK:
        warm(arguments(work, folder / "warm"))
    warm(report_arguments(folder / "warm", folder / "warm"))
    shutil.rmtree(folder / "warm")
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise SystemExit("A process with threads must not be forked.")
    for work in WORK:
        begun = time.perf_counter()
        ended = call(arguments(work, folder / work))
        seconds[work] = time.perf_counter() - begun
        if ended.wrong(0):
            raise SystemExit(f"Undisturbed, {work} did not end well: {ended.wrong(0)}")
        results[work] = stored(folder / work)
    begun = time.perf_counter()
    ended = call(report_arguments(folder, folder / "reported"))
    seconds["report"] = time.perf_counter() - begun
    if ended.wrong(0):
        raise SystemExit(f"Undisturbed, report did not end well: {ended.wrong(0)}")
    return Bench(folder, results, seconds, contents(folder / "reported"), _can_mount())


def stored(folder: Path) -> dict[str, Arrays]:
    """Return all results below a folder, by path."""
    return {str(path.relative_to(folder)): arrays(path) for path in sorted(folder.rglob(RESULTS))}


def arrays(path: Path) -> Arrays:
    """Return all arrays of a file, by name, as the text of their shape followed by their bytes."""
    content: Arrays = {}

    def take(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            content[name] = str(node.shape).encode() + np.asarray(node[()]).tobytes()

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return content


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read(path: Path) -> str:
    """Read a file as a report does, and return its status.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    if path.name == layout.RUN_FILE:
        return reader.read(path).status
    before = analysis.unfinished(path, path.stem)
    if before is not None:
        return str(before.attributes["status"])
    (sensitivities if path.name == "sensitivity.h5" else joints).read(path)
    return layout.FINISHED


def look(folder: Path, whole: dict[str, Arrays], verdict: Verdict) -> Counter[str]:
    """Compare the files of a disturbed command with the undisturbed ones, and count rows by file.

    A file with the status finished must hold the whole result, any other run file its first rows. The count
    of a finished file is -1.
    """
    rows: Counter[str] = Counter()
    for path in sorted(folder.rglob(RESULTS)):
        name = str(path.relative_to(folder))
        try:
            status = read(path)
        except StorageError as error:
            verdict.lost.append(f"unreadable: {error}")
            continue
        verdict.seen.append(f"file {status}")
        if status == layout.FINISHED:
            rows[name] = -1
            if arrays(path) != whole[name]:
                verdict.misreported.append(f"{name} calls itself finished, and is not")
        elif path.name == layout.RUN_FILE:
            run = reader.read(path)
            rows[name] = len(run.step)
            full = whole[name][layout.SCORE.path].partition(b")")[2]
            if not full.startswith(run.score.tobytes()):
                verdict.lost.append(f"{name}: rows that are not the undisturbed run's")
    return rows


def resumed(work: str, folder: Path, bench: Bench, verdict: Verdict, *, seen: Counter[str]) -> None:
    """Run the same command again, and compare all its files with the undisturbed ones."""
    before = {path: path.stat().st_ino for path in folder.rglob(RESULTS) if _finished(folder, path, seen)}
    ended = call(arguments(work, folder))
    verdict.misreport(ended.wrong(0))
    if stored(folder) != bench.results[work]:
        verdict.lost.append(f"after {work} again: other numbers, or none")
    for path, inode in before.items():
        if not path.exists() or path.stat().st_ino != inode:
            verdict.lost.append(f"{path.name}: finished, and done again")
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if _litter(path))
    if left:
        verdict.misreported.append(f"left for good: {left}")


def _finished(folder: Path, path: Path, seen: Counter[str]) -> bool:
    return seen[str(path.relative_to(folder))] == -1


def _litter(path: Path) -> bool:
    return path.is_file() and path.name not in LASTING and not path.is_symlink()


@contextlib.contextmanager
def small_disk(kilobytes: int, folder: Path) -> Iterator[Path]:
    """Mount a file system of a given size."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Make a folder read-only, also for root."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield folder
    finally:
        _unmount(folder)


def resize(folder: Path, kilobytes: int) -> None:
    """Change the size of a file system of :func:`small_disk`."""
    _mount("-o", f"remount,size={kilobytes}k", str(folder))


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def _can_mount() -> bool:
    place = Path(tempfile.mkdtemp())
    try:
        with small_disk(100, place):
            return True
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        shutil.rmtree(place, ignore_errors=True)


def memory() -> Path | None:
    """Return a folder in memory, if there is one: faster than a disk, and a kill leaves the same files."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def instant(chance: random.Random, seconds: float) -> float:
    """Draw a time in s at which to disturb a command, up to a little after its usual end."""
    return chance.uniform(0, 1.05 * seconds)
