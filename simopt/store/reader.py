"""Reading run files: as data, and defensively."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from simopt.errors import OtherSchemaError, StorageError
from simopt.store import checksum, layout
from simopt.store.analysis import text
from simopt.store.errors import other_schema, reading_errors
from simopt.store.growing import complete_rows
from simopt.store.layout import Entry
from simopt.typing import FloatArray

Content = TypeVar("Content")

_RUN_FILE = "run file"
CRASHED = "crashed"
"""What a run is called whose file says running while nobody writes it."""


@dataclass(frozen=True)
class Run:
    """One stored run.

    Attributes
    ----------
    path : Path
    attributes : dict
        By the names of ``layout.ATTRIBUTES``.
    status : str
        As stored, or ``crashed``.
    pc_variance : array, (K,)
    step : array of int, (T,)
    score : array, (T, R)
    captured_variance : array, (T, R, K)
    tracked : dict of array, (T, R)
    half_capture : array, (R, K), or None
        None while the run is not finished.
    decoding_step : array of int, (D,)
        The logged steps at which Y was decoded; empty without a decoder, and in a run that is still going on.
    decoding : dict of array, (D, R)
        Accuracy by task variable, R2 where it is continuous.
    reference_decoding : dict of dict
        By task variable what was decoded from the recording: ``accuracy``, ``chance``, ``classes`` (0:
        continuous), ``folds``, and ``over_time`` (B,), in each time bin.
    """

    path: Path
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

    @property
    def decoding_score(self) -> FloatArray:
        """The scores at the steps at which Y was decoded, (D, R)."""
        score: FloatArray = self.score[np.searchsorted(self.step, self.decoding_step)]
        return score

    @property
    def dataset(self) -> str:
        """The dataset's name with its source, as every table and figure shows it."""
        return f"{self.attributes['dataset']} ({self.attributes['source']})"

    @property
    def measure(self) -> str:
        """The measure's name."""
        return str(self.attributes["measure"])

    @property
    def run_id(self) -> str:
        """The name of the run's folder."""
        return self.path.parent.name


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the run files at and below some paths, sorted, each once."""
    found: set[Path] = set()
    for path in paths:
        found.update([path] if path.is_file() else path.rglob(layout.RUN_FILE))
    return sorted(found)


def read(path: Path) -> Run:
    """Read a run file, also one that is being written: up to its last complete row.

    Raises
    ------
    StorageError
        Not a run file, of another schema version, or broken.
    """
    with reading_errors(path, _RUN_FILE):
        try:
            with checksum.opened(path) as file:
                return _run(file, path, live=False)
        except BlockingIOError:
            with checksum.opened(path, locking=False) as file:
                return _run(file, path, live=True)


def if_whole(reading: Callable[[Path], Content], path: Path) -> Content | None:
    """Return what a function reads from a file; None where there is none or a broken one, to be made again.

    Raises
    ------
    OtherSchemaError
        Another version reads the file.
    """
    try:
        return reading(path)
    except OtherSchemaError:
        raise
    except StorageError:
        return None


def status(path: Path) -> str:
    """Return the stored status of a run file, once it is seen that the file is whole.

    Raises
    ------
    StorageError
        As :func:`read`; an OtherSchemaError where another version reads it.
    """
    with reading_errors(path, _RUN_FILE), checksum.opened(path) as file:
        _check(file, path)
        return str(file.attrs["status"])


def _check(file: h5py.File, path: Path) -> None:
    schema = file.attrs.get("schema")
    if schema != layout.SCHEMA:
        raise other_schema(path, "a run", schema, layout.SCHEMA)


def _run(file: h5py.File, path: Path, live: bool) -> Run:
    _check(file, path)
    attributes = {name: _plain(file.attrs[name]) for name in layout.ATTRIBUTES}
    for name, about in layout.ATTRIBUTES.items():
        if about.startswith("text"):
            text(attributes[name])
    crashed = attributes["status"] == layout.RUNNING and not live
    watched = file.get("trajectory/tracked", {})
    # Steps first: the writer writes them last, so what is read after them has as many whole rows at least.
    rows: dict[Entry, np.ndarray] = {
        entry: file[entry.path][()]
        for entry in (layout.STEP, layout.SCORE, layout.CAPTURED_VARIANCE, *map(layout.tracked, watched))
    }
    complete = min(complete_rows(rows[layout.STEP]), *(len(data) for data in rows.values()))
    half, decoded = layout.HALF_CAPTURE.path, layout.DECODING_STEP.path
    variables = file.get("reference/decoding", {})
    return Run(
        path=path,
        attributes=attributes,
        status=CRASHED if crashed else attributes["status"],
        pc_variance=file[layout.PC_VARIANCE.path][()],
        step=rows[layout.STEP][:complete],
        score=rows[layout.SCORE][:complete],
        captured_variance=rows[layout.CAPTURED_VARIANCE][:complete],
        tracked={name: rows[layout.tracked(name)][:complete] for name in watched},
        half_capture=file[half][()] if half in file else None,
        decoding_step=file[decoded][()] if decoded in file else np.empty(0, np.int64),
        decoding={name: file[layout.decoding(name).path][()] for name in variables},
        reference_decoding={
            name: {key: _plain(dataset.attrs[key]) for key in layout.DECODING_ATTRIBUTES}
            | {"over_time": dataset[()]}
            for name, dataset in variables.items()
        },
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
