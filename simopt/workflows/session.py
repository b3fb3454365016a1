"""The work on one run: its optimization, log, checkpoints and file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simopt.analysis import attribution, ceilings, run_decoding
from simopt.analysis.attribution import Attribution
from simopt.analysis.good_score import good_scores
from simopt.analysis.nulls import UNRELATED, nulls
from simopt.errors import (
    InterruptedRunError,
    LargeResultWarning,
    RunFailedError,
    SimoptError,
    StorageError,
    warn,
)
from simopt.measures import Moments, Reference
from simopt.optimization import device as devices
from simopt.optimization import setup
from simopt.optimization.captured import captured_variance
from simopt.optimization.setup import not_finite
from simopt.optimization.state import State, Thinning
from simopt.optimization.trajectory import StopReason, half_capture, steps_to
from simopt.store import image, layout, reader, shelf
from simopt.store.errors import resuming_errors
from simopt.store.image import Array, Stored
from simopt.store.layout import Entry
from simopt.store.provenance import now
from simopt.store.reader import Run
from simopt.store.state import resumed
from simopt.store.writer import RunLog
from simopt.workflows.data import told_rows
from simopt.workflows.request import ShouldStop
from simopt.workflows.run_request import LEFT_OUT, RunRequest

if TYPE_CHECKING:
    from torch import Tensor

OnState = Callable[[State], None]
"""A function that is called with each logged state of a run."""

_WRITING_SHARE = 20
"""The shortest pause between checkpoints, in units of the time to write one: writing takes at most 5 %."""
_LARGE_BYTES = 10**9
"""A log of more bytes gives a warning: it is kept in memory, and written as a whole at each checkpoint."""


class Session:
    """The work on one run in one process.

    Parameters
    ----------
    request : RunRequest
    observe : callable
        Called with each state.
    should_stop : callable
        Called before each step; True stops the run.
    reference : Reference, optional
        The decomposed recording, if the caller has decomposed it already.

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.
    RunFailedError
        Memory ran out.
    """

    @devices.memory_errors()
    def __init__(
        self,
        request: RunRequest,
        observe: OnState,
        should_stop: ShouldStop,
        reference: Reference | None = None,
    ) -> None:
        self.request = request
        self.observe, self.should_stop, self.stopped = observe, should_stop, False
        device, precision = devices.choose(request.device, request.dtype, tf32=request.tf32)
        self.measure, tracked, factory, start = request.built()
        self.dataset = request.dataset.dataset
        self.decoding = run_decoding.build(request.decoder, self.dataset) if request.decoder else None
        if reference is None:
            reference = Reference.of(
                self.dataset.samples(), dtype=precision, device=device, rows=told_rows(self.dataset)
            )
        self.reference = reference.to(precision, device)
        self.ascent = setup.prepare(
            self.reference,
            self.measure,
            start,
            factory,
            seeds=request.seeds,
            target=request.target,
            max_steps=request.max_steps,
            tracked=tracked.values(),
        )
        self.values: dict[Entry, Callable[[Moments], Tensor]] = {layout.CAPTURED_VARIANCE: captured_variance}
        for name, measure in tracked.items():
            self.values[layout.tracked(name)] = measure.bind(self.ascent.bound.reference).evaluate
        self.pause = request.log.checkpoint_seconds
        self.seconds_before = 0.0

    @devices.memory_errors()
    def run(self, before: Stored | None) -> Run:
        """Carry out the run, from the checkpoint ``before`` if there is one, otherwise from the start."""
        request = self.request
        self.started = self.saved = time.monotonic()
        attributes = self._attributes()
        if before is not None:
            with resuming_errors(request.path):
                self.ascent.restore(resumed(before))
                if self.decoding is not None:
                    self.decoding.restore(reader.of(before, request.path))
            # The file says when the run was first started, and for how long all its processes worked.
            first = {name: before.attributes[name] for name in ("created", "wall_seconds")}
            self.seconds_before = float(first["wall_seconds"])
            attributes |= first
        ratio = self.reference.variance_ratio.cpu().numpy()
        self.log = RunLog(attributes, ratio, request.track, before)
        self._warn_if_large()
        # Thinning goes on from the last logged score, so a resumed run logs what an uninterrupted one does.
        scores = self.log.logged(layout.SCORE)
        self.thinning = Thinning(request.log.score_step, scores[-1] if len(scores) else None)
        self.unwritten = before is None
        if before is not None:
            # It is running again: the status of the checkpoint may be interrupted or failed.
            running = {"status": layout.RUNNING, "stop_reason": "", "finished": ""}
            self._write(replace(before, attributes={**before.attributes, **running}))
        try:
            with devices.memory_errors(), devices.matrix_products(tf32=request.tf32):
                reason = self.ascent.run(self._observe, should_stop=self._stop, every=request.log.every)
                stored = self._concluded(reason)
        except Exception as error:
            self._fail(error)
            raise
        if reason is StopReason.INTERRUPTED:
            raise InterruptedRunError(
                f"{request.path or self.measure.name}: interrupted at step {self.ascent.step}; "
                "rerun the same command to resume."
            )
        return replace(reader.of(stored, request.path), content=stored)

    def _attributes(self) -> dict[str, Any]:
        return {
            "schema": layout.SCHEMA,
            "status": layout.RUNNING,
            "stop_reason": "",
            "measure": self.measure.name,
            "sign": self.measure.sign,
            "seeds": np.array(self.request.seeds, dtype=np.int64),
            "finished": "",
            "wall_seconds": 0.0,
            "device": str(self.reference.scores.device),
            "dtype": self.request.dtype,
            **self.request.about(),
        }

    def _warn_if_large(self) -> None:
        log = self.request.log
        size = self.log.row_bytes * (1 + self.request.max_steps // log.every)
        if size > _LARGE_BYTES and not log.score_step:
            warn(
                f"the log of this run will take up to {size / 1e9:.1f} GB of memory; log less with "
                "log.every=10, log.score_step=0.01, or fewer seeds.",
                LargeResultWarning,
            )

    def _stop(self) -> bool:
        self.stopped = self.should_stop()
        if self.unwritten:
            # Not before the first call: a command that has asked once has its signal handlers in place, so an
            # interrupt from here on waits for the end of a step and finds a file to finish.
            self._write(self._stored({}))
        return self.stopped

    def _observe(self, state: State) -> None:
        # Before this state is logged, because a run that resumes from the checkpoint begins with it. Only if
        # the optimizer stands at this state (settled), and not for the last one, whose file follows at once.
        due = time.monotonic() - self.saved >= self.pause
        if due and state.settled and not state.last and self.request.path is not None:
            self._checkpoint(layout.RUNNING)
        self.observe(state)
        if self.stopped:
            return  # the resumed run starts with this state, and logs it then
        if not self.thinning.keeps(state):
            return
        row: dict[Entry, Any] = {layout.STEP: state.step, layout.SCORE: state.score.cpu().numpy()}
        for entry, function in self.values.items():
            row[entry] = function(state.moments).cpu().numpy()
        self.log.append(row)
        if self.decoding is not None:
            self.decoding.observe(state, self.ascent.synthetic(state.moments.Y))

    def _checkpoint(self, status: str, **attributes: Any) -> Stored:
        """Replace the file by the present log and optimizer state, from which the run can be resumed."""
        begun = time.monotonic()
        stored = self._write(self._stored({}, self.ascent.state(), status=status, **attributes))
        self.saved = time.monotonic()
        self.pause = max(self.request.log.checkpoint_seconds, _WRITING_SHARE * (self.saved - begun))
        return stored

    def _write(self, stored: Stored) -> Stored:
        self.unwritten = False
        if self.request.path is not None:
            image.write(self.request.path, stored)
        return stored

    def _stored(
        self, results: Mapping[str, Array], state: Mapping[str, Any] | None = None, **attributes: Any
    ) -> Stored:
        """Return the content of the file as of now: all rows of the log, and what was decoded."""
        decoded = {} if self.decoding is None else self.decoding.results()
        seconds = self.seconds_before + time.monotonic() - self.started
        return self.log.stored({"wall_seconds": seconds, **attributes}, {**decoded, **results}, state)

    def _concluded(self, reason: StopReason) -> Stored:
        if reason is StopReason.NOT_FINITE:
            raise RunFailedError(not_finite(self.ascent, self.measure.name))
        end = {"stop_reason": reason.value, "finished": now()}
        if reason is StopReason.INTERRUPTED:
            return self._checkpoint(layout.INTERRUPTED, **end)
        return self._write(self._stored(self._results(), status=layout.FINISHED, **end))

    def _fail(self, error: Exception) -> None:
        """Write a file that says that the run failed, with the last checkpoint if that can be resumed."""
        path = self.request.path
        if path is None:
            return
        reason = str(error) if isinstance(error, SimoptError) else f"{type(error).__name__}: {error}"
        failed = self._stored({}, status=layout.FAILED, stop_reason=reason, finished=now())
        # The checkpoint is kept if another try may succeed, as after a full memory or disk. A score that is
        # NaN would be NaN again: that error has no cause, unlike the one that wraps an error of memory.
        diverged = isinstance(error, RunFailedError) and error.__cause__ is None
        resumable = None if diverged else shelf.if_whole(reader.unfinished, path)
        if resumable is not None:
            failed = replace(resumable, attributes={**resumable.attributes, **failed.attributes})
        # If this cannot be written either, the last whole file stays, and the caller raises the first error.
        with contextlib.suppress(StorageError, MemoryError):
            image.write(path, failed)

    def _results(self) -> dict[str, Array]:
        log, request = self.log, self.request
        score = log.logged(layout.SCORE)
        half = half_capture(score, log.logged(layout.CAPTURED_VARIANCE))
        steps = steps_to(log.logged(layout.STEP), score, request.target, self.measure.sign)
        Y = self.ascent.synthetic().cpu().numpy()
        results = layout.HALF_CAPTURE.at(half) | layout.STEPS_TO_TARGET.at(steps)
        if request.log.final:
            results |= layout.FINAL_Y.at(Y)
        if self.decoding is not None:
            for variable, good in good_scores(reader.of(self._stored({}), None)).items():
                results |= layout.good_score(variable).at(good.per_seed)
        for part in request.attribute:
            results |= self._attribution(part, Y)
        return results | self._standing() if request.nulls else results

    def _attribution(self, part: str, Y: np.ndarray) -> dict[str, Array]:
        """Return how the score of each Y (R, samples, units) changes without each of m parts, (R, m)."""
        leave_out: Callable[..., Attribution] = getattr(attribution, LEFT_OUT[part])
        # As (time, condition, unit), whose conditions are left out whole.
        shape = self.dataset.responses.shape[:-1]
        replicates = [
            leave_out(self.dataset.responses, y.reshape(*shape, -1), self.measure, rows=self.reference.rows)
            for y in Y
        ]
        changes = np.stack([replicate.change for replicate in replicates])  # (R, m)
        scores = np.array([replicate.score for replicate in replicates])
        return layout.attribution(part).at(changes, route=replicates[0].route, score=scores)

    def _standing(self) -> dict[str, Array]:
        """Return the scores of X with exchanged samples, and the ceiling if X has single trials."""
        dataset, measure = self.dataset, self.measure
        X = dataset.samples()
        conditions = dataset.responses.shape[1] if dataset.responses.ndim == 3 else None
        options: dict[str, Any] = {"draws": self.request.nulls, "conditions": conditions}
        options["rows"] = self.reference.rows
        null = nulls(X, X, [measure], **options)[measure.name][UNRELATED]
        results = layout.null(UNRELATED).at(
            null.scores, rows=null.rows, exchanged=null.exchanged or "none", why=null.why
        )
        if dataset.trials is not None:
            ceiling = ceilings.from_trials(dataset.trials, [measure], rows=self.reference.rows)[measure.name]
            kept = ("value", "replicate", "interval", "correction", "reason")
            facts = {name: getattr(ceiling, name) for name in kept}
            results |= layout.CEILING.at(ceiling.halves, **facts)
        return results
