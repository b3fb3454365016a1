"""Searches that can be stopped between any two steps, saved, and resumed.

A search that was resumed gives bit for bit the same numbers as a search that was never stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from torch import Tensor


class Stepwise(ABC):
    """A search that advances step by step until it is done."""

    # Names of the attributes that a saved state holds: whole numbers, and tensors.
    _STATE: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether all steps are taken."""

    @abstractmethod
    def advance(self) -> object:
        """Take one step."""

    def state(self) -> dict[str, Any]:
        """Return the state between two steps, as tensors and plain numbers.

        The tensors are those of the search itself. Save them before the next step, which changes them.
        """
        return {name: getattr(self, name) for name in self._STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved :meth:`state` of a search that was built with the same arguments.

        Raises
        ------
        ValueError, KeyError, TypeError
            The state belongs to another search: a value is missing, or has another shape.
        """
        for name in self._STATE:
            value = getattr(self, name)
            if isinstance(value, Tensor):
                same_shape(state[name], value.shape, name)
                # In place: dtype and device stay those of this search, and views of the tensor stay views.
                value.copy_(state[name])
            else:
                setattr(self, name, int(state[name]))

    def run(
        self,
        observe: Callable[[Self], None] = lambda work: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Take all remaining steps.

        Parameters
        ----------
        observe : callable
            Is called with the search after every step.
        should_stop : callable
            Is called before every step. If it returns True, no further step is taken.

        Returns
        -------
        bool
            Whether the search is done.
        """
        while not self.done:
            if should_stop():
                return False
            self.advance()
            observe(self)
        return True


def same_shape(saved: Tensor, shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError if a saved tensor has another shape, as ``copy_`` might broadcast it."""
    if saved.shape != shape:
        raise ValueError(f"the saved {name} has shape {tuple(saved.shape)}; expected {tuple(shape)}")
