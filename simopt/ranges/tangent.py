"""A batch of constrained problems: search the extreme of a score b while a score a is held at a level.

Each step is a projected gradient step for b on the level set {Y: a(Y) = level}, plus a Newton step back to
this set. Let g be the gradient of a, and h the gradient of b (or of -b to search a minimum), both with
respect to the N = n q entries of Y. Then

    multiplier    mu = g'h / g'g                        Lagrange multiplier: change of b per unit change of a
    ascent        d  = P h,  P = I - gg' / g'g          h without its component along g, so g'd = 0
    step          s  = rate |Y| P Adam(|Y| d) / sqrt(N)      Adam scales d entry by entry, then P again
    restoration   r  = g (level - a) / g'g              the shortest r with g'r = level - a

    Y <- Y + s + r

Since g's = 0, a step of length |s| changes a by order |s|^2 only. The rate falls to 0 along a half cosine,
and with it the violation of the constraint, |level - a|. The result is the Y of the largest merit among all Y
whose violation is at most the tolerance. The merit is

    direction * b + 2 min(mu (level - a), 0),

where direction is 1 for a maximum and -1 for a minimum, and the second term is a one-sided l1 penalty.
Without it, an extreme could be improved by a violation: to first order, by |mu| per unit. An l1 penalty is
exact if its weight is larger than |mu| [2]_; the weight here is 2 |mu|.

References
----------
.. [1] Rosen, J. B. (1961). The gradient projection method for nonlinear programming. Part II: nonlinear
   constraints. Journal of the Society for Industrial and Applied Mathematics 9, 514-532.
.. [2] Han, S.-P. & Mangasarian, O. L. (1979). Exact penalty functions in nonlinear programming.
   Mathematical Programming 17, 251-269. doi:10.1007/BF01588250
.. [3] Kingma, D. P. & Ba, J. (2015). Adam: a method for stochastic optimization. arXiv:1412.6980
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simopt.measures import BoundMeasure, Moments
from simopt.norms import matrix_norm, vector_norm
from simopt.optimization.span import parts
from simopt.ranges.stepwise import Stepwise

# Adam's decay rates, of the mean ascent and of its mean square. Large ones smooth the path, small ones follow
# a level set that bends. A round has 100 steps, all of which Adam's usual 0.999 would average over; it finds
# the same areas as 0.99. 0.8 for the first gains 0.1 % of area, 0.95 loses 0.3 %.
_BETAS = 0.9, 0.99
# Longest Newton step back to the level, relative to the norm of Y. Far from the level a full Newton step
# overshoots; much shorter ones take many steps to arrive. Half and double this length change areas by at most
# 0.02 %.
_LONGEST_RESTORATION = 0.3
BEST = ("best_merit", "best_scores", "best_Y")
"""Names of the attributes of a :class:`Search` that hold the best Y of each problem."""


def evaluate(bound_measures: Sequence[BoundMeasure], Y: Tensor) -> Tensor:
    """Return the scores of each Y (R, n, q) by each measure, (R, measures).

    X'Y and Y'Y are computed once for all measures.
    """
    scores = []
    for part in parts(Y):
        moments = Moments(bound_measures[0].reference, Y[part])
        scores.append(torch.stack([bound.evaluate(moments) for bound in bound_measures], dim=-1))
    return torch.cat(scores)


class Problem(NamedTuple):
    """One problem of a batch: the start, the score that is held, and the extreme that is searched.

    Attributes
    ----------
    Y : Tensor, (n, q)
        The Y from which the search starts.
    level : float
        Score at which the constrained measure is held.
    direction : float
        1 to search the maximum of the other score, -1 to search its minimum.
    rate : float
        Length of the first step, relative to the norm of Y.
    constrained : {0, 1}
        Index of the measure that is held at the level.
    """

    Y: Tensor
    level: float
    direction: float
    rate: float
    constrained: int = 0


class Search(Stepwise):
    """A search for the extremes of R problems, which all advance one step at a time.

    Parameters
    ----------
    bound_measures : pair of BoundMeasure
        The two measures, bound to the same reference.
    problems : sequence of R Problem
        The starts and levels.
    tolerance : float
        Largest violation |level - score| of the held measure at which a Y is accepted as a result.
    steps : int
        Number of steps. The Y after the last step is scored too.

    Attributes
    ----------
    step : int
        Number of steps done so far.
    best_merit : Tensor, (R,)
        Merit (:mod:`simopt.ranges.tangent`) of the best Y; -inf where no Y came within the tolerance.
    best_scores : Tensor, (R, 2)
        Scores of the best Y, in the order of ``bound_measures``.
    best_Y : Tensor, (R, n, q)
        The Y of the largest merit.
    nearest : Tensor, (R,)
        The smallest violation so far.
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
        self.norm = matrix_norm(self.Y)
        # Whether both scores ignore the scale of Y, which is then kept: see _move.
        self._scale_free = all(
            "isotropic_scaling" in bound.measure.facts.invariant_y for bound in bound_measures
        )

    @property
    def done(self) -> bool:
        """Whether all steps are taken and the Y after the last step is scored."""
        return self.step > self.steps

    def advance(self) -> Tensor:
        """Score the current Y, keep the best, and take a step, except after the last score.

        Returns
        -------
        Tensor, (R, 2)
            The scores before the step, in the order of ``bound_measures``.
        """
        scores = torch.cat([self._advance(part) for part in parts(self.Y)])
        self.step += 1
        return scores

    def _advance(self, part: slice) -> Tensor:
        moments = Moments(self.bound_measures[0].reference, self.Y[part].clone().requires_grad_())
        a, b = (bound.evaluate(moments) for bound in self.bound_measures)
        # Problems do not share entries of Y: the gradient of a sum of scores holds the gradient of each. Both
        # scores use the same decompositions of Y, so the first call must leave the graph in place.
        gradients = [
            torch.autograd.grad(a.sum(), moments.Y, retain_graph=True)[0],
            torch.autograd.grad(b.sum(), moments.Y)[0],
        ]
        scores = torch.stack([a, b], dim=-1).detach()  # (R, 2)
        scores = torch.where(_can_be_squared(self.Y[part])[:, None], scores, math.nan)
        flat = torch.stack(gradients, dim=1).flatten(start_dim=2)  # (R, 2, n q)
        row = torch.arange(len(scores), device=scores.device)
        # In one batch some problems hold the first measure, others the second: pick each one's own pair.
        constrained, direction = self._constrained[part], self._direction[part]
        violation = self._level[part] - scores[row, constrained]
        objective = direction[:, None] * flat[row, 1 - constrained]  # (R, N), h
        constraint = _Constraint(self._averaged(part, flat[row, constrained], violation))
        # To first order, direction * b at the level itself would be larger by mu (level - a). Where that is
        # negative, the violation has been of use, and the merit takes it off twice. Where it is positive,
        # nothing is added: the merit would count on an estimate instead of a score. With weight 0 or 1 in
        # place of 2 an extreme ended at 0.9 of the tolerance from its level; weight 4 lost up to 0.1 % of
        # area.
        loss = (constraint.multiplier(objective) * violation).nan_to_num().clamp(max=0)
        self._keep(part, scores, violation.abs(), direction * scores[row, 1 - constrained] + 2 * loss)
        if self.step < self.steps:
            self._move(part, constraint, objective, violation)
        return scores

    def _averaged(self, part: slice, gradient: Tensor, violation: Tensor) -> Tensor:
        """Return the constraint's gradient (R, N); for stuck problems its average with the last one.

        A score can have kinks: a nuclear norm has one wherever a singular value is zero. At a kink the
        gradient flips from step to step, and a step along it changes the score by less than it predicts, or
        in the wrong direction. With g0 the last gradient and g1 this one, the shortest vector on the segment
        between them is

            g0 + c (g1 - g0),  c = -g0'(g1 - g0) / |g1 - g0|^2 clipped to [0, 1],

        in which the part that flips cancels. It is used in the second half of the steps only, and only for
        problems that were never at their level and that the last restoration did not bring nearer: elsewhere
        it would distort the direction along the level set. Without it 3 or 4 of 22 extremes at levels of cca
        are not found. Using it sooner, wherever a restoration leaves 0.7 of the violation, makes the ranges
        found 1.5 % narrower.
        """
        never_there = self.best_merit[part] == -math.inf
        if self.step < self.steps // 2 or not bool(never_there.any()):
            return gradient
        # self.normal and self.violation are not kept up to date in the first half: at their first use here
        # the last gradient is 0 and the last violation infinite, so no problem counts as stuck.
        last, distance = self.normal[part], violation.abs()
        change = gradient - last
        share = -(last * change).sum(dim=-1) / change.square().sum(dim=-1)
        mean = last + share.clamp(0, 1)[:, None] * change
        stuck = never_there & (distance > self.violation[part])
        self.normal[part] = torch.where(stuck[:, None] & mean.isfinite(), mean, gradient)
        self.violation[part] = distance
        return self.normal[part]

    def _keep(self, part: slice, scores: Tensor, distance: Tensor, merit: Tensor) -> None:
        # Scores that are NaN compare as false below, and fmin ignores them.
        self.nearest[part] = torch.fmin(self.nearest[part], distance)
        better = (distance <= self.tolerance) & (merit > self.best_merit[part])
        self.best_merit[part] = torch.where(better, merit, self.best_merit[part])
        self.best_scores[part] = torch.where(better[:, None], scores, self.best_scores[part])
        self.best_Y[part] = torch.where(better[:, None, None], self.Y[part], self.best_Y[part])

    def _move(self, part: slice, constraint: _Constraint, objective: Tensor, violation: Tensor) -> None:
        Y = self.Y[part]
        norm = matrix_norm(Y)[:, None]  # (R, 1)
        # The gradient of a score that ignores scale goes with 1 / |Y|. Times |Y| it has the same size at any
        # scale of Y, as Adam's means need. Adam divides entry by entry, so its direction is no longer
        # orthogonal to g, and P is applied again.
        step = constraint.tangent(self._adam(part, constraint.tangent(objective) * norm))
        # Steps shrink to 0 within a round. At constant length they end around the extreme, not at it, which
        # costs 1.5 % of area.
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        # Adam's entries are about 1, and its norm about sqrt(N): the step is about rate * |Y| long.
        step = step * (cosine * self._rate[part, None]) * norm / math.sqrt(step.shape[-1])
        restoration = constraint.restoration(violation)
        longest = _LONGEST_RESTORATION * norm
        shorter = longest / vector_norm(restoration, dim=-1, keepdim=True)
        move = step + restoration * torch.where(shorter < 1, shorter, 1.0)
        # Where a gradient is not finite, Y stays; the other problems of the batch go on.
        usable = move.isfinite().all(dim=-1, keepdim=True)
        Y = Y + torch.where(usable, move, 0.0).reshape(Y.shape)
        if self._scale_free:
            # Gradients are then orthogonal to Y, and steps would make Y longer without end, to no effect on
            # the scores. Areas without this line differ by no more than those of another seed.
            Y = Y * (self.norm[part] / matrix_norm(Y))[:, None, None]
        self.Y[part] = Y

    def _adam(self, part: slice, ascent: Tensor) -> Tensor:
        """Return Adam's direction (R, N) for an ascent (R, N); its entries are about 1 in size.

        torch.optim.Adam would move Y at once; here the direction is projected before it becomes a step.
        """
        first, second = _BETAS
        ascent = torch.where(ascent.isfinite(), ascent, 0.0).reshape(self.Y[part].shape)
        self.first_moment[part] = first * self.first_moment[part] + (1 - first) * ascent
        self.second_moment[part] = second * self.second_moment[part] + (1 - second) * ascent.square()
        # The moments start at 0: dividing by 1 - beta^t makes them weighted means of the ascents so far.
        mean = self.first_moment[part] / (1 - first ** (self.step + 1))
        size = (self.second_moment[part] / (1 - second ** (self.step + 1))).sqrt()
        return (mean / size.clamp_min(torch.finfo(size.dtype).tiny)).flatten(start_dim=1)


def _can_be_squared(Y: Tensor) -> Tensor:
    """Whether |Y|^4 neither overflows nor underflows, (R,).

    CKA divides by ||Y'Y||_F, of the size of |Y|^2, computed from its square. In float32 that overflows from
    |Y| = 4e9 on, and CKA is then 0 whatever Y is.
    """
    power = matrix_norm(Y).square().square()
    usable: Tensor = power.isfinite() & (power >= torch.finfo(power.dtype).tiny)
    return usable


class _Constraint:
    """The constrained score to first order: its gradient g (R, N), kept as length |g| and normal g / |g|.

    A gradient of 0 has normal 0: nothing is projected out, the multiplier is 0, and there is no restoration.
    """

    def __init__(self, gradient: Tensor) -> None:
        self._length = vector_norm(gradient, dim=-1, keepdim=True)
        self._normal = torch.where(self._length > 0, gradient / self._length, 0.0)

    def tangent(self, vector: Tensor) -> Tensor:
        """Return P v = v - g (g'v) / g'g of vectors v (R, N), along which the score does not change."""
        return vector - self._normal * (self._normal * vector).sum(dim=-1, keepdim=True)

    def multiplier(self, vector: Tensor) -> Tensor:
        """Return the Lagrange multiplier g'v / g'g of each vector v (R, N), a tensor (R,)."""
        return self._per_length((self._normal * vector).sum(dim=-1)).squeeze(-1)

    def restoration(self, change: Tensor) -> Tensor:
        """Return g change / g'g, the shortest step (R, N) that changes the score by ``change`` (R,)."""
        return self._normal * self._per_length(change)

    def _per_length(self, value: Tensor) -> Tensor:
        return torch.where(self._length > 0, value[:, None] / self._length, 0.0)
