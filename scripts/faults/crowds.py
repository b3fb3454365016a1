"""Faults of many processes in one folder, of a clock that runs backwards, and of interrupted downloads."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import http.server
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faults.bench import Bench, Fault, Verdict, arguments, look, resumed, stored
from faults.process import Command, call
from simopt.app.sweep import plan
from simopt.datasets import Dataset, fetch
from simopt.datasets.fetch import Remote
from simopt.datasets.majaj import Majaj
from simopt.store import provenance

BODY = bytes(range(256)) * 1200
_PIECE = 2**14
_UTC = datetime.UTC


def crowd(work: str) -> Fault:
    """Return the fault: several processes run the same command at about the same time."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        commands = []
        for _ in range(chance.randint(2, 5)):
            commands.append(Command(arguments(work, folder)))
            time.sleep(chance.uniform(0, bench.seconds[work] / 3))
        if chance.random() < 0.5:
            chance.choice(commands).send(signal.SIGKILL)
        for command in commands:
            ended = command.end()
            verdict.seen.append(f"exit code {ended.code}")
            busy = ended.code == 1 and "another process is at work" in ended.said
            if ended.code != -signal.SIGKILL and not busy:
                verdict.misreport(ended.wrong(0))
        rows = look(folder, bench.results[work], verdict)
        resumed(work, folder, bench, verdict, seen=rows)
        return verdict

    return fault


def clock(work: str) -> Fault:
    """Return the fault: every reading of the clock is earlier than the one before."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        step = chance.choice([1.0, 3600.0, 1e6])
        first = call(arguments(work, folder), lambda: _turn_back(step))
        verdict.seen.append(f"exit code {first.code}")
        verdict.misreport(first.wrong(0))
        if stored(folder) != bench.results[work]:
            verdict.lost.append("other numbers, or none")
        future = time.time() + step
        for path in folder.rglob("*"):
            os.utime(path, (future, future))
        rows = look(folder, bench.results[work], verdict)
        resumed(work, folder, bench, verdict, seen=rows)
        return verdict

    return fault


def _turn_back(step: float) -> None:
    now = [time.time()]

    def earlier() -> float:
        now[0] -= step
        return now[0]

    class Backwards(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(earlier(), tz)

    class Module:
        datetime = Backwards
        UTC = _UTC

    time.time = earlier
    provenance.datetime = plan.datetime = Module  # type: ignore[assignment]


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        how = self.path.rpartition("/")[2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        stop = len(BODY) // 2 if how in ("cut", "stall") else len(BODY)
        for start in range(0, stop, _PIECE):
            self.wfile.write(BODY[start : min(stop, start + _PIECE)])
            time.sleep(0.01)
        if how == "stall":
            time.sleep(5)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing when a client goes away."""


def serve() -> tuple[int, int]:
    """Start a server of recordings as a process; return its id and its port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    process = os.fork()
    if not process:
        with contextlib.suppress(BaseException):
            server.serve_forever()
        os._exit(0)
    server.server_close()
    return process, server.server_address[1]


def download(port: int, what: str) -> Fault:
    """Return the fault: a download is cut off, stalls, or is ended by a signal, or its cache is deleted."""

    def fault(chance: random.Random, bench: Bench, folder: Path) -> Verdict:
        verdict = Verdict()
        how = what if what in ("cut", "stall") else "plain"
        command = Command(["datasets", "fetch", "majaj"], lambda: _redirect(port, how, folder))
        seconds = chance.uniform(0, 0.6)
        if hasattr(signal, what):
            ended = command.after(seconds, getattr(signal, what))
            verdict.misreport(ended.wrong(0, 130 if what != "SIGKILL" else -signal.SIGKILL))
        else:
            if what == "wiped":
                time.sleep(seconds)
                shutil.rmtree(folder, ignore_errors=True)
            ended = command.end()
            verdict.misreport(ended.wrong(*((0, 1, 2) if what == "wiped" else (1,))))
        verdict.seen.append(f"exit code {ended.code}")
        # Half a file may be left in the hidden folder of downloads, which the next command empties.
        kept = [file for file in folder.glob("majaj/[!.]*") if file.is_file()]
        for path in kept:
            if path.name != fetch.CHECKSUMS and path.read_bytes() != BODY:
                verdict.misreported.append(f"half of {path.name}")
        whole = {path: path.stat().st_ino for path in kept if path.name != fetch.CHECKSUMS}
        verdict.misreport(
            call(["datasets", "fetch", "majaj"], lambda: _redirect(port, "plain", folder)).wrong(0)
        )
        if any(not path.exists() or path.stat().st_ino != inode for path, inode in whole.items()):
            verdict.lost.append("a whole file was downloaded again")
        left = sorted(path.name for path in (folder / "majaj").iterdir())
        if left != sorted([".lock", fetch.CHECKSUMS, "a.nc", "b.nc"]):
            verdict.misreported.append(f"at the end there are {left}")
        return verdict

    return fault


def _redirect(port: int, how: str, folder: Path) -> None:
    """Have majaj consist of two files of the local server, one of a published hash."""
    os.environ.update(SIMOPT_DATA=str(folder), NO_PROXY="*", no_proxy="*")
    fetch._TIMEOUT = 1
    published = f"sha1:{hashlib.sha1(BODY).hexdigest()}"
    Majaj.files = tuple(
        Remote(name, f"http://127.0.0.1:{port}/{name}/{how}", "ask", hash)
        for name, hash in (("a.nc", published), ("b.nc", None))
    )

    def read(self: Majaj, place: Path) -> Dataset:
        sizes = [len((place / file.name).read_bytes()) for file in self.files]
        return Dataset("majaj", np.random.default_rng(0).normal(size=(sizes[0] // 10000, 3)))

    Majaj.read = read  # type: ignore[method-assign]


@contextlib.contextmanager
def served() -> Iterator[int]:
    """Give the port of a server that ends with the block."""
    process, port = serve()
    try:
        yield port
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
