"""The layout of a run file: every name, dtype, axes and unit, and the schema version.

T logged states, D of them decoded, R replicates, K principal components, B time bins, n samples, q units of
Y. All scores, captured variances and accuracies are dimensionless. The datasets of decoding are in files of
runs that have a decoder. The file is replaced as a whole at each checkpoint; while the run is not finished,
the group ``resume`` holds the state of the optimization.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt.errors import OtherSchemaError, StorageError
from simopt.store.image import Array

SCHEMA = 2
SCHEMAS = (1, 2)
"""The versions that are read; files of schema 1 have no ``identity``."""
RUN_FILE = "run.h5"
LOCK_FILE = ".lock"
RESUME = "resume"
"""The group with the state of an optimization that is not finished; its attribute ``state`` is JSON."""

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
STATUSES = (RUNNING, FINISHED, FAILED, INTERRUPTED)

ATTRIBUTES = {
    "schema": "int: version of this layout",
    "simopt_version": "text",
    "status": "text: running, finished, failed or interrupted",
    "stop_reason": "text: why the run stopped; of a failed one, what failed",
    "measure": "text: name",
    "dataset": "text: name",
    "source": "text: real or surrogate",
    "sign": "int: 1 where larger scores are closer, -1 for a distance",
    "seeds": "int (R,)",
    "config": "text: the resolved configuration, YAML",
    "config_hash": "text: SHA-256 of what changes the result",
    "data_hash": "text: SHA-256 of responses and labels",
    "identity": "text: JSON, what changes the result",
    "revisions": "text: JSON, the revision of what computed the numbers, by name",
    "created": "text: ISO 8601, UTC",
    "finished": "text: ISO 8601, UTC; empty while running",
    "wall_seconds": "float: seconds at work, over all sessions",
    "device": "text",
    "dtype": "text: of the optimization",
    "versions": "text: JSON, versions of python, torch, numpy, h5py",
    "git": "text: commit of the simopt checkout, empty where there is none",
}

DECODING_ATTRIBUTES = ("accuracy", "chance", "classes", "folds")
"""Of every dataset of :func:`reference_decoding`."""


def check_schema(path: Path, what: str, found: object) -> None:
    """Refuse a file of another schema version.

    Raises
    ------
    OtherSchemaError
        It is a later one.
    StorageError
        It is none.
    """
    if found not in SCHEMAS:
        later = isinstance(found, int) and found > SCHEMA
        kind = OtherSchemaError if later else StorageError
        raise kind(f"{path}: {what} of schema {found!r}; this version of simopt reads schema {SCHEMA}.")


@dataclass(frozen=True)
class Entry:
    """A dataset of the file: its path, dtype (None: that of the data), and axes."""

    path: str
    dtype: str | None
    axes: str
    scale: bool = False

    def at(self, data: Any, **attributes: Any) -> dict[str, Array]:
        """Return data as the file holds them, by their path."""
        packed = self.path == FINAL_Y.path
        return {self.path: Array(np.asarray(data, self.dtype), self.axes, attributes, packed, self.scale)}


REPLICATE = Entry("replicate", "i8", "R", scale=True)
"""The seed of each replicate."""
PC = Entry("pc", "i8", "K", scale=True)
"""The number of each principal component of the recording, from 1."""
PC_VARIANCE = Entry("reference/pc_variance", "f8", "K")
STEP = Entry("trajectory/step", "i8", "T", scale=True)
SCORE = Entry("trajectory/score", "f8", "T R")
CAPTURED_VARIANCE = Entry("trajectory/captured_variance", "f4", "T R K")
HALF_CAPTURE = Entry("summary/half_capture", "f8", "R K")
STEPS_TO_TARGET = Entry("summary/steps_to_target", "f8", "R")
DECODING_STEP = Entry("trajectory/decoding/step", "i8", "D", scale=True)
FINAL_Y = Entry("final/Y", None, "R n q")
"""In the precision of the run."""


def tracked(measure: str) -> Entry:
    """The scores of a measure that was only watched."""
    return Entry(f"trajectory/tracked/{measure}", "f8", "T R")


def decoding(variable: str) -> Entry:
    """The accuracy (of a continuous variable R2) with which a task variable is decoded from Y."""
    return Entry(f"trajectory/decoding/{variable}", "f8", "D R")


def reference_decoding(variable: str) -> Entry:
    """The same from X in each time bin, with the attributes DECODING_ATTRIBUTES."""
    return Entry(f"reference/decoding/{variable}", "f8", "B")


CEILING = Entry("reference/ceiling", "f8", "splits")
"""Split-half scores of the recording, with attributes ``value`` (what its noise-free responses would score),
``replicate``, ``interval`` and ``correction``; in files of runs with ``nulls`` on recordings with trials."""


def null(kind: str) -> Entry:
    """Scores of data with the spectrum of the recording and no relation to it, in runs with ``nulls``."""
    return Entry(f"reference/null/{kind}", "f8", "draws")


def good_score(variable: str) -> Entry:
    """The score at which a task variable is decodable from Y; NaN: never."""
    return Entry(f"summary/good_score/{variable}", "f8", "R")


def attribution(part: str) -> Entry:
    """The change of the last score without each of the ``pcs`` of X, ``samples``, or ``units`` of Y."""
    return Entry(f"final/attribution/{part}", "f8", f"R {part}")
