"""Reading the configuration that a file holds; its text is untrusted."""

from __future__ import annotations

from typing import Any

import yaml

from simopt.store.errors import UNREADABLE


def parsed(text: object) -> dict[Any, Any] | None:
    """Return the configuration that a YAML text holds, as a dict; None if the text is not a YAML mapping."""
    try:
        content = yaml.safe_load(text)  # type: ignore[arg-type]
    # safe_load raises more than YAMLError: its constructors raise KeyError for `!!bool maybe`, AttributeError
    # for `!!timestamp never`, IndexError for `!!int ''`, and nested brackets reach the recursion limit.
    except (yaml.YAMLError, *UNREADABLE):
        return None
    return content if isinstance(content, dict) else None
