"""Files of the published recordings: where they are kept, how they come there, and what is checked.

A download is written into another folder, checked, and moved: what carries the name of a file is the whole
file. ``checksums.json`` in the folder of a dataset holds SHA-256 and size, as they first came, of the files
whose hash nobody published.
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
_TIMEOUT = 30  # seconds without an answer or a byte
_CHUNK = 2**16


@dataclass(frozen=True)
class Remote:
    """A file of a recording.

    Attributes
    ----------
    name : str
        How it is called in the folder of its dataset.
    url : str or None
        None where there is no public source.
    by_hand : str
        Where a person finds it, and what to do with it.
    hash : str or None
        Published hash, ``sha1:...`` or ``sha256:...``; None where none is published: then the first
        download is recorded and compared with from then on.
    size : str
        About, for people: ``304 MB``.
    """

    name: str
    url: str | None
    by_hand: str
    hash: str | None = None
    size: str = "unknown"


class ProgressBar(Protocol):
    """What a download reports to: the part of tqdm's interface that pooch uses.

    One bar serves all files, one after the other. ``total`` is set at the start of each, 0 where the server
    does not say; ``close`` comes at the end of each, also of one that fails, and may come twice.
    """

    total: int

    def update(self, n: int, /) -> object:
        """Add ``n`` bytes."""

    def reset(self) -> object:
        """Go back to 0 bytes."""

    def close(self) -> object:
        """End the file."""


def folder(dataset: str) -> Path:
    """Return the folder of a dataset, which need not exist.

    It lies in ``$SIMOPT_DATA``, or in the user's cache where that is not set.

    Raises
    ------
    InputError
        A name that cannot be a folder; a ``~`` in ``SIMOPT_DATA`` that leads nowhere.
    """
    checks.folder_name(dataset, "dataset")
    given = os.environ.get("SIMOPT_DATA")
    if not given:
        import pooch

        return Path(pooch.os_cache("simopt")) / dataset
    try:
        return Path(given).expanduser().absolute() / dataset
    except RuntimeError as error:
        raise InputError(f"SIMOPT_DATA is {given!r}, in a home that cannot be found.") from error


def cached(dataset: str, files: tuple[Remote, ...]) -> bool:
    """Whether all files of a dataset are there; what is in them is not looked at."""
    here = folder(dataset)
    try:
        return all((here / file.name).is_file() for file in files)
    except OSError:  # the folder may not be looked into
        return False


def fetch(dataset: str, files: tuple[Remote, ...], *, progress: ProgressBar | None = None) -> Path:
    """Download what is missing of a dataset, check all of it, and return its folder.

    Of several processes one downloads and the others wait for it. A folder that cannot be written will do
    where all files are in it.

    Parameters
    ----------
    dataset : str
    files : tuple of Remote
    progress : ProgressBar or None
        Told how far each download is; None is silent.

    Raises
    ------
    InputError
        A file, in the folder or just downloaded, has another hash than was published or recorded.
    FetchError
        No public source, no network, no such page, no space, or a folder that cannot be used.
    """
    here = folder(dataset)
    try:
        for file in files:
            if file.url is None and not (here / file.name).is_file():
                here.mkdir(parents=True, exist_ok=True)  # for the file to be put there
                raise _unobtainable(f"{dataset}: {file.name} has no public source.", file, here)
        for file in files:
            path = here / file.name
            if not path.is_file():
                with _alone(here):
                    if not path.is_file():
                        _download(path, file, progress)
            digest = _check(path, file, path)
            if file.hash is None and file.name not in _recorded(here) and os.access(here, os.W_OK):
                with _alone(here):
                    entry = {"sha256": digest, "size": path.stat().st_size}
                    _record(here, {**_recorded(here), file.name: entry})
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "no space left" if full else f"{error.strerror or error}: {error.filename or here}"
        raise FetchError(
            f"{here}: the folder cannot be used ({why}).\n"
            "SIMOPT_DATA=FOLDER keeps the recordings in another folder."
        ) from error
    return here


def forget(dataset: str, files: tuple[Remote, ...], downloaded: tuple[str, ...]) -> None:
    """Take back what :func:`fetch` kept of files that turned out to be broken.

    Of those whose hash nobody published, the records go, and the files that were ``downloaded`` just now:
    else a broken first download would be what every later one is compared with.
    """
    here = folder(dataset)
    unpublished = {file.name for file in files if file.hash is None}
    with contextlib.suppress(OSError), _alone(here):
        _record(here, {name: entry for name, entry in _recorded(here).items() if name not in unpublished})
        for name in unpublished & set(downloaded):
            (here / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(here: Path) -> Iterator[None]:
    import filelock

    here.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(here / _LOCK):
        yield


def _unobtainable(problem: str, file: Remote, here: Path) -> FetchError:
    by_hand = file.by_hand.strip().rstrip(".")
    return FetchError(
        f"{problem}\nBy hand: {by_hand}. It belongs at {here / file.name}; "
        "dataset.source=surrogate works without it."
    )


def _download(path: Path, file: Remote, progress: ProgressBar | None) -> None:
    """Download a file into a folder of its own, check it, and move it to its place."""
    import pooch
    import requests

    answers: list[requests.Response] = []

    def admit(answer: requests.Response, **_: Any) -> None:
        answers.append(answer)
        answer.raw.enforce_content_length = True  # urllib3 1 would take a part for the whole
        if answer.is_redirect:
            return
        if answer.status_code != 200:
            raise requests.RequestException(f"HTTP {answer.status_code} {answer.reason}".strip())
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.RequestException("the server sent a web page instead")

    download = pooch.HTTPDownloader(
        progressbar=progress or False,
        chunk_size=_CHUNK,
        timeout=_TIMEOUT,
        hooks={"response": admit},
        headers={"Accept-Encoding": "identity"},
    )
    pooch.get_logger().setLevel("WARNING")  # it prints the hash of every file
    part = path.parent / _PART
    shutil.rmtree(part, ignore_errors=True)  # which a killed process may have left
    try:
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
        for answer in answers:
            answer.close()
        shutil.rmtree(part, ignore_errors=True)
        if progress is not None:
            progress.close()


def _reason(error: Exception) -> str:
    """Return the first plain words in a chain of exceptions about a connection."""
    link: BaseException = error
    while True:
        if isinstance(link, TimeoutError):
            return f"no answer for {_TIMEOUT} s"
        if isinstance(link, OSError) and link.strerror:
            return link.strerror[:120]
        below = link.__cause__ or link.__context__
        if below is None:
            return str(link).rstrip(".")[:120] or type(link).__name__
        link = below


def _check(at: Path, file: Remote, path: Path) -> str:
    """Return the hexadecimal hash of a file that lies at ``at`` and belongs at ``path``, or refuse it."""
    recorded = None if file.hash else _recorded(path.parent).get(file.name)
    expected = file.hash or (f"sha256:{recorded['sha256']}" if recorded else "")
    algorithm = expected.partition(":")[0] or "sha256"
    with at.open("rb") as handle:
        digest = hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False))
    found = f"{algorithm}:{digest.hexdigest()}"
    if expected and found != expected.lower():
        fresh = at != path
        raise InputError(
            f"{path}: {'the download' if fresh else 'the file'} is not the one that was "
            f"{'published' if file.hash else 'first here'}: expected {expected}, found {found}.\n"
            + ("Nothing was kept: fetch it again" if fresh else "Delete it and fetch it again")
            + ("." if file.hash else f", or delete {path.with_name(CHECKSUMS)} to accept the new one.")
        )
    return digest.hexdigest()


def _recorded(here: Path) -> dict[str, dict[str, Any]]:
    path = here / CHECKSUMS
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
            f"{path}: not a readable record of hashes.\nDelete it: the files beside it are recorded anew."
        )
    return content


def _record(here: Path, content: dict[str, dict[str, Any]]) -> None:
    if not content:
        (here / CHECKSUMS).unlink(missing_ok=True)
        return
    part = here / f".{CHECKSUMS}.part"
    try:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(here / CHECKSUMS)
    finally:
        part.unlink(missing_ok=True)
