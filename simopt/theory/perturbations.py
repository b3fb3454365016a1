"""Perturbations of one principal component or of all of Y, in closed form and applied to data.

X = U S V' is the singular value decomposition of the centered X, and lambda_i = s_i^2 is the variance of
PC i. The scores of PC i are s_i u_i. In Y they are replaced by s_i (a u_i + b w), where w is a unit vector:

- ``rotation`` by an angle t, in degrees: a = cos t, b = sin t; 90 degrees replaces the PC;
- ``scaling`` by an amplitude: a = amplitude, b = 0; amplitude 0 removes the PC;
- ``noise`` of a level: a = 1, b = level; the level is the standard deviation of the noise divided by that of
  the PC.

``noise_all`` adds independent noise to all units of Y. Its standard deviation is ``level`` times the square
root of the mean variance of the units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.norms import vector_norm
from simopt.theory.pairs import Noisy, Pair, Tilted

Kind = Literal["rotation", "scaling", "noise", "noise_all"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULTS: dict[Kind, tuple[float, ...]] = {
    "rotation": (90.0,),
    "scaling": (0.0,),
    "noise": (1.0,),
    "noise_all": (0.25, 0.5, 1.0, 2.0),
}


def check(kind: str, strength: float) -> None:
    """Check the name of a perturbation and its strength.

    Raises
    ------
    InputError
        The perturbation is unknown, the strength is negative, or an angle is above 180 degrees.
    """
    checks.one_of(kind, KINDS, "perturbation")
    checks.at_least(strength, 0, f"strength of {kind}")
    if kind == "rotation" and strength > 180:
        raise InputError(f"strength of rotation is {strength!r}; it must be an angle from 0 to 180 degrees.")


def mixture(kind: Kind, strength: float) -> tuple[float, float]:
    """Return the coefficients a and b of a perturbation s_i (a u_i + b w) of one PC (see the module)."""
    if kind == "rotation":
        quarters = strength / 90
        # cos(pi / 2) is 6e-17 in floating point. With exact values a replaced PC leaves no trace in Y, and a
        # rotation by 0 leaves X as it is.
        if quarters == round(quarters):
            return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0))[round(quarters)]
        return math.cos(math.radians(strength)), math.sin(math.radians(strength))
    return (strength, 0.0) if kind == "scaling" else (1.0, strength)


def noise_variance(variances: Tensor, units: int, level: float) -> Tensor:
    """Return nu = level^2 sum lambda / units, the expected sum of squares of the noise in one unit."""
    return level**2 * variances.sum() / units


def exact_pair(variances: Tensor, kind: Kind, strength: float, *, units: int, samples: int) -> Pair:
    """Return the pair of X and a Y that is perturbed in a direction w orthogonal to all PCs.

    Parameters
    ----------
    variances : Tensor of float64, (K,)
        The variances lambda of the PCs, all positive.
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strength : float
        Angle in degrees, amplitude, or noise level.
    units, samples : int
        Number of units and of samples of X.

    Returns
    -------
    Pair
        A batch with one pair for each PC that is perturbed, or a single pair with ``noise_all``.
    """
    if kind == "noise_all":
        return Noisy(variances, noise_variance(variances, units, strength), units, samples)
    along, across = mixture(kind, strength)
    none = variances.new_zeros(len(variances), len(variances))
    return Tilted(variances, along, across, none, units, samples)


@dataclass(frozen=True)
class Perturbed:
    """X, and a function that returns Y perturbed by one kind and strength.

    Attributes
    ----------
    reference : Reference
        X with all samples, or in fewer rows (:func:`perturb`).
    of_pc : callable, int -> Tensor (R, rows, p)
        Takes the index i of a PC and returns, for each of R seeds, the Y in which this PC is perturbed. With
        ``noise_all`` the index is ignored.
    """

    reference: Reference
    of_pc: Callable[[int], Tensor]


class Directions:
    """Random unit vectors w for each PC i and seed, centered and orthogonal to the PC's u_i.

    Parameters
    ----------
    reference : Reference
        The recording X, (n, p), in float64.
    seeds : tuple of int
        Each seed gives one draw, which does not depend on the other seeds.

    Raises
    ------
    InputError
        There is no seed, or a seed is negative.
    """

    def __init__(self, reference: Reference, seeds: tuple[int, ...]) -> None:
        checks.seeds(seeds)
        self.reference = reference
        self.seeds = seeds
        scale = reference.scores * reference.norm  # (n, K)
        self.values = vector_norm(scale, dim=0)  # (K,), s
        self.pcs = scale / self.values  # (n, K), U
        centered = linalg.center(reference.responses)
        self.axes = (centered.mT @ self.pcs / self.values).mT  # (K, p), V'

    def draw(self, i: int) -> Tensor:
        """Return the unit vectors w for PC i, one row for each seed, (R, n)."""
        w = torch.stack([self._normal(seed, i, (self.reference.samples,)) for seed in self.seeds])
        w = w - w.mean(dim=-1, keepdim=True)
        u = self.pcs[:, i]  # u is centered, so that w stays centered
        w = w - (w @ u)[:, None] * u
        unit: Tensor = w / vector_norm(w, dim=-1, keepdim=True)
        return unit

    def noise(self, nu: Tensor) -> Tensor:
        """Return noise (R, n, p) for all units. Centered, its expected sum of squares in a unit is nu."""
        shape = tuple(self.reference.responses.shape)
        # Streams 0 to K - 1 are those of the PCs. Centering leaves n - 1 degrees of freedom.
        drawn = torch.stack([self._normal(seed, len(self.values), shape) for seed in self.seeds])
        return drawn * (nu / (shape[0] - 1)).sqrt()

    def _normal(self, seed: int, stream: int, shape: tuple[int, ...]) -> Tensor:
        # Seeded by both, the draw of a PC is the same whichever other PCs and seeds are used.
        return torch.from_numpy(np.random.default_rng((seed, stream)).standard_normal(shape))


def perturb(directions: Directions, kind: Kind, strength: float, *, fewer_rows: bool) -> Perturbed:
    """Return X and a function that perturbs one of its PCs by random directions.

    Parameters
    ----------
    directions : Directions
        The random directions of each PC, and X.
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strength : float
        Angle in degrees, amplitude, or noise level.
    fewer_rows : bool
        Whether to write X and Y in K + 2 rows instead of n samples, as coordinates in the span of U and w.
        This is allowed for measures that do not change under rotations of the samples. It is ignored with
        ``noise_all``.

    Returns
    -------
    Perturbed
    """
    reference, values, axes = directions.reference, directions.values, directions.axes
    if kind == "noise_all":
        nu = noise_variance(values.square(), reference.responses.shape[-1], strength)
        noisy = reference.responses + directions.noise(nu)
        return Perturbed(reference, lambda _: noisy)
    along, across = mixture(kind, strength)
    from scipy.linalg import helmert  # imported here: other kinds of perturbation do not need it

    # (K + 2, K + 1), orthonormal columns that sum to zero. The K + 1 coordinates, one for each PC and one for
    # the part of w outside of U, become rows that a measure can center without changing them.
    rows = torch.from_numpy(helmert(len(values) + 2).T.copy()).to(values)

    if fewer_rows:
        reference = Reference.of(rows[:, :-1] @ (values[:, None] * axes))

    def of_pc(i: int) -> Tensor:
        u, w = directions.pcs[:, i], directions.draw(i)
        if fewer_rows:
            # Only the length of the part outside of U matters: its direction can be turned to one coordinate.
            inside = w @ directions.pcs  # (R, K)
            outside = vector_norm(w - inside @ directions.pcs.mT, dim=-1)
            u, w = rows[:, i], torch.cat([inside, outside[:, None]], dim=-1) @ rows.mT
        change = (along - 1) * u + across * w  # (R, rows); Y - X is s_i change v_i'
        perturbed: Tensor = reference.responses + values[i] * change[..., None] * axes[i]
        return perturbed

    return Perturbed(reference, of_pc)
