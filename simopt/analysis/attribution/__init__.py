"""Attribution: what a score becomes without one principal component of X, one sample, or one unit.

Every change is exact: the score of the data without that part, less the score. Where a formula gives all of
them at once it is used; the others are scored anew, one by one. ``route`` says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt import checks, measures
from simopt.analysis.attribution.components import (
    scores_without_each_component,
    scores_without_each_unit,
    without_component,
)
from simopt.analysis.attribution.samples import Side, scores_without_each
from simopt.errors import InputError, SimoptError
from simopt.measures import BoundMeasure, Measure, Moments, Reference
from simopt.typing import FloatArray, OnStep

if TYPE_CHECKING:
    from simopt.typing import ArrayLike

__all__ = ["Attribution", "leave_one_pc", "leave_one_sample", "leave_one_unit", "named"]

Part = Literal["PC", "sample", "unit of X", "unit of Y"]
Route = Literal["closed form", "downdate", "refit"]


@dataclass(frozen=True)
class Attribution:
    """How much of a score hangs on each part of the data.

    Attributes
    ----------
    part : {"PC", "sample", "unit of X", "unit of Y"}
    measure : str
    larger_is_closer : bool
        Whether a negative change means that the part brought X and Y closer.
    score : float
        Of all the data.
    change : array, (m,)
        The score without each part, less ``score``; NaN where that is undefined.
    share : array, (m,)
        The share of each part in the variance: PCs and units in that of their side, samples in that of X.
    route : {"closed form", "downdate", "refit"}
    refitted : int
        How many of the m were computed anew: all by ``refit``; otherwise those for which the formula would
        lose digits.
    first_order : array, (m,), or None
        Units of Y only: the first-order change; None where the score has no gradient.
    reason : str or None
        Why the first undefined change is undefined.
    """

    part: Part
    measure: str
    larger_is_closer: bool
    score: float
    change: FloatArray
    share: FloatArray
    route: Route
    refitted: int
    first_order: FloatArray | None = None
    reason: str | None = None

    def ranking(self) -> npt.NDArray[np.int64]:
        """Return the parts by size of the change, largest first, (m,); undefined ones come last."""
        return np.argsort(-np.nan_to_num(np.abs(self.change), nan=-1.0), kind="stable")


def leave_one_pc(
    X: ArrayLike,
    Y: ArrayLike,
    measure: str | Measure = "cka",
    *,
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes without each principal component of X.

    What is scored is X less its projection on the PC, the other PCs in their scale. A formula serves linear
    cka, nbs and their forms, and linreg and ridge without folds. Any other measure is bound to the PCs that
    remain, one score a PC, without a new decomposition.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
    measure : str or Measure
    observe : function of (done, total), optional
        Called after each score that is computed anew.
    **options
        Over the measure's defaults.

    Raises
    ------
    InputError
        Data or a measure that :func:`simopt.score` refuses; X has one PC only.
    """
    pair = _Pair.of(X, Y, measure, options)
    reference = Reference.of(pair.x)
    if len(reference.variance_ratio) < 2:
        raise InputError("X has one principal component only: without it nothing is left to score.")
    known = scores_without_each_component(pair.measure, Moments(reference, pair.y))

    def refit(i: int) -> float:
        return float(pair.measure.bind(without_component(reference, i))(pair.y))

    share = reference.variance_ratio.numpy()
    return pair.attribution("PC", "closed form", known, refit, share, observe)


def leave_one_sample(
    X: ArrayLike,
    Y: ArrayLike,
    measure: str | Measure = "cka",
    *,
    route: Literal["auto", "refit"] = "auto",
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes when one sample is deleted from X and Y, for each sample.

    Downdates serve linear cka in all estimators, nbs and the Procrustes forms, linreg and ridge without
    folds, rv_adjusted and ensd: together they take about as long as three scores. Any other measure is
    scored anew without each sample, which takes n times as long as one score, X's decomposition included.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
        Samples are time x condition, time outermost.
    measure : str or Measure
    route : {"auto", "refit"}
        ``refit`` takes no downdates.
    observe : function of (done, total), optional
        Called after each score that is computed anew.
    **options
        Over the measure's defaults.

    Raises
    ------
    InputError
        Data or a measure that :func:`simopt.score` refuses; fewer than 4 samples; no sample can be left
        out, as where the measure needs a multiple of ``conditions`` samples.
    """
    checks.one_of(route, ("auto", "refit"), "route")
    pair = _Pair.of(X, Y, measure, options)
    x, y = pair.x, pair.y.numpy()
    n = len(x)
    if n < checks.MIN_SAMPLES + 1:
        raise InputError(f"X has {n} samples; without one of them too few are left: at least 4 are needed.")
    side = Side.of(x)
    known = scores_without_each(pair.measure, side, Side.of(y)) if route == "auto" else None

    def refit(j: int) -> float:
        return measures.score(np.delete(x, j, axis=0), np.delete(y, j, axis=0), pair.measure)

    return pair.attribution("sample", "downdate", known, refit, side.squares.numpy(), observe)


def leave_one_unit(
    X: ArrayLike,
    Y: ArrayLike,
    measure: str | Measure = "cka",
    *,
    side: Literal["X", "Y"] = "Y",
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes without each unit of Y, or of X.

    ``first_order`` is the change that the gradient G promises, -sum_i G_iu y_iu: y the centered responses
    where the measure ignores offsets, the raw ones elsewhere. It is the slope at the start of the way to a
    unit's absence, and scores are curved along it: kernels hold a unit squared. It is 0 for measures that
    ignore the scale of single units (linreg, cca): to them a unit matters until it is gone entirely.

    A formula serves linear cka and nbs and their forms; any other measure is scored anew without each unit.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
    measure : str or Measure
    side : {"X", "Y"}
        Whose units.
    observe : function of (done, total), optional
        Called after each score that is computed anew.
    **options
        Over the measure's defaults.

    Raises
    ------
    InputError
        Data or a measure that :func:`simopt.score` refuses; a side of one unit.
    """
    checks.one_of(side, ("X", "Y"), "side")
    pair = _Pair.of(X, Y, measure, options)
    x, y = pair.x, pair.y.numpy()
    own, other = (x, y) if side == "X" else (y, x)
    if own.shape[1] < 2:
        raise InputError(f"{side} has one unit only: without it nothing is left to score.")
    units = Side.of(own, keep_units=True)
    known = scores_without_each_unit(pair.measure, units, Side.of(other))
    share = units.rows.square().sum(dim=0).numpy()
    bound = pair.measure.bind(x)

    def refit(u: int) -> float:
        kept = np.delete(own, u, axis=1)
        if side == "X":
            return measures.score(kept, y, pair.measure)
        checks.varying(kept, "Y")
        return float(bound(kept))

    part: Part = "unit of X" if side == "X" else "unit of Y"
    slopes = _slopes(bound, pair.y) if side == "Y" and pair.measure.differentiable else None
    return pair.attribution(part, "closed form", known, refit, share, observe, slopes)


def _slopes(bound: BoundMeasure, Y: Tensor) -> FloatArray | None:
    """Return the first-order change without each unit of Y, (q,); None where the score has no gradient."""
    leaf = Y.clone().requires_grad_()
    score = bound(leaf)
    if not score.requires_grad:
        return None
    (grad,) = torch.autograd.grad(score, leaf)
    away = Y - Y.mean(dim=0) if "translation" in bound.measure.facts.invariant_y else Y
    slopes: FloatArray = -(grad * away).sum(dim=0).numpy()
    return slopes


def named(part: Part, index: int) -> str:
    """Return how a part is called: PCs count from 1, samples and units are indices, from 0."""
    return f"{part} {index + 1 if part == 'PC' else index}"


@dataclass(frozen=True)
class _Pair:
    """Two checked datasets, (n, p) and (n, q), a measure, and their score."""

    x: FloatArray
    y: Tensor
    measure: Measure
    score: float

    @classmethod
    def of(cls, X: ArrayLike, Y: ArrayLike, measure: str | Measure, options: dict[str, Any]) -> _Pair:
        chosen = measures.get(measure, **options) if isinstance(measure, str) else measure
        x, y = checks.pair(X, Y)
        value = measures.score(x, y, chosen)
        if not math.isfinite(value):
            raise InputError(f"{chosen.name} is undefined for these data ({value}): nothing to attribute.")
        return cls(x, torch.from_numpy(y), chosen, value)

    def attribution(
        self,
        part: Part,
        formula: Route,
        known: Tensor | None,
        refit: Callable[[int], float],
        share: FloatArray,
        observe: OnStep | None,
        first_order: FloatArray | None = None,
    ) -> Attribution:
        """Compute anew what no formula gave."""
        scores = np.full(len(share), np.nan) if known is None else known.detach().numpy().copy()
        left = np.flatnonzero(~np.isfinite(scores)).tolist()
        reasons = []
        for done, i in enumerate(left, start=1):
            try:
                scores[i] = refit(i)
                why = f"undefined without it ({scores[i]})"
            except SimoptError as error:
                scores[i], why = np.nan, str(error)
            if not math.isfinite(scores[i]):
                scores[i] = np.nan
                reasons.append(f"{named(part, i)}: {why}")
            if observe is not None:
                observe(done, len(left))
        reason = reasons[0] if reasons else None
        if not np.isfinite(scores).any():
            raise InputError(f"{self.measure.name} is undefined without any one {part}. {reason}")
        return Attribution(
            part=part,
            measure=self.measure.name,
            larger_is_closer=self.measure.facts.larger_is_closer,
            score=self.score,
            change=scores - self.score,
            share=share,
            route="refit" if known is None else formula,
            refitted=len(left),
            first_order=first_order,
            reason=reason,
        )
