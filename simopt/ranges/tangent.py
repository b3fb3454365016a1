"""A batch of constrained problems: the extreme of one score where another is held at a level.

Each step is one of sequential quadratic programming, for ascent of b on the level set {Y: a(Y) = level}. With
g the gradient of a, and h that of b (for a minimum: of -b), both with respect to Y,

    multiplier    mu = g'h / g'g                      what b gains for each unit by which a is let rise
    ascent        d  = P h,  P = I - gg' / g'g        h less its component along g: a stays, to first order
    step          s  = rate |Y| P Adam(|Y| d) / sqrt(N)       N entries of Y; Adam scales d entry by entry
    restoration   r  = g (level - a) / g'g            Newton's step: the shortest one back to the level

    Y <- Y + s + r

A step of length |s| leaves the level by order |s|^2. The rate falls to 0 along a half cosine, and the
violation of the constraint, level - a, vanishes with it. Of all Y that are passed, those count whose
violation is at most the tolerance. The best of them has the largest merit

    direction * b + 2 min(mu (level - a), 0),

a one-sided l1 penalty. Without it an extreme would gain by spending the tolerance, to first order |mu| a unit
of violation; a penalty is exact where its weight is larger than |mu|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simopt.measures import BoundMeasure, Moments
from simopt.optimization.span import parts
from simopt.ranges.stepwise import Stepwise

_BETAS = 0.9, 0.99
"""Adam's, of the ascent and of its square: long ones smooth, short ones follow a level set that bends. A
round has 100 steps, which the usual 0.999 would all remember; it finds the same. 0.8 for the first gains
0.1 % of area, 0.95 loses 0.3 %."""
_LONGEST_RESTORATION = 0.3
"""Relative to the norm of Y. Far from the level a whole Newton step overshoots; short ones take many steps to
get there. Half and double of it change areas by at most 0.02 %."""
BEST = ("best_merit", "best_scores", "best_Y")
"""What is kept of the best Y."""


def evaluate(bound_measures: Sequence[BoundMeasure], Y: Tensor) -> Tensor:
    """Return the scores (R, measures) of Y (R, n, q), from the same moments."""
    scores = []
    for part in parts(Y):
        moments = Moments(bound_measures[0].reference, Y[part])
        scores.append(torch.stack([bound.evaluate(moments) for bound in bound_measures], dim=-1))
    return torch.cat(scores)


class Problem(NamedTuple):
    """One problem of a batch.

    Attributes
    ----------
    Y : Tensor, (n, q)
        Where it starts.
    level : float
    direction : float
        1 for the maximum of the other score, -1 for its minimum.
    rate : float
        Length of the first step, relative to the norm of Y.
    constrained : {0, 1}
        Which of the two scores is held at the level.
    """

    Y: Tensor
    level: float
    direction: float
    rate: float
    constrained: int = 0


class Search(Stepwise):
    """Problems, step by step.

    Parameters
    ----------
    bound_measures : pair of BoundMeasure, of one reference
    problems : sequence of R Problem
    tolerance : float
        Largest violation of the constraint at which a Y counts.
    steps : int

    Attributes
    ----------
    step : int
    best_merit : Tensor, (R,)
        -inf where no Y came within the tolerance.
    best_scores : Tensor, (R, 2)
    best_Y : Tensor, (R, n, q)
    nearest : Tensor, (R,)
        The least violation so far.
    """

    _STATE = ("step", "Y", "first_moment", "second_moment", "violation", "normal", "norm", "nearest", *BEST)

    def __init__(
        self,
        bound_measures: Sequence[BoundMeasure],
        problems: Sequence[Problem],
        tolerance: float,
        steps: int,
    ) -> None:
        self.bound_measures = list(bound_measures)
        self.tolerance, self.steps, self.step = tolerance, steps, 0
        self.Y = torch.stack([problem.Y for problem in problems])
        _, levels, directions, rates, constrained = zip(*problems, strict=True)
        self._level, self._direction, self._rate = map(self.Y.new_tensor, (levels, directions, rates))
        self._constrained = torch.tensor(constrained, device=self.Y.device)
        self.first_moment = torch.zeros_like(self.Y)
        self.second_moment = torch.zeros_like(self.Y)
        self.best_merit = torch.full_like(self._level, -math.inf)
        self.best_scores = self.Y.new_full((len(problems), 2), math.nan)
        self.best_Y = self.Y.clone()
        self.nearest = torch.full_like(self._level, math.inf)
        self.violation = torch.full_like(self._level, math.inf)
        self.normal = torch.zeros_like(self.Y).flatten(start_dim=1)
        self.norm = torch.linalg.matrix_norm(self.Y)
        self._scale_free = all(
            "isotropic_scaling" in bound.measure.facts.invariant_y for bound in bound_measures
        )

    @property
    def done(self) -> bool:
        """Whether all steps are taken and their end is scored."""
        return self.step > self.steps

    def advance(self) -> Tensor:
        """Score the current Y, keep what is best, and take a step unless it is the end.

        Returns
        -------
        Tensor, (R, 2)
            The scores, before the step.
        """
        scores = torch.cat([self._advance(part) for part in parts(self.Y)])
        self.step += 1
        return scores

    def _advance(self, part: slice) -> Tensor:
        moments = Moments(self.bound_measures[0].reference, self.Y[part].clone().requires_grad_())
        a, b = (bound.evaluate(moments) for bound in self.bound_measures)
        gradients = [
            torch.autograd.grad(a.sum(), moments.Y, retain_graph=True)[0],
            torch.autograd.grad(b.sum(), moments.Y)[0],
        ]
        scores = torch.stack([a, b], dim=-1).detach()
        scores = torch.where(_can_be_squared(self.Y[part])[:, None], scores, math.nan)
        flat = torch.stack(gradients, dim=1).flatten(start_dim=2)  # (R, 2, n q)
        row = torch.arange(len(scores), device=scores.device)
        constrained, direction = self._constrained[part], self._direction[part]
        violation = self._level[part] - scores[row, constrained]
        objective = direction[:, None] * flat[row, 1 - constrained]
        constraint = _Constraint(self._averaged(part, flat[row, constrained], violation))
        loss = (constraint.multiplier(objective) * violation).nan_to_num().clamp(max=0)
        self._keep(part, scores, violation.abs(), direction * scores[row, 1 - constrained] + 2 * loss)
        if self.step < self.steps:
            self._move(part, constraint, objective, violation)
        return scores

    def _averaged(self, part: slice, gradient: Tensor, violation: Tensor) -> Tensor:
        """Return the constraint's gradient (R, N), where a problem is stuck averaged with the last one.

        A score may have kinks, as nuclear norms have where a singular value is zero. There its gradient flips
        from step to step, and a step along it changes the score by less than it says, or the wrong way. The
        shortest vector between the last gradient and this one lacks what has flipped. It is taken from half
        of the steps on, for problems that were never at their level and that the last restoration brought no
        nearer: elsewhere it would only bend the way along the level. Without it 3 or 4 of 22 extremes at
        levels of cca are not found. To take it sooner, where a restoration leaves 0.7 of the violation, makes
        their ranges 1.5 % narrower.
        """
        never_there = self.best_merit[part] == -math.inf
        if self.step < self.steps // 2 or not bool(never_there.any()):
            return gradient
        last, distance = self.normal[part], violation.abs()
        change = gradient - last
        share = -(last * change).sum(dim=-1) / change.square().sum(dim=-1)
        mean = last + share.clamp(0, 1)[:, None] * change
        stuck = never_there & (distance > self.violation[part])
        self.normal[part] = torch.where(stuck[:, None] & mean.isfinite(), mean, gradient)
        self.violation[part] = distance
        return self.normal[part]

    def _keep(self, part: slice, scores: Tensor, distance: Tensor, merit: Tensor) -> None:
        self.nearest[part] = torch.fmin(self.nearest[part], distance)
        better = (distance <= self.tolerance) & (merit > self.best_merit[part])
        self.best_merit[part] = torch.where(better, merit, self.best_merit[part])
        self.best_scores[part] = torch.where(better[:, None], scores, self.best_scores[part])
        self.best_Y[part] = torch.where(better[:, None, None], self.Y[part], self.best_Y[part])

    def _move(self, part: slice, constraint: _Constraint, objective: Tensor, violation: Tensor) -> None:
        Y = self.Y[part]
        norm = torch.linalg.matrix_norm(Y)[:, None]
        step = constraint.tangent(self._adam(part, constraint.tangent(objective) * norm))
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        step = step * (cosine * self._rate[part, None]) * norm / math.sqrt(step.shape[-1])
        restoration = constraint.restoration(violation)
        longest = _LONGEST_RESTORATION * norm
        shorter = longest / torch.linalg.vector_norm(restoration, dim=-1, keepdim=True)
        move = step + restoration * torch.where(shorter < 1, shorter, 1.0)
        usable = move.isfinite().all(dim=-1, keepdim=True)
        Y = Y + torch.where(usable, move, 0.0).reshape(Y.shape)
        if self._scale_free:  # Steps across Y would lengthen it without end.
            Y = Y * (self.norm[part] / torch.linalg.matrix_norm(Y))[:, None, None]
        self.Y[part] = Y

    def _adam(self, part: slice, ascent: Tensor) -> Tensor:
        """Return Adam's step (R, N), of entries about 1."""
        first, second = _BETAS
        ascent = torch.where(ascent.isfinite(), ascent, 0.0).reshape(self.Y[part].shape)
        self.first_moment[part] = first * self.first_moment[part] + (1 - first) * ascent
        self.second_moment[part] = second * self.second_moment[part] + (1 - second) * ascent.square()
        mean = self.first_moment[part] / (1 - first ** (self.step + 1))
        size = (self.second_moment[part] / (1 - second ** (self.step + 1))).sqrt()
        return (mean / size.clamp_min(torch.finfo(size.dtype).tiny)).flatten(start_dim=1)


def _can_be_squared(Y: Tensor) -> Tensor:
    """Whether ||Y||^4 neither overflows nor vanishes, (R,): beyond, CKA is 0 whatever Y is."""
    power = torch.linalg.matrix_norm(Y).square().square()
    usable: Tensor = power.isfinite() & (power >= torch.finfo(power.dtype).tiny)
    return usable


class _Constraint:
    """The constrained score to first order: its gradient g (R, N), as a length and a unit normal."""

    def __init__(self, gradient: Tensor) -> None:
        self._length = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        self._normal = torch.where(self._length > 0, gradient / self._length, 0.0)

    def tangent(self, vector: Tensor) -> Tensor:
        """Return P v of vectors (R, N): what of them leaves the constrained score as it is."""
        return vector - self._normal * (self._normal * vector).sum(dim=-1, keepdim=True)

    def multiplier(self, vector: Tensor) -> Tensor:
        """Return Lagrange's multiplier g'v / g'g of vectors (R, N), (R,)."""
        return self._per_length((self._normal * vector).sum(dim=-1)).squeeze(-1)

    def restoration(self, change: Tensor) -> Tensor:
        """Return the shortest step (R, N) that changes the constrained score by ``change`` (R,)."""
        return self._normal * self._per_length(change)

    def _per_length(self, value: Tensor) -> Tensor:
        return torch.where(self._length > 0, value[:, None] / self._length, 0.0)
