"""Steps whose scores are read together, where reading them makes the host wait for an accelerator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simopt import assumed
from simopt.errors import UnrecordedWarning
from simopt.lazy import torch
from simopt.measures.moments import Moments
from simopt.optimization.ending import Ending, StopReason
from simopt.optimization.recorded import Recorder, waits
from simopt.optimization.replicates import Replicates
from simopt.optimization.state import State

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK_BYTES = 2**28
"""What the states between two readings may hold, but for the last one."""


@dataclass(frozen=True)
class _Look:
    """Y (R, n, q) as it is, its scores and moments, the gradients, and whether what was assumed is so."""

    Y: Tensor
    score: Tensor
    moments: Moments
    descent: Sequence[Tensor]
    fact: Tensor | None


@dataclass
class _Unread:
    """A state whose scores are still on the device; its moments, where they are to be shown."""

    step: int
    score: Tensor
    moments: Moments | None
    fact: Tensor | None


class Blocks:
    """Goes through a run by blocks of steps, to the same states as step by step.

    A step in a block goes the way that is the usual one (:mod:`simopt.assumed`). Where that turns out to be
    wrong, the block is gone through again, and from there on every value is looked at.

    Parameters
    ----------
    replicates : Replicates
    ending : Ending
    read_every : int
        Steps of a block.
    recorder : Recorder, optional
        The steps from the second block on are recorded, if none of them looks at a value.
    """

    def __init__(
        self, replicates: Replicates, ending: Ending, read_every: int, recorder: Recorder | None = None
    ) -> None:
        self._replicates = replicates
        self._ending = ending
        self._read_every = read_every
        self._recorder = recorder
        self._bars = ending.bars(replicates.Y)
        self._looks = 0
        self._granted = True
        self._relies = False
        self._start: dict[str, Any] | None = None
        self._recorded: tuple[_Look, Callable[[], None], Callable[[], None]] | None = None
        self._waits: list[str] | None = None

    def advance(
        self, observe: Callable[[State], None], should_stop: Callable[[], bool], every: int
    ) -> StopReason | None:
        """Go on for a block without reading a score, then read them all and show the states one by one.

        A replicate at the target stays where it is, and all of them do where a score is not finite: so the
        run stands at the state that ends it, whatever was computed after. An error counts only if none did.
        """
        replicates = self._replicates
        unread: list[_Unread] = []
        failure: Exception | None = None
        look: _Look | None = None
        self._start = None
        self._record()
        try:
            look = self._compute(unread, every)
        except Exception as error:
            failure = error
        if self._relies and (failure is not None or not _true(unread)):
            return self._again(observe, should_stop, every)
        if failure is not None and not unread:
            raise failure
        values = torch.stack([state.score for state in unread]).tolist()
        for index, (state, row) in enumerate(zip(unread, values, strict=True)):
            stands = failure is None and state is unread[-1]
            reason = self._ending.reason(state.step, row, should_stop if stands else lambda: False)
            if reason is not None:
                replicates.step = state.step
            if reason is StopReason.NOT_FINITE:
                return reason
            if state.step % every == 0 or reason is not None:
                moments = next(later.moments for later in unread[index:] if later.moments is not None)
                ends = reason is not None
                observe(State(state.step, state.score, moments, ends, settled=stands or ends))
            if reason is not None:
                return reason
        if failure is not None:
            raise failure
        assert look is not None
        self._move(look)
        return None

    def _again(
        self, observe: Callable[[State], None], should_stop: Callable[[], bool], every: int
    ) -> StopReason | None:
        """Go through the block once more, with a look at every value."""
        if self._start is not None:
            self._replicates.restore(self._start)
        self._granted = self._relies = False
        self._recorder = self._recorded = None
        return self.advance(observe, should_stop, every)

    def _compute(self, unread: list[_Unread], every: int) -> _Look:
        """Add the states of a block, and return the last one, which no update has left yet."""
        replicates = self._replicates
        end, held = self._end(every), 0
        while True:
            look = self._look()
            self._looks += 1
            if self._relies and self._start is None:
                self._start = _copied(replicates.state())
            shown = replicates.step % every == 0
            held += _nbytes(look.moments) if shown else 0
            ends = replicates.step >= end or held > _BLOCK_BYTES
            if unread and unread[-1].step % every:
                unread[-1].moments = None
            unread.append(self._keep(look, shown or ends))
            if ends:
                return look
            self._move(look)
            replicates.step += 1
            del look  # none of it is needed beside the next state

    def _end(self, every: int) -> int:
        """Return the last step of this block: one to be shown, so that observers see where the run stands.

        The first look may make what is kept of X: with a look at every value, in a block of its own.
        """
        step = self._replicates.step
        if self._looks == 0:
            return step
        end = min(step + self._read_every - 1, self._ending.max_steps)
        shown = end - end % every
        return shown if step <= shown else end

    def _look(self) -> _Look:
        if self._recorded is not None:
            look, replay, _ = self._recorded
            replay()
            return look
        if self._recorder is not None and self._looks == 1:
            look, self._waits = waits(self._evaluate)
            return look
        return self._evaluate()

    def _evaluate(self) -> _Look:
        replicates = self._replicates
        Y = replicates.Y.clone()
        if not self._granted or self._looks == 0:
            return _Look(Y, *self._differentiate(Y), None)
        with assumed.for_granted() as facts:
            try:
                found = self._differentiate(Y)
            finally:
                self._relies |= bool(facts)
        return _Look(Y, *found, torch.stack(facts).all() if facts else None)

    def _differentiate(self, Y: Tensor) -> tuple[Tensor, Moments, list[Tensor]]:
        replicates = self._replicates
        parts = [replicates.evaluate(part) for part in replicates.parts(Y)]
        score = torch.cat([score.detach() for _, score in parts])
        moments = Moments.joined([moments.detached() for moments, _ in parts], Y)
        descent: list[Tensor] = []
        if replicates.step < self._ending.max_steps:
            descent = [each for part in parts for each in replicates.gradient(*part).unbind()]
        return score, moments, descent

    def _move(self, look: _Look) -> None:
        """Update the replicates that go on: those below their targets, if all scores are finite."""
        if self._recorded is not None:
            self._recorded[2]()
        else:
            self._update(look)

    def _update(self, look: _Look) -> None:
        replicates = self._replicates
        replicates.update(look.descent)
        going_on = (replicates.sign * look.score < self._bars) & look.score.isfinite().all()
        torch.where(going_on[:, None, None], replicates.Y, look.Y, out=replicates.Y)

    def _keep(self, look: _Look, moments: bool) -> _Unread:
        """Return what of a state is read later: copies where the next one goes to the same memory."""
        step = self._replicates.step
        if self._recorded is None:
            return _Unread(step, look.score, look.moments, look.fact)
        kept = look.moments.copied() if moments else None
        return _Unread(step, look.score.clone(), kept, None if look.fact is None else look.fact.clone())

    def _record(self) -> None:
        """Record a look and a move, once every optimiser has made its first step and none of it waits."""
        if self._recorder is None or self._recorded is not None or self._waits is None:
            return
        if self._waits:
            warnings.warn(
                f"{self._replicates.bound.measure.name}: a step waits for values ({', '.join(self._waits)}), "
                "so it is not recorded.",
                UnrecordedWarning,
                stacklevel=2,
            )
            self._recorder = None
            return
        replay, look = self._recorder.record(self._evaluate)
        move, _ = self._recorder.record(lambda: self._update(look))
        self._recorded = look, replay, move


def _true(unread: Sequence[_Unread]) -> bool:
    """Whether all that was assumed for these states is so: one reading."""
    facts = [state.fact for state in unread if state.fact is not None]
    return not facts or bool(torch.stack(facts).all())


def _copied(state: Any) -> Any:
    return torch.utils._pytree.tree_map(
        lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, state
    )


def _nbytes(moments: Moments) -> int:
    """Return the memory that moments hold."""
    fields = [field if isinstance(field, tuple) else (field,) for field in vars(moments).values()]
    return sum(part.nbytes for field in fields for part in field if isinstance(part, torch.Tensor))
