"""Hashes of files: remembered between processes, and never those of an earlier content."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from simopt.errors import InputError
from simopt.store.hashes import FILE, FileHashes

LONG_AGO = time.time_ns() - 10**12


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read to be hashed."""
    names: list[str] = []
    real = hashlib.file_digest

    def digest(handle, *options):
        names.append(Path(handle.name).name)
        return real(handle, *options)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    return names


def settled(path: Path, content: bytes, at: int = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(at, at))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_hash_is_remembered_by_the_next_process(tmp_path: Path, reads: list[str]) -> None:
    path = settled(tmp_path / "x.npy", b"one")
    for _ in range(2):
        hash_of = FileHashes(tmp_path)
        assert hash_of(path) == hash_of(path) == sha256(b"one")
    assert reads == ["x.npy"]
    assert list(json.loads((tmp_path / FILE).read_text()).values()) == [sha256(b"one")]
    FileHashes()(path)
    assert reads == ["x.npy"] * 2


@pytest.mark.parametrize("change", ["content", "size", "mtime", "inode"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, reads: list[str], change: str) -> None:
    path = settled(tmp_path / "x.npy", b"one")
    kept = FileHashes(tmp_path)
    kept(path)
    content = {"content": b"two", "size": b"three"}.get(change, b"one")
    if change == "inode":
        content = b"two"
        settled(tmp_path / "other", content).replace(path)
    else:
        settled(path, content, LONG_AGO if change == "size" else LONG_AGO + 1)
    assert kept(path) == FileHashes(tmp_path)(path) == sha256(content)
    assert reads == ["x.npy"] * 2


def test_a_file_that_is_fresh_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"one")
    assert FileHashes(tmp_path)(path) == sha256(b"one")
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{", b'{"a": 5}', b'{"a": "short"}', b"[" * 100_000], ids=range(7)
)
def test_damaged_memory_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    path = settled(tmp_path / "x.npy", b"one")
    assert FileHashes(tmp_path)(path) == sha256(b"one")
    assert list(json.loads((tmp_path / FILE).read_text()).values()) == [sha256(b"one")]


def test_a_folder_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    path = settled(tmp_path / "x.npy", b"one")
    (tmp_path / FILE).mkdir()
    assert FileHashes(tmp_path)(path) == FileHashes(tmp_path / "none")(path) == sha256(b"one")
    assert not (tmp_path / "none").exists()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: cannot be read \(no such file or directory\)\."):
        FileHashes(tmp_path)(tmp_path / "none")
    with pytest.raises(InputError, match=r"cannot be read \(is a directory\)\."):
        FileHashes(tmp_path)(tmp_path)
