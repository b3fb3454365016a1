"""Paths of stored results, and finding, resuming or making one under a lock."""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import abstractmethod
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
_LOCK_SECONDS = 0.5
"""Seconds of waiting for the lock before another process counts as at work, and seconds between two calls of
``wait``. The first is not 0, because :func:`at_work` takes the lock for a moment."""


class Stores(Protocol[ResultType]):
    """The request for one result: where the result is stored, and how it is read."""

    @property
    def path(self) -> Path | None:
        """The file of the result; None if the result is not to be stored."""

    @property
    def force(self) -> bool:
        """Whether to make the result again even if it is stored."""

    @abstractmethod
    def read(self, path: Path) -> ResultType:
        """Return the finished result that a file holds.

        Raises
        ------
        StorageError
            The file is damaged, its result is unfinished, or it holds a result of another kind.
        """

    def unfinished(self, path: Path) -> Stored | None:
        """Return the content of a file from which an unfinished result can be resumed.

        If the file holds no checkpoint, return None.

        Raises
        ------
        StorageError
            The file is damaged, or holds a result of another kind.
        """


def digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values (numbers, text, lists, mappings), in hexadecimal.

    Raises
    ------
    InputError
        A value is not plain, for instance a function.
    """
    try:
        text = json.dumps(identity, sort_keys=True)
    except TypeError as error:
        raise InputError(f"the result cannot be stored: an option is not a plain value ({error}).") from error
    return hashlib.sha256(text.encode()).hexdigest()


def parsed(identity: object) -> Mapping[str, Any]:
    """Return the identity of a result (the values that change it) from the JSON that a file holds.

    If the text is not a JSON object, return an empty mapping.
    """
    try:
        values = json.loads(identity) if isinstance(identity, str) else identity
    except ValueError:
        return {}
    return values if isinstance(values, Mapping) else {}


def place(root: str | Path, dataset: str, kind: str, origin: str, identity: str, file: str) -> Path:
    """Return the path ``<root>/<dataset>/<kind>/<origin>-<hash>/<file>``, without creating it.

    Raises
    ------
    InputError
        ``dataset`` or ``kind`` cannot be the name of a folder.
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
        Where the result is stored, and how it is read.
    make : callable
        Loads and checks the inputs, and returns a function that makes the result. While the folder is locked,
        that function is called with the content of an unfinished file, or with None; it makes the result,
        writes its file and returns the result.
    fits : callable, optional
        Returns whether a stored result can be used. None: every finished result of the request can be used.
    among : iterable of Path
        Further files to search. The first result that can be used is returned.
    wait : callable, optional
        Called repeatedly while another process makes the same result; True ends the waiting. None: do not
        wait.

    Raises
    ------
    RunBusyError
        Another process is making the same result, and ``wait`` is None.
    InterruptedRunError
        ``wait`` returned True before the other process had finished.
    InputError
        The folder of the result cannot be written.
    """
    path = request.path
    if path is None:
        return make()(None), "done"
    # Looking needs no lock: a file is replaced atomically, so it is either the old or the new one as a whole.
    result = None if request.force else find(request, fits, among)
    if result is not None:
        tidy(path.parent)
        return result, "found"
    # Inputs are checked before the folder exists, so that a mistake leaves no empty folder behind.
    work = make()
    make_folder(path.parent)
    with alone(path.parent, wait):
        # Look again: another process may have finished the result while this one waited for the lock.
        result = None if request.force else find(request, fits)
        if result is not None:
            return result, "found"
        before = None if request.force else if_whole(request.unfinished, path)
        return work(before), "done" if before is None else "resumed"


def find(
    request: Stores[ResultType], fits: Callable[[ResultType], bool] | None = None, among: Iterable[Path] = ()
) -> ResultType | None:
    """Return a stored result of a request; None if no file holds one that can be used.

    Parameters
    ----------
    request : Stores
    fits : callable, optional
        Returns whether a stored result can be used. None: every finished result can be used.
    among : iterable of Path
        Files to search, in this order, if the file of the request itself holds no result that can be used.

    Raises
    ------
    OtherSchemaError
        A later version of simopt wrote the file of the request.
    """
    requested = [] if request.path is None else [request.path]
    for path in [*requested, *among]:
        try:
            result = if_whole(request.read, path)
        except OtherSchemaError:
            if path in requested:
                raise
            continue  # one of many candidates
        if result is not None and (fits is None or fits(result)):
            return result
    return None


def if_whole(reading: Callable[[Path], Content], path: Path) -> Content | None:
    """Return what ``reading`` reads from a file; None if the file is missing, or damaged.

    Raises
    ------
    OtherSchemaError
        A later version of simopt wrote the file, which must not be replaced.
    """
    try:
        return reading(path)
    except OtherSchemaError:
        raise
    except StorageError:
        return None


def make_folder(folder: Path) -> None:
    """Create a folder for results, and check that files can be created in it.

    Raises
    ------
    InputError
        The folder cannot be created, or no file can be created in it.
    """
    with writing(folder, "; choose another folder with log.dir=FOLDER"):
        folder.mkdir(parents=True, exist_ok=True)
        # Only writing tells: permissions, quotas and read-only file systems are not all in the mode bits.
        probe = folder / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: Path, wait: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold the lock of a folder, and remove temporary files that a killed process left in it.

    Parameters
    ----------
    folder : Path
    wait : callable, optional
        Called repeatedly while another process holds the lock; True ends the waiting. None: do not wait.

    Raises
    ------
    RunBusyError
        Another process holds the lock, and ``wait`` is None.
    InterruptedRunError
        ``wait`` returned True before the other process had released the lock.
    """
    # The operating system releases the lock when its process ends, however it ends. A file with a process id
    # in it would stay after a kill.
    lock = filelock.FileLock(folder / layout.LOCK_FILE)
    while True:
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
            break
        except filelock.Timeout as error:
            if wait is None:
                raise RunBusyError(
                    f"{folder}: another process is at work on this result; wait for it."
                ) from error
            if wait():
                raise InterruptedRunError(
                    f"{folder}: interrupted while waiting for another process at work on this result."
                ) from error
    try:
        # Whoever holds the lock is the only writer, so every temporary file here is left over.
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
    except OSError:  # the lock file cannot be opened for writing, so no process can hold it
        return False


def tidy(folder: Path) -> None:
    """Remove temporary files that a killed process left beside a finished result.

    Nothing is removed while another process is at work in the folder.
    """
    if any(folder.glob(f"{UNFINISHED}*")):
        with contextlib.suppress(OSError, StorageError), alone(folder):
            pass
