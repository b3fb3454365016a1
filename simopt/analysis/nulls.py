"""Nulls: the scores of data that are unrelated to the recording but like Y in all else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from simopt import checks
from simopt.analysis import dependence, exchange
from simopt.analysis.exchange import Exchange
from simopt.errors import InputError, SimoptError
from simopt.measures import Measure, Reference
from simopt.rows import Rows
from simopt.sides import in_order
from simopt.typing import ArrayLike, FloatArray, OnStep

UNRELATED, INNOVATIONS, WITHOUT_COURSE = "unrelated", "innovations", "without_course"
_BATCH = 2**25
"""Size of the draws that are scored at once, in numbers of float64 (256 MB)."""

_COPIES = 4
"""Number of arrays, as large as a draw or samples x samples, that are in memory while one draw is scored."""

_LEVEL = 0.95

_STREAM_KEY = 20250407
"""Part of the seed of nulls and ceilings, so that their random numbers differ from those of a user's code."""

_ROUNDING = 1e-7, 1e-9
"""Scores count as equal if they differ by less than this share of the range of the measure. If the range has
no end, it is this share of the largest score or of the upper end. Near 0 the error of an angle is the root of
the machine precision, 1.5e-8."""


@dataclass(frozen=True)
class Null:
    """The scores of one measure on data that are unrelated to the recording.

    Attributes
    ----------
    kind : {"unrelated", "innovations", "without_course"}
        Which data were compared; see :func:`nulls`.
    scores : array, (draws,)
        One score for each draw; empty if no null holds.
    larger_is_closer : bool
        True for similarities, False for distances.
    observed : float
        The score that the draws are compared with: the score of the innovations, or of the data without their
        common course. NaN for ``unrelated``, where it is the score of Y against X.
    rows : {"", "independent", "time", "conditions", "groups", "blocks"}
        What the samples are (:class:`simopt.analysis.exchange.Exchange`); empty in files of former versions.
    exchanged : str or None
        What the draws exchange; None if no null holds.
    why : str
        Why this is exchanged, or why no null holds.
    rounding : float
        Scores whose difference is at most this count as equal.
    asked : int
        The number of draws that was requested.
    complete : bool
        Whether the scores are those of all possible exchanges, whatever number was requested.
    """

    kind: str
    scores: FloatArray
    larger_is_closer: bool
    observed: float = float("nan")
    rows: str = ""
    exchanged: str | None = None
    why: str = ""
    rounding: float = 0.0
    asked: int = 0
    complete: bool = False

    @property
    def mean(self) -> float:
        """The mean score of the null; NaN if no null holds."""
        return float(self.scores.mean()) if len(self.scores) else float("nan")

    @property
    def end(self) -> float:
        """The 95th percentile of the scores (for a distance the 5th); NaN if no null holds."""
        if not len(self.scores):
            return float("nan")
        return float(np.quantile(self.scores, _LEVEL if self.larger_is_closer else 1 - _LEVEL))

    def first(self, draws: int) -> Null:
        """Return the null with its first ``draws`` draws, which do not depend on the number of draws."""
        return replace(self, scores=self.scores if self.complete else self.scores[:draws], asked=draws)

    def reason(self, score: float) -> str:
        """Return why a score has no percentile; empty if it has one."""
        if not len(self.scores):
            return self.why or "no null holds"
        if not (np.isfinite(score) and np.isfinite(self.scores).all()):
            return "a score is undefined"
        if np.ptp([score, *self.scores]) <= self.rounding:
            return "all unrelated data have this score: the measure is saturated"
        return ""

    def percentile(self, score: float) -> float:
        """Return the percentile of a score in the null, in (0, 100). A large percentile means close to X.

        If b draws are less close to X than the score and t draws have the same score, the percentile is
        100 (b + t / 2 + 1 / 2) / (draws + 1). This is the middle of the ranks that the score can have among
        draws + 1 values. The percentile of a score that is itself a draw of the null is uniformly distributed
        over its possible values. It is NaN if :meth:`reason` gives a reason.
        """
        if self.reason(score):
            return float("nan")
        ties = float((np.abs(self.scores - score) <= self.rounding).sum())
        return 100 * (self._less_close(score) + ties / 2 + 0.5) / (len(self.scores) + 1)

    def p_value(self, score: float) -> float:
        """Return the p-value of a score: (c + 1) / (draws + 1), where c draws are at least as close to X.

        The p-value is valid for any number of draws, and never 0. It is NaN if :meth:`reason` gives a reason.

        References
        ----------
        Phipson & Smyth 2010, Permutation p-values should never be zero, arXiv 1603.05766.
        """
        if self.reason(score):
            return float("nan")
        return (len(self.scores) - self._less_close(score) + 1) / (len(self.scores) + 1)

    def as_json(self) -> dict[str, Any]:
        """Return the mean, the 95th percentile and the number of the scores."""
        return {"mean": self.mean, "end": self.end, "draws": len(self.scores)}

    def rows_as_json(self) -> dict[str, Any]:
        """Return ``rows``, ``exchanged`` and ``why`` as JSON values; empty for files of former versions."""
        return {"kind": self.rows, "null": self.exchanged, "why": self.why} if self.rows else {}

    def _less_close(self, score: float) -> float:
        """Return the number of draws that are less close to X than a score."""
        ahead = score - self.scores if self.larger_is_closer else self.scores - score
        return float((ahead > self.rounding).sum())


def nulls(
    X: ArrayLike | Reference,
    Y: ArrayLike,
    measures: Sequence[Measure],
    *,
    rows: Rows | None = None,
    conditions: int | None = None,
    draws: int = 100,
    seed: int = 0,
    observe: OnStep = lambda done, total: None,
) -> dict[str, dict[str, Null]]:
    """Return the scores of data that are unrelated to X but like Y in all else.

    Unrelated data are Y after an exchange that preserves its values and the dependence between its samples.
    :func:`simopt.analysis.exchange.choose` chooses the exchange; if none is valid, no null holds. The kinds
    of null are:

    - ``unrelated``: the scores of unrelated data, among which the score of Y has its percentile.
    - ``innovations``, if samples depend on the samples before them: from every sample of X and of Y ``a``
      times the sample before it is subtracted (:func:`simopt.analysis.dependence.innovations`), and signs of
      frequencies are exchanged. It tests whether X and Y are related, not whether the score is high.
    - ``without_course``, if conditions are exchanged: from X and from Y the mean over conditions at each time
      is subtracted. This time course, which all conditions share, cannot be exchanged.

    Parameters
    ----------
    X : array, tensor or Reference, (samples, units) or (time, condition, unit)
        The recording. A Reference must be in float64.
    Y : array or tensor, (samples, units) or (time, condition, unit)
        Data with the same samples as X, in the same order.
    measures : sequence of Measure
        Measures with different names. All of them score the same draws.
    rows : Rows, optional
        Which samples belong together, and whether they depend on each other in time. None: the rows of a
        Reference X.
    conditions : int, optional
        The number of conditions, if the samples are time x condition, time outermost. None: the number of
        conditions of a 3-D Y or X; if both are 2-D, samples have no conditions.
    draws : int, >= 1
        Number of draws. If fewer than 200 exchanges are possible, each is made once instead.
    seed : int
        Seed of the random draws.
    observe : function of (done, total)
        Called before each batch with the number of draws scored so far and the number of all draws.

    Returns
    -------
    dict of dict of Null
        The null of each measure, by its name, and of each kind. ``unrelated`` is always present.

    Raises
    ------
    InputError
        X or Y is invalid, the number of samples is no multiple of ``conditions``, or a measure cannot score X
        and Y. All this is checked before data are drawn.
    """
    x, y = checks.pair(X.responses if isinstance(X, Reference) else X, Y)
    reference = Reference.of(X if isinstance(X, Reference) else x, rows=rows)
    rows = reference.rows
    for side in (Y, X):
        if conditions is None and not isinstance(side, Reference) and np.ndim(side) == 3:
            conditions = np.shape(in_order(side))[1]
    if conditions is not None:
        checks.whole(conditions, 1, "conditions of the null")
        if len(y) % conditions:
            raise InputError(
                f"{len(y)} samples cannot be {conditions} conditions with equal numbers of time bins; give "
                "conditions that divide the number of samples, or leave conditions out."
            )
    conditions = None if conditions == 1 else conditions
    results: dict[str, dict[str, Null]] = {}
    for held, together in _by_rows(measures, len(y), rows):
        chosen = exchange.choose(x, y, held, conditions=conditions, seed=seed)
        scored = _scored(reference, y, together, chosen, draws, stream(seed, 1), observe)
        for name, null in scored.items():
            results[name] = {UNRELATED: null}
        for kind, sides, other in _others(x, y, chosen, held, conditions, seed):
            kept = rows if kind == WITHOUT_COURSE else None  # innovations have other samples
            for name, null in _compared(kind, sides, kept, other, together, draws, seed, observe).items():
                results[name][kind] = null
    return {measure.name: results[measure.name] for measure in measures}


def _by_rows(
    measures: Sequence[Measure], samples: int, rows: Rows | None
) -> Iterable[tuple[Rows | None, list[Measure]]]:
    """Return the measures that exchange the same items, with what belongs together for them.

    A measure that is told its repeats or conditions, such as crossnobis, has groups of its own.
    """
    alike: dict[bytes, tuple[Rows | None, list[Measure]]] = {}
    for measure in measures:
        groups = measure.groups_of(samples)
        held = rows if groups is None else replace(rows or Rows(), groups=groups)
        alike.setdefault(b"" if groups is None else groups.tobytes(), (held, []))[1].append(measure)
    return alike.values()


def _others(
    x: FloatArray, y: FloatArray, chosen: Exchange, rows: Rows | None, conditions: int | None, seed: int
) -> Iterator[tuple[str, tuple[FloatArray, FloatArray], Exchange]]:
    """Give the other comparisons of X and Y: their kind, both sides, and what may be exchanged."""
    if chosen.kind == "time":
        sides = dependence.innovations((x, y))
        yield INNOVATIONS, sides, exchange.of_innovations(*sides, seed=seed)
    if chosen.kind == "conditions" and chosen.null is not None:
        without = []
        for side in (x, y):
            by_time = side.reshape(-1, conditions or 1, side.shape[1])
            without.append((by_time - by_time.mean(axis=1, keepdims=True)).reshape(side.shape))
        sides = without[0], without[1]
        yield WITHOUT_COURSE, sides, exchange.choose(*sides, rows, conditions=conditions, seed=seed)


def _compared(
    kind: str,
    sides: tuple[FloatArray, FloatArray],
    rows: Rows | None,
    other: Exchange,
    measures: Sequence[Measure],
    draws: int,
    seed: int,
    observe: OnStep,
) -> dict[str, Null]:
    """Return the nulls of another comparison by measure; one that a measure cannot make has a reason."""
    x, y = sides
    observed, nulls = {}, {}
    center: Reference | None = None
    for measure in measures:
        try:
            center = Reference.of(x if center is None else center, rows=rows)  # decomposed once
            observed[measure.name] = float(measure.bind(center)(torch.from_numpy(y)))
        # A user's function may raise anything, for instance because there is one sample less.
        except (SimoptError, TypeError, ValueError, RuntimeError, LookupError, ArithmeticError) as error:
            reason = f"{measure.name} cannot be computed: {error}"
            nulls[measure.name] = Null(
                kind, np.empty(0), measure.facts.larger_is_closer, rows=other.kind, why=reason, asked=draws
            )
    usable = [measure for measure in measures if measure.name in observed]
    if center is not None and usable:
        scored = _scored(center, y, usable, other, draws, stream(seed, 2), observe)
        nulls |= {name: replace(null, kind=kind, observed=observed[name]) for name, null in scored.items()}
    return nulls


def _scored(
    reference: Reference,
    y: FloatArray,
    measures: Sequence[Measure],
    chosen: Exchange,
    draws: int,
    rng: np.random.Generator,
    observe: OnStep,
) -> dict[str, Null]:
    bound = [measure.bind(reference) for measure in measures]
    for score in bound:
        score(torch.from_numpy(y))  # raises for a measure that cannot score these data
    samples, units = y.shape
    # A score may need arrays of the size of a draw, (n, q), or of a kernel, (n, n).
    at_once = max(1, _BATCH // (_COPIES * samples * max(samples, units)))
    scores: list[list[FloatArray]] = [[] for _ in measures]
    done = 0
    for batch in _batches(chosen.draws(y, draws, rng), at_once):
        observe(done, draws)
        with torch.no_grad():
            for parts, score in zip(scores, bound, strict=True):
                parts.append(score(torch.from_numpy(batch)).numpy())
        done += len(batch)
    nulls = {}
    for measure, parts in zip(measures, scores, strict=True):
        facts = measure.facts
        of_measure: FloatArray = np.concatenate(parts) if parts else np.empty(0)
        range_, largest = facts.high - facts.low, np.abs(of_measure).max(initial=0.0)
        if np.isfinite(facts.high):  # the scores of a regression have no lower end, but 1 as their scale
            largest = max(largest, abs(facts.high))
        rounding = _ROUNDING[0] * range_ if np.isfinite(range_) else _ROUNDING[1] * largest
        nulls[measure.name] = Null(
            UNRELATED,
            of_measure,
            facts.larger_is_closer,
            rows=chosen.kind,
            exchanged=chosen.null,
            why=chosen.why,
            rounding=float(rounding),
            asked=draws,
            complete=chosen.complete,
        )
    return nulls


def _batches(draws: Iterator[FloatArray], size: int) -> Iterator[FloatArray]:
    batch: list[FloatArray] = []
    for draw in draws:
        batch.append(draw)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def stream(seed: int, number: int) -> np.random.Generator:
    """Return a random generator for nulls and ceilings.

    A user may have drawn the recording itself with ``default_rng(seed)``, which gives the same numbers as
    ``default_rng([seed, 0])``. With these numbers a null could repeat the recording, so a fixed key is part
    of the seed here.

    Parameters
    ----------
    seed : int
        The user's seed.
    number : int
        Number of the stream. Streams with different numbers are independent.
    """
    return np.random.default_rng([seed, number, _STREAM_KEY])
