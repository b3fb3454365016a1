"""The joint range of two measures, from both sides: extremes of b at levels of a, and of a at levels of b.

The second search answers what a close score of b says of a: read off the first, it would hang on how the
boundary runs between two levels.
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
    """What a score at least as close as a threshold leaves of the other measure.

    Attributes
    ----------
    given, implied : str
    threshold : float
    low, high : float
        Of the other measure's scores among all Y that were found; NaN where none is as close.
    proved : pair of float, or None
        What is proved about them, where something is.
    """

    given: str
    implied: str
    threshold: float
    low: float
    high: float
    proved: tuple[float, float] | None = None


class PairSearch(Stepwise):
    """Both searches, one after the other, that can be stopped and resumed.

    Parameters
    ----------
    reference : Reference
    a, b : Measure
    levels : sequence of float
        Of a.
    thresholds : sequence of float
        Of b; none leaves out the second search.
    options : Options

    Raises
    ------
    InputError
        As :class:`~simopt.ranges.boundary.Boundary`.
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
        """How many steps are done, and how many there are."""
        done, total = zip(*(search.steps for search in self._searches), strict=True)
        return sum(done), sum(total)

    @property
    def done(self) -> bool:
        """Whether both searches are over."""
        return all(search.done for search in self._searches)

    def advance(self) -> None:
        """Take one step of the search that is not over yet."""
        open_search = next((search for search in self._searches if not search.done), None)
        if open_search is not None:
            open_search.advance()

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs: tensors and plain numbers."""
        return {"searches": [search.state() for search in self._searches]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the searches where :meth:`state` was taken; what they were made of must be the same."""
        for search, saved in zip(self._searches, state["searches"], strict=True):
            search.restore(saved)

    def region(self) -> Region:
        """Return the region that both searches found.

        Raises
        ------
        InputError
            No level was reached.
        """
        region = Region.of(self.a, self.b, self.along.extremes())
        return region if self.across is None else region.contain(self.across.points()[:, ::-1])

    def across_extremes(self) -> Extremes | None:
        """Return the extremes of a at the thresholds of b."""
        return None if self.across is None else self.across.extremes()


def implied(region: Region, threshold: float, given: int, *, found: Sequence[float] = ()) -> Implied:
    """Return what the Y that were found say of one measure where the other is beyond a threshold.

    Parameters
    ----------
    region : Region
        Its points and extremes.
    threshold : float
    given : {0, 1}
        Whose score is known: that of a, or of b.
    found : sequence of float
        Further scores of the other measure at this threshold, NaN for none.
    """
    sides = [np.column_stack([region.levels, extreme]) for extreme in (region.b_min, region.b_max)]
    reached = np.concatenate([*sides, region.points])
    sign = region.signs[given]
    other: FloatArray = reached[sign * reached[:, given] >= sign * threshold, 1 - given]
    other = np.concatenate([other, found])
    other = other[np.isfinite(other)]
    low, high = (float(other.min()), float(other.max())) if other.size else (np.nan, np.nan)
    return Implied(region.names[given], region.names[1 - given], threshold, low, high)
