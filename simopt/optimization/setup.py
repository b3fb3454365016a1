"""Checks of the options of a run, and preparation of its first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from simopt import checks
from simopt.errors import DegenerateWarning, InputError, warn
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit, start
from simopt.optimization.loop import Ascent
from simopt.optimization.optimizers import probe
from simopt.optimization.span import Span, fewer
from simopt.typing import OptimizerFactory


def prepare(
    reference: Reference,
    measure: Measure,
    init: GaussianInit,
    optimizer: OptimizerFactory,
    *,
    seeds: Sequence[int],
    target: float,
    max_steps: int,
    tracked: Iterable[Measure] = (),
) -> Ascent:
    """Return the optimization of a measure at step 0.

    If a Y with fewer rows than samples gives the same run, that Y is optimized (see
    :class:`simopt.optimization.span.Span`).

    Parameters
    ----------
    reference : Reference
        The recording, on the device and in the dtype of the run.
    measure : Measure
        The measure whose score is optimized.
    init : callable
        Makes Y0 from seeds, the numbers of samples and of units of the recording, and a dtype, like
        :class:`simopt.optimization.init.GaussianInit`.
    optimizer : callable
        Makes a torch optimizer from a list of parameters.
    seeds : sequence of int, length R
        One seed for each replicate.
    target : float
        Score at which a replicate stops.
    max_steps : int
        Largest number of updates.
    tracked : iterable of Measure
        Measures that are evaluated along the run but not optimized. Fewer rows are used only if they do not
        change these scores either.

    Raises
    ------
    InputError
        :func:`check` refuses an option, a user's measure returned a score without a gradient, or a user's
        init returned an invalid Y0.

    Warns
    -----
    DegenerateWarning
        The measure gives nearly the same score to all datasets of this shape.
    """
    check(measure, optimizer, seeds=seeds, target=target, max_steps=max_steps)
    Y0 = start(init, seeds, reference.samples, reference.responses.shape[-1], reference.scores.dtype)
    weakness = measure.degenerate(reference, Y0[0])
    if weakness is not None:
        warn(f"{measure.name}: {weakness}", DegenerateWarning)
    rows = Span(reference, Y0) if fewer(reference, Y0, (measure, *tracked), optimizer) else None
    if rows is not None:
        reference, Y0 = rows.reference, rows.reduce(Y0)
    ascent = Ascent(measure.bind(reference), Y0, optimizer, float(target), max_steps, rows)
    # A user's function may detach its input. One evaluation of one replicate finds out before the run starts.
    if not ascent.bound(ascent.Y[:1].detach().requires_grad_()).requires_grad:
        raise InputError(f"{measure.name} returned no gradient, so it can only be tracked; use track=[...].")
    return ascent


def check(
    measure: Measure, optimizer: OptimizerFactory, *, seeds: Sequence[int], target: float, max_steps: int
) -> None:
    """Check all options of a run that can be checked without data.

    Raises
    ------
    InputError
        A seed, the target or ``max_steps`` is out of range; two seeds are equal; the measure has no gradient;
        or the optimizer refuses its options.
    """
    checks.seeds(seeds)
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds={list(seeds)} has a seed twice, for two equal replicates; give other seeds.")
    checks.whole(max_steps, 0, "max_steps")
    checks.at_least(target, -np.finfo(np.float64).max, "target")
    low, high = measure.facts.low, measure.facts.high
    # A target beyond the other end of the range is allowed: it is reached at step 0.
    beyond = target > high if measure.sign > 0 else target < low
    if beyond:
        raise InputError(
            f"target is {target}, but {measure.name} lies between {low:g} and {high:g}; choose a "
            "score in between."
        )
    if not measure.differentiable:
        raise InputError(f"{measure.name} has no gradient, so it can only be tracked; use track=[...].")
    probe(optimizer)


def not_finite(ascent: Ascent, measure: str) -> str:
    """Return the message for a run whose score became NaN or infinite."""
    return f"{measure}: the score became NaN or infinite at step {ascent.step}; try a smaller optimizer.lr."
