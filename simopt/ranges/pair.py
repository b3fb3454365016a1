"""The joint range of two measures a and b: the extremes of b at levels of a, and of a at thresholds of b.

The second search answers what a high score of b implies for a. The first search alone would answer it only by
interpolation of the boundary between two levels of a.
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
    """The range of one measure's scores, given that the other's score is at or beyond a threshold.

    Beyond is higher for a score and lower for a distance.

    Attributes
    ----------
    given, implied : str
        The measure whose score is given, and the measure whose range this is.
    threshold : float
        Score of the given measure.
    low, high : float
        Smallest and largest score of the implied measure among all Y of the search that reach the threshold;
        NaN where none does.
    proved : pair of float, or None
        Proved limits of the implied measure; None where none are known.
    """

    given: str
    implied: str
    threshold: float
    low: float
    high: float
    proved: tuple[float, float] | None = None


class PairSearch(Stepwise):
    """Both searches, one after the other; they can be stopped and resumed.

    Parameters
    ----------
    reference : Reference
    a, b : Measure
    levels : sequence of float
        Levels of a, for the first search.
    thresholds : sequence of float
        Levels of b, for the second search; empty: no second search.
    options : Options
        Of both searches.

    Raises
    ------
    InputError
        As for :class:`~simopt.ranges.boundary.Boundary`.
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
        """Steps done, and steps in all."""
        done, total = zip(*(search.steps for search in self._searches), strict=True)
        return sum(done), sum(total)

    @property
    def done(self) -> bool:
        """Whether both searches are over."""
        return all(search.done for search in self._searches)

    def advance(self) -> None:
        """Take one step of the first search that is not done; nothing if both are."""
        unfinished = next((search for search in self._searches if not search.done), None)
        if unfinished is not None:
            unfinished.advance()

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs: tensors and plain numbers."""
        return {"searches": [search.state() for search in self._searches]}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`; data, measures, levels and options must be the same."""
        for search, saved in zip(self._searches, state["searches"], strict=True):
            search.restore(saved)

    def region(self) -> Region:
        """Return the region that holds the points of both searches.

        Raises
        ------
        InputError
            No Y came within the tolerance of any level.
        """
        region = Region.of(self.a, self.b, self.along.extremes())
        # Points of the second search are (b, a).
        return region if self.across is None else region.contain(self.across.points()[:, ::-1])

    def across_extremes(self) -> Extremes | None:
        """Return the extremes of a at the thresholds of b."""
        return None if self.across is None else self.across.extremes()


def implied(region: Region, threshold: float, given: int, *, found: Sequence[float] = ()) -> Implied:
    """Return the range of one measure's scores among all Y whose other score is at or beyond a threshold.

    Parameters
    ----------
    region : Region
        Of which the points and extremes are used.
    threshold : float
        Score of the given measure.
    given : {0, 1}
        The measure that the threshold is for: a, or b.
    found : sequence of float
        Further scores of the other measure at this threshold; NaN is ignored.
    """
    sides = [np.column_stack([region.levels, extreme]) for extreme in (region.b_min, region.b_max)]
    reached = np.concatenate([*sides, region.points])
    sign = region.signs[given]
    other: FloatArray = reached[sign * reached[:, given] >= sign * threshold, 1 - given]
    other = np.concatenate([other, found])
    other = other[np.isfinite(other)]
    low, high = (float(other.min()), float(other.max())) if other.size else (np.nan, np.nan)
    return Implied(region.names[given], region.names[1 - given], threshold, low, high)
