"""Titles, origins and identities: they need no data, and differ exactly when the data do."""

import copy
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simopt import catalogue, datasets
from simopt.datasets import Dataset, Loader, fetch
from simopt.errors import FetchError, InputError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 4))


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def identity(name: str, **options) -> str:
    return json.dumps(datasets.loader(name, **options).identity(hash_of), sort_keys=True, allow_nan=False)


def content(dataset: Dataset) -> tuple:
    """What a dataset holds but its name, to be compared."""
    trials = dataset.trials
    kept = None if trials is None else (trials.responses.tolist(), trials.condition.tolist())
    labels = {name: values.tolist() for name, values in dataset.labels.items()}
    return dataset.responses.shape, dataset.responses.tolist(), labels, kept


generated = st.one_of(
    st.fixed_dictionaries(
        {"name": st.just("ultrametric")},
        optional={
            "branching": st.sampled_from([[2, 3], (2, 3), [3, 2], [6]]),
            "units": st.sampled_from([20, 21]),
            "resample": st.sampled_from([0.2, 0.5]),
            "seed": st.sampled_from([0, 1]),
        },
    ),
    st.fixed_dictionaries(
        {"name": st.just("gaussian")},
        optional={
            "samples": st.sampled_from([None, 5, 6]),
            "units": st.sampled_from([3, 4]),
            "spectrum": st.sampled_from([None, [1, 2], [2.0, 1.0], [1, 3]]),
            "exponent": st.sampled_from([None, 0, 1, 1.0, 2]),
            "seed": st.sampled_from([0, 1]),
        },
    ),
    st.fixed_dictionaries(
        {
            "name": st.just("gaussian"),
            "twin_of": st.sampled_from(
                [
                    "ultrametric",
                    {"name": "ultrametric", "branching": [2, 4]},
                    {"name": "ultrametric", "branching": [2, 4], "seed": 3},
                ]
            ),
        },
        optional={"seed": st.sampled_from([0, 1])},
    ),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(generated, generated)
def test_generated_data_differ_only_where_identities_do(first: dict, second: dict) -> None:
    same = content(datasets.load(**first)) == content(datasets.load(**second))
    assert same == (identity(**first) == identity(**second))


def recording(folder: Path) -> None:
    labels = {"object": np.arange(12) % 3, "side": np.arange(12) % 2}
    with h5py.File(folder / "x.h5", "w") as file:
        file["responses"], file["other"] = X, 2 * X
        for name, values in labels.items():
            file[f"labels/{name}"] = values
        file["cell"] = np.array([1, 0, 1, 1])
    rows = [f"{a},{b}\n" for a, b in zip(*labels.values(), strict=True)]
    (folder / "labels.csv").write_text("object,side\n" + "".join(rows))
    (folder / "turned.csv").write_text("object,side\n" + "".join(reversed(rows)))
    np.save(folder / "one.npy", labels["object"])
    np.save(folder / "two.npy", labels["object"])


read = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from([None, "responses", "other"]),
        "labels": st.sampled_from(
            [None, [], ["object"], ["side", "object"], "labels.csv", "turned.csv", "one.npy", "two.npy"]
        ),
        "axes": st.sampled_from([None, "sample,unit"]),
        "units": st.sampled_from([None, {}, [0, 2], [2, 0], "0:3", "cell"]),
        "conditions": st.sampled_from([None, "0:9", {"object": [0, 1]}, {"object": [0, 1], "side": 1}]),
        "average": st.sampled_from([None, ["object"], "side"]),
        "repetitions": st.sampled_from(["average", "keep"]),
        "standardize": st.sampled_from(["none", "units"]),
        "components": st.sampled_from([None, 1, 1.0, 2]),
        "constant_units": st.sampled_from(["error", "drop"]),
    },
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(first=read, second=read)
def test_what_is_read_differs_only_where_identities_do(tmp_path_factory, first: dict, second: dict) -> None:
    folder = tmp_path_factory.getbasetemp() / "read"
    if not folder.exists():
        folder.mkdir()
        recording(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert identity("file", path="x.h5", **first) == identity("file", path="x.h5", **copy.deepcopy(first))
        if identity("file", path="x.h5", **first) != identity("file", path="x.h5", **second):
            return
        loaded = []
        for options in (first, second):
            try:
                loaded.append(content(datasets.load("file", path="x.h5", **options)))
            except InputError as error:
                loaded.append(str(error))
        assert loaded[0] == loaded[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"labels": []}),
        ({}, {"labels": ["object"]}),
        ({"labels": "labels.csv"}, {"labels": "turned.csv"}),
        ({"labels": "one.npy"}, {"labels": "two.npy"}),
        ({"key": "other"}, {}),
        ({"units": [0, 2]}, {"units": [2, 0]}),
        ({"conditions": "0:9"}, {}),
        ({"components": 1}, {"components": 1.0}),
        ({"average": "object"}, {"average": "object", "repetitions": "keep"}),
        ({"standardize": "units"}, {}),
    ],
)
def test_options_that_change_what_is_read(tmp_path: Path, monkeypatch, first: dict, second: dict) -> None:
    monkeypatch.chdir(tmp_path)
    recording(tmp_path)
    one, two = (content(datasets.load("file", path="x.h5", **options)) for options in (first, second))
    assert one != two
    assert identity("file", path="x.h5", **first) != identity("file", path="x.h5", **second)


def test_a_file_is_its_content(tmp_path: Path) -> None:
    recording(tmp_path)
    before = identity("file", path=str(tmp_path / "x.h5"), labels=str(tmp_path / "labels.csv"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "x.h5").rename(moved / "y.HDF5")
    (tmp_path / "labels.csv").rename(moved / "z.csv")
    options = {"path": str(moved / "y.HDF5"), "labels": str(moved / "z.csv")}
    assert identity("file", **options, title="another") == before
    with (moved / "z.csv").open("a") as file:
        file.write("0,1\n")
    longer = identity("file", **options)
    (moved / "y.HDF5").write_bytes(b"")
    assert len({before, longer, identity("file", **options)}) == 3


def test_the_reader_is_part_of_what_a_file_is(tmp_path: Path) -> None:
    for name in ("x.csv", "x.tsv"):
        (tmp_path / name).write_text("1,2\n3,4\n5,7\n")
    assert identity("file", path=str(tmp_path / "x.csv")) != identity("file", path=str(tmp_path / "x.tsv"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"path": "none.npy"}, "none.npy: there is no such file"),
        ({"path": "x.xyz"}, "unknown kind of file '.xyz'"),
        ({"path": "x.npy", "labels": "none.csv"}, "none.csv: there is no such file"),
    ],
)
def test_files_that_are_not_there(tmp_path: Path, monkeypatch, options: dict, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    with pytest.raises(InputError, match=says):
        identity("file", **options)


def test_a_twin_is_that_of_the_other_dataset_however_it_is_named(tmp_path: Path) -> None:
    for name in ("x.npy", "y.npy"):
        np.save(tmp_path / name, X)
    paths = [str(tmp_path / name) for name in ("x.npy", "y.npy")]
    by_path, renamed = (identity("gaussian", twin_of=path) for path in paths)
    node = identity("gaussian", twin_of={"name": "file", "path": paths[0], "title": "another"})
    assert by_path == renamed == node
    assert by_path != identity("gaussian", twin_of={"name": "file", "path": paths[0], "units": [0, 1]})
    with pytest.raises(InputError, match="majaj: region .*fetch majaj"):
        identity("gaussian", twin_of={"name": "majaj", "region": "V4"})


def test_a_surrogate_is_its_recipe() -> None:
    identities = [identity(name, source="surrogate") for name in ("majaj", "siegel")]
    identities += [identity("majaj", source="surrogate", seed=1)]
    assert len(set(identities)) == 3
    assert identity("majaj") == identities[0]
    recipe = json.loads(identities[0])
    text = (Path(datasets.__file__).parent / "spectra" / "majaj.csv").read_bytes()
    assert recipe["spectrum"] == hashlib.sha256(text).hexdigest()
    assert recipe["recipe"] == "simopt.datasets.majaj.Majaj"
    assert "revision" not in recipe


@pytest.mark.parametrize("name", ["majaj", "mante"])
def test_what_a_surrogate_is_drawn_from_is_in_its_recipe(monkeypatch, name: str) -> None:
    loader = datasets.recording(name)
    before = loader.identity(hash_of)
    planted = loader.planted()
    assert loader.identity(hash_of) == before
    changes = {
        "planted": lambda self: planted[1:],
        "scale": 0.25,
        "shape": (10, *loader.shape),
        "revision": 2,
    }
    for attribute, value in changes.items():
        with monkeypatch.context() as patch:
            patch.setattr(type(loader), attribute, value)
            changed = loader.identity(hash_of)
        assert changed != before
    assert changed == {**before, "revision": 2}


def test_published_hashes_stand_for_a_recording_before_it_is_here(monkeypatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(fetch, "fetch", never)
    recipe = json.loads(identity("majaj", source="real"))
    assert recipe["files"]["assy_dicarlo_MajajHong2015_public.nc"].startswith("sha1:13d28ca0")
    assert (recipe["region"], recipe["repetitions"]) == ("IT", "average")
    assert identity("majaj", source="real") == identity("majaj", source="real", seed=5)
    assert identity("majaj", source="real") != identity("majaj", source="real", region="V4")


def test_files_without_a_published_hash_are_hashed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SIMOPT_DATA", str(tmp_path))
    with pytest.raises(FetchError, match="siegel: siegel.h5 "):
        identity("siegel", source="real")
    surrogate = identity("siegel")
    (tmp_path / "siegel" / "siegel.h5").write_bytes(b"first")
    assert datasets.loader("siegel").origin == "real"
    first = identity("siegel")
    assert json.loads(first)["files"] == {"siegel.h5": hashlib.sha256(b"first").hexdigest()}
    (tmp_path / "siegel" / "siegel.h5").write_bytes(b"second")
    assert len({surrogate, first, identity("siegel")}) == 3


@dataclass(frozen=True, kw_only=True)
class Mine(Loader):
    """A loader that only loads its data: no title, origin or identity of its own."""

    offset: float = 0.0

    def load(self) -> Dataset:
        return Dataset("mine", X * (1 + self.offset))


def test_a_loader_without_an_identity_is_its_data() -> None:
    first, same, other = Mine(name="a"), Mine(name="b"), Mine(name="a", offset=1.0)
    assert first.origin == "real"
    assert first.identity(hash_of) == same.identity(hash_of) != other.identity(hash_of)


def test_only_what_is_set_enters_a_recipe() -> None:
    loader = Mine(name="mine")
    assert loader.recipe(a=None, b=False, c="", d=[], e={}, f=()) == loader.recipe()
    kept = loader.recipe(a=0, b=True, c=np.float64(0.5), d=(1, np.int64(2)), e={1: np.arange(2)})
    assert kept == {**loader.recipe(), "a": 0, "b": True, "c": 0.5, "d": [1, 2], "e": {"1": [0, 1]}}
    assert loader.recipe(a={"b": [(1, 2)]})["a"] == {"b": [[1, 2]]}


def test_nothing_is_loaded_and_torch_is_not_imported(tmp_path: Path) -> None:
    recording(tmp_path)
    code = """
import hashlib, json, sys
from simopt import datasets
from simopt.datasets import gaussian, twin, file, formats, base

def never(*_, **__):
    raise AssertionError("loaded")

gaussian.gaussian_responses = never
datasets.recording_module = __import__("simopt.datasets.recording", fromlist=["x"])
datasets.recording_module.gaussian_responses = never
formats.opened = never
base.Dataset.__init__ = never
hash_of = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
loaders = [datasets.loader(name) for name in datasets.names() if name != "file"]
loaders += [datasets.loader("file", path="x.h5"), datasets.loader("gaussian", twin_of="majaj")]
loaders += [datasets.loader("gaussian", twin_of="x.h5"), datasets.loader("majaj", source="real")]
facts = [(repr(x), x.title, x.origin, json.dumps(x.identity(hash_of))) for x in loaders]
assert "torch" not in sys.modules
print(json.dumps([title for _, title, _, _ in facts]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [name for name in datasets.names() if name != "file"]
    assert json.loads(done.stdout) == [*names, "x", "gaussian_majaj", "gaussian_x", "majaj"]


@pytest.mark.parametrize("name", datasets.names())
def test_titles_and_origins_are_those_of_the_data(tmp_path: Path, name: str) -> None:
    recording(tmp_path)
    path = str(tmp_path / "x.h5")
    nodes = [{} if name != "file" else {"path": path}]
    nodes += [{"path": path, "title": "mine"}] if name == "file" else []
    nodes += [{"twin_of": path}, {"twin_of": "ultrametric"}] if name == "gaussian" else []
    for options in nodes:
        if "source" in catalogue.read("dataset", name) and name != "gaussian":
            options["source"] = "surrogate"
        loader = datasets.loader(name, **options)
        title, origin = loader.title, loader.origin
        dataset = loader.load()
        assert (dataset.name, dataset.source) == (title, origin)
