"""The names of ``import simopt``: loaded when first used, always the same, and called with any data."""

import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import simopt
from simopt.datasets import Dataset
from simopt.errors import InputError

SUBPACKAGES = (
    "analysis", "datasets", "measures", "optimization", "ranges", "report", "store", "theory", "workflows",
)  # fmt: skip
MODULES = ("catalogue", "checks", "errors", "linalg", "typing")
QUICK = {"levels": [0.3, 0.6], "steps": 2, "starts": 2, "rounds": 1}
PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "compare": lambda X, Y: simopt.compare(X, Y, draws=2),
    "compare, Y by name": lambda X, Y: simopt.compare(X, {"model": Y}, draws=2),
    "explain": lambda X, Y: simopt.explain(X, Y, "cka", draws=2, seeds=(0,), max_steps=2),
    "attribute": lambda X, Y: simopt.attribute(X, Y),
}
"""The functions that take X and Y, but for score."""
SINGLE: dict[str, Callable[[Any], Any]] = {
    "optimize": lambda X: simopt.optimize(X, max_steps=2),
    "sensitivity": lambda X: simopt.sensitivity(X, "cka", seeds=(0,)),
    "joint": lambda X: simopt.joint(X, ("cka", "nbs"), **QUICK),
    "card": lambda X: simopt.card("cka", X, partners=()),
}
"""The functions that take X alone."""
X, Y = np.random.default_rng(0).standard_normal((2, 12, 3))


class Arraylike:
    """What numpy converts, as it does objects of pandas and xarray."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.array, dtype=dtype)


DATA: dict[str, Callable[[np.ndarray], Any]] = {
    "Dataset": lambda array: Dataset("data", array),
    "list": lambda array: array.tolist(),
    "tensor": lambda array: torch.from_numpy(array).requires_grad_(),
    "object": Arraylike,
}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_subpackage_is_imported_when_it_is_first_used() -> None:
    text = f"""
import sys
import simopt
for name in {(*SUBPACKAGES, *MODULES)}:
    assert name in dir(simopt), name
    assert f"simopt.{{name}}" not in sys.modules, name
assert not {{"torch", "numpy", "h5py"}} & set(sys.modules)
for name in {(*SUBPACKAGES, *MODULES)}:
    assert getattr(simopt, name) is sys.modules[f"simopt.{{name}}"], name
"""
    run(text)


def test_public_names_stay_what_they_are_whatever_was_imported() -> None:
    """Python puts a submodule into its package under its name: that must never be the name of a function."""
    text = """
import importlib, pkgutil, types
import numpy as np
import simopt
public = {}
for module in pkgutil.iter_modules(simopt.__path__):
    package = getattr(simopt, module.name)
    public |= {(package, name): getattr(package, name) for name in getattr(package, "__all__", ())}
assert (simopt.datasets, "recording") in public
for module in pkgutil.walk_packages(simopt.__path__, "simopt."):
    importlib.import_module(module.name)
for (package, name), value in public.items():
    assert getattr(package, name) is value, (package, name)
for name in simopt.__all__:
    is_module = isinstance(getattr(simopt, name), types.ModuleType)
    assert is_module == (name in ("datasets", "measures")), name
X, Y = np.random.default_rng(0).standard_normal((2, 12, 3))
data = simopt.Dataset("data", X)
quick = {"levels": [0.3, 0.6], "steps": 2, "starts": 2, "rounds": 1}
assert 0 < simopt.score(X, Y) < 1
run = simopt.optimize(data, max_steps=2)
assert isinstance(run, simopt.RunResult) and isinstance(run, simopt.Trajectory)
results = [
    simopt.compare(data, Y, draws=2),
    simopt.explain(data, Y, "cka", draws=2, seeds=(0,), max_steps=2),
    simopt.attribute(data, Y),
    simopt.sensitivity(data, "cka", seeds=(0,)),
    simopt.joint(data, ("cka", "nbs"), **quick),
    simopt.card("cka", data, partners=()),
]
print(*(type(result).__name__ for result in results))
assert simopt.load_dataset("ultrametric").responses.ndim == 2
assert "cka" in simopt.measures.names()
assert "ultrametric" in simopt.datasets.names()
import pathlib, tempfile
file = run.save(pathlib.Path(tempfile.mkdtemp()) / "run.h5")
assert simopt.load_result(file).step.tolist() == [0, 1, 2]
"""
    names = run(text).split()
    assert names == [
        "CompareResult", "ExplainResult", "AttributeResult", "SensitivityResult", "JointResult", "CardResult",
    ]  # fmt: skip


def test_no_module_of_the_package_has_the_name_of_a_public_function() -> None:
    modules = {module.name for module in pkgutil.iter_modules(simopt.__path__)}
    assert modules & set(simopt.__all__) == {"datasets", "measures"}


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = simopt.nothing


def numbers(result: Any) -> str:
    """Return the rows of a result as text: NaN equals itself there."""
    return repr(result.table())


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_x_and_y_take_every_kind_of_data_for_both(name: str, kind: str) -> None:
    wrap, call = DATA[kind], PAIRS[name]
    assert numbers(call(wrap(X), wrap(Y))) == numbers(call(X, Y))


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", SINGLE)
def test_functions_of_x_take_every_kind_of_data(name: str, kind: str) -> None:
    wrap, call = DATA[kind], SINGLE[name]
    assert numbers(call(wrap(X))) == numbers(call(X))


def test_the_name_of_y_is_that_of_its_dataset_or_its_key() -> None:
    data = Dataset("V4", Y)
    assert simopt.compare(X, data, draws=0).name == "V4"
    assert simopt.compare(X, {"model a": data}, draws=0).name == "model a"
    assert simopt.attribute(X, data).name == "V4"
    assert simopt.explain(X, data, "cka", draws=1, seeds=(0,), max_steps=1).name == "V4"


@pytest.mark.parametrize("name", PAIRS)
def test_a_name_is_no_data(name: str) -> None:
    for pair in (("majaj", Y), (X, "model.npy")):
        text = next(data for data in pair if isinstance(data, str))
        with pytest.raises(InputError, match=text):
            PAIRS[name](*pair)


@pytest.mark.parametrize("what", ["experiment", "learning", "bounds"])
def test_only_a_derivation_needs_no_recording(what: str) -> None:
    with pytest.raises(InputError, match="X is None"):
        simopt.sensitivity(None, ("cka", "nbs"), what=what)
    assert simopt.sensitivity(None, "nbs", what="derivation").table()


def test_options_of_several_measures_go_to_those_that_have_them() -> None:
    both = simopt.score(X, Y, ["ridge100", "cka"], penalty=3)
    assert both == {"ridge100": simopt.score(X, Y, "ridge100", penalty=3), "cka": simopt.score(X, Y)}
    rows = simopt.compare(X, Y, ("ridge100", "cka"), draws=0, penalty=3).table()
    assert {row["measure"]: row["score"] for row in rows} == pytest.approx(both, rel=1e-12)
    for call in (simopt.score, simopt.compare):
        with pytest.raises(InputError, match="None of cka, nbs has an option 'penalty'"):
            call(X, Y, ["cka", "nbs"], penalty=3)


def test_two_variants_of_a_measure_have_names_of_their_own() -> None:
    get = simopt.measures.get
    variants = [get("cka"), get("cka", name="angular", form="angular")]
    expected = {"cka": simopt.score(X, Y), "angular": simopt.score(X, Y, "cka", form="angular")}
    assert simopt.score(X, Y, variants) == expected
    rows = simopt.compare(X, Y, variants, draws=0).table()
    assert {row["measure"]: row["score"] for row in rows} == pytest.approx(expected, rel=1e-12)
    for call in (simopt.score, simopt.compare):
        with pytest.raises(InputError, match="cka is named twice"):
            call(X, Y, [get("cka"), get("cka", form="angular")])
        with pytest.raises(InputError, match=r"measures? is empty"):
            call(X, Y, [])


def test_groups_and_blocks_are_keywords_of_what_takes_data() -> None:
    names = ("attribute", "card", "compare", "explain", "joint", "optimize", "score", "sensitivity")
    functions = [getattr(simopt, name) for name in names]
    for function in (*functions, simopt.measures.Measure.bind, simopt.measures.Measure.__call__):
        assert {"groups", "blocks"} <= set(inspect.signature(function).parameters), function


@pytest.mark.parametrize("measure", ["cka", "procrustes_euclidean", "ridge_cv"])
def test_results_are_strict_json(measure: str) -> None:
    def refused(constant: str) -> None:
        raise AssertionError(constant)

    for result in (simopt.compare(X, Y, measure, draws=2), simopt.attribute(X, Y, measure)):
        json.loads(json.dumps(result.as_json()), parse_constant=refused)


RAGGED: Any = [[1.0, 2.0], [3.0], *[[4.0]] * 10]
BOUND = simopt.measures.get("cka").bind(X)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: simopt.score(RAGGED, Y), "X is not a rectangular array"),
        (lambda: BOUND(RAGGED), "Y is not a rectangular array"),
        (lambda: simopt.optimize(X, seeds=[[1, 2], [3]]), "seeds is not a rectangular array"),
        (lambda: simopt.joint(X, ("cka", "nbs"), levels=[[1], [2, 3]]), "levels is not a rectangular array"),
        (lambda: BOUND.to("abc"), "device 'abc' cannot be used"),
        (lambda: BOUND.to("cuda:99"), "device 'cuda:99' cannot be used"),
        (lambda: simopt.optimize(X, device="abc"), "device=abc is no device"),
        (lambda: simopt.optimize(X, device="cuda:x"), "device=cuda:x is no device"),
        (lambda: simopt.optimize(X, lr=0.0), "optimizer.lr is 0.0; give a number that is greater than 0"),
        (lambda: simopt.joint(X, ("cka", "nbs"), keep=3), "keep is 3; choose true or false"),
        (lambda: simopt.load_dataset("ultrametric", sead=1), "no option 'sead'"),
        (
            lambda: simopt.measures.get("cka", centre_units=True, center_units=False),
            "centre_units and center_units are the same option; give only center_units",
        ),
    ],
)
def test_what_is_refused_in_words(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
