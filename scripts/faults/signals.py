"""Faults of signals, at random times during run, sweep, joint, sensitivity and report."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

from faults.bench import (
    RESULTS,
    Bench,
    Fault,
    Verdict,
    arguments,
    contents,
    instant,
    look,
    report_arguments,
    resumed,
)
from faults.process import Command, Ended, call, fresh
from simopt.errors import StorageError
from simopt.store import layout, reader

INTERRUPTED = 130
_STARTUP = 3.0  # about the seconds that an interpreter takes to import everything


def during(work: str, number: int) -> Fault:
    """Return the fault: a signal during a command that stores results, then the same command again."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        command = Command(arguments(work, folder))
        seconds = instant(chance, bench.seconds[work])
        before = _rows(folder) if command.running() else Counter()
        ended = command.after(seconds, number)
        _judge(ended, number, folder, verdict)
        rows = look(folder, bench.results[work], verdict)
        for name, count in before.items():
            if rows[name] != -1 and rows[name] < count:
                verdict.lost.append(f"{name}: {count} rows before the signal, {rows[name]} after")
        resumed(work, folder, bench, verdict, seen=rows)
        return verdict

    return fault


def at_start(number: int) -> Fault:
    """Return the fault: a signal to a new interpreter, possibly during its imports."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        ended = fresh(arguments("run", folder), chance.uniform(0, _STARTUP + bench.seconds["run"]), number)
        if ended.code == -number and not folder.exists():
            verdict.seen.append("ended before our first line")
        else:
            _judge(ended, number, folder, verdict)
        rows = look(folder, bench.results["run"], verdict)
        resumed("run", folder, bench, verdict, seen=rows)
        return verdict

    return fault


def during_report(number: int) -> Fault:
    """Return the fault: a signal during a report, which must not leave partly written files."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        command = report_arguments(bench.folder, folder)
        _judge(
            Command(command).after(instant(chance, bench.seconds["report"]), number), number, None, verdict
        )
        for name, content in contents(folder).items():
            if name in bench.reported and content != bench.reported[name]:
                verdict.misreported.append(f"half of {name}")
        verdict.misreport(call(command).wrong(0))
        after = contents(folder)
        if after.keys() - bench.reported.keys():
            verdict.misreported.append(f"left for good: {sorted(after.keys() - bench.reported.keys())}")
        if any(after.get(name) != content for name, content in bench.reported.items()):
            verdict.lost.append("after report again: other files, or none")
        return verdict

    return fault


def _rows(folder: Path) -> Counter[str]:
    rows: Counter[str] = Counter()
    for path in folder.rglob(layout.RUN_FILE):
        try:
            rows[str(path.relative_to(folder))] = len(reader.read(path).step)
        except StorageError:
            continue
    return rows


def _judge(ended: Ended, number: int, folder: Path | None, verdict: Verdict) -> None:
    """Compare the exit code with the status of the files."""
    verdict.seen.append(f"exit code {ended.code}")
    verdict.misreport(ended.wrong(0, -number if number == signal.SIGKILL else INTERRUPTED))
    if folder is None or ended.code == -signal.SIGKILL:
        return
    states = _states(folder)
    if ended.code == 0 and (not states or set(states) - {layout.FINISHED}):
        verdict.misreported.append(f"exit code 0, and {dict(states) or 'nothing'}")
    if ended.code == INTERRUPTED and states["crashed"]:
        verdict.misreported.append("exit code 130, and a run file that says running")


def _states(folder: Path) -> Counter[str]:
    states: Counter[str] = Counter()
    for path in folder.rglob(RESULTS):
        try:
            states[reader.read(path).status if path.name == layout.RUN_FILE else layout.FINISHED] += 1
        except StorageError:
            states["unreadable"] += 1
    return states
