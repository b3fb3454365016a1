"""Shell completion of overrides: of the keys of a command, and of their values.

Every command imports this module. The catalogue, which loads numpy, is therefore imported inside the
functions, so that only a completing shell waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer

_WITH_CONFIG = ("joint", "sensitivity")
"""Commands with a YAML file in ``configs``. All other commands take the keys of run."""
_NAMES_OF = {"measures": "measure", "track": "measure"}
"""Keys whose values are names of a group with another name."""
_NO_OPTIONS = ("_target_", "name", "aliases")


def measures(incomplete: str) -> list[str]:
    """Return the measures, and then the aliases, that begin with ``incomplete``."""
    from simopt import catalogue

    names = [*catalogue.names("measure"), *sorted(catalogue.aliases("measure"))]
    return [name for name in names if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    """Return the datasets that begin with ``incomplete``."""
    from simopt import catalogue

    return [name for name in catalogue.names("dataset") if name.startswith(incomplete)]


def measures_and_overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the measures and the overrides that begin with ``incomplete``."""
    return [*measures(incomplete), *overrides(ctx, incomplete)]


def overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the keys that begin with ``incomplete``; if it is a single key, return its values.

    zsh and fish hand over ``measure=c`` as one word, bash as the words ``measure``, ``=`` and ``c``.
    """
    words = [word for value in ctx.params.values() if isinstance(value, list | tuple) for word in value]
    settings = _settings(ctx.info_name or "", words)
    if words[-1:] == ["="]:
        return _values(settings, words[-2] if len(words) > 1 else "", incomplete)
    if words and words[-1] in settings:
        return _values(settings, words[-1], incomplete)
    key, equals, value = incomplete.partition("=")
    if equals:
        return [f"{key}={choice}" for choice in _values(settings, key, value)]
    keys = [name for name in settings if name.startswith(incomplete)]
    if len(keys) == 1:
        return [f"{keys[0]}={choice}" for choice in _values(settings, keys[0], "") or [""]]
    return [f"{name}=" for name in keys]


def _settings(command: str, words: list[str]) -> dict[str, list[str]]:
    """Return the values of every key of a command; the options of a group are those of its chosen entry."""
    from simopt import catalogue

    words = " ".join(words).replace(" = ", "=").split(" ")
    root = catalogue.root(command if command in _WITH_CONFIG else "run")
    settings: dict[str, list[str]] = {}
    for entry in root.pop("defaults"):
        for group, default in entry.items() if isinstance(entry, Mapping) else ():
            settings[group] = [*catalogue.names(group), *catalogue.aliases(group)]
            chosen = [word.partition("=")[2] for word in words if word.startswith(f"{group}=")]
            name = chosen[-1] if chosen else default
            if name in settings[group]:
                options = {k: v for k, v in catalogue.read(group, name).items() if k not in _NO_OPTIONS}
                settings |= _scalars(options, f"{group}.")
    settings |= _scalars({key: value for key, value in root.items() if key != "hydra"})
    settings |= {key: catalogue.names(group) for key, group in _NAMES_OF.items() if key in settings}
    if command == "sweep":
        settings["+experiment"] = catalogue.names("experiment")
    return settings


def _scalars(node: Mapping[str, Any], before: str = "") -> dict[str, list[str]]:
    """Return the dotted keys of a tree, each with its default, or with both values if it is boolean."""
    scalars: dict[str, list[str]] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            scalars |= _scalars(value, f"{before}{key}.")
        elif isinstance(value, bool):
            scalars[f"{before}{key}"] = ["true", "false"]
        else:
            scalars[f"{before}{key}"] = [value if isinstance(value, str) else json.dumps(value)]
    return scalars


def _values(settings: Mapping[str, list[str]], key: str, incomplete: str) -> list[str]:
    """Return the completions of a value; of a list, ``[a,b``, only its last item is completed."""
    before = incomplete[: 1 + max(incomplete.rfind(","), incomplete.rfind("["))]
    last = incomplete.removeprefix(before)
    return [before + choice for choice in settings.get(key, []) if choice.startswith(last)]
