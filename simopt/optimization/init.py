"""Where an optimisation starts: the synthetic dataset Y0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt import checks


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
        self, seeds: Sequence[int], samples: int, units: int, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Return Y0 for each seed, (R, samples, units), on the CPU.

        A replicate depends on its own seed alone, not on the batch or the device, and on the dtype only in
        its rounding.
        """
        width = units if self.units is None else self.units
        Y0 = torch.empty(len(seeds), samples, width, dtype=dtype)
        for replicate, seed in zip(Y0, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            draw = torch.randn(samples, width, dtype=torch.float64, generator=generator)
            replicate.copy_(draw.mul_(self.scale))
        return Y0
