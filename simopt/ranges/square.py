"""The published way to a joint range: each target on the edges of the unit square pulls a Y of its own.

Y of all targets start at the same noise and follow the gradient of |s1 - t1| + |s2 - t2|, here as one batch.
A target that is reached, or whose loss has stopped falling, is frozen while the others go on.
"""

from __future__ import annotations

import enum
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard, get_args

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.errors import InputError
from simopt.measures import Measure, Moments, Reference, forms
from simopt.measures.kernel import KernelSimilarity
from simopt.optimization.init import GaussianInit
from simopt.ranges.boundary import check_measures
from simopt.ranges.space import Space
from simopt.ranges.stepwise import Stepwise
from simopt.ranges.tangent import parts
from simopt.typing import FloatArray

Loss = Literal["published", "squared"]


class Settled(enum.IntEnum):
    """Why a target is no longer pursued."""

    NO = 0
    REACHED = 1
    STALLED = 2
    NOT_FINITE = 3


@dataclass(frozen=True)
class SquareOptions:
    """How targets are pursued.

    Parameters
    ----------
    rate : float or None
        Adam's learning rate, an entry of Y with all samples having standard deviation 1 at the start; None:
        0.1 with X fixed and 0.01 with both free, as published.
    loss : {"published", "squared"}
        |s1 - t1| + |s2 - t2|, or (s1 - t1)^2 + (s2 - t2)^2.
    max_steps : int
    tolerance : float
        A target is reached when |s1 - t1| + |s2 - t2| is at most this, and has stalled when in ``window``
        steps the least of it has not fallen by this.
    window : int
    every : int
        Of the path, every so many steps are returned.
    seed : int
    """

    rate: float | None = None
    loss: Loss = "published"
    max_steps: int = 1000
    tolerance: float = 1e-3
    window: int = 200
    every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate is not None:
            checks.at_least(self.rate, 0, "rate", strict=True)
        checks.one_of(self.loss, get_args(Loss), "loss")
        checks.whole(self.max_steps, 0, "max_steps")
        checks.at_least(self.tolerance, 0, "tolerance")
        for name in ("window", "every"):
            checks.whole(getattr(self, name), 1, name)
        checks.whole(self.seed, 0, "seed")


@dataclass(frozen=True)
class Reached:
    """Where the targets got to.

    Attributes
    ----------
    targets, start, end, closest : array, (T, 2)
        Score pairs: wanted, first, last, and nearest to the target.
    settled : tuple of Settled, (T,)
    steps : array, (T,)
        How many each was pursued for.
    path : array, (S, T, 2)
        At every so many steps, and the last.
    points : array, (N, 2)
        Every score pair on the way.
    """

    targets: FloatArray
    start: FloatArray
    end: FloatArray
    closest: FloatArray
    settled: tuple[Settled, ...]
    steps: FloatArray
    path: FloatArray
    points: FloatArray

    def turned(self) -> Reached:
        """Return the same with the two measures in the other order."""
        pairs = ("targets", "start", "end", "closest", "path", "points")
        return replace(self, **{name: getattr(self, name)[..., ::-1] for name in pairs})


def edges(per_side: int = 6, corner: float | None = 0.99) -> FloatArray:
    """Return targets (4 (per_side - 1), 2) on the edges of the unit square, evenly spaced, once around it.

    Parameters
    ----------
    per_side : int, >= 2
        Targets on each side, its two corners among them.
    corner : float or None
        What takes the place of 1 in the corner (1, 1), where Y would have to be X; None leaves it out.
    """
    checks.whole(per_side, 2, "per_side")
    along = np.linspace(0, 1, per_side)[:-1]
    zero, one = np.zeros_like(along), np.ones_like(along)
    sides = [(along, zero), (one, along), (1 - along, one), (zero, 1 - along)]
    targets: FloatArray = np.concatenate([np.column_stack(side) for side in sides])
    last = (targets == 1).all(axis=1)
    if corner is None:
        targets = targets[~last]
    else:
        targets[last] = corner
    return targets


class _Pull(Stepwise):
    """Adam on the loss of each target, step by step, that can be stopped and resumed."""

    def __init__(
        self, measures: Sequence[Measure], targets: FloatArray, options: SquareOptions, free: list[Tensor]
    ) -> None:
        self.options = options
        self.measures = list(measures)
        self.free = free
        like = free[0]
        self.targets = torch.from_numpy(targets).to(like)
        self._replicates = [[part[t] for part in free] for t in range(len(targets))]
        parameters = [part for replicate in self._replicates for part in replicate]
        self.optimizer = torch.optim.Adam(parameters, lr=self._rate())
        self.step = 0
        self.settled = torch.zeros(len(targets), dtype=torch.int64)
        self.steps = torch.zeros(len(targets), dtype=torch.int64)
        self.least = like.new_full((len(targets),), math.inf)
        self.bar = like.new_full((len(targets),), math.inf)
        self.bar_step = torch.zeros(len(targets), dtype=torch.int64)
        self.closest = like.new_full((len(targets), 2), math.nan)
        self.scores = like.new_full((len(targets), 2), math.nan)
        self._path: list[Tensor] = []

    @abstractmethod
    def _rate(self) -> float: ...

    @abstractmethod
    def _evaluate(self, active: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the scores (A, 2) of the active targets, and the loss's gradients with respect to each."""

    @property
    def done(self) -> bool:
        """Whether every target is settled, or the steps are used up."""
        return self.step > self.options.max_steps or not bool((self.settled == Settled.NO).any())

    def advance(self) -> None:
        """Score the targets that are pursued, freeze those that are settled, and move the others."""
        active = torch.nonzero(self.settled == Settled.NO).flatten()
        scores, gradients = self._evaluate(active)
        self.scores[active] = scores
        self._path.append(self.scores.clone())
        self._settle(active, scores)
        if self.step < self.options.max_steps:
            for at, target in enumerate(active.tolist()):
                if self.settled[target] == Settled.NO:
                    self.steps[target] += 1
                    for part, gradient in zip(self._replicates[target], gradients, strict=True):
                        part.grad = gradient[at].contiguous()
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.step += 1

    def _settle(self, active: Tensor, scores: Tensor) -> None:
        apart = (scores - self.targets[active]).abs().sum(dim=-1)
        nearer = apart < self.least[active]
        self.closest[active] = torch.where(nearer[:, None], scores, self.closest[active])
        self.least[active] = torch.where(nearer, apart, self.least[active])
        fallen = self.least[active] < self.bar[active] - self.options.tolerance
        self.bar[active] = torch.where(fallen, self.least[active], self.bar[active])
        self.bar_step[active] = torch.where(fallen.cpu(), self.step, self.bar_step[active])
        state = torch.where(
            self.step - self.bar_step[active] >= self.options.window, Settled.STALLED, Settled.NO
        )
        state = torch.where((apart <= self.options.tolerance).cpu(), Settled.REACHED, state)
        self.settled[active] = torch.where(apart.isfinite().cpu(), state, Settled.NOT_FINITE)

    def reached(self) -> Reached:
        """Return where the targets are so far."""
        path = torch.stack(self._path).cpu().double().numpy()
        shown = sorted({*range(0, len(path), self.options.every), len(path) - 1})
        points = path.reshape(-1, 2)
        return Reached(
            targets=self.targets.cpu().double().numpy(),
            start=path[0],
            end=path[-1],
            closest=self.closest.cpu().double().numpy(),
            settled=tuple(Settled(value) for value in self.settled.tolist()),
            steps=self.steps.numpy(),
            path=path[shown],
            points=points[np.isfinite(points).all(axis=1)],
        )

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs, to be saved before the next step."""
        kept = {name: getattr(self, name) for name in _KEPT}
        path, optimizer = torch.stack(self._path), self.optimizer.state_dict()
        return {"step": self.step, "free": self.free, "path": path, "optimizer": optimizer, **kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the run where :meth:`state` was taken; targets and options must be the same."""
        self.step = int(state["step"])
        for part, saved in zip(self.free, state["free"], strict=True):
            part.copy_(saved)
        self._path = list(state["path"].to(self.scores))
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _KEPT:
            getattr(self, name).copy_(state[name])

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        apart = scores - targets
        size = apart.abs() if self.options.loss == "published" else apart.square()
        return size.sum()


_KEPT = ("settled", "steps", "least", "bar", "bar_step", "closest", "scores")


class Square(_Pull):
    """X fixed, Y free.

    Parameters
    ----------
    reference : Reference
    measures : pair of Measure
    targets : array, (T, 2)
        Such as :func:`edges`.
    options : SquareOptions
    units : int or None
        Of Y; None: as many as X has.
    fewer_rows : bool
        Whether to compute in the span of X and Y0 where the measures allow it. Adam then meets other entries
        than in samples (its rate is scaled to their size), and takes another way to the same range.

    Raises
    ------
    InputError
        Targets that are no pairs, a number of measures other than two, or a measure without a gradient.
    """

    def __init__(
        self,
        reference: Reference,
        measures: Sequence[Measure],
        targets: FloatArray,
        options: SquareOptions | None = None,
        *,
        units: int | None = None,
        fewer_rows: bool = True,
    ) -> None:
        options = options or SquareOptions()
        targets = _pairs(measures, targets)
        width = reference.responses.shape[-1] if units is None else units
        Y0 = GaussianInit(units=width)([options.seed], reference.samples, width)[0]
        self.space = Space(reference, Y0, measures) if fewer_rows else None
        start = Y0.to(reference.scores)
        self._scale = 1.0
        if self.space is not None and self.space.fewer:
            start, reference = self.space.reduce(Y0), self.space.reference
            self._scale = math.sqrt(len(Y0) / len(start))
        self.bounds = [measure.bind(reference) for measure in measures]
        super().__init__(measures, targets, options, [start.repeat(len(targets), 1, 1)])

    def _rate(self) -> float:
        return self._scale * (0.1 if self.options.rate is None else self.options.rate)

    def _evaluate(self, active: Tensor) -> tuple[Tensor, list[Tensor]]:
        scores: list[Tensor] = []
        gradients: list[Tensor] = []
        for part in parts(self.free[0][: len(active)]):
            rows = active[part]
            moments = Moments(self.bounds[0].reference, self.free[0][rows].requires_grad_())
            both = torch.stack([bound.evaluate(moments) for bound in self.bounds], dim=-1)
            gradients += torch.autograd.grad(self._loss(both, self.targets[rows]), moments.Y)
            scores.append(both.detach())
        return torch.cat(scores), [torch.cat(gradients)]

    def synthetic(self) -> Tensor:
        """Return the Y of the targets, (T, n, q), of all samples."""
        return self.free[0] if self.space is None else self.space.expand(self.free[0])


class SquareOfBoth(_Pull):
    """X and Y free, both small and from normal noise.

    The gradient with respect to X is that of score(Y, X) with respect to its second side: the measures must
    be symmetric. Comparisons of linear kernels are evaluated for all targets at once, others one by one.

    Parameters
    ----------
    measures : pair of Measure
    targets : array, (T, 2)
    options : SquareOptions
    samples, units : int
    dtype : torch.dtype

    Raises
    ------
    InputError
        As :class:`Square`, or a measure that is not symmetric.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        targets: FloatArray,
        options: SquareOptions | None = None,
        *,
        samples: int = 20,
        units: int = 10,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        options = options or SquareOptions()
        targets = _pairs(measures, targets)
        for measure in measures:
            if not measure.facts.symmetric:
                raise InputError(
                    f"{measure.name} is not symmetric, and gives no gradient with respect to X; keep X fixed."
                )
        checks.whole(samples, checks.MIN_SAMPLES, "samples")
        sides = GaussianInit(units=units)([2 * options.seed, 2 * options.seed + 1], samples, units, dtype)
        super().__init__(measures, targets, options, [side.repeat(len(targets), 1, 1) for side in sides])

    def _rate(self) -> float:
        return 0.01 if self.options.rate is None else self.options.rate

    def _evaluate(self, active: Tensor) -> tuple[Tensor, list[Tensor]]:
        kernels = [measure for measure in self.measures if _linear(measure)]
        if len(kernels) == len(self.measures):
            sides = [part[active].requires_grad_() for part in self.free]
            both = _of_both(kernels, *(linalg.centre(side) for side in sides))
            return both.detach(), list(torch.autograd.grad(self._loss(both, self.targets[active]), sides))
        scores: list[Tensor] = []
        gradients: tuple[list[Tensor], list[Tensor]] = ([], [])
        for target in active.tolist():
            x, y = (part[target] for part in self.free)
            for fixed, moving, kept in ((y, x, gradients[0]), (x, y, gradients[1])):
                moments = Moments(Reference.of(fixed), moving.clone()[None].requires_grad_())
                both = torch.stack(
                    [each.prepare(moments.reference)(moments) for each in self.measures], dim=-1
                )
                kept += torch.autograd.grad(self._loss(both, self.targets[target]), moments.Y)
            scores.append(both.detach())
        return torch.cat(scores), [torch.cat(each) for each in gradients]

    def synthetic(self) -> tuple[Tensor, Tensor]:
        """Return the X and the Y of the targets, (T, samples, units) each."""
        return self.free[0], self.free[1]


def _linear(measure: Measure) -> TypeGuard[KernelSimilarity]:
    return (
        isinstance(measure, KernelSimilarity) and measure.kernel == "linear" and measure.estimator == "biased"
    )


def _of_both(measures: Sequence[KernelSimilarity], X: Tensor, Y: Tensor) -> Tensor:
    """Return the scores (A, measures) of centred X (A, n, p) and Y (A, n, q), with gradients for both."""
    cross, own, other = X.mT @ Y, linalg.gram(X), linalg.gram(Y)
    scores = []
    for measure in measures:
        if measure.comparison == "cosine":
            norms = torch.linalg.matrix_norm(own) * torch.linalg.matrix_norm(other)
            score = cross.square().sum(dim=(-2, -1)) / norms
        else:
            norms = torch.linalg.matrix_norm(X) * torch.linalg.matrix_norm(Y)
            score = linalg.nuclear_norm(cross) / norms
        scores.append(forms.apply(measure.form, score))
    return torch.stack(scores, dim=-1)


def _pairs(measures: Sequence[Measure], targets: FloatArray) -> FloatArray:
    if len(measures) != 2:
        raise InputError(f"{len(measures)} measures were given; a square has two.")
    check_measures(measures)
    table = np.asarray(targets, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 2 or not len(table) or not np.isfinite(table).all():
        raise InputError(f"targets of shape {table.shape} are no finite pairs (T, 2) of scores.")
    return table
