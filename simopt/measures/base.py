"""What a measure is: a function of (X, Y), the facts about it, and its fast form bound to X."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures.moments import Moments, Reference, from_array
from simopt.typing import ArrayLike

INVARIANCES = (
    "permutation",
    "orthogonal",
    "isotropic_scaling",
    "translation",
    "column_scaling",
    "invertible_linear",
    "affine",
)
"""The transformations of one side's units that a measure may ignore, named as in the resi package."""

AFFINE = frozenset(INVARIANCES)
ROTATIONAL = frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation"})
UNITWISE = frozenset({"permutation", "isotropic_scaling", "translation", "column_scaling"})

Score: TypeAlias = "Callable[[Moments], Tensor]"
"""The score, (...), as a function of the moments of Y (..., n, q)."""


@dataclass(frozen=True)
class Facts:
    """What a measure declares of itself; the contract tests check every line.

    Attributes
    ----------
    family : str
        Which room of the catalogue it belongs to.
    formula : str
    source : str
        The paper that defines it.
    low, high : float
        Bounds of the score over all Y.
    at_self : float or None
        The score at Y = X; None where it depends on X.
    larger_is_closer : bool
        False for distances and angles, which are optimized downwards.
    invariant_x, invariant_y : frozenset of str
        Which of :data:`INVARIANCES` of X and of Y leave the score as it is; all others change it.
    symmetric : bool
        score(X, Y) = score(Y, X).
    sample_rotations : bool
        score(QX, QY) = score(X, Y) for rotations Q of the centered samples: only products X'X, X'Y and Y'Y
        count, not how many samples there are. Then optimizers that commute with rotations need fewer rows.
    differentiable : bool
        Whether the gradient with respect to Y exists almost everywhere and is given.
    direction : str
        ``symmetric``, or which side predicts which (``y_to_x``: X is predicted from Y).
    cost : str
        How the time of one score grows, in samples n and units p.
    relations : tuple of str
        Which other measures it equals or bounds.
    """

    family: str
    formula: str
    source: str
    invariant_x: frozenset[str]
    invariant_y: frozenset[str]
    low: float = 0.0
    high: float = 1.0
    at_self: float | None = 1.0
    larger_is_closer: bool = True
    symmetric: bool = True
    sample_rotations: bool = False
    differentiable: bool = True
    direction: str = "symmetric"
    cost: str = "n p^2"
    relations: tuple[str, ...] = ()


def both(ignored: frozenset[str]) -> dict[str, Any]:
    """Return the facts of a measure that ignores the same transformations of X and of Y."""
    return {"invariant_x": ignored, "invariant_y": ignored}


def spans_all(samples: int, units: int, consequence: str) -> str | None:
    """Say what it means for a score where Y has units enough to span all centered samples, else None."""
    return f"{units} units >= {samples} samples - 1: {consequence}" if units >= samples - 1 else None


def distance_facts(high: float) -> dict[str, Any]:
    """Return the facts of a distance from 0 to ``high``."""
    return {"high": high, "at_self": 0.0, "larger_is_closer": False}


@dataclass(frozen=True, kw_only=True)
class Measure(ABC):
    """A similarity measure with its parameters fixed.

    Calling it with X (samples, units) and Y (..., samples, units) gives the score, shape (...). The
    gradient is taken with respect to Y; X is constant. Integers and half precision become float64.
    """

    name: str
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def _check_choices(self) -> None:
        """Refuse options that are none of the choices of their Literal, or not true or false.

        Raises
        ------
        InputError
            An option is none of its choices.
        """
        for option, kind in get_type_hints(type(self)).items():
            if kind is bool:
                checks.flag(getattr(self, option), f"{option} of {self.name}")
            elif get_origin(kind) is Literal:
                checks.one_of(getattr(self, option), get_args(kind), f"{option} of {self.name}")

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """What the measure declares of itself."""

    @abstractmethod
    def prepare(self, reference: Reference) -> Score:
        """Compute all that depends on X alone, and return the score as a function of the moments."""

    @property
    def differentiable(self) -> bool:
        """Whether the score can be optimized."""
        return self.facts.differentiable

    @property
    def sign(self) -> int:
        """1 where larger scores are closer, -1 for distances: what optimization multiplies the score with."""
        return 1 if self.facts.larger_is_closer else -1

    def degenerate(self, samples: int, units: int) -> str | None:
        """Say why the score means nothing for Y of this shape, or None where it does."""
        return None

    def bind(self, X: ArrayLike | Reference) -> BoundMeasure:
        """Return the fast form for one X, (samples, units), with all of X's side precomputed."""
        reference = Reference.of(X)
        return BoundMeasure(self, reference, self.prepare(reference))

    def __call__(self, X: ArrayLike, Y: ArrayLike) -> Tensor:
        """Return the score of X (samples, units) and Y (..., samples, units), shape (...)."""
        Y = _as_tensor(Y)
        return self.bind(Reference.of(X, dtype=Y.dtype, device=Y.device))(Y)


class BoundMeasure:
    """A measure with its X side precomputed; call it with Y (..., samples, units)."""

    def __init__(self, measure: Measure, reference: Reference, evaluate: Score) -> None:
        self.measure = measure
        self.reference = reference
        self.evaluate = evaluate

    def __call__(self, Y: ArrayLike) -> Tensor:
        """Return the score, shape (...), differentiable with respect to Y.

        Raises
        ------
        InputError
            Y has other samples, dtype or device than the X that was bound.
        """
        Y = _as_tensor(Y)
        scores = self.reference.scores
        if Y.ndim < 2:
            raise InputError(f"Y has shape {tuple(Y.shape)}; expected (..., samples, units).")
        checks.same_samples(tuple(scores.shape), tuple(Y.shape))
        if (Y.dtype, Y.device) != (scores.dtype, scores.device):
            raise InputError(
                f"Y is {Y.dtype} on {Y.device}; this measure was bound to X in {scores.dtype} "
                f"on {scores.device}. Convert Y, or bind X again."
            )
        return self.evaluate(Moments(self.reference, Y))


def over_batch(score: Callable[[Tensor], Tensor]) -> Score:
    """Turn a score of one Y, (n, q), into one of a batch."""

    def evaluate(moments: Moments) -> Tensor:
        Y = moments.Y
        scores = [score(one) for one in Y.reshape(-1, *Y.shape[-2:])]
        return torch.stack(scores).reshape(Y.shape[:-2]) if scores else Y.new_zeros(Y.shape[:-2])

    return evaluate


def _as_tensor(Y: ArrayLike) -> Tensor:
    if isinstance(Y, torch.Tensor):
        return Y if Y.dtype in (torch.float32, torch.float64) else Y.to(torch.float64)
    array = np.asarray(Y)
    return from_array(array if array.dtype in (np.float32, np.float64) else array.astype(np.float64))
