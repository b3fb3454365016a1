"""Stored results that went wrong: refused or made again, and nothing in them is run."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simopt
from simopt.errors import InterruptedRunError, StorageError
from simopt.store import image, layout
from simopt.store.image import Array, Stored
from simopt.workflows import joint, run
from simopt.workflows.joint import JointRequest
from simopt.workflows.run_request import RunRequest
from tests.fuzz import files, watch
from tests.fuzz.test_run_files import VALUES, report
from tests.fuzz.watch import Yard, both, size

X = np.random.default_rng(0).standard_normal((12, 3)) * [3, 2, 1]
Y = X + np.random.default_rng(1).standard_normal(X.shape)
SEARCH = {"starts": 2, "rounds": 1, "steps": 10, "levels": [0.5, 0.9]}
PAIR = ("cka", "nbs")
RESULTS: dict[str, Callable[[], object]] = {
    "run": lambda: simopt.optimize(X, "nbs", max_steps=8, target=1, track=["cka"], store="run"),
    "joint": lambda: simopt.joint(X, PAIR, store="joint", **SEARCH),
    "square": lambda: simopt.joint(X, PAIR, mode="square", steps=3, per_side=2, store="square"),
    "sensitivity": lambda: simopt.sensitivity(X, PAIR, seeds=(0, 1), store="sensitivity"),
    "score": lambda: simopt.compare(X, Y, "cka", draws=5, store="score"),
    "attribution": lambda: simopt.attribute(X, Y, "cka", store="attribution"),
}
SHAPES = st.sampled_from((
    np.zeros(0), np.zeros((2, 3, 4, 5)), np.float64(1), np.full((2, 2), np.nan), np.zeros(2, np.int8),
    np.array([b"x", b"y"]), np.zeros(2, [("a", "f8")]),
))  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with watch.yard(tmp_path_factory.mktemp("results")) as yard:
        yield yard


@cache
def made(name: str) -> Path:
    """Make a result once, undisturbed; return its file."""
    RESULTS[name]()
    (path,) = Path(name).absolute().rglob("*.h5")
    return path


def content(path: Path) -> Stored:
    with image.opened(path) as file:
        return image.content(file)


def sealed(whole: bytes) -> bytes:
    """Give bytes the seal that makes HDF5 read them."""
    return whole + f"\nsimopt SHA-256 {hashlib.sha256(whole).hexdigest()}\n".encode()


def shown(path: Path) -> None:
    """Read a file as a caller and a report do."""
    watch.refused(lambda: simopt.load_result(path))
    report(path)


@both
@pytest.mark.parametrize("name", RESULTS)
def test_hdf5_never_sees_a_file_that_is_damaged(
    place: Yard, name: str, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(name).read_bytes()
    path = Path(made(name).name)
    simopt.load_result(made(name))  # what reads it is imported
    monkeypatch.setattr(image.h5py, "File", None)

    @size(many, quick=40, long=1000)
    @given(files.CHANGES)
    def each(changes: list[files.Change]) -> None:
        damaged = files.changed(whole, changes)
        assume(damaged != whole)
        path.write_bytes(damaged)
        with place.watched(), pytest.raises(StorageError, match="damaged"):
            simopt.load_result(path)

    each()


@both
@pytest.mark.parametrize("name", RESULTS)
def test_crafted_results(place: Yard, name: str, many: bool) -> None:
    whole = content(made(name))
    path = Path(made(name).name)

    @size(many, quick=25, long=1000)
    @given(st.integers(0, 200), VALUES, SHAPES, st.booleans())
    def each(which: int, value: Any, data: Any, gone: bool) -> None:
        attributes, arrays = dict(whole.attributes), dict(whole.arrays)
        places = [*attributes, *arrays]
        key = places[which % len(places)]
        group = attributes if key in attributes else arrays
        if gone:
            del group[key]
        elif group is attributes:
            attributes[key] = value
        else:
            axes = whole.arrays[key].axes
            arrays[key] = Array(data, axes if np.ndim(data) == len(axes.split()) else "")
        image.write(path, Stored(attributes, arrays, whole.groups))
        with place.watched():
            shown(path)

    each()


def test_claims_of_size_take_no_memory(place: Yard) -> None:
    def claim(file: h5py.File) -> None:
        file.attrs["analysis"] = "joint"
        file.attrs["schema"] = 2
        files.unwritten(file, (2**14, 2**14), name="boundary/points")

    for crafted in (files.hdf5(claim), files.hdf5(files.bomb)):
        path = Path("joint.h5")
        path.write_bytes(sealed(crafted))
        with place.watched():
            shown(path)
        with place.watched(), pytest.raises(StorageError, match="hardly anything was ever written"):
            simopt.load_result(path)


def unfinished_run(folder: str) -> tuple[Path, Callable[[], object]]:
    """Interrupt a run; return its file, and what goes on with it."""
    request = RunRequest(dataset=X, measure="nbs", max_steps=8, target=1, log={"dir": folder}, device="cpu")
    steps = itertools.count()
    with pytest.raises(InterruptedRunError):
        run.find_or_make(request, should_stop=lambda: next(steps) >= 4)
    assert request.path is not None
    return request.path, lambda: run.find_or_make(request)


def unfinished_square(folder: str) -> tuple[Path, Callable[[], object]]:
    return unfinished_search(folder, mode="square", per_side=2)


def unfinished_search(folder: str, **options: Any) -> tuple[Path, Callable[[], object]]:
    """Interrupt a search; return its file, and what goes on with it."""
    request = JointRequest(
        dataset=X, measures=PAIR, log={"dir": folder}, device="cpu", **{**SEARCH, **options}
    )
    steps = itertools.count()
    with pytest.raises(InterruptedRunError):
        joint.carry_out(request, should_stop=lambda: next(steps) >= 4)
    assert request.path is not None
    return request.path, lambda: joint.carry_out(request)


@both
@pytest.mark.parametrize("unfinished", [unfinished_run, unfinished_search, unfinished_square])
def test_crafted_states(place: Yard, unfinished: Callable[[str], Any], many: bool) -> None:
    path, go_on = unfinished(f"{unfinished.__name__}_{many}")
    whole = content(path)
    parts = [name for name in whole.arrays if name.startswith(layout.RESUME)]
    text = whole.groups[layout.RESUME]["state"].encode()

    @size(many, quick=15, long=300)
    @given(
        files.CHANGES, st.integers(0, 50), SHAPES, st.sampled_from(["text", "value", "shape", "gone"]), VALUES
    )
    def each(changes: list[files.Change], which: int, data: Any, how: str, value: Any) -> None:
        groups, arrays = dict(whole.groups), dict(whole.arrays)
        part = parts[which % len(parts)]
        if how == "text":
            changed = files.changed(text, changes).decode(errors="replace").replace("\0", " ")
            groups[layout.RESUME] = {"state": changed}
        elif how == "value":
            groups[layout.RESUME] = {"state": value}
        elif how == "shape":
            arrays[part] = Array(data, "")
        else:
            del arrays[part]
        image.write(path, replace(whole, groups=groups, arrays=arrays))
        with place.watched(writes=True):
            refused = watch.refused(go_on)
        assert refused is None or str(path.parent) in str(refused)

    each()
