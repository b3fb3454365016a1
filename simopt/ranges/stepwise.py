"""Work in steps that can be stopped between any two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self


class Stepwise(ABC):
    """What goes on step by step until it is done."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether there is nothing left to do."""

    @abstractmethod
    def advance(self) -> None:
        """Take one step."""

    def run(
        self,
        observe: Callable[[Self], None] = lambda work: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Go on to the end, or until ``should_stop``; return whether the end was reached."""
        while not self.done:
            if should_stop():
                return False
            self.advance()
            observe(self)
        return True
