"""Runs that end early, however they end, go on to the bits of an undisturbed one; failed ones say why."""

import contextlib
import errno
import itertools
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from simopt.errors import InterruptedRunError, RunFailedError, StorageError
from simopt.store import image, layout, reader, whole
from simopt.workflows import session
from simopt.workflows.data import Data
from simopt.workflows.run import find_or_make
from simopt.workflows.run_request import RunRequest

LAST = 10
OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {"measure": "nbs", "seeds": (0, 1), "track": ("cka",)},
    "lbfgs": {"measure": "cka", "optimizer": "lbfgs", "max_steps": 8},
    "thinned": {"measure": "cka", "nulls": 2, "attribute": ("pcs",), "thinned": 0.05},
}
ADAM = pytest.mark.parametrize("request_of", ["adam"], indirect=True)
"""How a run ends does not depend on what it optimizes."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A forked child has none of the threads of OpenMP and waits for them without end: let it need none."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=OPTIONS)
def request_of(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], RunRequest]:
    monkeypatch.setattr(session, "_WRITING_SHARE", 0)  # a checkpoint at every step
    X = np.random.default_rng(0).standard_normal((24, 5)) * np.arange(5, 0, -1)
    options = dict(OPTIONS[request.param])
    log = {"checkpoint_seconds": 0, "score_step": options.pop("thinned", 0.0)}
    options = {"target": 1.0, "max_steps": LAST, **options}
    return lambda folder: RunRequest(
        dataset=Data.of(X), log={**log, "dir": str(folder)}, device="cpu", **options
    )


def contents(path: Path) -> dict[str, bytes]:
    with image.opened(path) as file:
        return {name: array.data.tobytes() for name, array in image.content(file).arrays.items()}


def goes_on(request: RunRequest, undisturbed: RunRequest, how: str = "resumed") -> None:
    """Make a run that ended early, and hold it against an undisturbed one."""
    find_or_make(undisturbed)
    assert find_or_make(request)[1] == how
    assert contents(request.path) == contents(undisturbed.path)
    assert sorted(entry.name for entry in request.path.parent.iterdir()) == [
        layout.LOCK_FILE,
        layout.RUN_FILE,
    ]
    assert find_or_make(request)[1] == "found"


@pytest.mark.parametrize("at", [0, 5])
def test_an_interrupted_run_goes_on(tmp_path: Path, request_of: Any, at: int) -> None:
    request, steps = request_of(tmp_path / "a"), itertools.count()
    with pytest.raises(InterruptedRunError, match=f"interrupted at step {at}"):
        find_or_make(request, should_stop=lambda: next(steps) >= at)
    run = reader.read(request.path)
    assert run.status == layout.INTERRUPTED
    assert len(run.step) <= at  # the state at which it stopped is logged when it goes on
    goes_on(request, request_of(tmp_path / "b"))


@pytest.mark.parametrize("at", [0, 6])
def test_a_killed_run_goes_on(tmp_path: Path, request_of: Any, at: int) -> None:
    request = request_of(tmp_path / "a")
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            find_or_make(
                request, lambda state: os.kill(os.getpid(), signal.SIGKILL) if state.step == at else None
            )
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert reader.read(request.path).status == reader.CRASHED
    goes_on(request, request_of(tmp_path / "b"))


@ADAM
@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("out of memory"), ZeroDivisionError("odd")], ids=repr
)
def test_a_run_out_of_memory_or_with_an_error_says_so_and_goes_on(
    tmp_path: Path, request_of: Any, error: Exception
) -> None:
    request = request_of(tmp_path / "a")

    def fail(state: Any) -> None:
        if state.step == 5:
            raise error

    with pytest.raises((RunFailedError, ZeroDivisionError)):
        find_or_make(request, fail)
    run = reader.read(request.path)
    assert run.status == layout.FAILED
    odd = isinstance(error, ZeroDivisionError)
    assert run.attributes["stop_reason"].startswith("ZeroDivisionError: odd" if odd else "out of memory")
    assert len(run.step) > 0
    goes_on(request, request_of(tmp_path / "b"))


@ADAM
def test_a_disk_that_fills_leaves_the_last_whole_file(
    tmp_path: Path, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, room = request_of(tmp_path / "a"), iter([True] * 5)

    def limited(path: Path, *parts: bytes) -> None:
        if not next(room, False):
            raise OSError(errno.ENOSPC, "")
        whole.put(path, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(image, "put", limited)
        with pytest.raises(StorageError, match=r"run\.h5: no space left on device\."):
            find_or_make(request)
    run = reader.read(request.path)
    assert run.status == reader.CRASHED  # there was no room to say that it failed
    assert reader.unfinished(request.path) is not None
    goes_on(request, request_of(tmp_path / "b"))


@ADAM
def test_a_disk_that_has_no_room_at_all(
    tmp_path: Path, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(tmp_path / "a")

    def full(path: Path, *parts: bytes) -> None:
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(image, "put", full)
        with pytest.raises(StorageError, match="no space left on device"):
            find_or_make(request)
    assert [entry.name for entry in request.path.parent.iterdir()] == [layout.LOCK_FILE]
    goes_on(request, request_of(tmp_path / "b"), "done")


@ADAM
@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_checkpoint_is_no_start(tmp_path: Path, request_of: Any, damage: str) -> None:
    request, steps = request_of(tmp_path / "a"), itertools.count()
    with pytest.raises(InterruptedRunError):
        find_or_make(request, should_stop=lambda: next(steps) >= 4)
    content = request.path.read_bytes()
    middle = len(content) // 2
    turned = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    request.path.write_bytes({"cut": content[:-1], "bit": turned, "empty": b""}[damage])
    goes_on(request, request_of(tmp_path / "b"), "done")


@ADAM
def test_a_state_of_another_kind_is_refused(tmp_path: Path, request_of: Any) -> None:
    request, steps = request_of(tmp_path / "a"), itertools.count()
    with pytest.raises(InterruptedRunError):
        find_or_make(request, should_stop=lambda: next(steps) >= 4)
    before = reader.unfinished(request.path)
    image.write(request.path, replace(before, groups={layout.RESUME: {"state": '{"dict": []}'}}))
    with pytest.raises(StorageError, match=r"run\.h5: cannot be resumed"):
        find_or_make(request)
    assert find_or_make(replace(request, force=True))[1] == "done"


def test_a_score_that_is_not_finite_fails_the_run_with_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_WRITING_SHARE", 0)
    X = np.random.default_rng(0).standard_normal((24, 5))
    request = RunRequest(
        dataset=Data.of(X),
        measure="cka",
        optimizer={"_target_": "torch.optim.SGD", "_partial_": True, "lr": 1e30},
        log={"dir": str(tmp_path), "checkpoint_seconds": 0},
        device="cpu",
    )
    rows = []
    with pytest.raises(RunFailedError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        find_or_make(request, lambda state: rows.append(state.score.tolist()))
    run = reader.read(request.path)
    assert (run.status, run.attributes["stop_reason"]) == (layout.FAILED, str(caught.value))
    assert run.score.tolist() == rows
    assert len(rows) > 0
    assert reader.unfinished(request.path) is None
