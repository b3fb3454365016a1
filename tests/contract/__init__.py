"""Contracts that every yaml keeps. ``POINTS`` are the measures to check: each formula once.

Ridge penalties other than 100 differ from it in a number: they are checked as well, under the slow marker.
``brainscore-pls25`` needs 25 units; ``pls25`` takes as many components as there are.
"""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from simopt import measures
from simopt.measures import Measure

_OTHER_PENALTY = re.compile(r"^ridge(-lambda)?(1|10|1000|10000)(-|_|$)")
POINTS = [name for name in measures.distinct() if name != "brainscore-pls25"]
_SUITED = {
    "pls": {"components": 2},
    "knn": {"k": 3},
    "crossnobis": {"repeats": 2},
}


def params(names: Iterable[str], *, aliases: bool = True) -> list[Any]:
    """Return the names as parameters of a test, those slow that differ from another in a number.

    Without ``aliases`` those are slow too, for what every measure inherits alike.
    """
    usual = measures.names(aliases=aliases)
    return [
        pytest.param(name, marks=pytest.mark.slow if _OTHER_PENALTY.match(name) or name not in usual else ())
        for name in names
    ]


def point(name: str) -> Measure:
    """Return a measure with options that suit 30 samples of 4 or 5 units, where its own ask for more.

    All components of PLS are least squares, ten neighbors of thirty samples all meet, and no default says how
    many repeats there are.
    """
    family = next((family for family in _SUITED if family in name and "singular" not in name), None)
    return measures.get(name, **_SUITED[family]) if family else measures.get(name)


def refused(name: str, samples: int, units: int) -> bool:
    """Whether the covariance of Y has no inverse, which a Mahalanobis distance needs, or is degenerate."""
    return mahalanobis(name) and units >= samples - 1


def mahalanobis(name: str) -> bool:
    """Whether a measure uses such distances; the one called default falls back to Euclidean ones."""
    return "mahalanobis" in name and "default" not in name
