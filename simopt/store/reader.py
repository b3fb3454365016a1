"""Reading run files, whose content is not trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from simopt.errors import StorageError
from simopt.store import analysis, image, layout
from simopt.store.image import Stored
from simopt.store.shelf import at_work
from simopt.typing import FloatArray

_SINCE_2 = {"identity": "", "revisions": "", "sign": 1}
"""Values of the attributes that files of schema 1 do not have."""
CRASHED = "crashed"
"""Status of a run whose file says ``running`` although no process holds the lock of its folder."""


@dataclass(frozen=True)
class Run:
    """One stored run.

    Attributes
    ----------
    path : Path or None
        Path of the run file; None if the run is not stored.
    attributes : dict
        The attributes of the run file, with the keys of ``layout.ATTRIBUTES``.
    status : str
        One of ``layout.STATUSES``, or ``crashed``.
    pc_variance : array, (K,)
        Share of each of the K PCs in the variance of the recording.
    step : array of int, (T,)
        Number of optimizer steps before each of the T logged states.
    score : array, (T, R)
        Score of each of the R replicates.
    captured_variance : array, (T, R, K)
        Captured variance of each PC (see :func:`simopt.optimization.captured.captured_variance`).
    tracked : dict of array, (T, R)
        Scores of measures that were not optimized, by the name of the measure.
    half_capture : array, (R, K), or None
        The score at which Y first captures half of each PC (see
        :func:`simopt.optimization.trajectory.half_capture`); None while the run is unfinished.
    decoding_step : array of int, (D,)
        The D logged steps at which Y was decoded; empty without a decoder.
    decoding : dict of array, (D, R)
        Accuracy with which each task variable was decoded from Y (R2 for continuous variables), by the name
        of the variable.
    reference_decoding : dict of dict
        How well each task variable was decoded from the recording, by name: ``accuracy``, ``chance``,
        ``classes`` (0: continuous), ``folds``, and ``over_time`` (B,), the accuracy in each of B time bins.
    null : dict of array, (draws,)
        Scores of data unrelated to the recording, by the kind of data.
    null_facts : dict
        ``rows``, ``exchanged`` and ``why`` of :class:`simopt.analysis.nulls.Null`; empty without a null.
    attribution : dict of array, (R, m)
        Change of the last score without each of m PCs, samples or units. The keys name what is left out:
        ``pcs``, ``samples`` or ``units``.
    final_shape : tuple of int
        The shape (R, samples, units) of the last Y; empty if it was not kept.
    content : Stored or None
        The content of the whole file if this process made the run; None if the run was read from a file.
    """

    path: Path | None
    attributes: dict[str, Any]
    status: str
    pc_variance: FloatArray
    step: np.ndarray
    score: FloatArray
    captured_variance: FloatArray
    tracked: dict[str, FloatArray]
    half_capture: FloatArray | None
    decoding_step: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    decoding: dict[str, FloatArray] = field(default_factory=dict)
    reference_decoding: dict[str, dict[str, Any]] = field(default_factory=dict)
    null: dict[str, FloatArray] = field(default_factory=dict)
    null_facts: dict[str, Any] = field(default_factory=dict)
    attribution: dict[str, FloatArray] = field(default_factory=dict)
    final_shape: tuple[int, ...] = ()
    content: Stored | None = field(default=None, repr=False, compare=False)

    @property
    def decoding_score(self) -> FloatArray:
        """The scores at the steps at which Y was decoded, (D, R)."""
        score: FloatArray = self.score[np.searchsorted(self.step, self.decoding_step)]
        return score

    @property
    def dataset(self) -> str:
        """The name of the dataset with its source, as every table and figure shows it."""
        return f"{self.attributes['dataset']} ({self.attributes['source']})"

    @property
    def measure(self) -> str:
        """The measure's name."""
        return str(self.attributes["measure"])

    @property
    def run_id(self) -> str:
        """The name of the run's folder; empty if the run is not stored."""
        return "" if self.path is None else self.path.parent.name


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the run files in some files and folders, sorted and without duplicates.

    Folders are searched for run files. A path of a file is returned whatever its name is.
    """
    files: set[Path] = set()
    for path in paths:
        files.update([path] if path.is_file() else path.rglob(layout.RUN_FILE))
    return sorted(files)


def read(path: Path) -> Run:
    """Return the run in a run file. An unfinished run has the states up to its last checkpoint.

    Raises
    ------
    StorageError
        The file is not a run file, has another schema version, or is damaged.
    """
    with analysis.opened(path, "run") as (file, _):
        run = of(image.content(file, skip=(layout.FINAL_Y.path, layout.RESUME)), path)
        # Only the shape of Y is read: Y may be larger than everything else in the file.
        return replace(run, final_shape=getattr(file.get(layout.FINAL_Y.path), "shape", ()))


def final(path: Path) -> FloatArray | None:
    """Return the last Y of a run, (R, samples, units); None if it was not kept.

    Raises
    ------
    StorageError
        The file is not a run file, has another schema version, or is damaged.
    """
    with analysis.opened(path, "run") as (file, _):
        Y: FloatArray | None = file[layout.FINAL_Y.path][()] if layout.FINAL_Y.path in file else None
        return Y


def finished(path: Path) -> Run:
    """Return the finished run in a run file.

    Raises
    ------
    StorageError
        The file is not a run file, has another schema version, or is damaged; or the run is not finished.
    """
    run = read(path)
    if run.status != layout.FINISHED:
        raise StorageError(f"{path}: the run is not finished (status {run.status}).")
    return run


def unfinished(path: Path) -> Stored | None:
    """Return the content of a run file from which the run can be resumed; None if it holds no checkpoint.

    Raises
    ------
    StorageError
        The file is not a run file, has another schema version, or is damaged.
    """
    return analysis.unfinished(path, "run")


def of(stored: Stored, path: Path | None) -> Run:
    """Return the run that the content of a run file describes.

    Parameters
    ----------
    stored : Stored
        The content of the file.
    path : Path or None
        Path of the file; None if the run is not stored.

    Raises
    ------
    LookupError, TypeError
        A dataset or attribute is missing, or an attribute that must be text is not.
    """
    about = {**_SINCE_2, **stored.attributes}
    for name, kind in layout.ATTRIBUTES.items():
        if kind.startswith("text"):
            analysis.text(about[name])
    # A killed process cannot change the status in its file, but its lock is gone.
    running = about["status"] == layout.RUNNING and path is not None
    arrays = {name: array.data for name, array in stored.arrays.items()}

    def below(folder: str) -> dict[str, Any]:
        return {name.removeprefix(folder): data for name, data in arrays.items() if name.startswith(folder)}

    tracked, unrelated = below("trajectory/tracked/"), layout.null("unrelated").path
    step, score, captured = (
        arrays[entry.path] for entry in (layout.STEP, layout.SCORE, layout.CAPTURED_VARIANCE)
    )
    # In files of schema 1, which grew row by row, a killed process may have left datasets of different
    # lengths, and zeros for steps that were not written yet: only rows with increasing steps are complete.
    increasing = np.logical_and.accumulate(np.diff(step, prepend=-1) > 0)
    complete = min(int(increasing.sum()), *map(len, (score, captured, *tracked.values())))
    reference = {name.rpartition("/")[2]: name for name in arrays if name.startswith("reference/decoding/")}
    return Run(
        path=path,
        attributes={name: about[name] for name in layout.ATTRIBUTES},
        status=CRASHED if running and not at_work(path.parent) else about["status"],  # type: ignore[union-attr]
        pc_variance=arrays[layout.PC_VARIANCE.path],
        step=step[:complete],
        score=score[:complete],
        captured_variance=captured[:complete],
        tracked={name: scores[:complete] for name, scores in tracked.items()},
        half_capture=arrays.get(layout.HALF_CAPTURE.path),
        decoding_step=arrays.get(layout.DECODING_STEP.path, np.empty(0, np.int64)),
        decoding={name: arrays[layout.decoding(name).path] for name in reference},
        reference_decoding={
            name: {
                key: stored.arrays[place].attributes[key]
                for key in layout.DECODING_ATTRIBUTES
                if key in stored.arrays[place].attributes
            }
            | {"over_time": arrays[place]}
            for name, place in reference.items()
        },
        null=below("reference/null/"),
        null_facts=dict(stored.arrays[unrelated].attributes) if unrelated in arrays else {},
        attribution=below("final/attribution/"),
        final_shape=arrays[layout.FINAL_Y.path].shape if layout.FINAL_Y.path in arrays else (),
    )
