"""MajajHong2015 from small files laid out as the published ones."""

from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt.datasets.majaj import Majaj
from simopt.errors import InputError
from tests.datasets.assembly_files import table, write

IMAGES = [f"{k:02x}" for k in (200, 3, 90, 17, 66)]
CATEGORIES = ["Faces", "Animals", "Faces", "Cars", "Cars"]
SHOWN = np.array([4, 0, 1, 2, 3, 0, 0, 1, 4, 3, 2, 2, 3, 1])
REGIONS = np.array(["V4", "IT", "IT", "V4", "IT"])
SORTED = np.argsort(IMAGES)
NAME = "assy_dicarlo_MajajHong2015_public.nc"


@pytest.fixture
def rates(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((1, len(SHOWN), len(REGIONS))).astype("<f4")


def files(
    folder: Path, rates: np.ndarray, in_assembly: tuple[str, ...] = (), identity: str = "image_id", **layout
) -> Path:
    columns = {
        "category_name": CATEGORIES,
        "object_name": [f"object{k}" for k in range(len(IMAGES))],
    }
    coordinates = {
        identity: ("presentation", np.array(IMAGES)[SHOWN]),
        "neuroid_id": ("neuroid", np.array([f"Chabo_L_M_{k}" for k in range(len(REGIONS))])),
        "region": ("neuroid", REGIONS),
        "time_bin_start": ("time_bin", 70 + np.arange(len(rates))),
        **{name: ("presentation", np.array(columns[name])[SHOWN]) for name in in_assembly},
    }
    write(folder / NAME, rates, coordinates, **{"name": "dicarlo.MajajHong2015.public", **layout})
    rows = [
        {
            "id": k,
            "image_id": image,
            **{name: columns[name][k] for name in columns if name not in in_assembly},
        }
        for k, image in enumerate(IMAGES)
    ]
    table(folder / "stimulus_hvm-public.csv", rows)
    return folder


def read(folder: Path, **options) -> simopt.datasets.Dataset:
    return Majaj(name="majaj", **options).read(folder)


@pytest.mark.parametrize("in_assembly", [(), ("category_name",), ("category_name", "object_name")])
@pytest.mark.parametrize(
    "order", [("neuroid", "presentation", "time_bin"), ("presentation", "time_bin", "neuroid")]
)
@pytest.mark.parametrize("identity", ["image_id", "stimulus_id"])
def test_published_preprocessing(
    tmp_path: Path, rates: np.ndarray, in_assembly: tuple, order: tuple, identity: str
) -> None:
    dataset = read(files(tmp_path, rates, in_assembly, identity, order=order))
    single = rates[0].astype(float)
    means = np.stack([single[k == SHOWN].mean(axis=0) for k in SORTED])
    assert (dataset.source, dataset.trials, dataset.responses.dtype) == ("real", None, np.float64)
    np.testing.assert_allclose(dataset.responses, means[:, REGIONS == "IT"], rtol=1e-12)
    assert dataset.labels["category"].tolist() == [CATEGORIES[k] for k in SORTED]
    assert dataset.labels["object"].tolist() == [f"object{k}" for k in SORTED]
    for region, units in (("V4", REGIONS == "V4"), ("all", REGIONS != "")):
        np.testing.assert_allclose(read(tmp_path, region=region).responses, means[:, units], rtol=1e-12)


def test_single_trials(tmp_path: Path, rates: np.ndarray) -> None:
    kept = read(files(tmp_path, rates), repetitions="keep")
    assert kept.data_hash() == read(tmp_path).data_hash()
    np.testing.assert_array_equal(kept.trials.responses, rates[0, :, REGIONS == "IT"].T)
    np.testing.assert_array_equal(SORTED[kept.trials.condition], SHOWN)
    np.testing.assert_allclose(kept.trials.average(), kept.responses, rtol=1e-4, atol=1e-6)
    assert [half.shape for half in kept.trials.halves(1)] == [(5, 3)] * 2


def test_repetitions_without_a_value(tmp_path: Path, rates: np.ndarray) -> None:
    rates[0, 5, 2] = np.nan
    dataset = read(files(tmp_path, rates))
    np.testing.assert_allclose(
        dataset.responses[SORTED.tolist().index(0), 1], rates[0, [1, 6], 2].mean(), rtol=1e-6
    )
    kept = read(tmp_path, repetitions="keep")
    assert np.isnan(kept.trials.responses).sum() == 1
    np.testing.assert_allclose(kept.trials.average(), kept.responses, rtol=1e-6)
    assert read(tmp_path, repetitions="keep", region="V4").trials.responses.shape == (len(SHOWN), 2)
    rates[0, [1, 6], 2] = np.nan
    with pytest.raises(InputError, match=f"{NAME}: .*Chabo_L_M_2 .*c8"):
        read(files(tmp_path, rates))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"region": "V1"}, "region of majaj 'V1'.* V4"),
        ({"region": "FEF"}, "region of majaj 'FEF'.* IT, V4, all"),
        ({"repetitions": "single"}, "repetitions of majaj 'single'"),
    ],
)
def test_options_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Majaj(name="majaj", **options)


def test_files_of_another_recording(tmp_path: Path, rates: np.ndarray) -> None:
    with pytest.raises(InputError, match=f"{NAME}: .*2 time bins.*majaj"):
        read(files(tmp_path, np.repeat(rates, 2, axis=0)))
    (tmp_path / NAME).unlink()
    with pytest.raises(InputError, match=f"{NAME}: there is no such file"):
        read(tmp_path)


def test_the_surrogate_has_no_options_of_the_recording() -> None:
    with pytest.raises(InputError, match="majaj: region .*fetch majaj"):
        simopt.load_dataset("majaj", source="surrogate", region="V4")


def test_files_are_described() -> None:
    assert "not stated" in Majaj.licence
    for file in Majaj.files:
        assert file.url.startswith("https://")
        assert file.url.endswith(f"/{file.name}")
        assert len(file.hash) == len("sha1:") + 40
        assert file.name in file.by_hand
