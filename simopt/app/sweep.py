"""A sweep: which jobs there are, which of them are to be run, and what became of each."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import h5py

from simopt import catalogue, datasets, measures
from simopt.app import analyses, decode, launch
from simopt.app.build import as_node, find_own_code
from simopt.app.compose import Composed, Launcher, compose_sweep
from simopt.app.paths import config_hash, run_place
from simopt.app.schema import RunConfig
from simopt.datasets import Dataset
from simopt.datasets.base import Loader
from simopt.errors import InputError, SimoptError
from simopt.optimization.setup import check
from simopt.store import layout

SWEEPS = ".sweeps"
RUN, RESUME, FOUND, FAILED = "run", "resume", "found", "failed"
NOT_STARTED = "not started"

_KEPT_BYTES = 2**30
_kept: dict[str, Dataset] = {}


@dataclass(frozen=True, kw_only=True)
class Loaded(Loader):
    """A dataset that this process has loaded before, or loads now and keeps: up to a gigabyte, the latest.

    Parameters
    ----------
    node : dict
        The dataset's own node.
    """

    node: dict[str, Any]

    def load(self) -> Dataset:
        """Return the dataset."""
        key = json.dumps(self.node, sort_keys=True)
        dataset = _kept.pop(key) if key in _kept else datasets.build(self.node).load()
        _kept[key] = dataset
        while len(_kept) > 1 and sum(each.responses.nbytes for each in _kept.values()) > _KEPT_BYTES:
            del _kept[next(iter(_kept))]
        return dataset


def forget() -> None:
    """Drop the datasets that are kept: what lies behind them may have changed."""
    _kept.clear()


def from_memory(composed: Composed) -> Composed:
    """Return a configuration whose dataset is loaded once in a process; what names the run is the same."""
    target = f"{Loaded.__module__}.{Loaded.__qualname__}"
    node = as_node(composed.config.dataset, "dataset")
    loaded = {"_target_": target, "name": str(node.get("name", "")), "node": node}
    return replace(composed, config=replace(composed.config, dataset=loaded))


@dataclass(frozen=True)
class Job:
    """A job, as planned.

    Attributes
    ----------
    number : int
    title : str
        The overrides in which it differs from the others.
    composed : Composed
    path : Path or None
        Its run file; None where the data could not be loaded.
    todo : str
        ``run``, ``resume``, ``found`` (finished before, or the same run as an earlier job), or ``failed``.
    reason : str
        Of the failure.
    """

    number: int
    title: str
    composed: Composed
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
        The run file.
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
    """The state of a run file at a moment."""

    status: str
    stop_reason: str
    step: int
    score: float


def plan(overrides: Sequence[str], config_dir: Path | None = None) -> Plan:
    """List the jobs of a sweep and see which are done; nothing is written.

    A job whose data cannot be loaded is planned as failed.

    Raises
    ------
    InputError
        A combination that cannot be composed, or a name or an option that cannot be used.
    """
    combinations, launcher = compose_sweep(overrides, config_dir)
    for each in combinations:
        try:
            _check(each.composed.config)
        except InputError as error:
            raise InputError(f"{each.title}: {error}") from error
    jobs: list[Job] = []
    for number, each in enumerate(combinations):
        try:
            path = _run_file(each.composed.config)
        except SimoptError as error:
            jobs.append(Job(number, each.title, each.composed, None, FAILED, str(error)))
            continue
        known = any(job.path == path for job in jobs)
        todo = FOUND if known else _todo(path, each.composed.config)
        jobs.append(Job(number, each.title, each.composed, path, todo))
    search = [catalogue.config_dir(), *([] if config_dir is None else [config_dir])]
    return Plan(jobs, launcher, search)


def _check(config: RunConfig) -> None:
    """Check what needs no data."""
    analyses.check(config)
    find_own_code()
    measure = measures.build(as_node(config.measure, "measure"))
    for name in config.track:
        measures.get(name)
    factory = catalogue.build({"_partial_": True, **as_node(config.optimizer, "optimizer")}, "optimizer")
    check(measure, factory, seeds=config.seeds, target=config.target, max_steps=config.max_steps)
    catalogue.build(as_node(config.init, "init"), "init")
    datasets.build(as_node(config.dataset, "dataset"))


def _run_file(config: RunConfig) -> Path:
    dataset = Loaded(name="", node=as_node(config.dataset, "dataset")).load()
    if config.decoder:
        decode.build(as_node(config.decoder, "decoder"), dataset)
    measure = measures.build(as_node(config.measure, "measure"))
    digest = config_hash(config, dataset)
    return run_place(config, dataset, measure.name, digest) / layout.RUN_FILE


def _todo(path: Path, config: RunConfig) -> str:
    state = None if config.force else glance(path)
    if state is None:
        return RUN
    if state.status == layout.FINISHED:
        return FOUND
    return RESUME if (path.parent / layout.CHECKPOINT_FILE).exists() else RUN


def glance(path: Path) -> Glance | None:
    """Return how far a run is; None where there is no readable file.

    No lock is taken: a reader's would refuse the file to its writer.
    """
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
        It cannot be made.
    """
    place = Path(plan.jobs[0].composed.config.log.dir).expanduser().resolve() / SWEEPS
    now = datetime.datetime.now().astimezone()
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{now:%Y%m%d-%H%M%S}-", dir=place))
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written ({(error.strerror or str(error)).lower()}); "
            "choose another folder with log.dir=FOLDER."
        ) from error
    for job in plan.jobs:
        (folder / f"{job.number}.yaml").write_text(job.composed.yaml, encoding="utf-8")
    try:
        yield folder
    finally:
        forget()
        if all(outcome.done for outcome in outcomes(plan, folder)):
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                place.rmdir()


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

    with _stop_signals(folder):
        left = go(todo)
        while len(left) < len(todo) and left:
            todo, left = left, go(left)
        for number in tuple(lost):
            go([number])
        go(tuple(busy), wait=True)
    return next(filter(None, reversed(failures)), "")


def stopped(folder: Path) -> bool:
    """Say whether a sweep was interrupted."""
    return launch.stopped(folder)


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
    if finished and (record.how in launch.DONE or not job.composed.config.force):
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


@contextlib.contextmanager
def _stop_signals(folder: Path) -> Iterator[None]:
    """Stop the jobs at SIGINT and SIGTERM; a second signal acts at once."""

    def note(number: int, frame: object) -> None:
        launch.stop(folder)
        signal.signal(number, before[number])

    before: dict[int, Any] = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
