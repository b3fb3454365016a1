"""Provenance that every stored result records: versions, time and commit."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from simopt import __version__


def now() -> str:
    """Return the current time in UTC to the second, as text in the format of ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def provenance() -> dict[str, str]:
    """Return the attributes of a stored result that tell its origin.

    They are ``simopt_version``, ``created`` (the current time), ``versions`` (JSON) and ``git`` (the commit).
    """
    packages = {name: version(name) for name in ("torch", "numpy", "h5py")}
    return {
        "simopt_version": __version__,
        "created": now(),
        "versions": json.dumps({"python": platform.python_version(), **packages}),
        "git": _git_commit(),
    }


def _git_commit() -> str:
    """Return the commit of the simopt checkout; empty for an installed package or without git."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
