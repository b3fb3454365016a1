"""Proved bounds between measures: limits of one score if another score and the spectrum of X are given.

:func:`between` returns the best known limits of one measure at levels of another. It combines the bounds that
:func:`bounds` lists. The proofs are in the docstrings of :mod:`~simopt.theory.bounds.frontier` (CKA and NBS)
and :mod:`~simopt.theory.bounds.subspace` (linear regression and CCA). The symbols of the formulas are defined
in :mod:`~simopt.theory.bounds.setting`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simopt import checks
from simopt.theory.bounds import frontier, subspace
from simopt.theory.bounds.setting import Floats, Setting, greatest, least

if TYPE_CHECKING:
    from simopt.typing import ArrayLike

Curve = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Relation:
    """A measure as a monotone function of a base measure.

    Attributes
    ----------
    measure : str
        Name of the base measure: cka, nbs, linreg or cca.
    forward, inverse : callable
        Elementwise functions: ``forward`` converts scores of the base measure to scores of this measure, and
        ``inverse`` converts them back.
    rising : bool
        Whether this measure rises with the base measure. Distances and angles fall.
    formula : str
        The formula of ``forward``.
    """

    measure: str
    forward: Curve
    inverse: Curve
    rising: bool
    formula: str


_SAME: tuple[Curve, Curve, bool] = (lambda value: value, lambda value: value, True)
_ANGULAR: tuple[Curve, Curve, bool] = (
    lambda score: 1 - 2 / math.pi * np.arccos(np.clip(score, -1, 1)),
    lambda angular: np.sin(math.pi / 2 * angular),
    True,
)

_RELATIONS = {
    "cka": Relation("cka", *_SAME, "cka"),
    "rv": Relation("cka", *_SAME, "cka"),
    "rsa_correlation_corr": Relation("cka", *_SAME, "cka"),
    "cka_angular": Relation("cka", *_ANGULAR, "1 - (2/pi) arccos(cka)"),
    "nbs": Relation("nbs", *_SAME, "nbs"),
    "nbs_squared": Relation("nbs", np.square, lambda squared: np.sqrt(np.maximum(squared, 0)), True, "nbs^2"),
    "procrustes_angular": Relation("nbs", *_ANGULAR, "1 - (2/pi) arccos(nbs)"),
    "procrustes_angle": Relation(
        "nbs", lambda score: np.arccos(np.clip(score, -1, 1)), np.cos, False, "arccos(nbs)"
    ),
    "procrustes_normalized": Relation(
        "nbs",
        lambda score: np.sqrt(np.maximum(2 - 2 * score, 0)),
        lambda chord: 1 - chord**2 / 2,
        False,
        "sqrt(2 - 2 nbs)",
    ),
    "linreg": Relation("linreg", *_SAME, "linreg"),
    "cca": Relation("cca", *_SAME, "cca"),
}


def measures() -> list[str]:
    """Return the names of the measures for which bounds are known."""
    return list(_RELATIONS)


def relation(name: str) -> Relation:
    """Return the :class:`Relation` of a measure to its base measure.

    Raises
    ------
    InputError
        No bounds are known for the measure.
    """
    checks.one_of(name, _RELATIONS, "measure with bounds")
    return _RELATIONS[name]


@dataclass(frozen=True)
class Bound:
    """The limits of one measure, called *implied*, at scores of another measure, called *given*.

    Attributes
    ----------
    given, implied : str
        Names of the two measures, out of cka, nbs, linreg and cca.
    lower, upper : callable
        Functions of scores of the given measure: the lower and the upper limit of the implied measure. Both
        functions rise.
    """

    given: str
    implied: str
    lower: Curve
    upper: Curve


@dataclass(frozen=True)
class Range:
    """The limits of one measure at levels of another.

    Attributes
    ----------
    lower, upper : array
        Lower and upper limit at each level; NaN where no Y reaches the level.
    """

    lower: Floats
    upper: Floats


def limits(setting: Setting) -> dict[str, float]:
    """Return the largest cka, nbs, linreg and cca of any Y, as a dict by measure.

    They are E_r / E_K, sqrt(P_r), P_r and min(K, r) / min(p, q), with the symbols of :class:`Setting`. The
    limits are sharp: the Y that holds the first r PCs of X has these scores.
    """
    return {
        "cka": frontier.highest_cka(setting),
        "nbs": frontier.highest_nbs(setting),
        "linreg": setting.variance_of(setting.rank),
        "cca": setting.common / min(setting.x_units, setting.units),
    }


def bounds(setting: Setting) -> tuple[Bound, ...]:
    """Return all bounds between two of cka, nbs, linreg and cca, in both directions.

    A limit is sharp if some Y comes arbitrarily close to it. P is the projector onto the columns of Y, and
    PR_x is the participation ratio of X, 1 / E_K^2.

    - max(m G^2, 1 - sqrt(N (1 - cka^2) / PR_x)) <= nbs^2, and nbs^4 <= 1 - (1 - cka^2) / PR_x or less. The
      functions ``nbs_lower`` and ``nbs_upper`` of ``frontier`` define m, G and N, prove both limits, and say
      where they are sharp.
    - nbs^2 <= linreg <= nbs^2 + P_{r-1}. Proof: X'Y = (PX)'Y, and the least eigenvalue of P rho P is at least
      linreg - P_{r-1}. The first limit is sharp. The second one becomes sharp as all variance of Y moves into
      one direction.
    - cka^2 E_K^2 <= p_1^2 + ... + p_k^2 + (linreg - P_k)^2 with P_k <= linreg < P_{k+1}, and
      linreg <= cka E_K + P_{r-1}. Proofs: ``cka_under_linreg`` and ``lowest_variance`` of ``subspace``. The
      first limit is sharp. The second one becomes sharp as above.
    - min sum p_j rho_j^2 on the smallest PCs <= linreg <= P_k + (S - k)^2 p_{k+1} with k = floor(S) and
      S = sum rho_j = cca min(p, q). Proof: von Neumann's trace inequality (``linreg_upper`` of ``subspace``).
      The second limit is sharp, and the first one if n - 1 >= K + r.
    """
    divisor, norm = min(setting.x_units, setting.units), setting.norm
    lowest, most = partial(subspace.lowest_variance, setting), partial(subspace.linreg_under, setting)
    top = limits(setting)
    nbs = Bound("cka", "nbs", partial(frontier.nbs_lower, setting), partial(frontier.nbs_upper, setting))
    linreg = Bound(
        "cca",
        "linreg",
        lambda level: subspace.linreg_lower(setting, level * divisor),
        lambda level: subspace.linreg_upper(setting, level * divisor),
    )
    return (
        nbs,
        _inverse(nbs, top["cka"]),
        Bound("linreg", "nbs", lambda level: np.sqrt(lowest(level)), subspace.nbs_under_linreg),
        Bound("nbs", "linreg", subspace.linreg_over_nbs, lambda level: most(level**2)),
        Bound(
            "linreg", "cka", lambda level: lowest(level) / norm, partial(subspace.cka_under_linreg, setting)
        ),
        Bound("cka", "linreg", partial(subspace.linreg_over_cka, setting), lambda level: most(level * norm)),
        linreg,
        _inverse(linreg, top["cca"]),
    )


def _inverse(bound: Bound, top: float) -> Bound:
    """Return the limits of the given measure, which is at most ``top``, at scores of the implied one.

    The lower one is the least score at which the upper limit of ``bound`` reaches the implied score, and the
    upper one the largest with a lower limit of at most that. They are sharp where ``bound`` is.
    """
    return Bound(
        bound.implied,
        bound.given,
        lambda score: least(bound.upper, np.asarray(score), top),
        lambda score: greatest(bound.lower, np.asarray(score), top),
    )


def between(
    a: str,
    b: str,
    spectrum: ArrayLike,
    *,
    samples: int,
    units: int,
    levels: ArrayLike,
    x_units: int | None = None,
) -> Range:
    """Return the best known limits of measure b at levels of measure a, over all Y with this many units.

    As all limits rise, a chain of :func:`bounds` from a to b, such as cka -> nbs -> linreg, is a bound too.
    The tightest limits of all chains are returned. Limits of angular scores and distances are computed from
    those of their base measures (:func:`relation`).

    Parameters
    ----------
    a, b : str
        Names of two measures out of :func:`measures`.
    spectrum : array, (K,)
        Eigenvalues of X'X of the centered X, in any scale.
    samples, units : int
        Number n of samples, and number q of units of Y.
    levels : array
        Scores of a.
    x_units : int, optional
        Number p of units of X; by default the number of PCs of X. Only cca depends on it, as it is divided by
        min(p, q).

    Returns
    -------
    Range
        Limits of b, in arrays of the shape of ``levels``.

    Raises
    ------
    InputError
        No bounds are known for a measure, or X of this shape cannot have this spectrum.
    """
    setting = Setting.of(spectrum, samples=samples, units=units, x_units=x_units)
    source, target = relation(a), relation(b)
    all_bounds, most = bounds(setting), limits(setting)
    scores = np.asarray(levels, dtype=np.float64)
    level, top = source.inverse(scores), most[source.measure]
    # A form has no inverse outside its range: forward(inverse(score)) is not the score there.
    back = np.abs(source.forward(level) - scores) <= _TIP
    outside = ~((level >= -_ROUNDING) & (level <= top + _ROUNDING) & back)
    level = np.clip(np.where(outside, 0, level), 0, top)
    if source.measure == target.measure:
        low, high = level, level
    else:
        low, high = np.zeros_like(level), np.full_like(level, most[target.measure])
        for chain in _chains(source.measure, target.measure, all_bounds):
            down, up = level, level
            for bound in chain:
                cap = most[bound.implied]
                down, up = np.clip(bound.lower(down), 0, cap), np.clip(bound.upper(up), 0, cap)
            low, high = np.maximum(low, down), np.minimum(high, up)
    ends = (low, high) if target.rising else (high, low)
    lower, upper = (np.where(outside, np.nan, target.forward(end)) for end in ends)
    return Range(lower, upper)


# Levels may exceed the largest reachable score by rounding.
_ROUNDING = 1e-9
# Rounding of an angle or a distance near 0: a score that is off by 1e-15 moves it by the root of that, 4e-8.
_TIP = 1e-7


def _chains(
    start: str, end: str, all_bounds: tuple[Bound, ...], seen: tuple[str, ...] = ()
) -> Iterator[tuple[Bound, ...]]:
    """Yield all chains of bounds from one measure to another that visit no measure twice."""
    for bound in all_bounds:
        if bound.given != start or bound.implied in seen:
            continue
        if bound.implied == end:
            yield (bound,)
        else:
            for rest in _chains(bound.implied, end, all_bounds, (*seen, start)):
                yield (bound, *rest)
