"""A sweep: which jobs there are, which of them are to be run, and what became of each."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import h5py

from simopt import catalogue
from simopt.app import launch
from simopt.app.compose import Launcher, compose_sweep
from simopt.app.guards import stop_signals
from simopt.app.memory import forget
from simopt.app.paths import not_writable
from simopt.app.tasks import RunTask, Task, of_combination
from simopt.errors import InputError, SimoptError, StorageError
from simopt.store import analysis, layout, reader

SWEEPS = ".sweeps"
_LOCK = "sweep.lock"
"""Held by a sweep that carries out its jobs itself; one that nobody holds is that of a killed sweep."""
_ENDED = "ended"
"""Marks the folder of a sweep of which jobs failed or were interrupted, once all of them have ended."""
RUN, RESUME, FOUND, FAILED = "run", "resume", "found", "failed"
NOT_STARTED = "not started"


@dataclass(frozen=True)
class Job:
    """A job, as planned.

    Attributes
    ----------
    number : int
    title : str
        The overrides in which it differs from the others.
    task : Task
        A run, or an analysis.
    path : Path or None
        The file of its result; None where the data could not be loaded.
    todo : str
        ``run``, ``resume``, ``found`` (finished before, or the same run as an earlier job), or ``failed``.
    reason : str
        Of the failure.
    """

    number: int
    title: str
    task: Task
    path: Path | None
    todo: str
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, and who launches them, found in which folders."""

    jobs: list[Job]
    launcher: Launcher
    search: list[Path]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes
    ----------
    job : Job
    how : str
        ``done``, ``resumed``, ``found``, ``failed``, ``interrupted`` or ``not started``.
    path : Path or None
        The file of its result.
    reason : str
    """

    job: Job
    how: str
    path: Path | None
    reason: str = ""

    @property
    def done(self) -> bool:
        """Whether the run is finished."""
        return self.how in launch.DONE


@dataclass(frozen=True)
class Glance:
    """The state of a run at a moment, or of an analysis, which has neither steps nor a score."""

    status: str
    stop_reason: str = ""
    step: int | None = None
    score: float | None = None


def plan(overrides: Sequence[str], config_dir: Path | None = None) -> Plan:
    """List the jobs of a sweep and see which are done; nothing is written.

    A job whose data cannot be loaded is planned as failed.

    Raises
    ------
    InputError
        A combination that cannot be composed, or a name or an option that cannot be used.
    """
    combinations, launcher = compose_sweep(overrides, config_dir)
    titled: list[tuple[str, Task]] = []
    for each in combinations:
        try:
            of_it = of_combination(each, config_dir)
            for _, task in of_it:
                task.check()
        except InputError as error:
            raise InputError(f"{each.title}: {error}") from error
        titled += of_it
    jobs: list[Job] = []
    for number, (title, task) in enumerate(titled):
        try:
            path = task.place()
        except SimoptError as error:
            jobs.append(Job(number, title, task, None, FAILED, str(error)))
            continue
        known = any(job.path == path for job in jobs)
        jobs.append(Job(number, title, task, path, FOUND if known else _todo(path, task)))
    search = [catalogue.config_dir(), *([] if config_dir is None else [config_dir])]
    return Plan(jobs, launcher, search)


def _todo(path: Path, task: Task) -> str:
    state = None if task.force else glance(path)
    if state is not None and state.status == layout.FINISHED and _whole(path):
        return FOUND
    begun = state is not None or not isinstance(task, RunTask)
    return RESUME if begun and not task.force and (path.parent / layout.CHECKPOINT_FILE).exists() else RUN


def _whole(path: Path) -> bool:
    """Whether a finished file can be read; what came of a broken one, its job says."""
    try:
        reader.status(path) if path.name == layout.RUN_FILE else analysis.verify(path)
    except StorageError:
        return False
    return True


def glance(path: Path) -> Glance | None:
    """Return how far a run is; None where there is no readable file. A stored analysis is finished.

    No lock is taken: a reader's would refuse the file to its writer.
    """
    if path.name != layout.RUN_FILE:
        return Glance(layout.FINISHED) if path.exists() else None
    try:
        with h5py.File(path, "r", locking=False) as file:
            step, score = file[layout.STEP.path], file[layout.SCORE.path]
            rows = min(len(step), len(score))
            return Glance(
                str(file.attrs["status"]),
                str(file.attrs["stop_reason"]),
                int(step[rows - 1]) if rows else 0,
                float(score[rows - 1].mean()) if rows else float("nan"),
            )
    except (OSError, KeyError, RuntimeError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[Path]:
    """Make the folder of a sweep, with the configuration of each job; it is kept if a job failed.

    Raises
    ------
    InputError
        It cannot be made; nothing is left of it.
    """
    place = plan.jobs[0].task.root.expanduser().resolve() / SWEEPS
    now = datetime.datetime.now().astimezone()
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{now:%Y%m%d-%H%M%S}-", dir=place))
    except OSError as error:
        raise not_writable(place, error, "log.dir") from error
    _clear(place, {job.task.text for job in plan.jobs})
    lock = filelock.FileLock(folder / _LOCK)
    try:
        if str(plan.launcher.options["_target_"]).endswith(".BasicLauncher"):
            lock.acquire()
        for job in plan.jobs:
            (folder / f"{job.number}.yaml").write_text(job.task.text, encoding="utf-8")
    except BaseException as error:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise not_writable(place, error, "log.dir") from error
        raise
    try:
        yield folder
    finally:
        forget()
        lock.release()
        (folder / _LOCK).unlink(missing_ok=True)
        if all(outcome.done for outcome in outcomes(plan, folder)):
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                place.rmdir()
        else:
            with contextlib.suppress(OSError):
                (folder / _ENDED).touch()


def _clear(place: Path, texts: set[str]) -> None:
    """Remove the folders of sweeps that were killed in their own process, or whose jobs are done again."""
    for left in place.glob(f"*/{_LOCK}"):
        with contextlib.suppress(filelock.Timeout, OSError), filelock.FileLock(left, timeout=0):
            shutil.rmtree(left.parent, ignore_errors=True)
    for left in place.glob(f"*/{_ENDED}"):
        with contextlib.suppress(OSError):
            if {job.read_text("utf-8") for job in left.parent.glob("[0-9]*.yaml")} <= texts:
                shutil.rmtree(left.parent, ignore_errors=True)


def carry_out(plan: Plan, folder: Path, watch: launch.Watch) -> str:
    """Launch what is to be done, and return what the launcher failed of, if it did.

    A run that another process is at work on is waited for at the end. A job whose process ended without a
    word is launched once more, alone: another job may have taken it down. SIGINT and SIGTERM stop all jobs.
    """
    todo = [job.number for job in plan.jobs if job.todo in (RUN, RESUME)]
    failures: list[str] = []
    busy: list[int] = []
    lost: list[int] = []

    def go(numbers: Sequence[int], *, wait: bool = False) -> list[int]:
        """Launch jobs, and return those that were not started."""
        if not numbers or launch.stopped(folder):
            return []
        failures.append(launch.launch(folder, plan.launcher, numbers, plan.search, watch, wait=wait))
        _settle(plan, folder, numbers)
        said = {number: _said(folder, number) for number in numbers}
        busy.extend(number for number in numbers if said[number] == launch.BUSY)
        lost.extend(number for number in numbers if said[number] == launch.RUNNING)
        return [number for number in numbers if said[number] == NOT_STARTED]

    with stop_signals(lambda: launch.stop(folder)):
        left = go(todo)
        while len(left) < len(todo) and left:
            todo, left = left, go(left)
        for number in tuple(lost):
            go([number])
        go(tuple(busy), wait=True)
    return next(filter(None, reversed(failures)), "")


def outcomes(plan: Plan, folder: Path, failure: str = "") -> list[Outcome]:
    """Say what became of each job: the run file decides, whatever the launcher or the job says."""
    told = "" if launch.stopped(folder) else failure
    return [_outcome(job, folder, told) for job in plan.jobs]


def _outcome(job: Job, folder: Path, failure: str) -> Outcome:
    record = launch.read(folder, job.number)
    path = Path(record.path) if record is not None and record.path else job.path
    if path is None:
        return Outcome(job, FAILED, None, job.reason)
    state = glance(path)
    finished = state is not None and state.status == layout.FINISHED
    if record is None:
        found = finished and job.todo == FOUND
        return Outcome(job, FOUND if found else NOT_STARTED, path, "" if found else failure)
    if finished and (record.how in launch.DONE or not job.task.force):
        return Outcome(job, record.how if record.how in launch.DONE else "done", path)
    if record.how == launch.BUSY:
        return Outcome(job, NOT_STARTED, path, "another process was at work on this run")
    if record.how in (launch.INTERRUPTED, FAILED):
        return Outcome(job, record.how, path, record.reason)
    said = "missing" if state is None else state.status
    reason = f"its process ended without a word; {path} is {said}. {failure}"
    return Outcome(job, FAILED, path, reason.rstrip())


def _settle(plan: Plan, folder: Path, numbers: Sequence[int]) -> None:
    """Wait for jobs that still work, though the launcher gave up on them."""
    for number in numbers:
        path = plan.jobs[number].path
        while path is not None and _said(folder, number) == launch.RUNNING and _at_work(path):
            time.sleep(0.2)


def _said(folder: Path, number: int) -> str:
    record = launch.read(folder, number)
    return NOT_STARTED if record is None else record.how


def _at_work(path: Path) -> bool:
    if not path.parent.exists():
        return False
    try:
        with filelock.FileLock(path.parent / layout.LOCK_FILE, timeout=0):
            return False
    except filelock.Timeout:
        return True
