"""Two ways to step through a run: read the scores at every step, or only every k steps.

Reading a score on an accelerator is a host synchronization: the host waits until all queued work is done.
Both ways yield the same states, on a CPU to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from simopt.measures.moments import Moments
from simopt.optimization.replicates import Evaluation, Replicates
from simopt.optimization.state import State

_BLOCK_BYTES = 2**28
"""Memory (256 MB) for the moments that a block of steps keeps until its scores are read. A block that needs
more ends early. Its last state does not count, since the update needs it anyway."""


def each_step(replicates: Replicates, max_steps: int) -> Iterator[State]:
    """Yield the states of a run one by one, and read the scores of each.

    A replicate that has reached its target gets no gradient, so its Y does not change.
    """
    below = [True] * len(replicates.Y)
    while True:
        # A gradient is needed only for replicates below their targets, and not at the state that ends the
        # run.
        moving = [replicates.step < max_steps and open_ for open_ in below]
        at = replicates.evaluate(replicates.Y, moving)
        score = at.score.cpu()
        # Whether the target is reached at this very state is known only after the evaluation.
        below = replicates.below(score).tolist()
        yield State(at.step, score, at.moments)
        gradients = [gradient if open_ else None for gradient, open_ in zip(at.gradients, below, strict=True)]
        del at  # free its moments before those of the next state are computed
        replicates.update(gradients)
        del gradients


@dataclass
class _Unread:
    """A state whose scores are still on the device; without moments if no observer will see it."""

    step: int
    score: Tensor
    moments: Moments | None


def every_kth_step(replicates: Replicates, max_steps: int, k: int, every: int) -> Iterator[State]:
    """Evaluate a block of k states without reading a score, then read their scores and yield the states.

    The device itself keeps a replicate unchanged that has reached its target, and all replicates once a score
    is not finite. Y therefore stays at the state that ends the run, even if later steps were computed.

    An error in step s is raised after the states before s have been yielded, and only if no state before s
    ended the run.

    Parameters
    ----------
    replicates : Replicates
        The synthetic datasets and their optimizers.
    max_steps : int
        Largest number of updates.
    k : int
        Number of steps between two readings of the scores.
    every : int
        Observers see the states whose step is a multiple of this number. A block that contains such a state
        ends with one of them, because a run can be saved only at the last state of a block.
    """
    while True:
        block: list[_Unread] = []
        error: Exception | None = None
        try:
            last = _evaluate_block(block, replicates, max_steps, k, every)
        except Exception as raised:
            error = raised
        if block:
            # The consumer stops iterating at the state that ends the run; the lines below then never run.
            yield from _read(block, settled=error is None)
        if error is not None:
            raise error
        _move(replicates, last)
        del block, last  # free their moments before those of the next block are computed


def _evaluate_block(
    block: list[_Unread], replicates: Replicates, max_steps: int, k: int, every: int
) -> Evaluation:
    """Append the next k states to a block, and return the last one; no update has been made after it."""
    end = min(replicates.step + k - 1, max_steps)
    shown = end - end % every  # the last step up to ``end`` that observers see
    end = shown if replicates.step <= shown else end
    held = 0
    while True:
        # A copy of Y: the update below changes Y in place, and the moments of this state refer to the copy.
        at = replicates.evaluate(replicates.Y.clone(), [replicates.step < max_steps] * len(replicates.Y))
        if block and block[-1].step % every:
            block[-1].moments = None
        block.append(_Unread(at.step, at.score, at.moments))
        if at.step % every == 0:
            held += at.moments.nbytes
        if at.step >= end or held > _BLOCK_BYTES:
            return at
        _move(replicates, at)
        del at  # free its gradients before the next state is computed


def _move(replicates: Replicates, at: Evaluation) -> None:
    """Update the replicates that are below their targets, if all scores are finite, without a host sync."""
    # Update all replicates, then put back those that must not move: a choice by ``if`` would read the scores.
    replicates.update(at.gradients)
    moving = replicates.below(at.score) & at.score.isfinite().all()  # (R,)
    torch.where(moving[:, None, None], replicates.Y, at.moments.Y, out=replicates.Y)


def _read(block: list[_Unread], *, settled: bool) -> Iterator[State]:
    """Read the scores of a block in one transfer, and yield its states; only the last one may be settled."""
    scores = torch.stack([state.score for state in block]).cpu()  # (states, R)
    for i, (state, score) in enumerate(zip(block, scores, strict=True)):
        # A state without moments is looked at only if it ends the run. All replicates are then frozen, so the
        # next state that has moments has the same Y.
        moments = next(later.moments for later in block[i:] if later.moments is not None)
        yield State(state.step, score, moments, settled=settled and state is block[-1])
