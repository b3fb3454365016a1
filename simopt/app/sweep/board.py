"""What a person sees of a sweep: on a terminal a live table, elsewhere a line a finished job."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from simopt.app.sweep import launch
from simopt.app.sweep.launch import BUSY, FAILED, FOUND, INTERRUPTED, NOT_STARTED, RUNNING, Record
from simopt.app.sweep.plan import Glance, Job, Plan, glance
from simopt.app.terminal.console import err

if TYPE_CHECKING:
    from simopt.optimization.state import State

WAITING = "waiting"

_SECONDS = 0.5
_ROOM = 8  # lines of a terminal that are not rows of the table
_STYLES = {FAILED: "red", RUNNING: "cyan", INTERRUPTED: "yellow", WAITING: "dim"}
_FIRST = (RUNNING, FAILED, INTERRUPTED, BUSY, NOT_STARTED, WAITING)


class Board:
    """Follows the jobs of a sweep, from their records and files; a context manager."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.console = err()
        self._hows = {job.number: job.todo if job.todo in (FOUND, FAILED) else WAITING for job in plan.jobs}
        self._states: dict[int, Glance] = {}
        self._stamps: dict[int, int] = {}
        self._warned: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._live = Live(console=self.console, transient=True, auto_refresh=False)

    def watch(self, number: int, state: State) -> None:
        """Note the state of a job that runs in this process."""
        self._states[number] = Glance.of(RUNNING, state.step, float(state.score.mean()))

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
            record, before = launch.read(self.folder, job.number), self._hows[job.number]
            if record.how == NOT_STARTED or before in (*launch.DONE, FAILED):
                continue
            if record.process != os.getpid() or record.how != RUNNING:
                self._glance(job)
            self._hows[job.number] = record.how
            if record.how not in (RUNNING, before):
                self._tell(job, record)

    def _glance(self, job: Job) -> None:
        if job.path is None or not job.path.exists():
            return
        changed = job.path.stat().st_mtime_ns  # a file is read whole to check it: once for each checkpoint
        if self._stamps.get(job.number) != changed and (state := glance(job.path)) != Glance():
            self._stamps[job.number] = changed
            self._states[job.number] = state

    def _tell(self, job: Job, record: Record) -> None:
        for warning in set(record.warnings) - self._warned:
            self._warned.add(warning)
            self.console.print(f"[yellow]warning: {escape(warning)}", soft_wrap=True)
        if not self.console.is_terminal:
            state = self._states.get(job.number, Glance())
            so_far = f"{state.step} steps, score {state.score}" if state.step else ""
            told = filter(None, [record.how, job.title, record.reason or so_far])
            self.console.print(": ".join(told), markup=False, soft_wrap=True)

    def _table(self) -> Table:
        counts = Counter(self._hows.values())
        title = ", ".join(f"{count} {how}" for how, count in counts.items())
        rows = [
            (job, self._hows[job.number], self._states.get(job.number, Glance())) for job in self.plan.jobs
        ]
        more = len(rows) - max(1, self.console.height - _ROOM)
        if more > 0:  # those that do not work come last, and are left out
            rows = sorted(rows, key=lambda row: _FIRST.index(row[1]) if row[1] in _FIRST else len(_FIRST))
        else:
            rows = sorted(rows, key=lambda row: row[1] not in _FIRST)
        table = _states_table(title, rows[: len(rows) - max(0, more)])
        table.caption = f"and {more} more" if more > 0 else None
        return table


def outcomes_table(plan: Plan, outcomes: Sequence[Record]) -> Table:
    """Return what became of each job, one row each."""
    jobs = zip(plan.jobs, outcomes, strict=True)
    return _states_table("Sweep", ((job, end.how, glance(Path(end.path))) for job, end in jobs))


def plan_table(plan: Plan) -> Table:
    """Return what a sweep would do, one row each."""
    table = _headed("Sweep, not started", "job", "to do", "run")
    for job in plan.jobs:
        table.add_row(Text(job.title), _styled(job.todo), Text(str(job.path or job.reason)))
    return table


def _states_table(title: str, rows: Iterable[tuple[Job, str, Glance]]) -> Table:
    table = _headed(title, "job", "status", "step", "score")
    for job, how, state in rows:
        table.add_row(Text(job.title), _styled(how), state.step, state.score)
    return table


def _headed(title: str, *heads: str) -> Table:
    table = Table(title=title)
    for head in heads:
        table.add_column(head, overflow="fold", justify="right" if head in ("step", "score") else "left")
    return table


def _styled(how: str) -> Text:
    return Text(how, _STYLES.get(how, ""))
