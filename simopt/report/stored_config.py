"""The stored configuration of a run or an analysis, read as plain data since a file may contain anything."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from simopt.store import config

APART = ("seeds", "log", "device", "cuda_graphs", "force")
"""The entries that are left out: they do not change a result, or (seeds) select another replicate of it."""

_BLOCK = re.compile(rf"^(?:{'|'.join(APART)}):.*\n?(?:[ -].*\n?)*", re.MULTILINE)


def without_apart(text: str) -> str:
    """Return the YAML text of a configuration without the entries in :data:`APART`."""
    return _BLOCK.sub("", text)


def parsed(text: str) -> dict[Any, Any] | None:
    """Parse a configuration without the entries in :data:`APART`; None if the text is not a configuration.

    The returned dict is cached, so it must not be changed.

    Parameters
    ----------
    text : str
        The YAML text of the configuration. Its tags are ignored: only plain values are read.
    """
    # The entries are cut out of the text, so that runs that differ only in their seeds are parsed once.
    return _parsed(without_apart(text))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> dict[Any, Any] | None:
    content = config.parsed(text)
    return None if content is None else {key: value for key, value in content.items() if key not in APART}
