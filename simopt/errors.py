"""The exceptions and warnings that simopt raises."""

from __future__ import annotations

import sys
import warnings
from typing import ClassVar

_LONGEST = 2000
"""Most characters of a message: it may quote a value from a file that has a million."""


class SimoptError(Exception):
    """Base class of the errors that simopt raises.

    ``exit_code`` is the exit code of the command line: 1 if the work failed, 2 if the input or the
    configuration was wrong, 130 if it was interrupted. A message has two lines at most. It may quote names
    from files, so control characters are shown as escapes: a terminal would execute them.
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
    """A computation gave NaN or infinite values."""


class StorageError(SimoptError, OSError):
    """A stored result cannot be written or read: disk full, no permission, or a damaged file."""


class OtherSchemaError(StorageError):
    """A file has a schema that only another version of simopt reads; it is left unchanged."""


class UnfinishedError(StorageError):
    """A file holds an unfinished result; the command that made it resumes it."""


class RunBusyError(StorageError):
    """Another process is working on the same run."""


class FetchError(SimoptError):
    """A recording could not be downloaded."""


class RunFailedError(SimoptError):
    """An optimization stopped before its target or step limit, and was not interrupted."""


class InterruptedRunError(SimoptError):
    """An optimization was interrupted and can be resumed."""

    exit_code = 130


class SurrogateWarning(UserWarning):
    """A dataset is a surrogate, not the recording of that name."""


class LargeResultWarning(UserWarning):
    """The values to be logged take a lot of memory."""


class DegenerateWarning(UserWarning):
    """A measure gives every dataset of this shape the same score."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside of simopt that called it."""
    level, frame = 2, sys._getframe(1)
    # A context manager used as a decorator adds a frame of contextlib; skip it too.
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("simopt.", "contextlib")
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_renamed(former: str, current: str) -> None:
    """Warn that a name is deprecated and say its current name."""
    warn(f"{former} is now called {current}; the next release will not read {former}.", DeprecationWarning)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
