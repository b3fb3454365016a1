"""The base classes of measures: a score of (X, Y), the facts about it, and the same score bound to one X."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures.moments import Moments, Reference, from_array
from simopt.typing import Responses

INVARIANCES = (
    "permutation",
    "orthogonal",
    "isotropic_scaling",
    "translation",
    "column_scaling",
    "invertible_linear",
    "affine",
)
"""Transformations of the units of X or Y that may leave a score unchanged, named as in the resi package."""

AFFINE = frozenset(INVARIANCES)
ROTATIONAL = frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation"})
UNITWISE = frozenset({"permutation", "isotropic_scaling", "translation", "column_scaling"})

Score: TypeAlias = "Callable[[Moments], Tensor]"
"""The score, (...), as a function of the moments of Y (..., n, q)."""

_CONSTANT = 8
"""A unit is constant if it deviates from its mean by at most this many eps times its largest value.

Centering a constant column in floating point left up to 5.1 eps of it (float32 and float64, up to 10^6
samples).
"""


@dataclass(frozen=True)
class Facts:
    """What a measure states about itself; the contract tests check every entry.

    Attributes
    ----------
    family : str
        The kind of measure, for instance ``kernel`` or ``regression``.
    formula : str
    source : str
        The paper that defines it, with its DOI or arXiv number where it has one.
    low, high : float
        Bounds of the score over all Y.
    at_self : float or None
        The score at Y = X; None if it depends on X.
    larger_is_closer : bool
        False for distances and angles: optimization minimizes them.
    invariant_x, invariant_y : frozenset of str
        Which of :data:`INVARIANCES` of X and of Y leave the score unchanged; all others change it.
    symmetric : bool
        score(X, Y) = score(Y, X).
    sample_rotations : bool
        score(QX, QY) = score(X, Y) for every rotation Q (n, n) of the centered samples. The score then
        depends on X'X, X'Y and Y'Y only, and optimizers that commute with rotations can work with fewer
        rows than there are samples.
    differentiable : bool
        Whether the score has a gradient with respect to Y almost everywhere.
    direction : str
        ``symmetric``, or which dataset predicts the other (``y_to_x``: X is predicted from Y).
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


def both(invariant: frozenset[str]) -> dict[str, Any]:
    """Return the facts of a measure with the same invariances with respect to X and to Y."""
    return {"invariant_x": invariant, "invariant_y": invariant}


def spans_all(samples: int, units: int, consequence: str) -> str | None:
    """Return a warning if Y has enough units to span all centered samples, else None."""
    return f"{units} units >= {samples} samples - 1: {consequence}" if units >= samples - 1 else None


def distance_facts(high: float) -> dict[str, Any]:
    """Return the facts of a distance from 0 to ``high``."""
    return {"high": high, "at_self": 0.0, "larger_is_closer": False}


@dataclass(frozen=True, kw_only=True)
class Measure(ABC):
    """A similarity measure with its parameters fixed.

    Call it with X (samples, units) and Y (..., samples, units) to get the score, shape (...). Scores are
    differentiable with respect to Y; X is constant. Integers and half precision become float64.
    """

    name: str
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """What the measure states about itself."""

    @abstractmethod
    def prepare(self, reference: Reference) -> Score:
        """Compute everything that depends on X alone, and return the score as a function of the moments."""

    @property
    def differentiable(self) -> bool:
        """Whether the score has a gradient, so that it can be optimized."""
        return self.facts.differentiable

    @property
    def sign(self) -> int:
        """1 if larger scores are closer, -1 for distances. Optimization maximizes ``sign * score``."""
        return 1 if self.facts.larger_is_closer else -1

    def degenerate(self, samples: int, units: int) -> str | None:
        """Return why the score of any Y (samples, units) is meaningless, or None if it is meaningful."""
        return None

    def bind(self, X: Responses | Reference) -> BoundMeasure:
        """Return the measure for one X, (samples, units), with everything that depends on X precomputed.

        Raises
        ------
        InputError
            X is not a finite 2-D array that varies over its samples, or it requires a gradient.
        """
        self._refuse_gradient(X)
        return BoundMeasure(self, Reference.of(X))

    def __call__(self, X: Responses, Y: Responses) -> Tensor:
        """Return the score of X (samples, units) and Y (..., samples, units), shape (...).

        Raises
        ------
        InputError
            As :meth:`bind`, and as a :class:`BoundMeasure` that is called with Y.
        """
        self._refuse_gradient(X)
        Y = _as_tensor(Y)
        return self.bind(Reference.of(X, dtype=Y.dtype, device=Y.device))(Y)

    def _refuse_gradient(self, X: Responses | Reference) -> None:
        if isinstance(X, Tensor) and X.requires_grad and torch.is_grad_enabled():
            swap = f", or swap X and Y, as {self.name} is symmetric" if self.facts.symmetric else ""
            raise InputError(
                f"X requires a gradient, but {self.name} has gradients with respect to Y only. "
                f"Pass X.detach(){swap}."
            )


class BoundMeasure:
    """A measure with everything that depends on X precomputed; call it with Y (..., samples, units).

    It can be pickled, and moved by :meth:`to`. Both keep the measure and the reference, and precompute again.

    Attributes
    ----------
    measure : Measure
    reference : Reference
    evaluate : callable
        The score of :class:`Moments` of Y without any check of Y: for loops that score many Y.
    """

    def __init__(self, measure: Measure, reference: Reference) -> None:
        self.measure = measure
        self.reference = reference
        self.evaluate = measure.prepare(reference)
        # Most measures that center Y divide by its norm: a constant Y would have a score and gradient of NaN.
        self._checks_Y = "translation" in measure.facts.invariant_y

    def __reduce__(self) -> tuple[Any, ...]:
        # ``evaluate`` is a closure, which cannot be pickled. Preparing again gives the same numbers.
        return BoundMeasure, (self.measure, self.reference)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> BoundMeasure:
        """Return the bound measure on another device or in another precision; None keeps what it has.

        A measure that was bound in float32 keeps that accuracy when it is moved to float64.

        Parameters
        ----------
        device : torch.device or str, optional
        dtype : {torch.float32, torch.float64}, optional

        Raises
        ------
        InputError
            Another dtype.
        """
        scores = self.reference.scores
        if dtype not in (None, torch.float32, torch.float64):
            raise InputError(f"dtype is {dtype}; scores are computed in torch.float32 or torch.float64.")
        return BoundMeasure(self.measure, self.reference.to(dtype or scores.dtype, device or scores.device))

    def __call__(self, Y: Responses) -> Tensor:
        """Return the score, shape (...), differentiable with respect to Y.

        Raises
        ------
        InputError
            Y has other samples, dtype or device than the X that was bound; or Y, or one Y of a batch, is
            constant to rounding and the measure centers it. On an accelerator only the first Y is examined,
            as each such check waits for the device.
        """
        Y = _as_tensor(Y)
        scores = self.reference.scores
        if Y.ndim < 2:
            raise InputError(f"Y has shape {tuple(Y.shape)}; expected (..., samples, units).")
        checks.same_samples(scores.shape, Y.shape)
        if (Y.dtype, Y.device) != (scores.dtype, scores.device):
            raise InputError(
                f"Y is {Y.dtype} on {Y.device}; this measure was bound to X in {scores.dtype} "
                f"on {scores.device}. Convert Y, or move the bound measure with .to(device, dtype)."
            )
        if self._checks_Y:
            self._refuse_constant(Y.detach())
            # On an accelerator each check would wait for the device, in a loop once a step.
            self._checks_Y = Y.device.type == "cpu"
        return self.evaluate(Moments(self.reference, Y))

    def _refuse_constant(self, Y: Tensor) -> None:
        """Refuse Y (..., n, q) if all units, or all of one member of the batch, are constant to rounding."""
        deviation = (Y - Y.mean(dim=-2, keepdim=True)).abs().amax(dim=-2)  # (..., q)
        rounding = _CONSTANT * torch.finfo(Y.dtype).eps * Y.abs().amax(dim=-2)
        constant = (deviation <= rounding).all(dim=-1)  # (...), False where Y holds NaN
        if bool(constant.any()):
            index = constant.nonzero()[0].tolist() or ""  # of the batch dimensions; none without a batch
            raise InputError(
                f"{self.measure.name}: Y{index} is the same in all {Y.shape[-2]} samples, at least to "
                "rounding, so it has no score."
            )


def over_batch(score: Callable[[Tensor], Tensor]) -> Score:
    """Turn a score of one Y, (n, q), into a score of a batch, computed one by one."""

    def evaluate(moments: Moments) -> Tensor:
        Y = moments.Y
        scores = [score(member) for member in Y.reshape(-1, *Y.shape[-2:])]
        return torch.stack(scores).reshape(Y.shape[:-2]) if scores else Y.new_zeros(Y.shape[:-2])

    return evaluate


def _as_tensor(Y: Responses) -> Tensor:
    Y = checks.samples_of(Y)
    if isinstance(Y, torch.Tensor):
        return Y if Y.dtype in (torch.float32, torch.float64) else Y.to(torch.float64)
    array = np.asarray(Y)
    return from_array(array if array.dtype in (np.float32, np.float64) else array.astype(np.float64))
