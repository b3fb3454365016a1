"""SHA-256 of files, remembered: a recording of gigabytes is not read to find that its result is stored."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path

from simopt.errors import InputError
from simopt.store.whole import put

FILE = ".hashes.json"
_SETTLED_NS = 2 * 10**9
"""A file that changed so shortly ago may change once more within one tick of its clock: not remembered."""


class FileHashes:
    """The hash of a file's content, looked up by its path, size, time of change and inode.

    Parameters
    ----------
    folder : Path, optional
        Where the hashes are kept between processes, in :data:`FILE`; None: nowhere.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / FILE
        self._known: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        """Return the SHA-256 of the content of a file, in hexadecimal.

        Raises
        ------
        InputError
            It cannot be read.
        """
        try:
            about = path.stat()
            key = json.dumps([str(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ino])
            remembered = self._known.get(key) or self._read().get(key)
            if remembered is None:
                with path.open("rb") as handle:
                    remembered = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()}).") from error
        self._known[key] = remembered
        if time.time_ns() - about.st_mtime_ns > _SETTLED_NS:
            self._remember(key, remembered)
        return remembered

    def _read(self) -> dict[str, str]:
        if self._file is None:
            return {}
        try:
            content = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):  # it is made anew
            return {}
        if not isinstance(content, dict):
            return {}
        return {key: value for key, value in content.items() if isinstance(value, str) and len(value) == 64}

    def _remember(self, key: str, value: str) -> None:
        if self._file is None or not self._file.parent.is_dir():
            return
        kept = self._read()
        if kept.get(key) != value:
            # A folder that cannot be written costs time, and no result.
            with contextlib.suppress(OSError):
                put(self._file, json.dumps({**kept, key: value}, indent=0).encode())
