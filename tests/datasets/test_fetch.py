"""Downloads: what comes, what is refused, and that no failure leaves anything behind."""

import errno
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pooch
import pytest

from simopt.datasets import fetch as fetching
from simopt.datasets.fetch import Remote, cached, fetch, folder, forget
from simopt.errors import FetchError, InputError

BODY = bytes(range(256)) * 600  # more than two chunks
SHA1 = "sha1:" + hashlib.sha1(BODY).hexdigest()
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves BODY under every path, in the ways the last part of the path names."""

    daemon_threads = True
    body = BODY

    def handle_error(self, request, client_address) -> None:
        """Print nothing when a client goes away."""


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        how, body = self.path.rpartition("/")[2], self.server.body
        self.server.requests[how] += 1
        if how == "hangup":
            return
        if how == "silent":
            self.server.stopped.wait(5)
            return
        if how == "moved":
            self.send_response(302)
            self.send_header("Location", "/plain")
            self.end_headers()
            return
        if self.headers["Accept-Encoding"] != "identity":  # else the announced length need not be the file's
            how = "406"
        if how in ("404", "503", "202", "406"):
            self.send_response(int(how))
            self.end_headers()
            return
        self.send_response(200)
        if how == "page":
            self.send_header("Content-Type", "text/html; charset=utf-8")
        if how != "unannounced":
            length = {"odd": "many", "empty": 0}.get(how, len(body))
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if how == "slow":
            time.sleep(0.5)
        if how != "empty":
            self.wfile.write(body[:1000] if how == "truncated" else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.requests, server.stopped = Counter(), threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def remote(server: Server) -> Callable[..., Remote]:
    def make(how: str = "plain", name: str = "a.nc", hash: str | None = SHA1) -> Remote:
        url = f"http://127.0.0.1:{server.server_address[1]}/{how}"
        return Remote(name=name, url=url, by_hand="ask the authors for a.nc.", hash=hash)

    return make


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the dataset ``rec``, with a file that is no part of it."""
    monkeypatch.setenv("SIMOPT_DATA", str(tmp_path / "data"))
    here = tmp_path / "data" / "rec"
    here.mkdir(parents=True)
    (here / "mine.txt").write_text("mine")
    return here


def content(here: Path) -> set[str]:
    return {path.name for path in here.rglob("*")} - {".lock"}


def test_the_folder_is_below_simopt_data_or_in_the_cache(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SIMOPT_DATA", "~/recordings")
    assert folder("majaj") == tmp_path / "recordings" / "majaj"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMOPT_DATA", "relative")
    assert folder("majaj") == tmp_path / "relative" / "majaj"
    for unset in (lambda: monkeypatch.setenv("SIMOPT_DATA", ""), lambda: monkeypatch.delenv("SIMOPT_DATA")):
        unset()
        assert folder("majaj") == pooch.os_cache("simopt") / "majaj"
    assert not (tmp_path / "relative").exists()


def test_folders_that_cannot_be_named(monkeypatch) -> None:
    with pytest.raises(InputError, match=r"dataset '\.\./x'"):
        folder("../x")
    monkeypatch.setenv("SIMOPT_DATA", "~no_such_user_here/x")
    with pytest.raises(InputError, match="SIMOPT_DATA is '~no_such_user_here/x'"):
        folder("majaj")


@pytest.mark.parametrize("how", ["plain", "unannounced", "moved"])
@pytest.mark.parametrize("hash", [SHA1, SHA1.upper().replace("SHA1", "sha1"), f"sha256:{SHA256}", None])
def test_a_file_comes_once(here: Path, remote, server, capfd, how: str, hash: str | None) -> None:
    file = remote(how, hash=hash)
    assert not cached("rec", (file,))
    assert fetch("rec", (file,)) == here
    assert fetch("rec", (file,)) == here
    assert cached("rec", (file,))
    assert (here / "a.nc").read_bytes() == BODY
    assert server.requests[how] == 1
    assert content(here) == {"mine.txt", "a.nc"} | (set() if hash else {"checksums.json"})
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_made_and_only_what_is_missing_comes(here: Path, remote, server) -> None:
    shutil.rmtree(here.parent)
    files = remote(), remote("second", name="b.nc", hash=None)
    fetch("rec", files)
    (here / "a.nc").unlink()
    assert not cached("rec", files)
    fetch("rec", files)
    assert server.requests == {"plain": 2, "second": 1}


def test_files_that_came_stay_when_the_next_one_fails(here: Path, remote) -> None:
    with pytest.raises(FetchError, match=r"b.nc .*HTTP 404"):
        fetch("rec", (remote(hash=None), remote("404", name="b.nc")))
    assert content(here) == {"mine.txt", "a.nc", "checksums.json"}
    assert list(json.loads((here / "checksums.json").read_bytes())) == ["a.nc"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("404", "HTTP 404 Not Found"),
        ("503", "HTTP 503 Service Unavailable"),
        ("202", "HTTP 202 Accepted"),
        ("page", "web page"),
        ("hangup", "Remote end closed connection"),
        ("truncated", "152600 more expected"),
        ("empty", "0 bytes arrived"),
        ("odd", "many"),
        ("silent", "no answer for 0.3 s"),
    ],
)
def test_downloads_that_fail(monkeypatch, here: Path, remote, how: str, says: str) -> None:
    monkeypatch.setattr(fetching, "_TIMEOUT", 0.3)
    with pytest.raises(FetchError, match=rf"a.nc .* http.*\(.*({says}).*\)") as caught:
        fetch("rec", (remote(how, hash=None),))
    first, second = str(caught.value).splitlines()
    assert "object at 0x" not in first
    assert second.startswith("By hand: ask the authors for a.nc. ")
    assert str(here / "a.nc") in second
    assert "dataset.source=surrogate" in second
    assert content(here) == {"mine.txt"}


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:{port}", "Connection refused"),
        ("host.invalid", "no such name"),
        ("[bad", "Failed to parse"),
    ],
)
def test_a_server_that_is_not_there(here: Path, server, monkeypatch, address: str, says: str) -> None:
    def look_up(host: str, *_: object, real=socket.getaddrinfo) -> list:
        if host == "host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real(host, *_)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FetchError, match=rf"\(.*{says}.*\)"):
        fetch("rec", (Remote("a.nc", f"http://{address.format(port=port)}/a.nc", "ask"),))
    assert content(here) == {"mine.txt"}


def test_without_a_public_source_nothing_else_is_downloaded_first(here: Path, remote, server) -> None:
    closed = Remote(name="b.h5", url=None, by_hand="owners write it")
    with pytest.raises(FetchError, match=rf"rec: b.h5 .*\nBy hand: owners write it. .*{here / 'b.h5'}"):
        fetch("rec", (remote(), closed))
    assert not server.requests
    (here / "b.h5").write_bytes(b"owned")
    assert fetch("rec", (remote(), closed)) == here


def test_a_download_of_another_hash_than_published(here: Path, remote, server) -> None:
    server.body = BODY[::-1]
    actual = hashlib.sha1(server.body).hexdigest()
    with pytest.raises(InputError, match=f"a.nc: .*published: its hash is sha1:{actual}, not {SHA1}.\n"):
        fetch("rec", (remote(),))
    assert content(here) == {"mine.txt"}
    server.body = BODY
    assert fetch("rec", (remote(),)) == here


def test_a_file_that_changes_in_the_folder(here: Path, remote) -> None:
    for hash, remedy in ((SHA1, "Delete it"), (None, "Delete it .*checksums.json")):
        fetch("rec", (remote(hash=hash),))
        (here / "a.nc").write_bytes(BODY[:-1])
        with pytest.raises(InputError, match=f"a.nc: .*its hash is sha.*, not sha.*\n.*{remedy}"):
            fetch("rec", (remote(hash=hash),))
        assert (here / "a.nc").read_bytes() == BODY[:-1]
        (here / "a.nc").unlink()


def test_the_first_download_is_recorded_and_a_second_compared_with_it(here: Path, remote, server) -> None:
    file = remote(hash=None)
    fetch("rec", (file,))
    record = here / "checksums.json"
    assert json.loads(record.read_bytes()) == {"a.nc": {"sha256": SHA256, "size": len(BODY)}}
    (here / "a.nc").unlink()
    server.body = b"another"
    actual = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(InputError, match=f"a.nc: .*its hash is sha256:{actual}, not sha256:{SHA256}"):
        fetch("rec", (file,))
    assert content(here) == {"mine.txt", "checksums.json"}
    record.unlink()
    fetch("rec", (file,))
    assert json.loads(record.read_bytes())["a.nc"]["sha256"] == actual


def test_a_file_placed_by_hand_counts_as_the_first_download(here: Path, remote, server) -> None:
    files = remote(hash=None), remote(name="b.nc")
    for file in files:
        (here / file.name).write_bytes(BODY)
    fetch("rec", files)
    assert not server.requests
    assert list(json.loads((here / "checksums.json").read_bytes())) == ["a.nc"]
    (here / "a.nc").write_bytes(b"changed")
    with pytest.raises(InputError, match=f"a.nc: the file .*not sha256:{SHA256}"):
        fetch("rec", files)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a.nc": 1}', '{"a.nc": {}}', "[" * 100_000, "\xff"])
def test_a_broken_record_is_refused(here: Path, remote, text: str) -> None:
    (here / "checksums.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="checksums.json: .*\nDelete it"):
        fetch("rec", (remote(hash=None),))
    assert content(here) == {"mine.txt", "checksums.json"}


class Bar:
    """A progress bar that records its calls."""

    total = -1

    def __init__(self, fail: BaseException | None = None) -> None:
        self.calls, self.fail = [], fail

    def update(self, n: int) -> None:
        self.calls.append(n)
        if self.fail:
            raise self.fail

    def reset(self) -> None:
        self.calls.clear()

    def close(self) -> None:
        self.calls.append("closed")


def test_progress_is_reported(here: Path, remote) -> None:
    bar = Bar()
    fetch("rec", (remote(),), progress=bar)
    assert bar.total == len(BODY)
    assert bar.calls[:2] == [len(BODY), "closed"]


@pytest.mark.parametrize(
    ("fail", "raised", "says"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            FetchError,
            "rec: .*no space left.*\n.*SIMOPT_DATA=FOLDER",
        ),
    ],
    ids=["interrupt", "full"],
)
def test_a_download_that_stops_halfway_leaves_nothing(here: Path, remote, fail, raised, says) -> None:
    bar = Bar(fail)
    with pytest.raises(raised, match=says):
        fetch("rec", (remote(),), progress=bar)
    assert bar.calls[-1] == "closed"
    assert content(here) == {"mine.txt"}
    assert fetch("rec", (remote(),)) == here


def test_what_a_killed_process_left_is_removed(here: Path, remote) -> None:
    (here / ".part").mkdir()
    for name in ("a.nc", "tmp1234"):
        (here / ".part" / name).write_bytes(BODY * 2)
    fetch("rec", (remote(),))
    assert content(here) == {"mine.txt", "a.nc"}
    assert (here / "a.nc").read_bytes() == BODY


def test_of_two_processes_one_downloads(here: Path, remote, server) -> None:
    file = remote("slow", hash=None)
    code = (
        "from simopt.datasets.fetch import Remote, fetch; "
        f"print(fetch('rec', (Remote('a.nc', {file.url!r}, 'ask'),)))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        while not server.requests["slow"] and other.poll() is None:
            time.sleep(0.01)
        assert fetch("rec", (file,)) == here
        assert other.communicate(timeout=60)[0] == f"{here}\n"
    assert server.requests == {"slow": 1}
    assert content(here) == {"mine.txt", "a.nc", "checksums.json"}


def test_of_many_threads_one_downloads(here: Path, remote, server) -> None:
    failed = []

    def work() -> None:
        try:
            fetch("rec", (remote("slow"),))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert server.requests == {"slow": 1}


def test_a_folder_that_cannot_be_made(here: Path, monkeypatch, remote) -> None:
    monkeypatch.setenv("SIMOPT_DATA", str(here / "mine.txt"))
    assert not cached("rec", (remote(),))
    with pytest.raises(FetchError, match="mine.txt/rec: .*\n.*SIMOPT_DATA=FOLDER"):
        fetch("rec", (remote(),))
    assert content(here) == {"mine.txt"}


def test_a_folder_that_cannot_be_written(here: Path, remote) -> None:
    here.chmod(0o500)
    if os.access(here, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(FetchError, match="rec: .*Permission denied.*\n.*SIMOPT_DATA=FOLDER"):
        fetch("rec", (remote(),))


def test_a_shared_folder_may_be_read_only(here: Path, remote, monkeypatch) -> None:
    (here / "a.nc").write_bytes(BODY)
    monkeypatch.setattr(fetching.os, "access", lambda path, mode: False)
    assert fetch("rec", (remote(hash=None),)) == here
    assert {path.name for path in here.iterdir()} == {"mine.txt", "a.nc"}
    with pytest.raises(InputError, match="a.nc: the file .*published"):
        fetch("rec", (remote(hash="sha256:" + "0" * 64),))


def test_records_of_broken_files_are_forgotten(here: Path, remote) -> None:
    """The record of a file nobody published a hash of, and the file if it was just downloaded."""
    files = remote(), remote(name="b.nc", hash=None), remote(name="c.nc", hash=None)
    (here / "c.nc").write_bytes(BODY)
    fetch("rec", files)
    forget("rec", files, ("a.nc", "b.nc"))
    assert content(here) == {"mine.txt", "a.nc", "c.nc"}
    fetch("rec", files)
    assert sorted(json.loads((here / "checksums.json").read_bytes())) == ["b.nc", "c.nc"]
    forget("rec", files[:2], ())
    assert list(json.loads((here / "checksums.json").read_bytes())) == ["c.nc"]
    assert (here / "b.nc").exists()
