"""A user's own file: what is read, and how every bad one is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt
from simopt.errors import InputError

GOOD = np.random.default_rng(0).standard_normal((20, 5))
WITH_NAN = np.where(np.arange(5) == 2, np.nan, GOOD)
CONSTANT = np.where(np.arange(5) == 2, 1.0, GOOD)


def load(path: Path, **options) -> simopt.Dataset:
    return simopt.load_dataset("file", path=str(path), **options)


def npy(path: Path, array: object, **options) -> Path:
    np.save(path / "data.npy", array, **options)
    return path / "data.npy"


def h5(path: Path, **content) -> Path:
    with h5py.File(path / "data.h5", "w") as file:
        for name, value in content.items():
            file[name.replace("__", "/")] = value
    return path / "data.h5"


@pytest.mark.parametrize("shape", [(20, 5), (4, 5, 5)])
def test_npy_npz_and_h5_hold_the_same(tmp_path: Path, shape: tuple[int, ...]) -> None:
    responses = GOOD.reshape(shape)
    np.savez(tmp_path / "data.npz", responses=responses, other=np.zeros((3, 3)))
    paths = (
        npy(tmp_path, responses),
        tmp_path / "data.npz",
        h5(tmp_path, responses=responses, other=np.zeros((3, 3))),
    )
    for path in paths:
        dataset = load(path)
        np.testing.assert_array_equal(dataset.responses, responses)
        np.testing.assert_array_equal(dataset.samples(), GOOD)
        assert (dataset.name, dataset.source) == ("data", "real")


def test_labels_key_and_name_of_an_h5(tmp_path: Path) -> None:
    objects = np.array([b"car", b"face"] * 10)
    path = h5(
        tmp_path,
        a__x=GOOD,
        b=GOOD[:, :2],
        labels__object=objects,
        labels__trial=np.arange(20),
        own__z=np.ones(20),
    )
    dataset = load(path, key="a/x", title="mine")
    assert dataset.name == "mine"
    assert dataset.responses.shape == (20, 5)
    assert dataset.labels["object"].tolist() == ["car", "face"] * 10
    assert dataset.labels["trial"][3] == 3
    assert list(load(path, key="/b", labels="own").labels) == ["z"]


def test_text_labels_come_as_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["responses"] = GOOD
        file.create_dataset("labels/object", data=["car", "facé"] * 10, dtype=h5py.string_dtype())
    assert load(tmp_path / "data.h5").labels["object"].tolist() == ["car", "facé"] * 10


def test_integers_and_booleans_are_numbers(tmp_path: Path) -> None:
    assert load(npy(tmp_path, GOOD > 0)).responses.dtype == np.float64
    assert load(npy(tmp_path, (10 * GOOD).astype("i2"))).responses.dtype == np.float64


def test_constant_units_are_refused_or_dropped(tmp_path: Path) -> None:
    path = npy(tmp_path, CONSTANT)
    with pytest.raises(
        InputError, match="1 of 5 units never vary, the first is column 2; dataset.constant_units=drop"
    ):
        load(path)
    assert load(path, constant_units="drop").responses.shape == (20, 4)
    assert load(path, constant_units="keep").responses.shape == (20, 5)
    with pytest.raises(InputError, match="Unknown constant_units"):
        load(path, constant_units="ignore")
    with pytest.raises(InputError, match="5 of 5 units never vary"):
        load(npy(tmp_path, np.ones((20, 5))), constant_units="drop")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (WITH_NAN, "20 NaN or infinite"),
        (GOOD[:1], "1 sample"),
        (GOOD[:2], "2 sample"),
        (GOOD[:, 0], "expected .samples, units."),
        (GOOD.reshape(2, 2, 5, 5), "expected .samples, units."),
        (np.zeros((0, 5)), "0 sample"),
        (GOOD.astype(str), "dtype <U"),
        (GOOD + 1j, "complex128"),
        (np.zeros(20, dtype=[("a", "f4")]), "expected real numbers"),
    ],
    ids=str,
)
def test_arrays_that_cannot_be_used(tmp_path: Path, array: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=f"data.npy.*{says}"):
        load(npy(tmp_path, array))


class Trap:
    """Leaves a file behind when it is loaded as an object."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_objects_are_never_loaded(tmp_path: Path, kind: str) -> None:
    sprung = tmp_path / "sprung"
    array = np.array([[Trap(sprung)] * 2] * 5, dtype=object)
    path = tmp_path / f"data.{kind}"
    with path.open("wb") as handle:
        np.save(handle, array, allow_pickle=True) if kind == "npy" else np.savez(handle, responses=array)
    with pytest.raises(InputError, match="Python objects, which are never loaded"):
        load(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x04N.", b"\x93NUMPY"], ids=["empty", "text", "object", "header"]
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".hdf5"])
def test_what_is_no_such_file(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable"):
        load(path)


@pytest.mark.parametrize("kind", ["npy", "npz", "h5"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
def test_truncated_files(tmp_path: Path, kind: str, part: float) -> None:
    np.savez(tmp_path / "data.npz", responses=GOOD)
    path = {"npy": npy(tmp_path, GOOD), "npz": tmp_path / "data.npz", "h5": h5(tmp_path, responses=GOOD)}[
        kind
    ]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match="not a readable"):
        load(path)


def test_h5_layouts_that_cannot_be_used(tmp_path: Path) -> None:
    cases = [
        ({"a": GOOD, "b": GOOD}, "holds 2 arrays .a, b.; say which one"),
        ({"a": np.arange(3)}, "no array of two or three dimensions"),
        ({"responses": GOOD, "labels__x": np.arange(19)}, r"label 'x' has shape .19,."),
        ({"responses": GOOD, "labels": np.arange(20)}, "no group 'labels'"),
        ({"responses": GOOD, "labels__deep__x": np.arange(20)}, "labels/deep is not a dataset"),
        ({"responses": [["a", "b"]] * 20}, "Python objects"),
    ]
    for content, says in cases:
        with pytest.raises(InputError, match=says):
            load(h5(tmp_path, **content))
    with pytest.raises(InputError, match="Unknown key 'responces'; the nearest: responses"):
        load(h5(tmp_path, responses=GOOD), key="responces")
    with pytest.raises(InputError, match="no group 'own'"):
        load(h5(tmp_path, responses=GOOD), labels="own")


def test_links_out_of_an_h5_are_not_followed(tmp_path: Path) -> None:
    outside = h5(tmp_path, secret=GOOD).rename(tmp_path / "outside.h5")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["responses"] = h5py.ExternalLink(str(outside), "secret")
    for options in ({}, {"key": "responses"}):
        with pytest.raises(InputError):
            load(tmp_path / "data.h5", **options)


@pytest.mark.parametrize(
    ("name", "says"),
    [("data.csv", "unknown kind of file '.csv'"), ("none.npy", "no such file"), ("", "unknown kind")],
)
def test_paths_that_lead_nowhere(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(tmp_path / name)
