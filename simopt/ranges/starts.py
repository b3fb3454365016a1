"""Starts of a boundary search: Y of simple structure, and the problems between two levels.

For many pairs of measures the Y of an extreme is nearly *diagonal*: unit k holds PC k of X with another
amplitude, plus noise outside of the span of X. The noise is in one unit or in all units. The scores of
diagonal Y cover the whole plane of score pairs, so that some of them lie near any level.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from simopt.measures import BoundMeasure
from simopt.norms import matrix_norm, vector_norm
from simopt.optimization.span import Span
from simopt.ranges.tangent import evaluate
from simopt.typing import FloatArray

Noise = Literal["none", "spread", "beside", "one", "mixed"]

# Exponents of the amplitudes of PCs: 0 whitens, 1 leaves them as in X, at 4 the first PC is nearly alone. One
# more structure costs one score without gradient.
_EXPONENTS = 0.0, 0.5, 1.0, 2.0, 4.0
# How many different numbers of PCs are kept, evenly spaced in their logarithm. Half and twice as many change
# areas by 0.05 % at most.
_CUTS = 4
# Power of the noise relative to the PCs, from noise that hardly changes CKA to nearly noise alone. Without
# the first and the last the area is 0.03 % smaller.
_POWERS = 0.05, 0.3, 1.0, 3.0, 20.0
# Structures that are built and scored together. It bounds memory, (16, rows, q); scores do not depend on it.
_AT_ONCE = 16
# Price of a structure's distance from the level when starts are ranked, with distance and score both divided
# by their spread over all structures. A start far from the level loses its extreme score on the way there.
# Half and double this price change areas by 0.04 % at most; half gains 1.5 % for linreg and nbs.
_DISTANCE_COSTS = 2.0
# Problems in a steep gap, relative to those in a flat gap of the same relative length. Half as many lose 0.02
# to 0.06 % of area for 8 % fewer scores, twice as many gain 0.03 % for 16 % more.
_DENSER = 0.75
# With fewer gaps between levels than this, a steep gap gets as many problems as if there were this many: with
# few levels a gap is long. At three levels the area found is 0.3 % smaller without it.
_GAPS = 6


class Structure(NamedTuple):
    """The parameters of a diagonal Y with noise (:mod:`simopt.ranges.starts`).

    Attributes
    ----------
    exponent : float
        The amplitude of a PC is its amplitude in X to this power: 0 whitens, 2 squares the spectrum.
    first, last : int
        Y contains the PCs from ``first`` to ``last - 1``, numbered from 0.
    noise : {"none", "spread", "beside", "one", "mixed"}
        "none": no noise. "spread", "beside", "one": noise outside of the span of X, with equal power in every
        unit, with equal power in every unit without a PC, or in the unit of the strongest PC only. "mixed":
        normal numbers in all entries of Y.
    power : float
        Sum of squares of the noise, divided by the sum of squares of the PCs in Y.
    """

    exponent: float
    first: int
    last: int
    noise: Noise
    power: float


def structures(pcs: int, units: int, outside: int) -> list[Structure]:
    """Return the structures for K PCs, q units and m directions outside of the span of X.

    They are noise alone, and several choices of PCs with each kind of noise. If m is 0, all noise is "mixed".
    """
    # Each PC takes a unit: q units hold no more than q PCs.
    width = min(pcs, units)
    cuts = sorted({round(width ** (i / _CUTS)) for i in range(_CUTS)} - {width})
    # (exponent, first, last): all PCs with every exponent, the strongest PCs whitened and as they are, and
    # the PCs from some on.
    shapes = [(exponent, 0, width) for exponent in _EXPONENTS]
    shapes += [(exponent, 0, cut) for cut in cuts for exponent in (0.0, 1.0)]
    shapes += [(1.0, max(cut, pcs - units), pcs) for cut in cuts if max(cut, pcs - units) < pcs]
    bare = [Structure(1.0, 0, 0, "spread", 1.0)] if outside else []  # noise alone
    bare += [Structure(*shape, "none", 0.0) for shape in dict.fromkeys(shapes)]
    noises: list[Noise] = ["spread", "beside", "one", "mixed"] if outside else ["mixed"]
    noisy = [Structure(*shape, noise, power) for shape in shapes for noise in noises for power in _POWERS]
    return [*bare, *dict.fromkeys(noisy)]


class Structures:
    """The structures of :func:`structures` for one X, and their scores by two measures.

    Parameters
    ----------
    span : Span
        The space that contains X and all Y of the search.
    bound_measures : pair of BoundMeasure
        Both measures, bound to the reference of the span.
    units : int
        Number of units of Y.
    seed : int
        Seed of the random Y and of mixed noise.

    Attributes
    ----------
    structures : list of S Structure
    scores : Tensor, (S, 2)
        The scores of each structure.
    random : Tensor, (rows, q)
        A standard normal Y, projected on the span.
    """

    def __init__(self, span: Span, bound_measures: Sequence[BoundMeasure], units: int, seed: int) -> None:
        self._span = span
        # Coordinates of Y in the span: first the K PCs of X, then the m directions outside of X.
        shape = len(span.amplitude) + span.outside, units  # (K + m, q)
        self._noise = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        self.random = span.place(self._noise)
        self.structures = structures(len(span.amplitude), units, span.outside)
        scores = []
        for at in range(0, len(self.structures), _AT_ONCE):
            Y = torch.stack([self.build(structure) for structure in self.structures[at : at + _AT_ONCE]])
            scores.append(evaluate(bound_measures, Y))
        self.scores = torch.cat(scores)

    def build(self, structure: Structure) -> Tensor:
        """Return the Y of a structure, scaled to the norm of X, (rows, q)."""
        amplitude = self._span.amplitude
        pcs, units = len(amplitude), self._noise.shape[1]
        coordinates = amplitude.new_zeros(self._noise.shape)
        chosen = torch.arange(structure.first, structure.last)
        # PC k in unit k - first: X'Y and Y'Y are then diagonal in the basis of the PCs.
        coordinates[chosen, chosen - structure.first] = amplitude[chosen] ** structure.exponent
        if len(chosen):
            coordinates /= matrix_norm(coordinates)
        noise = torch.zeros_like(coordinates)
        if structure.noise == "mixed":
            noise.copy_(self._noise)
        elif structure.noise == "one":
            noise[pcs, 0] = 1.0
        elif structure.noise != "none":
            # A direction outside of X for each unit, in all units or in those after the ones with PCs.
            beside = len(chosen) if structure.noise == "beside" else 0
            column = torch.arange(beside, max(beside, min(self._span.outside, units)))
            noise[pcs + column, column] = 1.0
        size = matrix_norm(noise)
        if size > 0:
            coordinates += math.sqrt(structure.power) * noise / size
        norm = vector_norm(amplitude)
        return self._span.place(coordinates * (norm / matrix_norm(coordinates)))

    def choose(self, level: float, direction: float, count: int) -> list[Tensor]:
        """Return the Y, (rows, q), from which a problem starts.

        The first is X, X with noise, or noise alone: the one whose constrained score is nearest to the level.
        The other structures are ranked by the sought score minus a penalty for the distance from the level.
        The best structure of each kind of noise comes before the second best of any kind.

        Parameters
        ----------
        level : float
            Score at which the constrained measure is held.
        direction : float
            1 to search a maximum of the sought measure, -1 to search a minimum.
        count : int
            Number of Y.
        """
        constrained, sought = self.scores.unbind(dim=-1)
        distance = (constrained - level).abs()
        usable = self.scores.isfinite().all(dim=-1)
        spread = self.scores[usable].amax(dim=0) - self.scores[usable].amin(dim=0)
        # The clamp keeps the price finite where all structures have the same constrained score.
        price = _DISTANCE_COSTS * spread[1] / spread[0].clamp_min(1e-6)
        worth = direction * sought - price * distance
        # All PCs as in X, with or without mixed noise, and noise alone: on the way from noise to X.
        width = max(structure.last for structure in self.structures if structure.first == 0)
        plain = {(1.0, 0, width, "none"), (1.0, 0, width, "mixed"), (1.0, 0, 0, "spread")}
        distances = distance.nan_to_num(math.inf).tolist()
        noisy = [i for i, structure in enumerate(self.structures) if structure[:4] in plain]
        nearest = min(noisy, key=distances.__getitem__)
        worths = torch.where(usable, worth, -math.inf).tolist()
        order = sorted(range(len(self.structures)), key=worths.__getitem__, reverse=True)
        order.remove(nearest)
        # Structures of one kind of noise have similar scores: starts of different kinds differ more.
        best: dict[str, int] = {}
        for i in order:
            best.setdefault(self.structures[i].noise, i)
        picked = dict.fromkeys([nearest, *best.values(), *order])
        return [self.build(self.structures[i]) for i in itertools.islice(picked, count)]


class Between(NamedTuple):
    """A problem between two neighboring levels.

    Attributes
    ----------
    side : {0, 1}
        The boundary to which the problem belongs: 0 is the lower, 1 the upper boundary.
    constrained : {0, 1}
        The measure that is held at the level: 0 is the constrained measure of the search, 1 the sought
        measure. With 1 the two change roles, and the extreme of the constrained measure is searched.
    level : float
        Score at which this measure is held.
    direction : float
        1 to search a maximum of the other measure, -1 to search a minimum.
    begin : int or None
        Index of the level whose extreme is the start; None if neither neighboring level has an extreme.
    """

    side: int
    constrained: int
    level: float
    direction: float
    begin: int | None


def between(levels: FloatArray, extremes: FloatArray, count: int) -> list[Between]:
    """Return the problems between neighboring levels.

    The gap between two levels is steep if the change of the extreme, divided by the range of all extremes, is
    larger than the change of the level, divided by the range of all levels. A straight line across a steep
    gap would cut off much of the region. Steep gaps therefore get further problems at levels of the sought
    measure, whose extremes of the constrained measure lie on the same boundary. In the first and the last gap
    a boundary may rise like a square root, so that levels are denser towards the outer end.

    Parameters
    ----------
    levels : array, (L,)
        Levels of the constrained measure.
    extremes : array, (L, 2)
        Minimum and maximum of the sought measure at each level; NaN where no extreme was found.
    count : int, >= 1
        Number of problems at levels of the constrained measure in each gap.
    """
    ranges = [_range(levels), _range(extremes)]
    gaps = len(levels) - 1
    problems = []
    for side, left in itertools.product((0, 1), range(gaps)):
        ends = levels[left : left + 2], extremes[left : left + 2, side]
        has_extreme = np.isfinite(ends[1])
        # Lengths of the gap along either axis, as shares of that axis' range.
        run, rise = (float(abs(np.diff(pair)[0])) / whole for pair, whole in zip(ends, ranges, strict=True))
        outer = left == 0, left == gaps - 1
        steep = bool(has_extreme.all()) and rise > run
        upward = 2.0 * side - 1
        # Where the upper boundary (upward 1) rises with a, the region lies at larger a: at a level of b the
        # boundary is at the least a. A falling boundary, or the lower one, each reverse the direction.
        slope = math.copysign(1, np.diff(ends[0])[0] * np.diff(ends[1])[0])
        pieces = round(_DENSER * rise * (count + 1) * max(gaps, _GAPS)) if steep else 1
        places = [(0, upward, place) for place in _places(count + 1, *((False, False) if steep else outer))]
        places += [(1, -upward * slope, place) for place in _places(pieces, *outer)]
        for constrained, direction, share in places:
            inner = int(outer[0]) if outer[0] != outer[1] else int(share > 0.5)
            begin = inner if has_extreme[inner] else 1 - inner
            start, end = ends[constrained].tolist()
            level, at = start + share * (end - start), left + begin if has_extreme.any() else None
            problems.append(Between(side, constrained, level, direction, at))
    return problems


def _range(values: FloatArray) -> float:
    """Return the range of the finite values; 1 where there is none or it is 0, as it divides."""
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) or 1.0 if finite.size else 1.0


def _places(pieces: int, first: bool, last: bool) -> list[float]:
    """Return places in a gap, 0 to 1, denser towards an end of the levels.

    Next to an end of the levels, at a distance d from it, Y is about sqrt(d) away from a Y of that end, as
    scores change with the square of a step there. Places at squares of even shares are therefore evenly
    spaced in Y. For cka and procrustes_angular that does not show: with even places the area changes by
    0.03 % at most.

    Parameters
    ----------
    pieces : int
        Into which the gap is cut; there is one place less.
    first, last : bool
        Whether the gap begins, or ends, at an end of the levels.
    """
    shares = [k / pieces for k in range(1, pieces)]
    if first and last:
        return [math.sin(math.pi / 2 * share) ** 2 for share in shares]
    if first:
        return [share**2 for share in shares]
    return [1 - (1 - share) ** 2 if last else share for share in shares]
