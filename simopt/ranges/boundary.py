"""The least and the largest score of one measure where another is held at a level.

All levels and both directions are one batch. The first round starts each from several Y: random, X with
noise, and the structures (:mod:`simopt.ranges.starts`) whose scores come nearest to what is sought. Each
further round starts from the best Y of its own level and of the levels below and above. The last one looks
between levels, and where the boundary is steep at levels of the other measure, as no chord there is short
enough.

Why a projected gradient: on 60 PCs of the surrogate of majaj (procrustes_angular at cka 0.3, 0.6 and 0.9)
300 of its steps came as far as 900 of an augmented Lagrangian of the best of three penalties; with the least
of them that was not at the level even then.

What is said of constants here, in :mod:`~simopt.ranges.starts` and in :mod:`~simopt.ranges.tangent` was
measured on the area found for cka and procrustes_angular (float32, 11 levels, 50 steps, 2 rounds, 3 starts)
on the ultrametric data and on those 60 PCs. Another seed changes it by up to 0.08 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.span import Span, rows_suffice
from simopt.ranges import starts
from simopt.ranges.stepwise import Stepwise
from simopt.ranges.tangent import BEST, Problem, Search
from simopt.typing import FloatArray

LEVELS = tuple(round(0.1 * i, 1) for i in range(11))
_NEIGHBORS = 3
"""A level's own best Y, and those of the levels below and above. Its own alone loses 0.2 % of area at the
levels for 16 % fewer scores; two on each side gain 0.02 % for 16 % more."""


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
        One from the starts, the others from neighboring levels.
    between : int
        Levels between every two, whose extremes are looked for in one more round, from those of the levels;
        where the boundary is steep, also levels of the sought measure. They are only passed points, but bring
        the boundary out to where it bends.
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
        for name, least in (("starts", 2), ("steps", 1), ("rounds", 1), ("between", 0), ("seed", 0)):
            checks.whole(getattr(self, name), least, name)
        checks.at_least(self.rate, 0, "rate", strict=True)
        checks.at_least(self.tolerance, 0, "tolerance", strict=True)


@dataclass(frozen=True)
class Extremes:
    """What a boundary search found; the second axis is (minimum, maximum).

    Attributes
    ----------
    levels : array, (L,)
        Of the constrained measure.
    value : array, (L, 2)
        The extreme score; NaN where no Y came within the tolerance of the level.
    feasibility : array, (L, 2)
        |score - level| of the constrained measure at that Y; where there is none, the least that was met.
    spread : array, (L, 2)
        Largest less smallest extreme over the starts of the first round.
    gain : array, (L, 2)
        By how much the last round bettered the extreme: not converged where it is large. NaN after one round.
    points : array, (N, 2)
        The scores (constrained, sought) of every Y that was passed on the way, all of which can occur.
    """

    levels: FloatArray
    value: FloatArray
    feasibility: FloatArray
    spread: FloatArray
    gain: FloatArray
    points: FloatArray


class Boundary(Stepwise):
    """A search for the extremes of one measure at levels of another, that can be stopped and resumed.

    Parameters
    ----------
    reference : Reference
    constrained, sought : Measure
    levels : array-like, (L,)
        Of the constrained measure; neighbors in this order are started from each other.
    options : Options

    Raises
    ------
    InputError
        A measure without a gradient, or levels of another shape, not finite or outside of a measure's range.
    """

    _STATE = (*BEST, "round", "nearest", "spread", "gain")

    def __init__(
        self,
        reference: Reference,
        constrained: Measure,
        sought: Measure,
        levels: Sequence[float] | FloatArray = LEVELS,
        options: Options | None = None,
    ) -> None:
        self.options = options or Options()
        pair = [constrained, sought]
        check_measures(pair)
        self.levels = _levels(levels, constrained)
        units = self.options.units or reference.responses.shape[-1]
        Y0 = GaussianInit()([self.options.seed], reference.samples, units)[0]
        self.span = Span(reference, linalg.center(Y0), rows_suffice(reference, units, pair))
        reference = self.span.reference
        self.bound_measures = [measure.bind(reference) for measure in pair]
        self.round = 0
        fills = self.options.between > 0 and len(self.levels) > 1
        self._rounds = self.options.rounds + fills
        # Row 2 * level + side is the minimum (side 0) or the maximum (side 1) at that level.
        rows = 2 * len(self.levels)
        like = reference.scores
        self.best_merit = like.new_full((rows,), -math.inf)
        self.best_scores = like.new_full((rows, 2), math.nan)
        self.best_Y = like.new_zeros(rows, reference.samples, units)
        self.nearest = like.new_full((rows,), math.inf)
        self.spread, self.gain = like.new_full((2, rows), math.nan)
        self._structures = starts.Structures(self.span, self.bound_measures, units, self.options.seed)
        self._points: list[Tensor] = [self._structures.scores]
        self._search = self._begin()

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps are done, and how many there are."""
        in_round = self.options.steps + 1
        return self.round * in_round + (0 if self.done else self._search.step), self._rounds * in_round

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
                self._search = self._begin()

    def extremes(self) -> Extremes:
        """Return what was found so far."""
        levels = torch.from_numpy(self.levels).to(self.best_merit).repeat_interleave(2)
        violation = (self.best_scores[:, 0] - levels).abs()
        return Extremes(
            levels=self.levels,
            value=_table(self.best_scores[:, 1]),
            feasibility=_table(torch.where(self.best_merit.isfinite(), violation, self.nearest)),
            spread=_table(self.spread),
            gain=_table(self.gain),
            points=self.points(),
        )

    def points(self) -> FloatArray:
        """Return the scores (N, 2) of every Y so far, in the order of the measures."""
        points = torch.cat(self._points)
        points = points[points.isfinite().all(dim=-1)]
        return points.cpu().double().numpy()

    def extreme(self) -> Tensor:
        """Return the Y of the extremes, (L, 2, n, q), of all samples; NaN where there is none."""
        found = self.best_merit.isfinite()[:, None, None]
        Y = self.span.expand(torch.where(found, self.best_Y, math.nan))
        return Y.reshape(len(self.levels), 2, *Y.shape[1:])

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs, with the search of this round and the scores of all Y."""
        search = None if self.done else self._search.state()
        return super().state() | {"search": search, "points": torch.cat(self._points)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the search where :meth:`state` was taken; options and levels must be the same."""
        super().restore(state)
        self._points = [state["points"].to(self.best_merit)]
        if not self.done:
            self._search = self._begin()
            self._search.restore(state["search"])

    def _begin(self) -> Search:
        """Return the search of the current round."""
        if self.round == 0:
            problems = self._from_structures()
        elif self.round < self.options.rounds:
            problems = self._from_neighbors()
        else:
            problems = self._between_levels()
        return Search(self.bound_measures, problems, self.options.tolerance, self.options.steps)

    def _from_structures(self) -> list[Problem]:
        problems = []
        for level in self.levels.tolist():
            for direction in (-1.0, 1.0):
                chosen = self._structures.choose(level, direction, self.options.starts - 1)
                Ys = [self._structures.random, *chosen]
                problems += [Problem(Y, level, direction, self.options.rate) for Y in Ys]
        return problems

    def _from_neighbors(self) -> list[Problem]:
        """Start from the best Y of each level and of its neighbors, where there is one."""
        found = self.best_merit.isfinite().tolist()
        rate = self.options.rate / (1 + self.round)
        problems = []
        for row in range(len(found)):
            side = row % 2
            known = [other for other in range(side, len(found), 2) if found[other]]
            nearest = sorted(known, key=lambda other: abs(other - row))[:_NEIGHBORS]
            nearest += nearest[:1] * (_NEIGHBORS - len(nearest))
            Ys = [self.best_Y[other] for other in nearest] or [self._structures.random] * _NEIGHBORS
            level, direction = float(self.levels[row // 2]), 2.0 * side - 1
            problems += [Problem(Y, level, direction, rate) for Y in Ys]
        return problems

    def _between_levels(self) -> list[Problem]:
        """Start each problem between levels from a neighbor's extreme, and at ends from a structure too.

        An outermost level may be an end of the range, where Y is X or noise and gradients vanish: nothing
        starts there. And the way from the inner level to X leads past saddles, at each PC that its Y lacks.
        """
        problems = []
        extremes = _table(self.best_scores[:, 1])
        for gap in starts.between(self.levels, extremes, self.options.between):
            begin = [self._structures.random]
            if gap.begin is not None:
                begin = [self.best_Y[2 * gap.begin + gap.side]]
            if gap.constrained == 1 or gap.shorter < 1:
                begin += self._structures.choose(gap.level, gap.direction, 1, gap.constrained)
            rate = self.options.rate * gap.shorter / (1 if gap.constrained == 1 else 1 + self.round)
            problems += [Problem(Y, gap.level, gap.direction, rate, gap.constrained) for Y in begin]
        return problems

    def _gather(self) -> None:
        """Take over the best of each row's problems, which all have the same number of starts."""
        rows = len(self.best_merit)
        merits = self._search.best_merit.reshape(rows, -1)
        top, which = merits.max(dim=1)
        if self.round == 0:
            lowest = torch.where(merits.isfinite(), merits, math.inf).amin(dim=1)
            self.spread.copy_(torch.where(top.isfinite(), top - lowest, math.nan))
        else:
            self.gain.copy_((top - self.best_merit).clamp_min(0))
        better = top > self.best_merit
        source = (torch.arange(rows, device=which.device) * merits.shape[1] + which)[better]
        for name in BEST:
            getattr(self, name)[better] = getattr(self._search, name)[source]
        self.nearest.copy_(torch.minimum(self.nearest, self._search.nearest.reshape(rows, -1).amin(dim=1)))


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


def _levels(levels: Sequence[float] | FloatArray, constrained: Measure) -> FloatArray:
    table = np.asarray(levels, dtype=np.float64)
    if table.ndim != 1 or not len(table):
        raise InputError(f"levels has shape {table.shape}; expected (levels,).")
    low, high = constrained.facts.low, constrained.facts.high
    for level in table:
        if not (math.isfinite(level) and low <= level <= high):
            raise InputError(f"a level is {level}; {constrained.name} lies between {low:g} and {high:g}.")
    return table


def _table(values: Tensor) -> FloatArray:
    """Return the values of rows as (L, 2)."""
    return values.reshape(-1, 2).cpu().double().numpy()
