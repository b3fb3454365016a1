"""Reading any stored result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simopt.errors import StorageError
from simopt.store import analysis, reader

if TYPE_CHECKING:
    from simopt.workflows.result import Result


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
    kind = analysis.attributes(place).get("analysis", "run")
    if kind == "run":
        from simopt.workflows.run import RunResult

        return RunResult.of_run(reader.read(place))
    if kind == "sensitivity":
        from simopt.analysis.sensitivity import read as read_sensitivity
        from simopt.workflows.sensitivity import SensitivityResult

        return SensitivityResult.of(read_sensitivity(place))
    if kind == "joint":
        from simopt.ranges.result import read as read_joint
        from simopt.workflows.joint import JointResult

        return JointResult.of(read_joint(place))
    return _packed(place, str(kind))


def _packed(path: Path, kind: str) -> Result:
    """Return a result of those that are stored field by field."""
    from simopt.analysis.standing import Standing
    from simopt.workflows.attribute import AttributeResult
    from simopt.workflows.card import CardResult
    from simopt.workflows.compare import CompareResult
    from simopt.workflows.explain import ExplainResult
    from simopt.workflows.result import unpacked

    kinds: dict[str, type[Result]] = {
        "attribution": AttributeResult,
        "comparison": CompareResult,
        "explanation": ExplainResult,
        "card": CardResult,
    }
    if kind == "score":
        standing = analysis.read(path, kind, lambda stored: unpacked(stored, Standing))
        about = analysis.attributes(path)
        return CompareResult(
            name=str(about["y"]),
            dataset=str(about["dataset"]),
            source=str(about["source"]),
            standings=[standing],
            path=path,
            how="found",
        )
    if kind not in kinds:
        raise StorageError(
            f"{path}: holds {kind!r}; there are: run, sensitivity, joint, score, {', '.join(kinds)}."
        )
    result: Result = analysis.read(path, kind, lambda stored: unpacked(stored, kinds[kind]))
    return result
