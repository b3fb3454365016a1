"""Files that are whole or not there, and the checksum of what is in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt.errors import OtherSchemaError, StorageError
from simopt.store import analysis
from simopt.store.analysis import Array, Stored
from simopt.store.reader import if_whole
from simopt.store.whole import UNFINISHED, put, whole

CONTENT = Stored({"dataset": "mine"}, {"a/b": Array(np.arange(600.0), "K")}, {"a": {"how": "so"}})


def as_stored(stored: Stored) -> Stored:
    return stored


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    put(path, b"old")
    with pytest.raises(KeyError), whole(path) as unfinished:
        unfinished.write_bytes(b"ne")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_goes_and_what_another_process_writes_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, others = (tmp_path / f"{UNFINISHED}{number}-a[1].png" for number in (dead.pid, os.getppid()))
    for each in (left, others):
        each.touch()
    put(tmp_path / "a[1].png", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([others, tmp_path / "a[1].png"])


def test_a_turned_bit_in_the_numbers_is_seen(tmp_path: Path) -> None:
    path = analysis.write(tmp_path / "joint.h5", "joint", CONTENT)
    content = bytearray(path.read_bytes())
    at = content.index(np.float64(300).tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with h5py.File(path) as file:
        assert file["a/b"][300] != 300  # HDF5 itself takes it for whole
    with pytest.raises(StorageError, match="damaged; what it holds is not what was written"):
        analysis.read(path, "joint", as_stored)
    assert if_whole(analysis.attributes, tmp_path / "none.h5") is None
    assert if_whole(lambda file: analysis.read(file, "joint", as_stored), path) is None


def test_a_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    path = analysis.write(tmp_path / "joint.h5", "joint", CONTENT)
    with h5py.File(path, "r+") as file:
        file["a/b"][0] = 5
    assert analysis.read(path, "joint", as_stored).arrays["a/b"].data[0] == 5


def test_the_checksum_is_that_of_the_bytes_before_it(tmp_path: Path) -> None:
    content = analysis.write(tmp_path / "joint.h5", "joint", CONTENT).read_bytes()
    before, mark, told = content.rpartition(b"\nsimopt BLAKE2b-128 ")
    command = ["b2sum", "--length=128", "-"]
    if shutil.which(command[0]) is None:
        pytest.skip("no b2sum here to compare with")
    assert mark
    assert (
        told.split()
        == subprocess.run(command, input=before, capture_output=True, check=True).stdout.split()[:1]
    )


@pytest.mark.parametrize("broken", [2**20, 2**20 + 1])
def test_a_file_of_several_blocks_is_sealed_as_a_whole(tmp_path: Path, broken: int) -> None:
    large = Stored({}, {"a": Array(np.arange(400_000.0), "K")}, {})
    path = analysis.write(tmp_path / "joint.h5", "joint", large)
    assert analysis.read(path, "joint", as_stored).arrays["a"].data[-1] == 399_999
    content = bytearray(path.read_bytes())
    content[broken] ^= 128
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        analysis.read(path, "joint", as_stored)


def test_a_later_schema_is_not_taken_for_a_broken_file(tmp_path: Path) -> None:
    path = analysis.write(tmp_path / "joint.h5", "joint", CONTENT)
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 2
    with pytest.raises(OtherSchemaError, match="joint of schema 2; this version of simopt reads schema 1"):
        if_whole(lambda each: analysis.read(each, "joint", as_stored), path)
