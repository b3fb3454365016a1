"""One run, from a checked configuration to its run file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simopt.app import analyses
from simopt.app.build import Job, build
from simopt.app.compose import Composed
from simopt.app.guards import alone, stop_signals, tidy
from simopt.app.paths import config_hash, make_folder, run_place
from simopt.app.provenance import now, provenance
from simopt.errors import InterruptedRunError, RunFailedError, SimoptError
from simopt.optimization import State, StopReason, captured_variance, half_capture, steps_to
from simopt.optimization import device as devices
from simopt.optimization.run import memory_errors
from simopt.optimization.setup import not_finite
from simopt.optimization.trajectory import Thinning
from simopt.store import checkpoint, layout, reader
from simopt.store.layout import Entry
from simopt.store.writer import Header, RunWriter

if TYPE_CHECKING:
    from torch import Tensor

    from simopt.measures import Moments

_CHECKPOINT_SHARE = 20
"""Of checkpoints that take long, the work between two takes this many times as long."""
_HALF_CAPTURE_BYTES = 2**25


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes
    ----------
    path : Path
    how : str
        ``done``, ``resumed`` or ``found`` (finished before, not repeated).
    """

    path: Path
    how: str


@memory_errors()
def execute(
    composed: Composed,
    progress: Callable[[State], None] = lambda state: None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    wait: bool = False,
) -> Outcome:
    """Carry out a run: find it finished, resume it, or do it from the start.

    Parameters
    ----------
    composed : Composed
    progress : callable
        Is handed every logged state.
    should_stop : callable
        Asked before each step, as signals are; True interrupts the run.
    wait : bool
        Wait for another process that is at work on the same run, in place of refusing.

    Raises
    ------
    InputError
        Something in the configuration or the data cannot be used.
    StorageError
        The run file cannot be written; a RunBusyError where another process is writing it.
    RunFailedError
        The optimisation failed; the run file says so.
    InterruptedRunError
        SIGINT or SIGTERM came; the same command goes on from there.
    """
    with devices.matrix_products(tf32=composed.config.tf32):
        return _execute(composed, progress, should_stop, wait)


def _execute(
    composed: Composed, progress: Callable[[State], None], should_stop: Callable[[], bool], wait: bool
) -> Outcome:
    config = composed.config
    job = build(config)
    digest = config_hash(config, job.dataset)
    folder = run_place(config, job.dataset, job.measure.name, digest)
    path = folder / layout.RUN_FILE

    def finished() -> bool:
        return not config.force and reader.if_whole(reader.status, path) == layout.FINISHED

    if finished():
        tidy(folder)
        return Outcome(path, "found")
    make_folder(folder, "log.dir")
    with alone(folder, should_stop if wait else None):
        if finished():
            return Outcome(path, "found")
        session = _Session(composed, job, digest, folder, progress, should_stop)
        return session.run()


class _Session:
    """One process's work on one run."""

    def __init__(
        self,
        composed: Composed,
        job: Job,
        digest: str,
        folder: Path,
        progress: Callable[[State], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.composed, self.config, self.job, self.digest = composed, composed.config, job, digest
        self.path = folder / layout.RUN_FILE
        self.checkpoint = folder / layout.CHECKPOINT_FILE
        self.progress, self.should_stop = progress, should_stop
        self.values: dict[Entry, Callable[[Moments], Tensor]] = {layout.CAPTURED_VARIANCE: captured_variance}
        for name, measure in job.tracked.items():
            self.values[layout.tracked(name)] = measure.bind(job.ascent.bound.reference).evaluate
        self.started = time.monotonic()
        self.saved = self.started
        self.checkpoint_pause = self.config.log.checkpoint_seconds
        self.thinning = Thinning(self.config.log.score_step)
        self.seconds_before = 0.0

    def run(self) -> Outcome:
        with stop_signals() as stopped:
            writer, how = self._open()
            with writer:
                reason = self._ascend(writer, lambda: stopped() or self.should_stop())
        if reason is StopReason.INTERRUPTED:
            raise InterruptedRunError(
                f"{self.path}: interrupted at step {self.job.ascent.step}; the same command goes on."
            )
        self.checkpoint.unlink(missing_ok=True)
        return Outcome(self.path, how)

    def _ascend(self, writer: RunWriter, stopped: Callable[[], bool]) -> StopReason:
        ascent, every = self.job.ascent, self.config.log.every
        try:
            with memory_errors():
                stop_reason = ascent.run(
                    lambda state: self._observe(writer, state),
                    should_stop=stopped,
                    every=every,
                    ahead={} if self.config.log.score_step else self.values,
                )
                self._conclude(writer, stop_reason)
        except Exception as error:
            known = isinstance(error, SimoptError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            writer.fail(reason, now(), self._seconds(), *self._decoded())
            raise
        return stop_reason

    def _open(self) -> tuple[RunWriter, str]:
        header = Header(
            attributes=self._attributes(),
            pc_variance=self.job.reference.variance_ratio.cpu().numpy(),
            replicates=len(self.config.seeds),
            tracked=tuple(self.job.tracked),
        )
        flush_seconds = self.config.log.flush_seconds
        whole = reader.if_whole(reader.status, self.path) is not None
        if whole and self.checkpoint.exists() and not self.config.force:
            state = checkpoint.load(self.checkpoint)
            with checkpoint.restoring(self.checkpoint):
                self.job.ascent.restore(state["ascent"])
                self.seconds_before = float(state["wall_seconds"])
            writer = RunWriter.resume(self.path, header, self.job.ascent.step, flush_seconds)
            self.thinning = Thinning(self.config.log.score_step, writer.last_score())
            if self.job.decoding is not None:
                with checkpoint.restoring(self.checkpoint):
                    self.job.decoding.restore(state["decoding"], self.job.ascent.step)
            return writer, "resumed"
        self.checkpoint.unlink(missing_ok=True)
        return RunWriter.create(self.path, header, flush_seconds), "done"

    def _attributes(self) -> dict[str, Any]:
        return {
            "schema": layout.SCHEMA,
            "status": layout.RUNNING,
            "stop_reason": "",
            "measure": self.job.measure.name,
            "dataset": self.job.dataset.name,
            "source": self.job.dataset.source,
            "seeds": np.array(self.config.seeds, dtype=np.int64),
            "config": self.composed.yaml,
            "config_hash": self.digest,
            "data_hash": self.job.dataset.data_hash(),
            "finished": "",
            "wall_seconds": 0.0,
            "device": str(self.job.reference.scores.device),
            "dtype": self.config.dtype,
            **provenance(),
        }

    def _observe(self, writer: RunWriter, state: State) -> None:
        due = time.monotonic() - self.saved >= self.checkpoint_pause
        if due and state.settled and not state.last:
            self._save(writer)
        self.progress(state)
        if not self.thinning.keeps(state):
            return
        row: dict[Entry, Any] = {
            layout.STEP: state.step,
            layout.SCORE: state.score.cpu().numpy(),
        }
        for entry, function in self.values.items():
            row[entry] = state.value(entry, function).cpu().numpy()
        writer.append(row)
        if self.job.decoding is not None:
            self.job.decoding.observe(state, self.job.ascent.synthetic(state.moments.Y))

    def _save(self, writer: RunWriter) -> None:
        begun = time.monotonic()
        writer.sync()
        checkpoint.save(self.checkpoint, self._state())
        self.saved = time.monotonic()
        seconds = self.config.log.checkpoint_seconds
        self.checkpoint_pause = max(seconds, min(_CHECKPOINT_SHARE * (self.saved - begun), 10 * seconds))

    def _state(self) -> dict[str, Any]:
        state = {"ascent": self.job.ascent.state(), "wall_seconds": self._seconds()}
        return state if self.job.decoding is None else {**state, "decoding": self.job.decoding.state()}

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _results(self, writer: RunWriter) -> analyses.Found:
        step, score = writer.logged(layout.STEP), writer.logged(layout.SCORE)
        pcs = len(self.job.reference.variance_ratio)
        some = max(1, _HALF_CAPTURE_BYTES // score.nbytes)  # the memory taken does not grow with the steps
        half = [
            half_capture(score, writer.logged(layout.CAPTURED_VARIANCE, slice(pc, pc + some)))
            for pc in range(0, pcs, some)
        ]
        results: dict[Entry, Any] = {
            layout.HALF_CAPTURE: np.concatenate(half, axis=1),
            layout.STEPS_TO_TARGET: steps_to(step, score, self.config.target, self.job.measure.sign),
        }
        Y = self.job.ascent.synthetic().cpu().numpy()
        if self.config.log.final:
            results[layout.FINAL_Y] = Y
        if self.job.decoding is not None:
            results |= analyses.good_scores(self.job.decoding)
        attributes: dict[Entry, dict[str, Any]] = {}
        dataset, measure = self.job.dataset, self.job.measure
        found = [analyses.attributions(dataset, Y, measure, self.config.attribute)]
        if self.config.nulls:
            found.append(analyses.standing(dataset, measure, self.config.nulls))
        for more, facts in found:
            results |= more
            attributes |= facts
        return results, attributes

    def _decoded(self) -> tuple[dict[Entry, Any], dict[Entry, dict[str, Any]]]:
        """Return what was decoded so far, and its attributes."""
        decoding = self.job.decoding
        return ({}, {}) if decoding is None else (decoding.results(), decoding.attributes())

    def _conclude(self, writer: RunWriter, reason: StopReason) -> None:
        if reason is StopReason.NOT_FINITE:
            raise RunFailedError(not_finite(self.job.ascent, self.job.measure.name))
        status = layout.FINISHED
        results, attributes = self._decoded()
        if reason is StopReason.INTERRUPTED:
            status = layout.INTERRUPTED
            self._save(writer)
        else:
            ended, facts = self._results(writer)
            results, attributes = results | ended, attributes | facts
        writer.conclude(status, reason.value, now(), self._seconds(), results, attributes)
