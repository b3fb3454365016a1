"""What the loop shows an observer, and why it ends."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from torch import Tensor

from simopt.measures.moments import Moments


class StopReason(enum.Enum):
    """Why a run stopped."""

    TARGET = "every replicate reached the target"
    MAX_STEPS = "the step limit was reached"
    INTERRUPTED = "it was interrupted"
    NOT_FINITE = "the score of a replicate is not finite"


@dataclass(frozen=True)
class State:
    """The replicates after ``step`` updates.

    Attributes
    ----------
    step : int
    score : Tensor, (R,)
        On the host.
    moments : Moments
        Of Y (R, samples, units), without a gradient; its products are computed once for all observers.
    last : bool
        Whether the run ends here.
    settled : bool
        Whether :meth:`Ascent.state`, taken now, resumes at this step. Where scores are read every k steps,
        the ascent stands at the last of them.
    """

    step: int
    score: Tensor
    moments: Moments
    last: bool = False
    settled: bool = True
