"""Matching of units: pair the columns of X and of Y, and measure how similar the pairs are.

A plan is a matrix W (p, q) whose entry W_ij is the weight of the pair of unit i of X and unit j of Y. The
gain of this pair is its similarity, for instance x_i'y_j. Every score here is an optimum over plans. If the
optimal plan is unique, the gradient of the score is the gradient at fixed W (envelope theorem). If several
plans are optimal, the gradient for one of them still improves the score.
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
from simopt.measures import folds, forms
from simopt.measures.base import UNITWISE, Facts, Measure, Score, both, distance_facts
from simopt.measures.folds import Split
from simopt.measures.moments import Moments, Reference
from simopt.norms import matrix_norm, root, vector_norm
from simopt.typing import FloatArray

Plan = Literal["one_to_one", "transport", "many_to_one"]
Columns = Literal["raw", "centered", "unit"]
Comparison = Literal["euclidean", "angle", "correlation"]

_SOURCES = {
    "one_to_one": "Li et al. 2016, arXiv:1511.07543; Williams et al. 2021, arXiv:2110.14739",
    "transport": "Khosla & Williams 2024, Soft Matching Distance, arXiv:2311.09466",
    "many_to_one": "Li et al. 2016, arXiv:1511.07543; Khosla & Williams 2024, arXiv:2311.09466",
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
_SMALL_ASSIGNMENT = 200
"""Transport is solved as an assignment if this takes at most so many copies of units, or 4 per unit."""


def one_to_one(gain: FloatArray) -> FloatArray:
    """Return the one-to-one plan of largest total gain, a 0/1 matrix of shape (p, q) with min(p, q) ones."""
    from scipy.optimize import linear_sum_assignment

    plan = np.zeros_like(gain)
    plan[linear_sum_assignment(gain, maximize=True)] = 1
    return plan


def transport(gain: FloatArray) -> FloatArray:
    """Return the plan W >= 0, (p, q), with row sums 1/p and column sums 1/q that maximizes sum W_ij gain_ij.

    Let m be the least common multiple of p and q. The row sums m/p and column sums m/q of m W are integers,
    so some optimal m W has integer entries. If m is small, m W is found as an assignment of m/p copies of
    each row to m/q copies of each column. Otherwise m W is found by a linear program, whose vertices are
    integer.

    Raises
    ------
    NumericalError
        The linear program was not solved.
    """
    rows, columns = gain.shape
    multiple = math.lcm(rows, columns)
    supply, demand = multiple // rows, multiple // columns
    if multiple <= max(_SMALL_ASSIGNMENT, 4 * rows, 4 * columns):
        copies = one_to_one(gain.repeat(supply, axis=0).repeat(demand, axis=1))
        flow = copies.reshape(rows, supply, columns, demand).sum(axis=(1, 3))
    else:
        flow = _transport_program(gain, supply, demand)
    return flow / multiple


def _transport_program(gain: FloatArray, supply: int, demand: int) -> FloatArray:
    from scipy import optimize, sparse

    solve: Any = optimize.linprog  # its type stubs lack sparse constraints
    rows, columns = gain.shape
    # Of m W, flattened row by row: the first ``rows`` constraints are row sums, the others column sums.
    sums = sparse.vstack(
        [
            sparse.kron(sparse.eye_array(rows), np.ones((1, columns))),
            sparse.kron(np.ones((1, rows)), sparse.eye_array(columns)),
        ],
        format="csr",
    )
    result = solve(
        # Scaled to at most 1, so that the tolerances below do not depend on the units of the data.
        -gain.ravel() / (np.abs(gain).max() or 1.0),
        A_eq=sums,
        b_eq=np.r_[np.full(rows, float(supply)), np.full(columns, float(demand))],
        method="highs-ds",
        options={"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10},
    )
    if result.status != 0:
        raise NumericalError(f"Matching {rows} to {columns} units failed ({result.message}); rescale X, Y.")
    # The simplex method returns a vertex, which is integer up to rounding.
    return np.rint(result.x).reshape(rows, columns)


def many_to_one(gain: FloatArray) -> FloatArray:
    """Return the plan W, (p, q), that matches each row with its best column, and each column likewise.

    The sum of W_ij gain_ij is half of the mean row maximum plus half of the mean column maximum.
    """
    rows, columns = gain.shape
    plan = np.zeros_like(gain)
    # Half of the weight for the best column of each row, half for the best row of each column.
    plan[np.arange(rows), gain.argmax(axis=1)] += 0.5 / rows
    plan[gain.argmax(axis=0), np.arange(columns)] += 0.5 / columns
    return plan


_SOLVERS = {solve.__name__: solve for solve in (one_to_one, transport, many_to_one)}


def best_plan(gain: Tensor, plan: Plan, rows: Tensor | None = None, columns: Tensor | None = None) -> Tensor:
    """Return the plan of largest total gain, (..., p, q), for each matrix of gains (..., p, q).

    The plan has no gradient.

    Parameters
    ----------
    gain : Tensor, (..., p, q)
    plan : {"one_to_one", "transport", "many_to_one"}
    rows, columns : Tensor of bool, (p,) and (..., q), optional
        The rows and columns that are matched; the weights of others are 0. None: all of them.

    Raises
    ------
    NumericalError
        A gain is NaN or infinite.
    """
    # scipy solves it on the CPU: on an accelerator every score waits for this copy.
    gains = gain.detach().cpu().double().numpy()
    if not np.isfinite(gains).all():
        raise NumericalError("The products of units to match hold NaN or infinite values; rescale X and Y.")
    plans = np.zeros_like(gains)
    kept = np.ones(gains.shape, bool)
    if rows is not None and columns is not None:
        kept = (rows[:, None] & columns[..., None, :]).cpu().numpy()
    for index in np.ndindex(gains.shape[:-2]):
        block = np.ix_(kept[index].any(axis=1), kept[index].any(axis=0))
        if kept[index].any():
            plans[index][block] = _SOLVERS[plan](gains[index][block])
    return torch.from_numpy(plans).to(gain)


def unit_columns(matrix: Tensor) -> Tensor:
    """Return A (..., n, q) with columns centered and scaled to norm 1; a constant column becomes 0.

    A column counts as constant if it varies by rounding errors only. Its direction then has no derivative.
    The gradient is set as if the column were divided by the largest norm of all columns. A step along this
    gradient moves the column from 0 towards the unit that it is matched with.
    """
    centered = linalg.center(matrix)
    # Centering a constant column leaves a few eps of its norm.
    norm = vector_norm(centered.detach(), dim=-2, keepdim=True)
    rounding = 8 * torch.finfo(matrix.dtype).eps * vector_norm(matrix.detach(), dim=-2, keepdim=True)
    varies = norm > rounding
    largest = norm.amax(dim=-1, keepdim=True)
    leaving = (centered - centered.detach()) / torch.where(largest > 0, largest, 1.0)  # 0 with a gradient
    scale = torch.where(varies, vector_norm(centered, dim=-2, keepdim=True), 1.0)
    return torch.where(varies, centered / scale, leaving)


def euclidean(x: Tensor, y: Tensor, plan: Tensor, *, count_unmatched: bool) -> Tensor:
    """Return the distance sqrt(sum W_ij ||x_i - y_j||^2), of shape (...), of columns x_i and y_j of x and y.

    Where this distance is 0, its gradient is set to 0.

    Parameters
    ----------
    x : Tensor, (n, p)
    y : Tensor, (..., n, q)
    plan : Tensor, (..., p, q), W
    count_unmatched : bool
        Whether a column that a one-to-one plan leaves unmatched counts as matched to a column of zeros.
    """
    apart = torch.cdist(x.mT.expand(*y.shape[:-2], -1, -1), y.mT, compute_mode="donot_use_mm_for_euclid_dist")
    squared = (plan * apart.square()).sum(dim=(-2, -1))  # apart is (..., p, q)
    if count_unmatched:
        # Row and column sums of the plan are 1 for matched columns and 0 for others.
        squared = squared + ((1 - plan.sum(-1)) * x.square().sum(-2)).sum(-1)
        squared = squared + ((1 - plan.sum(-2)) * y.square().sum(-2)).sum(-1)
    return root(squared)


@dataclass(frozen=True, kw_only=True)
class Matching(Measure):
    """The similarity of the units of X and Y under the best matching.

    A constant unit has no correlation with any other. ``correlation`` leaves it out.

    Parameters
    ----------
    plan : {"one_to_one", "transport", "many_to_one"}
        How units are matched. ``one_to_one``: in pairs. ``transport``: by optimal transport, with the same
        weight for all units of X or of Y. ``many_to_one``: each unit of X with its best unit of Y, and each
        unit of Y with its best unit of X.
    columns : {"raw", "centered", "unit"}
        Whether the columns are used as they are, centered, or centered and scaled to norm 1.
    comparison : {"euclidean", "angle", "correlation"}
        The score: a distance, an angle in radians, or the mean correlation of matched units.

    Raises
    ------
    InputError
        An option has another value than those listed; or ``columns`` is not ``unit``, although
        ``correlation`` or ``many_to_one`` requires it.

    References
    ----------
    Li et al. 2016, Convergent Learning, arXiv:1511.07543.
    Williams et al. 2021, Generalized Shape Metrics on Neural Representations, arXiv:2110.14739.
    Khosla & Williams 2024, Soft Matching Distance, arXiv:2311.09466.
    """

    plan: Plan
    columns: Columns
    comparison: Comparison

    def __post_init__(self) -> None:
        checks.options(self)
        if self.columns != "unit" and (self.comparison == "correlation" or self.plan == "many_to_one"):
            what = "a correlation" if self.comparison == "correlation" else "a many_to_one plan"
            raise InputError(f"columns of {self.name} is {self.columns!r}, but {what} needs columns=unit.")

    @property
    def facts(self) -> Facts:
        """The score is invariant to the order of units; further invariances depend on ``columns``."""
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
        """Return a function from the moments of Y to the score."""
        x = self._columns(reference.responses)
        single = self.plan == "one_to_one"

        def score(moments: Moments) -> Tensor:
            y = self._columns(moments.Y)
            # ||x_i - y_j||^2 = ||x_i||^2 + ||y_j||^2 - 2 x_i'y_j, where the norms are the same for all plans
            # with these row and column sums: the plan of largest products is that of the least distance.
            products = x.mT @ y  # (..., p, q)
            if self.comparison == "correlation":
                plan = best_plan(products, self.plan, _varies(x), _varies(y))
                return (plan * products).sum(dim=(-2, -1)) / plan.sum(dim=(-2, -1))
            plan = best_plan(products, self.plan)
            if self.comparison == "euclidean":
                return euclidean(x, y, plan, count_unmatched=single)
            total = (plan * products).sum(dim=(-2, -1))
            norms = matrix_norm(x) * matrix_norm(y)
            # x and y weighted by W have norms ||X|| / sqrt(p) and ||Y|| / sqrt(q) under transport.
            mass = 1.0 if single else 1 / math.sqrt(x.shape[-1] * y.shape[-1])
            return forms.apply("angle", total / (mass * norms))

        return score

    def left_out(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return which constant units a correlation leaves out."""
        if self.comparison != "correlation":
            return []
        sides = {"X": reference.responses, "Y": Y}
        constant = {side: ~_varies(unit_columns(data)).cpu().numpy() for side, data in sides.items()}
        return [line for side in sides for line in folds.left_out(self.name, side, constant[side][None])]


def _varies(columns: Tensor) -> Tensor:
    """Return which columns of :func:`unit_columns` (..., n, q) are not those of a constant, (..., q)."""
    return (columns.detach() != 0).any(dim=-2)


@dataclass(frozen=True, kw_only=True)
class PairwiseMatching(Measure):
    """The mean correlation, on test samples, of each unit of Y with its best match among the units of X.

    The best match is chosen on the train samples. The score has no gradient, as it jumps where the choice
    changes. A unit of Y that is constant in the test samples is left out of that fold. Units that are
    constant in the train samples have no match: for one of Y the correlation is 0.

    Parameters
    ----------
    folds : int, >= 2
        The number of folds, of samples or, if X has groups, of groups.
    seed : int, 0 to 2^32 - 1
        The seed of the shuffle that makes the folds.

    Raises
    ------
    InputError
        An option is out of range.

    References
    ----------
    Li et al. 2016, Convergent Learning, arXiv:1511.07543.
    """

    folds: int = 5
    seed: int = 42

    def __post_init__(self) -> None:
        checks.options(self, folds=2, seed=(0, checks.LARGEST_SHUFFLE_SEED))

    @property
    def facts(self) -> Facts:
        """The score is invariant to the order, offset and positive scale of every unit."""
        return Facts(
            family="matching",
            formula="mean over folds and j of corr(x_m(j), y_j) on the fold, m(j) = argmax_i corr off it",
            source="Li et al. 2016, arXiv:1511.07543; cross-validated as in neuroaimetrics",
            **both(_INVARIANCES["unit"]),
            low=-1.0,
            symmetric=False,
            differentiable=False,
            direction="x_to_y",
            cost="n p^2",
            relations=("one side of soft_correlation_match, cross-validated",),
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score.

        Raises
        ------
        InputError
            There are more folds than samples or groups, or a fold would hold fewer than 3 samples. The score
            raises it if every unit of Y is constant in every fold.
        """
        device = reference.responses.device
        splits = [[torch.from_numpy(part).to(device) for part in split] for split in self._splits(reference)]
        X_parts = [[unit_columns(reference.responses[part]) for part in split] for split in splits]

        def score(moments: Moments) -> Tensor:
            Y = moments.Y.detach()
            scores, counted = [], []
            for (train, test), (x_train, x_test) in zip(splits, X_parts, strict=True):
                y_train = unit_columns(Y[..., train, :])
                gains = torch.where(_varies(x_train)[:, None], x_train.mT @ y_train, -math.inf)  # (..., p, q)
                best = gains.argmax(dim=-2, keepdim=True)  # of X, for each unit of Y (..., 1, q)
                correlations = x_test.mT @ unit_columns(Y[..., test, :])
                held_out = correlations.take_along_dim(best, dim=-2).squeeze(-2)
                kept = ~folds.constant(Y[..., test, :], Y)
                held_out = torch.where(kept & _varies(y_train), held_out, 0.0)
                scores.append(held_out.sum(dim=-1) / kept.sum(dim=-1).clamp(min=1))
                counted.append(kept.any(dim=-1))
            number = torch.stack(counted).sum(dim=0)
            if not bool((number > 0).all()):
                raise InputError(f"{self.name}: every unit of Y is constant in every fold.")
            return torch.stack(scores).sum(dim=0) / number

        return score

    def left_out(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return which units of Y are left out of folds."""
        constant = [folds.constant(Y[test], Y).cpu().numpy() for _, test in self._splits(reference)]
        return folds.left_out(self.name, "Y", np.stack(constant))

    def _splits(self, reference: Reference) -> list[Split]:
        from sklearn.model_selection import KFold

        splitter = KFold(self.folds, shuffle=True, random_state=self.seed)
        groups = self.groups_to_keep(reference)
        divided = folds.splits(splitter, reference.samples, groups, self.name)
        folds.refuse_small(self.name, min(len(test) for _, test in divided), reference.samples, groups)
        return divided
