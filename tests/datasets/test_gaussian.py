"""Gaussian data as the spectrum-matched control of another dataset."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt import checks
from simopt.datasets import fetch
from simopt.errors import InputError, SurrogateWarning


def twin(**options) -> simopt.Dataset:
    return simopt.load_dataset("gaussian", **options)


def test_the_twin_of_a_recording_has_its_spectrum_and_time_but_nothing_else() -> None:
    original = simopt.load_dataset("freeman_ziemba", source="surrogate")
    control = twin(twin_of="freeman_ziemba", source="surrogate")
    assert control.name == "gaussian_freeman_ziemba"
    assert control.responses.shape == original.responses.shape == (2, 135, 205)
    np.testing.assert_allclose(control.spectrum(), original.spectrum(), rtol=1e-9)
    assert not control.labels
    assert control.source == "surrogate"
    assert control.citation.endswith(original.citation)
    flat = [data.samples() - data.samples().mean(axis=0) for data in (original, control)]
    left = [np.linalg.svd(matrix, full_matrices=False)[0][:, :20] for matrix in flat]
    overlap = np.sum((left[0].T @ left[1]) ** 2) / 20
    assert overlap == pytest.approx(20 / 269, rel=0.25)  # that of random directions


def test_a_twin_is_the_same_for_the_same_seed() -> None:
    first, again, other = (twin(twin_of="ultrametric", seed=seed) for seed in (0, 0, 1))
    assert first.data_hash() == again.data_hash() != other.data_hash()
    assert first.name == "gaussian_ultrametric"


def test_the_twin_of_a_file_with_fewer_pcs_than_units(tmp_path: Path, rng: np.random.Generator) -> None:
    low = rng.standard_normal((3, 10, 4)) @ rng.standard_normal((4, 9))
    wide = rng.standard_normal((6, 30))
    for array, count in ((low, 4), (low.astype(np.float32), 4), (wide, 5)):
        np.save(tmp_path / "my data.npy", array)
        control = twin(twin_of=str(tmp_path / "my data.npy"))
        assert control.name == "gaussian_my_data"
        assert control.responses.shape == array.shape
        assert len(control.spectrum()) == count
        original = simopt.load_dataset("file", path=str(tmp_path / "my data.npy"))
        np.testing.assert_allclose(control.spectrum(), original.spectrum(), rtol=1e-5)


def test_the_twin_of_a_node_with_options(tmp_path: Path) -> None:
    node = {"name": "ultrametric", "branching": [2, 6], "units": 7}
    assert twin(twin_of=node).responses.shape == (12, 7)
    target = {"_target_": "simopt.datasets.ultrametric.Ultrametric", **node, "name": "tree"}
    assert twin(twin_of=target).name == "gaussian_tree"
    assert twin(twin_of={"name": "gaussian", "samples": 20}).responses.shape == (20, 50)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((20, 5)))
    for title in ("../a: b\\c", "x" * 300):
        name = twin(twin_of={"name": "file", "path": str(tmp_path / "x.npy"), "title": title}).name
        checks.folder_name(name, "name")


def test_the_warning_of_a_surrogate_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "cached", lambda *_: False)
    with pytest.warns(SurrogateWarning, match="majaj .*SURROGATE"):
        twin(twin_of="majaj")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twin(twin_of={"name": "majaj", "source": "surrogate"})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"twin_of": "majja"}, "the nearest: majaj"),
        ({"twin_of": "none.npy"}, "none.npy: there is no such file"),
        ({"twin_of": "none.npy", "source": "real"}, "no option 'source'"),
        ({"twin_of": "none.xyz"}, "unknown kind of file '.xyz'"),
        ({"twin_of": "file"}, "gaussian: twin_of=file .*path"),
        ({"twin_of": 3}, "twin_of of gaussian is 3; .*name.*path.*mapping"),
        ({"twin_of": {}}, "Unknown dataset 'None'"),
        ({"twin_of": {"name": "ultrametric", "unit": 3}}, "no option 'unit'"),
        ({"twin_of": {"name": "ultrametric"}, "source": "real"}, "gaussian: twin_of .*twin_of.source"),
        ({"twin_of": "ultrametric", "source": "real"}, "no option 'source'"),
        ({"twin_of": "ultrametric", "samples": 500}, "gaussian: samples .*twin_of"),
        (
            {"twin_of": "ultrametric", "spectrum": [1], "exponent": 1.0},
            "gaussian: spectrum, exponent .*twin_of",
        ),
        ({"source": "real"}, "source of gaussian is 'real'; .*twin_of"),
    ],
)
def test_twins_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        twin(**options)


def test_without_a_twin_the_defaults_are_500_samples_of_50_units_and_a_power_law() -> None:
    plain = twin()
    assert plain.name == "gaussian"
    assert plain.responses.shape == (500, 50)
    assert plain.spectrum()[0] / plain.spectrum()[3] == pytest.approx(4)
