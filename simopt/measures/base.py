"""The base classes of measures: a measure, the facts about it, and a measure that is bound to one X.

Shapes: n samples, p units of X, q units of Y; ``...`` are batch dimensions.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from simopt import checks, sides
from simopt.errors import InputError
from simopt.measures.extent import Extent
from simopt.measures.moments import Moments, Reference, from_array
from simopt.rows import Rows, are_none, of_samples
from simopt.typing import ArrayLike, LabelArray, Responses

INVARIANCES = (
    "permutation",
    "orthogonal",
    "isotropic_scaling",
    "translation",
    "column_scaling",
    "invertible_linear",
    "affine",
)
"""Transformations of the units of X or Y that may leave a score unchanged, named as in the resi package."""

AFFINE = frozenset(INVARIANCES)
ROTATIONAL = frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation"})
UNITWISE = frozenset({"permutation", "isotropic_scaling", "translation", "column_scaling"})

Score: TypeAlias = "Callable[[Moments], Tensor]"
"""A function from the moments of Y (..., n, q) to its score, a tensor of shape (...)."""

_CONSTANT = 8
"""A unit is constant if it deviates from its mean by at most this many eps times its largest value.

In floating point, centering a constant column leaves up to 5.1 eps of its value (measured in float32 and
float64 for up to 10^6 samples).
"""


@dataclass(frozen=True)
class Facts:
    """The properties of a measure; the contract tests check every entry.

    Attributes
    ----------
    family : str
        The kind of measure, for instance ``kernel`` or ``regression``.
    formula : str
        The score as a formula of X and Y.
    source : str
        The paper that defines the measure, with its DOI or arXiv number if it has one.
    low, high : float
        The bounds of the score over all Y.
    at_self : float or None
        The score at Y = X; None if this score depends on X.
    larger_is_closer : bool
        False for distances and angles, which optimization minimizes.
    invariant_x, invariant_y : frozenset of str
        The transformations in :data:`INVARIANCES` that leave the score unchanged if applied to X, or to Y.
        All other transformations change the score.
    symmetric : bool
        Whether score(X, Y) = score(Y, X).
    sample_rotations : bool
        Whether score(QX, QY) = score(X, Y) for every rotation Q (n, n) of the centered samples. If so, the
        score depends on X'X, X'Y and Y'Y only, and optimizers that commute with rotations can work with
        fewer rows than there are samples.
    differentiable : bool
        Whether the score has a gradient with respect to Y almost everywhere.
    direction : str
        ``symmetric``, or which dataset predicts the other (``y_to_x``: X is predicted from Y).
    cost : str
        How the time to compute one score grows with the number of samples n and of units p.
    relations : tuple of str
        How the score is related to scores of other measures, in words or formulas.
    """

    family: str
    formula: str
    source: str
    invariant_x: frozenset[str]
    invariant_y: frozenset[str]
    low: float = 0.0
    high: float = 1.0
    at_self: float | None = 1.0
    larger_is_closer: bool = True
    symmetric: bool = True
    sample_rotations: bool = False
    differentiable: bool = True
    direction: str = "symmetric"
    cost: str = "n p^2"
    relations: tuple[str, ...] = ()


def both(invariant: frozenset[str]) -> dict[str, Any]:
    """Return the entries of :class:`Facts` for a measure that has the same invariances for X and for Y."""
    return {"invariant_x": invariant, "invariant_y": invariant}


def distance_facts(high: float) -> dict[str, Any]:
    """Return the entries of :class:`Facts` for a distance with values from 0 to ``high``."""
    return {"high": high, "at_self": 0.0, "larger_is_closer": False}


@dataclass(frozen=True, kw_only=True)
class Measure(ABC):
    """A similarity measure with fixed options.

    Call the measure with X (samples, units) and Y (..., samples, units) to get the score, a tensor of shape
    (...). The score is differentiable with respect to Y; X is a constant. Integers and half precision become
    float64.
    """

    name: str
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    @abstractmethod
    def facts(self) -> Facts:
        """The formula, range, invariances and other properties of the measure."""

    @abstractmethod
    def prepare(self, reference: Reference) -> Score:
        """Return a function from the :class:`Moments` of Y to the score, of shape (...).

        Everything that depends on X alone is computed here, once for all Y.
        """

    @property
    def differentiable(self) -> bool:
        """Whether the score has a gradient, so that it can be optimized."""
        return self.facts.differentiable

    @property
    def sign(self) -> int:
        """1 if larger scores are closer, -1 for distances. Optimization maximizes ``sign * score``."""
        return 1 if self.facts.larger_is_closer else -1

    def degenerate(self, X: Responses | Reference, Y: Responses) -> str | None:
        """Return the reason why no Y of this size and rank has a meaningful score, or None.

        Parameters
        ----------
        X : array, tensor, Dataset or Reference, (samples, units)
        Y : array, tensor or Dataset, (samples, units)
        """
        return self.weakness(Extent(X, Y))

    def weakness(self, extent: Extent) -> str | None:
        """Return the result of :meth:`degenerate`, given the sizes and ranks of X and Y."""
        return None

    def remarks(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return what users have to know of the score of Y (samples, units), a line for each fact."""
        return self.left_out(reference, Y)

    def left_out(self, reference: Reference, Y: Tensor) -> list[str]:
        """Return which units and test sets the score of Y leaves out or pools, a line for each kind."""
        return []

    @property
    def cross_validated(self) -> bool:
        """Whether the samples are split into folds. If they are, the score depends on the groups."""
        return getattr(self, "folds", None) is not None

    def groups_of(self, samples: int) -> LabelArray | None:
        """Return the group of each sample, (n,), if the options of the measure define groups, else None.

        A measure with the option ``conditions`` or ``repeats`` takes each condition as a group. These groups
        replace the groups of X, and a null exchanges whole groups. They are numbered from 0 in the order of
        first appearance.

        Raises
        ------
        InputError
            ``samples`` is not a multiple of the number of conditions or repeats.
        """
        return None

    def groups_to_keep(self, reference: Reference) -> LabelArray | None:
        """Return the groups that folds keep together: :meth:`groups_of`, or if it is None those of X."""
        own = self.groups_of(reference.samples)
        return own if own is not None or reference.rows is None else reference.rows.groups

    def bind(
        self,
        X: Responses | Reference,
        groups: ArrayLike | None = None,
        blocks: ArrayLike | None = None,
    ) -> BoundMeasure:
        """Precompute everything that depends on X (samples, units), and return the measure bound to X.

        Parameters
        ----------
        X : array, tensor, Dataset or Reference
        groups, blocks : array, (samples,), or names of labels of a Dataset, optional
            Samples of one group share a signal, and samples of one block share a nuisance (see
            :class:`simopt.rows.Rows`). Cross-validated measures keep groups together.

        Raises
        ------
        InputError
            X is not 2-D, not finite, the same in all samples, or a tensor that requires a gradient; or
            ``groups`` or ``blocks`` does not have one value for each sample.
        """
        self._refuse_gradient(X)
        return BoundMeasure(self, Reference.of(X, rows=rows_of(X, groups, blocks)))

    def __call__(
        self,
        X: Responses,
        Y: Responses,
        groups: ArrayLike | None = None,
        blocks: ArrayLike | None = None,
    ) -> Tensor:
        """Return the score, a tensor of shape (...), of X (samples, units) and Y (..., samples, units).

        ``groups`` and ``blocks`` are the same as in :meth:`bind`.

        Raises
        ------
        InputError
            :meth:`bind` refuses X, or :meth:`BoundMeasure.__call__` refuses Y.
        """
        self._refuse_gradient(X)
        rows = rows_of(X, groups, blocks)
        if hasattr(Y, "structure"):  # a Dataset, which may declare groups of its own
            rows = (rows or Rows()).joined(Y, groups_are_none(X, groups))
        Y = _as_tensor(sides.aligned(X, Y))
        return self.bind(Reference.of(X, dtype=Y.dtype, device=Y.device, rows=rows))(Y)

    def _refuse_gradient(self, X: Responses | Reference) -> None:
        if isinstance(X, Tensor) and X.requires_grad and torch.is_grad_enabled():
            swap = f", or swap X and Y, as {self.name} is symmetric" if self.facts.symmetric else ""
            raise InputError(
                f"X requires a gradient, but {self.name} has gradients with respect to Y only. "
                f"Pass X.detach(){swap}."
            )


class BoundMeasure:
    """A measure with everything that depends on X precomputed; call it with Y (..., samples, units).

    A bound measure can be pickled, and moved to another device or dtype by :meth:`to`.

    Attributes
    ----------
    measure : Measure
        The measure that was bound.
    reference : Reference
        X and its principal components.
    evaluate : callable
        Computes the score from the :class:`Moments` of Y without checking Y, for loops that score many Y.
    """

    def __init__(self, measure: Measure, reference: Reference) -> None:
        self.measure = measure
        self.reference = reference
        self.evaluate = measure.prepare(reference)
        # A constant Y says nothing of X, and a measure that divides by the norm of centered Y would be NaN.
        self._checks_Y = True

    def __reduce__(self) -> tuple[Any, ...]:
        # ``evaluate`` is a closure, which cannot be pickled. Preparing again gives the same numbers.
        return BoundMeasure, (self.measure, self.reference)

    def __repr__(self) -> str:
        """Return the name of the measure and what it is bound to."""
        scores = self.reference.scores
        name, samples = self.measure.name, self.reference.samples
        return f"<{name} bound to {samples} samples, {scores.dtype}, {scores.device}>"

    def to(
        self, device: torch.device | str | torch.dtype | None = None, dtype: torch.dtype | None = None
    ) -> BoundMeasure:
        """Return the bound measure on another device or with another dtype.

        A measure that was bound in float32 keeps the accuracy of float32 when it is moved to float64.

        Parameters
        ----------
        device : torch.device or str, optional
            If it is None, the device stays the same. As in torch, a dtype alone may stand here.
        dtype : {torch.float32, torch.float64}, optional
            If it is None, the dtype stays the same.

        Raises
        ------
        InputError
            This machine has no such device, or ``dtype`` is neither torch.float32 nor torch.float64.
        """
        scores = self.reference.scores
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        if dtype not in (None, torch.float32, torch.float64):
            raise InputError(f"dtype is {dtype}; choose torch.float32 or torch.float64.")
        try:
            place = torch.empty(0, device=device or scores.device).device  # torch has names of absent devices
        except (RuntimeError, TypeError, AssertionError) as error:
            raise InputError(
                f"device {device!r} cannot be used on this machine ({str(error).splitlines()[0]})."
            ) from error
        return BoundMeasure(self.measure, self.reference.to(dtype or scores.dtype, place))

    def __call__(self, Y: Responses) -> Tensor:
        """Return the score of Y (..., samples, units), a tensor of shape (...) with a gradient.

        Raises
        ------
        InputError
            Y differs in samples, dtype or device from the X that was bound; or a Y is constant up to
            rounding. On an accelerator only the first call checks whether Y is constant, as the check has to
            wait for the device.
        """
        Y = _as_tensor(Y)
        scores = self.reference.scores
        if Y.ndim < 2:
            raise InputError(f"Y has shape {tuple(Y.shape)}; give Y as (samples, units) or a batch of these.")
        checks.same_samples(scores.shape, Y.shape)
        if (Y.dtype, Y.device) != (scores.dtype, scores.device):
            raise InputError(
                f"Y is {Y.dtype} on {Y.device}, but the measure was bound to X in {scores.dtype} "
                f"on {scores.device}. Convert Y, or move the bound measure with .to(device, dtype)."
            )
        if self._checks_Y:
            self._refuse_constant(Y.detach())
            # On an accelerator each check would wait for the device, in a loop once a step.
            self._checks_Y = Y.device.type == "cpu"
        return self.evaluate(Moments(self.reference, Y))

    def _refuse_constant(self, Y: Tensor) -> None:
        """Refuse Y (..., n, q) if all units, or all of one member of the batch, are constant to rounding."""
        deviation = (Y - Y.mean(dim=-2, keepdim=True)).abs().amax(dim=-2)  # (..., q)
        rounding = _CONSTANT * torch.finfo(Y.dtype).eps * Y.abs().amax(dim=-2)
        constant = (deviation <= rounding).all(dim=-1)  # (...), False where Y holds NaN
        if bool(constant.any()):
            index = constant.nonzero()[0].tolist() or ""  # of the batch dimensions; none without a batch
            raise InputError(
                f"{self.measure.name}: Y{index} is the same in all {Y.shape[-2]} samples (up to rounding), "
                "so it has no score. Give a Y that varies."
            )


def absolute_penalty(name: str, penalty: float) -> str:
    """Return the line that says that the penalty of a ridge regression has units."""
    return (
        f"{name}: the penalty {penalty:g} is in squared units of the predictors, so that the score changes "
        "with their unit; ridge_cv chooses a penalty that does not"
    )


def over_batch(score: Callable[[Tensor], Tensor]) -> Score:
    """Return a function that scores a batch (..., n, q) by calling ``score`` for each Y (n, q) in turn."""

    def evaluate(moments: Moments) -> Tensor:
        Y = moments.Y
        scores = [score(member) for member in Y.reshape(-1, *Y.shape[-2:])]
        return torch.stack(scores).reshape(Y.shape[:-2]) if scores else Y.new_zeros(Y.shape[:-2])

    return evaluate


def rows_of(
    X: Responses | Reference, groups: ArrayLike | None = None, blocks: ArrayLike | None = None
) -> Rows | None:
    """Return the groups and blocks of the samples of X; None if neither X nor an argument defines any.

    Parameters
    ----------
    X : array or tensor, (samples, units) or (time, condition, unit), Dataset or Reference
    groups, blocks : array, or the name of a label if X is a Dataset, or None
        One value for each sample. If X has a time axis, one value for each condition is enough, and the name
        "condition" makes each condition a group or block.

    Raises
    ------
    InputError
        ``groups`` or ``blocks`` has another form, or a value is missing.
    """
    given = {key: value for key, value in (("groups", groups), ("blocks", blocks)) if value is not None}
    dataset: Any = X
    if hasattr(X, "structure"):  # a Dataset, which knows its labels
        rows: Rows = (dataclasses.replace(dataset, **given) if given else dataset).structure()
        return rows
    if not given:
        return X.rows if isinstance(X, Reference) else None
    groups = None if groups_are_none(X, groups) else groups
    shape: tuple[int, ...] = np.shape(X.responses if isinstance(X, Reference) else sides.in_order(X))
    return Rows.of(math.prod(shape[:-1]), of_samples(groups, shape), of_samples(blocks, shape))


def groups_are_none(X: Any, groups: Any) -> bool:
    """Return whether ``groups`` is "none". Without ``groups``, the groups of a Dataset X are looked at."""
    return are_none(getattr(X, "groups", None) if groups is None else groups)


def _as_tensor(Y: Responses) -> Tensor:
    Y = checks.samples_of(Y)
    if isinstance(Y, torch.Tensor):
        return Y if Y.dtype in (torch.float32, torch.float64) else Y.to(torch.float64)
    return from_array(checks.numeric(Y, "Y"))
