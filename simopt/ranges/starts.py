"""Where searches start: Y of known structure, whose scores spread over the plane, and levels between levels.

The extremes of many pairs lie near *diagonal* Y, the PCs of X with other amplitudes, each in a unit of its
own, and noise outside of X that is concentrated in one unit or spread over all of them.
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
from simopt.optimization.span import Span
from simopt.ranges.tangent import evaluate
from simopt.typing import FloatArray

Noise = Literal["none", "spread", "beside", "one", "mixed"]

_EXPONENTS = 0.0, 0.5, 1.0, 2.0, 4.0
"""From whitened PCs to the first one nearly alone. A structure more costs one score, without its gradient."""
_CUTS = 4
"""Numbers of PCs that are kept, evenly spaced in their logarithm. Half and twice as many change areas by
0.05 % at most."""
_POWERS = 0.05, 0.3, 1.0, 3.0, 20.0
"""Of noise, from what CKA hardly sees to nearly noise alone. The three in the middle do for all but 0.03 % of
area."""
_AT_ONCE = 16
"""Structures that are in memory at once."""
_DISTANCE_COSTS = 2.0
"""What the distance from the level takes off a structure's worth, both relative to the spread of the scores:
a start far from the level loses its extreme score on the way there. Half and double change areas by 0.04 % at
most; half gains 1.5 % for linreg and nbs."""
_DENSER = 0.75
"""Problems across a steep gap, relative to those along a flat one of the same span. Half of them costs 0.02 %
of area for 12 % fewer scores, twice as many gain 0.02 % for 25 % more."""
_GAPS = 6
"""With fewer gaps between levels than these, steep ones get as many problems as if there were so many. At
three levels the area found is 0.3 % smaller without."""


class Structure(NamedTuple):
    """A diagonal Y with noise.

    Attributes
    ----------
    exponent : float
        The amplitude of a PC is that in X to this power: 0 whitens, 2 squares the spectrum.
    first, last : int
        Which PCs there are, counted from 0, ``last`` excluded.
    noise : {"none", "spread", "beside", "one", "mixed"}
        Outside of X: none, of equal power in every unit, in units that hold no PC, in the unit of the
        strongest PC, or normal entries in all of Y.
    power : float
        Of the noise, relative to the rest.
    """

    exponent: float
    first: int
    last: int
    noise: Noise
    power: float


def structures(pcs: int, units: int, outside: int) -> list[Structure]:
    """Return structures for K PCs, q units and m directions outside of X.

    Noise alone, and choices of PCs with each kind of noise; where nothing is outside, with mixed noise only.
    """
    width = min(pcs, units)
    cuts = sorted({round(width ** (i / _CUTS)) for i in range(_CUTS)} - {width})
    shapes = [(exponent, 0, width) for exponent in _EXPONENTS]
    shapes += [(exponent, 0, cut) for cut in cuts for exponent in (0.0, 1.0)]
    shapes += [(1.0, max(cut, pcs - units), pcs) for cut in cuts if max(cut, pcs - units) < pcs]
    bare = [Structure(1.0, 0, 0, "spread", 1.0)] if outside else []
    bare += [Structure(*shape, "none", 0.0) for shape in dict.fromkeys(shapes)]
    noises: list[Noise] = ["spread", "beside", "one", "mixed"] if outside else ["mixed"]
    noisy = [Structure(*shape, noise, power) for shape in shapes for noise in noises for power in _POWERS]
    return [*bare, *dict.fromkeys(noisy)]


class Structures:
    """The structures in a span, and their scores.

    Parameters
    ----------
    span : Span
    bound_measures : pair of BoundMeasure
        Of the span's reference.
    units : int
    seed : int

    Attributes
    ----------
    structures : list of S Structure
    scores : Tensor, (S, 2)
    random : Tensor, (rows, q)
        Standard normal Y, as far as it lies in the span.
    """

    def __init__(self, span: Span, bound_measures: Sequence[BoundMeasure], units: int, seed: int) -> None:
        self._span = span
        shape = len(span.amplitude) + span.outside, units
        self._noise = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        self.random = span.place(self._noise)
        self.structures = structures(len(span.amplitude), units, span.outside)
        scores = []
        for at in range(0, len(self.structures), _AT_ONCE):
            Y = torch.stack([self.build(structure) for structure in self.structures[at : at + _AT_ONCE]])
            scores.append(evaluate(bound_measures, Y))
        self.scores = torch.cat(scores)

    def build(self, structure: Structure) -> Tensor:
        """Return Y (rows, q) of a structure, of the norm of X."""
        amplitude = self._span.amplitude
        pcs, units = len(amplitude), self._noise.shape[1]
        coordinates = amplitude.new_zeros(self._noise.shape)
        chosen = torch.arange(structure.first, structure.last)
        coordinates[chosen, chosen - structure.first] = amplitude[chosen] ** structure.exponent
        if len(chosen):
            coordinates /= torch.linalg.matrix_norm(coordinates)
        noise = torch.zeros_like(coordinates)
        if structure.noise == "mixed":
            noise.copy_(self._noise)
        elif structure.noise == "one":
            noise[pcs, 0] = 1.0
        elif structure.noise != "none":
            beside = len(chosen) if structure.noise == "beside" else 0
            column = torch.arange(beside, max(beside, min(self._span.outside, units)))
            noise[pcs + column, column] = 1.0
        size = torch.linalg.matrix_norm(noise)
        if size > 0:
            coordinates += math.sqrt(structure.power) * noise / size
        norm = torch.linalg.vector_norm(amplitude)
        return self._span.place(coordinates * (norm / torch.linalg.matrix_norm(coordinates)))

    def choose(self, level: float, direction: float, count: int, constrained: int = 0) -> list[Tensor]:
        """Return Y of structures to start a problem from.

        First X, X with noise or noise alone, whichever comes nearest to the level; then those with the most
        extreme score, less what their distance from the level costs, one for each kind of noise before a
        second one.

        Parameters
        ----------
        level : float
        direction : float
            1 for a maximum, -1 for a minimum.
        count : int
        constrained : {0, 1}
            Which score is held at the level.
        """
        distance = (self.scores[:, constrained] - level).abs()
        usable = self.scores.isfinite().all(dim=-1)
        spread = self.scores[usable].amax(dim=0) - self.scores[usable].amin(dim=0)
        price = _DISTANCE_COSTS * spread[1 - constrained] / spread[constrained].clamp_min(1e-6)
        worth = direction * self.scores[:, 1 - constrained] - price * distance
        width = max(structure.last for structure in self.structures if structure.first == 0)
        plain = {(1.0, 0, width, "none"), (1.0, 0, width, "mixed"), (1.0, 0, 0, "spread")}
        distances = distance.nan_to_num(math.inf).tolist()
        noisy = [i for i, structure in enumerate(self.structures) if structure[:4] in plain]
        picked = [min(noisy, key=distances.__getitem__)]
        worths = torch.where(usable, worth, -math.inf).tolist()
        order = sorted(range(len(self.structures)), key=worths.__getitem__, reverse=True)
        noises: set[str] = set()
        for i in order:
            if i not in picked and self.structures[i].noise not in noises:
                noises.add(self.structures[i].noise)
                picked.append(i)
        picked += [i for i in order if i not in picked]
        return [self.build(self.structures[i]) for i in picked[:count]]


class Between(NamedTuple):
    """A problem between two neighboring levels.

    Attributes
    ----------
    side : {0, 1}
        Which boundary it is on, the lower or the upper one.
    constrained : {0, 1}
        Which score is held at the level: 1 where it is the sought one, and the other's extreme is looked for.
    level : float
    direction : float
        1 for a maximum, -1 for a minimum.
    begin : int or None
        The level whose extreme it starts from; None where neither neighbor has one.
    shorter : float
        Length of its first step, relative to that of others: next to an end of the levels a score falls with
        the square of a step.
    """

    side: int
    constrained: int
    level: float
    direction: float
    begin: int | None
    shorter: float


def between(levels: FloatArray, extremes: FloatArray, count: int) -> list[Between]:
    """Return the problems between levels.

    Where the boundary is steep, from one level to the next a larger share of its range than they are apart
    of theirs, a chord would cut off much: there more problems are at levels of the other measure, at which
    the extreme of the constrained one is on the same boundary. In the first and the last gap, where
    boundaries may rise as a root does, they stand closer together towards the end.

    Parameters
    ----------
    levels : array, (L,)
    extremes : array, (L, 2)
        NaN where none was found.
    count : int, >= 1
        Problems at levels in each gap.
    """
    ranges = [_range(levels), _range(extremes)]
    gaps = len(levels) - 1
    problems = []
    for side, left in itertools.product((0, 1), range(gaps)):
        ends = levels[left : left + 2], extremes[left : left + 2, side]
        known = np.isfinite(ends[1])
        run, rise = (float(abs(np.diff(pair)[0])) / whole for pair, whole in zip(ends, ranges, strict=True))
        outer = left == 0, left == gaps - 1
        steep = bool(known.all()) and rise > run
        upward = 2.0 * side - 1
        slope = math.copysign(1, np.diff(ends[0])[0] * np.diff(ends[1])[0])
        pieces = round(_DENSER * rise * (count + 1) * max(gaps, _GAPS)) if steep else 1
        places = [(0, upward, place) for place in _places(count + 1, *((False, False) if steep else outer))]
        places += [(1, -upward * slope, place) for place in _places(pieces, *outer)]
        for constrained, direction, (share, shorter) in places:
            inner = int(outer[0]) if outer[0] != outer[1] else int(share > 0.5)
            begin = inner if known[inner] else 1 - inner
            start, end = ends[constrained].tolist()
            level, at = start + share * (end - start), left + begin if known.any() else None
            problems.append(Between(side, constrained, level, direction, at, shorter))
    return problems


def _range(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) or 1.0 if finite.size else 1.0


def _places(pieces: int, first: bool, last: bool) -> list[tuple[float, float]]:
    """Return places in a gap, 0 to 1, and how much shorter steps are there: by the root of the distance."""
    shares = [k / pieces for k in range(1, pieces)]
    if first and last:
        return [(math.sin(math.pi / 2 * share) ** 2, 2 * min(share, 1 - share)) for share in shares]
    if first:
        return [(share**2, share) for share in shares]
    return [(1 - (1 - share) ** 2, 1 - share) if last else (share, 1.0) for share in shares]
