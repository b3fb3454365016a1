"""When a run ends, and why."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class StopReason(enum.Enum):
    """Why a run stopped."""

    TARGET = "every replicate reached the target"
    MAX_STEPS = "the step limit was reached"
    INTERRUPTED = "it was interrupted"
    NOT_FINITE = "the score of a replicate is not finite"


class Ending:
    """The targets of R replicates, and the step limit.

    Parameters
    ----------
    targets : sequence of R floats
    sign : {1, -1}
        -1 where smaller scores are closer.
    max_steps : int
    """

    def __init__(self, targets: Sequence[float], sign: int, max_steps: int) -> None:
        self.targets = list(targets)
        self.sign = sign
        self.max_steps = max_steps

    def open(self, values: Sequence[float], first: int = 0) -> list[bool]:
        """Return which replicates go on from these scores, those from the ``first`` on."""
        targets = self.targets[first : first + len(values)]
        return [self.sign * value < self.sign * target for value, target in zip(values, targets, strict=True)]

    def bars(self, like: Tensor) -> Tensor:
        """Return b (R,), of a tensor's dtype and device: a replicate goes on while sign * score < b."""
        least = [_least_reached(self.sign * target, like.dtype) for target in self.targets]
        return torch.tensor(least, dtype=like.dtype, device=like.device)

    def reason(
        self, step: int, values: Sequence[float], should_stop: Callable[[], bool]
    ) -> StopReason | None:
        """Say why a run stops after these updates at these scores, or None where it goes on."""
        if not all(map(math.isfinite, values)):
            return StopReason.NOT_FINITE
        if not any(self.open(values)):
            return StopReason.TARGET
        if step >= self.max_steps:
            return StopReason.MAX_STEPS
        return StopReason.INTERRUPTED if should_stop() else None


def _least_reached(target: float, dtype: torch.dtype) -> float:
    """Return the least number of a dtype that is not below the target: comparing in it is then exact."""
    nearest = torch.tensor(target, dtype=dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, math.inf))
    return float(nearest if nearest.item() >= target else above)
