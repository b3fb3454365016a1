"""The progress of a sweep: a live table on a terminal, elsewhere a line for each finished job."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.markup import escape

from simopt.app.sweep import launch
from simopt.app.sweep.launch import BUSY, FAILED, FOUND, INTERRUPTED, NOT_STARTED, RUNNING, Record
from simopt.app.sweep.plan import Glance, Job, Plan, glance
from simopt.app.terminal.console import err
from simopt.app.terminal.render import as_rich
from simopt.report.document import Number, Table

if TYPE_CHECKING:
    from simopt.optimization.state import State

WAITING = "waiting"

_SECONDS = 0.5  # between two looks at the records of the jobs
_OTHER_LINES = 8  # of a terminal: title, heads, frame, note, and what was printed before
_ORDER = (RUNNING, FAILED, INTERRUPTED, BUSY, NOT_STARTED, WAITING, *launch.DONE)


class Board:
    """A context manager that shows the states of the jobs of a sweep, from their records and run files."""

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
        """Store the latest state of a job that runs in this process."""
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
                self._live.update(as_rich(self._table(), self.console.width, whole=False), refresh=True)

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
        # A file is read as a whole to verify its checksum, so it is read once for each checkpoint only.
        changed = job.path.stat().st_mtime_ns
        if self._stamps.get(job.number) != changed and (state := glance(job.path)) != Glance():
            self._stamps[job.number] = changed
            self._states[job.number] = state

    def _tell(self, job: Job, record: Record) -> None:
        for warning in set(record.warnings) - self._warned:
            self._warned.add(warning)
            self.console.print(f"[yellow]warning: {escape(warning)}", soft_wrap=True)
        if not self.console.is_terminal:
            state = self._states.get(job.number, Glance())
            progress = f"{state.step} steps, score {state.score}" if state.step else ""
            parts = filter(None, [record.how, job.title, record.reason or progress])
            self.console.print(": ".join(parts), markup=False, soft_wrap=True)

    def _table(self) -> Table:
        counts = Counter(self._hows.values())
        title = ", ".join(f"{count} {how}" for how, count in counts.items())
        rows = [
            (job, self._hows[job.number], self._states.get(job.number, Glance())) for job in self.plan.jobs
        ]
        rows.sort(
            key=lambda row: _ORDER.index(row[1])
        )  # of too many rows, those of finished jobs are left out
        most = max(1, self.console.height - _OTHER_LINES)
        table = _states_table(title, rows[:most])
        return replace(table, note=f"and {len(rows) - most} more" if len(rows) > most else "")


def outcomes_table(plan: Plan, outcomes: Sequence[Record]) -> Table:
    """Return a table with a row for each job: its final status, and the reason if it failed."""
    jobs = zip(plan.jobs, outcomes, strict=True)
    return _states_table("Sweep", ((job, end.how, glance(Path(end.path))) for job, end in jobs))


def plan_table(plan: Plan) -> Table:
    """Return a table with a row for each job: what the sweep would do with it."""
    rows = [[job.title, job.todo, str(job.path or job.reason)] for job in plan.jobs]
    return Table("", "Sweep, not started", "", ["job", "to do", "run"], rows, ["run"])


def _states_table(title: str, rows: Iterable[tuple[Job, str, Glance]]) -> Table:
    cells = [[job.title, how, Number(state.step), Number(state.score)] for job, how, state in rows]
    return Table("", title, "", ["job", "status", "step", "score"], cells, ["step", "score"])
