"""The stored configuration of a run or an analysis, read as plain data: its file may contain anything."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from simopt.store import config

APART = ("seeds", "log", "device", "cuda_graphs", "force")
"""Entries that are left out: they do not change a result, or only make another replicate of it."""

_BLOCK = re.compile(rf"^(?:{'|'.join(APART)}):.*\n?(?:[ -].*\n?)*", re.MULTILINE)


def without_apart(text: str) -> str:
    """Return the text of a configuration, YAML, without the entries in :data:`APART`."""
    return _BLOCK.sub("", text)


def parsed(text: str) -> dict[Any, Any] | None:
    """Return a configuration without the entries in :data:`APART`; None where the text is none.

    The result is cached, so it must not be changed.

    Parameters
    ----------
    text : str
        YAML. It is read into plain values only, whatever tags it has.
    """
    # The entries are cut out of the text, so that runs that differ only in their seeds are parsed once.
    return _parsed(without_apart(text))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> dict[Any, Any] | None:
    content = config.parsed(text)
    return None if content is None else {key: value for key, value in content.items() if key not in APART}
