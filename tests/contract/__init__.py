"""Contracts that every yaml keeps. ``POINTS`` are the measures to check: each formula once.

Of the ridge penalties only 100 is taken here; the others differ in a number (the textbook tests take all).
``brainscore-pls25`` needs 25 units; ``pls25`` takes as many components as there are.
"""

import re

from simopt import measures
from simopt.measures import Measure

_OTHER_PENALTY = re.compile(r"^ridge(-lambda)?(1|10|1000|10000)(-|_|$)")
POINTS = [
    name for name in measures.distinct() if not _OTHER_PENALTY.match(name) and name != "brainscore-pls25"
]
_SMALL = {"pls": {"components": 2, "tolerance": 1e-12}, "knn": {"k": 3}}


def point(name: str) -> Measure:
    """Return a measure with options that suit 30 samples of 4 or 5 units, where its own ask for more.

    All components of PLS are least squares, its iteration stops early, and ten neighbours of thirty samples
    all meet.
    """
    family = next((family for family in _SMALL if family in name and "singular" not in name), None)
    return measures.get(name, **_SMALL[family]) if family else measures.get(name)


def refused(name: str, samples: int, units: int) -> bool:
    """Whether the covariance of Y has no inverse, which a Mahalanobis distance needs, or is degenerate."""
    return mahalanobis(name) and units >= samples - 1


def mahalanobis(name: str) -> bool:
    """Whether a measure uses such distances; the one called default falls back to Euclidean ones."""
    return "mahalanobis" in name and "default" not in name
