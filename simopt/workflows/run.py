"""One run: noise Y is optimized along the gradient of a score, and the run logs what Y captures of X."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import catalogue
from simopt.errors import LabelWarning, warn
from simopt.optimization.trajectory import StopReason, Trajectory
from simopt.report.tables import PCS, summarize
from simopt.rows import Order
from simopt.store import image, layout, reader, shelf
from simopt.store.image import Stored
from simopt.store.reader import Run
from simopt.workflows.data import DataLike, structured
from simopt.workflows.request import ShouldStop, measure_node, never
from simopt.workflows.result import Result, Rows
from simopt.workflows.run_request import RunRequest, stored_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.analysis.nulls import Null
    from simopt.measures import Measure, Reference
    from simopt.workflows.session import OnState


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult(Result, Trajectory):
    """The result of a run: its trajectory, and everything else that the run file holds.

    Attributes
    ----------
    run : Run
        The content of the run file: its attributes, tracked scores, decoding and null scores.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 4)) * [4, 3, 2, 1]
    >>> result = simopt.optimize(X, "nbs", max_steps=2)
    >>> [row["step"] for row in result.table()]
    [0, 1, 2]
    """

    kind: ClassVar[str] = "run"

    run: Run

    @classmethod
    def of_run(cls, run: Run, how: str = "found") -> RunResult:
        """Return the result of a run."""
        stop_reason = str(run.attributes["stop_reason"])
        reasons = {reason.value: reason for reason in StopReason}
        # A run that was just made has its file's content in memory; one that was read has only its path.
        if run.content is None:
            Y = None if run.path is None else reader.final(run.path)
        else:
            final = run.content.arrays.get(layout.FINAL_Y.path)
            Y = None if final is None else final.data
        return cls(
            step=run.step,
            score=run.score,
            captured_variance=run.captured_variance,
            Y=Y,
            variance_ratio=run.pc_variance,
            stop_reason=reasons.get(stop_reason, stop_reason),  # text: of a failed run, the error
            sign=int(run.attributes["sign"]),
            run=run,
            path=run.path,
            how=how,
        )

    @property
    def title(self) -> str:
        """The measure, the dataset and the number of replicates, in one line."""
        return f"{self.run.measure} on {self.run.dataset}, {self.score.shape[1]} replicate(s) of Y"

    def main_numbers(self) -> list[str]:
        """Return a line with steps, final score and stop reason, and a line with some half captures.

        The half capture of a PC is the score at which Y first captures half of its variance.
        """
        summary = summarize(self.run)
        halves = zip(PCS, summary.rounded_halves(PCS), strict=True)
        captures = ", ".join(f"PC {pc} {half.worded('never')}" for pc, half in halves if half is not None)
        return [
            f"{summary.steps} steps, final score {summary.final_score:.4f} ({summary.stop_reason})",
            f"score at half capture: {captures}",
        ]

    def caveats(self) -> list[str]:
        """Return a line on the scores of unrelated data and their exchange, or why no null holds."""
        null = self.null
        if null is None:
            return []
        if null.exchanged is None:
            return [f"no null holds: {null.why}"]
        return [
            f"unrelated data score {null.mean:.4f} on average, 95th percentile {null.end:.4f} "
            f"({len(null.scores)} draws; {null.exchanged}, as {null.why})"
        ]

    @property
    def null(self) -> Null | None:
        """The scores of unrelated data; None for a run without ``nulls``."""
        if not self.run.null:
            return None
        from simopt.analysis.nulls import UNRELATED, Null

        facts = {"rows": "", "exchanged": "none", "why": ""} | self.run.null_facts
        exchanged = None if facts["exchanged"] == "none" else facts["exchanged"]
        return Null(
            UNRELATED,
            self.run.null[UNRELATED],
            self.sign > 0,
            rows=facts["rows"],
            exchanged=exchanged,
            why=facts["why"],
        )

    def values(self) -> Mapping[str, Any]:
        """Return the summary of the run."""
        null = self.null
        about = {} if null is None else {"null": null.as_json(), "rows": null.rows_as_json()}
        return {"outcome": self.how, **summarize(self.run).as_json(), **about}

    def line(self) -> str:
        """Return the summary of the run in one line."""
        return summarize(self.run).line()

    def table(self) -> Rows:
        """Return a row for each replicate and logged state: seed, step, and score of each measure."""
        seeds = np.ravel(self.run.attributes["seeds"]).tolist()
        return [
            {"seed": seed, "step": step, self.run.measure: float(self.score[t, r])}
            | {name: float(scores[t, r]) for name, scores in self.run.tracked.items()}
            for r, seed in enumerate(seeds)
            for t, step in enumerate(self.step.tolist())
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the captured variance of some PCs against the score, and return the axes."""
        from simopt.report.panels import draw_trajectory

        return draw_trajectory(self, ax)

    @classmethod
    def load(cls, path: Path) -> RunResult:
        """Return the run that a run file holds; the run may be unfinished."""
        return cls.of_run(reader.read(path))

    def save(self, path: str | Path) -> Path:
        """Write a copy of the run file, and return its path."""
        copy, stored = Path(path), self.run.content
        if stored is None:
            assert self.run.path is not None
            with image.opened(self.run.path) as file:
                stored = image.content(file)
        image.write(copy, stored)
        return copy


def find_or_make(
    request: RunRequest,
    observe: OnState = lambda state: None,
    *,
    should_stop: ShouldStop = never,
    wait: bool = False,
    reference: Reference | None = None,
    fits: Callable[[Run], bool] | None = None,
) -> tuple[Run, str]:
    """Return the stored run of a request; otherwise resume an unfinished run or make a new one.

    Parameters
    ----------
    request : RunRequest
    observe : callable
        Called with each logged state.
    should_stop : callable
        Called before each step; True interrupts the run, which can be resumed.
    wait : bool
        Whether to wait while another process works on the same run, instead of raising.
    reference : Reference, optional
        The decomposed recording, if the caller has decomposed it already.
    fits : callable, optional
        A function that takes a stored run and returns whether it can replace the requested run. If the
        requested run is not stored, it is called with other runs of the measure on the recording. None: only
        the requested run is used.

    Returns
    -------
    run : Run
    how : str
        ``found`` (stored before), ``resumed`` (continued from a checkpoint) or ``done`` (made now).

    Raises
    ------
    InputError
        The data do not fit, or an option is out of its range.
    StorageError
        The run file cannot be written.
    RunBusyError
        Another process is writing the run file, and ``wait`` is False.
    RunFailedError
        The optimization failed; the run file says why.
    InterruptedRunError
        ``should_stop`` returned True; the same request resumes the run.
    """

    def make() -> Callable[[Stored | None], Run]:
        from simopt.workflows import session  # loads torch, which a stored run does not need

        return session.Session(request, observe, should_stop, reference).run

    among = [] if fits is None else stored_runs(request)
    return shelf.find_or_make(request, make, fits, among=among, wait=should_stop if wait else None)


def carry_out(
    request: RunRequest, observe: OnState = lambda state: None, *, should_stop: ShouldStop = never
) -> RunResult:
    """Return the result of a run, which :func:`find_or_make` finds, resumes or makes.

    Warns
    -----
    LabelWarning
        A label is not decoded, because it is no task variable or the decoder cannot decode it.
    """
    made, how = find_or_make(request, observe, should_stop=should_stop)
    if request.decoder and how != "found":
        dataset = request.dataset.dataset
        decoder = request.built_decoder()
        for label, reason in decoder.left_out(dataset).items():
            if label not in made.decoding and label != decoder.groups:
                warn(f"label {label} is not decoded: {reason}.", LabelWarning)
    return RunResult.of_run(made, how)


def optimize(
    X: DataLike,
    measure: str | Measure = "cka",
    *,
    optimizer: str = "adam",
    lr: float | None = None,
    target: float = 0.99,
    max_steps: int = 1000,
    seeds: Sequence[int] = (0,),
    init: str = "gaussian",
    track: Sequence[str] = (),
    nulls: int = 0,
    attribute: Sequence[str] = (),
    decoder: str | None = None,
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    tf32: bool = False,
    force: bool = False,
    **options: Any,
) -> RunResult:
    """Optimize synthetic datasets Y towards the recording X, and log what they capture of X.

    Each seed gives one replicate: Y starts as noise and follows the gradient of score(X, Y) with respect to
    Y until the score reaches ``target``, or for ``max_steps`` steps [1]_.

    Parameters
    ----------
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit). The labels of a Dataset can be
        decoded along the run.
    measure : str or Measure
        A name of ``simopt.measures.names()`` or a Measure. The measure must be differentiable.
    optimizer : {"adam", "adamw", "sgd", "rmsprop", "lbfgs"}
    lr : float or None
        The learning rate, in the units of Y, whose initial standard deviation is 1. None stands for the
        default of the optimizer, which is 0.1 for ``adam``.
    target : float
        The score at which a replicate stops.
    max_steps : int
        The largest number of optimizer steps.
    seeds : sequence of int
        The seeds, integers from 0 to 2^63 - 1. Each seed gives one replicate.
    init : {"gaussian"}
        The distribution of the noise.
    track : sequence of str
        Names of further measures whose scores are logged. They do not influence the optimization.
    nulls : int
        The number of unrelated datasets that are scored at the end. If it is not 0 and X has single
        trials, the noise ceiling is estimated as well.
    attribute : sequence of {"pcs", "samples", "units"}
        What to leave out, one at a time, at the end of the run; the run stores the changes of the score.
    decoder : {"standard", "published"} or None
        The decoder that decodes the labels of X from Y along the run. None: nothing is decoded.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. A run that it holds is read; an unfinished run is resumed. None: nothing
        is stored.
    device : str
        A torch device, or ``auto``: the first available one of cuda, mps and cpu.
    dtype : {"float32", "float64"}
    tf32 : bool
        Whether to multiply float32 matrices in TF32 on cuda. TF32 is faster, but has about three significant
        digits.
    force : bool
        Whether to make the run again although it is stored.
    **options
        Options that override the defaults of the measure, for instance ``conditions=72`` for ``linreg_cv5``.
        A Measure takes none.

    Returns
    -------
    RunResult

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.
    RunFailedError
        The score became NaN or infinite, or memory ran out.
    StorageError
        The run file cannot be written.

    Warns
    -----
    DegenerateWarning
        The shapes of X and Y alone decide the score.

    References
    ----------
    .. [1] arXiv:2407.07059, section 3.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 8)) * np.arange(8, 0, -1)
    >>> result = simopt.optimize(X, "cka", max_steps=200, target=0.9)
    >>> bool(result.score[-1, 0] >= 0.9)
    True
    >>> result.half_capture().shape
    (1, 8)
    """
    optimizer_options = {} if lr is None else {"lr": lr}
    return carry_out(
        RunRequest(
            dataset=structured(X, groups, blocks, rows),
            measure=measure_node(measure, **options),
            optimizer=catalogue.node("optimizer", optimizer, **optimizer_options),
            target=target,
            max_steps=max_steps,
            seeds=seeds,
            init=init,
            track=track,
            nulls=nulls,
            attribute=attribute,
            decoder=decoder,
            device=device,
            dtype=dtype,
            tf32=tf32,
            force=force,
            log=store,
        )
    )
