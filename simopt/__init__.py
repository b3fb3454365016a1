"""What a similarity score between a model and a brain means.

``score`` compares two datasets and ``compare`` adds null and ceiling. ``optimize`` follows the gradient of a
score from noise and logs what is captured on the way; ``explain`` reads scores off such runs. ``attribute``,
``sensitivity``, ``joint`` and ``card`` say what a score depends on. ``measures`` and ``load_dataset`` give
measures and recordings, ``load_result`` what is stored. Importing the package imports nothing heavy: each
name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simopt import datasets, measures
    from simopt.datasets import Dataset
    from simopt.datasets import load as load_dataset
    from simopt.measures import score
    from simopt.optimization.trajectory import Trajectory
    from simopt.workflows.attribute import attribute
    from simopt.workflows.card import card
    from simopt.workflows.compare import compare
    from simopt.workflows.explain import explain
    from simopt.workflows.joint import joint
    from simopt.workflows.loading import load_result
    from simopt.workflows.run import RunResult, optimize
    from simopt.workflows.sensitivity import sensitivity

__version__ = "0.1.0"

_HOME = {
    "Dataset": ("simopt.datasets", "Dataset"),
    "RunResult": ("simopt.workflows.run", "RunResult"),
    "Trajectory": ("simopt.optimization.trajectory", "Trajectory"),
    "attribute": ("simopt.workflows.attribute", "attribute"),
    "card": ("simopt.workflows.card", "card"),
    "compare": ("simopt.workflows.compare", "compare"),
    "explain": ("simopt.workflows.explain", "explain"),
    "joint": ("simopt.workflows.joint", "joint"),
    "load_dataset": ("simopt.datasets", "load"),
    "load_result": ("simopt.workflows.loading", "load_result"),
    "optimize": ("simopt.workflows.run", "optimize"),
    "score": ("simopt.measures", "score"),
    "sensitivity": ("simopt.workflows.sensitivity", "sensitivity"),
}

__all__ = [
    "Dataset",
    "RunResult",
    "Trajectory",
    "attribute",
    "card",
    "compare",
    "datasets",
    "explain",
    "joint",
    "load_dataset",
    "load_result",
    "measures",
    "optimize",
    "score",
    "sensitivity",
]


if not TYPE_CHECKING:  # a type checker would take every name to be there

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            module, attribute = _HOME[name]
            return getattr(importlib.import_module(module), attribute)
        if name in ("datasets", "measures"):
            return importlib.import_module(f"simopt.{name}")
        raise AttributeError(f"module 'simopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
