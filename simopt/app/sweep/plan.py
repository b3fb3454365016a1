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
from typing import Any

import filelock
import numpy as np

from simopt import catalogue
from simopt.app.sweep import launch
from simopt.app.sweep.combinations import Launcher, combinations
from simopt.app.terminal.signals import stop_signals
from simopt.errors import SimoptError, StorageError
from simopt.store import image, layout, shelf
from simopt.store.errors import writing
from simopt.workflows.request import Request

SWEEPS = ".sweeps"
_LOCK = "sweep.lock"
"""Held by a sweep that carries out its jobs itself; one that nobody holds is that of a killed sweep."""
_ENDED = "ended"
"""Marks the folder of a sweep of which jobs failed or were interrupted, once all of them have ended."""
RUN, RESUME, FOUND, FAILED = "run", "resume", "found", "failed"
NOT_STARTED = "not started"
_REMEDY = "; choose another folder with log.dir=FOLDER"


@dataclass(frozen=True)
class Job:
    """A job, as planned.

    Attributes
    ----------
    number : int
    title : str
        The overrides in which it differs from the others.
    request : Request
        Of a run, or an analysis.
    path : Path or None
        The file of its result; None where the data could not be loaded.
    todo : str
        ``run``, ``resume``, ``found`` (finished before, or the same run as an earlier job), or ``failed``.
    reason : str
        Of the failure.
    """

    number: int
    title: str
    request: Request[Any]
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
    titled, launcher = combinations(overrides, config_dir)
    jobs: list[Job] = []
    for number, (title, request) in enumerate(titled):
        try:
            # The identity of data that cannot be read, or have no labels to decode, is no use: see now.
            path = request.path
            _ = request.dataset.dataset
        except SimoptError as error:
            jobs.append(Job(number, title, request, None, FAILED, str(error)))
            continue
        assert path is not None
        known = any(job.path == path for job in jobs)
        jobs.append(Job(number, title, request, path, FOUND if known else _todo(path, request)))
    search = [catalogue.config_dir(), *([] if config_dir is None else [config_dir])]
    return Plan(jobs, launcher, search)


def _todo(path: Path, request: Request[Any]) -> str:
    if request.force:
        return RUN
    try:
        if shelf.find(request) is not None:
            return FOUND
        return RUN if shelf.if_whole(request.unfinished, path) is None else RESUME
    except StorageError:  # what came of it, its job says
        return RUN


def glance(path: Path) -> Glance | None:
    """Return how far a run or an analysis is; None where there is no readable file."""
    try:
        with image.opened(path) as file:
            about = image.attributes_of(file)
            status, reason = str(about.get("status", layout.FINISHED)), str(about.get("stop_reason", ""))
            if path.name != layout.RUN_FILE:
                return Glance(status)
            step, score = file[layout.STEP.path], file[layout.SCORE.path]
            if not len(step):
                return Glance(status, reason, 0, float("nan"))
            return Glance(status, reason, int(step[-1]), float(np.mean(score[-1])))
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
    place = Path(plan.jobs[0].request.log.dir).expanduser().resolve() / SWEEPS
    now = datetime.datetime.now().astimezone()
    with writing(place, _REMEDY):
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{now:%Y%m%d-%H%M%S}-", dir=place))
    texts = {job.number: launch.text_of(job.request) for job in plan.jobs}
    _clear(place, set(texts.values()))
    lock = filelock.FileLock(folder / _LOCK)
    try:
        if str(plan.launcher.options["_target_"]).endswith(".BasicLauncher"):
            lock.acquire()
        for job in plan.jobs:
            with writing(place, _REMEDY):
                (folder / f"{job.number}.yaml").write_text(texts[job.number], encoding="utf-8")
    except BaseException:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        yield folder
    finally:
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
        jobs = {number: plan.jobs[number].request for number in numbers}
        failures.append(launch.launch(folder, plan.launcher, jobs, plan.search, watch, wait=wait))
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
    if finished and (record.how in launch.DONE or not job.request.force):
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
        while path is not None and _said(folder, number) == launch.RUNNING and shelf.at_work(path.parent):
            time.sleep(0.2)


def _said(folder: Path, number: int) -> str:
    record = launch.read(folder, number)
    return NOT_STARTED if record is None else record.how
