"""Mante2013 from its archive: the published averages, and every archive that is not the published one."""

import struct
from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt.datasets.mante import Mante
from simopt.errors import InputError
from tests.datasets.mat_files import COHERENCES, mante_unit, mante_zip, mat5

FOLDER = "PFC data/PFC data 1"


def load(folder: Path, **options) -> simopt.Dataset:
    return Mante(name="mante", source="real", **options).read(folder)


def member(**units) -> dict[str, bytes]:
    return {f"{FOLDER}/{name}.mat": mat5(unit=unit) for name, unit in units.items()}


def plain(unit: dict, bin_: int) -> tuple[list[tuple], np.ndarray]:
    """The averages by loops: conditions in sorted order, (conditions, bins)."""
    variables = {name: values.ravel() for name, values in unit["task_variable"].items()}
    groups: dict[tuple, list[int]] = {}
    for trial in range(len(unit["response"])):
        key = tuple(variables[name][trial] for name in ("targ_dir", "stim_dir", "stim_col2dir", "context"))
        groups.setdefault(key, []).append(trial)
    conditions = [key for key in sorted(groups) if variables["correct"][groups[key]].all()]
    bins = unit["response"].shape[1] // bin_
    rows = [
        [unit["response"][groups[key], b * bin_ : (b + 1) * bin_].mean() for b in range(bins)]
        for key in conditions
    ]
    return conditions, np.array(rows)


def without(unit: dict, trials: np.ndarray) -> dict:
    kept = {name: values[~trials] for name, values in unit["task_variable"].items()}
    return unit | {"response": unit["response"][~trials], "task_variable": kept}


def test_the_averages_and_labels_of_an_archive(tmp_path: Path) -> None:
    units = {f"ar09{i}_1_a1_Vstim_100_850_ms": mante_unit(i, trials=400 + 100 * i) for i in range(3)}
    scaled = units["ar091_1_a1_Vstim_100_850_ms"]["task_variable"]
    scaled["stim_dir"] = scaled["stim_dir"] * 0.8  # another session, other coherences
    incomplete = mante_unit(7)
    variables = incomplete["task_variable"]
    gone = (variables["stim_dir"] == COHERENCES[2]) & (variables["context"] == 1)
    others = {
        f"{FOLDER}/README.txt": b"text",
        f"__MACOSX/{FOLDER}/._ar090_1_a1_Vstim_100_850_ms.mat": b"resource fork",
        "PFC data/PFC data 2/fe111019_2_a1_Vstim_100_850_ms.mat": mat5(unit=mante_unit(9)),
    }
    content = member(ar08=without(incomplete, gone.ravel()), **dict(reversed(units.items())))
    mante_zip(tmp_path, {**content, **others})
    before = sorted(tmp_path.iterdir())
    dataset = load(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert dataset.responses.shape == (2, 72, 3)
    for i, unit in enumerate(units.values()):
        conditions, rates = plain(unit, 50)
        np.testing.assert_allclose(dataset.responses[:, :, i], rates.T, rtol=1e-12)
    for variable, column in (("choice", 0), ("motion", 1), ("colour", 2)):
        assert dataset.labels[variable].tolist() == [int(key[column] > 0) for key in conditions]
    assert dataset.labels["context"].tolist() == [int(key[3] < 0) for key in conditions]
    relevant = np.where(dataset.labels["context"] == 0, dataset.labels["motion"], dataset.labels["colour"])
    np.testing.assert_array_equal(dataset.labels["choice"], relevant)
    assert (dataset.name, dataset.source) == ("mante", "real")


def test_the_other_monkey_and_other_bins(tmp_path: Path) -> None:
    unit = mante_unit(9)
    mante_zip(
        tmp_path, {**member(ar1=mante_unit(1)), "PFC data/PFC data 2/fe1.mat": mat5(unit=unit), "x.mat": b""}
    )
    dataset = load(tmp_path, monkey="fe", bin=20)
    np.testing.assert_allclose(dataset.responses[:, :, 0], plain(unit, 20)[1].T, rtol=1e-12)
    assert dataset.responses.shape == (5, 72, 1)


def test_a_condition_with_both_right_and_wrong_trials_is_left_out(tmp_path: Path) -> None:
    mixed = mante_unit(1)
    mixed["task_variable"]["correct"][5] = 0  # of a condition that has other trials, all right
    assert len(plain(mixed, 50)[0]) == 71
    mante_zip(tmp_path, member(ar1=mixed, ar2=mante_unit(2)))
    assert load(tmp_path).responses.shape == (2, 72, 1)


def changed(**variables) -> dict:
    unit = mante_unit(0)
    unit["task_variable"] |= variables
    return unit


def lacking(name: str) -> dict:
    unit = mante_unit(0)
    del (unit if name in unit else unit["task_variable"])[name]
    return unit


NAN = np.where(np.arange(600)[:, None] == 3, np.nan, mante_unit(0)["response"])
BAD_UNITS = [
    (lacking("response"), "ar1.mat: has no unit.response"),
    (lacking("time"), "ar1.mat: has no unit.time"),
    (lacking("correct"), "ar1.mat: has no unit.task_variable.correct"),
    (changed(context=np.ones((5, 1))), "ar1.mat: .*600 trials x 101 samples.* 101 .*600, 600, 600, 5, 600"),
    (changed(context="motion"), "ar1.mat: unit.task_variable.context is text"),
    (mante_unit(0, time=np.arange(100) / 1000), "ar1.mat: .*time has 100 values"),
    (mante_unit(0, time=np.arange(101.0) ** 2), "ar1.mat: time .*equal steps, in s"),
    (mante_unit(0, time=np.zeros(101)), "ar1.mat: time .*equal steps"),
    (mante_unit(0, time=np.arange(101) * 0.003), "50 ms .*101 samples of 3 ms; dataset.bin"),
    (mante_unit(0, response=np.zeros((600, 101, 2))), r"unit.response is .*\(600, 101, 2\)"),
    (mante_unit(0, response=NAN), "ar1.mat: response .*NaN"),
    (mante_unit(0, response=np.array([[1, "a"]], dtype=object)), "cell array of 2"),
    (mante_unit(0, trials=72, samples=49), "50 ms .*49 samples of 1 ms"),
    (without(mante_unit(0), np.arange(600) > 0), "1 units of monkey ar .*72"),
    (5.0, "ar1.mat: has no unit.response"),
]


@pytest.mark.parametrize(("unit", "says"), BAD_UNITS, ids=[says[:40] for _, says in BAD_UNITS])
def test_units_that_cannot_be_used(tmp_path: Path, unit: object, says: str) -> None:
    mante_zip(tmp_path, member(ar1=unit))
    with pytest.raises(InputError, match=f"PFC data.zip: .*{says}"):
        load(tmp_path)


def test_units_that_do_not_go_together(tmp_path: Path) -> None:
    mante_zip(tmp_path, member(ar1=mante_unit(0), ar2=mante_unit(1, samples=151)))
    with pytest.raises(InputError, match="ar2.mat: .*3 bins.* 2"):
        load(tmp_path)
    turned = mante_unit(1)
    turned["task_variable"]["targ_dir"] = -turned["task_variable"]["targ_dir"]
    mante_zip(tmp_path, member(ar1=mante_unit(0), ar2=turned))
    with pytest.raises(InputError, match="ar2.mat: .*72 conditions"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["../PFC data 1/ar1.mat", "/PFC data 1/ar1.mat"])
def test_names_that_lead_out_of_the_archive(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    mante_zip(folder, {name: mat5(unit=mante_unit(0)), **member(ar2=mante_unit(1))})
    with pytest.raises(InputError, match=f"PFC data.zip: .*{name!r}"):
        load(folder)
    assert [path.name for path in tmp_path.rglob("*.mat")] == []


def test_archives_that_are_not_the_published_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="PFC data.zip: there is no such file"):
        load(tmp_path)
    mante_zip(tmp_path, {"PFC data/PFC data 2/fe1.mat": mat5(unit=mante_unit(0)), "a.txt": b""})
    with pytest.raises(InputError, match="PFC data.zip: .*'PFC data 1'"):
        load(tmp_path)
    path = mante_zip(tmp_path, {f"{FOLDER}/ar1.mat": b"not a mat file"})
    with pytest.raises(InputError, match="PFC data.zip: ar1.mat: not a MAT file"):
        load(tmp_path)
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(InputError, match="PFC data.zip: not a readable zip file"):
        load(tmp_path)


def test_truncated_corrupted_encrypted_and_swollen_archives(tmp_path: Path) -> None:
    path = mante_zip(tmp_path, member(ar1=mante_unit(0)))
    whole = path.read_bytes()
    directory = whole.index(b"PK\x01\x02")
    middle = directory // 2
    cut = whole[: len(whole) // 2]
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    encrypted = whole[: directory + 8] + b"\x01\x00" + whole[directory + 10 :]
    for content in (cut, flipped, encrypted):
        path.write_bytes(content)
        with pytest.raises(InputError, match="PFC data.zip: not a readable zip file"):
            load(tmp_path)
    path.write_bytes(whole[: directory + 24] + struct.pack("<I", 600_000_000) + whole[directory + 28 :])
    with pytest.raises(InputError, match="PFC data.zip: ar1.mat says it holds 0.559 GB, but only"):
        load(tmp_path)


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="monkey of mante 'al'.* ar"):
        simopt.load_dataset("mante", source="surrogate", monkey="al")
    with pytest.raises(InputError, match="bin of mante is 0"):
        simopt.load_dataset("mante", source="surrogate", bin=0)
