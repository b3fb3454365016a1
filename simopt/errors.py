"""The exceptions of simopt: what went wrong, and whose turn it is to act."""

from __future__ import annotations

from typing import ClassVar


class SimoptError(Exception):
    """Base of all errors that simopt raises on purpose.

    ``exit_code`` is what the command line returns: 1 when the work failed, 2 when the input or the
    configuration was wrong, 130 when it was interrupted.
    """

    exit_code: ClassVar[int] = 1


class InputError(SimoptError, ValueError):
    """Data, an option or a name that was handed in cannot be used."""

    exit_code = 2


class NumericalError(SimoptError, ArithmeticError):
    """A computation left the finite numbers."""


class StorageError(SimoptError, OSError):
    """A run could not be written or read: no space, no permission, a broken file, a second writer."""


class RunBusyError(StorageError):
    """Another process is at work on the same run."""


class FetchError(SimoptError):
    """A recording could not be downloaded."""


class RunFailedError(SimoptError):
    """An optimisation stopped for a reason other than its target, its step limit or an interrupt."""


class InterruptedRunError(SimoptError):
    """An optimisation was stopped from outside and can be resumed."""

    exit_code = 130


class SurrogateWarning(UserWarning):
    """A dataset is a surrogate, not the recording whose name it carries."""


class DegenerateWarning(UserWarning):
    """A measure cannot tell datasets of this shape apart."""
