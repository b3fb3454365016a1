"""The work of ``simopt attribute``: what a score hangs on, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simopt import measures
from simopt.analysis.attribution import Attribution, leave_one_pc, leave_one_sample, leave_one_unit
from simopt.app import inputs
from simopt.app.build import as_node
from simopt.app.compose import compose
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures import Measure
from simopt.typing import FloatArray


def chosen(x: str, overrides: list[str]) -> tuple[Measure, Dataset]:
    """Return the measure and the reference that the overrides describe."""
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if key != "measure" and not key.startswith(("measure.", "dataset.")):
            raise InputError(
                f"{override!r}: `simopt attribute X Y` takes measure=NAME, measure.OPTION=VALUE and "
                "dataset.OPTION=VALUE."
            )
        if key == "measure" and ("," in value or value == "all"):
            raise InputError(f"{override!r}: `simopt attribute` takes one measure.")
    reference = inputs.as_overrides(x)
    if reference[0] == "dataset=file":
        reference.append("dataset.constant_units=keep")
    every = [*reference, *overrides]
    measure = measures.build(as_node(compose(every).config.measure, "measure"))
    return measure, inputs.recording(every)


def attribution(
    X: FloatArray, Y: FloatArray, measure: Measure, by: str, observe: Callable[[int, int], None]
) -> Attribution:
    """Return the attribution to ``pcs``, ``samples``, ``units`` (of Y) or ``x-units``."""
    if by == "pcs":
        return leave_one_pc(X, Y, measure, observe=observe)
    if by == "samples":
        return leave_one_sample(X, Y, measure, observe=observe)
    return leave_one_unit(X, Y, measure, side="X" if by == "x-units" else "Y", observe=observe)


def about_samples(dataset: Dataset) -> dict[str, list[Any]]:
    """Return what is known of each sample: its time bin and condition where there is time, and its labels."""
    *leading, conditions, _ = dataset.responses.shape
    bins = leading[0] if leading else 1
    known: dict[str, list[Any]] = {}
    if leading:
        known["time bin"] = np.repeat(np.arange(bins), conditions).tolist()
        known["condition"] = np.tile(np.arange(conditions), bins).tolist()
    for variable, labels in dataset.labels.items():
        known[variable] = np.tile(labels, bins).tolist()
    return known


def rows(about: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return what is known of the samples, one by one."""
    return [dict(zip(about, values, strict=True)) for values in zip(*about.values(), strict=True)]


def as_json(found: Attribution, dataset: Dataset, about: dict[str, list[Any]]) -> dict[str, Any]:
    """Return an attribution as plain values, with null for what is not finite."""

    def listed(values: Any) -> list[float | None] | None:
        return None if values is None else [float(v) if np.isfinite(v) else None for v in values]

    return {
        "measure": found.measure,
        "dataset": dataset.name,
        "source": dataset.source,
        "part": found.part,
        "larger_is_closer": found.larger_is_closer,
        "score": found.score,
        "change": listed(found.change),
        "first_order": listed(found.first_order),
        "share": listed(found.share),
        "ranking": found.ranking().tolist(),
        "route": found.route,
        "refitted": found.refitted,
        "reason": found.reason,
        "about": about,
    }
