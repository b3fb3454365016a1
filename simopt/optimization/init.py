"""Where an optimization starts: the synthetic dataset Y0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt import catalogue, checks
from simopt.errors import InputError
from simopt.typing import Node


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


def build(node: Node) -> GaussianInit:
    """Return what makes Y0, as a configuration node describes it.

    Raises
    ------
    InputError
        As :func:`simopt.catalogue.build`; or it makes something that cannot be called.
    """
    made: GaussianInit = catalogue.build(node, "init")
    if not callable(made):
        raise InputError(
            f"init: _target_ {node['_target_']!r} gives a {type(made).__name__}, which cannot be called "
            "with seeds, samples, units and dtype."
        )
    return made


def start(init: GaussianInit, seeds: Sequence[int], samples: int, units: int, dtype: torch.dtype) -> Tensor:
    """Return Y0, (R, samples, units of its own), and see that it is one.

    Raises
    ------
    InputError
        It cannot be called so, or returns something else.
    """
    try:
        Y0 = init(seeds, samples, units, dtype)
    except TypeError as error:
        raise InputError(f"init: {error}.") from error
    if not isinstance(Y0, torch.Tensor) or Y0.ndim != 3 or Y0.shape[:2] != (len(seeds), samples):
        given = f"shape {tuple(Y0.shape)}" if isinstance(Y0, torch.Tensor) else f"type {type(Y0).__name__}"
        raise InputError(
            f"init returned a Y0 of {given}; it must be a tensor ({len(seeds)}, {samples}, units) for "
            f"{len(seeds)} seeds and {samples} samples."
        )
    return Y0
