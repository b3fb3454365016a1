"""Similarity measures: ``get`` returns one by name, ``names`` lists them, ``score`` compares two datasets.

To add a measure, add one module here and one yaml in ``configs/measure/``.

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

import torch

from simopt import catalogue, checks
from simopt.errors import InputError, RowsWarning, UnitsWarning, warn
from simopt.measures.base import BoundMeasure, Facts, Measure, Score, groups_are_none, rows_of
from simopt.measures.function import FunctionMeasure
from simopt.measures.moments import Moments, Reference
from simopt.rows import Rows, found
from simopt.typing import ArrayLike, Node, Responses

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
    """Return the names of all measures.

    If ``aliases`` is true, add the aliases. An alias names a measure with some of its options changed.
    """
    primary = [name for name in catalogue.names("measure") if name != "function"]
    return [*primary, *(sorted(catalogue.aliases("measure")) if aliases else ())]


def distinct() -> list[str]:
    """Return the names of all measures, and the aliases that change an option of their measure."""
    same = {
        alias
        for node in (catalogue.read("measure", name) for name in catalogue.names("measure"))
        for alias, options in node["aliases"].items()
        if options.items() <= node.items()
    }
    return [name for name in names(aliases=True) if name not in same]


def get(name: str, /, **options: Any) -> Measure:
    """Return the measure of this name or alias; ``options`` replace its defaults.

    ``get("cka")(X, Y)`` is the score of X (samples, units) and Y (..., samples, units), and is differentiable
    with respect to Y. To score many Y with one X, call ``get("cka").bind(X)``, which precomputes what depends
    on X. The option ``name`` is the name that results show, which tells two variants apart. Another package
    can provide a measure as an entry point of the group ``simopt.measures``.

    Raises
    ------
    InputError
        The name or an option is unknown, or the value of an option is out of range.

    Examples
    --------
    >>> import torch, simopt
    >>> measure = simopt.measures.get("cka", form="angular")
    >>> X = torch.eye(5, dtype=torch.float64)[:, :3]
    >>> round(measure(X, 2 * X).item(), 6)
    1.0
    """
    catalogue.refuse_both_spellings(options)
    return build({**_listed(name), **options})


def _listed(name: str) -> Node:
    """Return the configuration node of a measure of the catalogue, or of another package."""
    if not catalogue.has("measure", name):
        for entry in importlib.metadata.entry_points(group="simopt.measures", name=name):
            return {"_target_": entry.value.replace(":", "."), "name": name}
    return catalogue.read("measure", name)


def build(node: Node) -> Measure:
    """Return the measure that a configuration node describes.

    A configuration node is a dict of ``_target_`` and options. ``_target_`` is the dotted path of a subclass
    of :class:`Measure`, or of a function of (X, Y), which becomes a :class:`FunctionMeasure`.

    Raises
    ------
    InputError
        ``_target_`` cannot be imported, or is another class; or an option is unknown, missing or invalid.
    """
    if "_object_" in node:  # a measure that was built before
        return node["_object_"]
    target = catalogue.locate(node.get("_target_"), "measure")
    if not isinstance(node.get("name", ""), str):
        raise InputError(f"The name of the measure is {node['name']!r}; give a string.")
    if inspect.isclass(target) and issubclass(target, Measure):
        return catalogue.build(node, "measure")
    if inspect.isclass(target):
        raise InputError(f"measure: {node['_target_']} is a class, but no simopt.measures.Measure.")
    options = {key: value for key, value in node.items() if key not in ("_target_", "name", "aliases")}
    name = node.get("name", "function")
    name = target.__name__ if name == "function" else name
    catalogue.check_options(target, options, f"measure {name}", partial=True)
    return FunctionMeasure(name=name, function=target, options=options)


def describe(measure: Measure) -> dict[str, Any]:
    """Return the name, facts and aliases of a measure as a dict; an unbounded ``range`` has infinite ends."""
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
def score(
    X: Responses,
    Y: Responses,
    measure: str | Measure = "cka",
    groups: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
    **options: Any,
) -> float: ...
@overload
def score(
    X: Responses,
    Y: Responses,
    measure: Sequence[str | Measure],
    groups: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
    **options: Any,
) -> dict[str, float]: ...
def score(
    X: Responses,
    Y: Responses,
    measure: str | Measure | Sequence[str | Measure] = "cka",
    groups: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
    **options: Any,
) -> float | dict[str, float]:
    """Return the similarity of two datasets, computed in float64.

    Parameters
    ----------
    X, Y : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        X and Y have the same samples in the same order; each may have any number of units. X is the
        reference: regression predicts X from Y.
    measure : str or Measure, or a sequence of these
    groups, blocks : array, or the name of a label if X is a Dataset, optional
        One value for each sample, or for each condition if X has a time axis. Samples of one group share a
        signal, as repeats of a stimulus do: cross-validated measures keep them together. Samples of one block
        share a nuisance, as samples of one session do; no score depends on blocks.
    **options
        Options of the measures that are given by name, for instance ``penalty=3`` for ``ridge100``. Each goes
        to every measure that has it. Two variants of one measure are given as
        ``[get("cka"), get("cka", name="angular", form="angular")]`` (``get`` of :mod:`simopt.measures`).

    Returns
    -------
    float, or dict of float
        The score, or for a sequence of measures a dict from name to score. A score is NaN if the measure is
        undefined for these data. The range of a score and its value at Y = X are in the measure's ``facts``.

    Warns
    -----
    UnitsWarning
        The score leaves out units that are constant, or test sets in which nothing varies, or it pools test
        sets because they are small.
    RowsWarning
        Equal samples are taken for repeats, and folds keep them together.

    Raises
    ------
    InputError
        X or Y is not numeric, not finite, constant, or of another shape; X and Y have fewer than 3 samples
        or differ in samples; ``groups`` or ``blocks`` does not fit X; the measure cannot score these data; a
        measure or option is unknown; or no measure is named, or one is named twice.

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
    >>> image = np.repeat(np.arange(10), 4)  # four repeats of each of ten images
    >>> round(simopt.score(X, X, "linreg_cv5", groups=image), 6)
    1.0
    """
    several = isinstance(measure, Sequence) and not isinstance(measure, str)
    choices: list[Any] = [*measure] if isinstance(measure, Sequence) and several else [measure]
    x, y = checks.pair(X, Y)
    none = groups_are_none(X, groups)
    rows = (rows_of(X, groups, blocks) or Rows()).joined(Y, none)
    notes: tuple[str, ...] = ()
    if not none and not getattr(Y, "looks_for_nothing", False):
        rows, notes = found(rows, {"X": x, "Y": y})
    reference = Reference.of(x, rows=rows)
    scores: dict[str, float] = {}
    for built in _chosen(choices, options):
        scores[built.name] = float(built.bind(reference)(y))
        if notes and built.cross_validated:
            warn(f"{built.name}: {notes[0]}", RowsWarning)
        for line in built.left_out(reference, torch.tensor(y)):
            warn(f"{line}.", UnitsWarning)
    return scores if several else next(iter(scores.values()))


def _chosen(choices: Sequence[Any], options: Node) -> list[Measure]:
    """Return the measures that names and measures stand for, with the options that each of them has."""
    if not choices:
        raise InputError("measure is empty; name one, for instance cka.")
    nodes: list[Node] = []
    for choice in choices:
        if not isinstance(choice, str) and not hasattr(choice, "bind"):
            raise InputError(f"measure is {choice!r}; give a name in simopt.measures.names(), or a measure.")
        built = {"_object_": choice, "name": getattr(choice, "name", "")}
        nodes.append(_listed(choice) if isinstance(choice, str) else built)
    fixed = [node["name"] for node in nodes if "_object_" in node]
    if options and len(fixed) == len(nodes):
        raise InputError(
            f"measure {fixed[0]} already has its options; pass {', '.join(options)} to measures.get."
        )
    taken = catalogue.shared("measure", nodes, options)
    measures = [build({**node, **own}) for node, own in zip(nodes, taken, strict=True)]
    names = [measure.name for measure in measures]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"The measure {twice} is named twice; give one another name: get(..., name=NAME).")
    return measures
