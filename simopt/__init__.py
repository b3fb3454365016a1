"""What a similarity score between a model and a brain means.

``score`` compares two datasets; ``compare`` adds a null and a noise ceiling to each score. ``optimize``
changes noise along the gradient of its score against a recording, and logs what of the recording it has
captured at every score. ``explain`` interprets scores with such runs. ``attribute``, ``sensitivity``,
``joint`` and ``card`` show what a score depends on. ``measures`` lists and builds measures, ``load_dataset``
loads recordings, and ``load_result`` reads stored results. Names and subpackages are imported when they are
first used, so ``import simopt`` is fast.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simopt import analysis, datasets, measures, optimization, ranges, report, store, theory, workflows  # noqa: F401
    from simopt.datasets import Dataset
    from simopt.datasets import load as load_dataset
    from simopt.measures import score
    from simopt.optimization.trajectory import Trajectory
    from simopt.workflows.attribute import attribute
    from simopt.workflows.card import card
    from simopt.workflows.compare import compare
    from simopt.workflows.explain import explain
    from simopt.workflows.joint import joint
    from simopt.workflows.result import load_result
    from simopt.workflows.run import RunResult, optimize
    from simopt.workflows.sensitivity import sensitivity

__version__ = "0.1.0"

_DEFINED_IN = {
    "Dataset": "simopt.datasets:Dataset",
    "RunResult": "simopt.workflows.run:RunResult",
    "Trajectory": "simopt.optimization.trajectory:Trajectory",
    "attribute": "simopt.workflows.attribute:attribute",
    "card": "simopt.workflows.card:card",
    "compare": "simopt.workflows.compare:compare",
    "explain": "simopt.workflows.explain:explain",
    "joint": "simopt.workflows.joint:joint",
    "load_dataset": "simopt.datasets:load",
    "load_result": "simopt.workflows.result:load_result",
    "optimize": "simopt.workflows.run:optimize",
    "score": "simopt.measures:score",
    "sensitivity": "simopt.workflows.sensitivity:sensitivity",
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


def _submodules() -> list[str]:
    # A module directly in this folder must not have the name of a public function: Python would put the
    # module in its place as soon as anyone imports it.
    return [module.name for module in pkgutil.iter_modules(__path__)]


if not TYPE_CHECKING:  # for a type checker, any name would exist

    def __getattr__(name: str) -> Any:
        if name in _DEFINED_IN:
            return pkgutil.resolve_name(_DEFINED_IN[name])
        if name in _submodules():
            return importlib.import_module(f"simopt.{name}")
        raise AttributeError(f"module 'simopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_submodules()})
