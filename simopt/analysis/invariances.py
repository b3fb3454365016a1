"""Which transformations of one side's units leave a score as it is: tried, whatever the measure declares."""

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
"""The largest change, relative to scores beyond 1, that is none: rounding, or the end of an iteration."""

_SAMPLES, _X_UNITS, _Y_UNITS = 30, 5, 4
_SPECTRUM = (3.0, 2.0, 1.0, 0.5, 0.2)


@dataclass(frozen=True)
class Invariance:
    """What one kind of transformation of one side did to the score.

    Attributes
    ----------
    kind : str
        One of :data:`simopt.measures.base.INVARIANCES`.
    side : str
        X or Y.
    change : float
        The largest absolute change over the draws; NaN where a score is not finite.
    holds : bool
        Whether that is rounding.
    declared : bool or None
        Whether the measure says that the score stays; None where it declares nothing.
    """

    kind: str
    side: str
    change: float
    holds: bool
    declared: bool | None

    @property
    def agrees(self) -> bool:
        """Whether what was found is what is declared."""
        return self.declared is None or self.declared == self.holds


def invariances(measure: Measure, draws: int = DRAWS, seed: int = 0) -> list[Invariance]:
    """Try every transformation of X and of Y on random related data, in float64.

    Parameters
    ----------
    measure : Measure
    draws : int, >= 1
        Pairs of 30 samples, of 5 and 4 units, and transformations, for each kind and side.
    seed : int

    Raises
    ------
    InputError
        The measure does not apply to such data, or says why it needs others.
    """
    checks.whole(draws, 1, "draws")
    checks.whole(seed, 0, "seed")
    declared = {"X": measure.facts.invariant_x, "Y": measure.facts.invariant_y}
    results = []
    for side in SIDES:
        for kind in INVARIANCES:
            change, exact = _largest_change(measure, kind, side, draws, seed)
            states = None if isinstance(measure, FunctionMeasure) else kind in declared[side]
            results.append(Invariance(kind, side, change, change <= exact, states))
    return results


def _largest_change(measure: Measure, kind: str, side: str, draws: int, seed: int) -> tuple[float, float]:
    """Return the largest change, and the largest that is rounding."""
    rng = np.random.default_rng(seed)
    change, size = 0.0, 1.0
    for _ in range(draws):
        X, Y = related(rng)
        before = float(measure(X, Y))
        if side == "X":
            X = transformed(kind, X, rng)
        else:
            Y = transformed(kind, Y, rng)
        try:
            after = float(measure(X, Y))
        except SimoptError:
            after = math.nan  # defined before and not after: the transformation matters
        if not (math.isfinite(before) and math.isfinite(after)):
            return math.nan, EXACT
        change, size = max(change, abs(after - before)), max(size, abs(before))
    return change, EXACT * size


def related(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return X (30, 5) and Y (30, 4), half of whose variance comes from X."""
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
        "orthogonal": lambda: A @ _orthogonal(rng, p),
        "isotropic_scaling": lambda: A * float(np.exp(rng.uniform(1, 2) * rng.choice([-1, 1]))),
        "translation": lambda: A + 3 * _draw(rng, 1, p),
        "column_scaling": lambda: A * torch.from_numpy(np.exp(rng.uniform(-2, 2, p))),
        "invertible_linear": lambda: A @ general,
        "affine": lambda: A @ general + 3 * _draw(rng, 1, p),
    }
    return ways[kind]()


def _orthogonal(rng: np.random.Generator, size: int) -> Tensor:
    Q, R = torch.linalg.qr(_draw(rng, size, size))
    # Q alone is always a rotation, or never one, by the parity of its size.
    orthogonal: Tensor = Q * R.diagonal().sign()
    return orthogonal


def _draw(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape))
