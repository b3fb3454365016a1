"""Searches that can be stopped between any two steps, saved, and resumed.

A search that was resumed gives the same numbers, to the bit, as one that was never stopped.
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
        """Whether there is nothing left to do."""

    @abstractmethod
    def advance(self) -> object:
        """Take one step."""

    def state(self) -> dict[str, Any]:
        """Return the state between two steps, as tensors and plain numbers.

        The tensors are those of the search itself, which the next step changes: save them before it.
        """
        return {name: getattr(self, name) for name in self._STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`; the search must have been built with the same arguments."""
        for name in self._STATE:
            value = getattr(self, name)
            if isinstance(value, Tensor):
                # In place: dtype and device stay those of this search, and views of the tensor stay views.
                value.copy_(state[name])
            else:
                setattr(self, name, int(state[name]))

    def run(
        self,
        observe: Callable[[Self], None] = lambda work: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Take all steps that are left.

        Parameters
        ----------
        observe : callable
            Called with the search after every step.
        should_stop : callable
            Called before every step; true ends the loop.

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
