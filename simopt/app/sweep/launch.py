"""The jobs of a sweep, run in this process or by a launcher of Hydra.

Hydra only launches the jobs; simopt makes their requests. The folder of a sweep holds the request of each
job, ``<number>.yaml``, and its record, ``<number>.json``. Its file ``stop`` asks all jobs to stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from simopt.app.config import settings
from simopt.app.config.compose import literal, request_type
from simopt.app.sweep.combinations import Swept
from simopt.app.terminal.console import SHOWN
from simopt.errors import (
    InterruptedRunError,
    RunBusyError,
    SimoptError,
    SurrogateWarning,
)
from simopt.workflows import joint, run, sensitivity
from simopt.workflows.joint import JointRequest
from simopt.workflows.run_request import RunRequest

if TYPE_CHECKING:
    from simopt.optimization.state import State

Watch = Callable[[int, "State"], None]

NOT_STARTED, RUNNING, BUSY, FAILED, INTERRUPTED = "not started", "running", "busy", "failed", "interrupted"
FOUND = "found"
DONE = ("done", "resumed", FOUND)

_STOP_FILE = "stop"
_STOP_SECONDS = 0.1  # between two looks for the stop file, which may lie on a network file system
_here: list[tuple[Mapping[int, Swept], Watch]] = []
"""The jobs that run in the process of the sweep, and their observer; empty in every other process."""


@dataclass(frozen=True)
class Record:
    """The state of a job, which the job itself writes.

    Attributes
    ----------
    how : str
        Without a result: ``not started``, ``running``, ``busy`` (another process is working on the same run),
        ``failed`` or ``interrupted``. With a result: ``done``, ``resumed`` (done after an interruption) or
        ``found`` (stored before).
    path : str
        The file of the result, once the job is finished.
    reason : str
        Why the job failed or was interrupted.
    warnings : list of str
        The warnings that the job gave.
    traceback : str
        The traceback of an unexpected exception.
    process : int
        The id of the process that wrote the record.
    """

    how: str
    path: str = ""
    reason: str = ""
    warnings: list[str] = field(default_factory=list)
    traceback: str = ""
    process: int = field(default_factory=os.getpid)

    @property
    def done(self) -> bool:
        """Whether the result of the job is finished."""
        return self.how in DONE


def launch(
    folder: Path, launcher: Mapping[str, Any], jobs: Mapping[int, Swept], watch: Watch, *, wait: bool
) -> str:
    """Launch jobs of a sweep with Hydra; return the error of the launcher, or an empty text without an error.

    Parameters
    ----------
    folder : Path
        The folder of the sweep.
    launcher : mapping
        The options of Hydra's launcher, with its ``_target_``.
    jobs : mapping of requests
        The request of each job, by the number of the job.
    watch : callable
        Called with the number of a job and its logged state, if the job runs in this process.
    wait : bool
        Whether a job waits while another process works on its run. If false, the job ends as ``busy``.
    """
    threads, slots = _shares(launcher, len(jobs))
    usual = {"launcher": None, "hydra_logging": "none", "job_logging": "none"}
    place = literal(str(folder))
    config = {
        "defaults": ["_self_", *({f"override hydra/{group}": entry} for group, entry in usual.items())],
        "folder": place,
        "job": "???",
        "wait": wait,
        "threads": threads,
        "slots": slots,
        "hydra": {
            "output_subdir": None,
            "sweep": {"dir": place, "subdir": "."},
            "launcher": launcher,
        },
    }
    numbers = ",".join(map(str, jobs))
    _here.append((jobs, watch))
    try:
        OmegaConf.save(OmegaConf.create(config), folder / "launch.yaml")
        with initialize_config_dir(str(folder), version_base="1.3", job_name="simopt"):
            multirun = GlobalHydra.instance().hydra.multirun  # type: ignore[union-attr]
            multirun("launch", execute, [f"job={numbers}"])
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".removesuffix(": ")
    finally:
        _here.clear()
    return ""


def execute(node: DictConfig) -> None:
    """Run one job of a sweep; launchers import this function by its name."""
    folder, number = Path(node.folder), int(node.job)
    if not _here and node.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(node.threads))
    should_stop = _Stop(folder)
    with _slot(folder, 0 if _here else int(node.slots), should_stop):
        if not should_stop():
            write(folder, number, Record(RUNNING))
            write(folder, number, _record(folder, number, should_stop, wait=bool(node.wait)))


def text_of(request: Swept) -> str:
    """Return a request as YAML, which another process reads with :func:`request_of`."""
    return yaml.safe_dump({"command": request.kind, **request.config()}, sort_keys=False)


def request_of(text: str) -> Swept:
    """Return the request that :func:`text_of` wrote.

    Raises
    ------
    InputError
        A value of the request cannot be used.
    """
    settings.own_code()
    config = yaml.safe_load(text)
    request: Swept = request_type(config.pop("command"))(**config)  # type: ignore[assignment]
    return request


def stop(folder: Path) -> None:
    """Ask all jobs of a sweep to stop, in every process."""
    (folder / _STOP_FILE).touch()


def stopped(folder: Path) -> bool:
    """Return whether the jobs of a sweep were asked to stop."""
    return (folder / _STOP_FILE).exists()


def write(folder: Path, number: int, record: Record) -> None:
    """Write the record of a job in one step, so that readers see the former record or the new one."""
    temporary = folder / f"{number}.json.new"
    temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
    temporary.replace(folder / f"{number}.json")


def read(folder: Path, number: int) -> Record:
    """Return the record of a job."""
    try:
        return Record(**json.loads((folder / f"{number}.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Record(NOT_STARTED)


def _record(folder: Path, number: int, should_stop: Callable[[], bool], *, wait: bool) -> Record:
    def progress(state: State) -> None:
        for _, watch in _here:
            watch(number, state)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", SurrogateWarning)  # the sweep itself has shown it
        for category in SHOWN:
            warnings.simplefilter("always", category)
        facts: dict[str, Any]
        try:
            if _here:
                request = _here[0][0][number]
            else:
                request = request_of((folder / f"{number}.yaml").read_text(encoding="utf-8"))
            how = _carried_out(request, progress, should_stop, wait=wait)
            facts = {"how": how, "path": str(request.path)}
        except RunBusyError:
            facts = {"how": BUSY}
        except InterruptedRunError as error:
            facts = {"how": INTERRUPTED, "reason": str(error)}
            if _here:
                stop(folder)
        except KeyboardInterrupt:
            if _here:
                raise
            facts = {"how": INTERRUPTED, "reason": "interrupted before its first step"}
        except SimoptError as error:
            facts = {"how": FAILED, "reason": str(error)}
        except Exception as error:
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            facts = {"how": FAILED, "reason": reason, "traceback": traceback.format_exc()}
    reported = [str(warning.message) for warning in caught if issubclass(warning.category, SHOWN)]
    return Record(**facts, warnings=reported)


def _carried_out(
    request: Swept, progress: Callable[[State], None], should_stop: Callable[[], bool], *, wait: bool
) -> str:
    """Carry out a request; return ``done``, ``resumed`` or ``found``."""
    if isinstance(request, RunRequest):
        return run.find_or_make(request, progress, should_stop=should_stop, wait=wait)[1]
    if isinstance(request, JointRequest):
        return joint.carry_out(request, should_stop=should_stop, wait=wait).how
    return sensitivity.carry_out(request, should_stop=should_stop, wait=wait).how


class _Stop:
    """Whether the sweep was asked to stop; the stop file is looked for every 0.1 s at most."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer, self.checked = False, -_STOP_SECONDS

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self.answer and now - self.checked >= _STOP_SECONDS:
            self.answer, self.checked = stopped(self.folder), now
        return self.answer


def _shares(launcher: Mapping[str, Any], jobs: int) -> tuple[int, int]:
    """Return the threads of a job and the number of jobs at once; zeros leave both to the launcher.

    Among the launchers simopt supports only submitit_local starts all jobs at once, each with all cores.
    """
    if not str(launcher["_target_"]).endswith(".LocalLauncher"):
        return 0, 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = launcher.get("cpus_per_task") or max(1, cores // jobs)
    return threads, max(1, cores // threads)


@contextlib.contextmanager
def _slot(folder: Path, slots: int, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Hold one of ``slots`` locks, so that no more jobs run at once; zero sets no limit."""
    locks = [filelock.FileLock(folder / f"slot{k}.lock", timeout=0) for k in range(slots)]
    with contextlib.ExitStack() as held:
        waiting = bool(locks)
        while waiting and not should_stop():
            for lock in locks:
                with contextlib.suppress(filelock.Timeout):
                    held.enter_context(lock)
                    waiting = False
                    break
            else:
                time.sleep(_STOP_SECONDS)
        yield
