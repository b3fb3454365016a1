"""Matching of units: which columns of X and Y belong together, and how alike the matched ones are.

Every measure here is an optimum over plans that pair columns. With the optimal plan held fixed the score is a
smooth function of Y that touches it, so the gradient of that function is the gradient of the score wherever
the plan is unique (envelope theorem), and elsewhere a direction along which the score improves all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError, NumericalError
from simopt.measures import forms
from simopt.measures.base import UNITWISE, Facts, Measure, Score, both, distance_facts
from simopt.measures.moments import Moments, Reference
from simopt.typing import FloatArray

Plan = Literal["one_to_one", "transport", "many_to_one"]
Columns = Literal["raw", "centered", "unit"]
Comparison = Literal["euclidean", "angle", "correlation"]

_SOURCES = {
    "one_to_one": "Li et al. 2016, Convergent Learning; Williams et al. 2021, Generalized Shape Metrics",
    "transport": "Khosla & Williams 2024, Soft Matching Distance",
    "many_to_one": "Li et al. 2016, Convergent Learning; Khosla & Williams 2024, Soft Matching Distance",
}
_PLANS = {
    "one_to_one": "W one-to-one, min(p,q) ones",
    "transport": "W >= 0 of row sums 1/p and column sums 1/q",
    "many_to_one": "W = the mean of each column to its best match, from X and from Y",
}
_FORMULAS = {
    "euclidean": "min_W sqrt(sum_ij W_ij ||x_i - y_j||^2)",
    "angle": "min_W arccos(sum_ij W_ij x_i'y_j / (||X|| ||Y||))",
    "correlation": "max_W sum_ij W_ij corr(x_i, y_j) / sum_ij W_ij",
}
_INVARIANCES = {
    "raw": frozenset({"permutation"}),
    "centered": frozenset({"permutation", "translation"}),
    "unit": UNITWISE,
}
_SMALL_TRANSPORT = 200


def one_to_one(gain: FloatArray) -> FloatArray:
    """Return the 0/1 matrix of min(p, q) pairs, no row or column twice, of the largest total gain (p, q)."""
    from scipy.optimize import linear_sum_assignment

    plan = np.zeros_like(gain)
    plan[linear_sum_assignment(gain, maximize=True)] = 1
    return plan


def transport(gain: FloatArray) -> FloatArray:
    """Return W >= 0 of row sums 1/p and column sums 1/q that maximizes sum W_ij gain_ij, gain (p, q).

    In units of 1/m, m the least common multiple of p and q, a row holds m/p and a column m/q, and some
    optimum has whole entries. Where m is small it is an assignment of m/p copies of each row to m/q copies of
    each column, one to one at equal widths; else it is a linear program, whose vertices are whole.

    Raises
    ------
    NumericalError
        The linear program was not solved.
    """
    rows, columns = gain.shape
    multiple = math.lcm(rows, columns)
    supply, demand = multiple // rows, multiple // columns
    if multiple <= max(_SMALL_TRANSPORT, 4 * rows, 4 * columns):
        copies = one_to_one(gain.repeat(supply, axis=0).repeat(demand, axis=1))
        whole = copies.reshape(rows, supply, columns, demand).sum(axis=(1, 3))
    else:
        whole = _transport_program(gain, supply, demand)
    return whole / multiple


def _transport_program(gain: FloatArray, supply: int, demand: int) -> FloatArray:
    from scipy import optimize, sparse

    solve: Any = optimize.linprog  # its stubs know no sparse constraints
    rows, columns = gain.shape
    sums = sparse.vstack(
        [
            sparse.kron(sparse.eye_array(rows), np.ones((1, columns))),
            sparse.kron(np.ones((1, rows)), sparse.eye_array(columns)),
        ],
        format="csr",
    )
    result = solve(
        -gain.ravel() / (np.abs(gain).max() or 1.0),
        A_eq=sums,
        b_eq=np.r_[np.full(rows, float(supply)), np.full(columns, float(demand))],
        method="highs-ds",
        options={"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10},
    )
    if result.status != 0:
        raise NumericalError(
            f"The soft matching of {rows} and {columns} units was not found: {result.message}"
        )
    return np.rint(result.x).reshape(rows, columns)


def many_to_one(gain: FloatArray) -> FloatArray:
    """Return W, of sum 1, with sum W_ij gain_ij the mean of (mean row maximum) and (mean column maximum)."""
    rows, columns = gain.shape
    plan = np.zeros_like(gain)
    plan[np.arange(rows), gain.argmax(axis=1)] += 0.5 / rows
    plan[gain.argmax(axis=0), np.arange(columns)] += 0.5 / columns
    return plan


_SOLVERS = {solve.__name__: solve for solve in (one_to_one, transport, many_to_one)}


def best_plan(gain: Tensor, plan: Plan) -> Tensor:
    """Return the plan of the largest total gain, (..., p, q), of each gain (..., p, q); without a gradient.

    Raises
    ------
    NumericalError
        The gain holds NaN or infinite values.
    """
    gains = gain.detach().cpu().double().numpy()
    if not np.isfinite(gains).all():
        raise NumericalError("A matrix of products of units to match holds NaN or infinite values.")
    flat = gains.reshape(-1, *gains.shape[-2:])
    plans = np.stack([_SOLVERS[plan](one) for one in flat]) if len(flat) else flat
    return torch.from_numpy(plans.reshape(gains.shape)).to(gain)


def unit_columns(matrix: Tensor) -> Tensor:
    """Center A (..., n, q) and scale every column to norm 1; a constant column, to rounding, becomes 0.

    There the direction of a column has no derivative. Its gradient is then that of a column divided by the
    largest norm among its neighbors: along it the column leaves 0 towards what it is matched with.
    """
    centered = linalg.center(matrix)
    norm = torch.linalg.vector_norm(centered.detach(), dim=-2, keepdim=True)
    rounding = (
        8 * torch.finfo(matrix.dtype).eps * torch.linalg.vector_norm(matrix.detach(), dim=-2, keepdim=True)
    )
    varies = norm > rounding
    largest = norm.amax(dim=-1, keepdim=True)
    leaving = (centered - centered.detach()) / torch.where(largest > 0, largest, 1.0)
    scale = torch.where(varies, torch.linalg.vector_norm(centered, dim=-2, keepdim=True), 1.0)
    return torch.where(varies, centered / scale, leaving)


def euclidean(x: Tensor, y: Tensor, plan: Tensor, *, count_unmatched: bool) -> Tensor:
    """Return sqrt(sum W_ij ||x_i - y_j||^2), (...), of the columns of x (n, p) and y (..., n, q).

    With ``count_unmatched`` every column of the wider side that a one-to-one plan leaves over is matched to
    zero. At distance 0 (the tip of a cone) the gradient is 0.
    """
    apart = torch.cdist(x.mT.expand(*y.shape[:-2], -1, -1), y.mT, compute_mode="donot_use_mm_for_euclid_dist")
    squared = (plan * apart.square()).sum(dim=(-2, -1))
    if count_unmatched:
        squared = squared + ((1 - plan.sum(-1)) * x.square().sum(-2)).sum(-1)
        squared = squared + ((1 - plan.sum(-2)) * y.square().sum(-2)).sum(-1)
    return linalg.root(squared)


@dataclass(frozen=True, kw_only=True)
class Matching(Measure):
    """The best matching of the units of X with those of Y.

    Parameters
    ----------
    plan : {"one_to_one", "transport", "many_to_one"}
        An assignment; optimal transport of uniform weights; every unit to its best match, of both sides.
    columns : {"raw", "centered", "unit"}
        What is matched: the columns as they are, centered, or centered and of norm 1.
    comparison : {"euclidean", "angle", "correlation"}
        A distance, an angle in radians, or the mean correlation of the matched.

    Raises
    ------
    InputError
        An option is none of these; or ``correlation`` or ``many_to_one`` without unit columns.
    """

    plan: Plan
    columns: Columns
    comparison: Comparison

    def __post_init__(self) -> None:
        self._check_choices()
        if self.columns != "unit" and (self.comparison == "correlation" or self.plan == "many_to_one"):
            what = "a correlation" if self.comparison == "correlation" else "a many_to_one plan"
            raise InputError(f"columns of {self.name} is {self.columns!r}; {what} takes columns='unit'.")

    @property
    def facts(self) -> Facts:
        """Symmetric and blind to the order of units; what else it ignores depends on the columns."""
        invariant = _INVARIANCES[self.columns]
        longest = 2.0 if self.columns == "unit" and self.plan != "one_to_one" else math.inf
        if self.comparison == "angle":
            invariant, longest = invariant | {"isotropic_scaling"}, math.pi
        return Facts(
            family="matching",
            formula=f"{_FORMULAS[self.comparison]}, {_PLANS[self.plan]}, columns {self.columns}",
            source=_SOURCES[self.plan],
            **both(invariant),
            cost="n p^2, and p^3 on the CPU for the plan",
            relations=(
                "with as many units in X as in Y, the transport plan is the one-to-one plan / p",
                "unit columns, transport or many_to_one: euclidean^2 = 2 - 2 correlation",
                "permutation_angular >= arccos(nbs): a permutation is one rotation of many",
                "many_to_one has local maxima unless Y has more units than X (init.units)",
            ),
            **({"low": -1.0} if self.comparison == "correlation" else distance_facts(longest)),
        )

    def _columns(self, responses: Tensor) -> Tensor:
        if self.columns == "unit":
            return unit_columns(responses)
        return linalg.center(responses) if self.columns == "centered" else responses

    def prepare(self, reference: Reference) -> Score:
        """Return the score as a function of the moments, with the columns of X made once."""
        x = self._columns(reference.responses)
        single = self.plan == "one_to_one"

        def score(moments: Moments) -> Tensor:
            y = self._columns(moments.Y)
            products = x.mT @ y
            plan = best_plan(products, self.plan)
            if self.comparison == "euclidean":
                return euclidean(x, y, plan, count_unmatched=single)
            total = (plan * products).sum(dim=(-2, -1))
            if self.comparison == "correlation":
                return total / plan.sum(dim=(-2, -1))
            norms = torch.linalg.matrix_norm(x) * torch.linalg.matrix_norm(y)
            mass = 1.0 if single else 1 / math.sqrt(x.shape[-1] * y.shape[-1])
            return forms.apply("angle", total / (mass * norms))

        return score


@dataclass(frozen=True, kw_only=True)
class PairwiseMatching(Measure):
    """The correlation, on held-out samples, of each unit of Y with its best unit of X on the others.

    The score jumps where the best unit changes, as the held-out samples do not agree with the choice: it is
    not offered for optimization.

    Parameters
    ----------
    folds : int, >= 2
    seed : int, 0 to 2^32 - 1
        Of the shuffle that makes the folds.

    Raises
    ------
    InputError
        An option is out of range, or a fold would hold fewer than 2 samples.
    """

    folds: int = 5
    seed: int = 42

    def __post_init__(self) -> None:
        checks.whole(self.folds, 2, f"folds of {self.name}")
        checks.whole(self.seed, 0, f"seed of {self.name}", checks.LARGEST_SHUFFLE_SEED)

    @property
    def facts(self) -> Facts:
        """Range [-1, 1]; from X to Y; blind to order, offset and positive scale of every unit."""
        return Facts(
            family="matching",
            formula="mean over folds and j of corr(x_m(j), y_j) on the fold, m(j) = argmax_i corr off it",
            source="Li et al. 2016, Convergent Learning; cross-validated as in neuroaimetrics",
            **both(_INVARIANCES["unit"]),
            low=-1.0,
            symmetric=False,
            differentiable=False,
            direction="x_to_y",
            cost="n p^2",
            relations=("one side of soft_correlation_match, cross-validated",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Split the samples, and return the score as a function of the moments."""
        from sklearn.model_selection import KFold

        samples = reference.samples
        if samples < 2 * self.folds:
            raise InputError(
                f"{self.name} with {self.folds} folds of {samples} samples leaves a fold of one, which "
                f"has no correlation; use at most {samples // 2} folds."
            )
        device = reference.responses.device
        splitter = KFold(self.folds, shuffle=True, random_state=self.seed).split(np.empty((samples, 1)))
        splits = [[torch.from_numpy(part).to(device) for part in split] for split in splitter]
        own = [[unit_columns(reference.responses[part]) for part in split] for split in splits]

        def score(moments: Moments) -> Tensor:
            Y = moments.Y.detach()
            held_out = []
            for split, sides in zip(splits, own, strict=True):
                fitted, tested = (
                    x.mT @ unit_columns(Y[..., part, :]) for part, x in zip(split, sides, strict=True)
                )
                best = fitted.argmax(dim=-2, keepdim=True)
                held_out.append(tested.take_along_dim(best, dim=-2).mean(dim=(-2, -1)))
            return torch.stack(held_out).mean(dim=0)

        return score
