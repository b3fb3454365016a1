"""Perturbations of one principal component, or of all of Y: as theory sees them, and done to data.

PC i of X = U S V' is s_i u_i. Y is X with s_i (a u_i + b w) in its place, w a unit vector:

- ``rotation`` by an angle t, in degrees: a = cos t, b = sin t; 90 replaces the PC;
- ``scaling`` by an amplitude: a = amplitude, b = 0; 0 removes the PC;
- ``noise`` of a level: a = 1, b = level, the standard deviation of the noise over that of the PC.

``noise_all`` adds independent noise to all units of Y, of a standard deviation of ``level`` times the root
mean variance of the units.
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
    """Refuse a perturbation that does not exist, or a strength out of its range.

    Raises
    ------
    InputError
    """
    checks.one_of(kind, KINDS, "perturbation")
    checks.at_least(strength, 0, f"strength of {kind}")
    if kind == "rotation" and strength > 180:
        raise InputError(f"strength of rotation is {strength!r}; it is an angle, 0 to 180 degrees.")


def mixture(kind: Kind, strength: float | Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Return a and b of a perturbation of one PC."""
    if kind == "rotation":
        quarters = float(strength) / 90
        if quarters == round(quarters):  # exactly, where cos and sin are not
            return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0))[round(quarters)]
        return math.cos(math.radians(strength)), math.sin(math.radians(strength))
    return (strength, 0.0) if kind == "scaling" else (1.0, strength)


def noise_variance(variances: Tensor, units: int, level: float | Tensor) -> Tensor:
    """Return nu, the expected sum of squares of the noise in one unit: level^2 sum lambda / units."""
    return level**2 * variances.sum() / units


def exact_pair(
    variances: Tensor, kind: Kind, strength: float | Tensor, *, units: int, samples: int | None = None
) -> Pair:
    """Return the pair of X and its perturbation by directions exactly orthogonal to all PCs.

    Parameters
    ----------
    variances : Tensor of float64, (K,)
        lambda, positive.
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strength : float, or Tensor
        Degrees, amplitude or level; of scaling and noise also one for each PC, of noise_all each its own Y.
    units : int
    samples : int, optional
        For the measures that depend on it.

    Returns
    -------
    Pair, with one entry for each PC that is perturbed, or for ``noise_all`` with one entry
    """
    if kind == "noise_all":
        return Noisy(variances, noise_variance(variances, units, strength), units, samples)
    along, across = mixture(kind, strength)
    none = variances.new_zeros(len(variances), len(variances))
    return Tilted(variances, along, across, none, units, samples)


@dataclass(frozen=True)
class Perturbed:
    """X and its perturbations, ready to be scored.

    Attributes
    ----------
    reference : Reference
        Of X, in all samples or in fewer rows.
    of_pc : callable, int -> Tensor (R, rows, p)
        Y with PC i perturbed, one for each seed; of ``noise_all``, i is not read.
    """

    reference: Reference
    of_pc: Callable[[int], Tensor]


class Directions:
    """Random unit vectors w, centered and orthogonal to u_i, one for each PC and seed.

    Parameters
    ----------
    reference : Reference
        Of X, (n, p), in float64.
    seeds : tuple of int
        Each draws its own; the numbers do not depend on the other seeds.

    Raises
    ------
    InputError
        No seed, or one that is negative.
    """

    def __init__(self, reference: Reference, seeds: tuple[int, ...]) -> None:
        checks.seeds(seeds)
        self.reference = reference
        self.seeds = seeds
        scale = reference.scores * reference.norm  # (n, K)
        self.values = torch.linalg.vector_norm(scale, dim=0)
        self.pcs = scale / self.values
        centered = linalg.center(reference.responses)
        self.axes = (centered.mT @ self.pcs / self.values).mT  # (K, p), V'

    def draw(self, i: int) -> Tensor:
        """Return w for PC i, (R, n)."""
        w = torch.stack([self._normal(seed, i, (self.reference.samples,)) for seed in self.seeds])
        w = w - w.mean(dim=-1, keepdim=True)
        u = self.pcs[:, i]
        w = w - (w @ u)[:, None] * u
        unit: Tensor = w / torch.linalg.vector_norm(w, dim=-1, keepdim=True)
        return unit

    def noise(self, nu: Tensor) -> Tensor:
        """Return noise for all units, (R, n, p), of expected sum of squares nu a unit once centered."""
        shape = tuple(self.reference.responses.shape)
        drawn = torch.stack([self._normal(seed, len(self.values), shape) for seed in self.seeds])
        return drawn * (nu / (shape[0] - 1)).sqrt()

    def _normal(self, seed: int, stream: int, shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(np.random.default_rng((seed, stream)).standard_normal(shape))


def perturb(directions: Directions, kind: Kind, strength: float, *, fewer_rows: bool) -> Perturbed:
    """Return X and its perturbations by random directions.

    Parameters
    ----------
    directions : Directions
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strength : float
    fewer_rows : bool
        Write X and Y in coordinates of the span of U and w, K + 2 rows: for measures that are blind to
        rotations of the samples. Not for ``noise_all``.

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
    from scipy.linalg import helmert  # loaded where it is needed

    # Orthonormal columns of sum zero, (K + 2, K + 1).
    rows = torch.from_numpy(helmert(len(values) + 2).T.copy()).to(values)

    def in_samples(i: int) -> tuple[Tensor, Tensor]:
        return directions.pcs[:, i], directions.draw(i)

    def in_span(i: int) -> tuple[Tensor, Tensor]:
        w = directions.draw(i)
        inside = w @ directions.pcs  # (R, K)
        outside = torch.linalg.vector_norm(w - inside @ directions.pcs.mT, dim=-1)
        return rows[:, i], torch.cat([inside, outside[:, None]], dim=-1) @ rows.mT

    if fewer_rows:
        reference = Reference.of(rows[:, :-1] @ (values[:, None] * axes))
    written = in_span if fewer_rows else in_samples

    def of_pc(i: int) -> Tensor:
        u, w = written(i)
        change = (along - 1) * u + across * w  # (R, rows)
        perturbed: Tensor = reference.responses + values[i] * change[..., None] * axes[i]
        return perturbed

    return Perturbed(reference, of_pc)
