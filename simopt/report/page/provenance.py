"""The boxes of the page with the configuration and the provenance of a run or an analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simopt.report.document import Code, Details, Facts
from simopt.store import shelf


def origin(heading: str, path: Path, attributes: Mapping[str, Any]) -> list[Details]:
    """Return two folded boxes with the configuration and the provenance of a result.

    Parameters
    ----------
    heading : str
        The heading of the result on the page.
    path : Path
        The file of the result.
    attributes : mapping
        The attributes of the file. They are shown as they are, whatever they contain.
    """
    pairs = [("file", path), *_pairs(attributes)]
    return [
        Details("Config (YAML)", [Code(str(attributes.get("config", "")))]),
        Details("Provenance", [Facts(f"Provenance of {heading}", pairs)]),
    ]


def _pairs(attributes: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in attributes.items():
        if name not in ("config", "versions"):
            yield name.replace("_", " "), _cell(value)
    stored = attributes.get("versions", "")
    versions = shelf.parsed(stored)
    yield from ((f"version of {name}", number) for name, number in versions.items())
    if not versions:
        yield "versions", _cell(stored)


def _cell(value: object) -> object:
    if isinstance(value, np.ndarray):
        return ", ".join(map(str, value.tolist()))
    return "none" if isinstance(value, str) and not value else value
