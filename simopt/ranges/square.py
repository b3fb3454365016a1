"""The published search for a joint range: one Y is optimized towards each target on the unit square's edges.

A target (t1, t2) is a pair of scores. The Y of all targets start at the same noise and descend the loss
|s1 - t1| + |s2 - t2|, where s1 and s2 are the scores of Y. All Y run as one batch. When a Y reaches its
target, or its loss has stopped falling, it is frozen while the other Y go on.

References
----------
.. [1] Cloos, N., Li, M., Siegel, M., Brincat, S. L., Miller, E. K., Yang, G. R. & Cueva, C. J. (2025).
   Differentiable optimization of similarity scores between models and brains. arXiv:2407.07059
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.measures import Measure, Moments, Reference
from simopt.optimization import optimizers
from simopt.optimization.init import GaussianInit
from simopt.optimization.span import Span, parts, rows_suffice
from simopt.ranges.boundary import check_measures, finite_pairs
from simopt.ranges.stepwise import Stepwise, same_shape
from simopt.typing import FloatArray

Loss = Literal["published", "squared"]


class Settled(enum.IntEnum):
    """Whether a target is settled, that is, no longer optimized, and why."""

    NO = 0
    REACHED = 1
    STALLED = 2
    NOT_FINITE = 3


@dataclass(frozen=True)
class SquareOptions:
    """The options of the search of targets.

    Parameters
    ----------
    rate : float
        Adam's learning rate. Entries of Y start with standard deviation 1; 0.1 is the published rate.
    loss : {"published", "squared"}
        ``published`` is |s1 - t1| + |s2 - t2|, ``squared`` is (s1 - t1)^2 + (s2 - t2)^2, for scores (s1, s2)
        and the target (t1, t2).
    max_steps : int
        Largest number of steps of each target.
    tolerance : float
        A target is reached when |s1 - t1| + |s2 - t2| is at most the tolerance.
    window : int
        A target has stalled when the smallest |s1 - t1| + |s2 - t2| so far has not fallen by ``tolerance`` in
        this many steps.
    every : int
        Number of steps between two points of the path that is returned.
    seed : int
        Seed of the noise at which the Y of all targets start.
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
        checks.at_least(self.tolerance, 0, "tolerance")
        for name, least in (("max_steps", 0), ("window", 1), ("every", 1), ("seed", 0)):
            checks.whole(getattr(self, name), least, name)


@dataclass(frozen=True)
class Reached:
    """The scores that were reached for each target.

    Attributes
    ----------
    targets, start, end, closest : array, (T, 2)
        For each target: the target itself, and the first, the last and the nearest score pair of its Y.
    settled : tuple of Settled, (T,)
        Whether each target is settled, and why.
    steps : array, (T,)
        Number of steps that each target took.
    path : array, (S, T, 2)
        Score pairs every ``SquareOptions.every`` steps, and at the last step.
    points : array, (N, 2)
        All finite score pairs of all targets at all steps.
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
        """Return the same result with the two measures exchanged."""
        pairs = ("targets", "start", "end", "closest", "path", "points")
        return replace(self, **{name: getattr(self, name)[..., ::-1] for name in pairs})


def edges(per_side: int = 6) -> FloatArray:
    """Return 4 (per_side - 1) targets, evenly spaced along the edges of the unit square, as rows (t1, t2).

    The target at the corner (1, 1) is moved to (0.99, 0.99), because only Y = X, up to transformations that
    the measures ignore, reaches the corner.

    Parameters
    ----------
    per_side : int, >= 2
        Number of targets on each side, both corners included.
    """
    checks.whole(per_side, 2, "per_side")
    # Each side without its last corner, which is the first one of the next side.
    along = np.linspace(0, 1, per_side)[:-1]
    zero, one = np.zeros_like(along), np.ones_like(along)
    sides = [(along, zero), (one, along), (1 - along, one), (zero, 1 - along)]
    targets: FloatArray = np.concatenate([np.column_stack(side) for side in sides])
    targets[(targets == 1).all(axis=1)] = 0.99
    return targets


class Square(Stepwise):
    """A search that optimizes one Y towards each target with Adam, and can be stopped and resumed.

    The path of Adam depends on the coordinates of Y. If Y is stored in fewer rows than samples, the rate is
    scaled to the size of the entries of Y, and Adam takes another path through the same range.

    Parameters
    ----------
    reference : Reference
        The recording X.
    a, b : Measure
        The two measures.
    targets : array, (T, 2)
        Pairs of scores of a and b, for instance those of :func:`edges`.
    options : SquareOptions
    units : int or None
        Number of units of Y; None: as many as X has.

    Attributes
    ----------
    Y : Tensor, (T, rows, units)
        The Y of each target, in the coordinates of ``span``.
    span : Span
        The space that contains X and all Y of the search.

    Raises
    ------
    InputError
        The targets are not pairs of finite numbers, or a measure has no gradient.
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
        targets = finite_pairs(targets, "targets")
        units = reference.responses.shape[-1] if units is None else units
        Y0 = GaussianInit()([self.options.seed], reference.samples, units)[0]
        self.span = Span(reference, Y0, rows_suffice(reference, units, measures))
        self.bound_measures = [measure.bind(self.span.reference) for measure in measures]
        self.Y = self.span.reduce(Y0).repeat(len(targets), 1, 1)
        self.targets = torch.from_numpy(targets).to(self.Y)
        # One parameter per target, each a view of self.Y. Adam skips a parameter whose gradient is None, so a
        # settled target keeps its Y and its moments.
        self._parameters = list(self.Y)
        # Fewer rows hold the same sum of squares in fewer entries, each larger by this factor. Adam moves
        # every entry by about its rate, whatever the size of the entry.
        scale = math.sqrt(reference.samples / self.Y.shape[1])
        self._adam = partial(torch.optim.Adam, lr=scale * self.options.rate)
        self.optimizer = self._adam(self._parameters)
        self.step = 0
        count = len(targets)
        # For stalling: ``least`` is the smallest distance so far, and ``bar`` its value at ``bar_step``, the
        # last step at which it had fallen by the tolerance.
        self.settled, self.steps, self.bar_step = torch.zeros(3, count, dtype=torch.int64)
        self.least, self.bar = self.Y.new_full((2, count), math.inf)
        self.closest, self.scores = self.Y.new_full((2, count, 2), math.nan)
        self._path: list[Tensor] = []

    @property
    def done(self) -> bool:
        """Whether every target is settled (:class:`Settled`), or all steps are taken."""
        return self.step > self.options.max_steps or not bool((self.settled == Settled.NO).any())

    def advance(self) -> None:
        """Score every Y that is not settled, freeze it if it has settled now, and move it otherwise."""
        active = torch.nonzero(self.settled == Settled.NO).flatten()
        scores, gradients = self._evaluate(active)
        self.scores[active] = scores
        self._path.append(self.scores.clone())
        self._settle(active, scores)
        if self.step < self.options.max_steps:
            for target, gradient in zip(active.tolist(), gradients, strict=True):
                if self.settled[target] == Settled.NO:
                    self.steps[target] += 1
                    # torch 2.13's fused Adam on CPU reads a gradient of another memory layout as if in order.
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
            both = torch.stack([bound.evaluate(moments) for bound in self.bound_measures], dim=-1)  # (A, 2)
            apart = both - self.targets[rows]
            # Targets share no entry of Y: the gradient of the summed loss holds the gradient of each.
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
        # Settled states are on the CPU, as the loop over targets reads them. Later lines take precedence: a
        # target that is reached has not stalled, and one that is not finite is neither.
        stalled = self.step - self.bar_step[active] >= self.options.window
        state = torch.where(stalled, Settled.STALLED, Settled.NO)
        state = torch.where((apart <= self.options.tolerance).cpu(), Settled.REACHED, state)
        self.settled[active] = torch.where(apart.isfinite().cpu(), state, Settled.NOT_FINITE)

    def reached(self) -> Reached:
        """Return the score pairs that each target has reached so far."""
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
        """Return the state of the search, of Adam, and the scores of all steps, for :meth:`restore`."""
        path = torch.stack(self._path) if self._path else self.scores.new_empty(0, *self.scores.shape)
        return super().state() | {"path": path, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved :meth:`state`; data, measures, targets and options must be the same."""
        super().restore(state)
        path = state["path"].to(self.scores)
        same_shape(path, (self.step, *self.scores.shape), "path")
        self._path = list(path)
        optimizers.restore(self.optimizer, state["optimizer"], self._adam)
