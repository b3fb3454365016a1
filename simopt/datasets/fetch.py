"""Download the files of the published recordings into a cache, and check their hashes.

A download is atomic: the file is written into the subfolder ``.part``, its hash is checked, and it is then
moved into the dataset's folder. A file in that folder is therefore complete, even after a crash.

Hashes: every load compares a file's hash with the published hash. If no hash is published, the SHA-256 and
size of the first download are recorded in ``checksums.json`` in the dataset's folder, and later loads and
downloads are compared with that record.

Locking: a process holds ``.lock`` in the dataset's folder while it downloads or writes ``checksums.json``.
Reading needs no lock, because files appear by a rename and never change afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from simopt import checks
from simopt.errors import FetchError, InputError

if TYPE_CHECKING:
    import requests

CHECKSUMS = "checksums.json"
_LOCK = ".lock"
_PART = ".part"
_TIMEOUT = 30  # seconds to wait for a connection, and for each next byte; a slow download may take longer
_CHUNK = 2**16  # bytes between two reports to the progress bar


@dataclass(frozen=True)
class Remote:
    """A file of a published recording: its name, address and hash.

    Attributes
    ----------
    name : str
        Name of the file in the folder of the dataset.
    url : str or None
        Address of the download. None if the file has no public source.
    by_hand : str
        How to get the file if it cannot be downloaded. Errors show this text.
    hash : str or None
        The published hash, ``sha1:...`` or ``sha256:...``. None if no hash is published: then the hash of the
        first download is recorded, and later files are compared with it.
    size : str
        Approximate size of the file for display, for instance ``304 MB``.
    """

    name: str
    url: str | None
    by_hand: str
    hash: str | None = None
    size: str = "unknown"


class ProgressBar(Protocol):
    """The methods of a tqdm progress bar that a download calls.

    The same bar shows all files, one after the other. At the start of each file, ``total`` is set to the size
    of the file in bytes, or to 0 if the server does not tell the size. ``close`` is called at the end of each
    file, even if its download failed, and may be called twice.
    """

    total: int

    def update(self, n: int, /) -> object:
        """Add ``n`` bytes to the number of bytes that have arrived."""

    def reset(self) -> object:
        """Start again from 0 bytes."""

    def close(self) -> object:
        """End the display of the current file."""


def folder(dataset: str) -> Path:
    """Return the path of the folder that holds a dataset's files; the folder need not exist.

    It is in the folder that the environment variable ``SIMOPT_DATA`` names. If the variable is not set, it is
    in the user's cache.

    Raises
    ------
    InputError
        ``dataset`` cannot be the name of a folder, or ``SIMOPT_DATA`` is ``~NAME/...`` and no user NAME
        exists.
    """
    checks.folder_name(dataset, "dataset")
    root = os.environ.get("SIMOPT_DATA")
    if not root:
        import pooch

        return Path(pooch.os_cache("simopt")) / dataset
    try:
        return Path(root).expanduser().absolute() / dataset
    except RuntimeError as error:
        raise InputError(f"SIMOPT_DATA is {root!r}; there is no such user. Set another path.") from error


def cached(dataset: str, files: tuple[Remote, ...]) -> bool:
    """Return whether all files of a dataset are in the cache, without checking their content."""
    cache = folder(dataset)
    try:
        return all((cache / file.name).is_file() for file in files)
    except OSError:  # no permission to search the folder
        return False


def fetch(dataset: str, files: tuple[Remote, ...], *, progress: ProgressBar | None = None) -> Path:
    """Download the files of a dataset that are not in the cache, check all files, and return their folder.

    If several processes call this at once, one downloads and the others wait. The folder may be read-only if
    it holds all files.

    Parameters
    ----------
    dataset : str
    files : tuple of Remote
    progress : ProgressBar or None
        A bar that shows the progress of each download. None shows nothing.

    Raises
    ------
    InputError
        A file in the folder, or a file just downloaded, has another hash than was published or recorded.
    FetchError
        A file has no public source or cannot be downloaded, the disk is full, or the folder cannot be used.
    """
    cache = folder(dataset)
    try:
        # First refuse what can never be downloaded, before the other files are downloaded in vain.
        for file in files:
            if file.url is None and not (cache / file.name).is_file():
                cache.mkdir(parents=True, exist_ok=True)  # so that the user only has to copy the file there
                raise _unobtainable(f"{dataset}: {file.name} has no public source.", file, cache)
        for file in files:
            path = cache / file.name
            if not path.is_file():
                with _locked(cache):
                    if not path.is_file():  # another process may have downloaded it while this one waited
                        _download(path, file, progress)
            digest = _check(path, file, path)
            if file.hash is None and file.name not in _recorded(cache) and os.access(cache, os.W_OK):
                with _locked(cache):
                    # Read the record again under the lock: other processes may have added files to it.
                    entry = {"sha256": digest, "size": path.stat().st_size}
                    _record(cache, {**_recorded(cache), file.name: entry})
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "no space left" if full else f"{error.strerror or error}: {error.filename or cache}"
        raise FetchError(
            f"{cache}: this folder, the cache of the recording, cannot be used ({why}).\n"
            "Set SIMOPT_DATA=FOLDER to keep the recordings in another folder."
        ) from error
    return cache


def forget(dataset: str, files: tuple[Remote, ...], downloaded: tuple[str, ...]) -> None:
    """Delete the records that :func:`fetch` made of files that turned out to be broken when they were read.

    Files with a published hash are kept, because their hash was right. For files without one the recorded
    hash is deleted; otherwise later downloads would be compared with the hash of a broken file. If such a
    file is in ``downloaded``, it is deleted as well.

    Parameters
    ----------
    dataset : str
    files : tuple of Remote
    downloaded : tuple of str
        Names of the files that this process downloaded. A file that a person put into the folder is never
        deleted.
    """
    cache = folder(dataset)
    unpublished = {file.name for file in files if file.hash is None}
    with contextlib.suppress(OSError), _locked(cache):
        _record(cache, {name: entry for name, entry in _recorded(cache).items() if name not in unpublished})
        for name in unpublished & set(downloaded):
            (cache / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Hold the lock of a dataset's folder; the operating system frees it if the process is killed."""
    import filelock

    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache / _LOCK):
        yield


def _unobtainable(problem: str, file: Remote, cache: Path) -> FetchError:
    by_hand = file.by_hand.strip().rstrip(".")
    return FetchError(
        f"{problem}\nBy hand: {by_hand}. Save it as {cache / file.name}. "
        "Or use dataset.source=surrogate, which needs no file."
    )


def _download(path: Path, file: Remote, progress: ProgressBar | None) -> None:
    """Download a file into the subfolder ``.part``, check it, and move it to ``path``; needs the lock."""
    import pooch
    import requests

    responses: list[requests.Response] = []

    def admit(response: requests.Response, **_: Any) -> None:
        """Refuse a response that is not the file, before its body is read."""
        responses.append(response)
        response.raw.enforce_content_length = True  # urllib3 1 takes a connection that broke off for the end
        if response.is_redirect:
            return
        if response.status_code != 200:
            raise requests.RequestException(f"HTTP {response.status_code} {response.reason}".strip())
        if response.headers.get("Content-Type", "").startswith("text/html"):
            # A login page or a page with a download button, which would otherwise be kept as the file.
            raise requests.RequestException("the server sent a web page in place of the file")

    download = pooch.HTTPDownloader(
        progressbar=progress or False,
        chunk_size=_CHUNK,
        timeout=_TIMEOUT,
        hooks={"response": admit},
        headers={"Accept-Encoding": "identity"},  # a compressed body would have another length than the file
    )
    pooch.get_logger().setLevel("WARNING")  # at its default level it prints the hash of every file
    part = path.parent / _PART  # in the same file system as the file, so that the move below is atomic
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed; the lock is ours
    try:
        # known_hash=None: _check compares the hash, and words the error.
        pooch.retrieve(file.url, known_hash=None, fname=file.name, path=part, downloader=download)
        if not (part / file.name).stat().st_size:
            raise requests.ConnectionError("0 bytes arrived")
        _check(part / file.name, file, path)
        (part / file.name).replace(path)
    except InputError:
        raise
    except (requests.RequestException, ValueError) as error:
        problem = f"{file.name} could not be downloaded from {file.url} ({_reason(error)})."
        raise _unobtainable(problem, file, path.parent) from error
    finally:
        for response in responses:  # requests does not close one whose hook raised
            response.close()
        shutil.rmtree(part, ignore_errors=True)
        if progress is not None:
            progress.close()


def _reason(error: Exception) -> str:
    """Return what went wrong with a connection, in plain words.

    requests wraps the error of urllib3, and that the error of the socket: only the innermost says "connection
    refused" without addresses of objects.
    """
    link: BaseException = error
    while True:
        if isinstance(link, TimeoutError):
            return f"no answer for {_TIMEOUT} s"
        if isinstance(link, OSError) and link.strerror:
            return link.strerror[:120]
        cause = link.__cause__ or link.__context__
        if cause is None:
            return str(link).rstrip(".")[:120] or type(link).__name__
        link = cause


def _check(at: Path, file: Remote, path: Path) -> str:
    """Return the hash of a file in hexadecimal; refuse a file with another hash than expected.

    Parameters
    ----------
    at : Path
        Where the file is now: in ``.part`` if it was just downloaded.
    file : Remote
    path : Path
        Where the file belongs; its folder has the recorded hashes.
    """
    recorded = None if file.hash else _recorded(path.parent).get(file.name)
    expected = file.hash or (f"sha256:{recorded['sha256']}" if recorded else "")
    algorithm = expected.partition(":")[0] or "sha256"
    with at.open("rb") as handle:
        # Some of the published hashes are SHA-1, which Python builds for FIPS allow only by this flag.
        digest = hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False))
    actual = f"{algorithm}:{digest.hexdigest()}"
    if expected and actual != expected.lower():
        fresh = at != path
        raise InputError(
            f"{path}: {'the download' if fresh else 'the file'} is not the one that was "
            f"{'published' if file.hash else 'recorded first'}: its hash is {actual}, not {expected}.\n"
            + ("It was not kept: fetch it again" if fresh else "Delete it and fetch it again")
            + ("." if file.hash else f", or first delete {path.with_name(CHECKSUMS)} to accept another file.")
        )
    return digest.hexdigest()


def _recorded(cache: Path) -> dict[str, dict[str, Any]]:
    """Return the recorded SHA-256 and size of the files without a published hash, by name."""
    path = cache / CHECKSUMS
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in content.values()
    ):
        raise InputError(
            f"{path}: this record of the files' hashes is damaged.\nDelete it; the next load makes a new one."
        )
    return content


def _record(cache: Path, content: dict[str, dict[str, Any]]) -> None:
    """Write ``checksums.json`` atomically, or delete it if it would be empty; needs the lock."""
    if not content:
        (cache / CHECKSUMS).unlink(missing_ok=True)
        return
    part = cache / f".{CHECKSUMS}.part"
    try:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(cache / CHECKSUMS)
    finally:
        part.unlink(missing_ok=True)
