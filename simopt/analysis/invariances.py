"""Numerical tests of which transformations of the units of X or Y leave a score unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import SimoptError
from simopt.measures import FunctionMeasure, Measure
from simopt.measures.base import INVARIANCES

SIDES = ("X", "Y")
DRAWS = 10
EXACT = 1e-6
"""Changes up to this size are due to rounding or to the tolerance of an iterative measure. The size is
absolute for scores up to 1, and relative for larger scores."""

_SAMPLES, _X_UNITS, _Y_UNITS = 30, 5, 4
_SPECTRUM = (3.0, 2.0, 1.0, 0.5, 0.2)
"""Standard deviations of the units of X."""


@dataclass(frozen=True)
class Invariance:
    """The effect of one kind of transformation of X or of Y on a score.

    Attributes
    ----------
    kind : str
        The kind of transformation, one of :data:`simopt.measures.base.INVARIANCES`.
    side : str
        The dataset that is transformed, ``X`` or ``Y``.
    change : float
        Largest absolute change of the score over all draws; NaN if a score is not finite.
    holds : bool
        Whether the score is invariant: the change is not larger than rounding (:data:`EXACT`).
    declared : bool or None
        Whether the measure declares the invariance. None for a user's function, which declares nothing.
    """

    kind: str
    side: str
    change: float
    holds: bool
    declared: bool | None

    @property
    def agrees(self) -> bool:
        """Whether the test agrees with what the measure declares. True if the measure declares nothing."""
        return self.declared is None or self.declared == self.holds


def invariances(measure: Measure) -> list[Invariance]:
    """Test which transformations of X and of Y leave the score of a measure unchanged.

    Each kind of transformation is tested :data:`DRAWS` times in float64. Each test draws a transformation and
    two related datasets, X (30, 5) and Y (30, 4).

    Raises
    ------
    InputError
        The measure cannot score data of these shapes.
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
    """Return a random X (30, 5), and Y (30, 4) that is a random linear map of X plus noise."""
    X = _draw(rng, _SAMPLES, _X_UNITS) * torch.tensor(_SPECTRUM, dtype=torch.float64)
    return X, X @ _draw(rng, _X_UNITS, _Y_UNITS) + _draw(rng, _SAMPLES, _Y_UNITS)


def transformed(kind: str, A: Tensor, rng: np.random.Generator) -> Tensor:
    """Return A (n, p) after a random transformation of its units.

    Parameters
    ----------
    kind : str
        The kind of transformation, one of :data:`simopt.measures.base.INVARIANCES`.
    A : Tensor of float64, (n, p)
    rng : Generator

    Raises
    ------
    InputError
        ``kind`` is unknown.
    """
    checks.one_of(kind, INVARIANCES, "transformation")
    p = A.shape[1]
    general = _draw(rng, p, p) + 2 * torch.eye(p, dtype=A.dtype)
    ways: dict[str, Callable[[], Tensor]] = {
        "permutation": lambda: A[:, rng.permutation(p)],
        "orthogonal": lambda: A @ _orthonormal(_draw(rng, p, p)),  # rotations and reflections
        "isotropic_scaling": lambda: A * float(np.exp(rng.uniform(1, 2) * rng.choice([-1, 1]))),
        "translation": lambda: A + 3 * _draw(rng, 1, p),
        "column_scaling": lambda: A * torch.from_numpy(np.exp(rng.uniform(-2, 2, p))),
        "invertible_linear": lambda: A @ general,
        "affine": lambda: A @ general + 3 * _draw(rng, 1, p),
    }
    return ways[kind]()


def _draw(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape))


def _orthonormal(drawn: Tensor) -> Tensor:
    """Return the matrix Q (..., n, k) of the decomposition A = QR in which R has a positive diagonal.

    Without this condition on R the decomposition is not unique. LAPACK chooses signs that depend on the
    entries of A. Its Q of a matrix with normal entries becomes Haar-distributed only if the signs of the
    diagonal of R are moved to Q.
    """
    left, right = torch.linalg.qr(drawn)
    columns: Tensor = left * right.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    return columns
