"""Where an optimisation starts: the synthetic dataset Y0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simopt import checks
from simopt.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GaussianInit:
    """Independent normal entries.

    Parameters
    ----------
    scale : float, > 0
        Their standard deviation.
    units : int or None
        Units of Y; None takes as many as the recording has.
    """

    scale: float = 1.0
    units: int | None = None

    def __post_init__(self) -> None:
        checks.at_least(self.scale, 0, "init.scale", strict=True)
        if self.units is not None:
            checks.whole(self.units, 1, "init.units")

    def __call__(
        self, seeds: Sequence[int], samples: int, units: int, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return Y0 for each seed, (R, samples, units), on the CPU.

        A replicate depends on its own seed alone, not on the batch or the device, and on the dtype only in
        its rounding; float64 unless given.
        """
        width = units if self.units is None else self.units
        Y0 = torch.empty(len(seeds), samples, width, dtype=dtype or torch.float64)
        for replicate, seed in zip(Y0, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            draw = torch.randn(samples, width, dtype=torch.float64, generator=generator)
            replicate.copy_(draw.mul_(self.scale))
        return Y0
