"""The configuration that a file holds, read as data: it may say anything."""

from __future__ import annotations

from typing import Any

import yaml

# PyYAML lets the errors of its constructors through: a KeyError of `!!bool maybe`, an AttributeError of
# `!!timestamp never`, an IndexError of `!!int ''`.
_UNREADABLE = (
    yaml.YAMLError, LookupError, AttributeError, ValueError, TypeError, ArithmeticError, RecursionError,
)  # fmt: skip


def parsed(text: object) -> dict[Any, Any] | None:
    """Return a configuration from its YAML, nothing but plain values; None where it is none."""
    try:
        content = yaml.safe_load(text)  # type: ignore[arg-type]
    except _UNREADABLE:
        return None
    return content if isinstance(content, dict) else None
