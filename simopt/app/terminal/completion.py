"""What a shell completes an override to: the keys of a command, and what they may be set to.

Every command imports this module; the catalogue, with which numpy comes, is imported only where a shell asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer

_OWN_KEYS = ("joint", "sensitivity")
"""Commands whose overrides are of their own file in ``configs``; the others take those of run."""
_NAMED_ELSEWHERE = {"measures": "measure", "track": "measure"}
"""Keys that take names of a group."""
_ABOUT = ("_target_", "name", "aliases")


def measures(incomplete: str) -> list[str]:
    """Return the measures, and then the aliases, that begin so."""
    from simopt import catalogue

    names = [*catalogue.names("measure"), *sorted(catalogue.aliases("measure"))]
    return [name for name in names if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    """Return the datasets that begin so."""
    from simopt import catalogue

    return [name for name in catalogue.names("dataset") if name.startswith(incomplete)]


def measures_and_overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the measures that begin so, and what an override may go on as."""
    return [*measures(incomplete), *overrides(ctx, incomplete)]


def overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what an override may go on as: keys, or the values of the one key that is left.

    A shell may hand over ``measure=c`` whole, as zsh and fish do, or as the words ``measure``, ``=`` and
    ``c``, as bash does.
    """
    words = [word for value in ctx.params.values() if isinstance(value, list | tuple) for word in value]
    settings = _settings(ctx.info_name or "", words)
    if words[-1:] == ["="]:
        return _values(settings, words[-2] if len(words) > 1 else "", incomplete)
    if words and words[-1] in settings:
        return _values(settings, words[-1], incomplete)
    key, equals, value = incomplete.partition("=")
    if equals:
        return [f"{key}={each}" for each in _values(settings, key, value)]
    keys = [each for each in settings if each.startswith(incomplete)]
    if len(keys) == 1:
        return [f"{keys[0]}={each}" for each in _values(settings, keys[0], "") or [""]]
    return [f"{each}=" for each in keys]


def _settings(command: str, words: list[str]) -> dict[str, list[str]]:
    """Return the values of every key of a command; options of a group are those of its chosen entry."""
    from simopt import catalogue

    words = " ".join(words).replace(" = ", "=").split(" ")
    root = catalogue.root(command if command in _OWN_KEYS else "run")
    found: dict[str, list[str]] = {}
    for entry in root.pop("defaults"):
        for group, chosen in entry.items() if isinstance(entry, Mapping) else ():
            found[group] = [*catalogue.names(group), *catalogue.aliases(group)]
            given = [word.partition("=")[2] for word in words if word.startswith(f"{group}=")]
            name = given[-1] if given else chosen
            if name in found[group]:
                options = {k: v for k, v in catalogue.read(group, name).items() if k not in _ABOUT}
                found |= _scalars(options, f"{group}.")
    found |= _scalars({key: value for key, value in root.items() if key != "hydra"})
    found |= {key: catalogue.names(group) for key, group in _NAMED_ELSEWHERE.items() if key in found}
    if command == "sweep":
        found["+experiment"] = catalogue.names("experiment")
    return found


def _scalars(node: Mapping[str, Any], before: str = "") -> dict[str, list[str]]:
    """Return the keys of a tree, each with its default, or with both values where it is a switch."""
    found: dict[str, list[str]] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= _scalars(value, f"{before}{key}.")
        elif isinstance(value, bool):
            found[f"{before}{key}"] = ["true", "false"]
        else:
            found[f"{before}{key}"] = [value if isinstance(value, str) else json.dumps(value)]
    return found


def _values(settings: Mapping[str, list[str]], key: str, incomplete: str) -> list[str]:
    """Return the values of a key that begin as the last one of a list does, after those before it."""
    before = incomplete[: 1 + max(incomplete.rfind(","), incomplete.rfind("["))]
    last = incomplete.removeprefix(before)
    return [before + each for each in settings.get(key, []) if each.startswith(last)]
