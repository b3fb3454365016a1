"""The layout of a run file: names, dtypes, axes and units of its datasets, and the schema version.

Axes: T logged states, D decoded states, R replicates, K principal components of the recording, B time bins,
n samples, q units of Y. All scores, captured variances and accuracies are dimensionless.

The datasets ``replicate``, ``pc`` and ``step`` are HDF5 dimension scales of the axes R, K, T and D. xarray
reads a group with its dimensions: ``xarray.open_dataset(path, group="trajectory", engine="h5netcdf")``.

Only runs with a decoder have datasets on decoding. The file is replaced as a whole at each checkpoint. While
the run is not finished, the group ``resume`` holds the state of the optimization.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simopt.store.image import Array

SCHEMA = 2
SCHEMAS = (1, 2)
"""Versions of the layout that can be read. Files of schema 1 have no attribute ``identity``."""
RUN_FILE = "run.h5"
LOCK_FILE = ".lock"
RESUME = "resume"
"""Group with the state of an unfinished optimization; the attribute ``state`` is JSON that refers to its
arrays."""

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
STATUSES = (RUNNING, FINISHED, FAILED, INTERRUPTED)

ATTRIBUTES = {
    "schema": "int: version of this layout",
    "simopt_version": "text",
    "status": "text: running, finished, failed or interrupted",
    "stop_reason": "text: why the run stopped; for a failed run the message of the error",
    "measure": "text: name",
    "dataset": "text: name",
    "source": "text: real or surrogate",
    "sign": "int: 1 for a similarity, -1 for a distance",
    "seeds": "int (R,)",
    "config": "text: the resolved configuration, YAML",
    "config_hash": "text: SHA-256 of the values that change the result",
    "data_hash": "text: SHA-256 of responses and labels",
    "identity": "text: JSON, the values that change the result",
    "revisions": "text: JSON, the revision of each piece of code that computed the numbers, by name",
    "created": "text: ISO 8601, UTC",
    "finished": "text: ISO 8601, UTC; empty while running",
    "wall_seconds": "float: working time in seconds, summed over all sessions",
    "device": "text",
    "dtype": "text: dtype of the optimization",
    "versions": "text: JSON, versions of python, torch, numpy, h5py",
    "git": "text: commit of the simopt checkout, empty if there is no checkout",
}

DECODING_ATTRIBUTES = ("accuracy", "chance", "classes", "folds", "predictions", "p_value")
"""Attributes of every dataset of :func:`reference_decoding`. Files of earlier versions lack the last two."""


@dataclass(frozen=True)
class Entry:
    """Path, dtype and axes of one HDF5 dataset of a run file.

    Attributes
    ----------
    path : str
    dtype : str or None
        numpy dtype of the stored values. None: the dtype of the data is kept.
    axes : str
        Names of the axes, separated by spaces; the module docstring defines them.
    scale : bool
        Whether this is an HDF5 dimension scale: the coordinates of its only axis.
    """

    path: str
    dtype: str | None
    axes: str
    scale: bool = False

    def at(self, data: Any, **attributes: Any) -> dict[str, Array]:
        """Return a dict with the path as its only key and the data, as the file stores them, as its value."""
        packed = self.path == FINAL_Y.path
        return {self.path: Array(np.asarray(data, self.dtype), self.axes, attributes, packed, self.scale)}


REPLICATE = Entry("replicate", "i8", "R", scale=True)
"""The seed of each replicate."""
PC = Entry("pc", "i8", "K", scale=True)
"""The number of each principal component of the recording; the first has the number 1."""
PC_VARIANCE = Entry("reference/pc_variance", "f8", "K")
STEP = Entry("trajectory/step", "i8", "T", scale=True)
SCORE = Entry("trajectory/score", "f8", "T R")
# float32 halves what is the largest dataset of most runs; its values are in [0, 1].
CAPTURED_VARIANCE = Entry("trajectory/captured_variance", "f4", "T R K")
HALF_CAPTURE = Entry("summary/half_capture", "f8", "R K")
STEPS_TO_TARGET = Entry("summary/steps_to_target", "f8", "R")
DECODING_STEP = Entry("trajectory/decoding/step", "i8", "D", scale=True)
FINAL_Y = Entry("final/Y", None, "R n q")
"""The last Y, in the dtype of the run."""


def tracked(measure: str) -> Entry:
    """Return the entry for the scores of a measure that was evaluated along the run but not optimized."""
    return Entry(f"trajectory/tracked/{measure}", "f8", "T R")


def decoding(variable: str) -> Entry:
    """Return the entry for the accuracy (R2 if continuous) of a task variable decoded from Y."""
    return Entry(f"trajectory/decoding/{variable}", "f8", "D R")


def reference_decoding(variable: str) -> Entry:
    """Return the entry for the accuracy of a task variable decoded from X in each of B time bins, (B,).

    The HDF5 dataset has the attributes :data:`DECODING_ATTRIBUTES`.
    """
    return Entry(f"reference/decoding/{variable}", "f8", "B")


CEILING = Entry("reference/ceiling", "f8", "splits")
"""Scores of one half of the trials against the other. They exist in runs with ``nulls`` > 0 on recordings
with single trials. The attributes ``value``, ``replicate``, ``interval``, ``correction`` and ``reason`` of
the HDF5 dataset are those of :class:`simopt.analysis.ceilings.Ceiling`."""


def null(kind: str) -> Entry:
    """Return the entry for the null, the scores of unrelated data. Runs with ``nulls`` > 0 have it."""
    return Entry(f"reference/null/{kind}", "f8", "draws")


def good_score(variable: str) -> Entry:
    """Return the entry for the score from which on a task variable can be decoded from Y.

    The score is NaN for a replicate in which the variable never became decodable.
    """
    return Entry(f"summary/good_score/{variable}", "f8", "R")


def attribution(part: str) -> Entry:
    """Return the entry for the changes of the last score without each PC of X, sample, or unit of Y.

    Parameters
    ----------
    part : {"pcs", "samples", "units"}
        What is left out.
    """
    return Entry(f"final/attribution/{part}", "f8", f"R {part}")
