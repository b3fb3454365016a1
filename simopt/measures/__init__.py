"""Similarity measures: ``get`` one by name, ``names`` lists them, ``score`` compares two datasets.

A new measure is one file here and one yaml in ``configs/measure/``.

>>> from simopt import measures
>>> "cka" in measures.names(), measures.get("cka").facts.high
(True, 1.0)
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
from collections.abc import Sequence
from typing import Any, overload

from simopt import catalogue, checks
from simopt.errors import InputError
from simopt.measures.base import BoundMeasure, Facts, Measure, Score
from simopt.measures.function import FunctionMeasure
from simopt.measures.moments import Moments, Reference
from simopt.typing import ArrayLike, Node

__all__ = [
    "BoundMeasure",
    "Facts",
    "FunctionMeasure",
    "Measure",
    "Moments",
    "Reference",
    "Score",
    "build",
    "describe",
    "distinct",
    "get",
    "names",
    "score",
]


def names(*, aliases: bool = False) -> list[str]:
    """Return the names of all measures, with ``aliases`` also those of their named variants."""
    own = [name for name in catalogue.names("measure") if name != "function"]
    return [*own, *(sorted(catalogue.aliases("measure")) if aliases else ())]


def distinct() -> list[str]:
    """Return the names of all measures and of those variants that have a formula of their own."""
    same = {
        alias
        for node in (catalogue.read("measure", name) for name in catalogue.names("measure"))
        for alias, options in node["aliases"].items()
        if options.items() <= node.items()
    }
    return [name for name in names(aliases=True) if name not in same]


def get(name: str, **options: Any) -> Measure:
    """Return a measure by its name or alias, with options over its defaults.

    ``get("cka")(X, Y)`` scores X (samples, units) and Y (..., samples, units), both float tensors, and can
    be differentiated with respect to Y; ``get("cka").bind(X)`` is the fast form for one X. Another package
    offers a measure as an entry point of the group ``simopt.measures``.

    Raises
    ------
    InputError
        No such measure, no such option, or a value out of range.

    Examples
    --------
    >>> import torch, simopt
    >>> measure = simopt.measures.get("cka", form="angular")
    >>> X = torch.eye(5, dtype=torch.float64)[:, :3]
    >>> round(measure(X, 2 * X).item(), 6)
    1.0
    """
    if not catalogue.has("measure", name):
        for entry in importlib.metadata.entry_points(group="simopt.measures", name=name):
            return build({"_target_": entry.value.replace(":", "."), "name": name, **options})
    return build({**catalogue.read("measure", name), **options})


def build(node: Node) -> Measure:
    """Return the measure that a configuration node describes.

    ``_target_`` names a class of measures, or a function of (X, Y), which becomes one with the other
    entries as its options.

    Raises
    ------
    InputError
        The path leads nowhere, or an option is unknown, missing or refused.
    """
    if "_object_" in node:  # a measure that a caller holds
        held: Measure = node["_object_"]
        return held
    target = catalogue.locate(node.get("_target_"), "measure")
    if not isinstance(node.get("name", ""), str):
        raise InputError(f"name of the measure is {node['name']!r}; it must be text.")
    if inspect.isclass(target) and issubclass(target, Measure):
        return catalogue.build(node, "measure")
    options = {key: value for key, value in node.items() if key not in ("_target_", "name", "aliases")}
    given = node.get("name", "function")
    name = target.__name__ if given == "function" else given
    catalogue.check_options(target, options, f"measure {name}", partial=True)
    return FunctionMeasure(name=name, function=target, options=options)


def describe(measure: Measure) -> dict[str, Any]:
    """Return what a measure says of itself, as plain values; ranges without end are infinite."""
    facts = dataclasses.asdict(measure.facts)
    low, high = facts.pop("low"), facts.pop("high")
    return {
        "name": measure.name,
        **facts,
        "range": [low, high],
        "invariant_x": sorted(facts["invariant_x"]),
        "invariant_y": sorted(facts["invariant_y"]),
        "relations": list(facts["relations"]),
        "aliases": {alias: dict(options) for alias, options in measure.aliases.items()},
    }


@overload
def score(X: ArrayLike, Y: ArrayLike, measure: str | Measure = "cka", **options: Any) -> float: ...
@overload
def score(
    X: ArrayLike, Y: ArrayLike, measure: Sequence[str | Measure], **options: Any
) -> dict[str, float]: ...
def score(
    X: ArrayLike, Y: ArrayLike, measure: str | Measure | Sequence[str | Measure] = "cka", **options: Any
) -> float | dict[str, float]:
    """Return the similarity of two datasets, in float64; of several measures, that of each by its name.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
        The same samples in the same order; any number of units each. X is the reference: regression
        predicts X from Y.
    measure : str or Measure, or a sequence of them
    **options
        Over the defaults of a measure given by name, for instance ``penalty=3`` for ``ridge100``.

    Returns
    -------
    float, or dict of float
        NaN where the measure is undefined for these data; its range and its value at Y = X are among the
        measure's ``facts``.

    Raises
    ------
    InputError
        Data that is not numeric, not finite, constant, of other shape, of under 3 or of unequal samples, or
        that the measure does not apply to; an unknown measure or option.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 6))
    >>> round(simopt.score(X, 2 * X + 1, "cka"), 6)
    1.0
    >>> 0 < simopt.score(X, X[:, :3], "ridge100", penalty=3) < 1
    True
    >>> list(simopt.score(X, X[:, :3], ["cka", "nbs"]))
    ['cka', 'nbs']
    """
    several = isinstance(measure, Sequence) and not isinstance(measure, str)
    chosen: list[Any] = [*measure] if isinstance(measure, Sequence) and several else [measure]
    x, y = checks.pair(X, Y)
    reference = Reference.of(x)
    scores: dict[str, float] = {}
    for each in chosen:
        if not isinstance(each, str) and not hasattr(each, "bind"):
            raise InputError(f"measure is {each!r}; give a name of simopt.measures.names(), or a measure.")
        if options and not isinstance(each, str):
            raise InputError(
                f"{each.name} is a measure with its options fixed; give {', '.join(options)} to measures.get."
            )
        held = get(each, **options) if isinstance(each, str) else each
        scores[each if isinstance(each, str) else each.name] = float(held.bind(reference)(y))
    return scores if several else next(iter(scores.values()))
