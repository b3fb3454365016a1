"""Two ways from one state of a run to the next: the scores are read at each step, or every k steps.

To read a score makes the host wait for an accelerator. Both ways yield the same states, on a CPU to the bit.
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
"""What the moments of states whose scores are not read yet may hold, but for those of the last one."""


def each_step(replicates: Replicates, max_steps: int) -> Iterator[State]:
    """Yield the states one by one; a replicate at its target gets no gradient and stays where it is."""
    below = [True] * len(replicates.Y)
    while True:
        moving = [replicates.step < max_steps and open_ for open_ in below]
        at = replicates.evaluate(replicates.Y, moving)
        score = at.score.cpu()
        below = replicates.below(score).tolist()
        yield State(at.step, score, at.moments)
        gradients = [gradient if open_ else None for gradient, open_ in zip(at.gradients, below, strict=True)]
        del at  # its moments are not needed beside those of the next state
        replicates.update(gradients)
        del gradients


@dataclass
class _Unread:
    """A state whose scores are still on the device; its moments only if they may be shown."""

    step: int
    score: Tensor
    moments: Moments | None


def every_kth_step(replicates: Replicates, max_steps: int, k: int, every: int) -> Iterator[State]:
    """Evaluate k states without reading a score, then read all scores and yield the states one by one.

    A replicate at its target is kept as it is, and all of them are where a score is not finite. So the run
    stands at the state that ends it, whatever was computed after. An error is raised after the states before
    it, and therefore only if none of them ended the run.

    Parameters
    ----------
    replicates : Replicates
    max_steps : int
    k : int
    every : int
        The caller shows the states whose step this divides. A block of k steps that has one ends with one,
        so that an observer sees a settled state.
    """
    while True:
        block: list[_Unread] = []
        error: Exception | None = None
        try:
            last = _evaluate_block(block, replicates, max_steps, k, every)
        except Exception as raised:
            error = raised
        if block:
            yield from _read(block, settled=error is None)
        if error is not None:
            raise error
        _move(replicates, last)
        del block, last  # their moments are not needed beside those of the next block


def _evaluate_block(
    block: list[_Unread], replicates: Replicates, max_steps: int, k: int, every: int
) -> Evaluation:
    """Add the next k states to a block, and return the last one, which no update has left yet."""
    end = min(replicates.step + k - 1, max_steps)
    shown = end - end % every
    end = shown if replicates.step <= shown else end
    held = 0
    while True:
        at = replicates.evaluate(replicates.Y.clone(), [replicates.step < max_steps] * len(replicates.Y))
        if block and block[-1].step % every:
            block[-1].moments = None
        block.append(_Unread(at.step, at.score, at.moments))
        if at.step % every == 0:
            held += at.moments.nbytes
        if at.step >= end or held > _BLOCK_BYTES:
            return at
        _move(replicates, at)
        del at  # its gradients are not needed beside the next state


def _move(replicates: Replicates, at: Evaluation) -> None:
    """Update the replicates that are below their targets, if all scores are finite; read no value."""
    replicates.update(at.gradients)
    going_on = replicates.below(at.score) & at.score.isfinite().all()
    torch.where(going_on[:, None, None], replicates.Y, at.moments.Y, out=replicates.Y)


def _read(block: list[_Unread], *, settled: bool) -> Iterator[State]:
    """Read the scores of a block at once, and yield its states; the replicates may stand at the last one."""
    scores = torch.stack([state.score for state in block]).cpu()
    for i, (state, score) in enumerate(zip(block, scores, strict=True)):
        # Moments that were dropped are needed only where the run ends: nothing has moved since.
        moments = next(later.moments for later in block[i:] if later.moments is not None)
        yield State(state.step, score, moments, settled=settled and state is block[-1])
