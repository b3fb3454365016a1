"""The configuration that a run or an analysis was made with, read as data: its file may hold anything."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from simopt.store import config

APART = ("seeds", "log", "device", "cuda_graphs", "force")
"""Entries that change no result, or make another replicate of it: they are left out."""

_BLOCK = re.compile(rf"^(?:{'|'.join(APART)}):.*\n?(?:[ -].*\n?)*", re.MULTILINE)


def parsed(text: str) -> dict[Any, Any] | None:
    """Return a configuration without the entries of :data:`APART`; None where it is none. Not to be changed.

    Parameters
    ----------
    text : str
        YAML; whatever it says, nothing but plain values is made of it.
    """
    return _parsed(_BLOCK.sub("", text))  # so that seeds in separate files are parsed once


@lru_cache(maxsize=1024)
def _parsed(text: str) -> dict[Any, Any] | None:
    content = config.parsed(text)
    return None if content is None else {key: value for key, value in content.items() if key not in APART}
