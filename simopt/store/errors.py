"""What the operating system and HDF5 say of a file, in one line of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from simopt.errors import InputError, StorageError

UNREADABLE = (OSError, LookupError, RuntimeError, ArithmeticError, ValueError, TypeError, AttributeError)
"""What comes of reading what is not there, or not of the kind that is expected."""


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Word what comes of writing a file, or of reading an own one.

    Raises
    ------
    StorageError
        It cannot be written or read.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise StorageError(f"{path}: {_explained(error)}.") from error


@contextlib.contextmanager
def writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Word what comes of writing a file or folder that a user has named.

    Raises
    ------
    InputError
        It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({_explained(error)}){remedy}.") from error


@contextlib.contextmanager
def reading_errors(path: Path, what: str) -> Iterator[None]:
    """Word what comes of reading a file that may hold anything; ``what`` it should be.

    Raises
    ------
    StorageError
        It cannot be read, or holds something else.
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
    """Word what comes of taking up the state of a checkpoint.

    Raises
    ------
    StorageError
        It is of another kind.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise StorageError(
            f"{path}: cannot be resumed; another version of simopt may have saved it. Delete it to start "
            "over, or use force=true."
        ) from error


def _explained(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if not number and "errno = " in text:
        number = int(text.split("errno = ")[1].split(",")[0])
    return os.strerror(number).lower() if number else text.splitlines()[0] if text else type(error).__name__
