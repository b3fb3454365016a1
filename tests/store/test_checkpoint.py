"""Checkpoints hold a run's state exactly, are replaced at once, and are nothing but data."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from simopt.errors import StorageError
from simopt.store import checkpoint

STATE = {
    "step": 3,
    "Y": torch.randn(2, 4, 3),
    "optimizers": [
        {"state": {0: {"exp_avg": torch.randn(3, dtype=torch.float64), "step": torch.tensor(3.0)}}}
    ],
    "mixed": [1, 2.5, "text", None, True, (0.9, 0.999), {}, [], float("inf")],
}


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, {"old": 1})
    checkpoint.save(path, STATE)
    assert same(STATE, checkpoint.load(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_a_failing_save_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, {"old": 1})
    with pytest.raises(StorageError, match="cannot hold a set"):
        checkpoint.save(path, {"new": {1, 2}})
    assert checkpoint.load(path) == {"old": 1}


def test_a_turned_bit_in_a_header_is_a_broken_checkpoint(tmp_path: Path) -> None:
    path, state = tmp_path / "checkpoint.npz", {"Y": torch.arange(3000.0).reshape(3, 1000)}
    checkpoint.save(path, state)
    whole = path.read_bytes()
    start = whole.rindex(b"{'descr'")
    for at in range(8 * start, 8 * (whole.index(b"}", start) + 1)):
        turned = bytearray(whole)
        turned[at // 8] ^= 1 << at % 8
        path.write_bytes(turned)
        with pytest.raises(StorageError, match="not a checkpoint of simopt"):
            checkpoint.load(path)


def test_an_array_without_a_legible_header_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, {"Y": torch.zeros(3)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"}", b" "))
    with pytest.raises(StorageError, match="not a checkpoint of simopt"):
        checkpoint.load(path)


@pytest.mark.parametrize("kind", ["empty", "text", "other arrays", "objects", "truncated"])
def test_what_is_no_checkpoint(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "checkpoint.npz"
    if kind == "other arrays":
        np.savez(path, a=np.ones(3))
    elif kind == "objects":
        np.savez(path, structure=np.array([{}], dtype=object))
    else:
        checkpoint.save(path, STATE)
        path.write_bytes({"empty": b"", "text": b"hello", "truncated": path.read_bytes()[:200]}[kind])
    with pytest.raises(StorageError, match="not a checkpoint of simopt; delete it to start over"):
        checkpoint.load(path)
