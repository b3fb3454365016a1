"""What a similarity score between a model and a brain means.

``score`` compares two datasets, ``measures.get`` gives a measure, ``load_dataset`` a recording or its
surrogate, and ``optimize`` follows the gradient of a score from noise and logs what is captured on the way.
Importing the package imports nothing heavy: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simopt import datasets, measures
    from simopt.datasets import Dataset
    from simopt.datasets import load as load_dataset
    from simopt.measures import score
    from simopt.optimization import Trajectory, optimize

__version__ = "0.1.0"

__all__ = ["Dataset", "Trajectory", "datasets", "load_dataset", "measures", "optimize", "score"]

_HOME = {
    "Dataset": ("simopt.datasets", "Dataset"),
    "Trajectory": ("simopt.optimization", "Trajectory"),
    "load_dataset": ("simopt.datasets", "load"),
    "optimize": ("simopt.optimization", "optimize"),
    "score": ("simopt.measures", "score"),
}


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
