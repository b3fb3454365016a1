"""Where results lie, and the one way to get one: found, resumed, or made by one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import filelock

from simopt import checks
from simopt.errors import InputError, InterruptedRunError, OtherSchemaError, RunBusyError, StorageError
from simopt.store import layout
from simopt.store.errors import writing
from simopt.store.image import Stored
from simopt.store.whole import UNFINISHED

ResultType = TypeVar("ResultType", covariant=True)
Content = TypeVar("Content")

_ID_LENGTH = 12
_POLL_SECONDS = 0.5
_READER_SECONDS = 0.5
"""A reader that asks whether a run is at work holds its lock for a moment."""


class Stores(Protocol[ResultType]):
    """What is asked for: where its result lies, and how it is read."""

    @property
    def path(self) -> Path | None:
        """The file of the result; None where nothing is stored."""

    @property
    def force(self) -> bool:
        """Whether the result is made anew though it is stored."""

    def read(self, path: Path) -> ResultType:
        """Return a finished result of its kind; a StorageError where the file holds none."""

    def unfinished(self, path: Path) -> Stored | None:
        """Return what the file holds where its result is to be resumed from it."""


def digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values, in hexadecimal.

    Raises
    ------
    InputError
        A value that is not plain, as a function is.
    """
    try:
        text = json.dumps(identity, sort_keys=True)
    except TypeError as error:
        raise InputError(f"this cannot be stored: an option is no plain value ({error}).") from error
    return hashlib.sha256(text.encode()).hexdigest()


def parsed(identity: object) -> Mapping[str, Any]:
    """Return the plain values of an identity that a file holds as JSON; empty where it holds none."""
    try:
        known = json.loads(identity) if isinstance(identity, str) else identity
    except ValueError:
        return {}
    return known if isinstance(known, Mapping) else {}


def place(root: str | Path, dataset: str, kind: str, origin: str, identity: str, file: str) -> Path:
    """Return ``<root>/<dataset>/<kind>/<origin>-<hash>/<file>``; nothing is made.

    Raises
    ------
    InputError
        A name that cannot be a folder.
    """
    checks.folder_name(dataset, "dataset name")
    checks.folder_name(kind, "name")
    return Path(root).expanduser() / dataset / kind / f"{origin}-{identity[:_ID_LENGTH]}" / file


def find_or_make(
    request: Stores[ResultType],
    make: Callable[[], Callable[[Stored | None], ResultType]],
    fits: Callable[[ResultType], bool] | None = None,
    *,
    among: Iterable[Path] = (),
    wait: Callable[[], bool] | None = None,
) -> tuple[ResultType, str]:
    """Return the result of a request, and whether it was ``found``, ``resumed`` or ``done``.

    Parameters
    ----------
    request : Stores
    make : callable
        Loads and checks what is needed, before a folder is made, and returns the function that makes the
        result and writes its file. That one is handed what an unfinished file holds, or None.
    fits : callable, optional
        Whether a stored result has what is needed; None: the one of the request itself does.
    among : iterable of path
        More files that may hold one that fits; the first one that does is taken.
    wait : callable, optional
        Where another process is at work on the same result, wait for it until this returns True; None:
        refuse.

    Raises
    ------
    RunBusyError
        Another process is at work on it, and ``wait`` is None.
    InterruptedRunError
        It was told to stop while it waited.
    InputError
        The folder cannot be written.
    """
    path = request.path
    if path is None:
        return make()(None), "done"
    found = None if request.force else find(request, fits, among)
    if found is not None:
        tidy(path.parent)
        return found, "found"
    work = make()
    make_folder(path.parent)
    with alone(path.parent, wait):
        found = None if request.force else find(request, fits)
        if found is not None:
            return found, "found"
        before = None if request.force else if_whole(request.unfinished, path)
        return work(before), "done" if before is None else "resumed"


def find(
    request: Stores[ResultType], fits: Callable[[ResultType], bool] | None = None, among: Iterable[Path] = ()
) -> ResultType | None:
    """Return the stored result of a request, or of the files ``among`` the first that fits; None: neither."""
    own = [] if request.path is None else [request.path]
    for path in [*own, *among]:
        try:
            result = if_whole(request.read, path) if path.exists() else None
        except OtherSchemaError:
            if path in own:
                raise
            continue  # one of many that might have done
        if result is not None and (fits is None or fits(result)):
            return result
    return None


def if_whole(reading: Callable[[Path], Content], path: Path) -> Content | None:
    """Return what a function reads from a file; None where there is none or a broken one, to be made again.

    Raises
    ------
    OtherSchemaError
        Another version reads the file.
    """
    try:
        return reading(path)
    except OtherSchemaError:
        raise
    except StorageError:
        return None


def make_folder(folder: Path) -> None:
    """Make a folder for results, and see that files can be made there.

    Raises
    ------
    InputError
        They cannot.
    """
    with writing(folder, "; choose another folder with log.dir=FOLDER"):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: Path, wait: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold the lock of a folder; where it is taken, wait until told to stop, or refuse.

    What a killed process left unfinished there is removed.
    """
    lock = filelock.FileLock(folder / layout.LOCK_FILE)
    while True:
        try:
            lock.acquire(timeout=_READER_SECONDS if wait is None else _POLL_SECONDS)
            break
        except filelock.Timeout as error:
            if wait is None:
                raise RunBusyError(f"{folder}: another process is at work on this result.") from error
            if wait():
                raise InterruptedRunError(
                    f"{folder}: interrupted while another process was at work."
                ) from error
    try:
        for left in folder.glob(f"{UNFINISHED}*"):
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def at_work(folder: Path) -> bool:
    """Return whether a process holds the lock of a folder."""
    if not (folder / layout.LOCK_FILE).exists():
        return False
    try:
        with filelock.FileLock(folder / layout.LOCK_FILE, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # a folder that cannot be written has no writer
        return False


def tidy(folder: Path) -> None:
    """Remove what a kill left beside a finished result, unless a process is at work there."""
    if any(folder.glob(f"{UNFINISHED}*")):
        with contextlib.suppress(OSError, StorageError), alone(folder):
            pass
