"""Where searches start: Y of known structure, whose scores spread over the plane.

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
from simopt.ranges.space import Space
from simopt.ranges.tangent import evaluate
from simopt.typing import FloatArray

Noise = Literal["none", "spread", "beside", "one", "mixed"]

_EXPONENTS = 0.0, 0.5, 1.0, 2.0, 4.0
_CUTS = 4
_POWERS = 0.05, 0.3, 1.0, 3.0, 20.0
_AT_ONCE = 16
_DISTANCE_COSTS = 2.0
"""What the distance from the level takes from a rank, both relative to the spread of the scores."""
_SHORTEST = 0.1
_DENSER = 0.75
_GAPS = 6
"""A steep boundary gets so many times the problems of a flat one of its span, as if of 6 gaps at least."""


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


def structures(known: int, units: int, outside: int) -> list[Structure]:
    """Return structures for K PCs, q units and m directions outside of X.

    Noise alone, and choices of PCs with each kind of noise; where nothing is outside, with mixed noise only.
    """
    width = min(known, units)
    cuts = sorted({round(width ** (i / _CUTS)) for i in range(_CUTS)} - {width})
    shapes = [(exponent, 0, width) for exponent in _EXPONENTS]
    shapes += [(exponent, 0, cut) for cut in cuts for exponent in (0.0, 1.0)]
    shapes += [(1.0, max(cut, known - units), known) for cut in cuts if max(cut, known - units) < known]
    bare = [Structure(1.0, 0, 0, "spread", 1.0)] if outside else []
    bare += [Structure(*shape, "none", 0.0) for shape in dict.fromkeys(shapes)]
    noises: list[Noise] = ["spread", "beside", "one", "mixed"] if outside else ["mixed"]
    noisy = [Structure(*shape, noise, power) for shape in shapes for noise in noises for power in _POWERS]
    return [*bare, *dict.fromkeys(noisy)]


def build(space: Space, structure: Structure, units: int, seed: int) -> Tensor:
    """Return Y (rows, q) of a structure, of the norm of X."""
    known, outside = len(space.amplitude), space.outside
    coordinates = space.amplitude.new_zeros(known + outside, units)
    chosen = torch.arange(structure.first, structure.last)
    column = chosen - structure.first
    coordinates[chosen, column] = space.amplitude[chosen] ** structure.exponent
    if len(chosen):
        coordinates /= torch.linalg.matrix_norm(coordinates)
    noise = torch.zeros_like(coordinates)
    own = torch.arange(min(outside, units))
    if structure.noise == "mixed":
        generator = torch.Generator().manual_seed(seed)
        noise.copy_(torch.randn(noise.shape, dtype=torch.float64, generator=generator))
    elif structure.noise == "spread":
        noise[known + own, own] = 1.0
    elif structure.noise == "beside":
        beside = own[len(chosen) :]
        noise[known + beside, beside] = 1.0
    elif structure.noise == "one":
        noise[known, 0] = 1.0
    size = torch.linalg.matrix_norm(noise)
    if size > 0:
        coordinates += math.sqrt(structure.power) * noise / size
    norm = torch.linalg.vector_norm(space.amplitude)
    return space.place(coordinates * (norm / torch.linalg.matrix_norm(coordinates)))


def random(space: Space, units: int, seed: int) -> Tensor:
    """Return standard normal Y, (rows, q), as far as it lies in the space."""
    generator = torch.Generator().manual_seed(seed)
    shape = len(space.amplitude) + space.outside, units
    return space.place(torch.randn(shape, dtype=torch.float64, generator=generator))


def scored(
    space: Space, bounds: Sequence[BoundMeasure], chosen: Sequence[Structure], units: int, seed: int
) -> Tensor:
    """Return the scores (structures, measures) of structures."""
    scores = []
    for at in range(0, len(chosen), _AT_ONCE):
        Y = torch.stack([build(space, each, units, seed) for each in chosen[at : at + _AT_ONCE]])
        scores.append(evaluate(bounds, Y))
    return torch.cat(scores)


def choose(
    scores: Tensor, chosen: Sequence[Structure], levels: Tensor, direction: float, count: int
) -> list[int]:
    """Return which structures to start a problem from.

    First X, X with noise or noise alone, whichever comes nearest to the levels; then those with the most
    extreme last score, less what their distance from the levels costs, one for each kind of noise before a
    second one.

    Parameters
    ----------
    scores : Tensor, (structures, k + 1)
    chosen : sequence of Structure
    levels : Tensor, (k,)
    direction : float
        1 for a maximum, -1 for a minimum.
    count : int
    """
    apart = (scores[:, :-1] - levels).abs().amax(dim=-1)
    usable = scores.isfinite().all(dim=-1)
    span = scores[usable].amax(dim=0) - scores[usable].amin(dim=0)
    price = _DISTANCE_COSTS * span[-1] / span[:-1].max().clamp_min(1e-6)
    rank = torch.where(usable, direction * scores[:, -1] - price * apart, -math.inf).tolist()
    width = max(each.last for each in chosen if each.first == 0)
    plain = {(1.0, 0, width, "none"), (1.0, 0, width, "mixed"), (1.0, 0, 0, "spread")}
    noisy = [i for i, each in enumerate(chosen) if each[:4] in plain]
    picked = [min(noisy, key=lambda i: apart[i].nan_to_num(math.inf).item())]
    order = sorted(range(len(chosen)), key=lambda i: -rank[i])
    kinds: set[str] = set()
    for i in order:
        if i not in picked and chosen[i].noise not in kinds:
            kinds.add(chosen[i].noise)
            picked.append(i)
    picked += [i for i in order if i not in picked]
    return picked[:count]


class Between(NamedTuple):
    """A problem between two neighbouring levels of one constrained measure.

    Attributes
    ----------
    side : {0, 1}
        Which boundary it is on, the lower or the upper one.
    across : bool
        Whether the level is one of the sought measure, and the constrained one's extreme is sought.
    level : float
    direction : float
        1 for a maximum, -1 for a minimum.
    begin : int or None
        The level whose extreme it starts from; None where neither neighbour has one.
    shorter : float
        Length of its first step, relative to that of others: next to an end of the levels a score falls with
        the square of a step.
    """

    side: int
    across: bool
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
    spans = [_span(levels), _span(extremes)]
    problems = []
    for side, left in itertools.product((0, 1), range(len(levels) - 1)):
        a, b = levels[left : left + 2], extremes[left : left + 2, side]
        known = np.isfinite(b)
        run, rise = (float(abs(end - start)) / span for span, (start, end) in zip(spans, (a, b), strict=True))
        outer = left == 0, left == len(levels) - 2
        steep = bool(known.all()) and rise > run
        upward = 2.0 * side - 1
        across = -upward * math.copysign(1, (a[1] - a[0]) * (b[1] - b[0])) if steep else upward
        more = round(_DENSER * rise * (count + 1) * max(len(levels) - 1, _GAPS)) if steep else 1
        asked = [(False, each) for each in _places(count + 1, *((False, False) if steep else outer))]
        asked += [(True, each) for each in _places(more, *outer)]
        for turned, (place, shorter) in asked:
            inner = int(outer[0]) if outer[0] != outer[1] else int(place > 0.5)
            begin = inner if known[inner] else 1 - inner
            start, end = (b if turned else a).tolist()
            problems.append(
                Between(
                    side=side,
                    across=turned,
                    level=start + place * (end - start),
                    direction=across if turned else upward,
                    begin=left + begin if known.any() else None,
                    shorter=max(shorter, _SHORTEST),
                )
            )
    return problems


def _span(values: FloatArray) -> float:
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
