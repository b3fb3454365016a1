"""The least and the largest score of one measure where another is held at a level.

All levels and both directions are one batch. The first round starts each from several Y: random, X with
noise, and the structures (:mod:`simopt.ranges.starts`) whose scores come nearest to what is sought. Each
further round starts from the best Y of its own level and of the levels below and above. The last one looks
between levels, and where the boundary is steep at levels of the other measure, as no chord there is short
enough.

Why a projected gradient: on 60 PCs of the surrogate of majaj (procrustes_angular at cka 0.3, 0.6 and 0.9)
300 of its steps came as far as 900 of an augmented Lagrangian of the best of three penalties; with the least
of them that was not at the level even then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit
from simopt.ranges import starts
from simopt.ranges.space import Space
from simopt.ranges.stepwise import Stepwise
from simopt.ranges.tangent import Problems, Search
from simopt.typing import FloatArray

LEVELS = tuple(round(0.1 * i, 1) for i in range(11))
_NEIGHBOURS = 3
_KEPT = ("best", "best_scores", "best_Y", "nearest", "spread", "gain")


@dataclass(frozen=True)
class Options:
    """How hard a boundary is looked for.

    At 11 levels the default takes about 36,000 scores with their gradients. ``starts=2, steps=60, rounds=2,
    between=1`` takes 10,000, for large data: on 60 PCs of the surrogate of majaj (procrustes_angular at
    levels of cka) its extremes were within 0.002 of the default's, those at cka 0 within 0.015.

    Parameters
    ----------
    units : int or None
        Units of Y, on which the range depends: the noise of more of them is spread more thinly. None: as
        many as X has.
    starts : int, >= 2
        Starts of each level and direction: the first is random, the second X with noise, the others
        structures.
    steps : int
        Of a round.
    rounds : int
        One from the starts, the others from neighbouring levels.
    between : int
        Levels of one constrained measure between every two, whose extremes are looked for in one more round,
        from those; where the boundary is steep, also levels of the sought one. They are only passed points,
        but bring the boundary out to where it bends.
    rate : float
        Length of the first step of the first round, relative to the norm of Y.
    tolerance : float
        Distance from the level up to which a Y counts.
    seed : int
    """

    units: int | None = None
    starts: int = 4
    steps: int = 100
    rounds: int = 3
    between: int = 3
    rate: float = 0.3
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.units is not None:
            checks.whole(self.units, 1, "units")
        checks.whole(self.starts, 2, "starts")
        checks.whole(self.steps, 1, "steps")
        checks.whole(self.rounds, 1, "rounds")
        checks.whole(self.between, 0, "between")
        checks.at_least(self.rate, 0, "rate", strict=True)
        checks.at_least(self.tolerance, 0, "tolerance", strict=True)
        checks.whole(self.seed, 0, "seed")


@dataclass(frozen=True)
class Extremes:
    """What a boundary search found; the second axis is (minimum, maximum).

    Attributes
    ----------
    levels : array, (L, k)
        Of the constrained measures.
    value : array, (L, 2)
        The extreme score; NaN where no Y came within the tolerance of the level.
    feasibility : array, (L, 2)
        Largest |score - level| of the constrained measures at that Y; where there is none, the least that
        was met.
    spread : array, (L, 2)
        Largest less smallest extreme over the starts of the first round.
    gain : array, (L, 2)
        By how much the last round bettered the extreme: not converged where it is large. NaN after one round.
    points : array, (N, k + 1)
        The scores of every Y that was passed on the way, all of which can occur.
    """

    levels: FloatArray
    value: FloatArray
    feasibility: FloatArray
    spread: FloatArray
    gain: FloatArray
    points: FloatArray


class Boundary(Stepwise):
    """A search for the extremes of one measure at levels of others, that can be stopped and resumed.

    Parameters
    ----------
    reference : Reference
    constrained : sequence of k Measure
    sought : Measure
    levels : array-like, (L,) for one constrained measure, or (L, k)
        Neighbours in this order are started from each other.
    options : Options

    Raises
    ------
    InputError
        A measure without a gradient, or levels of another shape, not finite or outside of a measure's range.
    """

    def __init__(
        self,
        reference: Reference,
        constrained: Sequence[Measure],
        sought: Measure,
        levels: Sequence[float] | FloatArray = LEVELS,
        options: Options | None = None,
    ) -> None:
        self.options = options or Options()
        self.measures = [*constrained, sought]
        check_measures(self.measures)
        self.levels = _levels(levels, constrained)
        self._units = self.options.units or reference.responses.shape[-1]
        Y0 = GaussianInit()([self.options.seed], reference.samples, self._units)[0]
        self.space = Space(reference, Y0, self.measures)
        self.bounds = [measure.bind(self.space.reference) for measure in self.measures]
        scores = self.space.reference.scores
        self._direction = scores.new_tensor([-1.0, 1.0]).repeat(len(self.levels))
        self._targets = torch.from_numpy(self.levels).to(scores).repeat_interleave(2, dim=0)
        shape = len(self._targets), scores.shape[0], self._units
        self.round = 0
        fills = self.options.between > 0 and self.levels.shape[1] == 1 and len(self.levels) > 1
        self._rounds = self.options.rounds + fills
        self.best = scores.new_full(shape[:1], -math.inf)
        self.best_scores = scores.new_full((shape[0], len(self.measures)), math.nan)
        self.best_Y = scores.new_zeros(shape)
        self.nearest = scores.new_full(shape[:1], math.inf)
        self.spread = scores.new_full(shape[:1], math.nan)
        self.gain = scores.new_full(shape[:1], math.nan)
        self._structures = starts.structures(len(self.space.amplitude), self._units, self.space.outside)
        self._points: list[Tensor] = []
        self._search = self._start()

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps are done, and how many there are."""
        each = self.options.steps + 1
        return self.round * each + (0 if self.done else self._search.step), self._rounds * each

    @property
    def done(self) -> bool:
        """Whether all rounds are over."""
        return self.round >= self._rounds

    def advance(self) -> None:
        """Take one step of all problems; at the end of a round, gather and begin the next."""
        if self.done:
            return
        self._points.append(self._search.advance())
        if self._search.done:
            if self.round < self.options.rounds:
                self._gather()
            self.round += 1
            if not self.done:
                self._search = self._continue()

    def extremes(self) -> Extremes:
        """Return what was found so far."""
        found = self.best.isfinite()
        apart = (self.best_scores[:, :-1] - self._targets).abs().amax(dim=-1)
        return Extremes(
            levels=self.levels,
            value=self._table(self.best_scores[:, -1]),
            feasibility=self._table(torch.where(found, apart, self.nearest)),
            spread=self._table(self.spread),
            gain=self._table(self.gain),
            points=self.points(),
        )

    def points(self) -> FloatArray:
        """Return the scores (N, k + 1) of every Y so far, in the order of the measures."""
        points = torch.cat([part.reshape(-1, len(self.measures)) for part in self._points])
        points = points[points.isfinite().all(dim=-1)]
        return points.cpu().double().numpy()

    def extreme(self) -> Tensor:
        """Return the Y of the extremes, (L, 2, n, q), of all samples; NaN where there is none."""
        found = self.best.isfinite()[:, None, None]
        Y = self.space.expand(torch.where(found, self.best_Y, math.nan))
        return Y.reshape(len(self.levels), 2, *Y.shape[1:])

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs, to be saved before the next step: tensors and plain numbers."""
        return {
            "round": self.round,
            "search": None if self.done else self._search.state(),
            "points": torch.cat([part.reshape(-1, len(self.measures)) for part in self._points]),
            **{name: getattr(self, name) for name in _KEPT},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the search where :meth:`state` was taken; options and levels must be the same."""
        self.round = int(state["round"])
        self._points = [state["points"].to(self.best)]
        for name in _KEPT:
            getattr(self, name).copy_(state[name])
        if self.done:
            return
        if self.round > 0:
            self._search = self._continue()
        self._search.restore(state["search"])

    def _table(self, values: Tensor) -> FloatArray:
        return values.reshape(-1, 2).cpu().double().numpy()

    def _start(self) -> Search:
        seed, units, count = self.options.seed, self._units, self.options.starts
        self._points.append(starts.scored(self.space, self.bounds, self._structures, units, seed))
        Y, random = [], starts.random(self.space, units, seed)
        for levels, direction in zip(self._targets, self._direction.tolist(), strict=True):
            Y += [random, *self._structured(levels, direction, count - 1)]
        return self._batch(torch.stack(Y), count)

    def _continue(self) -> Search:
        """Start from the best Y of each level and of its neighbours, where there is one."""
        if self.round == self.options.rounds:
            return self._fill()
        found = self.best.isfinite().reshape(-1, 2).tolist()
        Y = []
        for at in range(len(found)):
            for side in range(2):
                known = [level for level, both in enumerate(found) if both[side]]
                nearest = sorted(known, key=lambda level: abs(level - at))[:_NEIGHBOURS]
                nearest += nearest[:1] * (_NEIGHBOURS - len(nearest))
                Y += [self.best_Y[2 * level + side] for level in nearest] or [self._search.Y[0]] * _NEIGHBOURS
        return self._batch(torch.stack(Y), _NEIGHBOURS)

    def _fill(self) -> Search:
        """Start each problem between levels from a neighbour's extreme, and at ends from a structure too.

        An outermost level may be an end of the range, where Y is X or noise and gradients vanish: nothing
        starts there. And the way from the inner level to X leads past saddles, at each PC that its Y lacks.
        """
        like, value = self._targets, self._table(self.best_scores[:, -1])
        Y, levels, direction, rate, order = [], [], [], [], []
        for each in starts.between(self.levels[:, 0], value, self.options.between):
            places = [1, 0] if each.across else [0, 1]
            at = each.begin
            begin = [self._search.Y[0] if at is None else self.best_Y[2 * at + each.side]]
            if each.across or each.shorter < 1:
                level = like.new_tensor([each.level])
                begin += self._structured(level, each.direction, 2, places)[1:]
            Y += begin
            levels += [[each.level]] * len(begin)
            direction += [each.direction] * len(begin)
            full = self.options.rate / (1 if each.across else 1 + self.round)
            rate += [full * each.shorter] * len(begin)
            order += [places] * len(begin)
        problems = Problems(
            levels=like.new_tensor(levels),
            direction=like.new_tensor(direction),
            tolerance=self.options.tolerance,
            steps=self.options.steps,
            rate=like.new_tensor(rate),
            order=torch.tensor(order, device=like.device),
        )
        return Search(self.bounds, torch.stack(Y), problems)

    def _structured(
        self, levels: Tensor, direction: float, count: int, order: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Return Y of structures to start a problem from; their scores are the first of all points."""
        scores = self._points[0][: len(self._structures)]
        scores = scores if order is None else scores[:, order]
        picked = starts.choose(scores, self._structures, levels, direction, count)
        seed = self.options.seed
        return [starts.build(self.space, self._structures[i], self._units, seed) for i in picked]

    def _batch(self, Y: Tensor, each: int) -> Search:
        levels = self._targets.repeat_interleave(each, dim=0)
        problems = Problems(
            levels=levels,
            direction=self._direction.repeat_interleave(each),
            tolerance=self.options.tolerance,
            steps=self.options.steps,
            rate=torch.full_like(levels[:, 0], self.options.rate / (1 + self.round)),
        )
        return Search(self.bounds, Y, problems)

    def _gather(self) -> None:
        count = len(self.best)
        ends = self._search.best.reshape(count, -1)
        top, which = ends.max(dim=1)
        if self.round == 0:
            lowest = torch.where(ends.isfinite(), ends, math.inf).amin(dim=1)
            self.spread.copy_(torch.where(top.isfinite(), top - lowest, math.nan))
        else:
            self.gain.copy_((top - self.best).clamp_min(0))
        place = torch.arange(count, device=which.device) * ends.shape[1] + which
        better = top > self.best
        self.best.copy_(torch.where(better, top, self.best))
        self.best_scores.copy_(
            torch.where(better[:, None], self._search.best_scores[place], self.best_scores)
        )
        self.best_Y.copy_(torch.where(better[:, None, None], self._search.best_Y[place], self.best_Y))
        self.nearest.copy_(torch.minimum(self.nearest, self._search.nearest.reshape(count, -1).amin(dim=1)))


def check_measures(measures: Sequence[Measure]) -> None:
    """Refuse measures that have no gradient.

    Raises
    ------
    InputError
        One of them has none.
    """
    for measure in measures:
        if not measure.differentiable:
            raise InputError(f"{measure.name} has no gradient: its joint range cannot be searched.")


def _levels(levels: Sequence[float] | FloatArray, constrained: Sequence[Measure]) -> FloatArray:
    table = np.asarray(levels, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    count = len(constrained)
    if table.ndim != 2 or table.shape[1] != count or not len(table):
        raise InputError(f"levels has shape {np.shape(levels)}; expected (levels, {count}).")
    for column, measure in zip(table.T, constrained, strict=True):
        low, high = measure.facts.low, measure.facts.high
        for level in column:
            if not (math.isfinite(level) and low <= level <= high):
                raise InputError(f"a level is {level}; {measure.name} lies between {low:g} and {high:g}.")
    return table
