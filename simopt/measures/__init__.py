"""Similarity measures: ``get`` one by name, ``names`` lists them, ``score`` compares two datasets.

A new measure is one file here and one yaml in ``configs/measure/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simopt import catalogue, checks
from simopt.measures.base import BoundMeasure, Facts, Measure
from simopt.measures.moments import Moments, Reference

if TYPE_CHECKING:
    from simopt.typing import ArrayLike, Node

__all__ = ["BoundMeasure", "Facts", "Measure", "Moments", "Reference", "build", "get", "names", "score"]


def names(*, aliases: bool = False) -> list[str]:
    """Return the names of all measures, with ``aliases`` also those of their named variants."""
    return [*catalogue.names("measure"), *(sorted(catalogue.aliases("measure")) if aliases else ())]


def get(name: str, **options: Any) -> Measure:
    """Return a measure by its name or alias, with options over its defaults.

    ``get("cka")(X, Y)`` scores X (samples, units) and Y (..., samples, units), both float tensors, and can
    be differentiated with respect to Y; ``get("cka").bind(X)`` is the fast form for one X.

    Raises
    ------
    InputError
        No such measure, no such option, or a value out of range.
    """
    return build({**catalogue.read("measure", name), **options})


def build(node: Node) -> Measure:
    """Return the measure that a configuration node describes."""
    measure = catalogue.build(node, "measure")
    if not isinstance(measure, Measure):
        raise checks.unknown(str(node.get("_target_")), names(), "measure")
    return measure


def score(X: ArrayLike, Y: ArrayLike, measure: str | Measure = "cka", **options: Any) -> float:
    """Return the similarity of two datasets, in float64.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
        The same samples in the same order; any number of units each. X is the reference: regression
        predicts X from Y.
    measure : str or Measure
    **options
        Over the measure's defaults, for instance ``penalty=3`` for ``ridge100``.

    Returns
    -------
    float, 1 at Y = X

    Raises
    ------
    InputError
        Data that is not numeric, not finite, constant, of other shape, of under 3 or of unequal samples;
        an unknown measure or option.
    """
    bound = get(measure, **options) if isinstance(measure, str) else measure
    x = checks.flatten(checks.responses(X, "X")).astype("float64")
    y = checks.flatten(checks.responses(Y, "Y")).astype("float64")
    checks.same_samples(x.shape, y.shape)
    checks.varying(x, "X")
    checks.varying(y, "Y")
    return float(bound.bind(x)(y))
