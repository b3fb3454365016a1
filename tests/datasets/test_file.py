"""A user's own file: what is read, and how every bad one is refused."""

import tracemalloc
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt
from simopt import datasets
from simopt.app.config import requests
from simopt.datasets.base import Trials
from simopt.errors import InputError, UnitsWarning

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
    assert list(load(path, key="b", labels=["object", "own/z"]).labels) == ["object", "z"]
    assert list(load(h5(tmp_path, responses=GOOD, labels=np.arange(20)), labels=["labels"]).labels) == [
        "labels"
    ]


def test_text_labels_come_as_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["responses"] = GOOD
        file.create_dataset("labels/object", data=["car", "facé"] * 10, dtype=h5py.string_dtype())
    assert load(tmp_path / "data.h5").labels["object"].tolist() == ["car", "facé"] * 10


def test_integers_and_booleans_are_numbers(tmp_path: Path) -> None:
    assert load(npy(tmp_path, GOOD > 0)).responses.dtype == np.float64
    assert load(npy(tmp_path, (10 * GOOD).astype("i2"))).responses.dtype == np.float64


def test_constant_units_are_kept_refused_or_dropped(tmp_path: Path) -> None:
    path = npy(tmp_path, CONSTANT)
    told = "data.npy: 1 of 5 units never vary: column 2; dataset.constant_units=drop"
    with pytest.raises(InputError, match=told):
        load(path, constant_units="error")
    assert load(path, constant_units="drop").responses.shape == (20, 4)
    with pytest.warns(UnitsWarning, match=told):
        assert load(path).responses.shape == (20, 5)
    with pytest.warns(UnitsWarning, match="never vary: column 2; "):  # its column in the file
        assert load(path, units="1:4").responses.shape == (20, 3)
    assert load(npy(tmp_path, WITH_NAN), constant_units="drop").responses.shape == (20, 4)
    with pytest.raises(InputError, match="data.npy: 1 of 5 units .*column 2"):
        load(npy(tmp_path, WITH_NAN), constant_units="keep")
    with pytest.raises(InputError, match="constant_units of file 'ignore'.*drop"):
        load(path, constant_units="ignore")
    with pytest.raises(InputError, match="data.npy: 5 of 5 units .*column 0, .*, column 4.$"):
        load(npy(tmp_path, np.ones((20, 5))), constant_units="drop")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (WITH_NAN, "1 of 5 units are NaN throughout: column 2; dataset.constant_units=drop"),
        (
            np.where(np.arange(20)[:, None] < 3, WITH_NAN, GOOD),
            "3 NaN or infinite value.s. in 3 of 20 samples, first in sample 0; .*drop_nan=trials",
        ),
        (np.full((20, 5), np.nan), "5 of 5 units are NaN throughout: column 0, .*, column 4.$"),
        (GOOD[:1], "1 sample"),
        (GOOD[:2], "2 sample"),
        (GOOD[:, 0], r"\(20,\); .*.samples, units."),
        (GOOD.reshape(2, 2, 5, 5), r"\(2, 2, 5, 5\); .*.samples, units."),
        (np.zeros((0, 5)), "0 sample"),
        (GOOD.astype(str), "dtype <U"),
        (GOOD + 1j, "complex128"),
        (np.zeros(20, dtype=[("a", "f4")]), "dtype .*f4"),
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
    with pytest.raises(InputError, match=f"data.{kind}: .*Python objects"):
        load(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x04N.", b"\x93NUMPY"], ids=["empty", "text", "object", "header"]
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".hdf5"])
def test_what_is_no_such_file(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"data{suffix}: not a readable {suffix}"):
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
    with pytest.raises(InputError, match=f"data.{kind}: not a readable .{kind}"):
        load(path)


def test_h5_layouts_that_cannot_be_used(tmp_path: Path) -> None:
    cases = [
        ({"a": GOOD, "b": GOOD}, r"2 arrays .a, b.; .*dataset.key=NAME"),
        ({"a": np.arange(3)}, "no array of shape"),
        ({"responses": GOOD, "labels__x": np.arange(19)}, r"label 'x' has shape .19,."),
        ({"responses": GOOD, "labels": np.arange(20)}, r"'labels' .*dataset.labels=\[labels\]"),
        ({"responses": GOOD, "labels__deep__x": np.arange(20)}, "labels/deep "),
        ({"responses": [["a", "b"]] * 20}, "Python objects"),
    ]
    for content, says in cases:
        with pytest.raises(InputError, match=f"data.h5: .*{says}|data.h5 .*{says}"):
            load(h5(tmp_path, **content))
    with pytest.raises(InputError, match="data.h5: .*key 'responces'.*: responses"):
        load(h5(tmp_path, responses=GOOD), key="responces")
    with pytest.raises(InputError, match="data.h5: .*group 'own'.*: responses"):
        load(h5(tmp_path, responses=GOOD), labels="own")


def test_links_out_of_an_h5_are_not_followed(tmp_path: Path) -> None:
    outside = h5(tmp_path, secret=GOOD).rename(tmp_path / "outside.h5")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["responses"] = h5py.ExternalLink(str(outside), "secret")
    for options, says in (({}, "no array"), ({"key": "responses"}, "key 'responses'")):
        with pytest.raises(InputError, match=f"data.h5: .*{says}"):
            load(tmp_path / "data.h5", **options)


@pytest.mark.parametrize(
    ("name", "says"),
    [("data.xls", "data.xls: .*'.xls'"), ("none.npy", "none.npy: .*no such file"), ("", "''; expected .npy")],
)
def test_paths_that_lead_nowhere(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(tmp_path / name)


SINGLE = np.random.default_rng(1).standard_normal((2, 6, 4, 5))  # time, condition, repeat, unit
OBJECTS = np.array(["car", "car", "face", "face", "kiwi", "kiwi"])


def with_labels(path: Path, responses: np.ndarray, **labels) -> Path:
    return h5(path, responses=responses, **{f"labels__{name}": value for name, value in labels.items()})


def objects() -> np.ndarray:
    return OBJECTS.astype("S")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
@pytest.mark.parametrize("keep", [False, True])
def test_axes_in_any_order_and_repeats_averaged(tmp_path: Path, order: tuple[int, ...], keep: bool) -> None:
    names = ["time", "condition", "repeat", "unit"]
    path = npy(tmp_path, SINGLE.transpose(order))
    options = {"repetitions": "keep"} if keep else {}
    dataset = load(path, axes=[names[i] for i in order], **options)
    np.testing.assert_allclose(dataset.responses, SINGLE.mean(axis=2), atol=1e-12)
    if not keep:
        assert dataset.trials is None
        return
    assert isinstance(dataset.trials, Trials)
    assert dataset.trials.responses.shape == (2, 24, 5)
    np.testing.assert_allclose(dataset.trials.average(), dataset.responses, atol=1e-12)
    np.testing.assert_array_equal(dataset.trials.responses[:, dataset.trials.condition == 3], SINGLE[:, 3])
    np.testing.assert_array_equal(dataset.trials.repeat, np.tile(np.arange(4), 6))
    first, second = dataset.trials.halves(0)
    np.testing.assert_allclose((first + second) / 2, dataset.responses, atol=1e-12)


def test_axes_without_time(tmp_path: Path) -> None:
    dataset = load(npy(tmp_path, SINGLE[0].T), axes="unit,repeat,condition")
    np.testing.assert_allclose(dataset.responses, SINGLE[0].mean(axis=1), atol=1e-12)
    assert load(npy(tmp_path, GOOD.T), axes="unit,sample").responses.shape == (20, 5)


def test_the_file_says_what_its_axes_are_unless_the_option_does(tmp_path: Path) -> None:
    for where, axes in (("responses", "unit,condition"), ("/", ["unit", "condition"]), ("/", b"unit,sample")):
        path = h5(tmp_path, responses=GOOD.T, other=SINGLE[0, :3, :3])
        with h5py.File(path, "a") as file:
            file[where].attrs["axes"] = axes
        np.testing.assert_array_equal(load(path).responses, GOOD)
        assert load(path, axes=["condition", "unit"]).responses.shape == (5, 20)
        np.testing.assert_array_equal(load(path, key="other").responses, SINGLE[0, :3, :3])


def test_missing_repeats_are_left_out(tmp_path: Path) -> None:
    single = SINGLE.copy()
    single[:, 2, 3] = single[:, 4, 0] = np.nan
    axes = "time,condition,repeat,unit"
    kept = load(npy(tmp_path, single), axes=axes, repetitions="keep")
    np.testing.assert_allclose(kept.responses, np.nanmean(single, axis=2), atol=1e-12)
    assert np.bincount(kept.trials.condition).tolist() == [4, 4, 3, 4, 3, 4]
    np.testing.assert_allclose(kept.trials.average(), kept.responses, atol=1e-12)
    single[1, 0, 0, 2] = np.nan
    path = npy(tmp_path, single)
    np.testing.assert_allclose(load(path, axes=axes).responses, np.nanmean(single, axis=2), atol=1e-12)
    kept = load(path, axes=axes, repetitions="keep")
    np.testing.assert_allclose(kept.trials.average(), kept.responses, atol=1e-12)
    with pytest.raises(InputError, match="data.npy: .*NaN .*dataset.repetitions=average"):
        load(path, axes=axes, repetitions="keep", components=2)
    single[1, 0, :, 2] = np.nan
    with pytest.raises(InputError, match="data.npy: .*condition 0 is NaN in unit 2"):
        load(npy(tmp_path, single), axes=axes)


def test_samples_alike_in_labels_become_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    object_, position = rng.permutation(np.repeat([3, 1, 2], 10)), np.tile([1, 0], 15)
    group = np.where(object_ == 3, "animal", "thing").astype("S")
    responses = rng.standard_normal((2, 30, 5)).astype(np.float32)
    path = with_labels(
        tmp_path, responses, object=object_, position=position, group=group, trial=np.arange(30)
    )
    dataset = load(path, average=["object", "position"], repetitions="keep")
    assert list(zip(dataset.labels["object"], dataset.labels["position"], strict=True)) == [
        *dict.fromkeys(zip(object_, position, strict=True))  # in the order of their first appearance
    ]
    animals = np.isin(dataset.labels["object"], 3)
    assert dataset.labels["group"].tolist() == np.where(animals, "animal", "thing").tolist()
    assert "trial" not in dataset.labels
    for k, (o, p) in enumerate(zip(dataset.labels["object"], dataset.labels["position"], strict=True)):
        chosen = responses[:, (object_ == o) & (position == p)]
        np.testing.assert_allclose(dataset.responses[:, k], chosen.mean(axis=1), atol=1e-6)
        np.testing.assert_array_equal(dataset.trials.responses[:, dataset.trials.condition == k], chosen)
    assert dataset.responses.dtype == np.float32
    one = load(path, average="object", conditions={"position": 1})
    first = one.labels["object"][0]
    np.testing.assert_allclose(
        one.responses[:, 0], responses[:, (object_ == first) & (position == 1)].mean(axis=1), atol=1e-6
    )
    assert one.trials is None


def test_repeats_and_averages_together(tmp_path: Path) -> None:
    path = with_labels(tmp_path, SINGLE, object=objects())
    dataset = load(path, axes="time,condition,repeat,unit", average=["object"], repetitions="keep")
    np.testing.assert_allclose(dataset.responses, SINGLE.reshape(2, 3, 8, 5).mean(axis=2), atol=1e-12)
    assert np.bincount(dataset.trials.condition).tolist() == [8, 8, 8]
    assert dataset.labels["object"].tolist() == ["car", "face", "kiwi"]


def test_conditions_and_units_are_chosen_with_their_labels(tmp_path: Path) -> None:
    path = with_labels(tmp_path, SINGLE[:, :, 0], object=objects(), side=np.array([0, 1] * 3))
    dataset = load(path, conditions={"object": ["kiwi", "car"]}, units=[4, 0])
    np.testing.assert_array_equal(dataset.responses, SINGLE[:, [0, 1, 4, 5], 0][..., [4, 0]])
    assert dataset.labels["object"].tolist() == ["car", "car", "kiwi", "kiwi"]
    assert load(path, conditions="side", units="::2").responses.shape == (2, 3, 3)
    assert load(path, conditions=[5, 0, 2]).labels["object"].tolist() == ["kiwi", "car", "face"]
    with h5py.File(path, "a") as file:
        file["region"] = np.array([b"V4", b"IT", b"IT", b"V4", b"V4"])
    assert load(path, units={"region": "IT"}).responses.shape == (2, 6, 2)


def test_what_is_not_chosen_need_not_be_finite_or_vary(tmp_path: Path) -> None:
    bad = np.where(np.arange(5) == 1, np.nan, CONSTANT)
    assert load(npy(tmp_path, bad), units=[0, 3, 4]).responses.shape == (20, 3)


@pytest.mark.parametrize("kind", ["npy", "h5"])
def test_a_selection_of_a_large_file_is_read_alone(tmp_path: Path, kind: str) -> None:
    large = np.random.default_rng(0).standard_normal((4000, 1000)).astype(np.float32)
    path = npy(tmp_path, large) if kind == "npy" else h5(tmp_path, responses=large)
    tracemalloc.start()
    dataset = load(path, units=[7, 500, 900])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(dataset.responses, large[:, [7, 500, 900]])
    assert peak < 0.6 * large.nbytes


def test_standardized_and_reduced_after_units_are_dropped(tmp_path: Path) -> None:
    path = npy(tmp_path, np.where(np.arange(5) == 2, 1.0, SINGLE))
    options = {"axes": "time,condition,repeat,unit", "repetitions": "keep", "standardize": "units"}
    dataset = load(path, constant_units="drop", **options)
    assert dataset.responses.shape == (2, 6, 4)
    np.testing.assert_allclose(dataset.samples().std(axis=0), 1)
    np.testing.assert_allclose(dataset.trials.average(), dataset.responses, atol=1e-12)
    with pytest.warns(UnitsWarning, match="column 2"):
        assert load(path, constant_units="keep", **options).responses.shape == (2, 6, 5)
    few = load(path, constant_units="drop", components=0.6, **options)
    assert few.responses.shape[-1] == np.argmax(np.cumsum(dataset.spectrum()) >= 0.6) + 1
    np.testing.assert_allclose(few.trials.average(), few.responses, atol=1e-12)
    assert load(path, constant_units="drop", components=2, **options).responses.shape == (2, 6, 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"repetitions": "keep"}, r"data.h5: .*dataset.average=\[LABEL\]"),
        ({"repetitions": "all"}, "repetitions of file 'all'.* average, keep"),
        ({"standardize": "all"}, "standardize of file 'all'.* none, units"),
        ({"average": "objct"}, "label of .*data.h5: 'objct'.* object"),
        ({"average": 3}, "average of file is 3"),
        ({"labels": {"a": 1}}, "labels of file is"),
        ({"conditions": {"objct": 1}}, "conditions of .*data.h5: .*label 'objct'.* object"),
        ({"conditions": {"object": "cat"}}, "object of conditions of .*data.h5: 'cat'.* car"),
        ({"units": "0:0"}, "units of .*data.h5: '0:0' .* 5"),
        ({"components": 0}, "components of file is 0"),
        ({"components": 1.5}, "components of file is 1.5; .*share"),
        ({"components": 0.0}, "components of file is 0.0; .*greater than 0"),
        ({"components": True}, "components of file is True"),
        ({"components": "many"}, "components of file is 'many'"),
        ({"components": 6}, "data.h5 has 5 .*dataset.components is 6"),
        ({"align": "go"}, "data.h5: align .*nwb"),
        ({"bin": 1}, "bin of file is 1, without a window"),
        ({"window": [5, 6]}, "data.h5 has times from 0 to 1, which the window .5, 6. leaves"),
        ({"repeats": [0]}, "data.h5 has no axis of repeats"),
        ({"drop_nan": "units"}, "drop_nan of file 'units'"),
        ({"axes": [["unit"]]}, r"axes is \[\['unit'\]\]; .*condition"),
        ({"labels": "labels.csv"}, "labels.csv: there is no such file"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(with_labels(tmp_path, SINGLE[:, :, 0], object=objects()), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"window": [0]}, r"window of file is \[0\]"),
        ({"window": 500}, "window of file is 500"),
        ({"window": [5, 0]}, "stop of window of file is 0; .*greater than 5"),
        ({"window": ["a", 0]}, r"window of file is \['a', 0\]; .*\[START,STOP\] in ms"),
        ({"window": [float("nan"), 0]}, r"window of file is \[nan, 0\]"),
        ({"window": [0, 500], "bin": 0}, "bin of file is 0"),
        ({"window": [0, 500], "bin": 70}, "bin of file is 70; .*500 ms"),
        ({"window": [0, 500], "bin": 900}, "bin of file is 900; .*500 ms"),
    ],
    ids=str,
)
def test_windows_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(Path("x.nwb"), **options)


def test_every_option_can_be_written_on_the_command_line(tmp_path: Path) -> None:
    path = with_labels(tmp_path, SINGLE, object=objects())
    request = requests.run(
        [
            "dataset=file",
            f"dataset.path={path}",
            "dataset.axes=[time,condition,repeat,unit]",
            "dataset.labels=[object]",
            "dataset.average=[object]",
            "dataset.conditions={object:[car,face,kiwi]}",
            "dataset.units=0:4",
            "dataset.components=0.99",
            "dataset.standardize=units",
        ]
    )
    dataset = request.dataset.dataset
    assert dataset.responses.shape[:2] == (2, 3)
    assert dataset.labels["object"].tolist() == ["car", "face", "kiwi"]


def test_names_in_a_file_may_be_spelled_as_former_options_were(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    labels = {"centred": np.arange(6) % 2, "centered": np.arange(6) % 3}
    np.savez(
        path, normalised=np.random.default_rng(0).standard_normal((6, 3)), other=np.zeros((6, 3)), **labels
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaders = [
            datasets.loader("file", path=str(path), key="normalised", labels=name, title="standardise")
            for name in labels
        ]
        loaded = [loader.load() for loader in loaders]
    assert [list(dataset.labels) for dataset in loaded] == [["centred"], ["centered"]]
    assert loaded[0].name == "standardise"
    first, second = (loader.identity(lambda path: "hash") for loader in loaders)
    assert first != second
