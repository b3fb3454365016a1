"""What the loop shows an observer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simopt.measures.moments import Moments

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class State:
    """The replicates after ``step`` updates.

    Attributes
    ----------
    step : int
    score : Tensor, (R,)
    moments : Moments
        Of Y (R, samples, units), without a gradient; its products are computed once for all observers.
    last : bool
        Whether the run ends here.
    settled : bool
        Whether the ascent stands here, so that its ``state()`` goes on from here. Where scores are read in
        blocks, it stands at the last state of the block.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool
    settled: bool = True
