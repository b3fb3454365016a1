"""Reading any stored result."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from simopt.errors import StorageError
from simopt.store import analysis
from simopt.store.errors import reading_errors

if TYPE_CHECKING:
    from simopt.workflows.result import Result

_CLASSES = {
    "run": "run:RunResult",
    "sensitivity": "sensitivity:SensitivityResult",
    "joint": "joint:JointResult",
    "attribution": "attribute:AttributeResult",
    "comparison": "compare:CompareResult",
    "score": "compare:CompareResult",
    "explanation": "explain:ExplainResult",
    "card": "card:CardResult",
}
"""The module and class for each kind of file; imported only when such a file is read."""


def load_result(path: str | Path) -> Result:
    """Return a stored result: written by a command, by ``store=``, or by ``save``.

    Parameters
    ----------
    path : path
        An HDF5 file: run.h5, sensitivity.h5, joint.h5, attribution.h5, score.h5, or one that ``save`` wrote.

    Returns
    -------
    RunResult, SensitivityResult, JointResult, AttributeResult, CompareResult, ExplainResult or CardResult

    Raises
    ------
    StorageError
        The file cannot be read, or is not a result of simopt.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 8))
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> saved = simopt.optimize(X, max_steps=3).save(folder / "run.h5")
    >>> simopt.load_result(saved).step.tolist()
    [0, 1, 2, 3]
    """
    file = Path(path)
    with reading_errors(file, "result of simopt"):
        kind = analysis.kind_of(analysis.attributes(file))
        if kind not in _CLASSES:
            raise StorageError(f"{file}: its kind is {kind!r}; simopt reads {', '.join(_CLASSES)}.")
        result: Result = pkgutil.resolve_name(f"simopt.workflows.{_CLASSES[kind]}").load(file)
        return result
