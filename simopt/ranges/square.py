"""The published way to a joint range: each target on the edges of the unit square pulls a Y of its own.

Y of all targets start at the same noise and follow the gradient of |s1 - t1| + |s2 - t2|, here as one batch.
A target that is reached, or whose loss has stopped falling, is frozen while the others go on.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import Measure, Moments, Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.span import Span, parts, rows_suffice
from simopt.ranges.boundary import check_measures
from simopt.ranges.stepwise import Stepwise
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
    rate : float
        Adam's learning rate, an entry of Y with all samples having standard deviation 1 at the start; 0.1 as
        published.
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

    rate: float = 0.1
    loss: Loss = "published"
    max_steps: int = 1000
    tolerance: float = 1e-3
    window: int = 200
    every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
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


def edges(per_side: int = 6) -> FloatArray:
    """Return targets (4 (per_side - 1), 2) on the edges of the unit square, evenly spaced, once around it.

    At the corner (1, 1) Y would have to be X: the target there is (0.99, 0.99).

    Parameters
    ----------
    per_side : int, >= 2
        Targets on each side, its two corners among them.
    """
    checks.whole(per_side, 2, "per_side")
    along = np.linspace(0, 1, per_side)[:-1]
    zero, one = np.zeros_like(along), np.ones_like(along)
    sides = [(along, zero), (one, along), (1 - along, one), (zero, 1 - along)]
    targets: FloatArray = np.concatenate([np.column_stack(side) for side in sides])
    targets[(targets == 1).all(axis=1)] = 0.99
    return targets


class Square(Stepwise):
    """Adam on the loss of each target, X fixed and Y free, that can be stopped and resumed.

    In fewer rows than samples Adam meets other entries than in samples. Its rate is scaled to their size, and
    it takes another way to the same range.

    Parameters
    ----------
    reference : Reference
    a, b : Measure
    targets : array, (T, 2)
        Scores of a and b, such as :func:`edges`.
    options : SquareOptions
    units : int or None
        Of Y; None: as many as X has.

    Attributes
    ----------
    Y : Tensor, (T, rows, units)
        Of each target, in the rows of ``span``.
    span : Span

    Raises
    ------
    InputError
        Targets that are no pairs, or a measure without a gradient.
    """

    _STATE = ("step", "Y", "settled", "steps", "least", "bar", "bar_step", "closest", "scores")

    def __init__(
        self,
        reference: Reference,
        a: Measure,
        b: Measure,
        targets: FloatArray,
        options: SquareOptions | None = None,
        *,
        units: int | None = None,
    ) -> None:
        self.options = options or SquareOptions()
        measures = [a, b]
        check_measures(measures)
        targets = _pairs(targets)
        units = reference.responses.shape[-1] if units is None else units
        Y0 = GaussianInit()([self.options.seed], reference.samples, units)[0]
        self.span = Span(reference, Y0, rows_suffice(reference, units, measures))
        self.bound_measures = [measure.bind(self.span.reference) for measure in measures]
        self.Y = self.span.reduce(Y0).repeat(len(targets), 1, 1)
        self.targets = torch.from_numpy(targets).to(self.Y)
        self._parameters = list(self.Y)  # views: Adam leaves those without a gradient as they are
        # In fewer rows Y0 keeps its sum of squares, so that its entries are larger.
        scale = math.sqrt(reference.samples / self.Y.shape[1])
        self.optimizer = torch.optim.Adam(self._parameters, lr=scale * self.options.rate)
        self.step = 0
        count = len(targets)
        # Stalled: ``least`` has not fallen below ``bar`` by the tolerance since ``bar_step``.
        self.settled, self.steps, self.bar_step = torch.zeros(3, count, dtype=torch.int64)
        self.least, self.bar = self.Y.new_full((2, count), math.inf)
        self.closest, self.scores = self.Y.new_full((2, count, 2), math.nan)
        self._path: list[Tensor] = []

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
            for target, gradient in zip(active.tolist(), gradients, strict=True):
                if self.settled[target] == Settled.NO:
                    self.steps[target] += 1
                    self._parameters[target].grad = gradient.contiguous()
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.step += 1

    def _evaluate(self, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (A, 2) of the active targets, and the gradients of their losses, (A, rows, q)."""
        scores: list[Tensor] = []
        gradients: list[Tensor] = []
        for part in parts(self.Y[: len(active)]):
            rows = active[part]
            moments = Moments(self.span.reference, self.Y[rows].requires_grad_())
            both = torch.stack([bound.evaluate(moments) for bound in self.bound_measures], dim=-1)
            apart = both - self.targets[rows]
            loss = apart.abs() if self.options.loss == "published" else apart.square()
            gradients += torch.autograd.grad(loss.sum(), moments.Y)
            scores.append(both.detach())
        return torch.cat(scores), torch.cat(gradients)

    def _settle(self, active: Tensor, scores: Tensor) -> None:
        apart = (scores - self.targets[active]).abs().sum(dim=-1)
        nearer = apart < self.least[active]
        self.closest[active] = torch.where(nearer[:, None], scores, self.closest[active])
        self.least[active] = torch.where(nearer, apart, self.least[active])
        fallen = self.least[active] < self.bar[active] - self.options.tolerance
        self.bar[active] = torch.where(fallen, self.least[active], self.bar[active])
        self.bar_step[active] = torch.where(fallen.cpu(), self.step, self.bar_step[active])
        stalled = self.step - self.bar_step[active] >= self.options.window
        state = torch.where(stalled, Settled.STALLED, Settled.NO)
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
        """Return all that resuming needs, with Adam's state and the scores of all steps."""
        return super().state() | {"path": torch.stack(self._path), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the run where :meth:`state` was taken; targets and options must be the same."""
        super().restore(state)
        self._path = list(state["path"].to(self.scores))
        self.optimizer.load_state_dict(state["optimizer"])


def _pairs(targets: FloatArray) -> FloatArray:
    table = np.asarray(targets, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 2 or not len(table) or not np.isfinite(table).all():
        raise InputError(f"targets of shape {table.shape} are no finite pairs (T, 2) of scores.")
    return table
