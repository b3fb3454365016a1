"""The region of score pairs that can occur together, and what one score says of the other.

The boundary runs through the extremes at the levels. Between two of them it is the convex hull of these
extremes and of whatever was reached in between: every pair that any Y reached lies inside. What lies between
the chord and the true boundary is not known: more levels narrow it, and what is proved cuts it off.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from simopt.errors import InputError
from simopt.measures import Measure
from simopt.ranges.boundary import Extremes
from simopt.typing import FloatArray

Verdict = Literal["independent", "coupled", "asymmetric"]

RULED_OUT = 0.5
"""The share of a measure's range that the other has to rule out for the verdict to say that it tells."""


@dataclass(frozen=True)
class Region:
    """Which scores of two measures a and b can occur together.

    Attributes
    ----------
    names : pair of str
    signs : pair of int
        1 where larger scores are closer, -1 for a distance.
    levels : array, (L,)
    b_min, b_max : array, (L,)
        NaN where no Y was found at the level.
    feasibility, spread : array, (L, 2)
        As :class:`simopt.ranges.boundary.Extremes` has them.
    points : array, (N, 2)
        Score pairs (a, b) that were reached.
    limits : array, (P, 3), or None
        Levels of a, and between what b is proved to lie there, NaN where nothing is.
    """

    names: tuple[str, str]
    signs: tuple[int, int]
    levels: FloatArray
    b_min: FloatArray
    b_max: FloatArray
    feasibility: FloatArray
    spread: FloatArray
    points: FloatArray = field(repr=False)
    limits: FloatArray | None = field(repr=False, default=None)

    @classmethod
    def of(cls, a: Measure, b: Measure, extremes: Extremes) -> Region:
        """Return the region of a boundary search at levels of a.

        Raises
        ------
        InputError
            No level could be reached.
        """
        if not np.isfinite(extremes.value).any():
            raise InputError(f"no Y was found at any level of {a.name}; try other levels or more steps.")
        order = np.argsort(extremes.levels, kind="stable")
        value = extremes.value[order]
        return cls(
            names=(a.name, b.name),
            signs=(a.sign, b.sign),
            levels=extremes.levels[order],
            b_min=value[:, 0],
            b_max=value[:, 1],
            feasibility=extremes.feasibility[order],
            spread=extremes.spread[order],
            points=extremes.points,
        )

    def contain(self, points: npt.ArrayLike) -> Region:
        """Return the region widened to hold these pairs (N, 2) too; any pair of scores of one Y may be given.

        Raises
        ------
        InputError
            They are not finite pairs.
        """
        more = np.asarray(points, dtype=np.float64)
        if more.ndim != 2 or more.shape[1] != 2 or not np.isfinite(more).all():
            raise InputError(f"points of shape {more.shape} are no finite pairs (N, 2) of scores.")
        return replace(self, points=np.concatenate([self.points, more]))

    def within(self, limits: FloatArray | None) -> Region:
        """Return the region, its chords cut off at proved limits (P, 3); what was reached stays inside."""
        return replace(self, limits=limits)

    @cached_property
    def lower(self) -> FloatArray:
        """The vertices (V, 2) of the lower boundary, by rising a."""
        return self._side(self.b_min, -1)

    @cached_property
    def upper(self) -> FloatArray:
        """The vertices (V, 2) of the upper boundary, by rising a."""
        return self._side(self.b_max, 1)

    def _side(self, extreme: FloatArray, sign: int) -> FloatArray:
        found = np.isfinite(extreme)
        nodes = np.column_stack([self.levels[found], extreme[found]])
        reached = np.concatenate([nodes, self.points])
        first, last = reached[:, 0].min(), reached[:, 0].max()
        inner = nodes[(nodes[:, 0] > first) & (nodes[:, 0] < last)]
        nodes = np.array([(first, -sign * np.inf), *inner, (last, -sign * np.inf)])
        vertices = _hull(_out_to(reached, nodes, sign), reached, sign)
        return vertices if self.limits is None else _cut(vertices, self.limits, reached, sign)

    @property
    def area(self) -> float:
        """The area between the extremes at the levels, by the trapezoid rule, in units of a times b.

        Levels at which an extreme was not found are left out.
        """
        both = np.isfinite(self.b_min) & np.isfinite(self.b_max)
        width = np.maximum(self.b_max - self.b_min, 0)[both]
        return float(np.diff(self.levels[both]) @ (width[:-1] + width[1:]) / 2)

    def contains(self, points: npt.ArrayLike, slack: float = 1e-9) -> npt.NDArray[np.bool_]:
        """Return which pairs (N, 2) lie inside, or at most ``slack`` outside."""
        a, b = np.asarray(points, dtype=np.float64).T
        inside: npt.NDArray[np.bool_] = (a >= self.lower[0, 0] - slack) & (a <= self.lower[-1, 0] + slack)
        inside &= b >= np.interp(a, *self.lower.T) - slack
        inside &= b <= np.interp(a, *self.upper.T) + slack
        return inside

    def ruled_out(self, threshold: float, given: int = 0) -> float:
        """Return which share of its range, from the far end, one score cannot take where the other is close.

        Closer is larger, and smaller for a distance. NaN where no pair is as close as the threshold.

        Parameters
        ----------
        threshold : float
        given : {0, 1}
            Whose score is at least as close as the threshold: that of a, or of b.

        Returns
        -------
        float, 0 to 1
        """
        outline = np.concatenate([self.lower, self.upper[::-1]])
        left = _clip(outline, given, threshold, self.signs[given])
        if not len(left):
            return math.nan
        sign = self.signs[1 - given]
        whole, rest = sign * outline[:, 1 - given], sign * left[:, 1 - given]
        length = float(np.ptp(whole))
        return float(rest.min() - whole.min()) / length if length > 0 else 0.0

    def verdict(self, threshold: float = 0.9, of_b: float | None = None) -> Verdict:
        """Say whether a close score of one measure tells much of the other.

        One tells of the other if a score at least as close as the threshold rules out at least half of the
        other's whole range (:data:`RULED_OUT`): the other then lies in the closer half of what it can be at
        all. Coupled: each tells of the other. Asymmetric: one does. Independent: none does. The share of the
        range is taken, not the score, so that the rule is the same for distances and for scores whose range
        does not begin at 0.

        Parameters
        ----------
        threshold : float
            Of a, and of b unless it has its own.
        of_b : float or None
        """
        shares = self.ruled_out(threshold, 0), self.ruled_out(threshold if of_b is None else of_b, 1)
        telling = sum(share >= RULED_OUT for share in shares)
        words: tuple[Verdict, ...] = ("independent", "asymmetric", "coupled")
        return words[telling]


def _hull(nodes: FloatArray, reached: FloatArray, sign: int) -> FloatArray:
    """Return the boundary through nodes that has all that was reached on its inner side."""
    vertices = [nodes[:1]]
    for left, right in itertools.pairwise(nodes):
        inside = reached[(reached[:, 0] > left[0]) & (reached[:, 0] < right[0])]
        vertices.append(_chain(left, right, inside, sign))
    return np.concatenate(vertices)


def _cut(vertices: FloatArray, limits: FloatArray, reached: FloatArray, sign: int) -> FloatArray:
    """Draw a boundary in to the limits where its chords pass them, all that was reached still inside."""
    levels, limit = limits[:, 0], limits[:, 2 if sign > 0 else 1]
    between = (levels > vertices[0, 0]) & (levels < vertices[-1, 0]) & ~np.isin(levels, vertices[:, 0])
    beyond = between & (sign * (np.interp(levels, *vertices.T) - limit) > 0)  # never where it is NaN
    nodes = np.concatenate([vertices, _out_to(reached, np.column_stack([levels, limit])[beyond], sign)])
    return _hull(nodes[np.argsort(nodes[:, 0], kind="stable")], reached, sign)


def _out_to(reached: FloatArray, nodes: FloatArray, sign: int) -> FloatArray:
    """Return nodes, moved outwards to what was reached at their very level."""
    outermost = [max([sign * b, *(sign * reached[reached[:, 0] == a, 1])]) for a, b in nodes]
    return np.column_stack([nodes[:, 0], sign * np.array(outermost)])


def _chain(left: FloatArray, right: FloatArray, inside: FloatArray, sign: int) -> FloatArray:
    """Return the hull's vertices after ``left`` up to ``right``, on the upper side (sign 1) or the lower."""
    height = np.interp(inside[:, 0], [left[0], right[0]], [left[1], right[1]])
    inside = inside[sign * (inside[:, 1] - height) > 0]
    order = np.lexsort([-sign * inside[:, 1], inside[:, 0]])
    chain = [left]
    for point in [*inside[order], right]:
        while len(chain) > 1 and sign * _turn(chain[-2], chain[-1], point) >= 0:
            chain.pop()
        if point[0] > chain[-1][0]:
            chain.append(point)
    return np.array(chain[1:])


def _turn(first: FloatArray, second: FloatArray, third: FloatArray) -> float:
    one, two = second - first, third - first
    return float(one[0] * two[1] - one[1] * two[0])


def _clip(outline: FloatArray, axis: int, threshold: float, sign: int) -> FloatArray:
    """Return the vertices of the part of a closed outline that is beyond a threshold along an axis."""
    kept = []
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        depth = sign * (start[axis] - threshold), sign * (end[axis] - threshold)
        if depth[0] >= 0:
            kept.append(start)
        if depth[0] * depth[1] < 0:
            kept.append(start + (end - start) * depth[0] / (depth[0] - depth[1]))
    return np.array(kept)
