"""Search the least and the largest score of one measure while another measure is held at a level.

The measure that is held is called *constrained*, the other measure *sought*. The least and the largest score
of the sought measure are the *extremes* at that level.

The minima and the maxima at all levels are searched as one batch of problems, in rounds:

1. The first round starts each problem from several Y: a random Y, X with noise, and simple structures
   (:mod:`simopt.ranges.starts`) whose scores are near the level.
2. Each further round starts each problem from the best Y of its level and of the levels below and above.
3. The last round searches between levels. Where the boundary is steep, further levels of the constrained
   measure would leave large gaps. There the two measures change roles: the sought measure is held at levels,
   and the extremes of the constrained measure are searched.

The optimizer (:mod:`simopt.ranges.tangent`) follows a projected gradient. On 60 PCs of the surrogate of majaj
(procrustes_angular at cka 0.3, 0.6 and 0.9) 300 of its steps came as far as 900 steps of an augmented
Lagrangian with the best of three penalties.

Comments at constants of this module, of :mod:`~simopt.ranges.starts` and of :mod:`~simopt.ranges.tangent` say
how much a constant changes the area that is found for cka and procrustes_angular (float32, 11 levels, 50
steps, 2 rounds, 3 starts) on the ultrametric data and on the same 60 PCs. It is the area between the extremes
at the levels, or for constants of the last round the area within the outline through all points. Another seed
changes the area by up to 0.08 %, so that smaller differences are noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.span import Span, rows_suffice
from simopt.ranges import starts
from simopt.ranges.stepwise import Stepwise, same_shape
from simopt.ranges.tangent import BEST, Problem, Search
from simopt.typing import FloatArray

LEVELS = tuple(round(0.1 * i, 1) for i in range(11))
"""The default levels of the constrained measure, from 0 to 1."""
# Starts of a problem in rounds after the first: the best Y of its level, of the level below and of the level
# above. The level alone loses 0.2 % of area for 19 % fewer scores; two levels on each side gain 0.02 % for
# 19 % more.
_NEIGHBORS = 3


@dataclass(frozen=True)
class Options:
    """The options of a boundary search, which determine its cost.

    At 11 levels the default options compute about 32,000 scores with gradients. The options ``starts=2,
    steps=60, rounds=2, between=1`` for large data compute 9,000. On 60 PCs of the surrogate of majaj
    (procrustes_angular at levels of cka) they changed the extremes by at most 0.002, and at cka 0 by 0.015.

    Parameters
    ----------
    units : int or None
        Number of units of Y; None: as many as X has. The range depends on this number, since noise in more
        units is spread over more directions.
    starts : int, >= 2
        Number of starts of each minimum and of each maximum. The first start is random, the second is X with
        noise, and the others are structures (:mod:`simopt.ranges.starts`).
    steps : int
        Number of steps per round.
    rounds : int
        Number of rounds. The first round begins at the starts, each further round at the extremes of
        neighboring levels.
    between : int
        Number of levels inserted between every two levels. They are searched in one more round, together with
        levels of the sought measure where the boundary is steep. :class:`Extremes` holds this round's scores
        in ``points`` only, through which the outline of the region passes.
    rate : float
        Length of the first step of the first round, relative to the norm of Y.
    tolerance : float
        Largest |score - level| of the constrained measure at which a Y is accepted as an extreme.
    seed : int
        Seed of the random starts.
    """

    units: int | None = None
    starts: int = 4  # 2 in place of 3 lose up to 0.2 % of area
    steps: int = 100  # twice as many as 50 gain 0.2 to 0.3 %
    rounds: int = 3  # 1 in place of 2 loses 0.7 to 0.8 %, 3 gain 0.1 to 0.2 %
    between: int = 3  # without the round between levels the outline loses 0.8 to 0.9 %
    rate: float = 0.3  # half changes areas by -0.04 to 0.2 %, double loses 0.2 %
    tolerance: float = 1e-4  # 1e-3 finds 0.5 % more, with extremes up to 9e-4 away from their levels
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
    """The extremes of the sought measure at each level.

    The second axis of an array (L, 2) is (minimum, maximum).

    Attributes
    ----------
    levels : array, (L,)
        Levels of the constrained measure.
    value : array, (L, 2)
        The extreme score; NaN where no Y came within the tolerance of the level.
    feasibility : array, (L, 2)
        |score - level| of the constrained measure at the Y of the extreme. Where no Y came within the
        tolerance, it is the smallest |score - level| of any Y.
    spread : array, (L, 2)
        Difference between the largest and the smallest extreme found from the starts of the first round.
    gain : array, (L, 2)
        Improvement of the extreme by the last round. A large gain means that the search has not converged. It
        is NaN after a single round.
    points : array, (N, 2)
        The scores (constrained, sought) of every Y of the search.
    """

    levels: FloatArray
    value: FloatArray
    feasibility: FloatArray
    spread: FloatArray
    gain: FloatArray
    points: FloatArray


class Boundary(Stepwise):
    """A search for the extremes of one measure at levels of another, which can be stopped and resumed.

    Parameters
    ----------
    reference : Reference
        The recording X.
    constrained, sought : Measure
        The measure that is held at the levels, and the measure whose extremes are searched.
    levels : array-like, (L,)
        Levels of the constrained measure. Levels that are neighbors in this order start from each other's
        extremes.
    options : Options
        The options of the search.

    Raises
    ------
    InputError
        A measure has no gradient, or the levels are not one-dimensional, not finite, or outside the range of
        the constrained measure.
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
        # Y is kept in coordinates of the span of X and Y0 where these are fewer than the samples. Every pair
        # of scores that can occur at all occurs in the span.
        self.span = Span(reference, linalg.center(Y0), rows_suffice(reference, units, pair))
        reference = self.span.reference
        self.bound_measures = [measure.bind(reference) for measure in pair]
        self.round = 0
        self._rounds = self.options.rounds + (self.options.between > 0 and len(self.levels) > 1)
        # One problem a row: row 2 * level + side is the minimum (side 0) or the maximum (side 1) at a level.
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
        """The number of steps done, and the total number of steps."""
        in_round = self.options.steps + 1
        return self.round * in_round + (0 if self.done else self._search.step), self._rounds * in_round

    @property
    def done(self) -> bool:
        """Whether all rounds are over."""
        return self.round >= self._rounds

    def advance(self) -> None:
        """Take one step of all problems. At the end of a round, keep its extremes and begin the next one."""
        if self.done:
            return
        self._points.append(self._search.advance())
        if self._search.done:
            # The round between levels has other problems: it adds points, and no extremes at levels.
            if self.round < self.options.rounds:
                self._gather()
            self.round += 1
            if not self.done:
                self._search = self._begin()

    def extremes(self) -> Extremes:
        """Return the extremes found so far."""
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
        """Return the scores of every Y so far, an array (N, 2) with columns (constrained, sought)."""
        points = torch.cat(self._points)
        points = points[points.isfinite().all(dim=-1)]
        return points.cpu().double().numpy()

    def extreme(self) -> Tensor:
        """Return the Y of each extreme, a tensor (L, 2, n, q); NaN where no extreme was found."""
        has_extreme = self.best_merit.isfinite()[:, None, None]
        Y = self.span.expand(torch.where(has_extreme, self.best_Y, math.nan))  # (2 L, n, q)
        return Y.reshape(len(self.levels), 2, *Y.shape[1:])

    def state(self) -> dict[str, Any]:
        """Return the state of the search, its current round, and the scores of all Y, for :meth:`restore`."""
        search = None if self.done else self._search.state()
        return super().state() | {"search": search, "points": torch.cat(self._points)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved :meth:`state`; data, measures, levels and options must be the same."""
        super().restore(state)
        points = state["points"].to(self.best_merit)
        same_shape(points, (len(points), 2), "points")
        self._points = [points]
        # The problems of a round follow from the extremes of the rounds before, which are restored by now:
        # _begin builds the same problems, and the search continues from the saved state.
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
        """Start each problem from the best Y of its level and of its neighbors, where there are any."""
        has_extreme = self.best_merit.isfinite().tolist()
        # Starts get better from round to round, and steps shorter: 1/2, 1/3 ... of those of the first round.
        # At constant rate 0.2 to 0.4 % of area are lost.
        rate = self.options.rate / (1 + self.round)
        problems = []
        for row in range(len(has_extreme)):
            side = row % 2
            candidates = [other for other in range(side, len(has_extreme), 2) if has_extreme[other]]
            nearest = sorted(candidates, key=lambda other: abs(other - row))[:_NEIGHBORS]
            # Every row needs the same number of starts, as _gather reshapes: the nearest one is repeated.
            nearest += nearest[:1] * (_NEIGHBORS - len(nearest))
            Ys = [self.best_Y[other] for other in nearest] or [self._structures.random] * _NEIGHBORS
            level, direction = float(self.levels[row // 2]), 2.0 * side - 1
            problems += [Problem(Y, level, direction, rate) for Y in Ys]
        return problems

    def _between_levels(self) -> list[Problem]:
        """Start each problem between levels from a neighbor's extreme."""
        problems = []
        extremes = _table(self.best_scores[:, 1])
        for gap in starts.between(self.levels, extremes, self.options.between):
            begin = self._structures.random
            if gap.begin is not None:
                begin = self.best_Y[2 * gap.begin + gap.side]
            # At levels of the sought measure no round has searched before: the rate is that of a first round.
            rate = self.options.rate / (1 if gap.constrained == 1 else 1 + self.round)
            problems.append(Problem(begin, gap.level, gap.direction, rate, gap.constrained))
        return problems

    def _gather(self) -> None:
        """Keep the best Y of each row, over the starts of this round and the rounds before."""
        rows = len(self.best_merit)
        merits = self._search.best_merit.reshape(rows, -1)  # (rows, starts): every row has as many starts
        top, which = merits.max(dim=1)
        if self.round == 0:
            # Merits are scores with their sign for the direction, so their range is that of the extremes.
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
    """Raise InputError if a measure has no gradient."""
    for measure in measures:
        if not measure.differentiable:
            raise InputError(f"{measure.name} has no gradient and so no joint range; choose another measure.")


def finite_pairs(pairs: npt.ArrayLike, what: str) -> FloatArray:
    """Return pairs of scores as a float64 array (N, 2); ``what`` names them in error messages.

    Raises
    ------
    InputError
        The array is empty, has another shape, or holds a value that is not finite.
    """
    table = np.asarray(pairs, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 2 or not table.size or not np.isfinite(table).all():
        raise InputError(f"{what} has shape {table.shape}; give (N, 2) finite numbers with N > 0.")
    return table


def _levels(levels: Sequence[float] | FloatArray, constrained: Measure) -> FloatArray:
    table = np.asarray(levels, dtype=np.float64)
    if table.ndim != 1 or not len(table):
        raise InputError(f"levels has shape {table.shape}; give a list of scores.")
    low, high = constrained.facts.low, constrained.facts.high
    for level in table:
        if not (math.isfinite(level) and low <= level <= high):
            raise InputError(
                f"a level is {level}, but {constrained.name} lies between {low:g} and {high:g}; choose "
                "levels in between."
            )
    return table


def _table(values: Tensor) -> FloatArray:
    """Return one value per row (2 L,) as a table (L, 2)."""
    return values.reshape(-1, 2).cpu().double().numpy()
