"""The sensitivity of measures to the PCs of a recording, and the file that stores it."""

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
"""The arrays of a measure with their axes (S strengths, K PCs, R seeds). Any of them may be missing."""
_ABOUT = ("dataset", "source", "perturbation", "seeds")


@dataclass(frozen=True)
class Sensitivities:
    """The sensitivity of several measures to the PCs of a recording.

    Attributes
    ----------
    dataset, source : str
        Name of the recording, and ``real`` or ``surrogate``. For a spectrum without data: the name of its
        file, and ``spectrum``.
    perturbation : str
        How each PC was changed.
    strengths : list of S floats
        Strengths of the perturbation, in the unit of its kind (degrees for a rotation).
    seeds : int
        Number R of experiments.
    variance_ratio : array, (K,)
        Share of each PC in the variance of the recording.
    curves : list of Sensitivity
        The sensitivity of each measure.
    skipped : dict of str
        For each measure that cannot score the recording: the reason.
    path : Path or None
        Path of the stored result; None for a spectrum, whose results are not stored.
    how : str
        ``done`` if the result was computed now, ``found`` if it was read from its file.
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
        """Return the sensitivities as JSON values.

        A curve is a list over PCs. For several strengths it holds one such list for each strength.
        """
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
    """Return the content of the file that stores a result."""
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
    """Return the result that a file holds.

    Raises
    ------
    StorageError
        The file cannot be read, or does not hold sensitivities.
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
