"""What the operating system and HDF5 say of a file, in one line of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simopt.errors import InputError, OtherSchemaError, StorageError

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


def other_schema(path: Path, what: str, found: object, known: int) -> StorageError:
    """Word the error for a file of another schema version: an OtherSchemaError where it is a later one.

    Parameters
    ----------
    path : Path
    what : str
        That it holds.
    found : object
        What stands in it as its version.
    known : int
        The version that is read here.
    """
    number = int(found) if isinstance(found, int | np.integer) else None
    later = number is not None and number > known
    shown = repr(found) if number is None else number
    text = f"{path}: {what} of schema {shown}; this version of simopt reads schema {known}."
    return OtherSchemaError(text) if later else StorageError(text)


def _explained(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if not number and "errno = " in text:
        number = int(text.split("errno = ")[1].split(",")[0])
    return os.strerror(number).lower() if number else text.splitlines()[0] if text else type(error).__name__
