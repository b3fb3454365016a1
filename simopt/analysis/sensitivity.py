"""Results on the sensitivity of measures to the PCs of a recording, and their file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.store import analysis
from simopt.store.analysis import Array, Stored
from simopt.theory.sensitivity import Local, Sensitivity
from simopt.typing import FloatArray

ANALYSIS = "sensitivity"
_CURVES = {"theory": "S K", "expected": "S K", "band": "S K", "experiment": "S K R"}
"""Arrays of a measure with their axes: S strengths, K PCs, R seeds. Each may be missing."""
_ABOUT = ("dataset", "source", "perturbation", "seeds")


@dataclass(frozen=True)
class Sensitivities:
    """The sensitivity of several measures to the PCs of a recording.

    Attributes
    ----------
    dataset, source : str
        For a spectrum without a recording: the name of its file, and ``spectrum``.
    perturbation : str
        Kind of change of each PC.
    strengths : list of S floats
        Strengths of the perturbation, in its own unit (degrees for a rotation).
    seeds : int
        Number of experiments, R.
    variance_ratio : array, (K,)
    curves : list of Sensitivity
        One for each measure.
    skipped : dict of str
        The reason for each measure that does not apply.
    path : Path or None
        Of the stored result; a spectrum alone is not stored.
    how : str
        ``done`` or ``found``.
    """

    dataset: str
    source: str
    perturbation: str
    strengths: list[float]
    seeds: int
    variance_ratio: FloatArray
    curves: list[Sensitivity]
    skipped: dict[str, str]
    path: Path | None
    how: str

    def as_json(self) -> dict[str, Any]:
        """Return JSON values. Curves are lists over PCs for one strength, lists of such lists for several."""
        plain: dict[str, Any] = checks.as_plain(
            {
                "dataset": self.dataset,
                "source": self.source,
                "perturbation": self.perturbation,
                "strength": self.strengths[0] if len(self.strengths) == 1 else self.strengths,
                "variance_ratio": self.variance_ratio,
                "measures": {curve.measure: _curve(curve) for curve in self.curves},
                "skipped": self.skipped,
                "path": self.path,
            }
        )
        return plain


def _curve(curve: Sensitivity) -> dict[str, Any]:
    spread = None if curve.experiment is None else curve.experiment.std(axis=-1)
    curves = {name: getattr(curve, name) for name in ("theory", "expected", "band")}
    curves |= {"experiment": curve.mean, "spread": spread}
    return {
        **{name: rows[0] if rows is not None and len(rows) == 1 else rows for name, rows in curves.items()},
        "deviation": curve.deviation,
        "corrected_deviation": curve.corrected_deviation,
        "within_band": curve.within_band,
        "at_self": curve.at_self,
        **vars(curve.local),
    }


def content(result: Sensitivities) -> Stored:
    """Return the content of the file of a result."""
    arrays = {"reference/pc_variance": Array(result.variance_ratio, "K")}
    groups = {}
    for curve in result.curves:
        place = f"measures/{curve.measure}"
        for name, axes in _CURVES.items():
            if getattr(curve, name) is not None:
                arrays[f"{place}/{name}"] = Array(getattr(curve, name), axes)
        facts = {"at_self": curve.at_self, **vars(curve.local)}
        for name in ("order", "weight"):
            arrays[f"{place}/{name}"] = Array(facts.pop(name), "K")
        groups[place] = facts
    for name, reason in result.skipped.items():
        groups[f"skipped/{name}"] = {"reason": reason}
    attributes = {
        **{name: getattr(result, name) for name in _ABOUT},
        "strengths": np.array(result.strengths),
        "measures": [curve.measure for curve in result.curves],
    }
    return Stored(attributes, arrays, groups)


def read(path: Path) -> Sensitivities:
    """Return a stored result.

    Raises
    ------
    StorageError
        The file is not a readable result.
    """
    return analysis.read(path, ANALYSIS, lambda stored: _result(stored, path))


def _result(stored: Stored, path: Path) -> Sensitivities:
    about, arrays = stored.attributes, {name: array.data for name, array in stored.arrays.items()}
    curves = []
    for name in about["measures"]:
        place = f"measures/{name}"
        facts = stored.groups[place] | {key: arrays[f"{place}/{key}"] for key in ("order", "weight")}
        local = Local(**{field.name: facts[field.name] for field in fields(Local)})
        present = {key: arrays.get(f"{place}/{key}") for key in _CURVES}
        curves.append(Sensitivity(measure=name, at_self=facts["at_self"], local=local, **present))
    skipped = {
        place.partition("/")[2]: facts["reason"]
        for place, facts in stored.groups.items()
        if place.startswith("skipped/")
    }
    return Sensitivities(
        **{name: analysis.text(about[name]) for name in _ABOUT if name != "seeds"},
        strengths=np.ravel(about["strengths"]).astype(float).tolist(),
        seeds=about["seeds"],
        variance_ratio=arrays["reference/pc_variance"],
        curves=curves,
        skipped=skipped,
        path=path,
        how="found",
    )
