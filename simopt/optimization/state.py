"""What the loop shows an observer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simopt.measures.moments import Moments

if TYPE_CHECKING:
    from torch import Tensor

    Functions = Mapping[Any, Callable[[Moments], Tensor]]
    """Functions of the moments by the names that :meth:`State.value` is asked with."""


@dataclass(frozen=True)
class State:
    """The replicates after ``step`` updates.

    Attributes
    ----------
    step : int
    score : Tensor, (R,)
        On the host, where scores are read in blocks.
    moments : Moments
        Of Y (R, samples, units), without a gradient; its products are computed once for all observers.
    last : bool
        Whether the run ends here.
    settled : bool
        Whether the ascent stands here, so that its ``state()`` goes on from here. Where scores are read in
        blocks, it stands at the last state of the block.
    known : mapping
        Values that were computed with the step, by the names that :meth:`value` is asked with.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool
    settled: bool = True
    known: Mapping[Any, Tensor] = field(default_factory=dict)

    def value(self, name: Any, function: Callable[[Moments], Tensor]) -> Tensor:
        """Return a function of the moments: as it was computed with the step, or now."""
        known = self.known.get(name)
        return function(self.moments) if known is None else known
