"""Run files: the layout, what is logged, and what is read of it, whatever stands in the file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import h5py
import numpy as np
import pytest

from simopt.errors import OtherSchemaError, StorageError
from simopt.store import analysis, image, layout, reader
from simopt.store.image import Array, Stored
from simopt.store.layout import Entry
from simopt.store.state import unpack
from simopt.store.writer import RunLog

K, R = 7, 2
PC_VARIANCE = np.linspace(1, 0.1, K)
ATTRIBUTES = dict.fromkeys(layout.ATTRIBUTES, "x") | {
    "schema": layout.SCHEMA, "status": layout.RUNNING, "stop_reason": "", "sign": 1,
    "seeds": np.arange(R), "wall_seconds": 0.0,
}  # fmt: skip
RESULTS = {
    path: array
    for entry, data in (
        (layout.HALF_CAPTURE, np.zeros((R, K))),
        (layout.STEPS_TO_TARGET, np.ones(R)),
        (layout.FINAL_Y, np.ones((R, 5, 3), np.float32)),
        (layout.DECODING_STEP, [0, 2]),
        (layout.decoding("choice"), [[0.5, 0.25], [1.0, 0.75]]),
        (layout.null("unrelated"), np.arange(4.0)),
        (layout.attribution("pcs"), np.ones((R, K))),
    )
    for path, array in entry.at(data).items()
}
RESULTS |= layout.reference_decoding("choice").at(
    [0.9, 0.7, 0.8], accuracy=0.8, chance=0.5, classes=2, folds=5
)


def row(step: int) -> dict[Entry, Any]:
    return {
        layout.STEP: step,
        layout.SCORE: np.full(R, step / 10),
        layout.CAPTURED_VARIANCE: np.full((R, K), step / 100),
        layout.tracked("nbs"): np.full(R, -step),
    }


def logged(steps: int, before: Stored | None = None) -> RunLog:
    log = RunLog(ATTRIBUTES, PC_VARIANCE, ("nbs",), before)
    for step in range(len(log.logged(layout.STEP)), steps):
        log.append(row(step))
    return log


def stored(steps: int = 3, results: dict[str, Array] = RESULTS, **attributes: Any) -> Stored:
    return logged(steps).stored({"status": layout.FINISHED, **attributes}, results)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    image.write(path, stored())
    return path


@pytest.mark.parametrize("steps", [0, 1, 64, 65, 150])
def test_what_is_logged_is_read_back(path: Path, steps: int) -> None:
    image.write(path, stored(steps, stop_reason="target", wall_seconds=1.5))
    run = reader.read(path)
    assert run.step.tolist() == list(range(steps))
    np.testing.assert_array_equal(run.score, np.arange(steps)[:, None].repeat(R, 1) / 10)
    np.testing.assert_allclose(run.captured_variance[:, 1, 3], np.arange(steps) / 100, rtol=1e-6)
    np.testing.assert_array_equal(run.tracked["nbs"][:, 0], -np.arange(steps))
    about = run.attributes
    assert (run.status, about["stop_reason"], about["wall_seconds"]) == ("finished", "target", 1.5)
    np.testing.assert_array_equal(run.pc_variance, PC_VARIANCE)


def test_the_layout_is_the_documented_one(path: Path) -> None:
    shapes = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda n, o: shapes.update({n: (o.shape, o.dtype.str)}) if isinstance(o, h5py.Dataset) else None
        )
        assert set(file.attrs) == set(layout.ATTRIBUTES)
        assert file["final/Y"].compression == "gzip"
        assert file["trajectory/captured_variance"].attrs["axes"] == b"T R K"
    assert shapes == {
        "replicate": ((R,), "<i8"),
        "pc": ((K,), "<i8"),
        "reference/pc_variance": ((K,), "<f8"),
        "trajectory/step": ((3,), "<i8"),
        "trajectory/score": ((3, R), "<f8"),
        "trajectory/captured_variance": ((3, R, K), "<f4"),
        "trajectory/tracked/nbs": ((3, R), "<f8"),
        "summary/half_capture": ((R, K), "<f8"),
        "summary/steps_to_target": ((R,), "<f8"),
        "final/Y": ((R, 5, 3), "<f4"),
        "final/attribution/pcs": ((R, K), "<f8"),
        "trajectory/decoding/step": ((2,), "<i8"),
        "trajectory/decoding/choice": ((2, R), "<f8"),
        "reference/decoding/choice": ((3,), "<f8"),
        "reference/null/unrelated": ((4,), "<f8"),
    }


SCALED = {
    "trajectory/score": ["trajectory/step", "replicate"],
    "trajectory/captured_variance": ["trajectory/step", "replicate", "pc"],
    "trajectory/tracked/nbs": ["trajectory/step", "replicate"],
    "trajectory/decoding/choice": ["trajectory/decoding/step", "replicate"],
    "summary/half_capture": ["replicate", "pc"],
    "summary/steps_to_target": ["replicate"],
    "reference/pc_variance": ["pc"],
}


@pytest.mark.parametrize("steps", [0, 3])
def test_dimensions_are_named_by_scales(path: Path, steps: int) -> None:
    image.write(path, stored(steps))
    scales: dict[str, list[str]] = {}

    def take(name: str, node: h5py.Group | h5py.Dataset) -> None:
        attached = [] if isinstance(node, h5py.Group) else [list(dim.values()) for dim in node.dims]
        if any(attached):
            scales[name] = [scale.name[1:] for (scale,) in attached]  # exactly one scale for every dimension
            assert [dim.label for dim in node.dims] == [path.rpartition("/")[2] for path in scales[name]]
            assert [len(scale) for (scale,) in attached] == list(node.shape)

    with h5py.File(path) as file:
        file.visititems(take)
        assert file["replicate"][()].tolist() == ATTRIBUTES["seeds"].tolist()
        assert file["pc"][()].tolist() == list(range(1, K + 1))
    assert scales == SCALED


def test_scales_are_kept_when_a_file_is_read_and_written_again(path: Path) -> None:
    written = path.read_bytes()
    with image.opened(path) as file:
        content = image.content(file)
    assert {name for name, array in content.arrays.items() if array.scale} == {
        "replicate", "pc", "trajectory/step", "trajectory/decoding/step",
    }  # fmt: skip
    assert not any("DIMENSION_LIST" in array.attributes for array in content.arrays.values())
    image.write(path, stored())
    assert path.read_bytes() == written  # references between datasets are the same in every image
    image.write(path, content)
    with h5py.File(path) as file:
        assert file["trajectory/captured_variance"].dims[2].label == "pc"


def test_xarray_reads_a_run_file_with_its_dimensions(path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with xarray.open_dataset(path, group="trajectory", engine="h5netcdf") as trajectory:
        assert dict(trajectory.sizes) == {"step": 3, "replicate": R, "pc": K}
        assert trajectory["captured_variance"].dims == ("step", "replicate", "pc")
        assert trajectory["step"].values.tolist() == [0, 1, 2]
    with xarray.open_dataset(path, group="summary", engine="h5netcdf") as summary:
        assert summary["half_capture"].dims == ("replicate", "pc")


def test_results_beside_the_rows(path: Path) -> None:
    run = reader.finished(path)
    assert run.decoding_step.tolist() == [0, 2]
    np.testing.assert_array_equal(run.decoding_score, run.score[[0, 2]])
    np.testing.assert_array_equal(run.decoding["choice"], [[0.5, 0.25], [1.0, 0.75]])
    reference = dict(run.reference_decoding["choice"])
    assert reference.pop("over_time").tolist() == [0.9, 0.7, 0.8]
    assert reference == {"accuracy": 0.8, "chance": 0.5, "classes": 2, "folds": 5}
    assert run.null["unrelated"].tolist() == [0, 1, 2, 3]
    assert run.attribution["pcs"].shape == (R, K)
    assert reader.final(path).shape == (R, 5, 3)
    image.write(path, stored(results={}))
    run = reader.read(path)
    assert (run.decoding, run.reference_decoding, run.null, run.half_capture) == ({}, {}, {}, None)
    assert run.decoding_score.shape == (0, R)
    assert reader.final(path) is None


def test_a_log_goes_on_where_an_earlier_one_ended() -> None:
    state = {"Y": np.arange(6.0), "step": 70}
    before = logged(70).stored({"status": layout.INTERRUPTED}, {}, state)
    assert unpack(before.groups[layout.RESUME]["state"], before.arrays)["step"] == 70
    resumed, whole = logged(150, before).stored({}, {}), logged(150).stored({}, {})
    assert resumed.arrays.keys() == whole.arrays.keys()
    for name, array in whole.arrays.items():
        assert resumed.arrays[name].data.tobytes() == array.data.tobytes()
    assert len(before.arrays[layout.STEP.path].data) == 70  # what was handed over is left alone


def test_the_memory_of_a_row_is_known_before() -> None:
    assert logged(0).row_bytes == sum(np.asarray(v, entry.dtype).nbytes for entry, v in row(0).items())


def test_an_unfinished_run_can_be_resumed_from_its_file_where_it_has_a_state(path: Path) -> None:
    log, folder = logged(3), path.parent
    assert reader.unfinished(path) is None
    for read in (reader.finished, reader.unfinished):
        with pytest.raises(StorageError, match="not a readable run file"):
            read(folder / "none.h5")
    image.write(path, log.stored({"status": layout.INTERRUPTED}, {}, {"step": 2}))
    before = reader.unfinished(path)
    assert unpack(before.groups[layout.RESUME]["state"], before.arrays) == {"step": 2}
    with pytest.raises(StorageError, match=r"run\.h5: .*interrupted"):
        reader.finished(path)


def test_a_run_whose_process_is_gone_is_called_crashed(path: Path) -> None:
    image.write(path, stored(status=layout.RUNNING))
    lock = path.parent / layout.LOCK_FILE
    assert reader.read(path).status == reader.CRASHED
    assert analysis.attributes(path)["status"] == layout.RUNNING
    with filelock.FileLock(lock):
        assert reader.read(path).status == "running"


def test_run_files_are_found_each_once(path: Path) -> None:
    deep = path.parent / "b" / "run.h5"
    image.write(deep, stored())
    image.write(path.parent / "b" / "joint.h5", Stored({}))
    assert reader.find([path.parent, path, deep.parent]) == [deep, path]


@pytest.mark.parametrize(("name", "value"), [("status", 5), ("measure", np.ones(3)), ("config", 0.5)])
def test_attributes_that_should_be_text(path: Path, name: str, value: object) -> None:
    image.write(path, stored(**{name: value}))
    with pytest.raises(StorageError, match=r"run\.h5.*expected text, found"):
        reader.read(path)


@pytest.mark.parametrize(
    "missing", ["measure", layout.SCORE.path, layout.PC_VARIANCE.path, layout.decoding("choice").path]
)
def test_what_is_missing_is_said(path: Path, missing: str) -> None:
    whole = stored()
    attributes = {name: value for name, value in whole.attributes.items() if name != missing}
    arrays = {name: array for name, array in whole.arrays.items() if name != missing}
    image.write(path, Stored(attributes, arrays))
    with pytest.raises(
        StorageError, match=rf"run\.h5: not a readable run file \(.*{missing.rpartition('/')[2]}"
    ):
        reader.read(path)


def test_files_that_are_no_runs(path: Path) -> None:
    for read in (reader.read, reader.final, reader.finished, reader.unfinished):
        for schema, error in ((99, OtherSchemaError), (0, StorageError), (None, StorageError)):
            attributes = {} if schema is None else {"schema": schema}
            image.write(path, Stored(attributes))
            with pytest.raises(StorageError, match=f"run file has schema {schema};") as caught:
                read(path)
            assert type(caught.value) is error
        path.write_bytes(b"no hdf5")
        with pytest.raises(StorageError, match=r"run\.h5: damaged"):
            read(path)


def test_the_run_file_of_schema_1_is_still_read() -> None:
    run = reader.finished(Path(__file__).parents[1] / "data" / "run_schema1.h5")
    about = run.attributes
    assert (about["simopt_version"], run.measure, run.dataset) == ("0.1.0", "cka", "ultrametric (surrogate)")
    assert (about["identity"], about["revisions"], about["sign"]) == ("", "", 1)
    assert run.score.shape == (45, 1)
    assert run.score[-1, 0] >= 0.99
    assert run.half_capture.shape == (1, 50)
    assert (run.decoding, run.reference_decoding, run.decoding_score.shape) == ({}, {}, (0, 1))


def test_rows_of_schema_1_without_their_step_are_not_counted(path: Path) -> None:
    whole = stored(5, {})
    arrays = dict(whole.arrays)
    step = layout.STEP.path
    arrays[step] = replace(arrays[step], data=np.array([0, 1, 2, 0, 0]))
    image.write(path, Stored({**whole.attributes, "schema": 1}, arrays))
    run = reader.read(path)
    assert (len(run.step), len(run.score), len(run.tracked["nbs"])) == (3, 3, 3)
