"""The start of an optimization: the synthetic dataset Y0."""

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
    """A function that draws the start Y0 of an optimization: independent Gaussian entries with mean 0.

    Parameters
    ----------
    scale : float, > 0
        Standard deviation of the entries.
    units : int or None
        Number of units of Y. None: Y has as many units as the recording.
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
        """Return Y0 for each seed, a tensor of shape (R, samples, units of Y) on the CPU.

        Each replicate depends on its own seed only, not on the other seeds or the device. The same numbers
        are drawn for every dtype, and then rounded to this dtype.

        Parameters
        ----------
        seeds : sequence of int, length R
            One seed for each replicate.
        samples, units : int
            Number of samples and of units of the recording.
        dtype : torch.dtype, optional
            dtype of Y0. None: float64.
        """
        width = units if self.units is None else self.units
        # One generator a replicate, drawing in float64 on the CPU: torch draws other numbers on a GPU and in
        # float32, and a shared generator would make a replicate depend on those before it.
        Y0 = torch.empty(len(seeds), samples, width, dtype=dtype or torch.float64)
        for replicate, seed in zip(Y0, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            draw = torch.randn(samples, width, dtype=torch.float64, generator=generator)
            replicate.copy_(draw.mul_(self.scale))
        return Y0


def build(node: Node) -> GaussianInit:
    """Return the function that makes Y0, given a configuration node: a dict with ``_target_`` and options.

    Raises
    ------
    InputError
        ``_target_`` cannot be found, refuses its options, or returns an object that cannot be called.
    """
    init: GaussianInit = catalogue.build(node, "init")
    if not callable(init):
        raise InputError(
            f"init: _target_ {node['_target_']!r} returned a {type(init).__name__}; it must return a "
            "function of seeds, samples, units and dtype."
        )
    return init


def start(init: GaussianInit, seeds: Sequence[int], samples: int, units: int, dtype: torch.dtype) -> Tensor:
    """Return the Y0 that ``init`` makes, a tensor of shape (R, samples, units of Y), and check its shape.

    Parameters
    ----------
    init : callable
        The function that :func:`build` returns; it is called with all other arguments.
    seeds : sequence of int, length R
    samples, units : int
        Number of samples and of units of the recording.
    dtype : torch.dtype

    Raises
    ------
    InputError
        ``init`` cannot be called with these arguments, or does not return a tensor of this shape.
    """
    try:
        Y0 = init(seeds, samples, units, dtype)
    except TypeError as error:
        raise InputError(f"init: {error}; give a function of seeds, samples, units, dtype.") from error
    if not isinstance(Y0, torch.Tensor) or Y0.ndim != 3 or Y0.shape[:2] != (len(seeds), samples):
        what = f"shape {tuple(Y0.shape)}" if isinstance(Y0, torch.Tensor) else f"type {type(Y0).__name__}"
        raise InputError(
            f"init returned a Y0 of {what}; it must return a tensor of shape ({len(seeds)}, {samples}, "
            f"units) for {len(seeds)} seeds and {samples} samples."
        )
    return Y0
