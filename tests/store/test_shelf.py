"""Where results lie, and how one is got: found, resumed, or made by one process at a time."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock
import pytest

from simopt.errors import InputError, InterruptedRunError, OtherSchemaError, RunBusyError, StorageError
from simopt.store import analysis, layout, shelf
from simopt.store.image import Stored
from simopt.store.whole import UNFINISHED

KIND = "joint"


@dataclass(frozen=True)
class Request:
    """Asks for a number."""

    path: Path | None
    force: bool = False

    def read(self, path: Path) -> int:
        return analysis.read(path, KIND, lambda stored: int(stored.attributes["number"]))

    def unfinished(self, path: Path) -> Stored | None:
        return analysis.unfinished(path, KIND)


def stored(path: Path, number: int, status: str = layout.FINISHED) -> None:
    groups = {} if status == layout.FINISHED else {layout.RESUME: {"state": "{}"}}
    analysis.write(path, KIND, Stored({"number": number}, groups=groups), status)


def maker(path: Path | None, number: int = 7) -> Callable[[], Callable[[Stored | None], int]]:
    """Make a number: what was there before of it, and more."""

    def work(before: Stored | None) -> int:
        total = number + (0 if before is None else int(before.attributes["number"]))
        if path is not None:
            stored(path, total)
        return total

    return lambda: work


def never() -> Callable[[Stored | None], int]:
    raise AssertionError("nothing was to be made")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "joint.h5"


def test_a_result_is_made_once_and_then_found(path: Path) -> None:
    assert shelf.find_or_make(Request(path), maker(path)) == (7, "done")
    assert shelf.find_or_make(Request(path), never) == (7, "found")
    assert shelf.find_or_make(Request(path, force=True), maker(path, 8)) == (8, "done")
    assert shelf.find(Request(path)) == 8
    assert sorted(entry.name for entry in path.parent.iterdir()) == [layout.LOCK_FILE, "joint.h5"]


def test_without_a_path_nothing_is_stored(tmp_path: Path) -> None:
    assert shelf.find_or_make(Request(None), maker(None)) == (7, "done")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_result_is_resumed_unless_forced(path: Path) -> None:
    stored(path, 100, layout.INTERRUPTED)
    assert shelf.find(Request(path)) is None
    assert shelf.find_or_make(Request(path), maker(path)) == (107, "resumed")
    stored(path, 100, layout.INTERRUPTED)
    assert shelf.find_or_make(Request(path, force=True), maker(path)) == (7, "done")


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_a_broken_file_is_made_again(path: Path, content: bytes | None) -> None:
    stored(path, 5)
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    assert shelf.find_or_make(Request(path), maker(path)) == (7, "done")


def test_a_file_of_a_later_schema_is_left_alone(path: Path) -> None:
    stored(path, 5)
    analysis.write(path, KIND, Stored({"schema": 99, "number": 5}))
    before = path.read_bytes()
    with pytest.raises(OtherSchemaError, match="schema 99"):
        shelf.find_or_make(Request(path), never)
    assert path.read_bytes() == before


def test_another_file_that_fits_is_taken(path: Path) -> None:
    others = [path.parent / f"{number}.h5" for number in (3, 20, 30)]
    for other in others:
        stored(other, int(other.stem))
    none = path.parent / "none.h5"
    fits: Callable[[int], bool] = lambda number: number >= 10  # noqa: E731
    assert shelf.find_or_make(Request(path), never, fits, among=[none, *others]) == (20, "found")
    stored(path, 5)
    assert shelf.find_or_make(Request(path), never, fits, among=others) == (20, "found")
    assert shelf.find_or_make(Request(path), maker(path, 12), lambda number: number == 12) == (12, "done")


def test_who_cannot_wait_is_refused_and_who_waits_can_be_stopped(path: Path) -> None:
    path.parent.mkdir()
    calls = []
    with filelock.FileLock(path.parent / layout.LOCK_FILE):
        assert shelf.at_work(path.parent)
        with pytest.raises(RunBusyError, match=str(path.parent)):
            shelf.find_or_make(Request(path), maker(path))
        with pytest.raises(InterruptedRunError, match=str(path.parent)):
            shelf.find_or_make(
                Request(path), maker(path), wait=lambda: bool(calls.append(0) or len(calls) > 1)
            )
        stored(path, 5)
        assert shelf.find_or_make(Request(path), never) == (5, "found")
    assert len(calls) == 2
    assert not shelf.at_work(path.parent)
    assert not shelf.at_work(path.parent / "none")


def _make_slowly(path: Path, started: object) -> None:
    def work(before: Stored | None) -> int:
        with (path.parent.parent / "made").open("a") as file:
            file.write("once\n")
        time.sleep(0.3)
        stored(path, 7)
        return 7

    started.wait()  # type: ignore[attr-defined]
    assert shelf.find_or_make(Request(path), lambda: work, wait=lambda: False)[0] == 7


def test_processes_that_start_at_once_make_one_result(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    started = context.Barrier(3)
    processes = [context.Process(target=_make_slowly, args=(path, started)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (path.parent.parent / "made").read_text() == "once\n"


def test_what_a_kill_left_is_cleared_away(path: Path) -> None:
    for make in (maker(path), never):
        path.parent.mkdir(exist_ok=True)
        left = path.parent / f"{UNFINISHED}1-joint.h5"
        left.touch()
        shelf.find_or_make(Request(path), make)
        assert not left.exists()
    left.touch()
    with filelock.FileLock(path.parent / layout.LOCK_FILE):
        shelf.find_or_make(Request(path), never)
    assert left.exists()  # it may be that of the process at work


def test_what_cannot_be_used_is_said_before_a_folder_is_made(path: Path) -> None:
    def refuse() -> Callable[[Stored | None], int]:
        raise InputError("no such option")

    with pytest.raises(InputError, match="no such option"):
        shelf.find_or_make(Request(path), refuse)
    assert not path.parent.exists()
    path.parent.touch()
    with pytest.raises(InputError, match="log.dir=FOLDER"):
        shelf.find_or_make(Request(path), maker(path))


def test_two_processes_may_try_one_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process removes the file with which both try whether they can write."""
    monkeypatch.setattr(Path, "touch", lambda path: None)
    shelf.make_folder(tmp_path / "log")
    assert (tmp_path / "log").is_dir()


def test_the_lock_is_given_back_after_an_error(path: Path) -> None:
    def fail(before: Stored | None) -> int:
        raise StorageError("full")

    with pytest.raises(StorageError, match="full"):
        shelf.find_or_make(Request(path), lambda: fail)
    assert not shelf.at_work(path.parent)


def test_places_and_identities() -> None:
    assert shelf.digest({"a": 1, "b": [None, "x"]}) == shelf.digest({"b": [None, "x"], "a": 1})
    assert shelf.digest({"a": 1}) != shelf.digest({"a": 2})
    with pytest.raises(InputError, match="plain value.*function"):
        shelf.digest({"a": never})
    path = shelf.place("~/out", "majaj", "cka", "real", "0123456789abcdef", "run.h5")
    assert path == Path("~/out/majaj/cka/real-0123456789ab/run.h5").expanduser()
    with pytest.raises(InputError):
        shelf.place("out", "../majaj", "cka", "real", "0", "run.h5")
    assert shelf.parsed('{"a": 1}') == shelf.parsed({"a": 1}) == {"a": 1}
    assert shelf.parsed("{") == shelf.parsed("[]") == shelf.parsed(None) == {}
