"""Checkpoints: all that resuming needs, as arrays and JSON, replaced atomically."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simopt.errors import StorageError
from simopt.store.errors import storage_errors
from simopt.store.whole import whole

_STRUCTURE = "structure"
_BROKEN = (
    *(OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What numpy and zipfile raise of files in which bits were turned."""


def save(path: Path, state: Any) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, text and None to one npz file.

    Raises
    ------
    StorageError
        The file cannot be written; an older checkpoint is left as it was.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_take_apart(state, arrays))
    with storage_errors(path), whole(path) as unfinished, unfinished.open("wb") as handle:
        np.savez(handle, **{_STRUCTURE: np.array(structure), **arrays})  # type: ignore[arg-type]
        handle.flush()
        os.fsync(handle.fileno())


def load(path: Path) -> Any:
    """Read a checkpoint back; tensors come on the CPU.

    Raises
    ------
    StorageError
        The file is not a checkpoint.
    """
    try:
        with path.open("rb") as handle, np.load(handle) as archive:
            # numpy reads no further than the shape says, and a checksum is compared at the end only.
            if archive.zip.testzip() is not None:
                raise zipfile.BadZipFile
            arrays = {name: archive[name] for name in archive.files}
        return _put_together(json.loads(str(arrays[_STRUCTURE])), arrays)
    except _BROKEN as error:
        raise StorageError(f"{path}: not a checkpoint of simopt; delete it to start over.") from error


@contextlib.contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Take up what :func:`load` gave, within the block.

    Raises
    ------
    StorageError
        The state is not of the kind that is taken up there; another version of simopt may have saved it.
    """
    try:
        yield
    except _BROKEN as error:
        raise StorageError(
            f"{path}: does not fit; another version of simopt may have saved it. Delete it to start over."
        ) from error


def _take_apart(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, torch.Tensor):
        name = f"array{len(arrays)}"
        arrays[name] = value.detach().cpu().numpy()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _take_apart(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_take_apart(item, arrays) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise StorageError(f"A checkpoint cannot hold a {type(value).__name__}.")


def _put_together(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    ((kind, content),) = node.items()
    if kind == "tensor":
        return torch.from_numpy(arrays[content])
    if kind == "dict":
        return {key: _put_together(item, arrays) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_put_together(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    return content
