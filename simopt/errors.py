"""The exceptions and warnings that simopt raises."""

from __future__ import annotations

import sys
import warnings
from typing import ClassVar

_LONGEST = 2000
"""The most characters of a message. A longer message is shortened: it may quote a huge value from a file."""


class SimoptError(Exception):
    """Base class of the errors that simopt raises.

    ``exit_code`` is the exit code of the command line: 1 if the work failed, 2 if the input or the
    configuration was wrong, 130 if the work was interrupted. A message has at most two lines. Control
    characters, which names from files may contain and a terminal would execute, are shown as escapes.
    """

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Return the message, shortened and without control characters."""
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        first, newline, rest = text.partition("\n")  # a line break of simopt; any other is escaped
        return _shown(first) + newline + _shown(rest)


class InputError(SimoptError, ValueError):
    """Data, an option or a name is invalid."""

    exit_code = 2


class NumericalError(SimoptError, ArithmeticError):
    """A computation produced NaN or infinite values."""


class StorageError(SimoptError, OSError):
    """A stored result cannot be written or read: disk full, no permission, or a damaged file."""


class OtherSchemaError(StorageError):
    """A file has a format that only another version of simopt can read; the file is left unchanged."""


class UnfinishedError(StorageError):
    """A file holds an unfinished result, which the command that started it can resume."""


class RunBusyError(StorageError):
    """Another process is working on the same run."""


class FetchError(SimoptError):
    """A recording could not be downloaded."""


class RunFailedError(SimoptError):
    """An optimization failed: it stopped before its target or step limit without being interrupted."""


class InterruptedRunError(SimoptError):
    """An optimization was interrupted and can be resumed."""

    exit_code = 130


class SurrogateWarning(UserWarning):
    """A dataset is a synthetic surrogate, not the recording whose name it has."""


class LargeResultWarning(UserWarning):
    """The values to be logged take a lot of memory."""


class RowsWarning(UserWarning):
    """Samples that are equal were taken for repeats of a measurement, or for classes."""


class UnitsWarning(UserWarning):
    """Units of a file have the same response in all samples, or a score leaves units or test sets out."""


class LabelWarning(UserWarning):
    """A label is not decoded, because it is no task variable or cannot be decoded."""


class DegenerateWarning(UserWarning):
    """A measure gives every dataset of this shape the same score."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn, and show as origin of the warning the line of the user's code that called simopt."""
    level, frame = 2, sys._getframe(1)
    # A context manager used as a decorator adds a frame of contextlib; skip it too.
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("simopt.", "contextlib")
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_renamed(former: str, current: str) -> None:
    """Warn that ``former`` is a deprecated name whose current name is ``current``."""
    warn(f"{former} is now called {current}; the next release will not read {former}.", DeprecationWarning)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
