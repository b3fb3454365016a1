"""Files that are whole or not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simopt.store.whole import UNFINISHED, put, whole


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
    for path in (left, others):
        path.touch()
    put(tmp_path / "a[1].png", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([others, tmp_path / "a[1].png"])


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="28"):
        put(tmp_path / "deep" / "a.csv", b"new", b"er")
    assert list((tmp_path / "deep").iterdir()) == []


def test_bytes_reach_the_disk_before_they_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, seen = tmp_path / "a.csv", os.fsync, []

    def synced(descriptor: int) -> None:
        real(descriptor)
        seen.append((path.exists(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", synced)
    put(path, b"new", b"er")
    assert seen == [(False, 5)]
    assert path.read_bytes() == b"newer"
