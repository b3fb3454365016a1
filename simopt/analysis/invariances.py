"""Numerical tests of which transformations of the units of X or Y leave a score unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.analysis.nulls import orthonormal
from simopt.errors import SimoptError
from simopt.measures import FunctionMeasure, Measure
from simopt.measures.base import INVARIANCES

SIDES = ("X", "Y")
DRAWS = 10
EXACT = 1e-6
"""Changes up to this count as rounding or the tolerance of an iterative measure. Absolute for scores up to 1,
relative for larger ones."""

_SAMPLES, _X_UNITS, _Y_UNITS = 30, 5, 4
_SPECTRUM = (3.0, 2.0, 1.0, 0.5, 0.2)
"""Standard deviations of the units of X."""


@dataclass(frozen=True)
class Invariance:
    """The effect of one kind of transformation of X or of Y on a score.

    Attributes
    ----------
    kind : str
        One of :data:`simopt.measures.base.INVARIANCES`.
    side : str
        X or Y.
    change : float
        Largest absolute change of the score over the draws; NaN if a score is not finite.
    holds : bool
        Whether the change is at most rounding.
    declared : bool or None
        Whether the measure declares the invariance; None if it declares nothing (a user's function).
    """

    kind: str
    side: str
    change: float
    holds: bool
    declared: bool | None

    @property
    def agrees(self) -> bool:
        """Whether the test agrees with the declaration, or nothing is declared."""
        return self.declared is None or self.declared == self.holds


def invariances(measure: Measure) -> list[Invariance]:
    """Test every kind of transformation of X and of Y on random related data, in float64.

    Each kind is drawn :data:`DRAWS` times, together with a pair of 30 samples, 5 units of X and 4 of Y.

    Raises
    ------
    InputError
        The measure does not apply to such data.
    """
    declared = {"X": measure.facts.invariant_x, "Y": measure.facts.invariant_y}
    results = []
    for side in SIDES:
        for kind in INVARIANCES:
            change, exact = _largest_change(measure, kind, side)
            states = None if isinstance(measure, FunctionMeasure) else kind in declared[side]
            results.append(Invariance(kind, side, change, change <= exact, states))
    return results


def _largest_change(measure: Measure, kind: str, side: str) -> tuple[float, float]:
    """Return the largest change of the score, and the largest change that counts as rounding."""
    rng = np.random.default_rng(0)
    change, size = 0.0, 1.0
    for _ in range(DRAWS):
        X, Y = related(rng)
        before = float(measure(X, Y))
        if side == "X":
            X = transformed(kind, X, rng)
        else:
            Y = transformed(kind, Y, rng)
        try:
            after = float(measure(X, Y))
        except SimoptError:
            after = math.nan  # defined before but not after: not invariant
        if not (math.isfinite(before) and math.isfinite(after)):
            return math.nan, EXACT
        change, size = max(change, abs(after - before)), max(size, abs(before))
    return change, EXACT * size


def related(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return X (30, 5) and Y (30, 4), a random linear map of X plus noise."""
    X = _draw(rng, _SAMPLES, _X_UNITS) * torch.tensor(_SPECTRUM, dtype=torch.float64)
    return X, X @ _draw(rng, _X_UNITS, _Y_UNITS) + _draw(rng, _SAMPLES, _Y_UNITS)


def transformed(kind: str, A: Tensor, rng: np.random.Generator) -> Tensor:
    """Return A (n, p) under a random transformation of its units.

    Parameters
    ----------
    kind : str
        One of :data:`simopt.measures.base.INVARIANCES`.
    A : Tensor, (n, p)
        In float64.
    rng : Generator

    Raises
    ------
    InputError
        No such kind.
    """
    checks.one_of(kind, INVARIANCES, "transformation")
    p = A.shape[1]
    general = _draw(rng, p, p) + 2 * torch.eye(p, dtype=A.dtype)
    ways: dict[str, Callable[[], Tensor]] = {
        "permutation": lambda: A[:, rng.permutation(p)],
        "orthogonal": lambda: A @ orthonormal(_draw(rng, p, p)),  # rotations and reflections
        "isotropic_scaling": lambda: A * float(np.exp(rng.uniform(1, 2) * rng.choice([-1, 1]))),
        "translation": lambda: A + 3 * _draw(rng, 1, p),
        "column_scaling": lambda: A * torch.from_numpy(np.exp(rng.uniform(-2, 2, p))),
        "invertible_linear": lambda: A @ general,
        "affine": lambda: A @ general + 3 * _draw(rng, 1, p),
    }
    return ways[kind]()


def _draw(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape))
