"""The jobs of a sweep, in this process or wherever a launcher of Hydra takes them.

Hydra only launches; what a job does was composed before. The folder of a sweep holds the request of
each job, ``<number>.yaml``, and takes what became of it, ``<number>.json``. A file ``stop`` there ends all
jobs.
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

from simopt.app.config import requests
from simopt.app.config.compose import request_type
from simopt.app.sweep.combinations import Swept
from simopt.errors import (
    DegenerateWarning,
    InterruptedRunError,
    LargeResultWarning,
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
_TOLD = (DegenerateWarning, LargeResultWarning)
_STOP_SECONDS = 0.1
_here: list[tuple[Mapping[int, Swept], Watch]] = []
"""The jobs that run in the process of the sweep, and who watches them; empty in every other."""


@dataclass(frozen=True)
class Record:
    """What a job says of itself.

    Attributes
    ----------
    how : str
        ``not started``, ``running``, ``busy`` (another process was at work on the same run), ``failed``,
        ``interrupted``; or ``done``, ``resumed`` or ``found``.
    path : str
        Of the file of its result, once it is finished.
    reason : str
        Of a failure.
    warnings : list of str
    traceback : str
        Of an exception that is not ours.
    process : int
        The id of the process that carries it out.
    """

    how: str
    path: str = ""
    reason: str = ""
    warnings: list[str] = field(default_factory=list)
    traceback: str = ""
    process: int = field(default_factory=os.getpid)

    @property
    def done(self) -> bool:
        """Whether the result is finished."""
        return self.how in DONE


def launch(
    folder: Path, launcher: Mapping[str, Any], jobs: Mapping[int, Swept], watch: Watch, *, wait: bool
) -> str:
    """Have Hydra launch jobs of a sweep, and return what the launcher itself failed of, if it did.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    launcher : mapping
        The options of Hydra's launcher, with its ``_target_``.
    jobs : mapping of requests
        By number.
    watch : callable
        Is handed the number and every logged state of a job that runs in this process.
    wait : bool
        Whether a job waits for another process that is at work on its run, or stops as ``busy``.
    """
    threads, slots = _shares(launcher, len(jobs))
    usual = {"launcher": None, "hydra_logging": "none", "job_logging": "none"}
    place = str(folder).replace("${", "\\${")  # a reference to OmegaConf, unless it is escaped
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
    """Carry out one job of a sweep; launchers find this function by its name."""
    folder, number = Path(node.folder), int(node.job)
    if not _here and node.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(node.threads))
    should_stop = _Stop(folder)
    with _slot(folder, 0 if _here else int(node.slots), should_stop):
        if not should_stop():
            write(folder, number, Record(RUNNING))
            write(folder, number, _record(folder, number, should_stop, wait=bool(node.wait)))


def text_of(request: Swept) -> str:
    """Return a request as text, for another process; :func:`request_of` reads it."""
    return yaml.safe_dump({"command": request.kind, **request.config()}, sort_keys=False)


def request_of(text: str) -> Swept:
    """Return the request of a text of :func:`text_of`.

    Raises
    ------
    InputError
        Something in it cannot be used.
    """
    requests.own_code()
    config = yaml.safe_load(text)
    request: Swept = request_type(config.pop("command"))(**config)  # type: ignore[assignment]
    return request


def stop(folder: Path) -> None:
    """Tell all jobs of a sweep to stop, wherever they run."""
    (folder / _STOP_FILE).touch()


def stopped(folder: Path) -> bool:
    """Say whether the jobs of a sweep were told to stop."""
    return (folder / _STOP_FILE).exists()


def write(folder: Path, number: int, record: Record) -> None:
    """Write what became of a job, in one piece."""
    temporary = folder / f"{number}.json.new"
    temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
    temporary.replace(folder / f"{number}.json")


def read(folder: Path, number: int) -> Record:
    """Return what a job says of itself."""
    try:
        return Record(**json.loads((folder / f"{number}.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Record(NOT_STARTED)


def _record(folder: Path, number: int, should_stop: Callable[[], bool], *, wait: bool) -> Record:
    def progress(state: State) -> None:
        for _, watch in _here:
            watch(number, state)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", SurrogateWarning)  # the sweep has said so
        for category in _TOLD:
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
    ours = [str(each.message) for each in caught if issubclass(each.category, _TOLD)]
    return Record(**facts, warnings=ours)


def _carried_out(
    request: Swept, progress: Callable[[State], None], should_stop: Callable[[], bool], *, wait: bool
) -> str:
    """Carry out a request, and return how: ``done``, ``resumed`` or ``found``."""
    if isinstance(request, RunRequest):
        return run.find_or_make(request, progress, should_stop=should_stop, wait=wait)[1]
    if isinstance(request, JointRequest):
        return joint.carry_out(request, should_stop=should_stop, wait=wait).how
    return sensitivity.carry_out(request, should_stop=should_stop, wait=wait).how


class _Stop:
    """Whether the sweep is to stop; the disk is asked now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer, self.asked = False, -_STOP_SECONDS

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self.answer and now - self.asked >= _STOP_SECONDS:
            self.answer, self.asked = stopped(self.folder), now
        return self.answer


def _shares(launcher: Mapping[str, Any], jobs: int) -> tuple[int, int]:
    """Return threads a job and how many jobs may work at once, zero where that is the launcher's business.

    Of ours, only submitit_local starts all jobs at once, each with all cores.
    """
    if not str(launcher["_target_"]).endswith(".LocalLauncher"):
        return 0, 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = launcher.get("cpus_per_task") or max(1, cores // jobs)
    return threads, max(1, cores // threads)


@contextlib.contextmanager
def _slot(folder: Path, slots: int, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Hold one of so many places at work; of zero there are enough."""
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
