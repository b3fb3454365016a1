"""The layout of a run file: every name, dtype, axes and unit, and the schema version.

T logged states, R replicates, K principal components, n samples, q units of Y. All scores and captured
variances are dimensionless.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 1
RUN_FILE = "run.h5"
CHECKPOINT_FILE = "checkpoint.npz"
LOCK_FILE = ".lock"

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
    "seeds": "int (R,)",
    "config": "text: the resolved configuration, YAML",
    "config_hash": "text: SHA-256 of what changes the result",
    "data_hash": "text: SHA-256 of responses and labels",
    "created": "text: ISO 8601, UTC",
    "finished": "text: ISO 8601, UTC; empty while running",
    "wall_seconds": "float: seconds at work, over all sessions",
    "device": "text",
    "dtype": "text: of the optimisation",
    "versions": "text: JSON, versions of python, torch, numpy, h5py",
    "git": "text: commit of the simopt checkout, empty where there is none",
}


@dataclass(frozen=True)
class Entry:
    """A dataset of the file: its path, dtype, and axes."""

    path: str
    dtype: str
    axes: str


PC_VARIANCE = Entry("reference/pc_variance", "f8", "K")
STEP = Entry("trajectory/step", "i8", "T")
SCORE = Entry("trajectory/score", "f8", "T R")
CAPTURED_VARIANCE = Entry("trajectory/captured_variance", "f4", "T R K")
HALF_CAPTURE = Entry("summary/half_capture", "f8", "R K")
STEPS_TO_TARGET = Entry("summary/steps_to_target", "f8", "R")
FINAL_Y = Entry("final/Y", "f4", "R n q")


def tracked(measure: str) -> Entry:
    """The scores of a measure that was only watched."""
    return Entry(f"trajectory/tracked/{measure}", "f8", "T R")
