"""A sweep: its jobs, which of them must run, and their outcomes."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import filelock
import numpy as np

from simopt.app.sweep import launch
from simopt.app.sweep.combinations import Swept, combinations
from simopt.app.sweep.launch import BUSY, FAILED, FOUND, INTERRUPTED, NOT_STARTED, RUNNING, Record
from simopt.app.terminal.signals import stop_signals
from simopt.errors import SimoptError, StorageError
from simopt.store import image, layout, shelf
from simopt.store.errors import writing
from simopt.workflows.data import Data

SWEEPS = ".sweeps"
_LOCK = "sweep.lock"
"""The lock of a sweep that runs its jobs itself. If no process holds it, the sweep was killed."""
_ENDED = "ended"
"""A file in the folder of a sweep that has ended with failed or interrupted jobs."""
RUN, RESUME = "run", "resume"
_REMEDY = "; choose another folder with log.dir=FOLDER"


@dataclass(frozen=True)
class Job:
    """A planned job.

    Attributes
    ----------
    number : int
    title : str
        The overrides of the job.
    request : RunRequest, SensitivityRequest or JointRequest
    path : Path or None
        The file of its result; None if the data could not be loaded.
    todo : str
        What the sweep will do: ``run`` or ``resume``; ``found`` if the result is finished or an earlier job
        makes it; or ``failed``.
    reason : str
        Why the job failed; otherwise empty.
    """

    number: int
    title: str
    request: Swept
    path: Path | None
    todo: str
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, and the options of the launcher that starts them."""

    jobs: list[Job]
    launcher: Mapping[str, Any]


@dataclass(frozen=True)
class Glance:
    """The status, the step and the mean score of a run, as text; an analysis has the status only."""

    status: str = "missing"
    step: str = ""
    score: str = ""

    @classmethod
    def of(cls, status: str, step: int, score: float) -> Self:
        """Format the state of a run."""
        return cls(status, str(step), f"{score:.4f}")


def plan(overrides: Sequence[str], config_dir: Path | None = None) -> Plan:
    """Return the jobs of a sweep, and what has to be done for each. Nothing is written.

    A job whose data cannot be loaded is marked as failed.

    Raises
    ------
    InputError
        A combination cannot be composed, a name is unknown, or an option cannot be used.
    """
    titled, launcher = combinations(overrides, config_dir)
    jobs: list[Job] = []
    shared: dict[str, Data] = {}  # one object for the same data, so that they are loaded once
    for number, (title, composed) in enumerate(titled):
        node = json.dumps(dict(composed.dataset.node), sort_keys=True)
        request = replace(composed, dataset=shared.setdefault(node, composed.dataset))
        try:
            # Load the data now: a path can be computed for data that turn out to be unreadable.
            path = request.path
            _ = request.dataset.dataset
        except SimoptError as error:
            jobs.append(Job(number, title, request, None, FAILED, str(error)))
            continue
        again = any(job.path == path for job in jobs)
        jobs.append(Job(number, title, request, path, FOUND if again else _todo(request)))
    return Plan(jobs, launcher)


def _todo(request: Swept) -> str:
    assert request.path is not None
    if request.force:
        return RUN
    try:
        if shelf.find(request) is not None:
            return FOUND
        return RUN if shelf.if_whole(request.unfinished, request.path) is None else RESUME
    except StorageError:  # the job will meet the same error and report it
        return RUN


def glance(path: Path) -> Glance:
    """Return the state of a run or an analysis; ``missing`` if there is no readable file."""
    try:
        with image.opened(path) as file:
            status = str(image.attributes_of(file).get("status", layout.FINISHED))
            if path.name != layout.RUN_FILE:
                return Glance(status)
            step, score = file[layout.STEP.path], file[layout.SCORE.path]
            logged = len(step) > 0
            return Glance.of(status, int(step[-1]) if logged else 0, np.mean(score[-1]) if logged else np.nan)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError):
        return Glance()


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[Path]:
    """Make the folder of a sweep with the request of each job; remove it at the end unless a job has failed.

    Raises
    ------
    InputError
        The folder cannot be written; it is then removed.
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
        if str(plan.launcher["_target_"]).endswith(".BasicLauncher"):
            lock.acquire()
        with writing(place, _REMEDY):
            for number, text in texts.items():
                (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
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
    """Remove the folders of sweeps that were killed, and of ended ones whose jobs are among ``texts``."""
    for lock in place.glob(f"*/{_LOCK}"):
        with contextlib.suppress(filelock.Timeout, OSError), filelock.FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)
    for marker in place.glob(f"*/{_ENDED}"):
        with contextlib.suppress(OSError):
            if {job.read_text("utf-8") for job in marker.parent.glob("[0-9]*.yaml")} <= texts:
                shutil.rmtree(marker.parent, ignore_errors=True)


def carry_out(plan: Plan, folder: Path, watch: launch.Watch) -> str:
    """Launch the jobs that must run; return the error of the launcher, or an empty text without an error.

    If another process works on a run, the sweep waits for that process after all other jobs. If the process
    of a job ended without a record, the job is launched once more, alone, because another job may have
    exhausted the memory. SIGINT and SIGTERM stop all jobs.
    """
    todo = [job.number for job in plan.jobs if job.todo in (RUN, RESUME)]
    failure = ""

    def go(numbers: Sequence[int], *, wait: bool = False) -> None:
        nonlocal failure
        if numbers and not launch.stopped(folder):
            jobs = {number: plan.jobs[number].request for number in numbers}
            failure = launch.launch(folder, plan.launcher, jobs, watch, wait=wait) or failure
            _settle(plan, folder, numbers)

    def recorded(how: str) -> list[int]:
        return [number for number in todo if launch.read(folder, number).how == how]

    with stop_signals(lambda: launch.stop(folder)) as stopped:
        stopped()  # polled once, so that the first signal asks the jobs to stop instead of raising here
        before, left = None, todo
        while left and left != before:
            go(left)
            before, left = left, recorded(NOT_STARTED)
        for number in recorded(RUNNING):
            go([number])
        go(recorded(BUSY), wait=True)
    return failure


def _settle(plan: Plan, folder: Path, numbers: Sequence[int]) -> None:
    """Wait for jobs that still run although the launcher has returned."""
    for number in numbers:
        path = plan.jobs[number].path
        while path and launch.read(folder, number).how == RUNNING and shelf.at_work(path.parent):
            time.sleep(0.2)


def outcomes(plan: Plan, folder: Path, failure: str = "") -> list[Record]:
    """Return the record of the outcome of each job.

    A job with a finished file is done, whatever the launcher or the job reported. The path of a record is
    empty if the data could not be loaded. ``failure`` is the error of the launcher.
    """
    failure = "" if launch.stopped(folder) else failure
    return [_outcome(job, launch.read(folder, job.number), failure) for job in plan.jobs]


def _outcome(job: Job, record: Record, failure: str) -> Record:
    path = Path(record.path) if record.path else job.path
    if path is None:
        return Record(FAILED, reason=job.reason)
    state = glance(path)
    finished = state.status == layout.FINISHED
    how, reason = record.how, record.reason
    if how == NOT_STARTED:
        how, reason = (FOUND, "") if finished and job.todo == FOUND else (NOT_STARTED, failure)
    elif finished and (record.done or not job.request.force):
        how, reason = how if record.done else "done", ""
    elif how == BUSY:
        how, reason = NOT_STARTED, "another process is working on this run"
    elif how not in (INTERRUPTED, FAILED):
        reason = (
            f"the job's process died without a result (killed, or out of memory?); {path} is {state.status}."
        )
        reason = f"{reason} {failure}".rstrip()
        how = FAILED
    return replace(record, how=how, path=str(path), reason=reason)
