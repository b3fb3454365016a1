"""One optimization: from noise up to a score, and what the synthetic dataset has captured on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import catalogue
from simopt.optimization.trajectory import StopReason, Trajectory
from simopt.store import image, layout, reader, shelf
from simopt.store.image import Stored
from simopt.store.reader import Run
from simopt.workflows.data import Data
from simopt.workflows.request import measure_node, never
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.measures import Measure, Reference
    from simopt.typing import ArrayLike
    from simopt.workflows.session import OnState


@dataclass(frozen=True, kw_only=True)
class RunResult(Result, Trajectory):
    """A run: its trajectory, and all else that its file holds.

    Attributes
    ----------
    run : Run

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 4)) * [4, 3, 2, 1]
    >>> result = simopt.optimize(X, "nbs", max_steps=2)
    >>> [row["step"] for row in result.table()]
    [0, 1, 2]
    """

    kind: ClassVar[str] = "run"

    run: Run = field(repr=False)

    @classmethod
    def of_run(cls, run: Run, how: str = "found") -> RunResult:
        """Return the result of a run."""
        told = str(run.attributes["stop_reason"])
        known = {reason.value: reason for reason in StopReason}
        if run.content is None:
            Y = None if run.path is None else reader.final(run.path)
        else:
            kept = run.content.arrays.get(layout.FINAL_Y.path)
            Y = None if kept is None else kept.data
        return cls(
            step=run.step,
            score=run.score,
            captured_variance=run.captured_variance,
            Y=Y,
            variance_ratio=run.pc_variance,
            stop_reason=known.get(told, told),
            sign=int(run.attributes["sign"]),
            run=run,
            path=run.path,
            how=how,
        )

    def values(self) -> Mapping[str, Any]:
        """Return the run in one row, by key."""
        from simopt.report.tables import summarize

        return {"outcome": self.how, **summarize(self.run).as_json()}

    def line(self) -> str:
        """Return the run in one line."""
        from simopt.report.tables import summarize

        return summarize(self.run).line()

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each replicate and logged state: its step and its scores."""
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
        """Return the run of a run file, also of one that is not finished."""
        return cls.of_run(reader.read(path))

    def save(self, path: str | Path) -> Path:
        """Write the run file to another place, and return it."""
        place, stored = Path(path), self.run.content
        if stored is None:
            assert self.run.path is not None
            with image.opened(self.run.path) as file:
                stored = image.content(file)
        image.write(place, stored)
        return place


def find_or_make(
    request: RunRequest,
    observe: OnState = lambda state: None,
    *,
    should_stop: Callable[[], bool] = never,
    wait: bool = False,
    reference: Reference | None = None,
    fits: Callable[[Run], bool] | None = None,
    among: Iterable[Path] = (),
) -> tuple[Run, str]:
    """Find a run finished, resume it, or make it.

    Parameters
    ----------
    request : RunRequest
    observe : callable
        Is handed every logged state.
    should_stop : callable
        Asked before each step; True interrupts the run, which can be resumed.
    wait : bool
        Wait for another process that is at work on the same run, in place of refusing.
    reference : Reference, optional
        Of the dataset, where it is decomposed already.
    fits, among
        As :func:`simopt.store.shelf.find_or_make` has them.

    Returns
    -------
    run : Run
    how : str
        ``found``, ``resumed`` or ``done``.

    Raises
    ------
    InputError
        Something in the request or the data cannot be used.
    StorageError
        The run file cannot be written; a RunBusyError where another process is writing it.
    RunFailedError
        The optimization failed; the run file says so.
    InterruptedRunError
        It was told to stop; the same request resumes it.
    """

    def make() -> Callable[[Stored | None], Run]:
        from simopt.workflows import session  # loads torch, which a run that is found needs not

        return session.Session(request, observe, should_stop, reference).run

    waiting = should_stop if wait else None
    return shelf.find_or_make(request, make, fits, among=among, wait=waiting)


def carry_out(
    request: RunRequest,
    observe: OnState = lambda state: None,
    *,
    should_stop: Callable[[], bool] = never,
    wait: bool = False,
) -> RunResult:
    """Return the result of a run, as :func:`find_or_make` gets it."""
    return RunResult.of_run(*find_or_make(request, observe, should_stop=should_stop, wait=wait))


def optimize(
    X: ArrayLike | Data,
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
    store: str | Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    tf32: bool = False,
    force: bool = False,
    **options: Any,
) -> RunResult:
    """Optimize synthetic datasets towards a recording, and log what they capture of it.

    Each seed gives one replicate: Y starts as noise and follows the gradient of score(X, Y) with respect to
    Y until it reaches ``target`` or ``max_steps`` (arXiv 2407.07059, sec. 3).

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording.
    measure : str or Measure
        A name of ``simopt.measures.names()`` or a measure.
    optimizer : str
        ``adam``, ``adamw``, ``sgd``, ``rmsprop`` or ``lbfgs``.
    lr : float or None
        Its learning rate, in the units of Y (Y0 has standard deviation 1); None: its own default, 0.1 for
        ``adam``.
    target : float
        A replicate stops at this score.
    max_steps : int
    seeds : sequence of int
    init : str
        ``gaussian``.
    track : sequence of str
        Measures whose scores are logged as well.
    nulls : int
        At the end: so many scores of unrelated data of each kind, and the ceiling where there are trials.
    attribute : sequence of {"pcs", "samples", "units"}
        At the end: how the score changes without each of these.
    decoder : str or None
        ``standard`` or ``published``: decodes the labels of a Dataset along the run.
    store : path or None
        A folder. A run that is stored there is found, an unfinished one resumed. None: nothing is written.
    device : str
        ``auto`` (cuda, then mps, then cpu) or a torch device.
    dtype : {"float32", "float64"}
    tf32 : bool
        On cuda, take products of float32 matrices in TF32: faster, to about three digits.
    force : bool
        Make the run anew though it is stored.
    **options
        Of a measure given by name, for instance ``conditions=72`` for ``linreg_cv5``.

    Returns
    -------
    RunResult

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    RunFailedError
        The score became NaN or infinite, or memory ran out.
    StorageError
        The run cannot be written.

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
    given = {} if lr is None else {"lr": lr}
    return carry_out(
        RunRequest(
            dataset=X,
            measure=measure_node(measure, **options),
            optimizer=catalogue.node("optimizer", optimizer, **given),
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
