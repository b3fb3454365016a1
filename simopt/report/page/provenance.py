"""Where a run or an analysis comes from, as names and values for the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simopt.report.page.markup import details, facts, text

_OWN_PLACE = ("config", "versions")


def origin(heading: str, path: Path, attributes: Mapping[str, Any]) -> str:
    """Return the HTML of the config and the provenance, both folded.

    Parameters
    ----------
    heading : str
        What it is the origin of.
    path : Path
        Its file.
    attributes : mapping
        Of its file, whatever they hold.
    """
    config = f'<pre tabindex="0">{text(attributes.get("config", ""))}</pre>'
    table = facts(f"Provenance of {heading}", _pairs(path, attributes))
    return details("Config (YAML)", config) + details("Provenance", table)


def _pairs(path: Path, attributes: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "file", path
    for name, value in attributes.items():
        if name not in _OWN_PLACE:
            yield name.replace("_", " "), _said(value)
    yield from _versions(str(attributes.get("versions", "")))


def _versions(stored: str) -> Iterator[tuple[str, object]]:
    """Yield the version of each package, or what is stored where it is none of ours."""
    try:
        known = json.loads(stored)
    except ValueError:
        known = None
    if isinstance(known, dict):
        yield from ((f"version of {name}", number) for name, number in known.items())
    else:
        yield "versions", _said(stored)


def _said(value: object) -> object:
    if isinstance(value, np.ndarray):
        return ", ".join(map(str, value.tolist()))
    return "none" if isinstance(value, str) and not value else value
