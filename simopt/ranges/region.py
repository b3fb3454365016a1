"""The region of score pairs that can occur together, and what one score implies for the other.

The boundary passes through the extremes at the levels. Between two levels it is the convex hull of their
extremes and of all score pairs found in between. Every score pair of a known Y therefore lies inside. The
true region may be smaller, as a straight edge (chord) of the hull may enclose pairs that no Y has. More
levels shorten the chords, and proved limits cut them off.

References
----------
.. [1] Andrew, A. M. (1979). Another efficient algorithm for convex hulls in two dimensions. Information
   Processing Letters 9, 216-219. doi:10.1016/0020-0190(79)90072-3
.. [2] Sutherland, I. E. & Hodgman, G. W. (1974). Reentrant polygon clipping. Communications of the ACM 17,
   32-42. doi:10.1145/360767.360802
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
from simopt.ranges.boundary import Extremes, finite_pairs
from simopt.typing import FloatArray

Verdict = Literal["independent", "coupled", "asymmetric"]

RULED_OUT = 0.5
"""The share of the range of one measure that another must rule out to be informative about it.

One half is a convention: the other score is then known to lie in the half of its range that is closer to X.
"""


@dataclass(frozen=True)
class Region:
    """The region of score pairs of two measures a and b that can occur together.

    Attributes
    ----------
    names : pair of str
        Names of a and b.
    signs : pair of int
        For a and b: 1 for a similarity, -1 for a distance.
    levels : array, (L,)
        Scores of a, ascending.
    b_min, b_max : array, (L,)
        Smallest and largest score of b at each level; NaN if no Y was found at the level.
    feasibility, spread : array, (L, 2)
        The fields of :class:`simopt.ranges.boundary.Extremes`.
    points : array, (N, 2)
        Score pairs (a, b) of the Y that are known.
    limits : array, (P, 3), or None
        Each row holds a score of a, and the proved lower and upper limit of b at this score; NaN if no limit
        is known.
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
            No Y came within the tolerance of any level.
        """
        if not np.isfinite(extremes.value).any():
            raise InputError(f"no Y was found at any level of {a.name}; choose other levels or more steps.")
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
        """Return the region, widened so that it contains these points too.

        Parameters
        ----------
        points : array, (N, 2)
            Score pairs (a, b), one for each Y.

        Raises
        ------
        InputError
            The points are not pairs of finite numbers.
        """
        return replace(self, points=np.concatenate([self.points, finite_pairs(points, "points")]))

    def within(self, limits: FloatArray | None) -> Region:
        """Return the region cut off at proved limits (P, 3); the points stay inside."""
        return replace(self, limits=limits)

    @cached_property
    def lower(self) -> FloatArray:
        """The vertices of the lower boundary, an array (V, 2) sorted by ascending score of a."""
        return self._side(self.b_min, -1)

    @cached_property
    def upper(self) -> FloatArray:
        """The vertices of the upper boundary, an array (V, 2) sorted by ascending score of a."""
        return self._side(self.b_max, 1)

    def _side(self, extreme: FloatArray, sign: int) -> FloatArray:
        has_extreme = np.isfinite(extreme)
        nodes = np.column_stack([self.levels[has_extreme], extreme[has_extreme]])
        reached = np.concatenate([nodes, self.points])
        first, last = reached[:, 0].min(), reached[:, 0].max()
        # Points may lie beyond the outer levels. The two ends are nodes too; infinity is replaced by _out_to
        # with the outermost point that was reached there.
        inner = nodes[(nodes[:, 0] > first) & (nodes[:, 0] < last)]
        nodes = np.array([(first, -sign * np.inf), *inner, (last, -sign * np.inf)])
        vertices = _hull(_out_to(reached, nodes, sign), reached, sign)
        return vertices if self.limits is None else _cut(vertices, self.limits, reached, sign)

    @property
    def area(self) -> float:
        """The area between the two extremes of b over the levels of a, by the trapezoid rule.

        Levels at which one of the two extremes was not found are left out.
        """
        both = np.isfinite(self.b_min) & np.isfinite(self.b_max)
        width = np.maximum(self.b_max - self.b_min, 0)[both]
        return float(np.diff(self.levels[both]) @ (width[:-1] + width[1:]) / 2)

    def contains(self, points: npt.ArrayLike, slack: float = 1e-9) -> npt.NDArray[np.bool_]:
        """Return for each of the pairs (N, 2) whether it lies inside, or at most ``slack`` outside, (N,)."""
        a, b = np.asarray(points, dtype=np.float64).T
        inside: npt.NDArray[np.bool_] = (a >= self.lower[0, 0] - slack) & (a <= self.lower[-1, 0] + slack)
        inside &= b >= np.interp(a, *self.lower.T) - slack
        inside &= b <= np.interp(a, *self.upper.T) + slack
        return inside

    def ruled_out(self, threshold: float, given: int = 0) -> float:
        """Return the share of the range of one measure that is ruled out if the other reaches a threshold.

        A similarity reaches a threshold if it is at least as large, a distance if it is at most as large.
        The share is counted from the end of the range at which Y is farthest from X.

        Parameters
        ----------
        threshold : float
            Threshold of the given measure.
        given : {0, 1}
            The measure that has the threshold: 0 for a, 1 for b.

        Returns
        -------
        float, 0 to 1
            NaN if no pair of the region reaches the threshold.
        """
        outline = np.concatenate([self.lower, self.upper[::-1]])
        left = _clip(outline, given, threshold, self.signs[given])
        if not len(left):
            return math.nan
        sign = self.signs[1 - given]
        whole, rest = sign * outline[:, 1 - given], sign * left[:, 1 - given]
        length = float(np.ptp(whole))
        return float(rest.min() - whole.min()) / length if length > 0 else 0.0

    def verdict(self, of_a: float, of_b: float) -> Verdict:
        """Return "coupled", "asymmetric" or "independent": how much one measure says about the other.

        A measure is informative about the other measure if scores that reach its threshold rule out at least
        half of the range of the other (:data:`RULED_OUT`). "coupled": both measures are informative about
        each other. "asymmetric": only one is. "independent": neither is. As shares of ranges are compared,
        the rule is the same for distances and for scores whose range does not begin at 0.

        Parameters
        ----------
        of_a, of_b : float
            Thresholds of a and of b.
        """
        shares = self.ruled_out(of_a, 0), self.ruled_out(of_b, 1)
        telling = sum(share >= RULED_OUT for share in shares)
        words: tuple[Verdict, ...] = ("independent", "asymmetric", "coupled")
        return words[telling]


def _hull(nodes: FloatArray, reached: FloatArray, sign: int) -> FloatArray:
    """Return the boundary through the nodes with all reached points on its inner side.

    Parameters
    ----------
    nodes : array, (M, 2)
        Points that the boundary passes through, by ascending a.
    reached : array, (N, 2)
    sign : {-1, 1}
        1 for the upper boundary, -1 for the lower one.
    """
    vertices = [nodes[:1]]
    for left, right in itertools.pairwise(nodes):
        inside = reached[(reached[:, 0] > left[0]) & (reached[:, 0] < right[0])]
        vertices.append(_chain(left, right, inside, sign))
    return np.concatenate(vertices)


def _cut(vertices: FloatArray, limits: FloatArray, reached: FloatArray, sign: int) -> FloatArray:
    """Return a boundary drawn in to the limits wherever its chords exceed them.

    All reached points stay inside, also one that rounding puts beyond a limit.
    """
    levels, limit = limits[:, 0], limits[:, 2 if sign > 0 else 1]
    between = (levels > vertices[0, 0]) & (levels < vertices[-1, 0]) & ~np.isin(levels, vertices[:, 0])
    beyond = between & (sign * (np.interp(levels, *vertices.T) - limit) > 0)  # never where it is NaN
    nodes = np.concatenate([vertices, _out_to(reached, np.column_stack([levels, limit])[beyond], sign)])
    return _hull(nodes[np.argsort(nodes[:, 0], kind="stable")], reached, sign)


def _out_to(reached: FloatArray, nodes: FloatArray, sign: int) -> FloatArray:
    """Return the nodes, moved outwards to the outermost point reached at exactly their level."""
    outermost = [max([sign * b, *(sign * reached[reached[:, 0] == a, 1])]) for a, b in nodes]
    return np.column_stack([nodes[:, 0], sign * np.array(outermost)])


def _chain(left: FloatArray, right: FloatArray, inside: FloatArray, sign: int) -> FloatArray:
    """Return the hull's vertices after ``left`` up to ``right``, on the upper side (sign 1) or the lower."""
    # Only points beyond the chord from left to right can be vertices.
    height = np.interp(inside[:, 0], [left[0], right[0]], [left[1], right[1]])
    inside = inside[sign * (inside[:, 1] - height) > 0]
    # Andrew's monotone chain: by ascending a, the outermost of equal a first. A vertex is dropped when the
    # next point shows it to be on the inner side of a chord.
    order = np.lexsort([-sign * inside[:, 1], inside[:, 0]])
    chain = [left]
    for point in [*inside[order], right]:
        while len(chain) > 1 and sign * _turn(chain[-2], chain[-1], point) >= 0:
            chain.pop()
        if point[0] > chain[-1][0]:
            chain.append(point)
    return np.reshape(chain[1:], (-1, 2))  # none if both lie at the same a


def _turn(first: FloatArray, second: FloatArray, third: FloatArray) -> float:
    """Return twice the signed area of a triangle: positive where its corners turn counterclockwise."""
    one, two = second - first, third - first
    return float(one[0] * two[1] - one[1] * two[0])


def _clip(outline: FloatArray, axis: int, threshold: float, sign: int) -> FloatArray:
    """Return the vertices of the part of a closed outline that is beyond a threshold along an axis."""
    # Sutherland and Hodgman: an edge contributes its start if that is beyond, and its crossing if it crosses.
    kept = []
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        depth = sign * (start[axis] - threshold), sign * (end[axis] - threshold)
        if depth[0] >= 0:
            kept.append(start)
        if depth[0] * depth[1] < 0:
            kept.append(start + (end - start) * depth[0] / (depth[0] - depth[1]))
    return np.array(kept)
