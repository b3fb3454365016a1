"""Numbers that stored results rest on: none moves unless the revision of what computes it is raised.

``python -m tests.test_revisions`` stores the numbers of what is new or has a new revision.
"""

import json
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from simopt import catalogue, measures, optimize
from simopt.analysis import attribution, ceilings, nulls
from simopt.analysis.decoding import PUBLISHED, Decoder
from simopt.analysis.good_score import good_score
from simopt.datasets.base import Trials
from simopt.measures import FunctionMeasure, Reference
from simopt.ranges.boundary import Boundary, Options
from simopt.theory.sensitivity import experiment

STORED = Path(__file__).parent / "data" / "revisions.json"
REMEDY = "raise the revision in simopt/catalogue.py and run `python -m tests.test_revisions`"
Numbers = dict[str, list[float]]

RNG = np.random.default_rng(20250611)
X = RNG.standard_normal((40, 8)) * np.linspace(2, 0.2, 8) + RNG.standard_normal(8)
Y = X @ RNG.standard_normal((8, 6)) / 2 + RNG.standard_normal((40, 6))
CLASSES = np.arange(40) % 4
SEPARATED = 0.5 * X + RNG.standard_normal((4, 8))[CLASSES]
CONDITION = np.repeat(np.arange(40), 4)
TRIALS = Trials(3 * X[CONDITION] + RNG.standard_normal((160, 8)), CONDITION)
NEEDED = {"crossnobis": {"repeats": 2}}
"""Options of measures whose own do not say how the samples are repeated."""


def overlap(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the root mean square of X'Y: a score that no change of the catalogue moves."""
    return (x.T @ y).square().mean().sqrt()


OVERLAP = FunctionMeasure(name="overlap", function=overlap)
KERNELS = [measures.get(name) for name in ("cka", "cka_debiased", "nbs")]


def measured(name: str) -> list[float]:
    """Return the score of X and Y, and the norm of its gradient where there is one."""
    family = next((family for family in NEEDED if family in name and "singular" not in name), "")
    measure = measures.get(name, **NEEDED.get(family, {}))
    leaf = torch.from_numpy(Y).requires_grad_(measure.differentiable)
    score = measure.bind(X)(leaf)
    if measure.differentiable:
        score.backward()
    return [score.item(), *([] if leaf.grad is None else [leaf.grad.norm().item()])]


TIME = np.cumsum(X, axis=0), np.cumsum(Y, axis=0)


def null(kind: str) -> list[float]:
    sides = TIME if kind == nulls.INNOVATIONS else (X, Y)
    conditions = 10 if kind == nulls.WITHOUT_COURSE else None
    return nulls.nulls(*sides, [OVERLAP], conditions=conditions, draws=3)["overlap"][kind].scores.tolist()


def ceiling(of: ceilings.Ceiling) -> list[float]:
    return [of.value, of.replicate, *of.interval, *of.halves.tolist()]


def decoded(decoder: Decoder) -> list[float]:
    found = [decoder.decode(SEPARATED, labels) for labels in (CLASSES, X[:, 0])]
    return [number for each in found for number in (each.accuracy, each.p_value)]


def sensitivities() -> Numbers:
    found = experiment(X, [measures.get("cka"), OVERLAP], "rotation", [20.0], seeds=(0, 1), pcs=[1, 8])
    return {each.measure: each.experiment[0, [0, 7]].ravel().tolist() for each in found}


def run() -> Numbers:
    found = optimize(X, OVERLAP, target=1e9, max_steps=5, dtype="float64")
    return {"score": found.score[:, 0].tolist(), "captured": found.captured_variance[-1, 0].tolist()}


def joint_range() -> Numbers:
    pair = measures.get("cka"), measures.get("nbs")
    search = Boundary(
        Reference.of(X), *pair, [0.4, 0.6, 0.8], Options(starts=2, steps=12, rounds=1, between=1)
    )
    search.run()
    found = search.extremes()
    return {"extremes": found.value.ravel().tolist(), "points": found.points.mean(axis=0).tolist()}


def parts(of: attribution.Attribution) -> Numbers:
    return {of.measure: of.change[:4].tolist()}


def of_measures() -> dict[str, Callable[[], Numbers]]:
    """Return what computes the numbers of each class of measures: all its entries, variants included."""
    classes: dict[str, list[str]] = {}
    for name in measures.distinct():
        if name != "brainscore-pls25":  # needs 25 units
            classes.setdefault(catalogue.read("measure", name)["_target_"], []).append(name)
    return {
        path: lambda names=names: {name: measured(name) for name in names} for path, names in classes.items()
    }


COMPUTED: dict[str, Callable[[], Numbers]] = {
    **of_measures(),
    "simopt.analysis.nulls.nulls": lambda: {
        kind: null(kind) for kind in (nulls.UNRELATED, nulls.INNOVATIONS, nulls.WITHOUT_COURSE)
    },
    "simopt.analysis.ceilings.from_trials": lambda: {
        name: ceiling(of) for name, of in ceilings.from_trials(TRIALS, [OVERLAP, *KERNELS], splits=3).items()
    },
    "simopt.analysis.ceilings.from_snr": lambda: {
        "overlap": ceiling(ceilings.from_snr(X, 2.0, [OVERLAP], draws=3)["overlap"])
    },
    "simopt.analysis.decoding.Decoder": lambda: {
        "standard": decoded(Decoder()),
        "published": decoded(PUBLISHED),
    },
    "simopt.analysis.good_score.good_score": lambda: {
        "passage": good_score(
            np.array([[0.1], [0.4], [0.8]]), np.array([[0.2], [0.5], [0.97]]), 0.2, 1.0
        ).tolist()
    },
    "simopt.theory.sensitivity.experiment": sensitivities,
    "simopt.workflows.run.optimize": run,
    "simopt.ranges": joint_range,
    "simopt.analysis.attribution.leave_one_pc": lambda: parts(attribution.leave_one_pc(X, Y, "cka")),
    "simopt.analysis.attribution.leave_one_sample": lambda: parts(attribution.leave_one_sample(X, Y, "nbs")),
    "simopt.analysis.attribution.leave_one_unit": lambda: parts(attribution.leave_one_unit(X, Y, "cka")),
}


def moved(numbers: Numbers, stored: Numbers) -> list[str]:
    """Return the names of numbers that are not, or no longer, as stored; new names have not moved."""
    return [
        name
        for name, values in numbers.items()
        if name in stored
        and not (len(values) == len(stored[name]) and np.allclose(values, stored[name], rtol=1e-6, atol=1e-9))
    ]


def updated(computed: dict[str, Numbers], stored: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be stored: numbers whose revision is the stored one stay as they are.

    Raises
    ------
    SystemExit
        Such a number has moved.
    """
    result = {}
    for path, numbers in computed.items():
        revision = catalogue.revision(path)
        known = stored.get(path, {"revision": revision, "numbers": {}})
        old = known["numbers"] if known["revision"] == revision else {}
        if moved(numbers, old):
            raise SystemExit(f"{path}: {', '.join(moved(numbers, old))} moved; {REMEDY}.")
        result[path] = {
            "revision": revision,
            "numbers": {name: old.get(name, values) for name, values in numbers.items()},
        }
    return result


@pytest.mark.parametrize("path", COMPUTED)
def test_no_number_moves_without_a_new_revision(path: str) -> None:
    stored = json.loads(STORED.read_text())
    known = stored.get(path, {"revision": 0})
    assert known["revision"] == catalogue.revision(path), "run `python -m tests.test_revisions`"
    numbers = COMPUTED[path]()
    assert not moved(numbers, known["numbers"]), f"{path} computes other numbers: {REMEDY}"
    assert set(numbers) == set(known["numbers"]), "run `python -m tests.test_revisions`"


def test_what_has_a_revision_is_there_and_has_stored_numbers() -> None:
    assert set(json.loads(STORED.read_text())) == set(COMPUTED)
    assert set(catalogue.REVISIONS) <= set(COMPUTED)
    for path in COMPUTED:
        assert pkgutil.resolve_name(path)


def test_a_moved_number_is_stored_only_with_a_new_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"a.b": {"revision": 1, "numbers": {"x": [1.0], "y": [2.0]}}}
    with pytest.raises(SystemExit, match="a.b: x moved; raise the revision"):
        updated({"a.b": {"x": [1.00001], "y": [2.0]}}, stored)
    assert updated({"a.b": {"x": [1.0 + 1e-9], "z": [3.0]}}, stored)["a.b"]["numbers"] == {
        "x": [1.0],
        "z": [3.0],
    }
    monkeypatch.setitem(catalogue.REVISIONS, "a.b", 2)
    assert updated({"a.b": {"x": [5.0]}}, stored) == {"a.b": {"revision": 2, "numbers": {"x": [5.0]}}}


if __name__ == "__main__":
    before = json.loads(STORED.read_text()) if STORED.exists() else {}
    after = updated({path: compute() for path, compute in COMPUTED.items()}, before)
    STORED.write_text(json.dumps(after, indent=1) + "\n")
    sys.stdout.write(f"{STORED}: {len(after)} entries\n")
