"""Run files: what is written, kept after a kill, and said when the disk is full."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt.errors import StorageError
from simopt.store import layout, reader
from simopt.store.writer import Header, RunWriter

K, R = 7, 2
ATTRIBUTES = dict.fromkeys(layout.ATTRIBUTES, "x") | {
    "schema": layout.SCHEMA, "status": layout.RUNNING, "stop_reason": "",
    "seeds": np.arange(R), "wall_seconds": 0.0,
}  # fmt: skip
HEADER = Header(ATTRIBUTES, np.linspace(1, 0.1, K), R, tracked=("nbs",))
DECODED = {
    layout.DECODING_STEP: np.array([0, 2]),
    layout.decoding("choice"): np.array([[0.5, 0.25], [1.0, 0.75]]),
    layout.reference_decoding("choice"): np.array([0.9, 0.7, 0.8]),
}
ABOUT = {layout.reference_decoding("choice"): {"accuracy": 0.8, "chance": 0.5, "classes": 2, "folds": 5}}


def row(step: int) -> dict:
    return {
        layout.STEP: step,
        layout.SCORE: np.full(R, step / 10),
        layout.CAPTURED_VARIANCE: np.full((R, K), step / 100),
        layout.tracked("nbs"): np.full(R, -step),
    }


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        for step in range(150):
            writer.append(row(step))
        writer.conclude(layout.FINISHED, "target", "now", 1.5, {layout.HALF_CAPTURE: np.ones((R, K))})
    run = reader.read(path)
    assert run.step.tolist() == list(range(150))
    np.testing.assert_allclose(run.score[:, 1], np.arange(150) / 10)
    np.testing.assert_allclose(run.captured_variance[149], 1.49, rtol=1e-6)
    np.testing.assert_allclose(run.tracked["nbs"][:, 0], -np.arange(150))
    assert (run.status, run.attributes["stop_reason"], run.attributes["wall_seconds"]) == (
        "finished",
        "target",
        1.5,
    )
    np.testing.assert_array_equal(run.half_capture, np.ones((R, K)))


def test_the_layout_is_the_documented_one(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run.h5", HEADER) as writer:
        writer.append(row(0))
        results = {
            layout.HALF_CAPTURE: np.zeros((R, K)),
            layout.STEPS_TO_TARGET: np.zeros(R),
            layout.FINAL_Y: np.zeros((R, 5, 3)),
            **DECODED,
        }
        writer.conclude(layout.FINISHED, "", "", 0, results, ABOUT)
    shapes = {}
    with h5py.File(tmp_path / "run.h5") as file:
        file.visititems(
            lambda n, o: shapes.update({n: (o.shape, o.dtype.kind)}) if isinstance(o, h5py.Dataset) else None
        )
        assert set(file.attrs) == set(layout.ATTRIBUTES)
    assert shapes == {
        "reference/pc_variance": ((K,), "f"),
        "trajectory/step": ((1,), "i"),
        "trajectory/score": ((1, R), "f"),
        "trajectory/captured_variance": ((1, R, K), "f"),
        "trajectory/tracked/nbs": ((1, R), "f"),
        "summary/half_capture": ((R, K), "f"),
        "summary/steps_to_target": ((R,), "f"),
        "final/Y": ((R, 5, 3), "f"),
        "trajectory/decoding/step": ((2,), "i"),
        "trajectory/decoding/choice": ((2, R), "f"),
        "reference/decoding/choice": ((3,), "f"),
    }


@pytest.mark.parametrize("status", [layout.FINISHED, layout.INTERRUPTED, layout.FAILED])
def test_decoding_comes_with_the_end_of_a_run(tmp_path: Path, status: str) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        for step in range(4):
            writer.append(row(step))
        writer.flush()
        before = reader.read(path)
        if status == layout.FAILED:
            writer.fail("", "", 0, DECODED, ABOUT)
        else:
            writer.conclude(status, "", "", 0, DECODED, ABOUT)
    assert (len(before.decoding_step), before.decoding, before.reference_decoding) == (0, {}, {})
    assert before.decoding_score.shape == (0, R)
    run = reader.read(path)
    assert run.status == status
    assert run.decoding_step.tolist() == [0, 2]
    np.testing.assert_array_equal(run.decoding_score, run.score[[0, 2]])
    np.testing.assert_array_equal(run.decoding["choice"], DECODED[layout.decoding("choice")])
    reference = dict(run.reference_decoding["choice"])
    assert reference.pop("over_time").tolist() == [0.9, 0.7, 0.8]
    assert reference == ABOUT[layout.reference_decoding("choice")]
    with RunWriter.resume(path, HEADER, before_step=2):
        pass
    assert (reader.read(path).step.tolist(), reader.read(path).decoding) == ([0, 1], {})


def test_a_reader_can_follow_a_run_and_a_dead_one_is_called_crashed(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    writer = RunWriter.create(path, HEADER)
    writer.append(row(0))
    code = (
        "from pathlib import Path; from simopt.store import reader; "
        f"run = reader.read(Path({str(path)!r})); print(run.status, len(run.step))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["running", "1"]
    writer.close()
    assert reader.read(path).status == reader.CRASHED


def test_resuming_keeps_the_rows_before_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        for step in range(10):
            writer.append(row(step))
        writer.conclude(layout.INTERRUPTED, "signal", "now", 1, {})
    with RunWriter.resume(path, HEADER, before_step=6) as writer:
        for step in range(6, 8):
            writer.append(row(step))
        writer.conclude(layout.FINISHED, "", "", 2, {})
    run = reader.read(path)
    assert run.step.tolist() == list(range(8))
    assert len(run.score) == len(run.captured_variance) == len(run.tracked["nbs"]) == 8
    assert run.status == layout.FINISHED


CHILD = """
import sys, itertools
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.store.test_writer import HEADER, row
from simopt.store.writer import RunWriter
with RunWriter.create(Path({path!r}), HEADER, flush_seconds=0.0) as writer:
    for step in itertools.count():
        writer.append(row(step))
        if step == {ready}:
            print("ready", flush=True)
"""


@pytest.mark.parametrize("ready", [0, 5, 63, 64, 200, 500])
def test_a_killed_writer_leaves_an_exact_prefix(tmp_path: Path, ready: int) -> None:
    path = tmp_path / "run.h5"
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(root=root, path=str(path), ready=ready)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    run = reader.read(path)
    T = len(run.step)
    assert run.status == reader.CRASHED
    assert ready < T
    assert run.step.tolist() == list(range(T))
    np.testing.assert_allclose(run.score[:, 0], np.arange(T) / 10)
    np.testing.assert_allclose(run.captured_variance[:, 1, 3], np.arange(T) / 100, rtol=1e-6)


def test_no_half_made_file_has_the_real_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="no space left on device"):
        RunWriter.create(tmp_path / "run.h5", HEADER)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_met_before_hdf5_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.h5"
    real = os.posix_fallocate

    def limited(descriptor: int, offset: int, length: int) -> None:
        if length > 250_000:
            raise OSError(28, os.strerror(28))
        real(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", limited)
    kept = 0
    with RunWriter.create(path, HEADER, flush_seconds=0.0) as writer:
        with pytest.raises(StorageError, match="no space"):
            for step in range(10_000):
                writer.append(row(step))
                kept = step + 1
        writer.fail("no space left on device", "now", 1.0)
    run = reader.read(path)
    assert (run.status, run.attributes["stop_reason"]) == (layout.FAILED, "no space left on device")
    assert run.step.tolist() == list(range(kept))
    assert kept > 0
    assert path.stat().st_size <= 250_000


def test_what_was_reserved_covers_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    real = os.posix_fallocate
    monkeypatch.setattr(
        os, "posix_fallocate", lambda fd, offset, length: (ends.append(length), real(fd, offset, length))
    )
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER, flush_seconds=0.0) as writer:
        for step in range(3000):
            writer.append(row(step))
            assert writer._file.file.id.get_filesize() <= ends[-1]
        writer.conclude(
            layout.FINISHED,
            "",
            "",
            0,
            {layout.FINAL_Y: np.random.default_rng(0).random((R, 300, 90))}
            | {layout.decoding(f"variable{number}"): np.zeros((9, R)) for number in range(99)},
        )
    assert path.stat().st_size <= ends[-1]


def check(path: Path) -> int:
    """Return how many rows a run file holds, after comparing them with what was appended."""
    run = reader.read(path)
    T = len(run.step)
    assert run.step.tolist() == list(range(T))
    np.testing.assert_allclose(run.captured_variance[:, 1, 3], np.arange(T) / 100, rtol=1e-6)
    np.testing.assert_allclose(run.tracked["nbs"][:, 0], -np.arange(T))
    return T


def test_between_any_two_stages_of_a_write_the_file_is_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copy, rows = tmp_path / "run.h5", tmp_path / "copy.h5", []
    real = os.pwrite

    def watched(descriptor: int, data: bytes, offset: int) -> int:
        written = real(descriptor, data, offset)
        if path.exists():
            copy.write_bytes(path.read_bytes())
            rows.append(check(copy))
        return written

    monkeypatch.setattr(os, "pwrite", watched)
    with RunWriter.create(path, HEADER, flush_seconds=0.0) as writer:
        for step in range(40):
            writer.append(row(step))
        writer.conclude(layout.FINISHED, "", "", 0, {layout.HALF_CAPTURE: np.zeros((R, K))})
    assert len(rows) > 80
    assert rows == sorted(rows)
    assert check(path) == 40


def test_a_log_that_outgrows_its_chunks_goes_on_in_larger_ones(tmp_path: Path) -> None:
    wide = Header(ATTRIBUTES, np.ones(4000), R)  # 32 kB a row: four in a chunk
    path = tmp_path / "run.h5"
    with RunWriter.create(path, wide) as writer:
        for step in range(300):
            writer.append(row(step) | {layout.CAPTURED_VARIANCE: np.full((R, 4000), step)})
        assert writer.last_score().tolist() == [29.9, 29.9]
        writer.conclude(layout.FINISHED, "", "", 0, {})
    run = reader.read(path)
    assert run.step.tolist() == list(range(300))
    np.testing.assert_array_equal(run.captured_variance[:, 1, 3999], np.arange(300))
    with h5py.File(path) as file:
        assert file[layout.CAPTURED_VARIANCE.path].id.get_num_chunks() <= 60


def test_rows_without_their_step_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        for step in range(3):
            writer.append(row(step))
        writer.flush()
    with h5py.File(path, "r+") as file:
        for entry in HEADER.rows():
            file[entry.path].resize(5, axis=0)
    assert check(path) == 3
    with RunWriter.resume(path, HEADER, before_step=9) as writer:
        writer.append(row(3))
        writer.flush()
    assert check(path) == 4


def test_a_failed_conclusion_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        writer.append(row(0))
        with pytest.raises(TypeError):
            writer.conclude(layout.FINISHED, "", "", 0, {layout.HALF_CAPTURE: {}})
        assert check(path) == 1
        writer.append(row(1))
        writer.flush()
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.h5"]
    assert (check(path), reader.read(path).status) == (2, reader.CRASHED)


@pytest.mark.parametrize("status", [layout.FINISHED, layout.INTERRUPTED, layout.FAILED])
def test_a_turned_bit_anywhere_in_the_file_of_an_ended_run_is_seen(tmp_path: Path, status: str) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        writer.append(row(0))
        if status == layout.FAILED:
            writer.fail("", "", 0)
        else:
            writer.conclude(status, "", "", 0, {layout.FINAL_Y: np.ones((R, 5, 3))})
    assert check(path) == 1
    whole = path.read_bytes()
    for at in range(0, len(whole) - 60, len(whole) // 50):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(StorageError, match="damaged; what it holds is not what was written"):
            reader.read(path)
    path.write_bytes(whole)
    with RunWriter.resume(path, HEADER, before_step=9) as writer:
        writer.append(row(1))
        writer.flush()
    assert check(path) == 2


@pytest.mark.parametrize(("name", "value"), [("status", 5), ("measure", np.ones(3)), ("config", 0.5)])
def test_attributes_that_should_be_text(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        writer.append(row(0))
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(StorageError, match="stands where text should"):
        reader.read(path)


@pytest.mark.parametrize("content", [b"", b"no hdf5", None], ids=["empty", "text", "other schema"])
def test_files_that_are_no_runs(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run.h5"
    if content is None:
        with h5py.File(path, "w") as file:
            file.attrs["schema"] = 99
    else:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=r"run\.h5: (not a readable run file|a run of schema 99)"):
        reader.read(path)


@pytest.mark.parametrize("part", [0.1, 0.3, 0.6, 0.9, 0.99])
def test_truncated_runs(tmp_path: Path, part: float) -> None:
    path = tmp_path / "run.h5"
    with RunWriter.create(path, HEADER) as writer:
        writer.append(row(0))
        writer.conclude(layout.FINISHED, "", "", 0, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(StorageError, match="not a readable run file"):
        reader.read(path)


def test_the_run_file_of_schema_1_is_still_read() -> None:
    run = reader.read(Path(__file__).parents[1] / "data" / "run_schema1.h5")
    assert (run.attributes["simopt_version"], run.measure, run.dataset) == (
        "0.1.0",
        "cka",
        "ultrametric (surrogate)",
    )
    assert run.score.shape == (45, 1)
    assert run.score[-1, 0] >= 0.99
    assert run.half_capture.shape == (1, 50)
    assert (run.decoding, run.reference_decoding, run.decoding_score.shape) == ({}, {}, (0, 1))
