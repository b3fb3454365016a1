"""Type names that more than one room uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

ArrayLike: TypeAlias = "npt.ArrayLike | torch.Tensor"
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
LabelArray: TypeAlias = npt.NDArray[Any]
Source: TypeAlias = Literal["real", "surrogate"]
Form: TypeAlias = Literal["score", "squared", "angular", "angle", "angle_normalized"]
Node: TypeAlias = Mapping[str, Any]
"""A plain configuration node: ``_target_`` and its options."""

OnStep: TypeAlias = Callable[[int, int], None]
"""Called as the steps of one computation are done: how many are done, and how many there are."""
OptimizerFactory: TypeAlias = "Callable[[list[torch.Tensor]], torch.optim.Optimizer]"
