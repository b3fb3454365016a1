"""What a person sees of a sweep: on a terminal a live table, elsewhere a line a finished job."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from simopt.app.sweep import launch
from simopt.app.sweep.plan import FAILED, FOUND, NOT_STARTED, Job, Outcome, Plan, glance
from simopt.app.terminal.console import err

if TYPE_CHECKING:
    from simopt.optimization.state import State

WAITING = "waiting"

_SECONDS = 0.5
_ROOM = 8  # lines of a terminal that are not rows of the table
_STYLES = {FAILED: "red", launch.RUNNING: "cyan", launch.INTERRUPTED: "yellow", WAITING: "dim"}
_FIRST = (launch.RUNNING, FAILED, launch.INTERRUPTED, launch.BUSY, NOT_STARTED, WAITING)


class Board:
    """Follows the jobs of a sweep, from their records and run files; a context manager."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.console = err()
        self._said = {job.number: job.todo if job.todo in (FOUND, FAILED) else WAITING for job in plan.jobs}
        self._seen: dict[int, tuple[int | None, float | None]] = {}
        self._stamps: dict[int, int] = {}
        self._warned: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._live = Live(console=self.console, transient=True, auto_refresh=False)

    def watch(self, number: int, state: State) -> None:
        """Note the state of a job that runs in this process."""
        self._seen[number] = state.step, float(state.score.mean())

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        if self.console.is_terminal:
            self._live.stop()

    def _follow(self) -> None:
        while not self._ended.wait(_SECONDS):
            self._look()
            if self.console.is_terminal:
                self._live.update(self._table(), refresh=True)

    def _look(self) -> None:
        for job in self.plan.jobs:
            record = launch.read(self.folder, job.number)
            if record is None or self._said[job.number] in (*launch.DONE, FAILED):
                continue
            if record.process != os.getpid() or record.how != launch.RUNNING:
                self._glance(job)
            if record.how != self._said[job.number]:
                self._said[job.number] = record.how
                self._tell(job, record)

    def _glance(self, job: Job) -> None:
        if job.path is None or not job.path.exists():
            return
        changed = job.path.stat().st_mtime_ns  # a file is read whole to check it: once for each checkpoint
        if self._stamps.get(job.number) != changed and (state := glance(job.path)) is not None:
            self._stamps[job.number] = changed
            self._seen[job.number] = state.step, state.score

    def _tell(self, job: Job, record: launch.Record) -> None:
        if record.how == launch.RUNNING:
            return
        for warning in set(record.warnings) - self._warned:
            self._warned.add(warning)
            self.console.print(f"[yellow]warning: {escape(warning)}", soft_wrap=True)
        if not self.console.is_terminal:
            step, score = self._seen.get(job.number, (None, None))
            so_far = [] if score is None else [f"{step} steps, score {score:.4f}"]
            told = [record.how, job.title, *([record.reason] if record.reason else so_far)]
            self.console.print(": ".join(told), markup=False, soft_wrap=True)

    def _table(self) -> Table:
        counts = Counter(self._said.values())
        table = _empty(", ".join(f"{count} {how}" for how, count in counts.items()))
        jobs = sorted(self.plan.jobs, key=lambda job: self._said[job.number] not in _FIRST)
        room = max(1, self.console.height - _ROOM)
        if len(jobs) > room:
            jobs = sorted(jobs, key=lambda job: _rank(self._said[job.number]))
            table.caption = f"and {len(jobs) - room} more"
        for job in jobs[:room]:
            step, score = self._seen.get(job.number, (None, None))
            _row(table, job, self._said[job.number], step, score)
        return table


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Return what became of each job, one row each."""
    table = _empty("Sweep")
    for outcome in outcomes:
        state = None if outcome.path is None else glance(outcome.path)
        step, score = (None, None) if state is None else (state.step, state.score)
        _row(table, outcome.job, outcome.how, step, score)
    return table


def plan_table(plan: Plan) -> Table:
    """Return what a sweep would do, one row each."""
    table = Table(title="Sweep, not started")
    for name in ("job", "to do", "run"):
        table.add_column(name, overflow="fold")
    for job in plan.jobs:
        table.add_row(
            Text(job.title), Text(job.todo, _STYLES.get(job.todo, "")), Text(str(job.path or job.reason))
        )
    return table


def _empty(title: str) -> Table:
    table = Table(title=title)
    table.add_column("job", overflow="fold")
    table.add_column("status")
    table.add_column("step", justify="right")
    table.add_column("score", justify="right")
    return table


def _row(table: Table, job: Job, how: str, step: int | None, score: float | None) -> None:
    told = ("" if step is None else str(step), "" if score is None else f"{score:.4f}")
    table.add_row(Text(job.title), Text(how, _STYLES.get(how, "")), *told)


def _rank(how: str) -> int:
    return _FIRST.index(how) if how in _FIRST else len(_FIRST)
