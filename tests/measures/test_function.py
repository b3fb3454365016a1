"""A user's own function as a measure: by path, by entry point, in a run."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.app.config import requests
from simopt.errors import InputError
from simopt.workflows.run import carry_out

MODULE = '''
import torch

def overlap(X, Y, power=1.0):
    """Cosine of Gram matrices."""
    K, L = ((A - A.mean(0)) @ (A - A.mean(0)).T for A in (X, Y))
    return ((K * L).sum() / (K.norm() * L.norm())) ** power

def half(X, Y):
    return 0.5

def many(X, Y):
    return Y

def words(X, Y):
    return "high"
'''


@pytest.fixture
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.mark.usefixtures("_mine")
def test_a_function_is_a_measure_looped_over_the_batch(rng: np.random.Generator) -> None:
    X, Y = (
        torch.from_numpy(rng.standard_normal((20, 4))),
        torch.from_numpy(rng.standard_normal((2, 3, 20, 5))),
    )
    measure = measures.build({"_target_": "mine.overlap", "name": "function", "power": 2.0})
    assert (measure.name, measure.facts.source) == ("overlap", "Cosine of Gram matrices.")
    torch.testing.assert_close(measure(X, Y), measures.get("cka")(X, Y) ** 2)
    assert simopt.score(X, Y[0, 0], measure) == pytest.approx(simopt.score(X, Y[0, 0]) ** 2)


@pytest.mark.usefixtures("_mine")
def test_an_option_that_the_function_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="measure overlap has no option 'powr'; it has: power"):
        measures.build({"_target_": "mine.overlap", "powr": 2.0})


@pytest.mark.usefixtures("_mine")
def test_it_is_optimized_like_any_other(tmp_path: Path) -> None:
    overrides = ["dataset=ultrametric", f"log.dir='{tmp_path}'", "seeds=[0,1]", "track=[nbs]", "max_steps=20"]
    by_function = carry_out(requests.run([*overrides, "measure._target_=mine.overlap"]))
    by_name = carry_out(requests.run([*overrides, "measure=cka"]))
    assert by_function.path.parent.parent.name == "overlap"
    np.testing.assert_allclose(by_function.score, by_name.score, atol=1e-3)


@pytest.mark.usefixtures("_mine")
@pytest.mark.parametrize(
    ("name", "says"),
    [("half", "returned no gradient"), ("many", "return one number"), ("words", "returned a str")],
)
def test_functions_that_cannot_be_optimized(tmp_path: Path, name: str, says: str) -> None:
    overrides = ["dataset=ultrametric", f"log.dir='{tmp_path / 'out'}'", f"measure._target_=mine.{name}"]
    with pytest.raises(InputError, match=says):
        carry_out(requests.run(overrides))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_mine")
def test_another_source_is_another_run(tmp_path: Path) -> None:
    overrides = ["dataset=ultrametric", "measure._target_=mine.overlap"]
    before = requests.run(overrides).digest
    assert requests.run(overrides).digest == before
    (tmp_path / "mine.py").write_text(MODULE.replace("** power", "** (power / 2)"))
    del sys.modules["mine"]
    assert requests.run(overrides).digest != before


@pytest.mark.usefixtures("_mine")
def test_another_package_offers_measures_by_entry_point(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    offered = importlib.metadata.EntryPoint("overlap", "mine:overlap", "simopt.measures")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group, name: [offered] if name == "overlap" else []
    )
    X, Y = rng.standard_normal((20, 4)), rng.standard_normal((20, 4))
    assert simopt.score(X, Y, "overlap") == pytest.approx(simopt.score(X, Y, "cka"))
    assert simopt.score(X, Y, "overlap", power=3.0) == pytest.approx(simopt.score(X, Y, "cka") ** 3)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("numpy.mean", "numpy.mean cannot score two tensors .TypeError"),
        ("subprocess.Popen", "subprocess.Popen is a class, but no simopt.measures.Measure"),
        ("simopt.datasets.file.File", "is a class, but no simopt.measures.Measure"),
    ],
)
def test_what_is_no_measure_is_refused(target: str, says: str, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 20, 4))
    with pytest.raises(InputError, match=says):
        simopt.measures.build({"_target_": target})(X, Y)
