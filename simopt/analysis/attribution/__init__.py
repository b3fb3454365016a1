"""Attribution: how a score changes without one principal component of X, one sample or group, or one unit.

A PC, sample, group or unit is called a part of the data. Every change is exact: it is the score of the data
without the part, minus the score of all data. For some measures a formula gives all scores at once. For all
other measures each score is recomputed. :attr:`Attribution.route` says how the scores were obtained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt import checks, measures, sides
from simopt.analysis.attribution.components import (
    scores_without_each_component,
    scores_without_each_unit,
    without_component,
)
from simopt.analysis.attribution.samples import Side, scores_without_each
from simopt.errors import InputError, SimoptError
from simopt.measures import BoundMeasure, Measure, Moments, Reference
from simopt.rows import Rows, condition_of
from simopt.typing import FloatArray, OnStep

if TYPE_CHECKING:
    from simopt.typing import ArrayLike

Part = Literal["PC", "sample", "group", "condition", "unit of X", "unit of Y"]
Route = Literal["closed form", "downdate", "refit"]


@dataclass(frozen=True)
class Attribution:
    """How a score changes without each of m parts of the data: PCs, samples, groups or units.

    Attributes
    ----------
    part : {"PC", "sample", "group", "condition", "unit of X", "unit of Y"}
        What the parts are. A condition is left out with all its time bins.
    measure : str
        Name of the measure.
    larger_is_closer : bool
        True for similarities: a negative change then means that the part brings X and Y closer. False for
        distances: then a positive change means this.
    score : float
        The score of all data.
    change : array, (m,)
        The score without each part, minus ``score``. An entry is NaN if that score is undefined.
    share : array, (m,)
        Share of each part in the variance of X, or of Y if the parts are units of Y.
    route : {"closed form", "downdate", "refit"}
        How the scores without the parts were computed: by a closed form, by downdates (rank-one changes that
        remove one sample), or one by one from the remaining data (refit).
    refitted : int
        Number of scores that were computed one by one: m for ``refit``, otherwise those for which the formula
        would lose digits.
    first_order : array, (m,), or None
        The change that the gradient of the score predicts for each unit of Y (see :func:`leave_one_unit`).
        None for other parts, and if the score has no gradient.
    reason : str or None
        Why the first undefined change is undefined; None if all are defined.
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
        """Return the indices of the parts in the order of their absolute changes, the largest first, (m,).

        Parts with an undefined change come last.
        """
        return np.argsort(-np.nan_to_num(np.abs(self.change), nan=-1.0), kind="stable")


def leave_one_pc(
    X: ArrayLike,
    Y: ArrayLike,
    measure: str | Measure = "cka",
    *,
    rows: Rows | None = None,
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes without each principal component of X.

    The projection of X on the PC is subtracted from X. The scale of the other PCs does not change. There is a
    closed form for linear cka and nbs, for their squares and angles, and for linreg and ridge without folds.
    For other measures the score is recomputed from the remaining PCs, without a new decomposition.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
    measure : str or Measure
    rows : Rows, optional
        Which samples belong together: folds keep groups together.
    observe : function of (done, total), optional
        Called after each recomputed score with the number of recomputed scores so far and their total.
    **options
        Options that override the defaults of the measure.

    Raises
    ------
    InputError
        X has one PC only, or :func:`simopt.score` refuses the data or the measure.
    """
    pair = _Pair.of(X, Y, measure, rows, options)
    reference = Reference.of(pair.x, rows=pair.rows)
    if len(reference.variance_ratio) < 2:
        raise InputError("X has only one principal component; at least 2 are needed to leave one out.")
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
    rows: Rows | None = None,
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes without each sample or group, which is deleted from both X and Y.

    Rank-one downdates are used for linear cka with every estimator, nbs and the Procrustes measures, linreg
    and ridge without folds, rv_adjusted and ensd. All n scores then take about as long as three scores. For
    other measures, and for groups and conditions, every score and the decomposition of X are recomputed.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
        With a time axis each condition is left out with all its time bins, unless there are groups.
    measure : str or Measure
    rows : Rows, optional
        Which samples belong together: a group is left out whole, and folds keep it together.
    observe : function of (done, total), optional
        Called after each recomputed score with the number of recomputed scores so far and their total.
    **options
        Options that override the defaults of the measure.

    Raises
    ------
    InputError
        There are fewer than 4 samples; :func:`simopt.score` refuses the data or the measure; or no score
        without one sample is defined, for instance because the measure needs a multiple of ``conditions``
        samples.
    """
    pair = _Pair.of(X, Y, measure, rows, options)
    x, y = pair.x, pair.y.numpy()
    groups = pair.rows.groups
    part: Part = "sample" if groups is None else "group"
    shape = np.shape(sides.in_order(X))
    if groups is None and len(shape) == 3 and shape[1] > 1:
        part, groups = "condition", condition_of(len(x), shape[1])
    group = np.arange(len(x)) if groups is None else groups
    left = len(x) - np.bincount(group)
    if left.min() < checks.MIN_SAMPLES:
        raise InputError(
            f"X has {len(x)} samples; without {named(part, int(left.argmin()))} there are {left.min()}, and "
            f"at least {checks.MIN_SAMPLES} are needed."
        )
    side = Side.of(x)
    by_formula = scores_without_each(pair.measure, side, Side.of(y)) if part == "sample" else None

    def refit(j: int) -> float:
        kept = group != j
        return pair.scored(x[kept], y[kept], pair.rows.take(kept))

    share = np.bincount(group, side.squares.numpy()).astype(np.float64)
    return pair.attribution(part, "downdate", by_formula, refit, share, observe)


def leave_one_unit(
    X: ArrayLike,
    Y: ArrayLike,
    measure: str | Measure = "cka",
    *,
    side: Literal["X", "Y"] = "Y",
    rows: Rows | None = None,
    observe: OnStep | None = None,
    **options: Any,
) -> Attribution:
    """Return how the score changes without each unit of Y, or without each unit of X.

    ``first_order`` is the change of the score that its gradient G (samples, units) with respect to Y predicts
    if unit u is removed: -sum_i G_iu y_iu, summed over samples i. The unit is centered first if the measure
    ignores offsets. The prediction can differ from the exact change, because scores are not linear in the
    scale of a unit. For measures that ignore the scale of single units (linreg, cca) the prediction is 0.

    There is a closed form for linear cka and nbs, and for their squares and angles. For other measures the
    score is recomputed without each unit.

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)
    measure : str or Measure
    side : {"X", "Y"}
        The dataset whose units are left out.
    rows : Rows, optional
        Which samples belong together: folds keep groups together.
    observe : function of (done, total), optional
        Called after each recomputed score with the number of recomputed scores so far and their total.
    **options
        Options that override the defaults of the measure.

    Raises
    ------
    InputError
        The dataset has one unit only, or :func:`simopt.score` refuses the data or the measure.
    """
    pair = _Pair.of(X, Y, measure, rows, options)
    x, y = pair.x, pair.y.numpy()
    dataset, other = (x, y) if side == "X" else (y, x)
    if dataset.shape[1] < 2:
        raise InputError(f"{side} has only one unit; at least 2 are needed to leave one out.")
    units = Side.of(dataset, keep_units=True)
    by_formula = scores_without_each_unit(pair.measure, units, Side.of(other))
    share = units.rows.square().sum(dim=0).numpy()
    bound = pair.measure.bind(
        Reference.of(x, rows=pair.rows)
    )  # X stays the same without a unit of Y: its side is computed once

    def refit(u: int) -> float:
        kept = np.delete(dataset, u, axis=1)
        if side == "X":
            return pair.scored(kept, y, pair.rows)
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
    """Return the name of a part, such as ``PC 1``. PCs are numbered from 1, all other parts from 0."""
    return f"{part} {index + 1 if part == 'PC' else index}"


@dataclass(frozen=True)
class _Pair:
    """Two checked datasets, (n, p) and (n, q), which samples belong together, a measure, and their score."""

    x: FloatArray
    y: Tensor
    measure: Measure
    rows: Rows
    score: float = math.nan

    @classmethod
    def of(
        cls,
        X: ArrayLike,
        Y: ArrayLike,
        measure: str | Measure,
        rows: Rows | None,
        options: dict[str, Any],
    ) -> _Pair:
        chosen = measures.get(measure, **options) if isinstance(measure, str) else measure
        x, y = checks.pair(X, Y)
        pair = cls(x, torch.from_numpy(y), chosen, Rows() if rows is None else rows)
        value = pair.scored(x, y, pair.rows)
        if not math.isfinite(value):
            raise InputError(f"the score {chosen.name} of these data is {value}, so it cannot be attributed.")
        return replace(pair, score=value)

    def scored(self, x: FloatArray, y: FloatArray, rows: Rows) -> float:
        """Return the score of data ``x`` and ``y`` whose samples belong together as ``rows`` says."""
        return float(self.measure.bind(Reference.of(x, rows=rows))(y))

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
        """Recompute the scores that the formula left as NaN, and return the attribution.

        Parameters
        ----------
        part, share, first_order
            Attributes of the attribution.
        formula : str
            The route of the scores in ``by_formula``.
        by_formula : Tensor, (m,), or None
            The score without each part, by the formula; None if there is no formula.
        refit : callable
            Takes an index i and returns the recomputed score without part i.
        observe : callable
        """
        scores = np.full(len(share), np.nan) if by_formula is None else by_formula.detach().numpy().copy()
        # Formulas mark with NaN what they cannot give accurately; a NaN that stays is an undefined score.
        left = np.flatnonzero(~np.isfinite(scores)).tolist()
        reasons = []
        for done, i in enumerate(left, start=1):
            try:
                scores[i] = refit(i)
                why = f"the score without it is {scores[i]}"
            except SimoptError as error:
                scores[i], why = np.nan, str(error)
            if not math.isfinite(scores[i]):
                scores[i] = np.nan
                reasons.append(f"{named(part, i)}: {why}")
            if observe is not None:
                observe(done, len(left))
        reason = reasons[0] if reasons else None
        if not np.isfinite(scores).any():
            raise InputError(f"{self.measure.name} is undefined whichever {part} is left out. {reason}")
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
