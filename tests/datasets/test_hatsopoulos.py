"""Hatsopoulos2007 from its MATLAB 7.3 file: spikes counted, smoothed and binned from each onset."""

from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt.datasets.hatsopoulos import Hatsopoulos
from simopt.errors import InputError
from tests.datasets.mat_files import HATSOPOULOS, mat73

RNG = np.random.default_rng(0)
TRAINS = [np.sort(RNG.uniform(0, 60, 900))[None] for _ in range(4)]
ONSETS = [RNG.uniform(2, 55, 1 + target % 3)[:, None] for target in range(8)]
SPIKES = [[TRAINS[0], TRAINS[1]], [], [np.zeros((0, 0)), TRAINS[2]], np.zeros((0, 0)), TRAINS[3].T]


def load(folder: Path, spikes: object = SPIKES, onsets: object = ONSETS, **options) -> simopt.Dataset:
    mat73(folder / HATSOPOULOS, spikes=spikes, stmv_cell=onsets, x=np.zeros((50, 2)))
    return Hatsopoulos(name="hatsopoulos", source="real", **options).read(folder)


def in_order() -> list[tuple[float, int]]:
    return sorted((float(onset), target) for target, onsets in enumerate(ONSETS) for onset in onsets.ravel())


def test_counts_without_smoothing(tmp_path: Path) -> None:
    dataset = load(tmp_path, smooth=0)
    reaches = in_order()
    assert dataset.responses.shape == (10, len(reaches), 4)
    assert dataset.labels["target"].tolist() == [target for _, target in reaches]
    for unit, train in enumerate(TRAINS):
        for trial, (onset, _) in enumerate(reaches):
            expected = np.histogram(train - onset, bins=np.arange(0, 0.51, 0.05))[0]
            np.testing.assert_array_equal(dataset.responses[:, trial, unit], expected)


def test_the_default_is_a_gaussian_of_25_ms_that_sees_beyond_the_window(tmp_path: Path) -> None:
    from scipy.stats import norm

    dataset = load(tmp_path)
    edges = np.arange(0, 501, 50)
    for unit, train in enumerate(TRAINS):
        for trial, (onset, _) in enumerate(in_order()):
            times = np.floor(1000 * (train - onset)) + 0.5  # the middle of the step of 1 ms
            shares = np.diff(norm.cdf(edges[:, None], loc=times, scale=25), axis=0)
            np.testing.assert_allclose(dataset.responses[:, trial, unit], shares.sum(axis=1), atol=1e-3)


def test_spikes_need_no_order(tmp_path: Path) -> None:
    expected = load(tmp_path).responses
    shuffled = [[TRAINS[0][:, ::-1], TRAINS[1]], *TRAINS[2:]]
    np.testing.assert_array_equal(load(tmp_path, spikes=shuffled).responses, expected)


def test_other_windows_and_bins(tmp_path: Path) -> None:
    dataset = load(tmp_path, window=[-100, 200], bin=100, smooth=0)
    onset = in_order()[2][0]
    expected = np.histogram(TRAINS[3] - onset, bins=[-0.1, 0, 0.1, 0.2])[0]
    np.testing.assert_array_equal(dataset.responses[:, 2, 3], expected)
    assert (dataset.name, dataset.source) == ("hatsopoulos", "real")


def test_the_defaults_of_the_yaml_are_no_change() -> None:
    assert simopt.load_dataset("hatsopoulos", source="surrogate").responses.shape == (10, 395, 141)
    with pytest.raises(InputError, match="hatsopoulos: window .*fetch hatsopoulos"):
        simopt.load_dataset("hatsopoulos", source="surrogate", window=[0, 400])


WRONG = np.array([[1.0, np.nan, 3.0]])
NONE = np.zeros((0, 0))
BAD = [
    ({"spikes": [[TRAINS[0], WRONG]]}, r"spikes\{1\}\{2\} holds 1 NaN"),
    ({"spikes": [[TRAINS[0], np.ones((2, 2))]]}, r"spikes\{1\}\{2\} is not a vector of times"),
    ({"spikes": ["text"]}, r"spikes\{1\} is not a vector of times"),
    ({"spikes": [[], NONE]}, "spikes holds no spike"),
    ({"spikes": []}, "spikes holds no spike"),
    ({"spikes": TRAINS[0]}, r"spikes is .*\(1, 900\).* cell array"),
    ({"spikes": {"a": TRAINS[0]}}, "spikes is a struct"),
    ({"spikes": [{"a": TRAINS[0]}]}, "spikes is a struct"),
    ({"onsets": ONSETS[:7]}, "stmv_cell has 7 cells.* 8 targets"),
    ({"onsets": [*ONSETS[:7], WRONG]}, r"stmv_cell\{8\} holds 1 NaN"),
    ({"onsets": [ONSETS[0], *[NONE] * 7]}, r"stmv_cell has 1 reach\(es\)"),
    ({"onsets": [NONE] * 8}, r"stmv_cell has 0 reach\(es\)"),
    ({"onsets": [[ONSETS[0]]] * 8}, r"stmv_cell\{1\} is not a vector"),
]


@pytest.mark.parametrize(("content", "says"), BAD, ids=[says[:40] for _, says in BAD])
def test_content_that_cannot_be_used(tmp_path: Path, content: dict, says: str) -> None:
    with pytest.raises(InputError, match=f"{HATSOPOULOS}: .*{says}"):
        load(tmp_path, **content)


def test_onsets_outside_the_recording_are_the_same_everywhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hatsopoulos is the same in all"):
        load(tmp_path, onsets=[1000 + onset for onset in ONSETS])


def test_options_that_do_not_fit_leave_the_file_and_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMOPT_DATA", str(tmp_path))
    folder = tmp_path / "hatsopoulos"
    folder.mkdir()
    load(folder)
    record = folder / "checksums.json"
    with pytest.raises(InputError, match="hatsopoulos is the same in all"):
        simopt.load_dataset("hatsopoulos", source="real", window=[900_000, 900_500])
    assert record.is_file()
    record.unlink()
    mat73(folder / HATSOPOULOS, spikes=SPIKES, stmv_cell=[1000 + onset for onset in ONSETS])
    with pytest.raises(InputError, match="hatsopoulos is the same in all"):
        simopt.load_dataset("hatsopoulos", source="real", smooth=0)
    assert not record.exists()


def test_missing_variables_and_broken_files(tmp_path: Path) -> None:
    reader = Hatsopoulos(name="hatsopoulos")
    path = tmp_path / HATSOPOULOS
    with pytest.raises(InputError, match=f"{HATSOPOULOS}: there is no such file"):
        reader.read(tmp_path)
    mat73(path, spikes=SPIKES)
    with pytest.raises(InputError, match="Unknown array 'stmv_cell'"):
        reader.read(tmp_path)
    load(tmp_path)
    whole = path.read_bytes()
    for part in (0, 0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError, match=f"{HATSOPOULOS}: not a"):
            reader.read(tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"window": [500, 0]}, "stop of window of hatsopoulos is 0; .* 500"),
        ({"window": [0, 250, 500]}, r"window .*\[0, 250, 500\]; .*whole ms"),
        ({"window": [0, 0.5]}, r"window .*\[0, 0.5\]; .*whole ms"),
        ({"window": None}, "window of hatsopoulos is None"),
        ({"window": "ab"}, "window of hatsopoulos is 'ab'"),
        (
            {"bin": 60},
            "bin of hatsopoulos is 60; it does not divide the window of 500 ms; these widths do: 1, 2, 4, 5",
        ),
        ({"bin": 0}, "bin of hatsopoulos is 0"),
        ({"smooth": -1}, "smooth of hatsopoulos is -1"),
    ],
)
def test_options_are_checked(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Hatsopoulos(name="hatsopoulos", **options)
