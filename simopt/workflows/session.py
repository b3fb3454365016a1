"""The work on one run: data and measures at hand, the ascent, what is logged of it, and its file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simopt import catalogue, measures
from simopt.analysis import ceilings, run_decoding
from simopt.analysis.attribution import Attribution, leave_one_pc, leave_one_sample, leave_one_unit
from simopt.analysis.good_score import good_scores
from simopt.analysis.nulls import nulls
from simopt.analysis.run_decoding import RunDecoding
from simopt.datasets import Dataset
from simopt.errors import InterruptedRunError, LargeResultWarning, RunFailedError, SimoptError, StorageError
from simopt.measures import Measure, Moments, Reference
from simopt.optimization import device as devices
from simopt.optimization import init as inits
from simopt.optimization import setup
from simopt.optimization.captured import captured_variance
from simopt.optimization.loop import Ascent
from simopt.optimization.setup import not_finite
from simopt.optimization.state import State, Thinning
from simopt.optimization.trajectory import StopReason, half_capture, steps_to
from simopt.store import image, layout, reader, shelf
from simopt.store.image import Array, Stored
from simopt.store.layout import Entry
from simopt.store.provenance import now
from simopt.store.reader import Run
from simopt.store.state import unpack
from simopt.store.writer import Header, RunLog

if TYPE_CHECKING:
    from torch import Tensor

    from simopt.workflows.run_request import RunRequest

Observer = Callable[[State], None]

_WRITING_SHARE = 20
"""Between two checkpoints lies so many times the time that writing one took: writing takes 5 % at most."""
_LARGE_BYTES = 10**9


@dataclass(frozen=True)
class Job:
    """What one run works with."""

    dataset: Dataset
    measure: Measure
    tracked: dict[str, Measure]
    reference: Reference
    ascent: Ascent
    decoding: RunDecoding | None = None


def prepare(request: RunRequest, reference: Reference | None = None) -> Job:
    """Load the dataset, build the measures, and set the ascent at its start.

    Parameters
    ----------
    request : RunRequest
    reference : Reference, optional
        Of the dataset, where it is decomposed already.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    """
    where, precision = devices.choose(request.device, request.dtype, tf32=request.tf32)
    measure = measures.build(request.measure)
    tracked = {name: measures.get(name) for name in request.track}
    factory = catalogue.build(request.optimizer, "optimizer", partial=True)
    start = inits.build(request.init)
    dataset = request.dataset.dataset
    decoding = run_decoding.build(request.decoder, dataset) if request.decoder else None
    if reference is None:
        reference = Reference.of(dataset.samples(), dtype=precision, device=where)
    ascent = setup.prepare(
        reference.to(precision, where),
        measure,
        start,
        factory,
        seeds=request.seeds,
        units=dataset.samples().shape[1],
        target=request.target,
        max_steps=request.max_steps,
        tracked=tracked.values(),
    )
    return Job(dataset, measure, tracked, reference.to(precision, where), ascent, decoding)


def work(
    request: RunRequest,
    observe: Observer,
    should_stop: Callable[[], bool],
    reference: Reference | None = None,
) -> Callable[[Stored | None], Run]:
    """Prepare a run, and return the function that carries it out.

    Raises
    ------
    InputError
        As :func:`prepare`.
    """
    with devices.memory_errors():
        session = Session(request, prepare(request, reference), observe, should_stop)

    def run(before: Stored | None) -> Run:
        with devices.memory_errors(), devices.matrix_products(tf32=request.tf32):
            return session.run(before)

    return run


class Session:
    """One process's work on one run."""

    def __init__(
        self, request: RunRequest, job: Job, observe: Observer, should_stop: Callable[[], bool]
    ) -> None:

        self.request, self.job = request, job
        self.observe, self.should_stop, self.stopped = observe, should_stop, False
        self.values: dict[Entry, Callable[[Moments], Tensor]] = {layout.CAPTURED_VARIANCE: captured_variance}
        for name, measure in job.tracked.items():
            self.values[layout.tracked(name)] = measure.bind(job.ascent.bound.reference).evaluate
        self.started = self.saved = time.monotonic()
        self.pause = request.log.checkpoint_seconds
        self.seconds_before = 0.0

    def run(self, before: Stored | None) -> Run:
        """Carry out the run from its start, or from the checkpoint that a file holds."""
        header = Header(
            self._attributes(),
            self.job.reference.variance_ratio.cpu().numpy(),
            len(self.request.seeds),
            tuple(self.request.track),
        )
        self._say_if_large(header)
        if before is not None:
            self._restore(before)
            kept = {name: before.attributes[name] for name in ("created", "wall_seconds")}
            self.seconds_before = float(kept["wall_seconds"])
            header = replace(header, attributes={**header.attributes, **kept})
        self.log = RunLog(header, before)
        scores = self.log.logged(layout.SCORE)
        self.thinning = Thinning(self.request.log.score_step, scores[-1] if len(scores) else None)
        if before is None:
            self._write(self.log.stored({}, {}))
        try:
            with devices.memory_errors():
                every = self.request.log.every
                reason = self.job.ascent.run(self._observe, should_stop=self._stop, every=every)
                stored = self._concluded(reason)
        except Exception as error:
            self._fail(error)
            raise
        if reason is StopReason.INTERRUPTED:
            raise InterruptedRunError(
                f"{self.request.path or self.job.measure.name}: interrupted at step {self.job.ascent.step}; "
                "the same command resumes it."
            )
        return replace(reader.of(stored, self.request.path), content=stored)

    def _restore(self, before: Stored) -> None:
        """Take up the state of a checkpoint.

        Raises
        ------
        StorageError
            It is of another kind.
        """
        path = self.request.path
        try:
            state = unpack(before.groups[layout.RESUME]["state"], before.arrays)
            self.job.ascent.restore(state)
            if self.job.decoding is not None:
                self.job.decoding.restore(reader.of(before, path))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise StorageError(
                f"{path}: cannot be resumed; another version of simopt may have saved it. Delete it to start "
                "over, or use force=true."
            ) from error

    def _attributes(self) -> dict[str, Any]:
        return {
            "schema": layout.SCHEMA,
            "status": layout.RUNNING,
            "stop_reason": "",
            "measure": self.job.measure.name,
            "sign": self.job.measure.sign,
            "seeds": np.array(self.request.seeds, dtype=np.int64),
            "finished": "",
            "wall_seconds": 0.0,
            "device": str(self.job.reference.scores.device),
            "dtype": self.request.dtype,
            **self.request.about(),
        }

    def _say_if_large(self, header: Header) -> None:
        log = self.request.log
        most = header.row_bytes() * (1 + self.request.max_steps // log.every)
        if most > _LARGE_BYTES and not log.score_step:
            warnings.warn(
                f"{most / 1e9:.1f} GB of scores and captured variance are kept in memory: log.every=10, "
                "log.score_step=0.01 or fewer seeds at a time take less.",
                LargeResultWarning,
                stacklevel=2,
            )

    def _stop(self) -> bool:
        self.stopped = self.should_stop()
        return self.stopped

    def _observe(self, state: State) -> None:
        due = time.monotonic() - self.saved >= self.pause
        if due and state.settled and not state.last and self.request.path is not None:
            self._checkpoint(layout.RUNNING)
        self.observe(state)
        if self.stopped:
            return  # the run that goes on from here sees this state first, and logs it if it is to be
        if not self.thinning.keeps(state):
            return
        row: dict[Entry, Any] = {layout.STEP: state.step, layout.SCORE: state.score.cpu().numpy()}
        for entry, function in self.values.items():
            row[entry] = function(state.moments).cpu().numpy()
        self.log.append(row)
        if self.job.decoding is not None:
            self.job.decoding.observe(state, self.job.ascent.synthetic(state.moments.Y))

    def _checkpoint(self, status: str, **attributes: Any) -> Stored:
        """Replace the file by what there is now, from which the run can be resumed."""
        begun = time.monotonic()
        about = {"status": status, "wall_seconds": self._seconds(), **attributes}
        stored = self.log.stored(about, self._decoded(), self.job.ascent.state())
        self._write(stored)
        self.saved = time.monotonic()
        self.pause = max(self.request.log.checkpoint_seconds, _WRITING_SHARE * (self.saved - begun))
        return stored

    def _write(self, stored: Stored) -> None:
        if self.request.path is not None:
            image.write(self.request.path, stored)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _decoded(self) -> dict[str, Array]:
        return {} if self.job.decoding is None else self.job.decoding.results()

    def _concluded(self, reason: StopReason) -> Stored:

        if reason is StopReason.NOT_FINITE:
            raise RunFailedError(not_finite(self.job.ascent, self.job.measure.name))
        end = {"stop_reason": reason.value, "finished": now()}
        if reason is StopReason.INTERRUPTED:
            return self._checkpoint(layout.INTERRUPTED, **end)
        results = {**self._decoded(), **self._results()}
        about = {"status": layout.FINISHED, "wall_seconds": self._seconds(), **end}
        stored = self.log.stored(about, results)
        self._write(stored)
        return stored

    def _fail(self, error: Exception) -> None:
        """Say in the file that the run failed: with all rows, or with its checkpoint where there is one."""
        path = self.request.path
        if path is None:
            return
        known = isinstance(error, SimoptError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        about: dict[str, Any] = {"status": layout.FAILED, "stop_reason": reason, "finished": now()}
        about["wall_seconds"] = self._seconds()
        # What can be resumed stays: memory or a disk that was full may have room the next time.
        diverged = isinstance(error, RunFailedError) and error.__cause__ is None
        kept = None if diverged else shelf.if_whole(reader.unfinished, path)
        if kept is None:
            kept = self.log.stored({}, self._decoded())
        try:
            image.write(path, replace(kept, attributes={**kept.attributes, **about}))
        except (StorageError, MemoryError):
            return  # the last whole file stays, and the error itself is what is told

    def _results(self) -> dict[str, Array]:

        log, request, job = self.log, self.request, self.job
        score = log.logged(layout.SCORE)
        half = half_capture(score, log.logged(layout.CAPTURED_VARIANCE))
        steps = steps_to(log.logged(layout.STEP), score, request.target, job.measure.sign)
        Y = job.ascent.synthetic().cpu().numpy()
        results = {
            layout.HALF_CAPTURE.path: layout.HALF_CAPTURE.array(half),
            layout.STEPS_TO_TARGET.path: layout.STEPS_TO_TARGET.array(steps),
        }
        if request.log.final:
            results[layout.FINAL_Y.path] = layout.FINAL_Y.array(Y)
        return {
            **results,
            **self._good_scores(),
            **_attributions(job, Y, request.attribute),
            **(_standing(job, request.nulls) if request.nulls else {}),
        }

    def _good_scores(self) -> dict[str, Array]:

        if self.job.decoding is None:
            return {}
        run = reader.of(self.log.stored({}, self._decoded()), None)
        return {
            (entry := layout.good_score(variable)).path: entry.array(good.per_seed)
            for variable, good in good_scores(run).items()
        }


def _attributions(job: Job, Y: np.ndarray, parts: Sequence[str]) -> dict[str, Array]:
    """Return how the score of each Y (R, samples, units) changes without each part, (R, m)."""
    left_out: dict[str, Callable[..., Attribution]] = {
        "pcs": leave_one_pc,
        "samples": leave_one_sample,
        "units": leave_one_unit,
    }
    results = {}
    for part in parts:
        found = [left_out[part](job.dataset.samples(), y, job.measure) for y in Y]
        scores = np.array([each.score for each in found])
        entry = layout.attribution(part)
        changes = np.stack([each.change for each in found])
        results[entry.path] = entry.array(changes, route=found[0].route, score=scores)
    return results


def _standing(job: Job, draws: int) -> dict[str, Array]:
    """Return the scores of data with the spectrum of the recording, and its ceiling if it has trials."""
    dataset, measure = job.dataset, job.measure
    X = dataset.samples()
    conditions = dataset.responses.shape[1] if dataset.responses.ndim == 3 else None
    drawn = nulls(X, X, [measure], draws=draws, conditions=conditions)[measure.name]
    results = {(entry := layout.null(kind)).path: entry.array(each.scores) for kind, each in drawn.items()}
    if dataset.trials is not None:
        ceiling = ceilings.from_trials(dataset.trials, [measure])[measure.name]
        results[layout.CEILING.path] = layout.CEILING.array(
            ceiling.halves,
            value=ceiling.value,
            replicate=ceiling.replicate,
            interval=np.array(ceiling.interval),
            correction=ceiling.correction,
        )
    return results
