"""The exceptions of simopt: what went wrong, and whose turn it is to act."""

from __future__ import annotations

import sys
import warnings
from typing import ClassVar

_LONGEST = 2000
"""Characters of a message, of which what is quoted may have a million."""


class SimoptError(Exception):
    """Base of all errors that simopt raises on purpose.

    ``exit_code`` is what the command line returns: 1 when the work failed, 2 when the input or the
    configuration was wrong, 130 when it was interrupted. Messages quote names from files: what a terminal
    would obey in them is shown as an escape, and there are two lines at most.
    """

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Return the message, fit to be shown."""
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        first, newline, rest = text.partition("\n")
        return _shown(first) + newline + _shown(rest)


class InputError(SimoptError, ValueError):
    """Data, an option or a name that was handed in cannot be used."""

    exit_code = 2


class NumericalError(SimoptError, ArithmeticError):
    """A computation left the finite numbers."""


class StorageError(SimoptError, OSError):
    """A run could not be written or read: no space, no permission, a broken file, a second writer."""


class OtherSchemaError(StorageError):
    """A file is of a schema that this version does not read; another version does, so it is left alone."""


class UnfinishedError(StorageError):
    """A file holds a result that is not finished; the command that made it resumes it."""


class RunBusyError(StorageError):
    """Another process is at work on the same run."""


class FetchError(SimoptError):
    """A recording could not be downloaded."""


class RunFailedError(SimoptError):
    """An optimization stopped for a reason other than its target, its step limit or an interrupt."""


class InterruptedRunError(SimoptError):
    """An optimization was stopped from outside and can be resumed."""

    exit_code = 130


class SurrogateWarning(UserWarning):
    """A dataset is a surrogate, not the recording whose name it carries."""


class LargeResultWarning(UserWarning):
    """What is to be logged takes a lot of memory."""


class DegenerateWarning(UserWarning):
    """A measure cannot tell datasets of this shape apart."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside of simopt that led here."""
    level, frame = 2, sys._getframe(1)
    # A context manager that decorates a function puts a frame of contextlib around it.
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("simopt.", "contextlib")
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_renamed(former: str, current: str) -> None:
    """Warn that a name that is still read has been replaced."""
    warn(f"{former} is now called {current}; the old name ends with the next release.", DeprecationWarning)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
