"""Reading any stored result."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from simopt.errors import StorageError
from simopt.store import analysis
from simopt.store.errors import reading_errors

if TYPE_CHECKING:
    from simopt.workflows.result import Result

_HOMES = {
    "run": ("run", "RunResult"),
    "sensitivity": ("sensitivity", "SensitivityResult"),
    "joint": ("joint", "JointResult"),
    "attribution": ("attribute", "AttributeResult"),
    "comparison": ("compare", "CompareResult"),
    "score": ("compare", "ScoreFile"),
    "explanation": ("explain", "ExplainResult"),
    "card": ("card", "CardResult"),
}
"""The class of each kind of file; it is imported where a file asks for it."""


def load_result(path: str | Path) -> Result:
    """Return the result that a file holds: one of a command, or of ``save``.

    Parameters
    ----------
    path : path
        An HDF5 file: run.h5, sensitivity.h5, joint.h5, attribution.h5, score.h5, or what ``save`` wrote.

    Returns
    -------
    RunResult, SensitivityResult, JointResult, AttributeResult, CompareResult, ExplainResult or CardResult

    Raises
    ------
    StorageError
        It cannot be read, or holds no result of simopt.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 8))
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> saved = simopt.optimize(X, max_steps=3).save(folder / "run.h5")
    >>> simopt.load_result(saved).step.tolist()
    [0, 1, 2, 3]
    """
    place = Path(path)
    with reading_errors(place, "result of simopt"):
        kind = analysis.text(analysis.attributes(place).get("analysis", "run"))
        if kind not in _HOMES:
            raise StorageError(f"{place}: holds {kind!r}; there are: {', '.join(_HOMES)}.")
        module, name = _HOMES[kind]
        found: Result = getattr(importlib.import_module(f"simopt.workflows.{module}"), name).load(place)
        return found
