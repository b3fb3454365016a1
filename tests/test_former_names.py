"""Names that were replaced: they are read for one release, with a warning that names the new one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from simopt import catalogue, datasets, measures
from simopt.analysis.decoding import Decoder
from simopt.app.config import requests, settings

# The examples of the README at commit 3b344f4, word for word: people have code like it.
LAB_MEASURES = '''\
# lab_measures.py
from dataclasses import dataclass

from simopt import linalg
from simopt.errors import InputError
from simopt.measures.base import Facts, Measure

IGNORED = frozenset({"isotropic_scaling", "translation", "column_scaling"})


@dataclass(frozen=True, kw_only=True)
class UnitCorrelation(Measure):
    """The correlation of unit k of X with unit k of Y, to a power, averaged over units."""

    power: int = 1

    @property
    def facts(self):
        return Facts(
            family="matching",
            formula="mean_k corr(x_k, y_k)^power",
            source="our lab",
            invariant_x=IGNORED,
            invariant_y=IGNORED,
            low=-1.0,
        )

    def prepare(self, reference):
        x = linalg.centre(reference.responses)
        x = x / x.norm(dim=0)

        def score(moments):  # moments.Y is (..., samples, units), moments.centred has its means removed
            y = moments.centred
            if y.shape[-1] != x.shape[-1]:
                raise InputError(f"{self.name} pairs units; X has {x.shape[-1]} and Y {y.shape[-1]}.")
            correlation = (x * y / y.norm(dim=-2, keepdim=True)).sum(dim=-2)
            return (correlation**self.power).mean(dim=-1)

        return score
'''
LAB_DATASETS = '''\
# lab_datasets.py
from dataclasses import dataclass

import numpy as np

from simopt.datasets import Dataset, Loader


@dataclass(frozen=True, kw_only=True)
class Grating(Loader):
    """Units with cosine tuning to the orientation of a grating."""

    units: int = 20
    noise: float = 0.1
    seed: int = 0

    def load(self):
        rng = np.random.default_rng(self.seed)
        angle = np.linspace(0, np.pi, 60, endpoint=False)
        firing = np.cos(2 * (angle[:, None] - rng.uniform(0, np.pi, self.units)))
        return Dataset(
            name=self.name,
            responses=firing + self.noise * rng.standard_normal(firing.shape),
            labels={"side": (angle > np.pi / 2).astype(int)},
            source="surrogate",  # "real" for what was recorded
            citation="our lab",
        )
'''
MEASURE_YAML = "_target_: lab_measures.UnitCorrelation\nname: unit_correlation\n"
DATASET_YAML = "_target_: lab_datasets.Grating\nname: grating\n"


@pytest.fixture
def former_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a working folder with the examples' modules; the README of today has modules of the same names."""
    _forget_modules()
    (tmp_path / "lab_measures.py").write_text(LAB_MEASURES)
    (tmp_path / "lab_datasets.py").write_text(LAB_DATASETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mine"
    _forget_modules()


def _forget_modules() -> None:
    for name in ("lab_measures", "lab_datasets"):
        sys.modules.pop(name, None)


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(20, 4, dtype=torch.float64, generator=generator)
    return X, X + torch.randn(20, 4, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(
    ("name", "former", "current"),
    [
        ("procrustes_euclidean", {"centred": False}, {"centered": False}),
        ("procrustes_euclidean", {"normalised": True}, {"normalized": True}),
        ("permutation_angular", {"columns": "centred"}, {"columns": "centered"}),
        ("cka", {"form": "angle_normalised"}, {"form": "angle_normalized"}),
        ("cca", {"normaliser": "ranks"}, {"normalizer": "ranks"}),
        ("ridge_cv", {"standardise": "train"}, {"standardize": "train"}),
        ("rsa_spearman", {"centre_units": True}, {"center_units": True}),
    ],
)
def test_an_option_or_value_by_its_former_name(
    name: str, former: dict[str, object], current: dict[str, object]
) -> None:
    wanted = measures.get(name, **current)
    assert wanted != measures.get(name) or name == "permutation_angular"
    with pytest.warns(DeprecationWarning, match="is now called"):
        assert measures.get(name, **former) == wanted
    overrides = [f"measure={name}", *(f"measure.{key}={value}" for key, value in former.items())]
    with pytest.warns(DeprecationWarning, match="is now called"):
        request = requests.run(overrides)
    assert measures.build(request.measure) == wanted


def test_a_measure_by_its_former_name() -> None:
    with pytest.warns(DeprecationWarning, match="procrustes_normalized"):
        former = measures.get("procrustes_normalised")
    assert former == measures.get("procrustes_normalized")
    with pytest.warns(DeprecationWarning, match="procrustes_normalized"):
        request = requests.run(["measure=procrustes_normalised"])
    assert request.digest == requests.run(["measure=procrustes_normalized"]).digest
    with pytest.warns(DeprecationWarning, match="procrustes_normalized"):
        nodes, _ = settings.measures(["measure=cka,procrustes_normalised"], ["cka"])
    assert [node["name"] for node in nodes] == ["cka", "procrustes_normalized"]


def test_options_of_decoders_and_datasets_by_their_former_names(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="standardize"):
        request = requests.run(["decoder=standard", "decoder.standardise=false"])
    assert catalogue.build(request.decoder, "decoder") == Decoder(standardize=False)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(5, 2, (30, 4)))
    with pytest.warns(DeprecationWarning, match="standardize"):
        dataset = datasets.load("file", path=str(tmp_path / "x.npy"), standardise="units")
    np.testing.assert_allclose(dataset.responses.std(axis=0), 1)


def test_a_measure_of_the_former_readme_runs_unchanged(former_code: Path) -> None:
    (former_code / "measure").mkdir(parents=True)
    (former_code / "measure/unit_correlation.yaml").write_text(MEASURE_YAML)
    request = requests.run(["measure=unit_correlation", "dataset=ultrametric"], former_code)
    X, Y = _pair()
    with pytest.warns(DeprecationWarning, match="center"):
        score = float(measures.build(request.measure)(X, Y))
    correlations = [np.corrcoef(X[:, unit], Y[:, unit])[0, 1] for unit in range(4)]
    assert score == pytest.approx(np.mean(correlations), abs=1e-12)


def test_a_dataset_of_the_former_readme_runs_unchanged(former_code: Path) -> None:
    (former_code / "dataset").mkdir(parents=True)
    (former_code / "dataset/grating.yaml").write_text(DATASET_YAML)
    request = requests.run(["dataset=grating", "dataset.noise=0.2", "decoder=standard"], former_code)
    dataset = request.dataset.dataset
    assert dataset.responses.shape == (60, 20)
    assert dataset.labels["side"].sum() == 29
