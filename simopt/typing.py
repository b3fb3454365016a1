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
    """An object whose method ``samples`` returns an array (samples, units), for instance a Dataset."""

    def samples(self) -> FloatArray: ...  # noqa: D102


Responses: TypeAlias = "ArrayLike | HasSamples"
LabelArray: TypeAlias = npt.NDArray[Any]
Source: TypeAlias = Literal["real", "surrogate"]
Form: TypeAlias = Literal["score", "squared", "angular", "angle", "angle_normalized"]
Node: TypeAlias = Mapping[str, Any]
"""A configuration node: a dict of ``_target_``, the dotted path of a class or function, and its options."""

OnStep: TypeAlias = Callable[[int, int], None]
"""A function that a computation calls after each step, with the number of steps done and their total."""
OptimizerFactory: TypeAlias = "Callable[[list[torch.Tensor]], torch.optim.Optimizer]"
