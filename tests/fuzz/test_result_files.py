"""Files of analyses, and checkpoints, that went wrong: refused or made again, and nothing in them is run."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from simopt.app.compose import compose
from simopt.app.job import execute

from simopt.analysis import sensitivity as sensitivities
from simopt.app import inputs, joint, sensitivity
from simopt.errors import InterruptedRunError, StorageError
from simopt.ranges import result as joints
from simopt.store import checksum, layout, reader
from tests.fuzz import files, watch
from tests.fuzz.apart import Apart
from tests.fuzz.test_run_files import VALUES, report
from tests.fuzz.watch import Yard, both, size

DATA = ["dataset=gaussian", "dataset.samples=12", "dataset.units=3"]
RUN = ["measure=nbs", "max_steps=8", "target=1", "device=cpu", *DATA]
SEARCH = ["measures=[cka,nbs]", "starts=2", "rounds=2", "steps=3", "levels=[0.5,0.9]", *DATA]
COMMANDS: dict[str, tuple[Any, list[str], Callable[[Path], object]]] = {
    "joint": (joint, SEARCH, joints.read),
    "square": (joint, ["mode=square", "steps=3", "per_side=2", *DATA], joints.read),
    "sensitivity": (sensitivity, ["measure=[cka,nbs]", "seeds=[0,1]", *DATA], sensitivities.read),
}
SHAPES = st.sampled_from((
    np.zeros(0), np.zeros((2, 3, 4, 5)), np.float64(1), np.full((2, 2), np.nan), np.zeros(2, np.int8),
    np.array([b"x", b"y"]), np.zeros(2, [("a", "f8")]), h5py.Empty("f8"),
))  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with watch.yard(tmp_path_factory.mktemp("results")) as yard:
        yield yard


def made(command: str) -> Path:
    """Carry an analysis out once, undisturbed; return its file."""
    module, overrides, _ = COMMANDS[command]
    asked = module.request([*overrides, f"dir=whole/{command}"])
    dataset = inputs.recording(asked.data, None)
    module.find_or_make(asked, dataset)
    (path,) = Path("whole", command).rglob("*.h5")
    return path


def open_to_all(content: bytes, path: Path) -> bytes:
    """Take away the checksum, which else hides the readers behind it."""
    path.write_bytes(content)
    with h5py.File(path, "a"):
        pass
    return path.read_bytes()


def shown(command: str, path: Path) -> None:
    """Read a file as its command and a report do."""
    watch.refused(lambda: COMMANDS[command][2](path))
    report(path)


@both
@pytest.mark.parametrize("command", COMMANDS)
def test_mutated_analyses(place: Yard, command: str, many: bool) -> None:
    whole = made(command)
    path = Path(whole.name)
    content = open_to_all(whole.read_bytes(), path)
    apart = Apart(place)

    @size(many, quick=40, long=2000)
    @given(files.CHANGES)
    def each(changes: list[files.Change]) -> None:
        path.write_bytes(files.changed(content, changes))
        apart.each(path, lambda: shown(command, path))

    each()
    apart.judge()


@both
@pytest.mark.parametrize("command", ["run", *COMMANDS])
def test_hdf5_never_sees_a_file_with_a_checksum_that_is_damaged(
    place: Yard, command: str, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command == "run":
        whole = execute(compose([*RUN, "log.dir=whole"])).path
        read: Callable[[Path], object] = reader.read
    else:
        whole, read = made(command), COMMANDS[command][2]
    path = Path(whole.name)
    content, sealed = whole.read_bytes(), -len(checksum.of([]))
    monkeypatch.setattr(checksum.h5py, "File", None)

    @size(many, quick=40, long=5000)
    @given(files.CHANGES)
    def each(changes: list[files.Change]) -> None:
        damaged = files.changed(content[:sealed], changes)
        assume(damaged != content[:sealed])
        path.write_bytes(damaged + content[sealed:])
        with place.watched(), pytest.raises(StorageError, match="what it holds is not what was written"):
            read(path)

    each()


@both
@pytest.mark.parametrize("command", COMMANDS)
def test_crafted_analyses(place: Yard, command: str, many: bool) -> None:
    whole = made(command)
    path = Path(whole.name)
    content = open_to_all(whole.read_bytes(), path)

    @size(many, quick=25, long=2000)
    @given(st.integers(0, 200), VALUES, SHAPES)
    def each(which: int, value: object, data: Any) -> None:
        path.write_bytes(content)
        with h5py.File(path, "a") as file:
            names: list[str] = []
            file.visit(names.append)
            places = [(name, "") for name in names]
            places += [(name, key) for name in ("/", *names) for key in file[name].attrs]
            name, key = places[which % len(places)]
            if key:
                file[name].attrs[key] = value
            else:
                axes = file[name].attrs.get("axes", "")
                del file[name]
                if which % 3:
                    file.create_dataset(name, data=data).attrs["axes"] = axes
        with place.watched():
            shown(command, path)

    each()


def test_claims_of_size_take_no_memory(place: Yard) -> None:
    path = Path("joint.h5")
    for claimed in ((2**20, 2**20), (2**14, 2**14)):
        path.write_bytes(open_to_all(made("joint").read_bytes(), path))
        with h5py.File(path, "a") as file:
            del file["boundary/points"]
            files.unwritten(file, claimed, name="boundary/points")
            file["boundary/points"].attrs["axes"] = "N 2"
        with place.watched():
            shown("joint", path)
        with pytest.raises(StorageError, match="hardly anything was ever written"):
            joints.read(path)


def interrupted_run(folder: str, after: int) -> Callable[[], object]:
    """Interrupt a run after some steps; return what goes on with it."""
    composed = compose([*RUN, f"log.dir={folder}"])
    steps = itertools.count()
    with pytest.raises(InterruptedRunError):
        execute(composed, should_stop=lambda: next(steps) >= after)
    return lambda: execute(composed)


def interrupted_search(folder: str, after: int) -> Callable[[], object]:
    """Interrupt a search after some steps; return what goes on with it."""
    asked = joint.request([*SEARCH, f"dir={folder}", "checkpoint_seconds=0", "device=cpu"])
    dataset = inputs.recording(asked.data, None)
    steps = itertools.count()
    with pytest.raises(InterruptedRunError):
        joint.find_or_make(asked, dataset, should_stop=lambda: next(steps) >= after)
    return lambda: joint.find_or_make(asked, dataset)


@both
@pytest.mark.parametrize("interrupted", [interrupted_run, interrupted_search])
def test_mutated_checkpoints(
    place: Yard, interrupted: Callable[[str, int], Callable[[], object]], many: bool
) -> None:
    folder = f"{interrupted.__name__}_{many}"
    go_on = interrupted(folder, 4)
    (checkpoint,) = Path(folder).rglob(layout.CHECKPOINT_FILE)
    kept = {path: path.read_bytes() for path in checkpoint.parent.iterdir()}

    @size(many, quick=15, long=1500)
    @given(files.CHANGES, st.booleans())
    def each(changes: list[files.Change], inside: bool) -> None:
        for path in checkpoint.parent.iterdir():
            path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)
        change = files.changed_inside if inside else files.changed
        checkpoint.write_bytes(change(kept[checkpoint], changes))
        with place.watched(writes=True):
            refused = watch.refused(go_on)
        assert refused is None or str(checkpoint.parent) in str(refused)

    each()
