"""A batch of constrained problems: the extreme of one score where others are held at given levels.

Each step goes along the gradient of the score less its components along the gradients of the constraints,
in Adam's metric, and back to the levels by Newton's method: with J the gradients of the constraints,

    Y <- Y + P step + J' (J J')^-1 (levels - scores),  P = I - J' (J J')^-1 J.

The steps shrink along a half cosine, so that the error of the constraints, quadratic in the step, vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simopt.measures import BoundMeasure, Moments

_BATCHED_UP_TO = 100_000
"""Entries of one Y from which on a CPU goes through a step problem by problem, each within its caches."""
_MEMORY = 0.9, 0.99
_LONGEST_RETURN = 0.3
"""Newton's step, relative to the norm of Y."""
_OF_NO_AVAIL = 0.7
"""The share of its distance from the level that a return must leave to count as stuck."""
_STATE = ("Y", "first", "second", "best", "best_scores", "best_Y", "nearest", "missing", "normals", "size")


def parts(Y: Tensor) -> list[slice]:
    """Return the slices of a batch (R, n, q) that are evaluated together."""
    alone = Y.device.type == "cpu" and Y.shape[-2] * Y.shape[-1] >= _BATCHED_UP_TO
    return [slice(r, r + 1) for r in range(len(Y))] if alone else [slice(0, len(Y))]


def evaluate(bounds: Sequence[BoundMeasure], Y: Tensor) -> Tensor:
    """Return the scores (R, measures) of Y (R, n, q), from the same moments."""
    scores = []
    for part in parts(Y):
        moments = Moments(bounds[0].reference, Y[part])
        scores.append(torch.stack([bound.evaluate(moments) for bound in bounds], dim=-1))
    return torch.cat(scores)


@dataclass(frozen=True)
class Problems:
    """What is asked: one problem an entry.

    Attributes
    ----------
    levels : Tensor, (R, k)
        Where the constrained scores are held.
    direction : Tensor, (R,)
        1 for the maximum of the sought score, -1 for its minimum.
    tolerance : float
        Distance from the levels up to which a Y counts.
    steps : int
    rate : Tensor, (R,)
        The length of the first step, relative to the norm of Y.
    order : Tensor of int, (R, k + 1), or None
        Which bounds hold the levels, and, last, which one's extreme is sought; None: in their own order.
    """

    levels: Tensor
    direction: Tensor
    tolerance: float
    steps: int
    rate: Tensor
    order: Tensor | None = None


class Search:
    """The problems at work; every Y that is passed counts.

    Parameters
    ----------
    bounds : sequence of k + 1 BoundMeasure, of one reference
        The constrained ones, then the one whose extreme is sought.
    Y : Tensor, (R, n, q)
    problems : Problems

    Attributes
    ----------
    step : int
    best : Tensor, (R,)
        Direction times the sought score at the best Y within the tolerance, less twice what its distance from
        the level may have brought; -inf where there was none.
    best_scores : Tensor, (R, k + 1)
    best_Y : Tensor, (R, n, q)
    nearest : Tensor, (R,)
        The least distance from the levels so far.
    """

    def __init__(self, bounds: Sequence[BoundMeasure], Y: Tensor, problems: Problems) -> None:
        self.bounds = list(bounds)
        self.problems = problems
        self.step = 0
        self.Y = Y.detach().clone()
        self.first = torch.zeros_like(Y)
        self.second = torch.zeros_like(Y)
        self.best = Y.new_full((len(Y),), -math.inf)
        self.best_scores = Y.new_full((len(Y), len(self.bounds)), math.nan)
        self.best_Y = self.Y.clone()
        self.nearest = Y.new_full((len(Y),), math.inf)
        constrained = problems.levels.shape[1]
        self.missing = Y.new_full((len(Y), constrained), math.inf)
        self.normals = Y.new_zeros((len(Y), constrained, Y[0].numel()))
        ignored = [bound.measure.facts.invariant_y for bound in bounds]
        self._scale_free = all("isotropic_scaling" in each for each in ignored)
        self.size = torch.linalg.matrix_norm(self.Y)

    @property
    def done(self) -> bool:
        """Whether all steps are taken and their end is scored."""
        return self.step > self.problems.steps

    def advance(self) -> Tensor:
        """Score the current Y, keep what is best, and take a step unless it is the end.

        Returns
        -------
        Tensor, (R, k + 1)
            The scores, before the step.
        """
        scores = torch.cat([self._part(part) for part in parts(self.Y)])
        self.step += 1
        return scores

    def _part(self, part: slice) -> Tensor:
        moments = Moments(self.bounds[0].reference, self.Y[part].clone().requires_grad_())
        scores = [bound.evaluate(moments) for bound in self.bounds]
        gradients = [
            torch.autograd.grad(score.sum(), moments.Y, retain_graph=score is not scores[-1])[0]
            for score in scores
        ]
        values = torch.stack(scores, dim=-1).detach()
        values = torch.where(_can_be_squared(self.Y[part])[:, None], values, math.nan)
        flat = torch.stack(gradients, dim=1).flatten(start_dim=2)  # (R, k + 1, n q)
        ordered = values
        if self.problems.order is not None:
            order = self.problems.order[part]
            each = torch.arange(len(order), device=order.device)[:, None]
            flat, ordered = flat[each, order], values[each, order]
        missing = self.problems.levels[part] - ordered[:, :-1]
        constraints = _Normals(self._smooth(part, flat[:, :-1], missing))
        uphill = self.problems.direction[part, None] * flat[:, -1]
        change = (constraints.multipliers(uphill) * missing).sum(dim=-1).nan_to_num().clamp(max=0)
        reached = self.problems.direction[part] * ordered[:, -1] + 2 * change
        self._keep(part, values, missing, reached)
        if self.step < self.problems.steps:
            self._move(part, constraints, uphill, missing)
        return values

    def _smooth(self, part: slice, gradients: Tensor, missing: Tensor) -> Tensor:
        """Return the constraints' gradients (R, k, N), at kinks without what flips from step to step.

        At a kink, as nuclear norms have where a singular value is zero, a step along the gradient changes the
        score by less than it says, or the wrong way. Where half of the steps led to no Y at its level and the
        last return was of no avail, the shortest mean of the last gradient and this one is taken: what has
        turned round cancels. Not elsewhere, as it shortens the way that the step itself goes.
        """
        lost = self.best[part] == -math.inf
        if self.step < self.problems.steps // 2 or not bool(lost.any()):
            return gradients
        last, apart = self.normals[part], missing.abs()
        change = gradients - last
        share = -(last * change).sum(dim=-1) / change.square().sum(dim=-1)
        mean = last + share.clamp(0, 1)[..., None] * change
        stuck = lost[:, None] & (apart > _OF_NO_AVAIL * self.missing[part])
        self.normals[part] = torch.where(stuck[..., None] & mean.isfinite(), mean, gradients)
        self.missing[part] = apart
        return self.normals[part]

    def _keep(self, part: slice, values: Tensor, missing: Tensor, reached: Tensor) -> None:
        """Keep what is within the tolerance and better than before."""
        apart = missing.abs().amax(dim=-1)
        self.nearest[part] = torch.fmin(self.nearest[part], apart)
        better = (apart <= self.problems.tolerance) & (reached > self.best[part])
        self.best[part] = torch.where(better, reached, self.best[part])
        self.best_scores[part] = torch.where(better[:, None], values, self.best_scores[part])
        self.best_Y[part] = torch.where(better[:, None, None], self.Y[part], self.best_Y[part])

    def _move(self, part: slice, constraints: _Normals, uphill: Tensor, missing: Tensor) -> None:
        Y = self.Y[part]
        size = torch.linalg.matrix_norm(Y)[:, None]
        step = constraints.tangent(self._adam(part, constraints.tangent(uphill) * size))
        shrunk = 0.5 * (1 + math.cos(math.pi * self.step / self.problems.steps))
        length = shrunk * self.problems.rate[part, None]
        step = step * length * size / math.sqrt(step.shape[-1])
        back = constraints.solve(missing)
        limit = _LONGEST_RETURN * size / torch.linalg.vector_norm(back, dim=-1, keepdim=True)
        move = step + back * torch.where(limit < 1, limit, 1.0)
        usable = move.isfinite().all(dim=-1, keepdim=True)
        Y = Y + torch.where(usable, move, 0.0).reshape(Y.shape)
        if self._scale_free:  # nothing would hold it back
            Y = Y * (self.size[part] / torch.linalg.matrix_norm(Y))[:, None, None]
        self.Y[part] = Y

    def _adam(self, part: slice, ascent: Tensor) -> Tensor:
        first, second = _MEMORY
        ascent = torch.where(ascent.isfinite(), ascent, 0.0).reshape(self.Y[part].shape)
        self.first[part] = first * self.first[part] + (1 - first) * ascent
        self.second[part] = second * self.second[part] + (1 - second) * ascent.square()
        mean = self.first[part] / (1 - first ** (self.step + 1))
        spread = (self.second[part] / (1 - second ** (self.step + 1))).sqrt()
        tiny = torch.finfo(spread.dtype).tiny
        return (mean / spread.clamp_min(tiny)).flatten(start_dim=1)

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs, to be saved before the next step."""
        return {"step": self.step, **{name: getattr(self, name) for name in _STATE}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the search where :meth:`state` was taken."""
        self.step = int(state["step"])
        for name in _STATE:
            getattr(self, name).copy_(state[name])


def _can_be_squared(Y: Tensor) -> Tensor:
    """Whether ||Y||^4 neither overflows nor vanishes, (R,): beyond, CKA is 0 whatever Y is."""
    power = torch.linalg.matrix_norm(Y).square().square()
    usable: Tensor = power.isfinite() & (power >= torch.finfo(power.dtype).tiny)
    return usable


class _Normals:
    """The directions along which the constrained scores change, J (R, k, N), of unit length."""

    def __init__(self, gradients: Tensor) -> None:
        self._length = torch.linalg.vector_norm(gradients, dim=-1, keepdim=True)
        self._unit = torch.where(self._length > 0, gradients / self._length, 0.0)
        products = (self._unit @ self._unit.mT).double()
        inverse = torch.linalg.pinv(products.nan_to_num(), rtol=1e-6, hermitian=True)
        self._inverse = inverse.to(gradients.dtype)

    def tangent(self, vector: Tensor) -> Tensor:
        """Return what of a vector (R, N) leaves the constrained scores as they are."""
        return vector - self._along(self._unit @ vector[..., None])

    def multipliers(self, vector: Tensor) -> Tensor:
        """Return Lagrange's multipliers (R, k): what each constrained score's change gains along a vector."""
        amounts = (self._inverse @ (self._unit @ vector[..., None])) / self._length
        return torch.where(self._length > 0, amounts, 0.0).squeeze(-1)

    def solve(self, change: Tensor) -> Tensor:
        """Return the shortest step (R, N) that changes the constrained scores by ``change`` (R, k)."""
        wanted = torch.where(self._length > 0, change[..., None] / self._length, 0.0)
        return self._along(wanted)

    def _along(self, amounts: Tensor) -> Tensor:
        vector: Tensor = (self._unit.mT @ (self._inverse @ amounts)).squeeze(-1)
        return vector
