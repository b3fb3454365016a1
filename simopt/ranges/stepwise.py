"""Work in steps that can be stopped between any two, saved, and resumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from torch import Tensor


class Stepwise(ABC):
    """What goes on step by step until it is done."""

    _STATE: ClassVar[tuple[str, ...]] = ()
    """Attributes that resuming needs: whole numbers, and tensors that are changed in place."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether there is nothing left to do."""

    @abstractmethod
    def advance(self) -> object:
        """Take one step."""

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs, to be saved before the next step: tensors and plain numbers."""
        return {name: getattr(self, name) for name in self._STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the work where :meth:`state` was taken; what it was made of must be the same."""
        for name in self._STATE:
            value = getattr(self, name)
            if isinstance(value, Tensor):
                value.copy_(state[name])
            else:
                setattr(self, name, int(state[name]))

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
