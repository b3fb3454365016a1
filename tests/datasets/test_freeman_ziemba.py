"""FreemanZiemba2013 from small files laid out as the published ones."""

from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt.datasets.freeman_ziemba import FreemanZiemba
from simopt.errors import InputError
from tests.datasets.assembly_files import table, write

STIMULI = [f"{k:02x}4f" for k in (9, 3, 200, 17, 80, 5)]
TYPES, FAMILIES = ["noise", "texture"] * 3, [13, 13, 18, 18, 327, 327]
SHOWN = np.tile(np.arange(6), 4)[:-1]  # the last stimulus has a repetition less
REGIONS = np.array(["V1"] * 3 + ["V2"] * 4)
SORTED = np.argsort(STIMULI)


@pytest.fixture
def spikes(rng: np.random.Generator) -> np.ndarray:
    return (rng.random((300, len(SHOWN), len(REGIONS))) < 0.1).astype(float)


def files(folder: Path, spikes: np.ndarray, *, in_assembly: bool = False, start: int = 0, **layout) -> Path:
    times = np.arange(start, start + len(spikes))
    coordinates = {
        "image_id": ("presentation", np.array(STIMULI)[SHOWN]),
        "repetition": ("presentation", np.arange(len(SHOWN)) // 6),
        "neuroid_id": ("neuroid", np.arange(1, len(REGIONS) + 1)),
        "region": ("neuroid", REGIONS),
        "time_bin_start": ("time_bin", times),
        "time_bin_end": ("time_bin", times + 1),
    }
    if in_assembly:
        coordinates["texture_type"] = ("presentation", np.array(TYPES)[SHOWN])
        coordinates["texture_family"] = ("presentation", np.array(FAMILIES)[SHOWN])
    else:
        rows = zip(STIMULI, TYPES, FAMILIES, strict=True)
        names = ("image_id", "texture_type", "texture_family")
        rows = [dict(zip(names, row, strict=True)) for row in reversed(list(rows))]
        table(folder / "stimulus_FreemanZiemba2013_aperture-public.csv", rows)
    write(folder / "assy_movshon_FreemanZiemba2013_public.nc", spikes, coordinates, **layout)
    return folder


def read(folder: Path, **options) -> simopt.datasets.Dataset:
    return FreemanZiemba(name="freeman_ziemba", **options).read(folder)


def averages(spikes: np.ndarray, width: int) -> np.ndarray:
    per_ms = np.stack([spikes[:, k == SHOWN].mean(axis=1) for k in SORTED], axis=1)
    return per_ms.reshape(-1, width, *per_ms.shape[1:]).mean(axis=1)


@pytest.mark.parametrize("in_assembly", [False, True])
@pytest.mark.parametrize(
    "order", [("neuroid", "time_bin", "presentation"), ("presentation", "time_bin", "neuroid")]
)
def test_published_preprocessing(tmp_path: Path, spikes: np.ndarray, in_assembly: bool, order: tuple) -> None:
    dataset = read(files(tmp_path, spikes, in_assembly=in_assembly, order=order))
    assert (dataset.name, dataset.source, dataset.trials) == ("freeman_ziemba", "real", None)
    assert dataset.responses.shape == (2, 6, 7)
    np.testing.assert_allclose(dataset.responses, averages(spikes, 150), rtol=1e-12)
    assert dataset.labels["texture_type"].tolist() == [TYPES[k] for k in SORTED]
    assert dataset.labels["texture_family"].tolist() == [
        (int if in_assembly else str)(FAMILIES[k]) for k in SORTED
    ]
    assert dataset.citation.startswith("Freeman")


@pytest.mark.parametrize(
    ("options", "times", "units"),
    [
        ({"region": "V1"}, slice(0, 300), slice(0, 3)),
        ({"region": "V2", "bin": 50}, slice(0, 300), slice(3, 7)),
        ({"window": [50, 200], "bin": 30}, slice(50, 200), slice(0, 7)),
        ({"window": (299, 300), "bin": 1}, slice(299, 300), slice(0, 7)),
    ],
    ids=str,
)
def test_options(tmp_path: Path, spikes: np.ndarray, options: dict, times: slice, units: slice) -> None:
    dataset = read(files(tmp_path, spikes), **options)
    expected = averages(spikes[times], options.get("bin", 150))[..., units]
    np.testing.assert_allclose(dataset.responses, expected, rtol=1e-12, atol=1e-15)


def test_single_trials(tmp_path: Path, spikes: np.ndarray) -> None:
    averaged, kept = (read(files(tmp_path, spikes), repetitions=how) for how in ("average", "keep"))
    assert kept.data_hash() == averaged.data_hash()
    assert kept.trials.responses.shape == (2, len(SHOWN), 7)
    np.testing.assert_allclose(kept.trials.responses[1], spikes[150:].mean(axis=0))
    np.testing.assert_allclose(kept.trials.average(), kept.responses, rtol=1e-12)
    first, second = kept.trials.halves(0)
    complete = [k for k, stimulus in enumerate(SORTED) if stimulus != 5]
    np.testing.assert_allclose((first + second)[:, complete] / 2, kept.responses[:, complete], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"region": "v1"}, "region of freeman_ziemba 'v1'.* V1"),
        ({"region": "IT"}, "'IT'.* V1, V2, all"),
        ({"repetitions": "sum"}, "repetitions .*'sum'.* average, keep"),
        ({"bin": 7}, "bin of freeman_ziemba is 7; .*300 ms.*: 1, 2, 3, 4, 5, 6, 10"),
        ({"bin": 0}, "bin of freeman_ziemba is 0"),
        ({"bin": 2.5}, "bin of freeman_ziemba is 2.5"),
        ({"window": [0]}, r"window of freeman_ziemba is \[0\]; .*\[START,STOP\] .*whole ms"),
        ({"window": "ab"}, "window of freeman_ziemba is 'ab'"),
        ({"window": None}, "window of freeman_ziemba is None"),
        ({"window": [150, 150]}, "stop of window .* is 150; .* 150"),
        ({"window": [0, "300"]}, r"window .*\[0, '300'\]; .*whole ms"),
    ],
)
def test_options_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        FreemanZiemba(name="freeman_ziemba", **options)


def test_windows_that_the_recording_has_not(tmp_path: Path, spikes: np.ndarray) -> None:
    files(tmp_path, spikes, start=10)
    with pytest.raises(InputError, match=r"window of freeman_ziemba is \[0, 300\] ms.* 10 to 310"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"is \[20, 320\] ms.* 10 to 310 ms"):
        read(tmp_path, window=[20, 320])
    with pytest.raises(InputError, match=r"is \[-20, 280\] ms.* 10 to 310 ms"):
        read(tmp_path, window=[-20, 280])
    assert read(tmp_path, window=[10, 310]).responses.shape == (2, 6, 7)


def test_the_surrogate_has_no_options_of_the_recording() -> None:
    same = simopt.load_dataset("freeman_ziemba", source="surrogate", window=[0, 300], region="all")
    assert same.responses.shape == (2, 135, 205)
    with pytest.raises(InputError, match="freeman_ziemba: region, window .*fetch freeman_ziemba"):
        simopt.load_dataset("freeman_ziemba", source="surrogate", region="V1", window=[0, 150])


@pytest.mark.parametrize("missing", ["texture_type", "image_id"])
def test_tables_that_do_not_fit(tmp_path: Path, spikes: np.ndarray, missing: str) -> None:
    files(tmp_path, spikes)
    path = tmp_path / "stimulus_FreemanZiemba2013_aperture-public.csv"
    path.write_text(path.read_text().replace(missing, "other"))
    with pytest.raises(InputError, match=f"aperture-public.csv: .*'{missing}'"):
        read(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="aperture-public.csv: there is no such file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time_bin_end": np.arange(300)}, "public.nc: time_bin_start .*time_bin_end"),
        (
            {"time_bin_end": np.arange(300) + 2},
            "public.nc: time_bin_end .*time_bin_start",
        ),
        ({"time_bin_start": np.array(["a"] * 300)}, "public.nc: time_bin_start .*time_bin_end"),
        (
            {"time_bin_start": np.arange(300) * 20.0, "time_bin_end": np.arange(1, 301) * 20.0},
            r"window \[0, 300\] and bin 150 ms .* 20 ms .* 0 ms",
        ),
    ],
)
def test_times_that_cannot_be_used(tmp_path: Path, spikes: np.ndarray, change: dict, says: str) -> None:
    coordinates = {
        "image_id": ("presentation", np.array(STIMULI)[SHOWN]),
        "time_bin_start": ("time_bin", np.arange(300)),
        "time_bin_end": ("time_bin", np.arange(1, 301)),
        **{name: ("time_bin", values) for name, values in change.items()},
    }
    write(tmp_path / "assy_movshon_FreemanZiemba2013_public.nc", spikes, coordinates)
    with pytest.raises(InputError, match=says):
        read(tmp_path)


def test_files_are_described() -> None:
    assert "not stated" in FreemanZiemba.licence
    for file in FreemanZiemba.files:
        assert file.url.startswith("https://")
        assert file.url.endswith(f"/{file.name}")
        assert len(file.hash) == len("sha1:") + 40
        assert file.name in file.by_hand
