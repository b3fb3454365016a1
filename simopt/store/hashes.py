"""SHA-256 of files, cached on disk.

The identity of a result (the values that change it) includes the hash of its data file. With the cache, a
stored result is found without reading its data file again.
"""

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
"""Only hashes of files older than 2 s are cached on disk. File systems store modification times in steps (2 s
on FAT): a younger file could change again within a step and keep time and size."""


class FileHashes:
    """Computes hashes of the content of files, and caches them by path, size, modification time and inode.

    Parameters
    ----------
    folder : Path, optional
        Folder of the cache file :data:`FILE`. None: hashes are cached in this object only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else folder / FILE
        self._cached: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        """Return the SHA-256 of the content of a file, in hexadecimal.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        try:
            about = path.stat()
            key = json.dumps([str(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ino])
            digest = self._cached.get(key) or self._read().get(key)
            if digest is None:
                with path.open("rb") as handle:
                    digest = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()}).") from error
        self._cached[key] = digest
        if time.time_ns() - about.st_mtime_ns > _SETTLED_NS:
            self._store(key, digest)
        return digest

    def _read(self) -> dict[str, str]:
        if self._file is None:
            return {}
        try:
            content = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):  # missing or damaged: the next write replaces it
            return {}
        if not isinstance(content, dict):
            return {}
        return {key: value for key, value in content.items() if isinstance(value, str) and len(value) == 64}

    def _store(self, key: str, value: str) -> None:
        if self._file is None or not self._file.parent.is_dir():
            return
        stored = self._read()
        if stored.get(key) != value:
            # The cache only saves time: a folder that cannot be written must not fail the command. Two
            # processes may overwrite each other's entry; it is then computed again.
            with contextlib.suppress(OSError):
                put(self._file, json.dumps({**stored, key: value}, indent=0).encode())
