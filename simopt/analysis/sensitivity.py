"""What was found of the sensitivity of measures to the PCs of a recording, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt.store import analysis
from simopt.store.analysis import Array, Stored
from simopt.theory.sensitivity import Local, Sensitivity
from simopt.typing import FloatArray

ANALYSIS = "sensitivity"
_CURVES = ("theory", "expected", "band", "experiment")
_AXES = {"theory": "S K", "expected": "S K", "band": "S K", "experiment": "S K R"}


@dataclass(frozen=True)
class Sensitivities:
    """What was found.

    Attributes
    ----------
    dataset, source : str
        Of a spectrum alone its file's name, and ``spectrum``.
    variance_ratio : array, (K,)
    curves : list of Sensitivity
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
        """Return plain values; of one strength, lists over PCs, else lists of them."""
        return {
            "dataset": self.dataset,
            "source": self.source,
            "perturbation": self.perturbation,
            "strength": self.strengths[0] if len(self.strengths) == 1 else self.strengths,
            "variance_ratio": self.variance_ratio.tolist(),
            "measures": {curve.measure: self._curve(curve) for curve in self.curves},
            "skipped": self.skipped,
            "path": None if self.path is None else str(self.path),
        }

    def _curve(self, curve: Sensitivity) -> dict[str, Any]:
        spread = None if curve.experiment is None else curve.experiment.std(axis=-1)
        local = curve.local
        return {
            "theory": self._listed(curve.theory),
            "expected": self._listed(curve.expected),
            "band": self._listed(curve.band),
            "experiment": self._listed(curve.mean),
            "spread": self._listed(spread),
            "deviation": curve.deviation,
            "corrected_deviation": curve.corrected_deviation,
            "within_band": curve.within_band,
            "at_self": curve.at_self,
            "order": _numbers(local.order),
            "weight": _numbers(local.weight),
            "effective_components": _number(local.effective_components),
            "exponent": _number(local.exponent),
            "how": local.how,
        }

    def _listed(self, values: FloatArray | None) -> Any:
        if values is None:
            return None
        rows = [_numbers(row) for row in values]
        return rows[0] if len(rows) == 1 else rows


def content(result: Sensitivities, about: Mapping[str, Any]) -> Stored:
    """Return the file of a result, with more attributes: provenance, ``config`` and ``data_hash``."""
    arrays = {"reference/pc_variance": Array(result.variance_ratio, "K")}
    groups = {}
    for curve in result.curves:
        place = f"measures/{curve.measure}"
        for name in _CURVES:
            values = getattr(curve, name)
            if values is not None:
                arrays[f"{place}/{name}"] = Array(values, _AXES[name])
        arrays[f"{place}/order"] = Array(curve.local.order, "K")
        arrays[f"{place}/weight"] = Array(curve.local.weight, "K")
        groups[place] = {
            "at_self": curve.at_self,
            "effective_components": curve.local.effective_components,
            "exponent": curve.local.exponent,
            "how": curve.local.how,
        }
    for name, reason in result.skipped.items():
        groups[f"skipped/{name}"] = {"reason": reason}
    attributes = {
        **about,
        "dataset": result.dataset,
        "source": result.source,
        "perturbation": result.perturbation,
        "strengths": np.array(result.strengths),
        "seeds": result.seeds,
        "measures": [curve.measure for curve in result.curves],
    }
    return Stored(attributes, arrays, groups)


def read(path: Path) -> Sensitivities:
    """Return a stored result.

    Raises
    ------
    StorageError
        Not a readable result.
    """
    return analysis.read(path, ANALYSIS, lambda stored: _result(stored, path))


def _result(stored: Stored, path: Path) -> Sensitivities:
    about = stored.attributes
    curves = []
    for name in about["measures"]:
        place = f"measures/{name}"
        values = {key: stored.arrays.get(f"{place}/{key}") for key in _CURVES}
        facts = stored.groups[place]
        local = Local(
            stored.arrays[f"{place}/order"].data,
            stored.arrays[f"{place}/weight"].data,
            facts["effective_components"],
            facts["exponent"],
            facts["how"],
        )
        arrays = {key: None if array is None else array.data for key, array in values.items()}
        curves.append(Sensitivity(measure=name, at_self=facts["at_self"], local=local, **arrays))
    skipped = {
        place.partition("/")[2]: facts["reason"]
        for place, facts in stored.groups.items()
        if place.startswith("skipped/")
    }
    return Sensitivities(
        analysis.text(about["dataset"]),
        analysis.text(about["source"]),
        analysis.text(about["perturbation"]),
        np.ravel(about["strengths"]).tolist(),
        about["seeds"],
        stored.arrays["reference/pc_variance"].data,
        curves,
        skipped,
        path,
        "found",
    )


def _numbers(values: FloatArray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
