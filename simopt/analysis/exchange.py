"""What a null may exchange: samples, conditions, groups, samples within blocks, or signs of frequencies.

An exchange turns Y into data that are unrelated to X and otherwise like Y. Which exchange is valid depends on
how the samples of X and of Y depend on each other. Only the order of the samples of Y relative to those of X
matters, so it is enough if the samples of one side, X or Y, can be exchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, permutations, product
from typing import Any, Literal

import numpy as np

from simopt.analysis import dependence
from simopt.rows import Order, Rows, condition_of
from simopt.typing import FloatArray, LabelArray

Kind = Literal["independent", "time", "conditions", "groups", "blocks"]

_LEAST, _ALL = 20, 200
"""With fewer than 20 possible exchanges no score can reach percentile 95. With fewer than 200 each is used
once, because random draws would repeat some."""
_OF_ONE_SIZE = 5
"""Groups are exchanged with groups of the same size if at least this many groups have each size."""


@dataclass(frozen=True)
class _Limits:
    """When the signs of frequencies may be drawn.

    Attributes
    ----------
    comparisons : float
        The least number of independent comparisons (:func:`simopt.analysis.dependence.effective`).
    stationary : float
        The least product of the p-values of both sides being stationary. For stationary sides the product is
        less than c in a share c (1 - log c) of cases: 6 % for 0.01, 10 % for 0.02.
    """

    comparisons: float
    stationary: float


# Innovations answer a weaker question with more power, so more of them may be refused.
_OF_SCORES, _OF_INNOVATIONS = _Limits(4, 0.01), _Limits(20, 0.02)
_STREAM = 20261130
"""Part of the seed, so that the random numbers differ from those of a user's code."""

_WHY: dict[Kind, str] = {
    "independent": "the samples are declared independent",
    "conditions": "the time bins of a condition belong together",
    "groups": "the samples of a group belong together",
    "blocks": "the samples of a block share what they have in common with it",
}


@dataclass(frozen=True)
class Exchange:
    """What a null exchanges for one X and Y, and why.

    Attributes
    ----------
    kind : {"independent", "time", "conditions", "groups", "blocks"}
        What the samples are.
    null : str or None
        What the null exchanges, in words; None if no null holds.
    why : str
        The reason for this null, or for none, as a clause without a full stop.
    draws : callable
        A function of Y (n, q), the number of draws, and a random generator. It yields unrelated data, one
        array (n, q) for each draw.
    complete : bool
        Whether ``draws`` yields every possible exchange once, whatever number of draws is requested.
    """

    kind: Kind
    null: str | None
    why: str
    draws: Callable[[FloatArray, int, np.random.Generator], Iterator[FloatArray]]
    complete: bool = False


@dataclass(frozen=True)
class _Items:
    """What is exchanged: single samples, whole groups, or the means of groups.

    Attributes
    ----------
    words : str
        What the items are, in the plural.
    item : array of int, (n,)
        The item of each sample, counted in the order of first appearance.
    members : array of int, (n,)
        The samples of the first item, of the second one, and so on; exchanged items exchange their first
        samples, their second ones, and so on.
    sizes : array of int, (items,)
        The number of samples of each item.
    classes : list of array of int
        The items that may change places with each other.
    blocks : array of int, (items,)
        The block of each item. Items that lie in the same several blocks share one more number.
    spanning : bool
        Whether an item lies in several blocks.
    means : bool
        Whether only the means of the items change places, and every sample keeps its deviation.
    """

    words: str
    item: LabelArray
    members: LabelArray
    sizes: LabelArray
    classes: list[LabelArray]
    blocks: LabelArray
    spanning: bool
    means: bool

    @cached_property
    def starts(self) -> LabelArray:
        """The place in ``members`` where each item starts, (items,)."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def places(self) -> LabelArray:
        """The place of each of the ``members`` in its item, (n,), counted from 0."""
        places: LabelArray = np.arange(len(self.members)) - np.repeat(self.starts, self.sizes)
        return places

    @property
    def restricted(self) -> bool:
        """Whether blocks keep items apart that could change places without them."""
        sizes = 1 if self.means else len(set(self.sizes))
        return bool(self.blocks.any()) or len(self.classes) > sizes

    @property
    def possible(self) -> float:
        """The number of orders of the items within their classes; infinite if it is large."""
        logarithm = sum(math.lgamma(len(items) + 1) for items in self.classes)
        return round(math.exp(logarithm)) if logarithm < math.log(_ALL) + 1 else math.inf

    def vectors(self, samples: FloatArray) -> FloatArray:
        """Return one vector for each item, (items, d): its samples one after the other, or their mean.

        Before means are taken, the course that all items share is subtracted: the mean of their first
        samples, of their second samples, and so on.
        """
        ordered = samples[self.members]
        if not self.means:
            return ordered.reshape(len(self.sizes), -1)
        # Less the course that all items share: the means of a decaying response depend on their lengths.
        order = np.argsort(self.places, kind="stable")
        counts = np.bincount(self.places)
        course = np.add.reduceat(ordered[order], np.cumsum(counts) - counts, axis=0) / counts[:, None]
        sums = np.add.reduceat(ordered - course[self.places], self.starts, axis=0)
        means: FloatArray = sums / self.sizes[:, None]
        return means

    def with_vectors(self, samples: FloatArray, vectors: FloatArray, others: FloatArray) -> FloatArray:
        """Return samples (n, q) whose items have ``others`` instead of their ``vectors``, (items, d)."""
        if self.means:
            moved: FloatArray = samples + (others - vectors)[self.item]
            return moved
        changed = np.empty_like(samples)
        changed[self.members] = others.reshape(samples.shape)
        return changed

    def orders(self, count: int, rng: np.random.Generator) -> Iterator[LabelArray]:
        """Yield ``count`` random orders of the items; if few orders exist, all except the present one."""
        drawn: Iterable[Sequence[Any]]
        if self.possible < _ALL:  # the first permutation is the present order
            drawn = islice(product(*(permutations(items) for items in self.classes)), 1, None)
        else:
            drawn = ([rng.permutation(items) for items in self.classes] for _ in range(count))
        for parts in drawn:
            order = np.empty(len(self.sizes), np.int64)
            for items, part in zip(self.classes, parts, strict=True):
                order[items] = part
            yield order

    def permuted(self, Y: FloatArray, count: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield data (n, q) whose items have changed places."""
        vectors = self.vectors(Y) if self.means else np.empty(0)
        for order in self.orders(count, rng):
            if self.means:
                yield self.with_vectors(Y, vectors, vectors[order])
            else:
                # Items that change places have equally many samples.
                others = np.repeat(self.starts[order], self.sizes) + self.places
                changed = np.empty_like(Y)
                changed[self.members] = Y[self.members[others]]
                yield changed


def choose(
    X: FloatArray, Y: FloatArray, rows: Rows | None = None, *, conditions: int | None = None, seed: int = 0
) -> Exchange:
    """Return what a null of Y against X may exchange.

    The items of an exchange are samples, or whole groups or conditions if these are declared; items are
    exchanged only within blocks. If items do not depend on the items before them in X or in Y
    (:func:`simopt.analysis.dependence.depend`), their order is exchanged. Otherwise, if X or Y is stationary,
    the signs of frequencies are exchanged. In an orthonormal basis close to sines and cosines X'Y is the sum
    of x_k y_k' over frequencies k. It becomes the sum of +-x_k y_k', so each frequency of Y keeps its size
    and its pattern over units. Slow changes, polynomials of degree 3 or less in the position, keep their
    signs. If X and Y both jump or drift, no null holds. Fewer than 20 items cannot be tested for dependence:
    they are exchanged only if they are declared independent.

    Parameters
    ----------
    X, Y : array, (n, p) and (n, q)
        The responses, with the same samples in the same order.
    rows : Rows, optional
        The groups and blocks of samples. If it declares an order, dependence is not tested.
    conditions : int, optional
        The number of conditions, which are exchanged whole, if the samples are time x condition, time
        outermost.
    seed : int
        Seed of the copies that the test of stationarity draws.
    """
    rows = Rows() if rows is None else rows
    kind, items = _items(len(X), rows, conditions)
    exchange = _chosen(X, Y, rows.order, kind, items, seed)
    if rows.blocks is None or kind == "blocks" or items.restricted or exchange.null is None:
        return exchange
    return replace(
        exchange, why=f"{exchange.why}; blocks rule out no order, as all {items.words} lie in each"
    )


def _chosen(
    X: FloatArray, Y: FloatArray, order: Order | None, kind: Kind, items: _Items, seed: int
) -> Exchange:
    """Return what :func:`choose` returns, for items and a declared order."""
    if items.means and items.spanning:
        return _none(
            kind,
            "groups of different sizes lie in several blocks, so neither groups nor their means can be "
            "exchanged; name groups that lie in one block each, or leave blocks out",
        )
    if items.possible < _LEAST:
        orders = "order is" if items.possible == 1 else "orders are"
        return _none(kind, f"{items.possible:g} {orders} possible for {items.words}; {_LEAST} are needed")
    exchange = Exchange(kind, f"{items.words} exchanged", _WHY[kind], items.permuted, items.possible < _ALL)
    few = len(items.sizes) < dependence.LEAST
    if few and order is None and kind == "independent":
        return _none(
            kind,
            f"no test tells whether fewer than {dependence.LEAST} samples depend on each other; dataset.rows="
            'independent (rows="independent" in Python) declares that they do not',
        )
    compared = items
    if len(set(items.sizes)) > 1 and not items.means:
        # Items of different sizes are compared, and their signs drawn, by their means.
        compared = replace(items, words=f"means of {items.words}", means=True)
    sides = _compact(compared.vectors(X)), _compact(compared.vectors(Y))
    free = [name for name, side in zip("XY", sides, strict=True) if not dependence.depend(side, items.blocks)]
    if order == "independent":
        alike = f"the {items.words} are declared independent, although neighbors are alike in X and in Y"
        return exchange if free else replace(exchange, why=alike)
    declared = order == "time"
    if free and not declared:
        if all(dependence.power_depends(side, items.blocks) for side in sides):
            return _none(
                kind,
                f"{items.words} of large variance are neighbors in X and in Y, so no order can be exchanged",
            )
        if kind == "independent":
            return replace(exchange, why=f"the samples of {free[0]} do not depend on those before them")
        return exchange
    found = "are declared to depend on each other" if declared else "depend on each other in X and in Y"
    if few and not declared:
        return _none(
            kind, f"neighboring {items.words} {found}, and fewer than {dependence.LEAST} are too few"
        )
    return _signs("time" if kind == "independent" else kind, compared, sides, seed, _OF_SCORES, found)


def of_innovations(X: FloatArray, Y: FloatArray, *, seed: int = 0) -> Exchange:
    """Return what a null of innovations may exchange: signs, because exchanged samples give no power."""
    _, items = _items(len(X), Rows(), None)
    found = "depend on each other in X and in Y"
    return _signs("time", items, (_compact(X), _compact(Y)), seed, _OF_INNOVATIONS, found)


def _compact(vectors: FloatArray) -> FloatArray:
    """Return vectors (m, d) of the same inner products with at most m entries, which all tests depend on."""
    if vectors.shape[1] <= len(vectors):
        return vectors
    values, axes = np.linalg.eigh(vectors @ vectors.T)
    compact: FloatArray = axes * np.sqrt(np.maximum(values, 0))
    return compact


def _none(kind: Kind, why: str) -> Exchange:
    return Exchange(kind, None, why, lambda Y, count, rng: iter(()))


def _signs(
    kind: Kind, items: _Items, sides: tuple[FloatArray, FloatArray], seed: int, limits: _Limits, found: str
) -> Exchange:
    """Return the exchange of the signs of frequencies, if a side is stationary along its items."""
    rng = np.random.default_rng([seed, _STREAM])
    if math.prod(dependence.stationary(side, items.blocks, rng) for side in sides) < limits.stationary:
        return _none(
            kind,
            f"neighboring {items.words} {found}, with jumps or drifts that leave nothing to exchange; if "
            "sessions, repeats or conditions are behind them, name these in dataset.blocks or dataset.groups "
            "(blocks=, groups= in Python)",
        )
    basis = dependence.Basis(items.blocks, dependence.lag_one(sides, items.blocks))
    x, y = (basis.coefficients(side) for side in sides)
    if all(dependence.go_together(side, basis.kept) for side in (x, y)):
        return _none(
            kind, f"the variance of {items.words} drifts in X and in Y, so signs cannot be exchanged"
        )
    free = int((~basis.kept).sum())
    if 2.0 ** (free - 1) < _LEAST:  # without slow changes, all signs turned round give the same scores
        return _none(
            kind, f"{free} frequencies have only {2 ** max(free - 1, 0)} different signs; {_LEAST} are needed"
        )
    comparisons = dependence.effective(x, y, basis.constant)
    if comparisons < limits.comparisons:
        return _none(
            kind,
            f"slow changes of {items.words} in X and in Y leave about {comparisons:.2g} independent "
            f"comparisons; {limits.comparisons:g} are needed",
        )

    complete = 2.0**free < _ALL

    def draws(Y: FloatArray, count: int, rng: np.random.Generator) -> Iterator[FloatArray]:
        vectors = items.vectors(Y)
        coefficients = basis.coefficients(vectors)
        drawn: Iterable[FloatArray]
        if complete:  # the first signs are the present ones
            drawn = np.ones((2**free - 1, len(basis.kept), 1))
            drawn[:, ~basis.kept, 0] = list(product([1.0, -1.0], repeat=free))[1:]
        else:
            drawn = (basis.signs(1, rng, basis.kept)[0] for _ in range(count))
        for signs in drawn:
            yield items.with_vectors(Y, vectors, basis.rows(signs * coefficients))

    why = f"neighboring {items.words} {found}"
    null = f"frequency components of Y along the {items.words}, with random signs and unchanged sizes"
    return Exchange(kind, null, why, draws, complete)


def _items(samples: int, rows: Rows, conditions: int | None) -> tuple[Kind, _Items]:
    groups, blocks = rows.groups, rows.blocks
    if groups is not None and len(np.unique(groups)) == samples:  # one sample each: as no groups
        groups = None
    kind: Kind = "independent"
    words = "samples"
    if conditions is not None:
        with_times = condition_of(samples, conditions)
        if groups is None or np.array_equal(groups, with_times):
            groups, kind, words = with_times, "conditions", "conditions"
    if kind == "independent" and groups is not None:
        kind, words = "groups", "groups"
    elif kind == "independent" and blocks is not None:
        kind, words = "blocks", "samples within blocks"
    groups = np.arange(samples) if groups is None else groups
    blocks = np.zeros(samples, np.int64) if blocks is None else blocks
    # Within a group in the order of blocks, so that exchanged samples keep their blocks.
    members, sizes = np.lexsort((np.arange(samples), blocks, groups)), np.bincount(groups)
    blocks_of = np.split(blocks[members], np.cumsum(sizes)[:-1])
    lie_in = [frozenset(part.tolist()) for part in blocks_of]
    # Groups that have as many samples in each block may change places.
    of_class = _number([part.tobytes() for part in blocks_of])
    means = len(set(sizes)) > 1 and bool(np.bincount(of_class).min() < _OF_ONE_SIZE)
    if means:
        of_class, words = _number(lie_in), f"means of {words}"
    classes = [np.flatnonzero(of_class == number) for number in range(of_class.max() + 1)]
    spanning = any(len(several) > 1 for several in lie_in)
    items = _Items(words, groups, members, sizes, classes, _number(lie_in), spanning, means)
    if kind in ("groups", "conditions") and items.restricted:
        items = replace(items, words=f"{words} within blocks")
    return kind, items


def _number(values: Sequence[object]) -> LabelArray:
    """Number different values from 0 in the order of first appearance."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values])
