"""Type names that several packages of simopt share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

ArrayLike: TypeAlias = "npt.ArrayLike | torch.Tensor"
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]


class HasSamples(Protocol):
    """An object with a method ``samples`` that returns (samples, units), as a Dataset has."""

    def samples(self) -> FloatArray: ...  # noqa: D102


Responses: TypeAlias = "ArrayLike | HasSamples"
LabelArray: TypeAlias = npt.NDArray[Any]
Source: TypeAlias = Literal["real", "surrogate"]
Form: TypeAlias = Literal["score", "squared", "angular", "angle", "angle_normalized"]
Node: TypeAlias = Mapping[str, Any]
"""A plain configuration node: ``_target_`` and its options."""

OnStep: TypeAlias = Callable[[int, int], None]
"""Called after each step of a computation with the number of steps done and their total."""
OptimizerFactory: TypeAlias = "Callable[[list[torch.Tensor]], torch.optim.Optimizer]"
