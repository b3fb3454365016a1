"""Attribution: how a score changes without one principal component of X, one sample, or one unit.

Every change is exact: the score of the data without the part, minus the full score. Where a formula gives the
scores without every part at once, it is used. Other scores are recomputed one by one. ``route`` says which.
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

Part = Literal["PC", "sample", "unit of X", "unit of Y"]
Route = Literal["closed form", "downdate", "refit"]


@dataclass(frozen=True)
class Attribution:
    """How a score changes without each part of the data.

    Attributes
    ----------
    part : {"PC", "sample", "unit of X", "unit of Y"}
    measure : str
    larger_is_closer : bool
        True: a negative change means that the part brings X and Y closer. False for distances.
    score : float
        The score of all data.
    change : array, (m,)
        The score without each part, minus ``score``; NaN if undefined.
    share : array, (m,)
        Share of each part in the variance: PCs and samples in that of X, units in that of their dataset.
    route : {"closed form", "downdate", "refit"}
        How the scores without the parts were computed; a downdate is a rank-one update that removes a sample.
    refitted : int
        How many of the m scores were recomputed: all with ``refit``, otherwise those for which the formula
        would lose digits.
    first_order : array, (m,), or None
        Units of Y only: the first-order change. None if the score has no gradient.
    reason : str or None
        The first reason why a change is undefined.
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
        """Return the indices of the parts, largest absolute change first, (m,); undefined ones come last."""
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

    X is scored without its projection on the PC; the scale of the other PCs stays. Linear cka, nbs and their
    forms, and linreg and ridge without folds, have a closed form. Other measures are recomputed from the
    remaining PCs, one score for each PC, without a new decomposition.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
    measure : str or Measure
    observe : function of (done, total), optional
        Called after each recomputed score.
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
    by_formula = scores_without_each_component(pair.measure, Moments(reference, pair.y))

    def refit(i: int) -> float:
        return float(pair.measure.bind(without_component(reference, i))(pair.y))

    share = reference.variance_ratio.numpy()
    return pair.attribution("PC", "closed form", by_formula, refit, share, observe)


def leave_one_sample(
    X: ArrayLike,
    Y: ArrayLike,
    measure: str | Measure = "cka",
    *,
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes when one sample is deleted from X and Y, for each sample.

    Linear cka with every estimator, nbs and the Procrustes forms, linreg and ridge without folds, rv_adjusted
    and ensd use rank-one downdates. All n scores then take about as long as three. Other measures are
    recomputed without each sample, which takes n times as long as one score with the decomposition of X.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
        Samples are time x condition, time outermost.
    measure : str or Measure
    observe : function of (done, total), optional
        Called after each recomputed score.
    **options
        Over the measure's defaults.

    Raises
    ------
    InputError
        Data or a measure that :func:`simopt.score` refuses; fewer than 4 samples; the score is undefined
        without any sample, for instance if the measure needs a multiple of ``conditions`` samples.
    """
    pair = _Pair.of(X, Y, measure, options)
    x, y = pair.x, pair.y.numpy()
    n = len(x)
    if n < checks.MIN_SAMPLES + 1:
        raise InputError(f"X has {n} samples; leaving one out needs at least 4.")
    side = Side.of(x)
    by_formula = scores_without_each(pair.measure, side, Side.of(y))

    def refit(j: int) -> float:
        return measures.score(np.delete(x, j, axis=0), np.delete(y, j, axis=0), pair.measure)

    return pair.attribution("sample", "downdate", by_formula, refit, side.squares.numpy(), observe)


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

    ``first_order`` is the linear prediction from the gradient G, -sum_i G_iu y_iu. The y are centered if the
    measure ignores offsets, raw otherwise. It can differ from the exact change, because scores are nonlinear
    in the scale of a unit (kernels contain it squared). It is 0 for measures that ignore the scale of single
    units (linreg, cca): for them a unit has its full effect at any scale but 0.

    Linear cka, nbs and their forms have a closed form; other measures are recomputed without each unit.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
    measure : str or Measure
    side : {"X", "Y"}
        Whose units.
    observe : function of (done, total), optional
        Called after each recomputed score.
    **options
        Over the measure's defaults.

    Raises
    ------
    InputError
        Data or a measure that :func:`simopt.score` refuses; a side of one unit.
    """
    pair = _Pair.of(X, Y, measure, options)
    x, y = pair.x, pair.y.numpy()
    dataset, other = (x, y) if side == "X" else (y, x)
    if dataset.shape[1] < 2:
        raise InputError(f"{side} has one unit only: without it nothing is left to score.")
    units = Side.of(dataset, keep_units=True)
    by_formula = scores_without_each_unit(pair.measure, units, Side.of(other))
    share = units.rows.square().sum(dim=0).numpy()
    bound = pair.measure.bind(x)  # X stays the same without a unit of Y: its side is computed once

    def refit(u: int) -> float:
        kept = np.delete(dataset, u, axis=1)
        if side == "X":
            return measures.score(kept, y, pair.measure)
        checks.varying(kept, "Y")
        return float(bound(kept))

    part: Part = "unit of X" if side == "X" else "unit of Y"
    slopes = _slopes(bound, pair.y) if side == "Y" and pair.measure.differentiable else None
    return pair.attribution(part, "closed form", by_formula, refit, share, observe, slopes)


def _slopes(bound: BoundMeasure, Y: Tensor) -> FloatArray | None:
    """Return the first-order change without each unit of Y, (q,); None if the score has no gradient."""
    leaf = Y.clone().requires_grad_()
    score = bound(leaf)
    if not score.requires_grad:
        return None
    (grad,) = torch.autograd.grad(score, leaf)
    # Shrinking unit u by a factor 1 - e changes y_u by -e y_u, and the score by -e sum_i G_iu y_iu; e = 1
    # removes it. With offsets ignored, a constant unit is as good as none, so the unit is shrunk towards its
    # mean.
    away = Y - Y.mean(dim=0) if "translation" in bound.measure.facts.invariant_y else Y
    slopes: FloatArray = -(grad * away).sum(dim=0).numpy()
    return slopes


def named(part: Part, index: int) -> str:
    """Return the name of a part: PCs are numbered from 1, samples and units from 0."""
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
        by_formula: Tensor | None,
        refit: Callable[[int], float],
        share: FloatArray,
        observe: OnStep | None,
        first_order: FloatArray | None = None,
    ) -> Attribution:
        """Return the attribution, after recomputing the scores that the formula left as NaN.

        Parameters
        ----------
        part : str
        formula : str
            Name of the route if there is a formula.
        by_formula : Tensor, (m,), or None
        refit : callable
            Returns the score without part i.
        share : array, (m,)
        observe : callable, optional
        first_order : array, (m,), optional
        """
        scores = np.full(len(share), np.nan) if by_formula is None else by_formula.detach().numpy().copy()
        # Formulas mark with NaN what they cannot give accurately; a NaN that stays is an undefined score.
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
            route="refit" if by_formula is None else formula,
            refitted=len(left),
            first_order=first_order,
            reason=reason,
        )
