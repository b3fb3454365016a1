"""Faults of full disks, and of folders that cannot be written."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from faults.bench import (
    WORK,
    Bench,
    Fault,
    Verdict,
    arguments,
    contents,
    look,
    read_only,
    report_arguments,
    resize,
    resumed,
    small_disk,
)
from faults.process import Command, call

SIZES = 20
_ENOUGH = 65536  # kB
_FULL = ("no space left", "file too large", "cannot be written", "disk quota")


def full(work: str) -> Callable[[int], Fault]:
    """Return faults by number: a disk of some size fills up; with more space the command must finish."""

    def of_size(number: int) -> Fault:
        def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
            verdict = Verdict()
            needed = sum(path.stat().st_size for path in (bench.folder / work).rglob("*.h5")) // 1024
            # While a file is replaced, both versions exist. The smallest size does not hold one of them.
            size = 4 + number % SIZES * max(SIZES, 8 * needed) // SIZES
            with small_disk(size, folder) as disk:
                ended = call(arguments(work, disk))
                _judge_full(ended.code, ended.wrong(0, 1, 2), ended.said, verdict)
                rows = look(disk, bench.results[work], verdict)
                resize(disk, _ENOUGH)
                resumed(work, disk, bench, verdict, seen=rows)
            return verdict

        return fault

    return of_size


def limited(work: str) -> Fault:
    """Return the fault: no file may grow beyond a size (RLIMIT_FSIZE), which needs no mount."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        most = max(path.stat().st_size for path in (bench.folder / work).rglob("*.h5"))
        size = chance.randint(1, most)

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        ended = call(arguments(work, folder), limit)
        _judge_full(ended.code, ended.wrong(0, 1, 2), ended.said, verdict)
        rows = look(folder, bench.results[work], verdict)
        resumed(work, folder, bench, verdict, seen=rows)
        return verdict

    return fault


def full_report(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
    """Fill the disk up during a report."""
    verdict = Verdict()
    needed = sum(map(len, bench.reported.values())) // 1024
    with small_disk(chance.randint(4, 2 * needed), folder) as disk:
        ended = call(report_arguments(bench.folder, disk))
        _judge_full(ended.code, ended.wrong(0, 1, 2), ended.said, verdict)
        left = contents(disk)
        for name, content in left.items():
            if content != bench.reported.get(name):
                verdict.misreported.append(f"half of {name}")
        if ended.code == 0 and left.keys() != bench.reported.keys():
            verdict.misreported.append("exit code 0, and files are missing")
    return verdict


def not_writable(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
    """Run a command on a read-only folder, empty or with its results."""
    verdict = Verdict()
    folder.mkdir(parents=True, exist_ok=True)
    work = chance.choice([*WORK, "report"])
    kept = chance.random() < 0.5
    if kept and work != "report":
        shutil.copytree(bench.folder / work, folder, dirs_exist_ok=True)
    before = contents(folder)
    with read_only(folder):
        command = report_arguments(bench.folder, folder) if work == "report" else arguments(work, folder)
        ended = call(command)
        verdict.seen.append(f"{work}{' of a finished result' if kept else ''}: exit code {ended.code}")
        reads_only = kept and work not in ("sweep", "report")  # these two write even if all results exist
        verdict.misreport(
            ended.wrong(*((0,) if reads_only else (0, 1, 2) if kept and work == "sweep" else (1, 2)))
        )
        if ended.code and "cannot be written" not in ended.said and "read-only" not in ended.said.lower():
            verdict.misreported.append(f"{work} does not say why: {ended.said.strip()}")
    if contents(folder) != before:
        verdict.lost.append("a read-only folder changed")
    return verdict


def removed(work: str) -> Fault:
    """Return the fault: the folder of the results is deleted during a command."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        command = Command(arguments(work, folder))
        _wait(command, chance.uniform(0, bench.seconds[work]))
        shutil.rmtree(folder, ignore_errors=True)
        ended = command.end()
        verdict.seen.append(f"exit code {ended.code}")
        verdict.misreport(ended.wrong(0, 1, 2))
        rows = look(folder, bench.results[work], verdict)
        if ended.code == 0 and set(rows.values()) != {-1}:
            verdict.seen.append("removed after its end")
        resumed(work, folder, bench, verdict, seen=rows)
        return verdict

    return fault


def _wait(command: Command, seconds: float) -> None:
    until = time.monotonic() + seconds
    while command.running() and time.monotonic() < until:
        time.sleep(0.001)


def _judge_full(code: int, wrong: str, said: str, verdict: Verdict) -> None:
    verdict.seen.append(f"exit code {code}")
    verdict.misreport(wrong)
    if code and not wrong and not any(words in said.lower() for words in _FULL):
        verdict.misreported.append(f"does not say why: {' '.join(said.split())[-300:]}")
