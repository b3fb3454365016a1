"""One-line messages for the errors of the operating system and of HDF5."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from simopt.errors import InputError, StorageError

UNREADABLE = (OSError, LookupError, RuntimeError, ArithmeticError, ValueError, TypeError, AttributeError)
"""Errors that reading a missing, damaged or unexpected file can raise in h5py, numpy and simopt's readers."""


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn errors while writing or reading a file of simopt into a StorageError that names the file.

    Raises
    ------
    StorageError
        The file cannot be written or read.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise StorageError(f"{path}: {_explained(error)}.") from error


@contextlib.contextmanager
def writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Turn errors while writing a file or folder that the user has named into an InputError.

    Parameters
    ----------
    path : Path
    remedy : str
        Text that is appended to the message, for instance ``"; choose another folder"``.

    Raises
    ------
    InputError
        The file or folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({_explained(error)}){remedy}.") from error


@contextlib.contextmanager
def reading_errors(path: Path, what: str) -> Iterator[None]:
    """Turn errors while reading a file of unknown content into a StorageError that names the file.

    Parameters
    ----------
    path : Path
    what : str
        What the file should be, for instance ``"run file"``.

    Raises
    ------
    StorageError
        The file cannot be read, or holds something other than ``what``.
    """
    try:
        yield
    except StorageError:
        raise
    except InputError as error:
        raise StorageError(f"{path}: {error}") from error
    except UNREADABLE as error:
        raise StorageError(f"{path}: not a readable {what} ({_explained(error)}).") from error


@contextlib.contextmanager
def resuming_errors(path: Path | None) -> Iterator[None]:
    """Turn errors while restoring a checkpoint into a StorageError that names its file.

    Raises
    ------
    StorageError
        The checkpoint cannot be restored, because it does not belong to this run or is damaged.
    """
    try:
        yield
    except UNREADABLE as error:
        raise StorageError(
            f"{path}: cannot be resumed, perhaps because another version of simopt saved it. Start over with "
            "force=true, or delete the file."
        ) from error


def _explained(error: BaseException) -> str:
    """Return the operating system's words for an error number, or the first line of the error's message."""
    # HDF5 hides the number in its text ("errno = 28"), and its messages run over many lines.
    number = getattr(error, "errno", None)
    text = str(error)
    if not number and "errno = " in text:
        number = int(text.split("errno = ")[1].split(",")[0])
    return os.strerror(number).lower() if number else text.splitlines()[0] if text else type(error).__name__
