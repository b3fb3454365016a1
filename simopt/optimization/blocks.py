"""Steps whose scores are read together, where reading them makes the host wait for an accelerator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from simopt import assumed
from simopt.errors import UnrecordedWarning
from simopt.measures.moments import Moments
from simopt.optimization.ending import Ending, StopReason
from simopt.optimization.recorded import StepRecorder, waits
from simopt.optimization.replicates import Replicates
from simopt.optimization.state import State

if TYPE_CHECKING:
    from simopt.optimization.state import Functions

_BLOCK_BYTES = 2**28
"""What the states between two readings may hold, but for the last one."""


@dataclass(frozen=True)
class _Look:
    """Y (R, n, q) as it is, its scores and moments, the gradients, and what observers will ask for.

    ``fact`` says whether what was assumed for scores and gradients is so, ``known_fact`` for what is known.
    """

    Y: Tensor
    score: Tensor
    moments: Moments
    descent: Sequence[Tensor]
    fact: Tensor | None
    known: dict[Any, Tensor] = field(default_factory=dict)
    known_fact: Tensor | None = None


@dataclass
class _Unread:
    """A state whose scores are still on the device; its moments, where they are to be shown."""

    step: int
    score: Tensor
    moments: Moments | None
    fact: Tensor | None
    known: dict[Any, Tensor]
    known_fact: Tensor | None


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
    recorder : StepRecorder, optional
        The steps from the third block on are recorded, if those of the second look at no value.
    ahead : mapping
        Functions of the moments that observers ask every state for: computed with the step, and read with the
        scores.
    """

    def __init__(
        self,
        replicates: Replicates,
        ending: Ending,
        read_every: int,
        recorder: StepRecorder | None = None,
        ahead: Functions = MappingProxyType({}),
    ) -> None:
        self._replicates = replicates
        self._ending = ending
        self._read_every = read_every
        self._recorder = recorder
        self._ahead = ahead
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
        self._record(every)
        try:
            look = self._compute(unread, every)
        except Exception as error:
            failure = error
        if self._relies and (failure is not None or not all(_true([state.fact for state in unread]))):
            return self._again(observe, should_stop, every)
        if failure is not None and not unread:
            raise failure
        scores = torch.stack([state.score for state in unread]).cpu()
        self._read_known(unread)
        values = scores.tolist()
        for index, (state, score) in enumerate(zip(unread, scores, strict=True)):
            stands = failure is None and state is unread[-1]
            reason = self._ending.reason(state.step, values[index], should_stop if stands else lambda: False)
            if reason is not None:
                replicates.step = state.step
            if reason is StopReason.NOT_FINITE:
                return reason
            if state.step % every == 0 or reason is not None:
                moments = next(later.moments for later in unread[index:] if later.moments is not None)
                ends = reason is not None
                observe(State(state.step, score, moments, ends, stands or ends, state.known))
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

    def _read_known(self, unread: Sequence[_Unread]) -> None:
        """Read what is known of the states, each function at once; forget it where a look is needed."""
        facts = _true([state.known_fact for state in unread])
        if not all(facts):
            self._ahead, self._recorded = {}, None
        for state, fact in zip(unread, facts, strict=True):
            if not fact:
                state.known = {}
        knowing = [state for state in unread if state.known]
        for name in knowing[0].known if knowing else ():
            values = torch.stack([state.known[name] for state in knowing]).cpu()
            for state, value in zip(knowing, values, strict=True):
                state.known[name] = value

    def _compute(self, unread: list[_Unread], every: int) -> _Look:
        """Add the states of a block, and return the last one, which no update has left yet."""
        replicates = self._replicates
        end, held = self._end(every), 0
        while True:
            shown = replicates.step % every == 0
            look = self._look(shown)
            self._looks += 1
            if self._relies and self._start is None:
                self._start = _copied(replicates.state())
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

    def _look(self, shown: bool) -> _Look:
        if self._recorded is not None:
            look, replay, _ = self._recorded
            replay()
            return look
        if self._recorder is not None and self._looks == 1:
            self._rehearse()
        return self._knowing(self._evaluate()) if shown else self._evaluate()

    def _rehearse(self) -> None:
        """Find out what in a look makes the host wait, and do without what observers ask for if that does."""
        look, self._waits = waits(self._evaluate)
        if waits(lambda: self._knowing(look))[1]:
            self._ahead = {}

    def _evaluate(self) -> _Look:
        replicates = self._replicates
        Y = replicates.Y.clone()
        if not self._granted or self._looks == 0:
            return _Look(Y, *self._differentiate(Y), None)
        with assumed.for_granted() as facts:
            try:
                score, moments, descent = self._differentiate(Y)
            finally:
                self._relies |= bool(facts)
        return _Look(Y, score, moments, descent, _together(facts))

    def _knowing(self, look: _Look) -> _Look:
        """Return a look with what observers will ask for."""
        if not self._granted or not self._ahead or self._looks == 0:
            return look
        try:
            with assumed.for_granted() as facts:
                known = {name: function(look.moments) for name, function in self._ahead.items()}
        except Exception:
            # It fails again, and says why, where the state is shown: if the run gets so far.
            self._ahead = {}
            return look
        return replace(look, known=known, known_fact=_together(facts))

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
            return _Unread(step, look.score, look.moments, look.fact, look.known, look.known_fact)
        kept = look.moments.copied() if moments else None
        rest = _copied((look.fact, look.known, look.known_fact))
        return _Unread(step, look.score.clone(), kept, *rest)

    def _record(self, every: int) -> None:
        """Record a look and a move, once every optimiser has made its first step and none of it waits.

        What observers ask for is in it where they are shown every state.
        """
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
        replay, look = self._recorder.record(
            lambda: self._knowing(self._evaluate()) if every == 1 else self._evaluate()
        )
        move, _ = self._recorder.record(lambda: self._update(look))
        self._recorded = look, replay, move


def _together(facts: Sequence[Tensor]) -> Tensor | None:
    return torch.stack(list(facts)).all() if facts else None


def _true(facts: Sequence[Tensor | None]) -> list[bool]:
    """Read facts, all at once; None, that nothing was assumed, is true."""
    some = [fact for fact in facts if fact is not None]
    read = iter(torch.stack(some).tolist() if some else ())
    return [fact is None or next(read) for fact in facts]


def _copied(tree: Any) -> Any:
    return torch.utils._pytree.tree_map(
        lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, tree
    )


def _nbytes(moments: Moments) -> int:
    """Return the memory that moments hold."""
    fields = [field if isinstance(field, tuple) else (field,) for field in vars(moments).values()]
    return sum(part.nbytes for field in fields for part in field if isinstance(part, torch.Tensor))
