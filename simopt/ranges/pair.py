"""The joint range of two measures a and b: extremes of b at levels of a, and of a at thresholds of b.

The extremes of a at thresholds of b say what a high score of b implies for a. The extremes of b at levels of
a would say so only by interpolation between two levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt.measures import Measure, Reference
from simopt.ranges.boundary import Boundary, Extremes, Options
from simopt.ranges.region import Region
from simopt.ranges.stepwise import Stepwise
from simopt.typing import FloatArray


@dataclass(frozen=True)
class Implied:
    """The range of the scores of one measure over all Y whose other score reaches a threshold.

    A similarity reaches a threshold if it is at least as large, a distance if it is at most as large.

    Attributes
    ----------
    given, implied : str
        Names of the measure that has the threshold, and of the measure whose range is stated.
    threshold : float
        Threshold of the given measure.
    low, high : float
        Smallest and largest score of the implied measure over all Y of the search that reach the threshold;
        NaN if no Y reaches it.
    proved : pair of float, or None
        Proved lower and upper limit of the implied measure; None if no limits are known.
    """

    given: str
    implied: str
    threshold: float
    low: float
    high: float
    proved: tuple[float, float] | None = None


class PairSearch(Stepwise):
    """A search for the extremes of b at levels of a, and then for those of a at thresholds of b.

    The search can be stopped and resumed.

    Parameters
    ----------
    reference : Reference
        The recording X.
    a, b : Measure
        The two measures.
    levels : sequence of float
        Levels of a, for the first search.
    thresholds : sequence of float
        Levels of b, for the second search. If it is empty, there is no second search.
    options : Options
        Options of both searches.

    Raises
    ------
    InputError
        :class:`~simopt.ranges.boundary.Boundary` refuses a measure, the levels or the thresholds.
    """

    def __init__(
        self,
        reference: Reference,
        a: Measure,
        b: Measure,
        levels: Sequence[float],
        thresholds: Sequence[float],
        options: Options,
    ) -> None:
        self.a, self.b = a, b
        self.thresholds = list(thresholds)
        self.along = Boundary(reference, a, b, levels, options)
        self.across = Boundary(reference, b, a, thresholds, options) if thresholds else None
        self._searches = [search for search in (self.along, self.across) if search is not None]

    @property
    def steps(self) -> tuple[int, int]:
        """The number of steps done, and the total number of steps, of both searches together."""
        done, total = zip(*(search.steps for search in self._searches), strict=True)
        return sum(done), sum(total)

    @property
    def done(self) -> bool:
        """Whether both searches are over."""
        return all(search.done for search in self._searches)

    def advance(self) -> None:
        """Take one step of the first search that is not done; do nothing if both are done."""
        unfinished = next((search for search in self._searches if not search.done), None)
        if unfinished is not None:
            unfinished.advance()

    def state(self) -> dict[str, Any]:
        """Return the state of both searches for :meth:`restore`, as tensors and plain numbers."""
        return {"searches": [search.state() for search in self._searches]}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved :meth:`state`; data, measures, levels and options must be the same."""
        for search, saved in zip(self._searches, state["searches"], strict=True):
            search.restore(saved)

    def region(self) -> Region:
        """Return the region that contains the score pairs of both searches.

        Raises
        ------
        InputError
            No Y came within the tolerance of any level.
        """
        region = Region.of(self.a, self.b, self.along.extremes())
        # Points of the second search are (b, a).
        return region if self.across is None else region.contain(self.across.points()[:, ::-1])

    def across_extremes(self) -> Extremes | None:
        """Return the extremes of a at the thresholds of b; None without thresholds."""
        return None if self.across is None else self.across.extremes()


def implied(region: Region, threshold: float, given: int, *, found: Sequence[float] = ()) -> Implied:
    """Return the range of the scores of one measure over all Y whose other score reaches a threshold.

    Parameters
    ----------
    region : Region
        The region of the two measures. Its points and its extremes are the known score pairs.
    threshold : float
        Threshold of the given measure.
    given : {0, 1}
        The measure that has the threshold: 0 for a, 1 for b.
    found : sequence of float
        Further scores of the other measure, found at this threshold. NaN is ignored.
    """
    sides = [np.column_stack([region.levels, extreme]) for extreme in (region.b_min, region.b_max)]
    reached = np.concatenate([*sides, region.points])
    sign = region.signs[given]
    other: FloatArray = reached[sign * reached[:, given] >= sign * threshold, 1 - given]
    other = np.concatenate([other, found])
    other = other[np.isfinite(other)]
    low, high = (float(other.min()), float(other.max())) if other.size else (np.nan, np.nan)
    return Implied(region.names[given], region.names[1 - given], threshold, low, high)
